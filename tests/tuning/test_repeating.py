"""One model, compiled once, trained from many beginnings."""

from tlhelpers.models.anatomy import find_blocks
from tlhelpers.tuning import repeating
from tlhelpers.tuning.freezing import freeze, unfreeze
from tlhelpers.tuning.layerwise import layerwise
from tlhelpers.tuning.repeating import compile_once
from tlhelpers.tuning.schedules import warmup_cosine

import keras
import numpy as np
import pytest
from toys import TRAIN, VALIDATION, X, Y, make


def same(a, b):
    return all(np.array_equal(p, q) for p, q in zip(a, b, strict=True))


def repeated(dropout=0.0, **settings):
    model = make(dropout=dropout)
    unfreeze(model, fraction=1.0, batchnorm="train")
    return compile_once(model, batch_size=7, **settings)


@pytest.mark.parametrize("optimizer", ["adam", "layerwise"])
def test_the_same_seed_ends_with_the_same_bits_whatever_came_between(optimizer):
    model = make(dropout=0.5)
    unfreeze(model, fraction=1.0, batchnorm="train")
    adam = keras.optimizers.Adam(1e-2)
    again = compile_once(
        model, optimizer=adam if optimizer == "adam" else layerwise(adam, model, decay=0.5)
    )
    start = model.get_weights()
    first = again.train(*TRAIN, start, epochs=2, seed=3, test=VALIDATION)
    other = again.train(*TRAIN, first.weights, epochs=1, seed=4, learning_rate=0.1)
    second = again.train(*TRAIN, start, epochs=2, seed=3, learning_rate=1e-2, test=VALIDATION)
    assert same(first.weights, second.weights) and first.score == second.score
    assert same(second.weights, model.get_weights())
    assert not same(first.weights, start) and not same(other.weights, first.weights)
    assert np.isnan(other.score) and first.seconds > 0
    third = again.train(*TRAIN, epochs=2, seed=3)  # by default from where it was compiled
    assert same(first.weights, third.weights)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_a_seed_draws_the_order_and_the_dropout(dropout):
    again = repeated(dropout)
    again.batch_size = 18 if dropout else 7  # one batch: no order to draw
    a, b = (again.train(*TRAIN, epochs=1, seed=seed).weights for seed in (0, 1))
    assert not np.allclose(a[-2], b[-2], rtol=0, atol=1e-7)


def test_features_of_other_data_leave_the_training_alone():
    model = make()
    unfreeze(model, blocks=1)
    again = compile_once(model, behind=find_blocks(model)[-2].layers[-1].name)
    again.train(again.features(X), Y, epochs=3, learning_rate=1e-2)
    ends = model.get_weights()
    scored = again.score(again.features(X), Y)
    assert same(ends, model.get_weights())
    assert scored == pytest.approx(np.mean(model.predict(X, verbose=0).argmax(axis=1) == Y))


def test_an_end_that_does_not_tell_its_kind_needs_a_loss():
    images = keras.Input((4,))
    model = keras.Model(images, keras.layers.Dense(3)(images) * 2.0)
    with pytest.raises(ValueError, match="`loss` must be given"):
        compile_once(model)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    assert compile_once(model, loss=loss, metrics=["accuracy"]).net.compiled


def test_a_training_step_of_ones_own_is_refused():
    class Own(keras.Model):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return keras.ops.mean(y_pred**2)

    model = make()
    own = Own(model.input, model.output)
    with pytest.raises(ValueError, match="compute_loss"):
        compile_once(own)


