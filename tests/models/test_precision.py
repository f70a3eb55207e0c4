"""bfloat16: the same network and weights, features within its rounding, nothing to train."""

from tlhelpers.models.precision import to_bfloat16
from tlhelpers.models.splitting import split_at
from tlhelpers.tuning.features import extract_features

import keras
import numpy as np
import pytest

L = keras.layers
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (40, 16, 16, 3)).astype("uint8")


@pytest.fixture
def base():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((16, 16, 3))
    x = L.Conv2D(8, 3, activation="relu")(L.Rescaling(1 / 255)(inputs))
    nested = keras.Sequential([keras.Input(x.shape[1:]), L.BatchNormalization(), L.Conv2D(6, 3)])
    x = L.GlobalAveragePooling2D()(nested(x))
    model = keras.Model(inputs, L.Dense(5)(x), name="base")
    model.trainable = False
    return model


def test_features_are_close_and_float32(base):
    expected, found = (extract_features(m, IMAGES) for m in (base, to_bfloat16(base)))
    assert found.dtype == np.float32
    assert 0 < np.abs(found - expected).max() < 2**-6 * np.abs(expected).max()
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).mean() >= 0.9


def test_weights_and_architecture_are_equal_and_the_model_is_left_as_it_was(base):
    before = extract_features(base, IMAGES)
    copy = to_bfloat16(base)
    assert copy.name == base.name and copy.output_shape == base.output_shape
    assert not copy.trainable_weights
    assert all(
        np.array_equal(a, b) and b.dtype == np.float32
        for a, b in zip(base.get_weights(), copy.get_weights(), strict=True)
    )
    assert copy.layers[-1].compute_dtype == "bfloat16"
    assert base.layers[-1].compute_dtype == "float32"
    assert np.array_equal(extract_features(base, IMAGES), before)


def test_it_computes_in_bfloat16_inside_a_nested_model_too(base):
    kinds = {layer.compute_dtype for layer in to_bfloat16(base)._flatten_layers()}
    assert [n for n in kinds if n != "bfloat16"] in ([], ["float32"])  # of the models themselves
    assert {x.compute_dtype for x in to_bfloat16(base).layers[3].layers} == {"bfloat16"}


def test_it_is_saved_and_cut(base, tmp_path):
    copy = to_bfloat16(base)
    copy.save(tmp_path / "fast.keras")
    loaded = keras.saving.load_model(tmp_path / "fast.keras")
    expected = extract_features(copy, IMAGES)
    assert np.array_equal(extract_features(loaded, IMAGES), expected)
    prefix, tail = split_at(copy, copy.layers[-2].name)
    both = extract_features(tail, extract_features(prefix, IMAGES))
    np.testing.assert_allclose(both, expected, rtol=2**-7, atol=1e-3)


def test_the_cache_tells_them_apart(base, tmp_path):
    for model in (base, to_bfloat16(base)):
        extract_features(model, IMAGES, cache=tmp_path)
    assert len(list(tmp_path.glob("*.npy"))) == 2


def test_what_is_refused(base):
    base.layers[-1].trainable = True
    base.trainable = True
    with pytest.raises(ValueError, match=r"`model` must be frozen\. Received: .*tl\.freeze"):
        to_bfloat16(base)
    with pytest.raises(ValueError, match=r"must be a Keras model\. Received: model of type str"):
        to_bfloat16("vgg16")

    class NoGraph(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ValueError, match="must be functional"):
        to_bfloat16(NoGraph())
