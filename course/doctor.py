"""Look at this computer: what is here, what is missing, and what to do about it."""

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tlhelpers.sources.assets import SUMS, cache_folder, catalog, find_asset
from tlhelpers.sources.network import is_reachable
from tlhelpers.sources.origins import tfds_folder
from tlhelpers.sources.preparing import INSTEAD, is_prepared

import nbformat
import psutil
from packaging.requirements import Requirement

PINS = Path(__file__).parents[1] / "requirements.txt"
HOSTS = {
    "keras.applications": "https://storage.googleapis.com/tensorflow/keras-applications/vgg16/"
    "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "CIFAR-10": "https://www.cs.toronto.edu/~kriz/cifar.html",
    "KerasHub presets": "https://api.kaggle.com",
}
TRIED = """import tlhelpers as tl

import keras

model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
model.compile("adam", "mse")
model.fit(keras.ops.zeros((2, 4)), keras.ops.zeros((2, 2)), verbose=0)
tl.new_axes(3, 2)"""
BROUGHT = Path(__file__).parents[1] / "classroom"  # where the course was unpacked from an archive
_AGAIN = "unpack the archive again"
NEEDED = {"memory": 6e9, "disk": 2e9}  # bytes that the quick course is comfortable with


def examine() -> str:
    """Return the whole report. It changes nothing and waits some seconds at most.

    Example:
        >>> print(examine())  # doctest: +SKIP
        Packages
          ok    23 of 23 as pinned in requirements.txt
        ...
    """
    parts = {
        "Packages": check_packages(),
        "Machine": check_machine(),
        "Sources": check_sources(),
        "Here already": check_cache(),
    }
    return "\n".join("\n  ".join([title, *lines]) for title, lines in parts.items())


def judge() -> tuple[bool, str]:
    """Say whether the lessons will run here without a network: yes, or what to do before.

    A kernel is started, and a network trained in it for one step. In a classroom that was unpacked
    from an archive each of its files is compared with what was packed.
    """
    from course.classroom import altered
    from course.run import execute

    wrong = altered(BROUGHT)
    looked = [*check_packages(), *check_machine(), *check_cache()]
    looked += [f"note  {name} is missing or altered; do: {_AGAIN}" for name in wrong]
    todo = [line.removeprefix("note").strip() for line in looked if line.startswith("note")]
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(TRIED)])
    if failed := execute(nb, Path.cwd())[0]:
        todo.append(f"a notebook does not run: {failed.splitlines()[0]}")
    lacking = [f"{name} is not here. Lessons {lessons} take {other}, so their numbers differ"
               for name, (other, lessons) in INSTEAD.items() if not is_prepared(name)]  # fmt: skip
    lines = [f"  {line}" for line in todo + lacking]
    if todo:
        return False, "\n".join(["Not yet. Before the workshop:", *lines])
    if lacking:
        return True, "\n".join(["Yes, this computer will do without a network. But:", *lines])
    return True, "Yes, this computer will do without a network: all is here."


def check_packages() -> Iterator[str]:
    """Compare what is installed with requirements.txt."""
    yield f"ok    Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    lines = (line.partition("#")[0].strip() for line in PINS.read_text().splitlines())
    wanted = [Requirement(line) for line in lines if line]
    wanted = [w for w in wanted if w.marker is None or w.marker.evaluate()]
    installed = {w.name: _installed(w.name) for w in wanted}
    others = [w for w in wanted if not w.specifier.contains(installed[w.name] or "0")]
    yield f"ok    {len(wanted) - len(others)} of {len(wanted)} as pinned in requirements.txt"
    for w in others:
        yield f"note  {w.name} {installed[w.name] or 'not installed'}, pinned {w.specifier}"
    if others:
        yield "      do: python -m pip install -r requirements.txt"


