"""Shards: bit for bit extract_features, made once, found again, a shard in memory at a time."""

import json
import os
import signal
import subprocess
import sys
import tracemalloc

from tlhelpers.tuning.features import extract_features
from tlhelpers.tuning.shards import extract_shards

import keras
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from toys import base_named, small_base

RNG = np.random.default_rng(0)
SIZES = (7, 12, 4)  # of the shards: below and above a batch of 5, and no multiple of it
FORMATS = ("npy", "parquet")


@pytest.fixture(scope="module")
def base():
    return base_named("mobilenetv2")


@pytest.fixture
def shards(tmp_path):
    """Write a folder of three files with labels; return it."""
    folder = tmp_path / "shards"
    folder.mkdir()
    for number, size in enumerate(SIZES):
        x = RNG.integers(0, 256, (size, 12, 12, 3)).astype("uint8")
        np.savez(folder / f"train-{number}.npz", x=x, y=np.arange(size) + 100 * number)
    return folder


def one_by_one(model, folder, batch_size=5):
    files = [np.load(file) for file in sorted(folder.glob("*.npz"))]
    parts = [extract_features(model, part["x"], part["y"], batch_size) for part in files]
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def written(out):
    return {file.name: file.stat().st_mtime_ns for file in out.glob("*.npz.*")}


@pytest.mark.parametrize(("format", "workers"), [("npy", 1), ("npy", 2), ("parquet", 1)])
def test_the_features_are_those_of_one_call(base, shards, tmp_path, format, workers):
    out = tmp_path / "out"
    made = extract_shards(base, shards, out, batch_size=5, format=format, workers=workers)
    features, labels = one_by_one(base, shards)
    parts = list(made)
    assert len(made) == len(features) and made.rows == SIZES and made.made == 3
    assert [len(part) for part, _ in parts] == list(SIZES)
    for found in (np.concatenate([part for part, _ in parts]), made.load()[0]):
        assert found.dtype == features.dtype and np.array_equal(found, features)
    assert np.array_equal(made.load()[1], labels)
    rows = json.loads((out / "manifest.json").read_text())["shards"]
    assert [row["file"] for row in rows] == list(made.files)
    here = {row["worker"].endswith(f":{os.getpid()}") for row in rows}
    assert here == {workers == 1}  # of several workers, none is this process


def test_a_second_call_makes_nothing_and_a_third_what_is_new(base, shards, tmp_path):
    out = tmp_path / "out"
    first = extract_shards(base, shards, out, batch_size=5)
    before = written(out)
    assert extract_shards(base, shards, out, batch_size=5).made == 0 and written(out) == before
    new = RNG.integers(0, 256, (3, 12, 12, 3)).astype("uint8")
    np.savez(shards / "train-1.npz", x=new, y=[7, 8, 9])  # another content under the old name
    np.savez(shards / "train-9.npz", x=new, y=[7, 8, 9])
    changed = extract_shards(base, shards, out, batch_size=5)
    assert changed.made == 2 and before.items() <= written(out).items()
    assert changed.rows == (7, 3, 4, 3) and changed.files[0] == first.files[0]
    assert np.array_equal(changed.load()[0], one_by_one(base, shards)[0])


@pytest.mark.parametrize("change", ["weight", "batch_size", "architecture"])
def test_what_would_change_a_bit_computes_anew(shards, tmp_path, change):
    base, out, batch_size = base_named("mobilenetv2"), tmp_path / "out", 5
    first = extract_shards(base, shards, out, batch_size=batch_size)
    if change == "weight":
        base.weights[0].assign(base.weights[0] * 1.001)
    elif change == "batch_size":
        batch_size = 4
    else:
        pooled = keras.layers.GlobalAveragePooling2D()(base.output)
        base = keras.Model(base.input, pooled, name=base.name)
    second = extract_shards(base, shards, out, batch_size=batch_size)
    assert second.made == 3 and not set(first.files) & set(second.files)
    assert np.array_equal(second.load()[0], one_by_one(base, shards, batch_size)[0])


KILLED = """
import sys
import numpy as np
from toys import base_named
from tlhelpers.tuning import shard_work
from tlhelpers.tuning.shards import extract_shards

write, written = shard_work.np.save, []

def save(part, array):
    if len(written) == 3:  # labels and features of the first, labels of the second
        part.write(b"half of a file")
        part.flush()
        print("now", flush=True)
        sys.stdin.read()
    written.append(part)
    write(part, array)

shard_work.np.save = save
extract_shards(base_named("mobilenetv2"), sys.argv[1], sys.argv[2], batch_size=5)
"""


def test_a_killed_call_goes_on_where_it_was(base, shards, tmp_path):
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, shards, out],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        assert process.stdout.readline() == "now\n"
        process.send_signal(signal.SIGKILL)
    done = {name: when for name, when in written(out).items() if ".part" not in name}
    assert len(done) == 3 and list(out.glob("*.part"))
    made = extract_shards(base, shards, out, batch_size=5)
    assert made.made == 2 and not list(out.glob("*.part"))
    first = {name: when for name, when in done.items() if "train-0" in name}
    assert len(first) == 2 and first.items() <= written(out).items()
    assert np.array_equal(made.load()[0], one_by_one(base, shards)[0])


