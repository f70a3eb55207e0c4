"""A classroom in one file: the course, and all that it would fetch from a network.

course, wheels, weights, data, book -> classroom.zip -> [ unpack ] -> make lab, without a network
"""

import os
import platform
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

from course.book import ROOT, build_book
from course.room_wheels import KINDS, download_wheels
from tlhelpers.checks.files import sha256
from tlhelpers.sources.assets import cache_folder, catalog, fetch_all
from tlhelpers.sources.origins import prepared_folder
from tlhelpers.sources.preparing import SETS, prepare_all

FOLDER = "classroom"  # of what comes along; tlhelpers looks for it
_LEFT = shutil.ignore_patterns(
    ".git", ".venv*", "build", "dist", "work", FOLDER, "*.egg-info", "__pycache__", ".*_cache",
    ".hypothesis", ".ipynb_checkpoints", "*.zip",
)  # fmt: skip
_ABOUT = """# {title}

Unpack this file on each computer, open a terminal in the folder, and type one line. No network is needed, and none is asked. Python must be installed: {pythons}.

| | Linux, macOS | Windows |
|---|---|---|
| once, a few minutes | (make does it) | `py -{short} -m venv .venv`, then `.venv\\Scripts\\python -m pip install --no-index --find-links {brought}\\wheels -r requirements.txt`, then the same with `--no-deps -e .` instead of `-r requirements.txt` |
| your own copy of the lessons, in JupyterLab | `make lab` | `.venv\\Scripts\\python -m course lab` |
| will this computer do? | `.venv/bin/python -m course doctor --workshop` | `.venv\\Scripts\\python -m course doctor --workshop` |
| run all lessons | `make course` | `.venv\\Scripts\\python -m course run` |
| read, without running anything | `{brought}/book/index.html` | the same |

Made on {system} with {count} wheels for {kinds}.{absent}

Is every file whole? In this folder: `sha256sum -c {brought}/SHA256SUMS` (macOS: `shasum -a 256 -c`).
"""  # noqa: E501


def this_kind() -> str:
    """Return which of the kinds of `room_wheels` this computer is."""
    arm = platform.machine().lower() in ("arm64", "aarch64")
    linux = "linux-arm" if arm else "linux"
    return {"win32": "windows", "darwin": "macos"}.get(sys.platform, linux)


def make_classroom(
    target: Path, kinds: Iterable[str] = (), pythons: Iterable[str] = (), root: Path = ROOT
) -> Path:
    """Write the archive, from what this computer has or can fetch.

    Args:
        target: the file, `.zip`; replaced when the new one is complete.
        kinds: of the computers in the room: "linux", "linux-arm", "macos", "windows". None: like
            this one.
        pythons: theirs, such as "3.12". None: this one.
        root: the checkout.

    Returns:
        `target`.

    Raises:
        ValueError: a wheel or an asset that can't be had; a name that ends otherwise.
    """
    kinds, pythons = (
        list(kinds) or [this_kind()],
        list(pythons) or [f"{sys.version_info[0]}.{sys.version_info[1]}"],
    )
    if target.suffix != ".zip":
        raise ValueError(
            f"`target` must end in .zip. Received: {target}. Use {target.stem + '.zip'!r}."
        )
    if wrong := [kind for kind in kinds if kind not in KINDS]:
        raise ValueError(f"`kinds` must be of {', '.join(KINDS)}. Received: {', '.join(wrong)}.")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".classroom.") as beside:
        course = Path(beside) / target.stem
        shutil.copytree(root, course, ignore=_LEFT)
        brought = course / FOLDER
        absent = _bring_data(brought)
        print("the book")
        build_book(root / "notebooks", brought / "book")
        shutil.rmtree(brought / "book-sources")
        wheels: set[Path] = set()
        lines = (line.partition("#")[0].strip() for line in _lines(root / "requirements.txt"))
        wanted = [line for line in lines if line]
        for kind in kinds:
            for python in pythons:
                print(f"wheels for {kind}, Python {python}", flush=True)
                wheels |= set(download_wheels(wanted, brought / "wheels", kind, python))
        said = {
            "title": "The course, for a room without a network", "brought": FOLDER,
            "pythons": " or ".join(pythons), "short": pythons[-1],
            "system": f"{platform.system()} {platform.machine()}", "count": len(wheels),
            "kinds": ", ".join(kinds),
            "absent": "".join(f" Not in it: {name}." for name in absent),
        }  # fmt: skip
        (course / "START_HERE.md").write_text(_ABOUT.format(**said), encoding="utf-8")
        _write_sums(course)
        packed = Path(beside) / target.name
        _pack(course, packed)
        os.replace(packed, target)
    return target


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def _bring_data(brought: Path) -> list[str]:
    """Copy weights and data sets, and return the names of the sets that can't be had."""
    absent = prepare_all()
    fetch_all()
    for name, entry in catalog().items():
        if entry["kind"] == "mirror":
            shutil.copytree(cache_folder() / name, brought / "cache" / name)
    (brought / "tfds").mkdir(parents=True)
    for name in SETS.keys() - set(absent):
        folder, _ = prepared_folder(SETS[name][0])
        shutil.copytree(folder, brought / "tfds" / SETS[name][0] / folder.name)
    return absent


def _write_sums(course: Path) -> None:
    """Write the SHA-256 of each file, as `sha256sum -c` reads them in `course`."""
    files = sorted(path for path in course.rglob("*") if path.is_file())
    sums = (f"{sha256(path)}  {path.relative_to(course).as_posix()}\n" for path in files)
    (course / FOLDER / "SHA256SUMS").write_text("".join(sums), encoding="utf-8")


def _pack(course: Path, target: Path) -> None:
    """Pack a folder; wheels and weights are compressed already."""
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(course.rglob("*")):
            small = path.suffix in (".py", ".md", ".html", ".ipynb", ".js", ".css", ".toml", ".svg")
            how = zipfile.ZIP_DEFLATED if small else zipfile.ZIP_STORED
            archive.write(path, path.relative_to(course.parent), how)