def check_machine() -> Iterator[str]:
    """Look at cores, memory, disk and GPU."""
    import tensorflow as tf

    cores = psutil.cpu_count() or 1
    if cores > 1:
        yield f"ok    {cores} cores; each notebook's TL_BUDGET=quick is made for two"
    else:
        yield "note  one core: expect the notebooks to take twice their stated time"
    memory = psutil.virtual_memory()
    yield _size_line("memory", memory.available, f"of {_size(memory.total)} free", "close programs")
    folder = _nearest(cache_folder())
    disk, cure = shutil.disk_usage(folder).free, "set TL_CACHE to another disk"
    yield _size_line("disk", disk, "free for the cache", "free some" if _in_classroom() else cure)
    if not os.access(folder, os.W_OK):
        yield f"note  {folder} cannot be written; do: set TL_CACHE to a folder that can"
    gpus = tf.config.list_physical_devices("GPU")
    yield f"ok    {len(gpus)} GPU(s)" if gpus else "ok    no GPU: none is needed"


def check_sources() -> Iterator[str]:
    """Ask the package index and the official hosts, all at once; none from a classroom."""
    if _in_classroom():
        yield "ok    none is asked: weights and data were brought in classroom/"
        return
    with ThreadPoolExecutor() as pool:
        index = pool.submit(_ask_package_index)
        answers = dict(zip(HOSTS, pool.map(is_reachable, HOSTS.values()), strict=True))
    if wrong := index.result():
        yield f"note  package index: {wrong}; do: see `python -m pip config list`, or connect"
    else:
        yield "ok    package index (mirrors of weights and texts)"
    why = "TL_OFFLINE is set" if os.environ.get("TL_OFFLINE", "0") not in ("", "0") else "no answer"
    for name, answer in answers.items():
        yield f"ok    {name}" if answer else f"note  {name}: {why}; a mirror or stand-in serves"


def check_cache() -> Iterator[str]:
    """List what is here already, with its size, and how to get the rest."""
    from keras.src.utils.file_utils import config

    for asset, entry in catalog().items():
        size = _size(sum(file["size"] for file in entry["files"]))
        if find_asset(asset):
            yield f"ok    {asset}, {size}"
        else:
            yield f"note  {asset} is missing; do: {fetch_command(asset)} ({size})"
    yield f"      kept in {cache_folder()}"
    sets = sorted({path.parent.parent.name for path in tfds_folder().glob("*/*/features.json")})
    yield f"      prepared for TFDS: {', '.join(sets) or 'nothing'}"
    weights = [p for p in (Path(config.keras_home()) / "models").glob("*.h5") if p.is_file()]
    total = sum(path.stat().st_size for path in weights)
    yield f"      in the Keras cache: {len(weights)} weight file(s), {_size(total)}"


def fetch_command(asset: str) -> str:
    """Return what gets `asset`: a command; in a classroom, its archive."""
    if _in_classroom():
        return _AGAIN
    inside = Path(sys.executable).is_relative_to(Path.cwd())
    python = Path(sys.executable).relative_to(Path.cwd()) if inside else Path(sys.executable).name
    return f"{python} -m tlhelpers fetch {asset}"


def _in_classroom() -> bool:
    return (BROUGHT / SUMS).is_file()


def _installed(name: str) -> str:
    """Return the version of an installed package, or nothing."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _ask_package_index() -> str:
    """Download one very small wheel; return what is wrong, or nothing."""
    options = "--quiet --no-deps --no-cache-dir --disable-pip-version-check --retries 0 --timeout 5"
    command = [sys.executable, "-m", "pip", "download", *options.split(), "colorama", "-d"]
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run([*command, folder], capture_output=True, text=True, timeout=20)
        except subprocess.TimeoutExpired:
            return "no answer within 20 seconds"
    if "No module named pip" in done.stderr:
        return "pip is missing (python -m ensurepip)"
    return "no answer" if done.returncode else ""


def _size_line(what: str, free: float, text: str, cure: str) -> str:
    if free >= NEEDED[what]:
        return f"ok    {what}: {_size(free)} {text}"
    return f"note  {what}: {_size(free)} {text}, {_size(NEEDED[what])} is comfortable; do: {cure}"


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def _nearest(folder: Path) -> Path:
    """Return the folder, or its nearest parent that exists."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
