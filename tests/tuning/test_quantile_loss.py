"""The loss of a forecaster is the score `pinball`, and its gradient the slope of that."""

import tlhelpers as tl

import keras
import numpy as np
import pytest

QUANTILES = (0.1, 0.5, 0.9)
RANDOM = np.random.default_rng(0)
TRUTH, SAID = RANDOM.normal(size=(5, 4)), RANDOM.normal(size=(5, 4, 3))


def test_it_is_the_score():
    loss = float(tl.QuantileLoss(QUANTILES)(TRUTH, SAID.astype("float32")))
    score = tl.pinball(truth=TRUTH, forecasts=SAID, quantiles=QUANTILES)
    assert loss == pytest.approx(score, rel=1e-5)


def test_its_gradient_is_the_slope():
    import tensorflow as tf

    said = tf.Variable(SAID)
    with tf.GradientTape() as tape:
        loss = tl.QuantileLoss(QUANTILES, dtype="float64")(TRUTH, said)
    slope = tape.gradient(loss, said).numpy()
    for place in [(0, 0, 0), (2, 3, 1), (4, 1, 2)]:
        step = np.zeros_like(SAID)
        step[place] = 1e-6
        ends = [
            tl.pinball(truth=TRUTH, forecasts=SAID + sign * step, quantiles=QUANTILES)
            for sign in (1, -1)
        ]
        assert slope[place] == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-4)


def test_it_is_saved_with_its_quantiles():
    loss = keras.losses.deserialize(keras.losses.serialize(tl.QuantileLoss((0.2, 0.7))))
    assert loss.quantiles == (0.2, 0.7)


def test_other_quantiles_than_the_models_are_refused():
    with pytest.raises(ValueError, match="as many as the model's 3"):
        tl.QuantileLoss((0.1, 0.5))(TRUTH, SAID)
