"""The report of decisions: counts, intervals, JSON and the two curves."""

import json

import tlhelpers as tl
from tlhelpers.scores.classification import wilson_interval

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

RNG = np.random.default_rng(0)
Y = (RNG.random(80) < 0.4).astype(int)
P = np.clip(0.35 * Y + 0.6 * RNG.random(80), 0, 1)
GROUPS = np.array([f"p{number}" for number in np.arange(80) // 8])
REPORT = tl.evaluate_decisions(Y, P, 0.4, GROUPS, cost=(10, 1), class_names=["well", "ill"])


def test_scores_are_those_of_counting_and_of_scikit_learn():
    called = P >= 0.4
    found, missed = np.sum(called & (Y == 1)), np.sum(~called & (Y == 1))
    spared, alarms = np.sum(~called & (Y == 0)), np.sum(called & (Y == 0))
    assert REPORT.counts == dict(found=found, missed=missed, spared=spared, false_alarms=alarms)
    assert REPORT.sensitivity == found / (found + missed)
    assert REPORT.specificity == spared / (spared + alarms)
    assert REPORT.positive_predictive_value == found / (found + alarms)
    assert REPORT.negative_predictive_value == spared / (spared + missed)
    assert REPORT.expected_cost == pytest.approx((10 * missed + alarms) / 80)
    assert REPORT.auc == roc_auc_score(Y, P) and REPORT.brier == brier_score_loss(Y, P)
    assert REPORT.average_precision == average_precision_score(Y, P)
    assert REPORT.intervals["sensitivity"] == wilson_interval(found, found + missed)
    assert REPORT.groups == 10 and set(REPORT.group_intervals) == {
        "auc", "sensitivity", "specificity",
    }  # fmt: skip


def test_at_its_own_prevalence_the_predictive_values_are_its_own():
    own = REPORT.at_prevalence(REPORT.prevalence)
    assert own.positive == pytest.approx(REPORT.positive_predictive_value)
    assert own.negative == pytest.approx(REPORT.negative_predictive_value)
    assert REPORT.at_prevalence(0.01).positive < own.positive


def test_without_groups_samples_are_redrawn():
    report = tl.evaluate_decisions(Y, P, 0.4)
    assert report.groups is None and not report.group_intervals
    low, high = report.intervals["auc"]
    assert low < report.auc < high
    assert "samples redrawn" in str(report) and "cost" not in str(report)
    assert len(report.rows()[0]) + 1 == len(REPORT.rows()[0])


def test_nobody_called_leaves_a_value_open_not_a_number_made_up():
    report = tl.evaluate_decisions(Y, P, 2.0)
    assert report.sensitivity == 0 and report.specificity == 1
    assert np.isnan(report.positive_predictive_value)
    assert report.intervals["positive_predictive_value"] == (0.0, 1.0)
    kept = json.loads(report.to_json())
    assert kept["positive_predictive_value"] is None and kept["expected_cost"] is None
    assert report.rows()[3][2] == "-"


def test_the_report_is_shown_and_kept():
    found, others = REPORT.counts["found"], np.sum(Y == 0)
    assert f"ill from 0.400 on: {found} of {Y.sum()} found" in str(REPORT)
    assert f"of {others} others called too (80 samples in 10 groups)" in str(REPORT)
    assert "whole groups redrawn" in str(REPORT) and "expected cost" in str(REPORT)
    table = REPORT.to_markdown().splitlines()
    assert len({line.count("|") for line in table[:6]}) == 1
    kept = json.loads(REPORT.to_json())
    assert kept["counts"]["found"] == found and "probabilities" not in kept


def test_the_figure_has_a_point_at_the_threshold_of_each_report():
    other = tl.evaluate_decisions(Y, 1 - P, 0.4)
    figure = tl.plot_decisions({"frozen": REPORT, "worse": other})
    roc, pr = figure.axes
    points = [line.get_xydata()[0].tolist() for line in roc.lines if line.get_marker() == "o"]
    assert points == [[1 - r.specificity, r.sensitivity] for r in (REPORT, other)]
    points = [line.get_xydata()[0].tolist() for line in pr.lines if line.get_marker() == "o"]
    assert points[0] == [REPORT.sensitivity, REPORT.positive_predictive_value]
    assert f"frozen AUC {REPORT.auc:.3f}" in tl.describe_figure(figure)
    assert len(tl.plot_decisions(REPORT).axes) == 2


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: tl.evaluate_decisions([1, 1], [0.2, 0.3], 0.5), "both classes"),
        (lambda: tl.evaluate_decisions([0, 1], [0.2, np.nan], 0.5), "1 of 2 others, first nan"),
        (lambda: tl.evaluate_decisions(Y, P, -1), "`threshold` must be .*Received: threshold=-1"),
        (lambda: tl.evaluate_decisions(Y, P, np.nan), "Received: threshold=nan"),
        (lambda: tl.evaluate_decisions(Y, P, 0.5, cost=[1]), "two numbers"),
        (lambda: tl.evaluate_decisions(Y, P, 0.5, np.where(Y, "a", "b")), "class 0 in 'b' alone"),
        (lambda: tl.evaluate_decisions(Y, P, 0.5, class_names=["ill"]), "a list of 2 names"),
        (lambda: tl.plot_decisions({}), "Received: reports=dict"),
        (lambda: tl.plot_decisions({"a": 1}), "must be of evaluate_decisions"),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(ValueError, match=says):
        call()
