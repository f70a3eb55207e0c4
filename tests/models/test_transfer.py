from tlhelpers.models.transfer import transfer_weights

import keras
import numpy as np
import pytest


def make_net(classes=3, width=5, nested=False, head="head", seed=0):
    keras.utils.set_random_seed(seed)
    stem = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, name="conv1")(stem)
    x = keras.layers.BatchNormalization(name="bn1", moving_mean_initializer="normal")(x)
    x = keras.layers.Conv2D(width, 3, name="conv2")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    if nested:
        base = keras.Model(stem, x, name="base")
        stem = keras.Input((8, 8, 3))
        x = base(stem)
    return keras.Model(stem, keras.layers.Dense(classes, name=head)(x))


@pytest.mark.parametrize("nested", [False, True])
def test_loaded_layers_are_equal_and_the_rest_as_before(nested):
    source, target = make_net(seed=1), make_net(classes=7, nested=nested, seed=2)
    before = target.get_weights()[-2:]
    report = transfer_weights(source, target)
    assert report.loaded == ("conv1", "bn1", "conv2")
    assert report.mismatched == {"head": "source 5x3 3, target 5x7 7"}
    assert report.skipped == report.unused == ()
    for a, b in zip(source.get_weights()[:-2], target.get_weights()[:-2], strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(before, target.get_weights()[-2:], strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_report_accounts_for_every_layer():
    report = transfer_weights(make_net(width=6, head="old"), make_net(head="new"))
    assert str(report).splitlines() == [
        "loaded 2 layers, 128 of 331 weights",
        "mismatched 1: conv2 (source 3x3x4x6 6, target 3x3x4x5 5)",
        "skipped 1: new",
        "unused 1: old",
    ]


def test_equal_models_predict_equally_and_go_on_training():
    source, target = make_net(seed=1), make_net(nested=True, seed=2)
    x = np.random.default_rng(0).normal(size=(4, 8, 8, 3))
    target.compile("sgd", loss="mse")
    target.fit(x, np.zeros((4, 3)), verbose=0)
    transfer_weights(source, target)
    np.testing.assert_allclose(
        source.predict(x, verbose=0), target.predict(x, verbose=0), atol=1e-6
    )
    before = target.get_weights()
    target.fit(x, np.zeros((4, 3)), verbose=0)
    assert np.abs(target.get_weights()[0] - before[0]).max() > 0


def test_nothing_fits_is_an_error_and_changes_nothing():
    source = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, name="head")])
    target = make_net()
    before = target.get_weights()
    with pytest.raises(ValueError, match="equal names") as error:
        transfer_weights(source, target)
    assert "skipped 3: conv1, bn1, conv2" in str(error.value)
    assert "head (source 2x3 3, target 5x3 3)" in str(error.value)
    for a, b in zip(before, target.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_models_that_cannot_take_part():
    empty = keras.Sequential([keras.layers.Dense(1)])
    with pytest.raises(ValueError, match="Received: target="):
        transfer_weights(make_net(), empty)
    twice = keras.Sequential([make_net(head="dense"), keras.layers.Dense(2, name="dense")])
    with pytest.raises(ValueError, match="two layers 'dense'"):
        transfer_weights(twice, make_net())
