"""The scope of a model, and what is refused of it; test_several_devices.py has two devices."""

from tlhelpers.checks.devices import check_optimizer, count_devices, scope_of

import keras
import tensorflow as tf


def dense():
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])


def test_a_model_without_a_strategy_is_on_one_device():
    with scope_of(dense()):
        assert not tf.distribute.has_strategy()
    assert count_devices(dense()) == 1
    check_optimizer(dense(), keras.optimizers.SGD())


def test_what_is_made_in_the_scope_of_a_model_is_of_its_strategy():
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        model = dense()
    with scope_of(model):
        other = dense()
    assert other.distribute_strategy is strategy and not tf.distribute.has_strategy()
    assert count_devices(model) == 1


def test_what_is_no_keras_model_is_on_one_device():
    with scope_of("a model of another backend"):
        assert count_devices(None) == 1
