import json
import subprocess
import sys

import tlhelpers as tl
from tlhelpers.models.centres import CentreLoss, draw_centres
from tlhelpers.models.detector import build_detector
from tlhelpers.reading.detecting import detect
from tlhelpers.scores.boxes import box_iou

import keras
import numpy as np
import pytest
from toys import base_named, small_base

L = keras.layers
ELSEWHERE = """
import json, sys
sys.modules["tlhelpers"] = None  # to import it is an error
import keras, numpy as np
model = keras.models.load_model(sys.argv[1], safe_mode=True, compile=False)
x = np.arange(32 * 32 * 3).reshape(1, 32, 32, 3) % 255
print(json.dumps(model.predict(x, verbose=0).ravel().tolist()))
"""


def base(side=32):
    """Strides 2, 4, 8, with a BatchNormalization at each, for images of any or one size."""
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((side, side, 3))
    for width in (8, 12, 16):
        x = L.Conv2D(width, 3, strides=2, padding="same", use_bias=False)(x)
        x = L.ReLU()(L.BatchNormalization()(x))
    return keras.Model(inputs, x, name="own")


def build(side=32, classes=2, filters=16, **arguments):
    scale = keras.layers.Rescaling(1 / 128, offset=-1)
    return build_detector(base(side), classes, filters, preprocess=scale, **arguments)


@pytest.mark.parametrize(("stride", "cells"), [(2, 16), (4, 8), (8, 4)])
def test_the_output_has_a_cell_for_each_stride(stride, cells):
    model = build(stride=stride)
    assert model.output_shape == (None, cells, cells, 6)
    assert build(None, stride=stride).predict(np.zeros((1, 32, 64, 3)), verbose=0).shape == (
        1, cells, 2 * cells, 6
    )  # fmt: skip


def test_the_verbs_see_a_base_and_a_head():
    model = build()
    assert tl.find_base(model).name == "own" and model.layers[-1].name == "detector"
    head = sum(w.shape.num_elements() for w in model.layers[-1].trainable_weights)
    assert tl.freeze(model).trainable == head
    table = tl.unfreeze(model, blocks=1)
    assert table.trainable == head + 3 * 3 * 12 * 16
    assert [row.name for row in tl.describe(model).rows][-1] == "head"


def test_before_training_nearly_no_cell_is_a_centre():
    said = build().predict(np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)), verbose=0)
    assert 1 / (1 + np.exp(-said[..., :2].mean())) < 0.3


def test_a_frozen_base_stays_as_it_is_and_its_maps_may_be_computed_once():
    """The two models inside share the whole one's weights: training the head is training it."""
    model = build(dropout=0.0)
    tl.freeze(model)
    encoder, head = tl.find_base(model), model.layers[-1]
    x = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype("float32")
    y = np.stack([draw_centres([[4, 4, 20, 20]], [0], (32, 32), 2)] * 4)
    before = [w.copy() for w in encoder.get_weights()]
    maps = encoder.predict(x / 128 - 1, verbose=0)
    head.compile(keras.optimizers.Adam(0.01), CentreLoss())
    losses = head.fit(maps, y, epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert all(np.array_equal(a, b) for a, b in zip(before, encoder.get_weights(), strict=True))
    assert model.predict(x, verbose=0) == pytest.approx(head.predict(maps, verbose=0), abs=1e-5)


def test_a_file_loads_where_this_package_is_not(tmp_path):
    model = build()
    model.compile("adam", CentreLoss())
    model.save(tmp_path / "detector.keras")
    x = np.arange(32 * 32 * 3).reshape(1, 32, 32, 3) % 255
    expected = model.predict(x, verbose=0)
    again = keras.models.load_model(tmp_path / "detector.keras", safe_mode=True)
    assert np.array_equal(again.predict(x, verbose=0), expected)
    assert isinstance(again.loss, CentreLoss)
    command = [sys.executable, "-c", ELSEWHERE, str(tmp_path / "detector.keras")]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert np.allclose(json.loads(told.splitlines()[-1]), expected.ravel(), atol=1e-5)


def test_it_learns_to_find_squares():
    """White squares on black, of two sizes: nearly all are found, at the right place."""
    rng = np.random.default_rng(0)
    x, boxes = np.zeros((48, 32, 32, 3), "uint8"), []
    for image in x:
        side = rng.integers(8, 17)
        left, top = rng.integers(0, 33 - side, 2)
        image[top : top + side, left : left + side] = 255
        boxes.append([[left, top, left + side, top + side]])
    y = np.stack([draw_centres(b, [0], (32, 32), 1) for b in boxes])
    model = build(classes=1, dropout=0.0)
    tl.unfreeze(model, fraction=1.0, batchnorm="train")
    model.compile(keras.optimizers.Adam(0.01), CentreLoss())
    model.fit(x[:32], y[:32], batch_size=8, epochs=15, verbose=0)
    good = 0
    for image, box in zip(x[32:], boxes[32:], strict=True):
        found = detect(model, image, threshold=0.1)
        good += len(found) > 0 and box_iou(found.boxes[:1], box)[0, 0] > 0.5
    assert good >= 10, good  # of 16; a box somewhere would be right in two or three


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"classes": 0}, "`classes` must be"),
        ({"stride": 3}, "`stride` must be one of '2', '4', '8'.*The maps of 'own'"),
        ({"filters": 0}, "`filters` must be"),
        ({"dropout": 1}, "`dropout` must be"),
        ({"side": 36}, "multiples of 8.*36 x 36"),
    ],
)
def test_bad_arguments_are_refused(arguments, says):
    with pytest.raises(ValueError, match=says):
        build(**arguments)


def test_a_base_without_maps_or_borders_or_a_known_family_is_refused():
    with pytest.raises(ValueError, match="`base`"):
        build_detector(base_named(), 1, preprocess="identity")  # one stride
    with pytest.raises(ValueError, match="named after its"):
        build_detector(small_base(), 1)
    x = inputs = keras.Input((64, 64, 3))
    for _ in range(3):
        x = L.Conv2D(4, 3, strides=2)(x)  # "valid": the maps become too small
    with pytest.raises(ValueError, match="keep the borders"):
        build_detector(keras.Model(inputs, x), 1, preprocess="identity")
