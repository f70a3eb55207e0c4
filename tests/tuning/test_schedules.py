import math

from tlhelpers.tuning.schedules import one_cycle, warmup_cosine

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st


def values(schedule, steps):
    return [float(schedule(step)) for step in range(steps + 3)]


def cosine(t, steps, w, peak, final):
    if t < w:
        return peak * t / w
    return final + (peak - final) * (1 + math.cos(math.pi * min((t - w) / (steps - w), 1))) / 2


@settings(deadline=None, max_examples=20, derandomize=True)
@given(
    peak=st.floats(1e-6, 10),
    steps=st.integers(1, 40),
    warmup=st.floats(0, 0.99),
    share=st.floats(0, 1),
)
def test_warmup_cosine_is_its_formula(peak, steps, warmup, share):
    w = min(round(warmup * steps), steps - 1)
    expected = [cosine(t, steps, w, peak, share * peak) for t in range(steps + 3)]
    found = values(warmup_cosine(peak, steps, warmup, final=share * peak), steps)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6 * peak)


def test_landmarks_of_one_cycle():
    found = values(one_cycle(0.5, 100, warmup=0.3), 100)
    assert found[0] == pytest.approx(0.02)
    assert found[15] == pytest.approx((0.02 + 0.5) / 2)
    assert max(found) == found[30] == pytest.approx(0.5)
    assert found[65] == pytest.approx((0.5 + 5e-6) / 2)
    assert found[100] == found[102] == pytest.approx(5e-6, rel=1e-3)
    assert np.all(np.diff(found[:31]) > 0) and np.all(np.diff(found[30:101]) < 0)


def test_linear_one_cycle_is_the_slanted_triangle():
    steps, peak, ratio, cut = 200, 0.01, 32, 20
    found = values(
        one_cycle(peak, steps, 0.1, start=peak / ratio, final=peak / ratio, shape="linear"), steps
    )
    for t in range(steps + 1):  # ULMFiT, eq. 3
        p = t / cut if t < cut else 1 - (t - cut) / (steps - cut)
        assert found[t] == pytest.approx(peak * (1 + p * (ratio - 1)) / ratio, rel=1e-4)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_shortest_trainings_have_finite_rates(steps):
    for schedule in (warmup_cosine(0.1, steps, 0.9), one_cycle(0.1, steps, 0.9)):
        found = values(schedule, steps)
        assert np.all(np.isfinite(found)) and max(found) == pytest.approx(0.1)


@pytest.mark.parametrize(
    "schedule",
    [warmup_cosine(0.1, 50), warmup_cosine(0.1, 50, 0), one_cycle(0.1, 50, shape="linear")],
)
def test_saved_with_a_model(schedule, tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(schedule), loss="mse")
    model.fit(np.ones((40, 2)), np.ones((40, 1)), batch_size=4, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    assert int(loaded.optimizer.iterations) == 10
    assert float(loaded.optimizer.learning_rate) == float(schedule(10))


@pytest.mark.parametrize("make", [warmup_cosine, one_cycle])
@pytest.mark.parametrize(
    "bad",
    [
        {"peak": 0},
        {"peak": -1e-3},
        {"peak": math.nan},
        {"peak": math.inf},
        {"peak": "1e-3"},
        {"steps": 0},
        {"steps": 10.0},
        {"steps": True},
        {"warmup": 1.0},
        {"warmup": -0.1},
        {"warmup": 10},
        {"final": -1e-9},
        {"final": 0.2},
        {"final": math.nan},
    ],
)
def test_bad_input(make, bad):
    (name, value), *_ = bad.items()
    with pytest.raises(ValueError, match=f"Received: {name}={value!r}"):
        make(**{"peak": 0.1, "steps": 10, **bad})


def test_bad_input_of_one_cycle_only():
    with pytest.raises(ValueError, match=r"Received: start=0\.2"):
        one_cycle(0.1, 10, start=0.2)
    with pytest.raises(ValueError, match="Received: shape='round'"):
        one_cycle(0.1, 10, shape="round")
