"""Read a GGUF file, the form in which llama.cpp stores language models: header, blocks of weights.

    magic, version | settings: name -> value | tensors: name, shape, type, place | the weights

Most weights are kept in blocks: some whole numbers of four to eight bits that share a scale.
"""

import math
import mmap
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tlhelpers.sources.mapped_files import map_file, refusal

import numpy as np

_NUMBERS = {0: "u1", 1: "i1", 2: "<u2", 3: "<i2", 4: "<u4", 5: "<i4", 6: "<f4", 7: "?",
            10: "<u8", 11: "<i8", 12: "<f8"}  # fmt: skip
_STRING, _ARRAY, _VERSIONS, _MOST_AXES = 8, 9, (2, 3), 4

refused = refusal("a Q4_0, Q4_1, Q8_0 or F16 file of a model with Llama's architecture")


class _Kind(NamedTuple):
    """How the weights of a tensor are stored: so many in a block of so many bytes."""

    name: str
    weights: int
    size: int
    decode: Callable[[np.ndarray], np.ndarray]  # blocks (n, size) of uint8 -> (n, weights)


@dataclass(frozen=True)
class Tensor:
    """Where the weights of a tensor lie; `shape` as numpy has it, the last axis the fastest."""

    name: str
    shape: tuple[int, ...]
    kind: int
    start: int

    @property
    def size(self) -> int:
        """Its bytes in the file."""
        return math.prod(self.shape) // KINDS[self.kind].weights * KINDS[self.kind].size


@dataclass(frozen=True)
class Gguf:
    """A file that was opened: `metadata`, and `tensors`, of which `read` decodes one."""

    path: Path
    metadata: dict[str, Any]
    tensors: dict[str, Tensor]
    _bytes: mmap.mmap = field(repr=False)

    def read(self, name: str, shape: tuple[int, ...] | None = None) -> np.ndarray:
        """Return a tensor in float32, of its shape in the file.

        Raises:
            ValueError: no such tensor; one of another shape, where `shape` is given.
        """
        tensor = self.tensors.get(name)
        if tensor is None or (shape is not None and tensor.shape != shape):
            found = "no such tensor" if tensor is None else f"one of shape {tensor.shape}"
            wanted = "" if shape is None else f" of shape {shape}"
            raise refused(self.path, f"a tensor {name!r}{wanted}", found)
        kind = KINDS[tensor.kind]
        raw = np.frombuffer(self._bytes, "u1", tensor.size, tensor.start)
        return kind.decode(raw.reshape(-1, kind.size)).reshape(tensor.shape)

    def setting(self, name: str, default: Any = None) -> Any:
        """Return a value of the metadata; without a default it must be there."""
        value = self.metadata.get(name, default)
        if value is None:
            raise refused(self.path, f"a setting {name!r}", "none")
        return value


