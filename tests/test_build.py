"""Tests of data/build.py, which is a script and no module of the package."""

import gzip
import importlib.util
import shutil
import subprocess
import sys

from tlhelpers.sources.assets import DATA

import numpy as np
import pytest


@pytest.fixture
def build():
    spec = importlib.util.spec_from_file_location("build", DATA / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_idx(path, array):
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    path.write_bytes(gzip.compress(header + array.tobytes()))


def test_same_source_same_bytes(build, tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    arrays = {}
    for split, n in (("train", 60), ("t10k", 40)):
        arrays[split] = rng.integers(0, 256, (n, 28, 28)).astype("uint8")
        write_idx(tmp_path / f"{split}-images-idx3-ubyte.gz", arrays[split])
        write_idx(tmp_path / f"{split}-labels-idx1-ubyte.gz", (np.arange(n) % 10).astype("uint8"))
    monkeypatch.setattr(build, "HERE", tmp_path)
    monkeypatch.setattr(build, "SIZES", {"fashion_mnist": (30, 20)})
    built = []
    for _ in range(2):
        build.build("fashion_mnist", build.read_idx_folder(tmp_path))
        built.append((tmp_path / "fashion_mnist.npz").read_bytes())
    assert built[0] == built[1]
    assert build.sha256(tmp_path / "fashion_mnist.npz") in capsys.readouterr().out
    with np.load(tmp_path / "fashion_mnist.npz") as file:
        np.testing.assert_array_equal(file["x_train"], arrays["train"][:30])
        np.testing.assert_array_equal(file["x_test"], arrays["t10k"][:20])
        np.testing.assert_array_equal(np.bincount(file["y_test"]), [2] * 10)


def test_file_of_another_type_is_refused(build, tmp_path):
    (tmp_path / "x.gz").write_bytes(gzip.compress(b"\0\0\x0d\x01" + b"\0" * 8))
    with pytest.raises(ValueError, match=r"Received: path=x\.gz"):
        build.read_idx(tmp_path / "x.gz")


def test_check_sees_an_altered_file(tmp_path):
    for path in DATA.iterdir():
        if path.is_file():
            shutil.copy(path, tmp_path)
    check = [sys.executable, str(tmp_path / "build.py"), "--check"]
    assert subprocess.run(check, capture_output=True).returncode == 0
    with (tmp_path / "mnist.npz").open("ab") as file:
        file.write(b"x")
    done = subprocess.run(check, capture_output=True, text=True)
    assert done.returncode == 1 and "mnist.npz DIFFERS" in done.stdout
