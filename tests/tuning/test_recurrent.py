"""Freezing, layer-wise rates and the prefix cache on networks with memory."""

import tlhelpers as tl
from tlhelpers.models.anatomy import Anatomy

import keras
import numpy as np
import pytest

L = keras.layers
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
X = np.random.default_rng(0).normal(size=(24, 3, 2)).astype("float32")
Y = (X.mean(axis=(1, 2)) > 0).astype("int32")


def both_ways(units, name, **settings):
    return L.Bidirectional(L.LSTM(units, **settings), name=name)


def of_cells(units, name, **settings):
    return L.RNN([L.GRUCell(units), L.LSTMCell(units)], name=name, **settings)


def with_dropout(units, name, **settings):
    return L.GRU(units, dropout=0.3, recurrent_dropout=0.3, name=name, **settings)


KINDS = {"gru": L.GRU, "lstm": L.LSTM, "both ways": both_ways, "of cells": of_cells}


def make(kind, is_nested):
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((3, 2))
    for number in (1, 2, 3):
        x = kind(3, return_sequences=number < 3, name=f"r{number}")(x)
    if is_nested:
        base, inputs = keras.Model(inputs, x, name="base"), keras.Input((3, 2))
        x = base(inputs)
    return keras.Model(inputs, L.Dense(2, name="out")(x))


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def kind(request):
    return request.param


@pytest.fixture(params=[True, False], ids=["nested", "inlined"])
def model(kind, request):
    return make(kind, request.param)


def layer_of(weight, model):
    return next(
        layer.name
        for layer in model._flatten_layers()
        if layer.name in ("r1", "r2", "r3", "out") and any(weight is v for v in layer.weights)
    )


def test_each_recurrent_layer_is_a_block_and_the_last_one_is_no_head(model):
    assert [block.name for block in tl.find_blocks(model)] == ["r1", "r2", "r3"]
    assert [layer.name for layer in Anatomy(model).head if layer.weights] == ["out"]


def test_what_is_frozen_keeps_its_bits_and_what_is_unfrozen_learns(model):
    tl.unfreeze(model, blocks=1)
    model.compile(keras.optimizers.Adam(0.1), LOSS, run_eagerly=True)
    before = [weight.numpy() for weight in model.weights]
    model.fit(X, Y, batch_size=24, epochs=1, verbose=0)
    changed = {
        layer_of(weight, model)
        for weight, old in zip(model.weights, before, strict=True)
        if not np.array_equal(weight.numpy(), old)
    }
    assert changed == {"r3", "out"}


def test_layerwise_scales_the_step_of_each_recurrent_weight(kind):
    steps = {}
    for decay in (1.0, 0.5):
        model = make(kind, is_nested=False)
        before = [weight.numpy() for weight in model.weights]
        optimizer = tl.layerwise(keras.optimizers.SGD(0.1), model, decay=decay)
        model.compile(optimizer, LOSS, run_eagerly=True)
        model.fit(X, Y, batch_size=24, epochs=1, verbose=0)
        for weight, old in zip(model.weights, before, strict=True):
            steps.setdefault(decay, []).append((layer_of(weight, model), weight.numpy() - old))
    factors = {"out": 1, "r3": 0.5, "r2": 0.25, "r1": 0.125}
    for (name, whole), (_, part) in zip(steps[1.0], steps[0.5], strict=True):
        np.testing.assert_allclose(part, factors[name] * whole, atol=1e-7)


def test_the_prefix_cache_changes_nothing():
    ends = []
    for cached in (True, False):
        model = make(L.GRU, is_nested=False)
        history = tl.fine_tune(
            model, (X[:16], Y[:16]), (X[16:], Y[16:]), unfreeze=1, head_epochs=1, epochs=1,
            learning_rate=0.01, cache_prefix=cached, batch_size=16, verbose=0,
        )  # fmt: skip
        assert [phase.cached_behind for phase in history.phases] == (
            ["r3", "r2"] if cached else [None, None]
        )
        ends.append(model.get_weights())
    for one, other in zip(*ends, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_a_cut_leaves_the_model_as_it_was(model):
    prefix, tail = tl.split_at(model, "r2")
    np.testing.assert_allclose(tail(prefix(X)), model(X), atol=1e-6)
    features = tl.extract_features(prefix, X)
    np.testing.assert_allclose(tail(features), model(X), atol=1e-6)


def test_dropout_of_a_frozen_recurrent_layer_is_off_in_the_cache():
    model = make(with_dropout, is_nested=False)
    tl.fine_tune(model, (X, Y), head_epochs=2, unfreeze=None, verbose=0)
    one, other = (tl.extract_features(tl.split_at(model, "r3")[0], X) for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_a_net_that_ends_with_a_recurrent_layer_has_no_head():
    alone = keras.Sequential([keras.Input((3, 2)), L.GRU(3, return_sequences=True), L.GRU(3)])
    assert not Anatomy(alone).head and len(tl.find_blocks(alone)) == 2


def test_the_training_of_many_seeds_starts_from_the_same_memory():
    model = make(L.GRU, is_nested=False)
    tl.unfreeze(model, blocks=2)
    once, start = tl.compile_once(model, loss=LOSS), model.get_weights()
    runs = [once.train(X, Y, start, epochs=1, seed=seed) for seed in (0, 1, 0)]
    for one, same in zip(runs[0].weights, runs[2].weights, strict=True):
        np.testing.assert_array_equal(one, same)
