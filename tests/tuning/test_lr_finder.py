import random

from tlhelpers.tuning.layerwise import layerwise
from tlhelpers.tuning.lr_finder import _read_off, find_learning_rate

import keras
import numpy as np
import pytest
import tensorflow as tf

RNG = np.random.default_rng(0)
X = RNG.normal(size=(96, 6)).astype("float32")
Y = (X[:, 0] + X[:, 1] > 0).astype("int32")
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def make_model(optimizer=None, seed=0):
    keras.utils.set_random_seed(seed)
    layers = [
        keras.Input((6,)),
        keras.layers.Dense(16, activation="relu"),
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.3),
        keras.layers.Dense(2),
    ]
    model = keras.Sequential(layers)
    model.compile(optimizer or keras.optimizers.Adam(0.01), LOSS, metrics=["accuracy"])
    return model


def state(model):
    every = [*model.variables, *model.optimizer.variables]
    return [v.numpy() for v in every]


def draws():
    return (
        random.random(),
        np.random.rand(),
        float(keras.random.normal(())),
        float(tf.random.normal(())),
    )


def find(model, **arguments):
    return find_learning_rate(model, X, Y, **{"steps": 40, "smoothing": 0.3, **arguments})


@pytest.mark.parametrize("fitted", [False, True])
def test_everything_is_as_before(fitted):
    expected, found = [], []
    for used in (expected, found):
        model = make_model()
        if fitted:
            model.fit(X, Y, epochs=1, verbose=0)
        optimizer, trace = model.optimizer, model.train_function
        before = state(model)
        if used is found:
            find(model)
            for a, b in zip(state(model), before, strict=True):
                np.testing.assert_array_equal(a, b)
            assert model.optimizer is optimizer and model.train_function is trace
        used += draws()
        model.fit(X, Y, epochs=2, shuffle=False, verbose=0)
        used += state(model)
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_array_equal(a, b)


def test_random_state_is_kept_when_keras_has_no_generator_yet():
    from keras.src.backend.common import global_state

    own = global_state.get_global_attribute("global_seed_generator")
    model, drawn = make_model(), []
    try:
        for used in (True, False):
            global_state.set_global_attribute("global_seed_generator", None)
            random.seed(3)
            if used:
                find(model, steps=10)
            drawn.append((float(keras.random.normal(())), random.random()))
    finally:
        global_state.set_global_attribute("global_seed_generator", own)
    assert drawn[0] == drawn[1]


def test_an_error_on_the_way_restores_too():
    model = make_model()
    before = state(model)
    with pytest.raises(ValueError):
        find_learning_rate(model, X, np.full((96, 3), "a"), steps=10)
    for a, b in zip(state(model), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_repeats_and_finds_a_rate_that_trains():
    model = make_model(keras.optimizers.SGD(1e-6))
    found, again = find(model, high=100.0), find(model, high=100.0)
    np.testing.assert_array_equal(found.losses, again.losses)
    low, high = found.range
    assert 1e-6 < low <= found.suggestion <= high < 100.0
    assert np.all(np.diff(found.rates) > 0) and np.all(np.isfinite(found.losses))
    before = model.evaluate(X, Y, verbose=0)[0]
    model.optimizer.learning_rate = found.suggestion
    model.fit(X, Y, epochs=20, verbose=0)
    assert model.evaluate(X, Y, verbose=0)[0] < 0.6 * before
    assert f"{found.suggestion:.1e}" in str(found)


def test_a_quadratic_bowl_explodes_beyond_its_stability():
    """With loss mean((w x)^2), x = 1, SGD diverges above rate 1: no point far beyond it is kept."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.compile(keras.optimizers.SGD(0.1), loss="mse")
    model.set_weights([np.array([[2.0]])])
    found = find_learning_rate(
        model, np.ones((8, 1)), np.zeros((8, 1)), low=1e-3, high=1e4, steps=140, batch_size=8
    )
    assert found.range[1] < 1.5
    assert found.rates[-1] < 1e3
    assert np.all(np.isfinite(found.losses))


def test_smoothing_is_exact_for_constants_and_unbiased_at_the_ends():
    rates = np.geomspace(1e-5, 1e-1, 50)
    flat = _read_off(rates, np.full(50, 0.7), 0.2)
    np.testing.assert_allclose(flat.smoothed, 0.7, rtol=1e-12)
    assert flat.range is None and flat.suggestion is None and "does not fall" in str(flat)
    fall = 1 / (1 + np.exp(4 * (np.log10(rates) + 3)))  # steepest at 1e-3
    noisy = fall + 0.05 * np.random.default_rng(0).normal(size=50)
    found = _read_off(rates, noisy, 0.2)
    assert found.suggestion == pytest.approx(1e-3, rel=0.5)
    assert np.abs(found.smoothed - fall).mean() < np.abs(noisy - fall).mean()


def test_not_finite_values_are_dropped_and_from_the_start_an_error():
    model = make_model()

    def breaks_at(step):
        calls = tf.Variable(0)

        def loss(y_true, y_pred):
            calls.assign_add(1)
            nan = tf.where(calls > step, float("nan"), 0.0)
            return keras.ops.mean(keras.ops.square(y_pred)) + nan

        return loss

    model.compile("adam", loss=breaks_at(12))
    found = find(model)
    assert len(found.rates) == len(found.losses) == len(found.smoothed) == 12
    model.compile("adam", loss=breaks_at(0))
    before = state(model)
    with pytest.raises(ValueError, match="finite"):
        find(model)
    for a, b in zip(state(model), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_schedules_layerwise_rates_datasets_and_mixed_precision():
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 10)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = make_model()
    finally:
        keras.config.set_dtype_policy("float32")
    model.compile(layerwise(keras.optimizers.Adam(schedule), model, decay=0.5), LOSS)
    batches = tf.data.Dataset.from_tensor_slices((X, Y)).batch(32)
    found = find_learning_rate(model, batches, steps=30)
    assert len(found.rates) > 5
    assert model.optimizer.inner_optimizer._learning_rate.initial_learning_rate == 0.1
    assert not model.optimizer.built


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"low": 0.0}, r"low=0\.0"),
        ({"low": 2.0}, r"low=2\.0"),
        ({"high": float("inf")}, "high=inf"),
        ({"steps": 3}, "steps=3"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"smoothing": 0}, "smoothing=0"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_bad_input(arguments, words):
    with pytest.raises(ValueError, match=f"Received: .*{words}"):
        find(make_model(), **arguments)


def test_bad_data_and_models():
    model = make_model()
    with pytest.raises(ValueError, match=r"lengths \[96, 95\]"):
        find_learning_rate(model, X, Y[1:])
    with pytest.raises(ValueError, match="y=None"):
        find_learning_rate(model, X)
    model.compiled = False
    with pytest.raises(ValueError, match="compiled=False"):
        find(model)
