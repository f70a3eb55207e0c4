"""Checkpoints are written here as PyTorch before 1.6 wrote them, without PyTorch."""

import collections
import pickle
import sys
import types

from tlhelpers.sources.torch_files import _MAGIC, _PROTOCOL, read_torch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

STORAGES = {"float32": "FloatStorage", "float16": "HalfStorage", "int64": "LongStorage"}


class Storage:
    def __init__(self, kind, key, values):
        self.kind, self.key, self.values = kind, key, values


class Tensor:
    """Pickled as PyTorch does it: a call of `_rebuild_tensor_v2`."""

    def __init__(self, storage, offset, shape, strides):
        self.parts = storage, offset, shape, strides

    def __reduce__(self):
        rebuild = sys.modules["torch._utils"]._rebuild_tensor_v2
        return rebuild, (*self.parts, False, collections.OrderedDict())


class Writer(pickle.Pickler):
    def persistent_id(self, thing):
        if isinstance(thing, Storage):
            return "storage", thing.kind, thing.key, "cpu", len(thing.values), None
        return None


@pytest.fixture
def torch(monkeypatch):
    """Modules with the names that a checkpoint asks for."""
    module, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in STORAGES.values():
        setattr(module, name, type(name, (), {"__module__": "torch"}))

    def _rebuild_tensor_v2():
        raise AssertionError("only its name is written")

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = (
        "torch._utils",
        "_rebuild_tensor_v2",
    )
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    monkeypatch.setitem(sys.modules, "torch", module)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)
    return module


def write(path, tensors, magic=_MAGIC):
    storages = []
    for tensor in tensors.values():
        if isinstance(tensor, Tensor) and tensor.parts[0] not in storages:
            storages.append(tensor.parts[0])
    with path.open("wb") as file:
        for value in (magic, _PROTOCOL, {"little_endian": True}):
            pickle.dump(value, file, protocol=2)
        Writer(file, protocol=2).dump(collections.OrderedDict(tensors))
        pickle.dump([storage.key for storage in storages], file, protocol=2)
        for storage in storages:
            file.write(np.array(len(storage.values), "<i8").tobytes() + storage.values.tobytes())
    return path


def stored(torch, values, key="7"):
    return Storage(getattr(torch, STORAGES[str(values.dtype)]), key, values)


def test_windows_on_shared_storages_are_read(torch, tmp_path):
    numbers = np.arange(24, dtype="float32")
    shared, counts = stored(torch, numbers), stored(torch, np.array([5]), "8")
    tensors = {
        "whole": Tensor(shared, 0, (2, 3, 4), (12, 4, 1)),
        "turned": Tensor(shared, 0, (4, 6), (1, 4)),
        "part": Tensor(shared, 20, (2, 2), (2, 1)),
        "half": Tensor(stored(torch, np.array([0.5, -2], "float16"), "9"), 0, (2,), (1,)),
        "seen": Tensor(counts, 0, (), ()),
        "none": Tensor(shared, 24, (0, 3), (3, 1)),
    }
    read = read_torch(write(tmp_path / "net.pth", tensors))
    np.testing.assert_array_equal(read["whole"], numbers.reshape(2, 3, 4))
    np.testing.assert_array_equal(read["turned"], numbers.reshape(6, 4).T)
    np.testing.assert_array_equal(read["part"], [[20, 21], [22, 23]])
    assert read["half"].tolist() == [0.5, -2] and read["seen"] == 5 and read["none"].shape == (0, 3)
    read["whole"][:] = 0  # its own numbers
    assert read["turned"][1, 0] == 1


@given(values=st_numpy.arrays("float32", st_numpy.array_shapes(max_dims=4)), order=st.randoms())
def test_any_order_of_axes_is_read(values, order):
    axes = list(range(values.ndim))
    order.shuffle(axes)
    turned = values.transpose(axes)
    strides = tuple(stride // 4 for stride in np.ascontiguousarray(values).strides)
    from tlhelpers.sources.torch_files import _Storage, _Tensor

    storage = _Storage("<f4")
    storage.values = values.ravel()
    tensor = _Tensor(storage, 0, turned.shape, tuple(strides[axis] for axis in axes))
    np.testing.assert_array_equal(tensor.read(), turned)


class Evil:
    def __reduce__(self):
        return print, ("it ran",)


def test_nothing_but_tensors_is_admitted(torch, tmp_path, capsys):
    path = write(tmp_path / "net.pth", {"weight": Evil()})
    with pytest.raises(ValueError, match=r"nothing but .*Received: __builtin__\.print, which is"):
        read_torch(path)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("offset", "shape", "strides"), [(0, (5, 5), (5, 1)), (-1, (2,), (1,)), (3, (4,), (-1,))]
)
def test_a_window_never_leaves_its_storage(torch, tmp_path, offset, shape, strides):
    storage = stored(torch, np.zeros(24, "float32"))
    path = write(tmp_path / "net.pth", {"w": Tensor(storage, offset, shape, strides)})
    with pytest.raises(ValueError, match=r"must be a whole PyTorch checkpoint.*net\.pth"):
        read_torch(path)


def test_other_formats_and_cut_files_are_refused(torch, tmp_path):
    path = write(
        tmp_path / "net.pth", {"w": Tensor(stored(torch, np.zeros(9, "float32")), 0, (9,), (1,))}
    )
    whole = path.read_bytes()
    for cut in (0, 1, 20, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(ValueError, match=r"Received: net\.pth: .*Fetch it again"):
            read_torch(path)
    for other in (b"PK\x03\x04", pickle.dumps(1)):
        path.write_bytes(other + whole)
        with pytest.raises(ValueError, match="old format"):
            read_torch(path)
