import ast
import inspect
import subprocess
import sys
from pathlib import Path

import tlhelpers

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "tlhelpers"

# A module imports only from lines above its own. A package is one entry.
# fmt: off
ORDER = [
    "names", "quiet", "seeds", "reachable", "mirror", "assets",
    "mnist_m", "pools", "datasets",
    "preprocessing", "arrays", "mirrored", "backbones", "texts", "bert",
    "blocks", "heads",
    "freezing", "splitting",
    "guard", "snapshot", "layerwise", "schedules", "lr_finder",
    "weights", "lora", "adapters",
    "features", "bucketing", "phases", "caching",
    "training", "gradual",
    "probes", "similarity", "adaptation",
    "evaluation", "calibration", "text_models", "explain", "plots",
    "transferability", "costs", "candidates", "ranking", "playbook", "advice",
    "doctor", "pages", "course", "cli",
]
# fmt: on

# Imported inside the functions that need them, but for the tools of `make course`.
HEAVY = {"matplotlib", "sklearn", "scipy", "tensorflow_datasets", "onnx", "h5py", "keras_hub"}
TOOLS = {"jupyter_client", "nbclient", "nbconvert", "nbformat"}


def name_in_order(path: Path) -> str:
    """Return a file's module, or the sub-package that it belongs to."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


MODULES = [p for p in sorted(PACKAGE.rglob("*.py")) if not name_in_order(p).startswith("__")]
each_module = pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))


def imported(path: Path) -> set[str]:
    """Return the modules of this package that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "tlhelpers":
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tlhelpers."):
            names.add(node.module.split(".")[1])
        elif isinstance(node, ast.ImportFrom) and node.level:
            raise AssertionError(f"{path.name}: write `from tlhelpers.x import y`")
        elif isinstance(node, ast.Import):
            names |= {a.name.split(".")[1] for a in node.names if a.name.startswith("tlhelpers.")}
    return names


@each_module
def test_a_module_imports_only_from_its_left(path):
    name = name_in_order(path)
    assert name in ORDER, f"say in ORDER where {name} stands"
    left = {*ORDER[: ORDER.index(name)], name if path.parent != PACKAGE else ""}
    wrong = imported(path) - left
    assert not wrong, f"{path.name} imports {sorted(wrong)}: not to its left in ORDER"


@each_module
def test_heavy_libraries_are_imported_where_they_are_used(path):
    at_top = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            at_top |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            at_top.add((node.module or "").split(".")[0])
    wrong = at_top & (HEAVY if path.stem in ("pages", "course") else HEAVY | TOOLS)
    assert not wrong, f"import {sorted(wrong)} inside the functions that need them"


def test_import_is_quiet_and_light():
    code = "import sys, tlhelpers; print([m for m in sys.argv[1:] if m in sys.modules])"
    by_keras = {"matplotlib", "sklearn", "scipy", "h5py"}  # keras imports these if it finds them
    done = subprocess.run(
        [sys.executable, "-c", code, *sorted(HEAVY - by_keras), *sorted(TOOLS)],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_public_names_are_unique():  # and sorted, which ruff sees to
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