def test_it_is_the_training_that_keras_would_do():
    again = repeated(optimizer=keras.optimizers.SGD())
    start = again.model.get_weights()
    rates = warmup_cosine(1e-2, steps=6)
    end = again.train(*TRAIN, start, epochs=2, seed=5, learning_rate=rates)
    plain = make()
    unfreeze(plain, fraction=1.0, batchnorm="train")
    plain.set_weights(start)
    plain.compile(
        keras.optimizers.SGD(rates), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    rng = np.random.default_rng(5)
    for _ in range(2):
        order = rng.permutation(18)
        plain.fit(X[order], Y[order], batch_size=7, shuffle=False, verbose=0)
    for a, b in zip(end.weights, plain.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("most", [1, 10])
@pytest.mark.parametrize("rate", [None, 1e-2, warmup_cosine(1e-2, steps=10)])
def test_steps_in_one_graph_end_with_the_bits_of_steps_one_by_one(rate, most, monkeypatch):
    monkeypatch.setattr(repeating, "MOST_STEPS", most)
    again = repeated(dropout=0.5)  # with batch normalization, and a last batch that is smaller
    again.batch_size = 4
    assert again._take is not None
    in_graphs = again.train(*TRAIN, epochs=2, seed=3, learning_rate=rate)
    again._take = None
    one_by_one = again.train(*TRAIN, epochs=2, seed=3, learning_rate=rate)
    assert same(in_graphs.weights, one_by_one.weights)
    assert not same(in_graphs.weights, again.train(*TRAIN, epochs=2, seed=4).weights)


class Halved(keras.optimizers.schedules.LearningRateSchedule):
    """One of the user's own, with a state that its configuration does not tell."""

    rate = 0.1

    def __call__(self, step):
        return self.rate * 0.5 ** float(step)

    def get_config(self):
        return {}


def test_rates_are_those_of_the_schedule_that_was_given():
    schedules = keras.optimizers.schedules
    given = [
        warmup_cosine(1e-2, steps=5), warmup_cosine(2e-2, steps=5), Halved(),
        schedules.PiecewiseConstantDecay([2, 4], [0.1, 0.01, 0.001]),
        schedules.ExponentialDecay(np.float32(0.1), 2, 0.5),
    ]  # fmt: skip
    for schedule in [*given, *given]:
        for steps in (7, 3):
            expected = [float(schedule(step)) for step in range(steps)]
            assert list(repeating.rates_of(schedule, steps)) == expected
    given[2].rate = 1.0
    assert repeating.rates_of(given[2], 2) == (1.0, 0.5)


def test_is_traced_once():
    traces = []

    @keras.saving.register_keras_serializable("test_repeating")
    class Counts(keras.layers.Layer):
        def call(self, x, training=None):
            traces.append(training)
            return x

    inputs = keras.Input((16, 16, 3))
    hidden = keras.layers.Flatten()(Counts()(inputs))
    again = compile_once(keras.Model(inputs, keras.layers.Dense(3)(hidden)), batch_size=7)
    traces.clear()
    start = again.model.get_weights()
    for seed in range(3):
        again.train(*TRAIN, start, epochs=2, seed=seed, learning_rate=0.1, test=VALIDATION)
    seen = len(traces)
    for seed in range(3):
        again.train(X[:15], Y[:15], epochs=1, seed=seed, learning_rate=0.2, test=TRAIN)
    assert 0 < seen <= 4 and len(traces) == seen


def test_a_frozen_part_runs_once_and_gives_the_same_training():
    model = make()
    freeze(model)
    whole, behind = compile_once(model, batch_size=6), None
    start = model.get_weights()
    wanted = whole.train(*TRAIN, start, epochs=3, test=VALIDATION)
    behind = compile_once(model, behind="pooling", batch_size=6)
    assert len(behind.net.variables) < len(model.variables)
    x, x_test = behind.features(TRAIN[0]), behind.features(VALIDATION[0])
    assert x.shape == (18, 4)
    end = behind.train(x, TRAIN[1], start, epochs=3, test=(x_test, VALIDATION[1]))
    for a, b in zip(end.weights, wanted.weights, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    assert end.score == pytest.approx(wanted.score)
    unfreeze(model, fraction=1.0)
    compile_once(model).train(*TRAIN, start, epochs=1)  # changes the part that was frozen
    after = behind.train(behind.features(TRAIN[0]), TRAIN[1], start, epochs=3)
    assert same(after.weights, end.weights)
    other = [array + 1 for array in start]
    with pytest.raises(ValueError, match="must agree with the model in its frozen part"):
        behind.train(x, TRAIN[1], other, epochs=1)


def test_what_learns_stays_what_it_was_when_others_share_the_model():
    model = make()
    unfreeze(model, blocks=1)
    last = compile_once(model, batch_size=6)
    start = model.get_weights()
    wanted = last.train(*TRAIN, start, epochs=1).weights
    unfreeze(model, fraction=1.0)
    everything = compile_once(model, batch_size=6)
    other = everything.train(*TRAIN, start, epochs=1).weights
    assert same(last.train(*TRAIN, start, epochs=1).weights, wanted)
    assert same(everything.train(*TRAIN, start, epochs=1).weights, other)
    assert np.array_equal(wanted[0], start[0]) and not np.array_equal(other[0], start[0])


def test_leaves_the_random_states_of_others_alone():
    again = repeated(0.5)
    np.random.seed(7)
    wanted = np.random.RandomState(7).rand()
    again.train(*TRAIN, epochs=1)
    assert np.random.rand() == wanted


def test_score_is_the_first_metric():
    again = repeated()
    predicted = again.model.predict(X, verbose=0).argmax(axis=1)
    assert again.score(X, Y) == pytest.approx(np.mean(predicted == Y))
    regression = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    mse = compile_once(regression, loss="mse")
    x, y = np.ones((4, 2), "float32"), np.zeros((4, 1), "float32")
    assert mse.score(x, y) == pytest.approx(float(np.mean(regression.predict(x, verbose=0) ** 2)))


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        (lambda m: unfreeze(m, blocks=1), {"behind": "pooling"}, "none of them before the layer"),
        (lambda m: setattr(m, "trainable", False), {}, "must have weights that learn"),
        (lambda m: freeze(m), {"batch_size": 0}, "`batch_size` must be a whole number"),
    ],
)
def test_refuses_what_cannot_learn(change, settings, message):
    model = make()
    change(model)
    with pytest.raises(ValueError, match=message):
        compile_once(model, **settings)


def test_refuses_other_weights_and_labels():
    again = repeated()
    with pytest.raises(ValueError, match="`weights` must be those of the whole model"):
        again.train(*TRAIN, again.model.get_weights()[1:], epochs=1)
    with pytest.raises(ValueError, match="labels"):
        again.train(X, Y + 5, epochs=1)
    with pytest.raises(ValueError, match="`learning_rate` must be"):
        again.train(*TRAIN, epochs=1, learning_rate=0.0)
