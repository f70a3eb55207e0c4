import tlhelpers as tl

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

few = settings(max_examples=20, deadline=None, derandomize=True)
numbers = st.floats(-1e6, 1e6, width=32, allow_subnormal=False)


def gradient(layer, x, upstream):
    x = tf.constant(x, "float32")
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = ops.sum(layer(x) * upstream)
    return tape.gradient(loss, x).numpy()


@few
@given(
    st.floats(0, 1e3),
    st.lists(st.floats(-1e6, 1e6, width=32, allow_subnormal=False), min_size=1, max_size=5),
)
def test_forward_is_the_input_to_the_last_bit(weight, values):
    x = np.array(values, "float32")
    np.testing.assert_array_equal(tl.GradientReversal(weight)(x), x)


@few
@given(st.floats(0, 100), st.floats(-10, 10))
def test_gradient_is_minus_weight_times_upstream(weight, upstream):
    got = gradient(tl.GradientReversal(weight), [1.0, -2.0], upstream)
    np.testing.assert_allclose(got, -weight * upstream, rtol=1e-5, atol=1e-7)


def test_weight_changes_without_a_new_trace():
    layer, traces = tl.GradientReversal(), []

    @tf.function
    def slope(x):
        traces.append(1)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reduce_sum(layer(x))
        return tape.gradient(y, x)

    x = tf.ones(2)
    assert slope(x).numpy().tolist() == [0, 0]
    layer.weight.assign(0.5)
    assert slope(x).numpy().tolist() == [-0.5, -0.5]
    layer.weight = 2.0
    assert slope(x).numpy().tolist() == [-2, -2]
    assert len(traces) == 1


def test_no_optimizer_trains_the_weight():
    assert tl.GradientReversal(0.3).trainable_variables == []


def test_half_precision_stays_half():
    layer = tl.GradientReversal(0.5, dtype="mixed_float16")
    assert layer(np.ones((1, 2), "float32")).dtype == tf.float16


def test_saves_and_loads_with_its_present_weight(tmp_path):
    inputs = keras.Input((3,))
    model = keras.Model(inputs, tl.GradientReversal(0.25, name="reverse")(inputs))
    model.get_layer("reverse").weight = 0.75
    model.save(tmp_path / "m.keras")
    layer = keras.saving.load_model(tmp_path / "m.keras", safe_mode=True).get_layer("reverse")
    assert float(layer.weight) == 0.75 and layer.initial == 0.25


@pytest.mark.parametrize("weight", [-1, float("nan"), float("inf"), True, "1", [1.0]])
def test_bad_weight(weight):
    with pytest.raises(ValueError, match=r"`weight` must be .*, 0 or above\. Received: weight="):
        tl.GradientReversal(weight)
    layer = tl.GradientReversal(0.5)
    with pytest.raises(ValueError, match="Received: weight="):
        layer.weight = weight
    assert float(layer.weight) == 0.5


def test_schedule_closed_form():
    assert tl.reversal_schedule(0.0) == 0.0
    assert tl.reversal_schedule(1.0) == pytest.approx(np.tanh(5))  # 2 sigmoid(x) - 1 = tanh(x / 2)
    p = np.linspace(0, 1, 11)
    np.testing.assert_allclose(tl.reversal_schedule(p, gamma=3), np.tanh(1.5 * p), rtol=1e-12)
    assert isinstance(tl.reversal_schedule(0.5), float)


@pytest.mark.parametrize("progress", [-0.01, 1.01, float("nan"), np.array([0.5, 2])])
def test_bad_progress(progress):
    with pytest.raises(ValueError, match=r"`progress` must lie in 0..1. Received: progress="):
        tl.reversal_schedule(progress)


@pytest.mark.parametrize("gamma", [0, -1, float("inf"), "10"])
def test_bad_gamma(gamma):
    with pytest.raises(ValueError, match=r"`gamma` must be .* above 0\. Received: gamma=.*Use 10"):
        tl.reversal_schedule(0.5, gamma=gamma)
