"""Large files of weights: opened without being read, and refused by name."""

import mmap
from collections.abc import Callable
from pathlib import Path

Refuse = Callable[[Path, str, str], ValueError]  # path, what is required, what was received


def refusal(instead: str) -> Refuse:
    """Return what makes the errors of a kind of file; `instead` is what else may be taken."""

    def refused(path: Path, wanted: str, received: str) -> ValueError:
        return ValueError(
            f"`path` must have {wanted}. Received: path={str(path)!r}, {received}. Download it "
            f"again as a whole, or take {instead}."
        )

    return refused


def map_file(path: Path, wanted: str, refused: Refuse) -> mmap.mmap:
    """Return the bytes of a file, which are read when they are used."""
    try:
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:  # an empty file cannot be mapped
        why = error.strerror if isinstance(error, OSError) else "an empty file"
        raise refused(path, wanted, why or str(error)) from error