def test_two_calls_at_once_share_the_work(base, shards, tmp_path):
    code = KILLED.replace("shard_work.np.save = save", "").replace(
        "extract_shards(", "print(extract_shards("
    ).rstrip() + ".made)"  # fmt: skip
    command = [sys.executable, "-c", code, shards, tmp_path / "out"]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    both = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) for _ in "ab"]
    assert sorted(int(one.communicate()[0]) for one in both) == [0, 3]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_damaged_shard_is_named_and_the_others_are_kept(base, shards, tmp_path, workers):
    bad = shards / "train-2.npz"
    whole = bad.read_bytes()
    bad.write_bytes(whole[:-100])
    with pytest.raises(ValueError, match=r"train-2\.npz.*Write it again"):
        extract_shards(base, shards, tmp_path / "out", batch_size=5, workers=workers)
    bad.write_bytes(whole)
    made = extract_shards(base, shards, tmp_path / "out", batch_size=5)
    assert 1 <= made.made < 3
    assert np.array_equal(made.load()[0], one_by_one(base, shards)[0])


def test_a_shard_that_does_not_fit_the_model_is_named(base, shards, tmp_path):
    np.savez(shards / "train-3.npz", x=np.zeros((2, 9, 9, 3)), y=[0, 1])
    with pytest.raises(ValueError, match=r"shape.*train-3\.npz"):
        extract_shards(base, shards, tmp_path / "out")


def test_labels_in_some_shards_only_are_refused(base, shards, tmp_path):
    np.save(shards / "train-3.npy", np.zeros((2, 12, 12, 3)))
    with pytest.raises(ValueError, match=r"labels in all files.*train-0\.npz.*train-3\.npy"):
        extract_shards(base, shards, tmp_path / "out")


@pytest.mark.parametrize("format", FORMATS)
def test_shards_without_labels_give_features_alone(base, tmp_path, format):
    x = RNG.integers(0, 256, (6, 12, 12, 3)).astype("uint8")
    np.save(tmp_path / "a.npy", x)
    made = extract_shards(base, tmp_path / "a.npy", tmp_path / "out", format=format)
    expected = extract_features(base, x)
    assert np.array_equal(made.load(), expected) and np.array_equal(next(iter(made)), expected)


def test_pictures_get_the_size_of_the_model(base, tmp_path):
    from tlhelpers.sources.pictures import load_picture

    keras.utils.save_img(tmp_path / "a.png", RNG.integers(0, 256, (30, 20, 3)))
    picture = (tmp_path / "a.png").read_bytes()
    parquet.write_table(pa.table({"image": [picture]}), tmp_path / "a.parquet")
    made = extract_shards(base, tmp_path / "a.parquet", tmp_path / "out")
    image = load_picture(tmp_path / "a.png", (12, 12))
    assert np.array_equal(made.load(), extract_features(base, image[None]))


def test_features_of_several_shapes_are_gone_through_but_not_joined(tmp_path):
    x = inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(2, 3)(x))
    for size in (8, 9):
        np.save(tmp_path / f"{size}.npy", np.zeros((2, size, size, 3), "float32"))
    made = extract_shards(model, tmp_path, tmp_path / "out")
    assert [part.shape for part in made] == [(2, 6, 6, 2), (2, 7, 7, 2)]
    with pytest.raises(ValueError, match=r"one shape.*\(6, 6, 2\), then \(7, 7, 2\)"):
        made.load()
    assert not list((tmp_path / "out").glob("all.*.npy"))


def test_more_shards_take_no_more_memory(tmp_path):
    model = small_base()
    model = keras.Model(model.input, keras.layers.UpSampling2D(16)(model.output))

    def peak(count):
        shards = tmp_path / str(count)
        shards.mkdir()
        for number in range(count):
            x = RNG.normal(size=(60, 16, 16, 3)).astype("float32")
            np.save(shards / f"{number:02}.npy", x)
        tracemalloc.start()
        for part in extract_shards(model, shards, tmp_path / f"out {count}"):
            assert part.shape == (60, 32, 32, 4)  # 1 MB
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(1)  # what is imported and traced once
    two, ten = peak(2), peak(10)
    assert two > 2**20 and ten < 1.5 * two


def test_what_cannot_be_is_refused_before_anything_is_written(base, shards, tmp_path):
    out = tmp_path / "out"
    two = keras.Model(base.input, [base.output, base.output])
    for wrong, message in [
        ({"workers": 0}, "`workers` must be a whole number, 1 or above"),
        ({"batch_size": 0}, "`batch_size` must be a whole number"),
        ({"format": "csv"}, "`format` must be one of 'npy', 'parquet'"),
        ({"fit": "squeeze"}, "`fit` must be one of"),
        ({"size": 3}, "`size` must be"),
        ({"model": two}, "`model` must have one output"),
        ({"shards": tmp_path / "nowhere"}, "`shards` must be a folder"),
        ({"out": shards}, "`out` must be another folder"),
        ({"out": shards / "train-0.npz"}, "`out` must be a folder to write in"),
    ]:
        with pytest.raises(ValueError, match=message):
            extract_shards(**{"model": base, "shards": shards, "out": out} | wrong)
    assert not list(tmp_path.glob("out/*"))
