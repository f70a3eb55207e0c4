import ast
import inspect
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import tlhelpers

import pytest
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "tlhelpers"

# Imported inside the functions that need them.
HEAVY = {"matplotlib", "sklearn", "scipy", "tensorflow_datasets", "onnx", "h5py", "keras_hub",
         "ray"}  # fmt: skip
TOOLS = {"course", "jupyter_client", "nbclient", "nbformat", "sphinx"}


MODULES = sorted(PACKAGE.rglob("*.py"))
each_module = pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))


def run(*command: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_a_room_imports_only_from_rooms_below():
    done = run("-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache")
    assert done.returncode == 0, f"{done.stdout}{done.stderr}\nThe contract is in pyproject.toml."


def test_every_pinned_release_takes_both_pythons():
    pins = re.findall(r"^([\w-]+)==", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    asked = {name: metadata.metadata(name).get("Requires-Python") or "" for name in pins}
    refused = {
        name: wanted
        for name, wanted in asked.items()
        if not all(python in SpecifierSet(wanted) for python in ("3.11.0", "3.12.0"))
    }
    assert len(pins) > 20 and not refused


def test_types():
    done = run("-m", "mypy")
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"


def test_no_private_name_crosses_a_module():
    crossing = [
        f"{path.relative_to(ROOT)}:{node.lineno} {alias.name}"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tlhelpers.")
        for alias in node.names
        if alias.name.startswith("_")
    ]
    assert not crossing


@each_module
def test_heavy_libraries_are_imported_where_they_are_used(path):
    at_top = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            at_top |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            at_top.add((node.module or "").split(".")[0])
    wrong = at_top & (HEAVY | TOOLS)
    assert not wrong, f"import {sorted(wrong)} inside the functions that need them"


def test_import_is_quiet_and_light():
    code = "import sys, tlhelpers; print([m for m in sys.argv[1:] if m in sys.modules])"
    by_keras = {"matplotlib", "sklearn", "scipy", "h5py"}  # keras imports these if it finds them
    done = subprocess.run(
        [sys.executable, "-c", code, *sorted(HEAVY - by_keras), *sorted(TOOLS)],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_public_names_are_unique():
    assert len(tlhelpers.__all__) == len(set(tlhelpers.__all__))


@pytest.mark.parametrize("name", tlhelpers.__all__)
def test_a_public_name_says_what_it_is(name):
    thing = getattr(tlhelpers, name)
    own = vars(thing).get("__doc__") if inspect.isclass(thing) else inspect.getdoc(thing)
    assert own, f"{name} needs a docstring"


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]], ids=lambda c: c[0])
def test_ruff_is_content(command):
    done = subprocess.run(
        [sys.executable, "-m", "ruff", *command, "--no-cache", "."],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}{done.stderr}\nTry: ruff check --fix; ruff format"
