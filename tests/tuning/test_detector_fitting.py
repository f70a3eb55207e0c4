import tlhelpers as tl
from tlhelpers.models.detector import build_detector
from tlhelpers.tuning import detector_fitting
from tlhelpers.tuning.detector_fitting import fit_detector

import keras
import numpy as np
import pytest

L = keras.layers


@pytest.fixture(autouse=True)
def without_graphs():
    """Take the few steps one by one: to prepare a graph takes longer than they do."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


PAGE = np.random.default_rng(0).integers(0, 60, (96, 120, 3)).astype("uint8")
BOXES = [[10, 20, 30, 44], [60, 50, 84, 70], [90, 10, 110, 30]]
for left, top, right, bottom in BOXES:
    PAGE[top:bottom, left:right] = 220


def build():
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((None, None, 3))
    for width in (4, 6, 8):
        x = L.Conv2D(width, 3, strides=2, padding="same")(x)
        x = L.ReLU()(L.BatchNormalization()(x))
    base = keras.Model(inputs, x, name="own")
    scale = L.Rescaling(1 / 128, offset=-1)
    model = build_detector(base, 1, filters=8, dropout=0.0, preprocess=scale)
    tl.freeze(model)
    return model


def fit(model, **arguments):
    settings = {"side": 32, "crops": 6, "rounds": 2, "epochs": 2, "batch_size": 4, "verbose": 0}
    return fit_detector(model, [PAGE], [BOXES], **{**settings, **arguments})["loss"]


def test_a_frozen_base_sees_each_crop_once_and_stays_as_it_is(monkeypatch):
    model, seen = build(), []
    kept = detector_fitting._maps_kept
    monkeypatch.setattr(
        detector_fitting, "_maps_kept", lambda m, x, size: seen.append(len(x)) or kept(m, x, size)
    )
    base = tl.find_base(model)
    before, head = base.get_weights(), model.layers[-1].get_weights()
    losses = fit(model)
    assert len(losses) == 4 and seen == [6, 6]
    assert all(map(np.array_equal, before, base.get_weights()))
    assert not all(map(np.array_equal, head, model.layers[-1].get_weights()))


def test_the_same_seed_is_the_same_training_and_another_is_not():
    few = {"crops": 2, "rounds": 2, "epochs": 1}
    ends = [(fit(model := build(), seed=seed, **few), model.get_weights()) for seed in (5, 5, 6)]
    assert ends[0][0] == ends[1][0] != ends[2][0]
    assert all(map(np.array_equal, ends[0][1], ends[1][1]))


def test_kept_maps_train_as_the_whole_model_does():
    """Half precision aside: no dropout, a frozen base, the same crops and order."""
    kept, whole = build(), build()
    first = fit(kept, rounds=1, epochs=1, batch_size=6)
    tl.unfreeze(whole, blocks=1)
    for layer in tl.find_base(whole).layers:
        if layer.weights and layer is not tl.find_base(whole).layers[-3]:
            layer.trainable = False
    assert tl.find_base(whole).trainable_variables  # so its base isn't kept
    assert fit(whole, rounds=1, epochs=1, batch_size=6) == pytest.approx(first, rel=1e-3)


def test_an_unfrozen_base_learns_and_the_loss_falls():
    model = build()
    tl.unfreeze(model, fraction=1.0, batchnorm="train")
    before = tl.find_base(model).get_weights()
    losses = fit(model, rounds=1, epochs=6, crops=4, learning_rate=0.01)
    assert losses[-1] < losses[0]
    assert not any(map(np.array_equal, before, tl.find_base(model).get_weights()))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"side": 0}, "`side`"), ({"crops": 0}, "`crops`"), ({"rounds": 0}, "`rounds`"),
        ({"epochs": 0}, "`epochs`"), ({"batch_size": 0}, "`batch_size`"), ({"seed": -1}, "`seed`"),
        ({"learning_rate": 0}, "`peak`|`learning_rate`"), ({"zoom": 0.5}, "`zoom`"),
        ({"side": 90}, "`side` must be a multiple.*Try 64"), ({"side": 96}, "at least 120 pixels"),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused(change, says):
    with pytest.raises(ValueError, match=says):
        fit(build(), **change)


def test_what_is_no_detector_or_learns_nothing_is_refused():
    frozen = build()
    frozen.trainable = False
    for model in (frozen, keras.Sequential([keras.Input((8,)), L.Dense(1)])):
        with pytest.raises(ValueError, match="a detector of build_detector in which something"):
            fit(model)
    with pytest.raises(ValueError, match="Multiply by 255"):
        fit_detector(build(), [PAGE / 255], [BOXES])
