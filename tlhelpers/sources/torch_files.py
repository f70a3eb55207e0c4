"""Tensors of a PyTorch checkpoint in its old format, read without PyTorch and without running it.

Such a file is five pickles, then the bytes of each storage. A pickle can call anything; the reader
here admits the three kinds of name that a dictionary of tensors needs, and refuses all others.
"""

import collections
import math
import pickle
from pathlib import Path
from typing import BinaryIO

import numpy as np

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_TYPES = {"FloatStorage": "<f4", "HalfStorage": "<f2", "DoubleStorage": "<f8", "LongStorage": "<i8"}
_ADMITTED = "collections.OrderedDict, torch._utils._rebuild_tensor_v2, " + ", ".join(
    f"torch.{name}" for name in _TYPES
)


def read_torch(path: Path) -> dict[str, np.ndarray]:
    """Return the tensors of a checkpoint by their names.

    Args:
        path: a file of `torch.save(model.state_dict(), path)` of PyTorch before 1.6, or with
            `_use_new_zipfile_serialization=False`.

    Raises:
        ValueError: a file of another format, cut short, or one that asks for anything but tensors.
    """
    try:
        with path.open("rb") as file:
            return _read(file)
    except _RefusedError:
        raise
    except Exception as error:  # a pickle that is cut or altered fails in many ways
        raise ValueError(
            "`path` must be a whole PyTorch checkpoint. Received: "
            f"{path.name}: {type(error).__name__}: {error}. Fetch it again."
        ) from error


class _RefusedError(ValueError):
    """What is said of a whole file that is not for this reader."""


class _Storage:
    """Numbers of one type that lie at the end of the file; they are read last."""

    def __init__(self, dtype: str):
        self.dtype, self.values = dtype, np.empty(0, dtype)


class _Tensor:
    """A window on a storage."""

    def __init__(self, storage, offset, shape, strides, *_):
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides

    def read(self) -> np.ndarray:
        """Return a copy, once the storage is there."""
        values, size = self.storage.values, self.storage.values.itemsize
        last = self.offset + sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True))
        inside = self.offset >= 0 and last < len(values) and min(self.strides, default=0) >= 0
        if not inside and math.prod(self.shape):
            raise EOFError(f"a tensor of shape {self.shape} ends behind its {len(values)} numbers")
        steps = [size * stride for stride in self.strides]
        return np.lib.stride_tricks.as_strided(values[self.offset :], self.shape, steps).copy()


class _Names(pickle.Unpickler):
    """An unpickler that knows tensors and nothing else."""

    def __init__(self, file: BinaryIO, storages: dict[str, _Storage]):
        super().__init__(file)
        self.storages = storages

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _Tensor
        if module == "torch" and name in _TYPES:
            return _TYPES[name]
        raise _RefusedError(
            f"A checkpoint of tensors must ask for nothing but {_ADMITTED}. Received: "
            f"{module}.{name}, which is not run. Take the file from its author again."
        )

    def persistent_load(self, saved):
        _, dtype, key, *_ = saved
        return self.storages.setdefault(key, _Storage(dtype))


def _read(file: BinaryIO) -> dict[str, np.ndarray]:
    storages: dict[str, _Storage] = {}

    def load():
        return _Names(file, storages).load()

    start = file.peek(2)[:2] if hasattr(file, "peek") else b""
    if start == b"PK" or (load(), load()) != (_MAGIC, _PROTOCOL):
        raise _RefusedError(
            "`path` must be a checkpoint in PyTorch's old format. Received: another format. Save "
            "it with torch.save(..., _use_new_zipfile_serialization=False)."
        )
    load()  # of the machine that wrote it
    tensors = load()
    for key in load():
        storage = storages[key]
        (count,) = np.frombuffer(file.read(8), "<i8")
        raw = file.read(int(count) * np.dtype(storage.dtype).itemsize)
        storage.values = np.frombuffer(raw, storage.dtype)
        if len(storage.values) != count:
            raise EOFError(f"{len(storage.values)} of {count} numbers")
    return {name: tensor.read() for name, tensor in tensors.items()}
