"""Thresholds against all thresholds, Bayes against counting, the bootstrap against scikit-learn."""

import tlhelpers as tl
from tlhelpers.scores.resampling import resample_groups

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

odds = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.5000001, 0.9, 1.0])
samples = (
    st.lists(st.tuples(st.integers(0, 1), odds), min_size=2, max_size=30)
    .filter(lambda rows: len({label for label, _ in rows}) == 2)
    .map(lambda rows: tuple(map(np.array, zip(*rows, strict=True))))
)
costs = st.tuples(st.integers(1, 20), st.integers(1, 20))


def shares(y, p, threshold):
    called = p >= threshold
    return called[y == 1].mean(), 1 - called[y == 0].mean()


@given(samples, st.sampled_from([0.01, 0.5, 0.7, 0.95, 1.0]))
def test_by_sensitivity_no_higher_threshold_finds_enough(rows, wanted):
    y, p = rows
    threshold = tl.choose_threshold(y, p, sensitivity=wanted)
    assert shares(y, p, threshold)[0] >= wanted
    higher = [cut for cut in [*p, 1.1] if cut > threshold]
    assert all(shares(y, p, cut)[0] < wanted for cut in higher)


@given(samples, costs, st.sampled_from([None, 0.01, 0.3]))
def test_by_cost_no_threshold_is_cheaper(rows, cost, prevalence):
    y, p = rows

    def mean_cost(threshold):
        found, spared = shares(y, p, threshold)
        ill = y.mean() if prevalence is None else prevalence
        return cost[0] * ill * (1 - found) + cost[1] * (1 - ill) * (1 - spared)

    threshold = tl.choose_threshold(y, p, cost=cost, prevalence=prevalence)
    least = min(mean_cost(cut) for cut in [*p, 1.1])
    assert mean_cost(threshold) == pytest.approx(least)
    assert all(mean_cost(cut) > least - 1e-12 for cut in p if cut < threshold)


def test_with_true_probabilities_it_is_the_ratio_of_the_costs():
    rng = np.random.default_rng(0)
    p = rng.random(200_000)
    y = (rng.random(200_000) < p).astype(int)
    assert tl.choose_threshold(y, p, cost=(4, 1)) == pytest.approx(0.2, abs=0.02)
    assert tl.choose_threshold(y, p, cost=(1, 1)) == pytest.approx(0.5, abs=0.02)


def test_nobody_is_called_where_an_alarm_costs_too_much():
    threshold = tl.choose_threshold([0, 1, 0], [1.0, 1.0, 0.2], cost=(1, 1), prevalence=0.01)
    assert threshold > 1


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9), st.integers(1, 9))
def test_predictive_values_are_those_of_counting(found, missed, spared, alarms):
    ill, well = found + missed, spared + alarms
    values = tl.predictive_values(found / ill, spared / well, ill / (ill + well))
    assert values.positive == pytest.approx(found / (found + alarms))
    assert values.negative == pytest.approx(spared / (spared + missed))


def test_an_answer_that_is_never_given_has_no_value():
    assert np.isnan(tl.predictive_values(0, 1, 0.1).positive)
    assert np.isnan(tl.predictive_values(1, 0, 0.1).negative)


GROUPS = np.arange(60) // 6
RNG = np.random.default_rng(1)
Y = RNG.integers(0, 2, 60)
P = np.clip(0.3 * Y + RNG.random(60) * 0.7 + np.repeat(RNG.normal(0, 0.1, 10), 6), 0, 1).round(1)


def test_intervals_are_those_of_resampled_rows():
    """The same draws, with each row written as often as its group was drawn."""
    drawn = np.random.default_rng(3).multinomial(10, np.full(10, 0.1), size=40)
    aucs, founds, spareds = [], [], []
    for times in drawn:
        rows = np.repeat(np.arange(60), times[GROUPS])
        aucs.append(roc_auc_score(Y[rows], P[rows]))
        found, spared = shares(Y[rows], P[rows], 0.5)
        founds.append(found)
        spareds.append(spared)
    intervals = resample_groups(Y, P, 0.5, GROUPS, resamples=40, seed=3)
    for name, values in {"auc": aucs, "sensitivity": founds, "specificity": spareds}.items():
        assert intervals[name] == pytest.approx(np.percentile(values, [2.5, 97.5]))


def test_alike_samples_of_a_group_widen_the_interval():
    """Twenty copies of each patient tell no more than the patient: only the groups know it."""
    y, p = np.repeat(Y, 20), np.repeat(P, 20)
    own = resample_groups(Y, P, 0.5)["auc"]
    width = {
        name: np.diff(resample_groups(y, p, 0.5, groups)["auc"])[0]
        for name, groups in {"patients": np.repeat(np.arange(60), 20), "copies": None}.items()
    }
    assert width["patients"] == pytest.approx(np.diff(own)[0], rel=0.1)
    assert width["copies"] < width["patients"] / 3


def threshold(y, p, **how):
    return lambda: tl.choose_threshold(y, p, **(how or {"sensitivity": 0.9}))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (threshold([1, 1], [0.2, 0.3]), "both classes, 0 and 1. Received: y=1, 2 times"),
        (threshold([0, 2], [0.2, 0.3]), r"in 0..1. Received: labels in 0..2"),
        (threshold([0, 1], [0.2, np.nan]), "in 0..1. Received: 1 of 2 others, first nan in row 1"),
        (threshold([0, 1], [-0.2, 3]), "2 of 2 others, first -0.2 in row 0.*logits"),
        (threshold([0, 1], [[0.2, 0.8], [0.9, 0.1]]), r"shape=\(2, 2\).*probabilities\[:, 1\]"),
        (threshold([0, 1], [0.2]), "Received: 1 samples, 2 labels"),
        (threshold([], []), "at least one label|At least one label"),
        (threshold([0, 1], ["a", "b"]), "dtype=<U1"),
        (threshold([0, 1], [0.2, 0.3], sensitivity=0), r"in \(0, 1\]. Received: sensitivity=0"),
        (threshold([0, 1], [0.2, 0.3], cost=(1, 0)), "above 0. Received: cost=0"),
        (threshold([0, 1], [0.2, 0.3], cost=5), "two numbers.*Received: cost=5"),
        (threshold([0, 1], [0.2, 0.3], cost=(1, 1), sensitivity=0.5), "One of `sens.*cost=.1, 1."),
        (threshold([0, 1], [0.2, 0.3], sensitivity=0.5, prevalence=0.1), "must go with `cost`"),
        (threshold([0, 1], [0.2, 0.3], cost=(1, 1), prevalence=0), "Received: prevalence=0"),
        (lambda: tl.predictive_values(1.2, 0.5, 0.1), "`sensitivity`.*Received: sensitivity=1.2"),
        (lambda: tl.predictive_values(0.2, 0.5, 1), "`prevalence`.*Received: prevalence=1"),
        (lambda: resample_groups(Y, P, 0.5, [0] * 60), "two or more .*class 0 in 0 alone, of 1"),
        (lambda: resample_groups(Y, P, 0.5, Y), "class 0 in 0 alone, of 2"),
        (lambda: resample_groups(Y, P, 0.5, [1, 2]), r"of shape \(2,\) for 60 samples"),
        (lambda: resample_groups(Y, P, 0.5, resamples=2), "`resamples` must be a whole number"),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(ValueError, match=says):
        call()
