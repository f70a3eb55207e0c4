"""Files: where those of the package lie, whether they are whole, how they are written."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

PACKAGE = Path(__file__).resolve().parents[1]


def folder_beside(name: str) -> Path:
    """Return a folder of the repository: inside an installed package, beside it in a checkout."""
    inside = PACKAGE / name
    return inside if inside.is_dir() else PACKAGE.parent / name


def how_to_restore(path: Path) -> str:
    """Return the sentence that says how a file of the package is restored, if it is altered."""
    if path.is_relative_to(PACKAGE):
        return "Install tlhelpers again from where it came: pip install --force-reinstall --no-deps"
    return f"Restore it: git checkout -- {path.parent.name}/{path.name}"


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file; of a folder, that of what `sha256sum *` prints in it."""
    if path.is_dir():
        lines = [f"{sha256(file)}  {file.name}\n" for file in _files_in(path)]
        return hashlib.sha256("".join(lines).encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def has_size(path: Path, size: int) -> bool:
    """Tell whether a file, or a folder's files together, are there and have so many bytes."""
    return path.exists() and size == sum(file.stat().st_size for file in _files_in(path))


def is_intact(path: Path, file: dict) -> bool:
    """Tell whether `path` is the catalog's file or folder: there, of its size, of its SHA-256."""
    return has_size(path, file["size"]) and sha256(path) == file["sha256"]


def write_atomically(path: str | os.PathLike, write: Callable[[BinaryIO], object]) -> None:
    """Let `write` fill a file beside `path`, then give it that name: a kill leaves the old file.

    So does an error, such as that of a full disk, and the file beside it is removed.
    """
    part = Path(f"{os.fspath(path)}.part")
    try:
        with part.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _files_in(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.iterdir() if not file.name.startswith("."))
