"""Windows of series: what stands in them, and what is no series."""

import tlhelpers as tl
from tlhelpers.sources.windows import to_inputs

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

LONG = np.random.default_rng(0).uniform(1, 9, size=60)


@given(st.lists(st.integers(1, 70), min_size=1, max_size=5), st.integers(1, 20), st.integers(1, 20))
@settings(max_examples=40, deadline=None)
def test_a_series_has_a_window_for_each_place(lengths, history, horizon):
    series = [LONG[:1].repeat(n) * np.arange(1, n + 1) for n in lengths]
    counts = [max(n - history - horizon + 1, 0) for n in lengths]
    if not sum(counts):
        with pytest.raises(ValueError, match=f"of {history + horizon} months"):
            tl.cut_windows(series, history, horizon)
        return
    windows = tl.cut_windows(series, history, horizon)
    assert np.bincount(windows.series, minlength=len(lengths)).tolist() == counts
    for x, y, number, place in zip(*windows, strict=True):
        logs = np.log(series[number][place : place + history + horizon])
        level = logs[:history].mean()
        np.testing.assert_allclose(np.append(x, y), logs - level, atol=1e-5)


def test_another_unit_gives_the_same_windows_and_the_forecast_comes_back_in_it():
    for one, other in zip(tl.cut_windows([LONG]), tl.cut_windows([1000 * LONG]), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    x, mean = to_inputs([1000 * LONG], 36)
    np.testing.assert_allclose(np.exp(x + mean)[0], 1000 * LONG[-36:], rtol=1e-5)


def test_most_draws_some_windows_of_each_series_the_same_for_a_seed():
    drawn = [tl.cut_windows([LONG, LONG[:50]], most=5, seed=seed) for seed in (0, 0, 1)]
    assert np.bincount(drawn[0].series).tolist() == [5, 3]
    assert drawn[0].places.tolist() == drawn[1].places.tolist() != drawn[2].places.tolist()


def test_a_constant_series_is_zeros_and_its_forecast_is_finite():
    windows = tl.cut_windows([np.full(48, 7.0)])
    np.testing.assert_allclose(windows.x, 0, atol=1e-12)
    np.testing.assert_allclose(windows.y, 0, atol=1e-12)
    ahead = tl.Forecaster(tl.build_forecaster(width=2))([np.full(36, 7.0)])
    np.testing.assert_allclose(ahead, 7)


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_what_has_no_logarithm_is_named(bad):
    series = LONG.copy()
    series[4] = bad
    with pytest.raises(ValueError, match="at month 4 of series 1"):
        tl.cut_windows([LONG, series])
    with pytest.raises(ValueError, match="at month 4 of series 0"):
        to_inputs([series])


@pytest.mark.parametrize(
    ("series", "says"),
    [([], "Received: none"), ([LONG[:35]], "36 months or more. Received: 35 in series 0"),
     (LONG, r"one row of numbers. Received: series 0 of shape \(\)"), ([["a"]], "dtype <U1"),
     (tl.Series("tea", LONG, LONG), r"Received: histories=Series\(tea.* in brackets")],
)  # fmt: skip
def test_what_is_no_series_is_refused(series, says):
    with pytest.raises(ValueError, match=says):
        to_inputs(series)


def test_one_series_has_no_windows_without_brackets():
    with pytest.raises(ValueError, match="`histories` must be a list of series"):
        tl.cut_windows(tl.Series("tea", LONG, LONG))
