# `make` says what there is. Every command below prepares .venv itself; nothing else is touched.
# Written for GNU Make 3.81 (macOS) and later; the folder may have spaces in its path.

SHELL := /bin/sh
PYTHON ?=
VENV := .venv
PEERS := .venv-bench
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready
TESTS := tests --ignore=tests/test_recipes.py
PYTEST := $(RUN) -m pytest -n 2 --dist loadfile --no-loadscope-reorder
FAILED := { echo "A test failed: its name and reason are above. One alone:" \
  "$(VENV)/bin/pytest tests/FOLDER/test_NAME.py" >&2; exit 1; }

# In a classroom, which was unpacked from such an archive, packages come from its folder.
PYTHONS := python3.12 python3.11 python3
ifneq ($(wildcard classroom/pythons),)
PYTHONS := $(shell cat classroom/pythons)
export PIP_NO_INDEX := 1
export PIP_FIND_LINKS := classroom/wheels
endif

.PHONY: help course pages test check lab reset classroom bench clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^\([a-z]*\):.*## /  make \1|/p' Makefile | awk -F'|' '{printf "%-15s%s\n", $$1, $$2}'
	@echo
	@echo "  make PYTHON=/path/to/python3.12 ...   which Python a new .venv is made with"
	@echo "  make VENV=.venv-3.11 ...              which folder is used instead of .venv"
	@echo "  make check TESTS=tests/tuning         which unit tests are run"

course: $(READY) ## execute the notebooks, and build the book from them
	@$(RUN) -m course run

pages: $(READY) ## build the book from the notebooks as they are
	@$(RUN) -m course pages

test: $(READY) ## run every test and every notebook
	@$(PYTEST) || $(FAILED)
	@echo "All passed. The course as pages: make course"

check: $(READY) ## style, types, imports, unit tests: all but notebooks and recipes
	@$(PYTEST) $(TESTS) || $(FAILED)
	@echo "All passed. With notebooks and recipes: make test"

lab: $(READY) ## open your own copy of the lessons, work/, in JupyterLab
	@$(RUN) -m course lab

reset: $(READY) ## give one lesson back as it was, and keep yours: make reset LESSON=02, or exercises/02
	@$(RUN) -m course reset "$(LESSON)"

classroom: $(READY) ## pack everything for a room without a network: build/classroom.zip
	@$(RUN) -m course classroom

bench: $(PEERS)/.ready ## measure against peers: make bench ROWS="head text", make bench FULL=1
	@$(PEERS)/bin/python -m benchmarks $(ROWS) $(if $(FULL),--full) $(if $(PUBLISH),--publish)

clean: ## remove what was built (not .venv, not the downloads)
	@rm -rf build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis
	@find . -name '.venv*' -prune -o \( -name __pycache__ -o -name .ipynb_checkpoints \) \
	  -prune -exec rm -rf {} +
	@echo "Clean. The installed packages are in .venv: rm -rf .venv removes them."

# $(VENV) is ready when everything is installed; an interrupted installation is taken up again.
$(READY): requirements.txt pyproject.toml
	@set -- $(if $(PYTHON),"$(PYTHON)",$(PYTHONS)); \
	supported='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))'; \
	if $(RUN) -c "$$supported" 2>/dev/null && $(RUN) -m pip -V >/dev/null 2>&1; \
	then exit 0; fi; \
	for python do "$$python" -c "$$supported" >/dev/null 2>&1 && break; python=; done; \
	test -n "$$python" || { echo "error: Python 3.11 or 3.12 is needed (tried: $$*)." \
	  "Install one, or name it: make PYTHON=/path/to/python3.12" >&2; exit 1; }; \
	"$$python" -c 'import venv, ensurepip' 2>/dev/null || { echo "error: $$python has no venv" \
	  "module. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }; \
	"$$python" -c 'import shutil, sys; sys.exit(shutil.disk_usage(".").free < 5e9)' || { \
	  echo "error: 5 GB of free disk are needed here for the packages." >&2; exit 1; }; \
	echo "Making $(VENV) with $$("$$python" --version)"; \
	"$$python" -m venv --clear $(VENV)
	@echo "Installing requirements.txt into $(VENV) (once; about 4 GB on disk; a few minutes)"
	@rm -f $(READY)
	@( $(RUN) -m pip install --disable-pip-version-check --progress-bar off -r requirements.txt && \
	   $(RUN) -m pip install --disable-pip-version-check -q --no-deps -e . && touch $(READY) \
	 ) | grep --line-buffered -oE '(Downloading|Using cached) .* MB\)|^Installing collected packages' \
	   || true
	@test -e $(READY) || { echo "error: the installation did not finish: the reason is above." \
	  "The same command takes it up again." >&2; exit 1; }
	@echo "Installed."

# The peers stand on what is in $(VENV), and leave it as it is.
$(PEERS)/.ready: $(READY) benchmarks/requirements.txt
	@echo "Installing benchmarks/requirements.txt into $(PEERS) (once; 1 to 5 GB on disk)"
	@rm -f $(PEERS)/.ready
	@$(RUN) -m venv --clear $(PEERS)
	@where='import sysconfig; print(sysconfig.get_path("purelib"))'; \
	$(RUN) -c "$$where" > "$$($(PEERS)/bin/python -c "$$where")/packages.pth"
	@$(PEERS)/bin/python -m pip install --disable-pip-version-check --progress-bar off -q \
	  -c requirements.txt -r benchmarks/requirements.txt
	@touch $(PEERS)/.ready
