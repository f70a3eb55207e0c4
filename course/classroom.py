"""A classroom in one file: the course, and all that it would fetch from a network.

course, wheels, weights, data, book -> classroom.zip -> [ unpack ] -> make lab, without a network
"""

import os
import platform
import shutil
import stat
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

from course.book import ROOT, build_book
from course.room_wheels import KINDS, download_wheels
from tlhelpers.checks.files import sha256
from tlhelpers.sources.assets import SUMS, cache_folder, catalog, fetch_all
from tlhelpers.sources.origins import prepared_folder
from tlhelpers.sources.preparing import SETS, prepare_all

FOLDER = "classroom"  # of what comes along; tlhelpers looks for it
_LEFT = shutil.ignore_patterns(
    ".git", ".venv*", "build", "dist", "work", FOLDER, "*.egg-info", "__pycache__", ".*_cache",
    ".hypothesis", ".ipynb_checkpoints", "*.zip",
)  # fmt: skip
_ABOUT = """# The course, for a room without a network

No network is needed, and none is asked. Each computer needs Python {pythons}, and {disk:.1f} GB of free disk beside this folder, which has {size:.1f} GB: that's for the packages. Made for {kinds}; other computers can read the book, but not run the lessons.{absent}

1. Unpack the archive on each computer, and open a terminal in the folder where this page lies.
2. Are all files whole? `sha256sum -c {brought}/SHA256SUMS` says so (macOS: `shasum -a 256 -c`). The doctor below looks at those that were brought, too.
3. Follow the table from top to bottom.

| |{heads}
|---|{lines}
{rows}

Ctrl-C twice ends the lab. To read without running anything, open `{brought}/book/index.html`.

## For the teacher

`{brought}/book/teaching/index.html` has plans for half a day and two days, notes for each lesson, and slides. Answers to the exercises are in `notebooks/solutions/`, on each computer. A command of the book such as `tlhelpers recipe` is `.venv/bin/tlhelpers recipe` in a terminal (Windows: `.venv\\Scripts\\tlhelpers`).
"""  # noqa: E501
_STEPS = {  # what to do: on Linux and macOS, on Windows
    "install, once, a few minutes": (
        "(the next line does it)",
        "`py -{short} -m venv .venv`, then `.venv\\Scripts\\python -m pip install --no-index "
        "--find-links {brought}\\wheels -r requirements.txt`, then the same with `--no-deps -e .` "
        "instead of `-r requirements.txt`",
    ),
    "open your own copy of the lessons, in JupyterLab": ("`make lab`", "`{python} -m course lab`"),
    "will this computer do?": ("`{python} -m course doctor --workshop`",) * 2,
    "get lesson 02 back as it was": ("`make reset LESSON=02`", "`{python} -m course reset 02`"),
    "run all lessons": ("`make course`", "`{python} -m course run`"),
}
_DISK = 3.6  # GB: the packages, installed


def altered(brought: Path) -> list[str]:
    """Return the files of an unpacked classroom that are missing, or not as they were packed.

    Args:
        brought: the folder `classroom` in it.

    Returns:
        Their paths from the folder of the course; none where it is no classroom.
    """
    sums = brought / SUMS
    lines = _lines(sums) if sums.is_file() else []
    pairs = (line.split("  ", 1) for line in lines)
    return [name for digest, name in pairs if name.startswith(f"{FOLDER}/")
            and not _is_as_packed(brought.parent / name, digest)]  # fmt: skip


def _is_as_packed(path: Path, digest: str) -> bool:
    return path.is_file() and sha256(path) == digest


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
        lines = (line.partition("#")[0].strip() for line in _lines(root / "requirements.txt"))
        wanted = [line for line in lines if line]
        for kind in kinds:
            for python in pythons:
                print(f"wheels for {kind}, Python {python}", flush=True)
                download_wheels(wanted, brought / "wheels", kind, python)
        (brought / "pythons").write_text(" ".join(f"python{one}" for one in pythons) + "\n")
        (course / "START_HERE.md").write_text(_page(course, kinds, pythons, absent), "utf-8")
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
            _copy(cache_folder() / name, brought / "cache" / name)
    (brought / "tfds").mkdir(parents=True)
    for name in SETS.keys() - set(absent):
        folder, _ = prepared_folder(SETS[name][0])
        _copy(folder, brought / "tfds" / SETS[name][0] / folder.name)
    return absent


def _copy(folder: Path, target: Path) -> None:
    """Copy a folder; the copy can be written, so that it can be mended and removed."""
    shutil.copytree(folder, target)
    for path in (target, *target.rglob("*")):
        path.chmod(path.stat().st_mode | stat.S_IWUSR)


def _page(course: Path, kinds: list[str], pythons: list[str], absent: list[str]) -> str:
    """Return what START_HERE.md says: a column for each kind of computer that can use it."""
    said = {"brought": FOLDER, "short": pythons[-1]}
    columns = [("Linux, macOS", 0, ".venv/bin/python")] if set(kinds) - {"windows"} else []
    columns += [("Windows", 1, r".venv\Scripts\python")] if "windows" in kinds else []
    rows = (
        [what, *(how[at].format(python=python, **said) for _, at, python in columns)]
        for what, how in _STEPS.items()
    )
    return _ABOUT.format(
        **said, pythons=" or ".join(pythons), kinds=", ".join(kinds), disk=_DISK,
        size=sum(path.stat().st_size for path in course.rglob("*")) / 1e9,
        absent="".join(f" Not in it: {name}." for name in absent),
        heads="".join(f" {head} |" for head, *_ in columns), lines="---|" * len(columns),
        rows="\n".join(f"| {' | '.join(row)} |" for row in rows),
    )  # fmt: skip


def _write_sums(course: Path) -> None:
    """Write the SHA-256 of each file, as `sha256sum -c` reads them in `course`."""
    files = sorted(path for path in course.rglob("*") if path.is_file())
    sums = (f"{sha256(path)}  {path.relative_to(course).as_posix()}\n" for path in files)
    (course / FOLDER / SUMS).write_text("".join(sums), encoding="utf-8")


def _pack(course: Path, target: Path) -> None:
    """Pack a folder; wheels and weights are compressed already."""
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(course.rglob("*")):
            small = path.suffix in (".py", ".md", ".html", ".ipynb", ".js", ".css", ".toml", ".svg")
            how = zipfile.ZIP_DEFLATED if small else zipfile.ZIP_STORED
            archive.write(path, path.relative_to(course.parent), how)
