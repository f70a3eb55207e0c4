"""Look at this computer and say what the course will find, and what to do about the rest."""

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

from tlhelpers.sources.assets import DATA, cache_folder, catalog, find_asset
from tlhelpers.sources.network import is_reachable
from tlhelpers.sources.origins import tfds_folder

import psutil

HOSTS = {
    "keras.applications": "https://storage.googleapis.com/tensorflow/keras-applications/vgg16/"
    "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "CIFAR-10": "https://www.cs.toronto.edu/~kriz/cifar.html",
    "KerasHub presets": "https://api.kaggle.com",
}
NEEDED = {"memory": 6e9, "disk": 2e9}  # bytes that the quick course is comfortable with


def examine() -> str:
    """Return the whole report; nothing is changed, and at most some seconds are spent waiting.

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
    return "\n".join(
        f"{title}\n" + "\n".join(f"  {line}" for line in parts[title]) for title in parts
    )


def check_packages() -> Iterator[str]:
    """Compare what is installed with requirements.txt."""
    from packaging.requirements import Requirement

    pins = DATA.parent / "requirements.txt"
    yield f"ok    Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    if not pins.is_file():
        yield "note  no requirements.txt beside the package: versions not compared"
        return
    lines = (line.partition("#")[0].strip() for line in pins.read_text().splitlines())
    wanted = [Requirement(line) for line in lines if line]
    wanted = [w for w in wanted if w.marker is None or w.marker.evaluate()]
    others = []
    for requirement in wanted:
        try:
            found = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            found = "not installed"
        if not requirement.specifier.contains(found if found[0].isdigit() else "0"):
            others.append(f"note  {requirement.name} {found}, pinned {requirement.specifier}")
    yield f"ok    {len(wanted) - len(others)} of {len(wanted)} as pinned in requirements.txt"
    yield from others
    if others:
        yield "      do: python -m pip install -r requirements.txt"


def check_machine() -> Iterator[str]:
    """Look at cores, memory, disk and GPU."""
    import tensorflow as tf

    memory = psutil.virtual_memory()
    yield (
        f"ok    {psutil.cpu_count()} cores; each notebook's TL_BUDGET=quick is made for two"
        if (psutil.cpu_count() or 1) > 1
        else "note  one core: expect the notebooks to take twice their stated time"
    )
    yield _size_line("memory", memory.available, f"of {_size(memory.total)} free", "close programs")
    folder = _nearest(cache_folder())
    disk = shutil.disk_usage(folder).free
    yield _size_line("disk", disk, "free for the cache", "set TL_CACHE to another disk")
    if not os.access(folder, os.W_OK):
        yield f"note  {folder} cannot be written; do: set TL_CACHE to a folder that can"
    gpus = tf.config.list_physical_devices("GPU")
    yield f"ok    {len(gpus)} GPU(s)" if gpus else "ok    no GPU: none is needed"


def check_sources() -> Iterator[str]:
    """Ask the package index and the official hosts."""
    with ThreadPoolExecutor() as pool:
        index = pool.submit(_ask_package_index)
        answers = list(pool.map(is_reachable, HOSTS.values()))
        reason = index.result()
    yield (
        "ok    package index (mirrors of weights and texts)"
        if not reason
        else (f"note  package index: {reason}; do: see `python -m pip config list`, or connect")
    )
    why = "TL_OFFLINE is set" if os.environ.get("TL_OFFLINE", "0") not in ("", "0") else "no answer"
    for (name, _), answer in zip(HOSTS.items(), answers, strict=True):
        yield f"ok    {name}" if answer else f"note  {name}: {why}; a mirror or stand-in serves"


def check_cache() -> Iterator[str]:
    """List what is here already, with its size, and how to get the rest."""
    for asset, entry in catalog().items():
        size = sum(file["size"] for file in entry["files"])
        if find_asset(asset):
            yield f"ok    {asset}, {_size(size)}"
        else:
            yield f"note  {asset} is missing; do: {fetch_command(asset)} ({_size(size)})"
    yield f"      kept in {cache_folder()}"
    sets = sorted({path.parent.parent.name for path in tfds_folder().glob("*/*/features.json")})
    yield f"      prepared for TFDS: {', '.join(sets) or 'nothing'}"
    from keras.src.utils.file_utils import config

    weights = [p for p in (Path(config.keras_home()) / "models").glob("*.h5") if p.is_file()]
    total = sum(path.stat().st_size for path in weights)
    yield f"      in the Keras cache: {len(weights)} weight file(s), {_size(total)}"


def fetch_command(asset: str) -> str:
    """Return the command that fetches `asset`."""
    return f"{Path(sys.executable).name} -m tlhelpers fetch {asset}"


def _ask_package_index() -> str:
    """Download one very small wheel; return what is wrong, or nothing."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--no-cache-dir",
        ]
        command += ["--disable-pip-version-check", "--retries", "0", "--timeout", "5"]
        try:
            done = subprocess.run(
                [*command, "-d", folder, "colorama"], capture_output=True, text=True, timeout=20
            )
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
    """Return the folder itself, or the part of it that exists."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
