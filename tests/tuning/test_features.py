"""Features: in order, beside their labels, BatchNormalization untouched, cached by content."""

import re
import subprocess
import sys
from pathlib import Path

from tlhelpers.models.heads import build_classifier
from tlhelpers.models.preprocessing import preprocessing
from tlhelpers.models.splitting import split_at
from tlhelpers.scores.transferability import logme
from tlhelpers.tuning import features
from tlhelpers.tuning.features import extract_features

import keras
import numpy as np
import pytest
import tensorflow as tf
from toys import TinyBert, base_named

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (11, 32, 32, 3)).astype("uint8")
LABELS = np.arange(11) % 3


@pytest.fixture(scope="module")
def base():
    return base_named("mobilenetv2", size=32)


@pytest.fixture(scope="module")
def expected(base):
    inputs = preprocessing(base)(IMAGES)
    return keras.ops.convert_to_numpy(base(inputs, training=False))


def test_a_bare_base_gets_its_preprocessing(base, expected):
    features, labels = extract_features(base, IMAGES, LABELS, batch_size=4)
    assert np.allclose(features, expected, atol=1e-5)
    assert np.array_equal(labels, LABELS)
    alone = extract_features(base, IMAGES, batch_size=4)
    assert np.array_equal(alone, features)


def test_a_shuffling_dataset_keeps_rows_and_labels_together(base, expected):
    pairs = tf.data.Dataset.from_tensor_slices((IMAGES, np.arange(11)))
    features, rows = extract_features(base, pairs.shuffle(11).batch(4))
    assert sorted(rows) == list(range(11)) and list(rows) != list(range(11))
    assert np.allclose(features, expected[rows], atol=1e-5)


def test_batchnorm_statistics_do_not_move_behind_a_resizing():
    """Keras 3.15 puts BatchNormalization into training mode behind Resizing in a plain call."""
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Resizing(4, 4),
                              keras.layers.BatchNormalization()])  # fmt: skip
    before = [w.numpy() for w in model.weights]
    x = RNG.normal(5, 3, (6, 8, 8, 3)).astype("float32")
    extract_features(model, x, batch_size=2)
    assert all(np.array_equal(a, b.numpy()) for a, b in zip(before, model.weights, strict=True))


def test_the_cache_is_keyed_by_weights_preprocessing_and_data(base, tmp_path):
    def files():
        return sorted(p.name for p in tmp_path.glob("*.npy"))

    model = build_classifier(base, 3)
    prefix, _ = split_at(model, "pooling")
    first = np.array(extract_features(prefix, IMAGES, batch_size=4, cache=tmp_path))
    again = extract_features(prefix, IMAGES, batch_size=3, cache=tmp_path)
    assert np.array_equal(first, again) and len(files()) == 1
    twin, _ = split_at(build_classifier(base, 3), "pooling")
    assert np.array_equal(extract_features(twin, IMAGES, cache=tmp_path), first)
    assert len(files()) == 1  # the same weights, preprocessing and data under other names
    bare = extract_features(base, IMAGES, cache=tmp_path)
    assert len(files()) == 2 and np.allclose(bare.mean((1, 2)), first, atol=1e-5)
    other = IMAGES.copy()
    other[5, 0, 0, 0] ^= 1
    extract_features(prefix, other, cache=tmp_path)
    assert len(files()) == 3
    weight = base.weights[0]
    old = weight.numpy()
    weight.assign(old * 1.001)
    try:
        changed = extract_features(prefix, IMAGES, cache=tmp_path)
        assert len(files()) == 4 and not np.array_equal(changed, first)
    finally:
        weight.assign(old)


def test_the_cache_knows_what_a_bare_operation_does(tmp_path):
    def times(factor):
        inputs = keras.Input((2,))
        return keras.Model(inputs, inputs * factor)

    x = np.ones((3, 2), "float32")
    assert extract_features(times(2.0), x, cache=tmp_path)[0, 0] == 2
    assert extract_features(times(3.0), x, cache=tmp_path)[0, 0] == 3


def test_a_base_that_pools_gets_its_preprocessing_too(base, expected):
    pooled = keras.Model(base.input, keras.layers.GlobalAveragePooling2D()(base.output))
    pooled.name = base.name
    assert np.allclose(extract_features(pooled, IMAGES), expected.mean((1, 2)), atol=1e-5)


