"""Read a file of CTranslate2, a form in which translators and recognizers are passed on.

version, kind | each weight: name, axes, type, bytes, numbers | other names of some weights
"""

import math
import os
import struct
from dataclasses import dataclass
from pathlib import Path

from tlhelpers.sources.mapped_files import map_file, refusal

import numpy as np

_VERSION = 6
_TYPES = {0: "<f4", 1: "i1", 2: "<i2", 3: "<i4", 4: "<f2"}

refused = refusal("a Whisper in CTranslate2's form with float16 or float32 numbers")


@dataclass(frozen=True)
class CTranslate2:
    """A file that was opened: its kind of network, such as "WhisperSpec", and arrays by name.

    The arrays are views of the file, in its own types.
    """

    path: Path
    kind: str
    arrays: dict[str, np.ndarray]


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
    held, place = map_file(path, "a file of CTranslate2", refused), 0

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
        for _ in range(2 * take("I")[0]):  # second names of some, which no reader needs
            word()
    except struct.error:
        raise refused(path, "a whole file", f"{len(held):,} bytes, of which some lack") from None
    if place != len(held):
        raise refused(path, f"a file of {place:,} bytes", f"{len(held):,} bytes")
    return CTranslate2(path, kind, arrays)
