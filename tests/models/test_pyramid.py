"""The maps of a base, stride by stride, whatever the base pads, squeezes or branches."""

from tlhelpers.models.pyramid import feature_maps
from tlhelpers.sources.backbones import load_backbone

import keras
import numpy as np
import pytest

L = keras.layers
STRIDES = {  # of a base of keras.applications, or of our own
    "vgg16": [1, 2, 4, 8, 16, 32],
    "resnet50": [2, 4, 8, 16, 32],
    "resnet50v2": [2, 4, 8, 16, 32],
    "mobilenet": [2, 4, 8, 16, 32],
    "mobilenetv2": [2, 4, 8, 16, 32],
    "mobilenetv3small": [2, 4, 8, 16, 32],
    "xception": [2, 4, 8, 16, 32],
    "convnexttiny": [4, 8, 16, 32],
    "efficientnet-lite0": [2, 4, 8, 16, 32],
    "resnet20-cifar10": [1, 2, 4],
}


@pytest.mark.parametrize("name", STRIDES)
def test_a_map_for_each_stride_from_fine_to_coarse(name):
    base = load_backbone(name, (128, 96, 3), weights=None)
    maps = feature_maps(base)
    assert list(maps) == STRIDES[name] and maps[max(maps)] is base.output
    for stride, tensor in maps.items():
        height, width = tensor.shape[1:3]  # some bases lose a border by "valid" convolutions
        assert round(np.log2(128 / height)) == round(np.log2(96 / width)) == np.log2(stride)


def test_an_open_size_and_a_fixed_one_have_the_same_maps():
    channels = []
    for side in (64, None):
        base = load_backbone("mobilenetv2", (side, side, 3), weights=None)
        channels.append({s: tensor.shape[-1] for s, tensor in feature_maps(base).items()})
    assert channels[0] == channels[1] and len(channels[0]) == 5


def test_the_last_map_of_a_stage_is_taken_and_no_padding_around_it():
    x = images = keras.Input((None, None, 3))
    x = L.Conv2D(4, 3, padding="same", name="first")(x)
    x = last = L.Add(name="last")([x, L.Conv2D(4, 3, padding="same", name="branch")(x)])
    x = L.Conv2D(5, 3, strides=2, name="coarse")(L.ZeroPadding2D(1)(x))
    squeezed = L.Conv2D(5, 1)(L.GlobalAveragePooling2D(keepdims=True)(x))
    x = L.Multiply(name="excited")([x, squeezed])
    maps = feature_maps(keras.Model(images, x))
    assert list(maps) == [1, 2] and maps[1] is last and maps[2] is x


def patches():
    images = keras.Input((32, 32, 3))
    return keras.Model(images, L.Conv2D(8, 1)(L.Conv2D(8, 16, strides=16)(images)))


def two_outputs():
    images = keras.Input((32, 32, 3))
    return keras.Model(images, [L.Conv2D(8, 3)(images), L.Conv2D(8, 3, strides=2)(images)])


def vector():
    images = keras.Input((32, 32, 3))
    return keras.Model(images, L.GlobalAveragePooling2D()(L.Conv2D(8, 3)(images)))


@pytest.mark.parametrize(
    ("base", "says"),
    [
        (patches, r"two sizes.*strides \[16\].*load_backbone"),
        (two_outputs, r"1 inputs and outputs of shape \[\(None, 30, 30, 8\), \(None, 15"),
        (vector, r"one tensor of feature maps.*shape \[\(None, 8\)\].*include_top=False"),
        (lambda: "vgg16", r"Received: base='vgg16' with 0 inputs"),
    ],
)
def test_what_is_no_pyramid_is_said(base, says):
    with pytest.raises(ValueError, match=says):
        feature_maps(base())
