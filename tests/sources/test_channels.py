"""Bases for other channels than RGB, against the RGB base on a picture that both can see."""

from tlhelpers.models.anatomy import find_blocks
from tlhelpers.models.heads import build_classifier
from tlhelpers.models.preprocessing import preprocessing
from tlhelpers.sources.backbones import load_backbone

import keras
import numpy as np
import pytest

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (2, 32, 32, 1)).astype("float32")
FAMILIES = {"vgg16": "imagenet", "mobilenetv2-dogs": "imagenet", "mobilenetv3small": None,
            "efficientnetb0": None, "convnexttiny": None, "densenet121": None}  # fmt: skip


def ask(model, images):
    """Predict without a graph, which takes longer to make than one use of it saves."""
    return keras.ops.convert_to_numpy(model(images, training=False))


def features(base, images):
    return ask(base, np.asarray(preprocessing(base)(images)))


def pair(name, channels, weights):
    keras.utils.set_random_seed(0)
    rgb = load_backbone(name, (32, 32, 3), weights)
    keras.utils.set_random_seed(0)
    return rgb, load_backbone(name, (32, 32, channels), weights)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_grey_picture_is_seen_as_the_one_repeated_thrice(name):
    rgb, grey = pair(name, 1, FAMILIES[name])
    expected = features(rgb, np.repeat(GREY, 3, axis=-1))
    assert grey.input_shape == (None, 32, 32, 1) and expected.std() > 0
    np.testing.assert_allclose(features(grey, GREY), expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["vgg16", "mobilenetv2-dogs", "densenet121", "mobilenetv3small"])
def test_six_channels_that_repeat_a_picture_are_seen_as_it(name):
    rgb, wide = pair(name, 6, FAMILIES[name])
    images = RNG.integers(0, 256, (2, 32, 32, 3)).astype("float32")
    expected = features(rgb, images)
    found = features(wide, np.concatenate([images, images], axis=-1))
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("channels", [1, 2, 4, 13])
def test_a_classifier_on_it_travels_whole(channels, tmp_path):
    base = load_backbone("mobilenetv2", (32, 32, channels), weights=None)
    images = RNG.integers(0, 256, (2, 32, 32, channels)).astype("uint8")
    model = build_classifier(base, 3)
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras", safe_mode=True)
    np.testing.assert_allclose(ask(again, images), ask(model, images), atol=1e-5)
    assert not base.trainable_weights and f"{channels} channel" in base.origin
    rgb = load_backbone("mobilenetv2", (32, 32, 3), weights=None)
    assert [block.name for block in find_blocks(base)[-3:]] == [
        block.name for block in find_blocks(rgb)[-3:]
    ]


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_the_weights_that_it_saved_load_again(channels, tmp_path):
    base = load_backbone("vgg16", (32, 32, channels), weights=None)
    base.save_weights(tmp_path / "own.weights.h5")
    again = load_backbone("vgg16", (32, 32, channels), tmp_path / "own.weights.h5")
    for found, expected in zip(again.get_weights(), base.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_weights_of_an_rgb_base_are_widened_from_a_file_too(tmp_path):
    rgb = load_backbone("vgg16", (32, 32, 3), weights=None)
    rgb.save_weights(tmp_path / "rgb.weights.h5")
    wide = load_backbone("vgg16", (32, 32, 6), tmp_path / "rgb.weights.h5")
    ours, theirs = wide.get_weights()[0], rgb.get_weights()[0]
    np.testing.assert_allclose(ours[:, :, :3] + ours[:, :, 3:], theirs[:, :, ::-1], rtol=1e-6)


def test_weights_of_another_number_of_channels_are_refused(tmp_path):
    load_backbone("vgg16", (32, 32, 4), weights=None).save_weights(tmp_path / "four.weights.h5")
    with pytest.raises(ValueError, match=r"`weights` must fit vgg16.*Received: four\.weights\.h5"):
        load_backbone("vgg16", (32, 32, 6), tmp_path / "four.weights.h5")
