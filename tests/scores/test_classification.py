"""Probabilities, intervals and calibration errors against their definitions."""

import tlhelpers as tl
from tlhelpers.reading.evaluation import report_on
from tlhelpers.scores.classification import (
    expected_calibration_error,
    to_probabilities,
    wilson_interval,
)

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

few = settings(max_examples=40, deadline=None, derandomize=True)
seeds = st.integers(0, 10**6)


def draw(seed, n=30, classes=3, scale=3):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, classes)) * scale, rng.integers(0, classes, n)


# Probabilities


@few
@given(seeds, st.integers(2, 6))
def test_logits_become_their_softmax_and_stay_it(seed, classes):
    logits, _ = draw(seed, classes=classes)
    probabilities, were = to_probabilities(logits)
    expected = keras.ops.convert_to_numpy(keras.ops.softmax(logits))
    assert were == "logits" and np.allclose(probabilities, expected, atol=1e-6)
    again, were = to_probabilities(probabilities)
    assert were == "probabilities" and np.allclose(again, probabilities, rtol=1e-12)
    assert to_probabilities(probabilities, "logits")[1] == "logits"


@pytest.mark.parametrize(
    ("total", "kind"),
    [(0.998, "probabilities"), (1.002, "probabilities"), (0.99, "logits"), (1.01, "logits")],
)
def test_reports_validators_and_scores_agree_on_what_is_a_probability(total, kind):
    rows = np.random.default_rng(0).dirichlet(np.ones(3), 40) * total
    sharp = np.vstack([rows, [[total, 0, 0]]])  # a number above 1, where the sum is
    labels = np.arange(41) % 3
    meant = sharp / total if kind == "probabilities" else np.exp(sharp)
    meant = meant / meant.sum(axis=1, keepdims=True)
    report = report_on(sharp, labels)
    assert report.outputs_were == kind
    assert np.allclose(report.probabilities, meant, rtol=1e-12)
    for score in (tl.validators.entropy, tl.validators.diversity):
        assert score(sharp) == pytest.approx(score(meant), rel=1e-9)
    if kind == "probabilities":
        score = tl.leep(source_probabilities=sharp, labels=labels)
        assert score == pytest.approx(tl.leep(source_probabilities=meant, labels=labels), abs=0.01)
    else:
        with pytest.raises(ValueError, match=r"each row must sum to 1\. Received.*softmax"):
            tl.leep(source_probabilities=sharp, labels=labels)


def test_rows_that_are_known_to_be_probabilities_are_made_to_sum_to_one():
    sigmoids = np.array([[0.9, 0.6], [0.1, 0.3], [0.0, 0.0]])
    probabilities, were = to_probabilities(sigmoids, "probabilities")
    assert were == "probabilities"
    assert np.allclose(probabilities, [[0.6, 0.4], [0.25, 0.75], [0, 0]])
    assert to_probabilities(sigmoids)[1] == "logits"


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_one_column_becomes_two(shape):
    p = np.array([0.0, 0.2, 0.7, 1.0]).reshape(shape)
    for column, kind in ((p, None), (p, "probabilities"), (p * 9 - 4, None), (p, "logits")):
        two, were = to_probabilities(column, kind)
        is_p = column is p and kind != "logits"
        expected = p.ravel() if is_p else 1 / (1 + np.exp(-column.ravel()))
        assert were == ("probabilities" if is_p else "logits")
        assert np.allclose(two, np.stack([1 - expected, expected], axis=1))


@pytest.mark.parametrize(
    ("outputs", "says"),
    [
        (np.zeros((0, 3)), r"`outputs` must have shape \(n, classes\)\. Received.*predicts"),
        (np.zeros((2, 3, 1)), r"`outputs` must have shape \(n, classes\)\. Received.*predicts"),
        ([[0.0, np.nan]], "`outputs` must be finite. Received: outputs with NaN.*lower"),
        ([[0.0, -np.inf]], "`outputs` must be finite. Received: outputs with NaN.*lower"),
    ],
)
def test_what_no_classifier_predicts_is_refused(outputs, says):
    with pytest.raises(ValueError, match=says):
        to_probabilities(outputs)


# The interval of a share


@few
@given(st.integers(2, 3000), st.floats(0, 1))
def test_wilsons_bounds_are_the_shares_that_lie_just_within_reach(samples, share):
    """Each is the p from which the share seen is 1.96 standard deviations away."""
    right = min(max(round(share * samples), 1), samples - 1)
    seen = right / samples

    def beyond(p):
        return (seen - p) ** 2 - 1.959963984540054**2 * p * (1 - p) / samples

    low, high = brentq(beyond, 0, seen, xtol=1e-14), brentq(beyond, seen, 1, xtol=1e-14)
    assert wilson_interval(right, samples) == pytest.approx((low, high), abs=1e-9)


def test_all_right_is_not_certain_and_its_bound_is_known():
    """Of n right answers of n the lower bound is n / (n + z^2); of none it is the mirror image."""
    for n in (1, 20, 500):
        least = n / (n + 1.959963984540054**2)
        assert wilson_interval(n, n) == pytest.approx((least, 1))
        assert wilson_interval(0, n) == pytest.approx((0, 1 - least))
    report = report_on(np.eye(2)[np.arange(20) % 2], np.arange(20) % 2)
    assert "accuracy 1.000 (95 % interval 0.839 to 1.000, 20 samples" in str(report)


# Calibration


def test_calibration_error_in_closed_form():
    certain = np.tile([0.95, 0.05], (100, 1))
    labels = (np.arange(100) >= 60).astype(int)  # confidence .95, accuracy .60
    assert expected_calibration_error(certain, labels) == pytest.approx(0.35)
    perfect = np.eye(2)[labels]
    assert expected_calibration_error(perfect, labels) == 0
    two = np.vstack([certain, np.tile([0.4, 0.6], (50, 1))])  # .6 in a bin of its own: all right
    both = np.concatenate([labels, np.ones(50, int)])
    assert expected_calibration_error(two, both) == pytest.approx((100 * 0.35 + 50 * 0.4) / 150)


@few
@given(seeds, st.integers(1, 20))
def test_calibration_error_against_a_loop_over_bins(seed, bins):
    logits, labels = draw(seed, n=80)
    p = to_probabilities(logits)[0]
    total = 0.0
    for number in range(bins):
        inside = [i for i in range(80) if number / bins < p[i].max() <= (number + 1) / bins]
        right = sum(p[i].argmax() == labels[i] for i in inside)
        total += abs(right - sum(p[i].max() for i in inside)) / 80
    assert expected_calibration_error(p, labels, bins) == pytest.approx(total)
