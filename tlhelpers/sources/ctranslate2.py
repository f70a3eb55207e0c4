"""Read a file of CTranslate2, a form in which translators and recognizers are passed on.

version, kind | each weight: name, axes, type, bytes, numbers | other names of some weights
"""

import math
import mmap
import os
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_VERSION = 6
_TYPES = {0: "<f4", 1: "i1", 2: "<i2", 3: "<i4", 4: "<f2"}


@dataclass(frozen=True)
class CTranslate2:
    """A file that was opened: its kind of network, such as "WhisperSpec", and arrays by name.

    The arrays are views of the file, in its own types; `aliases` are second names of some.
    """

    path: Path
    kind: str
    arrays: dict[str, np.ndarray]
    aliases: dict[str, str]


def read_ctranslate2(path: str | os.PathLike) -> CTranslate2:
    """Open a file of CTranslate2; its numbers are read when they are used.

    Args:
        path: `model.bin` of version 6, with numbers in float32, float16, int8, int16 or int32.

    Raises:
        ValueError: no such file; one of another type or version; one that is cut short. The file
            is named.

    Reference:
        The format: CTranslate2's `python/ctranslate2/specs/model_spec.py`.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            held = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:  # an empty file cannot be mapped
        why = error.strerror if isinstance(error, OSError) else "an empty file"
        raise refused(path, "a file of CTranslate2", why or str(error)) from error
    place = 0

    def take(form: str) -> tuple:
        nonlocal place
        values = struct.unpack_from(f"<{form}", held, place)
        place += struct.calcsize(f"<{form}")
        return values

    def word() -> str:
        (length,) = take("H")
        return take(f"{length}s")[0].rstrip(b"\0").decode("utf8", "replace")

    def array(name: str) -> np.ndarray:
        nonlocal place
        (axes,) = take("B")
        *shape, kind, size = take(f"{axes}IBI")
        if kind not in _TYPES or size != math.prod(shape) * np.dtype(_TYPES[kind]).itemsize:
            found = f"{name!r} of type {kind}, shape {tuple(shape)} and {size:,} bytes"
            raise refused(path, "numbers in float32, float16 or int8 to int32", found)
        if size > len(held) - place:
            raise struct.error
        start, place = place, place + size
        return np.frombuffer(held, _TYPES[kind], math.prod(shape), start).reshape(shape)

    try:
        if (version := take("I")[0]) != _VERSION:
            raise refused(path, f"a file of CTranslate2 of version {_VERSION}", f"{version}")
        kind, (_, count) = word(), take("II")
        arrays = {}
        for _ in range(count):
            name = word()
            arrays[name] = array(name)
        aliases = {word(): word() for _ in range(take("I")[0])}
    except struct.error:
        raise refused(path, "a whole file", f"{len(held):,} bytes, of which some lack") from None
    if place != len(held):
        raise refused(path, f"a file of {place:,} bytes", f"{len(held):,} bytes")
    return CTranslate2(path, kind, arrays, aliases)


def refused(path: Path, wanted: str, received: str) -> ValueError:
    """Return the error that a file is not what it must be."""
    return ValueError(
        f"`path` must have {wanted}. Received: path={str(path)!r}, {received}. Download it again "
        "as a whole, or take a Whisper in CTranslate2's form with float16 or float32 numbers."
    )
