"""Scores of forecasts, against numbers counted by hand and the definitions written out."""

import tlhelpers as tl

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

NUMBERS = st.floats(-1e3, 1e3)


def test_mase_by_hand():
    # changes from a year (season 2) before: |3-1|, |2-2|, |5-3| -> 4/3; misses 1 and 3 -> 2
    score = tl.mase(
        truth=[[6.0, 2.0]], forecast=[[5.0, 5.0]], histories=[[1, 2, 3, 2, 5]], season=2
    )
    assert score == pytest.approx(2 / (4 / 3))


def test_mase_is_the_mean_of_the_series_and_not_of_the_months():
    histories = [[0.0, 1, 0, 1], [0.0, 100, 0, 100]]  # scales 1 and 100
    score = tl.mase(truth=[[1.0], [1.0]], forecast=[[0.0], [0.0]], histories=histories, season=1)
    assert score == pytest.approx((1 + 0.01) / 2)


@given(st.lists(NUMBERS, min_size=26, max_size=40), st.floats(0.1, 10), NUMBERS)
@settings(max_examples=30, deadline=None)
def test_mase_keeps_its_value_in_another_unit(numbers, factor, shift):
    history, truth = np.array(numbers[:-2]), np.array([numbers[-2:]])
    if np.abs(history[12:] - history[:-12]).mean() < 1e-3:
        return
    scores = [
        tl.mase(truth=change(truth), forecast=change(truth + 1), histories=[change(history)])
        for change in (lambda x: x, lambda x: factor * x + shift)
    ]
    assert scores[0] == pytest.approx(scores[1], rel=1e-4)


def test_the_seasonal_naive_forecast_of_a_series_that_goes_on_alike_has_a_mase_of_1():
    history = 3.0 * (np.arange(48) // 12) + np.tile(np.arange(12), 4)  # 3 more each year
    truth = (history[-12:] + 3)[None]
    naive = tl.year_ago(history)[None]
    assert tl.mase(truth=truth, forecast=naive, histories=[history]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("truth", "forecast", "score"),
    [([1.0, 3.0], [3.0, 1.0], 100), ([0.0], [0.0], 0), ([0.0], [2.0], 200), ([-1.0], [1.0], 200)],
)
def test_smape_by_hand(truth, forecast, score):
    assert tl.smape(truth=[truth], forecast=[forecast]) == pytest.approx(score)


@given(st.lists(NUMBERS, min_size=1, max_size=20), NUMBERS, st.floats(0.05, 0.95))
@settings(max_examples=30, deadline=None)
def test_pinball_is_its_definition_and_half_the_absolute_error_in_the_middle(truth, said, q):
    given = {"truth": [truth], "forecasts": [[[said]] * len(truth)]}
    counted = np.mean([q * (y - said) if y >= said else (1 - q) * (said - y) for y in truth])
    assert tl.pinball(**given, quantiles=(q,)) == pytest.approx(counted, abs=1e-9)
    half = np.mean(np.abs(np.array(truth) - said)) / 2
    assert tl.pinball(**given, quantiles=(0.5,)) == pytest.approx(half, abs=1e-9)


def test_the_pinball_loss_is_least_at_the_quantile():
    truth = np.random.default_rng(0).gamma(2, size=(1, 999))
    losses = [
        tl.pinball(truth=truth, forecasts=np.full((1, 999, 1), value), quantiles=(0.9,))
        for value in np.quantile(truth, [0.8, 0.88, 0.9, 0.92, 0.97])
    ]
    assert np.argmin(losses) == 2


@pytest.mark.parametrize(
    ("history", "says"),
    [
        (np.ones(12), "more than a season of 12"),
        (np.ones(30), "row 0, which repeats itself"),
        (np.tile(np.arange(12.0), 3), "repeats itself exactly"),
        ([1.0] * 20 + [np.nan], "finite numbers"),
        (np.ones((2, 20)), r"shape \(2, 20\)"),
    ],
)
def test_a_history_without_a_scale_is_refused(history, says):
    with pytest.raises(ValueError, match=says):
        tl.mase(truth=[[1.0]], forecast=[[1.0]], histories=[history])


def test_other_shapes_and_quantiles_are_refused():
    with pytest.raises(ValueError, match="`truth` and `forecast` must be of one shape"):
        tl.smape(truth=[[1.0]], forecast=[[1.0, 2.0]])
    with pytest.raises(ValueError, match="`histories` must be one for each"):
        tl.mase(truth=[[1.0]], forecast=[[1.0]], histories=[np.arange(20.0)] * 2)
    with pytest.raises(ValueError, match=r"`forecasts` must be of shape \(1, 1, 2\)"):
        tl.pinball(truth=[[1.0]], forecasts=[[[1.0]]], quantiles=(0.1, 0.5))
    for quantiles in [(), (0.5, 0.1), (0.5, 0.5), (0.0, 0.5)]:
        with pytest.raises(ValueError, match="`quantiles` must"):
            tl.pinball(truth=[[1.0]], forecasts=[[[1.0]]], quantiles=quantiles)
