"""That the adversarial game is the one of the paper, on encoders of a few known weights."""

import tlhelpers as tl
from tlhelpers.adaptation.dann import build_discriminator

import keras
import numpy as np
import pytest
import tensorflow as tf

L = keras.layers


@pytest.mark.parametrize("weight", [0.0, 0.3, 2.0])
def test_gradient_of_the_encoder_is_minus_weight_times_finite_differences(weight):
    rng = np.random.default_rng(0)
    keras.utils.set_random_seed(0)
    encoder = keras.Sequential([keras.Input((3,)), L.Dense(4, activation="tanh")])
    smooth = keras.Sequential([L.Dense(5, activation="tanh"), L.Dense(1)])
    model = tl.DANN(encoder, L.Dense(2), smooth, weight=weight, gamma=None)
    model({name: np.ones((1, 3), "float32") for name in ("source", "target")})
    pair = {k: rng.normal(size=(8, 3)).astype("float32") for k in ("source", "target")}
    variables = [encoder.layers[0].kernel, *smooth.trainable_variables]
    with tf.GradientTape() as tape:
        loss = model(pair)["alignment"]
    reversed_, *plain = tape.gradient(loss, [v.value for v in variables])

    def slopes(variable):
        start, step, out = variable.numpy(), 1e-2, np.zeros(variable.shape)
        for index in np.ndindex(*variable.shape):
            for sign in (1, -1):
                moved = start.copy()
                moved[index] += sign * step
                variable.assign(moved)
                out[index] += sign * float(model(pair)["alignment"]) / (2 * step)
        variable.assign(start)
        return out

    np.testing.assert_allclose(reversed_, -weight * slopes(variables[0]), atol=2e-4)
    head = variables[-2]  # the discriminator itself goes down its loss at full weight
    np.testing.assert_allclose(plain[-2], slopes(head), atol=2e-4)
    assert np.abs(slopes(head)).max() > 0.01


class Scale(L.Layer):
    """An encoder of two weights: one for the signal, one for the flag of the domain."""

    def build(self, shape):
        self.scale = self.add_weight(shape=(2,), initializer="ones")

    def call(self, x):
        return x * self.scale


def flagged(seed, n=1000):
    """Class = sign of the first number; the second is 0 in the source, 1 in the target."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, 2 * n)
    signal = (2 * y - 1) + 0.2 * rng.normal(size=2 * n)
    x = np.stack([signal, np.repeat([0, 1], n)], axis=1).astype("float32")
    return x[:n], y[:n], x[n:], y[n:]


def build(weight):
    """Return a model in which the flag decides the class at first, and its weights."""
    keras.utils.set_random_seed(0)
    start = keras.initializers.Constant(np.array([[-1.0, 1.0], [3.0, -3.0]]))
    classifier = L.Dense(2, kernel_initializer=start)
    model = tl.DANN(Scale(), classifier, build_discriminator(20), weight=weight)
    model.compile(keras.optimizers.SGD(0.1))
    model({"source": np.ones((1, 2), "float32"), "target": np.ones((1, 2), "float32")})
    return model, model.get_weights()


def train(model, start, seed):
    """Return both weights of the encoder, and the accuracy on the target, after a training."""
    x_source, y_source, x_target, y_target = flagged(seed)
    model.set_weights(start)
    model.fit(tl.paired_batches(x_source, y_source, x_target, 50, seed), epochs=10, verbose=0)
    accuracy = (model.predict(x_target, verbose=0).argmax(1) == y_target).mean()
    return model.encoder.scale.numpy(), accuracy


def test_without_reversal_the_flag_is_untouched_and_the_target_is_lost():
    (signal, flag), accuracy = train(*build(weight=0.0), seed=0)
    assert flag == 1.0 and signal != 1.0
    assert accuracy < 0.8


def test_with_reversal_the_flag_fades_and_the_target_is_won_in_five_of_five_seeds():
    model, start = build(weight=1.0)
    for seed in range(5):
        (signal, flag), accuracy = train(model, start, seed)
        assert abs(flag / signal) < 0.15
        assert accuracy > 0.95


def test_the_default_discriminator_is_the_papers():
    model = tl.DANN(Scale(), L.Dense(2))
    model({"source": np.ones((1, 2), "float32"), "target": np.ones((1, 2), "float32")})
    shapes = [v.shape for v in model.discriminator.trainable_variables]
    assert shapes == [(2, 100), (100,), (100, 1), (1,)]


def test_domain_loss_and_accuracy_closed_form():
    head = L.Dense(1, kernel_initializer=keras.initializers.Constant(2.0))
    model = tl.DANN(keras.Sequential([L.Identity()]), L.Dense(2), head, weight=0, gamma=None)
    model.compile(keras.optimizers.SGD(0.0))
    x_source, x_target = np.full((4, 1), -1.0), np.array([[1.0], [1.0], [1.0], [-1.0]])
    data = tl.paired_batches(x_source, np.zeros(4, int), x_target, 4)
    history = model.fit(data, verbose=0).history
    right, wrong = np.log1p(np.exp(-2)), np.log1p(np.exp(2))
    assert history["domain_loss"][0] == pytest.approx((7 * right + wrong) / 8, rel=1e-5)
    assert history["domain_accuracy"][0] == pytest.approx(7 / 8)