@pytest.mark.parametrize("named", [False, True])
def test_bfloat16_becomes_float32_from_arrays_and_datasets(named):
    x = np.random.default_rng(0).normal(size=(12, 4)).astype("float32")
    inputs = keras.Input((4,))
    outputs = keras.layers.Dense(3, dtype="mixed_bfloat16")(inputs)
    model = keras.Model(inputs, {"out": outputs, "same": outputs} if named else outputs)
    data = tf.data.Dataset.from_tensor_slices((x, np.arange(12) % 2)).batch(4)
    found = extract_features(model, data), extract_features(model, x, np.arange(12) % 2)
    (streamed, labels), (direct, _) = found
    streamed, direct = (part["out"] if named else part for part in (streamed, direct))
    assert streamed.dtype == direct.dtype == np.float32
    assert np.array_equal(streamed, direct)
    assert np.isfinite(logme(features=streamed, labels=labels))


def test_sample_weights_stay_beside_their_features(base, expected):
    weights = np.linspace(0, 1, len(LABELS))
    weighted = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS, weights)).shuffle(99).batch(5)
    features, labels, kept = extract_features(base, weighted)
    order = np.argsort(kept)
    assert np.array_equal(labels[order], LABELS) and np.array_equal(kept[order], weights)
    assert np.allclose(features[order], expected, atol=1e-4)


KILLED = """
import os, sys
import numpy as np
import tlhelpers.tuning.features as f
import keras
f._ROWS_BETWEEN_SAVES = 4
model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, kernel_initializer="ones")])
x = np.arange(40.0, dtype="float32").reshape(20, 2)
seen = []
run = model.predict_on_batch
def counted(batch):
    seen.append(float(batch[0, 0]))
    if len(seen) == int(sys.argv[1]):
        os._exit(9)  # as a kill: nothing is cleaned up
    return run(batch)
model.predict_on_batch = counted
features = f.extract_features(model, x, batch_size=2, cache="cache")
"""


def test_a_killed_run_goes_on_where_it_stopped(tmp_path, monkeypatch):
    first = subprocess.run([sys.executable, "-c", KILLED, "8"], cwd=tmp_path, timeout=300)
    assert first.returncode == 9
    assert not [p for p in (tmp_path / "cache").glob("*.npy") if "partial" not in p.name]
    monkeypatch.setattr(features, "_ROWS_BETWEEN_SAVES", 2048)  # brought back afterwards
    monkeypatch.setattr(sys, "argv", ["", "0"])
    monkeypatch.chdir(tmp_path)
    second = {}
    exec(KILLED, second)
    assert np.array_equal(second["features"], second["x"].sum(1, keepdims=True).repeat(3, 1))
    assert second["seen"][0] == 24  # rows 0..11 were saved
    assert [p.suffix for p in (tmp_path / "cache").iterdir() if p.suffix != ".lock"] == [".npy"]


def bad_inputs():
    dataset = tf.data.Dataset.from_tensor_slices(IMAGES).batch(4)
    yield "one label", {"x": IMAGES, "y": LABELS[:5]}
    yield "At least one", {"x": IMAGES[:0]}
    yield "0..255", {"x": IMAGES / 255.0}
    yield "shape", {"x": IMAGES[:, :16]}
    yield "own labels", {"x": dataset, "y": LABELS}
    yield "endless", {"x": dataset.repeat()}
    yield "must hold a batch", {"x": dataset.take(0)}
    yield "batch_size", {"x": IMAGES, "batch_size": 0}
    yield "batch_size=2.0", {"x": IMAGES, "batch_size": 2.0}
    yield "batch_size=True", {"x": IMAGES, "batch_size": True}


@pytest.mark.parametrize(("message", "arguments"), list(bad_inputs()))
def test_bad_input(base, message, arguments):
    with pytest.raises(ValueError, match=f"(?i){message}") as error:
        extract_features(base, **arguments)
    assert "Received" in str(error.value)


@pytest.mark.parametrize("cached", [False, True])
def test_a_whole_number_of_numpy_is_a_batch_size(base, cached, tmp_path):
    cache = tmp_path if cached else None
    found = extract_features(base, IMAGES, batch_size=np.int64(4), cache=cache)
    assert np.array_equal(found, extract_features(base, IMAGES, batch_size=4))


