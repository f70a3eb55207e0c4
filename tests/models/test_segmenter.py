"""A segmenter gives a class to each pixel, for any base, and is one plain Keras model."""

import zipfile

from tlhelpers.models.anatomy import find_base
from tlhelpers.models.segmenter import build_segmenter
from tlhelpers.sources.backbones import load_backbone
from tlhelpers.tuning.describing import describe
from tlhelpers.tuning.freezing import freeze, unfreeze
from tlhelpers.tuning.layerwise import layerwise
from tlhelpers.tuning.segmentation_loss import SegmentationLoss

import keras
import numpy as np
import pytest

L = keras.layers
RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (2, 32, 32, 3)).astype("uint8")
Y = RNG.integers(0, 3, (2, 32, 32))


def small(side=32):
    """Three stages, the second with a residual branch, and normalization."""
    keras.utils.set_random_seed(0)
    x = images = keras.Input((side, side, 3))
    for stage in (1, 2, 3):
        x = L.Conv2D(4 * stage, 3, strides=2, padding="same")(x)
        x = L.BatchNormalization()(x)
        x = L.ReLU()(x)
        x = L.Add()([x, L.Conv2D(4 * stage, 3, padding="same")(x)])
    return keras.Model(images, x, name="small")


def segmenter(base=None, classes=3):
    return build_segmenter(base or small(), classes, preprocess=L.Rescaling(1 / 255))


@pytest.mark.parametrize("name", ["vgg16", "mobilenetv2", "resnet20-cifar10", "xception"])
def test_any_base_ends_in_a_class_for_each_pixel(name):
    base = load_backbone(name, (96, 128, 3), weights=None)
    model = build_segmenter(base, 5)
    assert model.output_shape == (None, 96, 128, 5) and model.output.dtype == "float32"
    assert {v.path for v in base.weights} < {v.path for v in model.weights}  # used, not copied


def test_an_open_size_gives_masks_of_the_picture_s_size():
    model = segmenter(small(None))
    for side in (8, 24):
        assert model(np.zeros((1, side, 16, 3))).shape == (1, side, 16, 3)


def test_skips_bring_the_edges_back():
    """What a pixel becomes depends on that pixel, not only on the coarse map around it."""
    model = segmenter()
    changed = X.copy()
    changed[0, 4, 4] = 255 - changed[0, 4, 4]
    difference = np.abs(np.asarray(model(changed)) - np.asarray(model(X)))
    assert difference[0, 4, 4].max() > 0 and difference[1].max() == 0
    names = [layer.name for layer in model.get_layer("decoder").layers]
    joins = [name for name in names if name.endswith("_join")]
    assert joins == ["to4_join", "to2_join"]


def test_the_verbs_know_base_and_decoder():
    model = segmenter()
    assert find_base(model).name == "small"
    table = freeze(model)
    decoder = model.get_layer("decoder")
    assert table.trainable == sum(v.numpy().size for v in decoder.trainable_variables)
    assert str(describe(model)) == str(table) and "head" in str(table)
    before = [v.numpy() for v in find_base(model).weights]
    model.compile(keras.optimizers.Adam(0.01), SegmentationLoss(), run_eagerly=True)
    losses = [model.train_on_batch(X, Y) for _ in range(5)]
    assert losses[-1] < losses[0]
    for variable, value in zip(find_base(model).weights, before, strict=True):
        assert np.array_equal(variable.numpy(), value)
    opened = unfreeze(model, blocks=1)
    assert table.trainable < opened.trainable < opened.total
    optimizer = layerwise(keras.optimizers.Adam(0.01), model, 0.5)
    model.compile(optimizer, SegmentationLoss(), run_eagerly=True)
    model.train_on_batch(X, Y)
    moved = [
        not np.array_equal(variable.numpy(), value)
        for variable, value in zip(find_base(model).weights, before, strict=True)
    ]
    assert any(moved) and not all(moved)


def test_a_file_is_made_of_keras_own_layers(tmp_path):
    """So it loads where this package isn't installed."""
    base = small()
    model = build_segmenter(keras.Model(base.input, base.output, name="vgg16"), 3)
    model.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        config = archive.read("config.json")
    assert b"tlhelpers" not in config and b"Lambda" not in config
    again = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    assert np.allclose(again(X), model(X), atol=1e-5)


def patches():
    images = keras.Input((32, 32, 3))
    return keras.Model(images, L.Conv2D(8, 16, strides=16)(images), name="patches")


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: segmenter(small(36)), "multiples of 8.*'small' with 36 x 36.*Load it for 32 x 32"),
        (lambda: segmenter(classes=1), "`classes` must be a whole number, 2 or above"),
        (lambda: build_segmenter(small(), 3, (8, 8)), "`filters`.*3 steps"),
        (lambda: build_segmenter(small(), 3, 16), "`filters`.*3 steps"),
        (lambda: build_segmenter(small(), 3, (8, 8, 0)), "`filters` must be a whole number"),
        (lambda: build_segmenter(small(), 3), "keras.applications family.*'small'"),
        (lambda: segmenter(patches()), "smaller in steps"),
        (
            lambda: build_segmenter(load_backbone("xception", (None, None, 3), weights=None), 3),
            "fixed size.*cuts off borders.*128 x 128",
        ),
    ],
)
def test_bad_arguments(build, says):
    with pytest.raises(ValueError, match=says):
        build()
