"""The report of forecasts and their figure."""

import json
from dataclasses import replace

import tlhelpers as tl

import numpy as np
import pytest

TEA = tl.Series("tea", np.tile([1.0, 2.0, 4.0], 4) + np.arange(12), np.array([20.0, 10.0, 12.0]))
MILK = tl.Series("milk", TEA.history * 10, TEA.future * 10)
AHEAD = np.array([[[9, 11, 12], [9, 12, 13], [9, 13, 14]]] * 2, float) * [[[1]], [[10]]]


def test_its_numbers_are_those_of_the_scores():
    report = tl.evaluate_forecasts(AHEAD, [TEA, MILK], season=3)
    truth, histories = np.array([TEA.future, MILK.future]), [TEA.history, MILK.history]
    naive = np.array([tl.year_ago(h, 3, 3) for h in histories])
    middle = AHEAD[..., 1]
    assert report.mase == tl.mase(truth=truth, forecast=middle, histories=histories, season=3)
    assert report.naive_mase == tl.mase(truth=truth, forecast=naive, histories=histories, season=3)
    assert report.smape == tl.smape(truth=truth, forecast=middle)
    assert report.coverage == pytest.approx(2 / 3) and report.promised == pytest.approx(0.8)
    assert (report.series, report.months) == (2, 3) and "67% of 6 months" in str(report)
    assert json.loads(report.to_json())["mase"] == report.mase
    assert "| forecast |" in report.to_markdown()


@pytest.mark.parametrize(
    ("forecasts", "quantiles", "says"),
    [(AHEAD[0], (0.1, 0.5, 0.9), r"must be \(2, months, 3\)"),
     (AHEAD[:, :0], (0.1, 0.5, 0.9), r"must be \(2, months, 3\)"),
     (AHEAD, (0.1, 0.4, 0.9), "`quantiles` must have 0.5"),
     (AHEAD, (0.1, 0.2, 0.3, 0.5), r"must be \(2, months, 4\)"),
     (np.repeat(AHEAD, 2, axis=1), (0.1, 0.5, 0.9), "of 6 months .* less in tea, milk"),
     (AHEAD[:1], (0.1, 0.5, 0.9), r"must be \(2, months, 3\)")],
)  # fmt: skip
def test_what_does_not_fit_is_refused(forecasts, quantiles, says):
    with pytest.raises(ValueError, match=says):
        tl.evaluate_forecasts(forecasts, [TEA, MILK], quantiles, season=3)


@pytest.mark.parametrize(
    ("history", "says"),
    [(np.append(TEA.history, np.nan), "finite numbers.* in milk"),
     (np.ones(12), "Received: milk, which repeats itself exactly"),
     (np.ones(3), "more than a season of 3")],
)  # fmt: skip
def test_a_history_without_a_scale_is_named(history, says):
    with pytest.raises(ValueError, match=says):
        tl.evaluate_forecasts(AHEAD, [TEA, replace(MILK, history=history)], season=3)


def test_the_year_ago_of_a_short_series_or_of_no_months_is_refused():
    with pytest.raises(ValueError, match=r"a season of 12 or more\. Received: 11"):
        tl.year_ago(np.ones(11))
    for bad in ({"season": 0}, {"season": -3}, {"months": 0}):
        with pytest.raises(ValueError, match=f"`{next(iter(bad))}` must be a whole number"):
            tl.year_ago(np.ones(24), **bad)


def test_each_series_has_a_panel_with_its_forecast():
    figure = tl.plot_forecasts([TEA, MILK], AHEAD, known=6)
    assert [ax.get_title() for ax in figure.axes] == ["tea", "milk"]
    line = {line.get_label(): line for line in figure.axes[0].get_lines()}
    assert line["forecast"].get_ydata().tolist() == AHEAD[0, :, 1].tolist()
    assert line["known"].get_ydata().tolist() == TEA.history[-6:].tolist()
    assert "tea" in tl.describe_figure(figure)
    for some in ([], [TEA] * 13):
        with pytest.raises(ValueError, match=r"len\(series\)"):
            tl.plot_forecasts(some, AHEAD)
    with pytest.raises(ValueError, match=r"must be \(1, months, 3\)"):
        tl.plot_forecasts([TEA], AHEAD)
    with pytest.raises(ValueError, match=r"`quantiles` must have 0\.5"):
        tl.plot_forecasts([TEA], AHEAD[:1], quantiles=(0.1, 0.4, 0.9))
    with pytest.raises(ValueError, match="`known` must be a whole number, 1 or above"):
        tl.plot_forecasts([TEA], AHEAD[:1], known=0)


@pytest.mark.parametrize("use", [tl.evaluate_forecasts, lambda a, s: tl.plot_forecasts(s, a)])
def test_a_series_without_brackets_is_refused(use):
    with pytest.raises(ValueError, match=r"`series` must be a list .*Series\(tea.*brackets"):
        use(AHEAD[:1], TEA)


def test_the_axis_begins_at_0_but_hides_no_forecast_below():
    figure = tl.plot_forecasts([TEA, MILK], AHEAD - [[[0]], [[100]]])
    tea, milk = (ax.get_ylim()[0] for ax in figure.axes)
    assert tea == 0 and milk < -10