def test_a_run_that_was_killed_after_its_last_batch_only_renames(tmp_path, monkeypatch):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    x = RNG.normal(size=(9, 2)).astype("float32")

    def killed(*paths):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(features.os, "replace", killed)
        patch.setattr(features, "write_atomically", lambda path, write: path.write_text("9"))
        extract_features(model, x, cache=tmp_path)
    assert len(list(tmp_path.glob("*.partial.npy"))) == 1
    monkeypatch.setattr(model, "predict_on_batch", None)  # nothing is left to compute
    found = extract_features(model, x, cache=tmp_path)
    monkeypatch.undo()
    assert np.array_equal(found, extract_features(model, x))


def test_a_model_with_two_outputs_is_refused():
    inputs = keras.Input((2,))
    model = keras.Model(inputs, [inputs, inputs + 1])
    with pytest.raises(ValueError, match="one output"):
        extract_features(model, np.zeros((2, 2)))


@pytest.mark.parametrize("damage", [b"", b"no numpy file", None])
def test_a_damaged_cache_is_named(tmp_path, damage):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(300)])
    x = np.ones((9, 2), "float32")
    expected = np.array(extract_features(model, x, cache=tmp_path))
    (path,) = tmp_path.glob("*.npy")
    path.write_bytes(path.read_bytes()[:-1000] if damage is None else damage)
    with pytest.raises(ValueError, match=f"damaged .*{path.name}. Remove it"):
        extract_features(model, x, cache=tmp_path)
    path.unlink()
    assert np.array_equal(extract_features(model, x, cache=tmp_path), expected)


def test_a_cache_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "cache").write_text("mine")
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    with pytest.raises(ValueError, match="must be a folder"):
        extract_features(model, np.ones((2, 2)), cache=tmp_path / "cache")
    assert (tmp_path / "cache").read_text() == "mine"


def test_an_encoder_gives_a_dictionary_of_features(tmp_path):
    """One vector per token, as a tagger of words needs it, beside one per text."""
    encoder = TinyBert().backbone
    ids = np.random.default_rng(1).integers(1, 50, (4, 6))
    mask = np.arange(6) < np.array([[6], [2], [4], [3]])
    x = {"token_ids": np.where(mask, ids, 0), "padding_mask": mask, "segment_ids": 0 * ids}
    expected = encoder.predict(x, verbose=0)
    for cache in (None, tmp_path):
        features, labels = extract_features(encoder, x, np.arange(4), batch_size=3, cache=cache)
        assert set(features) == {"sequence_output", "pooled_output"}
        assert labels.tolist() == [0, 1, 2, 3]
        assert features["sequence_output"].shape == (4, 6, 8)
        for name, part in features.items():
            assert np.allclose(part, expected[name], atol=1e-6)
    assert len(list(tmp_path.glob("*.npy"))) == 2
    other = {**x, "segment_ids": 1 - x["segment_ids"]}
    extract_features(encoder, other, cache=tmp_path)
    assert len(list(tmp_path.glob("*.npy"))) == 4


@pytest.mark.parametrize("samples", [4, 5, 7, 11])
def test_one_trace_serves_all_batches(samples):
    """Tracing costs seconds for a real base; a short last batch, or a trial row, would add one."""
    calls = []

    class Counted(keras.layers.Layer):
        def call(self, x):
            calls.append(x.shape)
            return 2 * x

    inputs = keras.Input((3,))
    model = keras.Model(inputs, Counted()(inputs))
    calls.clear()
    x = RNG.normal(size=(samples, 3)).astype("float32")
    assert np.allclose(extract_features(model, x, batch_size=4), 2 * x)
    assert len(calls) == 1


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="the system does not tell")
def test_rows_that_are_saved_take_no_memory(tmp_path):
    file = tmp_path / "rows.npy"
    rows = np.lib.format.open_memmap(file, "w+", "float32", (4096, 256))
    rows[:] = 7

    def mapped() -> int:
        maps = Path("/proc/self/smaps").read_text()
        return int(re.search(rf"{re.escape(str(file))}\n.*?Rss: +(\d+) kB", maps, re.S)[1])

    assert mapped() >= 4096
    features._write_out(rows)
    assert mapped() == 0
    assert (np.load(file) == 7).all() and (rows == 7).all()
