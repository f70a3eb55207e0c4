"""Files that are whole or not there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO


def write_atomically(path: str | os.PathLike, write: Callable[[BinaryIO], object]) -> None:
    """Fill a file beside `path`, then give it that name: a killed process leaves the old file.

    Args:
        path: the file to write or to replace.
        write: is called with the open file.

    Example:
        >>> write_atomically("rows", lambda file: file.write(b"128"))
        >>> open("rows").read()
        '128'
    """
    path = Path(path)
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