def read_gguf(path: str | os.PathLike) -> Gguf:
    """Open a GGUF file and read all but its weights, which `Gguf.read` decodes one by one.

    Args:
        path: a file of version 2 or 3 with weights in F32, F16, Q4_0, Q4_1, Q8_0 or Q6_K.

    Raises:
        ValueError: no such file; one of another type or version; one that is cut short; weights
            that are stored otherwise. The file is named.

    Reference:
        The format: ggml's docs/gguf.md. The blocks: ggml's quantizations, by their names.
    """
    path = Path(path)
    held = map_file(path, "a GGUF file", refused)
    cursor = _Cursor(path, held)
    if held[:4] != b"GGUF":
        raise refused(path, "a GGUF file, whose first bytes are b'GGUF'", repr(held[:4]))
    cursor.place = 4
    if (version := cursor.number("<u4")) not in _VERSIONS:
        raise refused(path, "a GGUF file of version 2 or 3", f"version {version}")
    tensor_count, settings = cursor.number("<u8"), cursor.number("<u8")
    metadata = {}
    for _ in range(settings):
        name = cursor.string()
        metadata[name] = cursor.value(cursor.number("<u4"))
    tensors = [cursor.tensor() for _ in range(tensor_count)]
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment < 1:
        raise refused(path, "an alignment, a whole number above 0", repr(alignment))
    start = -(-cursor.place // alignment) * alignment
    placed = [Tensor(t.name, t.shape, t.kind, start + t.start) for t in tensors]
    if placed and (end := max(t.start + t.size for t in placed)) > len(held):
        raise refused(path, f"a whole file, {end:,} bytes", f"{len(held):,} bytes")
    return Gguf(path, metadata, {tensor.name: tensor for tensor in placed}, held)


class _Cursor:
    """A place in a file, from which the next number, string or tensor is read."""

    def __init__(self, path: Path, held: mmap.mmap):
        self.path, self.held, self.place = path, held, 0

    def take(self, count: int) -> bytes:
        end = self.place + count
        if end > len(self.held):
            raise refused(self.path, f"a whole file, {end:,} bytes", f"{len(self.held):,} bytes")
        start, self.place = self.place, end
        return self.held[start:end]

    def number(self, kind: str):
        return np.frombuffer(self.take(np.dtype(kind).itemsize), kind)[0].item()

    def string(self) -> str:
        return self.take(self.number("<u8")).decode("utf8", "replace")

    def value(self, kind: int):
        if kind == _STRING:
            return self.string()
        if kind == _ARRAY:
            return self._array(self.number("<u4"), self.number("<u8"))
        if kind not in _NUMBERS:
            raise refused(self.path, "settings of the 13 types of the format", f"type {kind}")
        return self.number(_NUMBERS[kind])

    def _array(self, kind: int, count: int):
        if kind in _NUMBERS:
            kept = np.dtype(_NUMBERS[kind])
            return np.frombuffer(self.take(count * kept.itemsize), kept).tolist()
        self.take(0 if count <= len(self.held) else count)  # each takes a byte at least
        return [self.value(kind) for _ in range(count)]

    def tensor(self) -> Tensor:
        name, axes = self.string(), self.number("<u4")
        if axes > _MOST_AXES:
            raise refused(self.path, f"tensors of up to {_MOST_AXES} axes", f"{name!r} of {axes}")
        shape = struct.unpack(f"<{axes}Q", self.take(8 * axes))[::-1]
        kind, start = self.number("<u4"), self.number("<u8")
        if kind not in KINDS:
            known = ", ".join(each.name for each in KINDS.values())
            raise refused(self.path, f"weights in {known}", f"{name!r} of type {kind}")
        if math.prod(shape) % KINDS[kind].weights or (shape and shape[-1] % KINDS[kind].weights):
            wanted = f"rows of whole blocks of {KINDS[kind].weights} for {KINDS[kind].name}"
            raise refused(self.path, wanted, f"{name!r} of shape {shape}")
        return Tensor(name, shape, kind, start)


def _half(blocks: np.ndarray, first: int) -> np.ndarray:
    """Return the 16-bit number that begins at a byte of each block, in float32, (n, 1)."""
    return np.ascontiguousarray(blocks[:, first : first + 2]).view("<f2").astype("f4")


def _nibbles(packed: np.ndarray) -> np.ndarray:
    """Return the lower halves of all bytes, and behind them the upper ones."""
    return np.concatenate([packed & 15, packed >> 4], axis=1)


def _q4_0(blocks: np.ndarray) -> np.ndarray:
    return _half(blocks, 0) * (_nibbles(blocks[:, 2:]).astype("f4") - 8)


def _q4_1(blocks: np.ndarray) -> np.ndarray:
    return _half(blocks, 0) * _nibbles(blocks[:, 4:]).astype("f4") + _half(blocks, 2)


def _q8_0(blocks: np.ndarray) -> np.ndarray:
    return _half(blocks, 0) * np.ascontiguousarray(blocks[:, 2:]).view("i1").astype("f4")


def _q6_k(blocks: np.ndarray) -> np.ndarray:
    """256 weights: their lower 4 bits, their upper 2 bits, 16 scales, and a scale of these."""
    low, high = blocks[:, :128].reshape(-1, 2, 2, 32), blocks[:, 128:192].reshape(-1, 2, 1, 32)
    scales = np.ascontiguousarray(blocks[:, 192:208]).view("i1").astype("f4")
    fours = np.stack([low & 15, low >> 4], axis=2)  # (n, half, lower or upper bits, 2, 32)
    twos = high >> np.array([0, 2, 4, 6], "u1")[:, None] & 3
    whole = (fours.reshape(-1, 2, 4, 32) | twos << 4).astype("f4") - 32
    step = (_half(blocks, 208) * scales)[:, :, None]
    return (step * whole.reshape(-1, 16, 16)).reshape(-1, 256)


KINDS = {
    0: _Kind("F32", 1, 4, lambda raw: np.ascontiguousarray(raw).view("<f4").astype("f4")),
    1: _Kind("F16", 1, 2, lambda raw: np.ascontiguousarray(raw).view("<f2").astype("f4")),
    2: _Kind("Q4_0", 32, 18, _q4_0),
    3: _Kind("Q4_1", 32, 20, _q4_1),
    8: _Kind("Q8_0", 32, 34, _q8_0),
    14: _Kind("Q6_K", 256, 210, _q6_k),
}
