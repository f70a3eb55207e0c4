"""Tall matrices: the triangle, block by block, is as good as the matrix, and no copy is made."""

import tracemalloc

from tlhelpers.scores.blocks import Tall, eigenvalues_of
from tlhelpers.scores.probes import linear_classifier, linear_probe
from tlhelpers.scores.ridge import predict_tall
from tlhelpers.scores.transferability import h_score, logme

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.covariance import ledoit_wolf_shrinkage


def draw(n, d, classes=3, seed=0, dtype="float64"):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % classes)
    x = rng.normal(size=(n, d)) @ np.diag(np.logspace(0, -4, d)) + 5
    x[:, : min(classes, d)] += np.eye(classes, min(classes, d))[labels]
    return x.astype(dtype), labels


@settings(deadline=None, max_examples=25, derandomize=True)
@given(st.integers(2, 700), st.integers(1, 12), st.booleans(), st.integers(0, 10**6))
def test_the_triangle_says_what_the_whole_matrix_says(n, d, center, seed):
    x, _ = draw(n, d, seed=seed)
    x[:, -1] = x[:, 0]  # a direction that is only rounding
    whole = x / np.abs(x).max()
    whole = whole - whole.mean(axis=0) if center else whole
    u, s, _ = np.linalg.svd(whole, full_matrices=False)
    real = s > s[0] * max(n, d) * 2.3e-16
    weights = np.random.default_rng(seed).normal(size=(2, n))
    found, sums = Tall.of(x, center).decomposed(lambda rows, block: weights[:, rows] @ block)
    np.testing.assert_allclose(found, s[real], rtol=1e-9)
    np.testing.assert_allclose(sums**2, (weights @ u[:, real]) ** 2, atol=1e-7)


@pytest.mark.parametrize("weakest, squared", [(1e-2, True), (1e-5, False)])
def test_a_matrix_is_squared_only_where_that_keeps_its_digits(weakest, squared):
    rng = np.random.default_rng(0)
    u, v = (np.linalg.qr(rng.normal(size=(n, 8)))[0] for n in (600, 8))
    s = np.logspace(0, np.log10(weakest), 8)
    x = u * s @ v.T
    assert (eigenvalues_of(x.T @ x) is not None) == squared
    found, sums = Tall.of(x).decomposed(lambda rows, block: u[rows].T @ block)
    np.testing.assert_allclose(found / found[0], s, rtol=1e-11)
    np.testing.assert_allclose(np.abs(sums), np.eye(8), atol=1e-10)


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("dtype", ["float64", "float32", "uint8"])
def test_the_tall_classifier_predicts_as_scikit_learn(classes, dtype):
    x, labels = draw(900, 20, classes, dtype=dtype)
    labels = np.where(np.arange(900) % 5 > 0, labels, 0)  # unequal classes
    x[:, 4] = 7  # a constant
    train, test = np.arange(600), np.arange(600, 900)
    expected = linear_classifier().fit(x[train].astype("float64"), labels[train])
    found = predict_tall(x, labels, train, test)
    np.testing.assert_array_equal(found, expected.predict(x[test].astype("float64")))
    assert (found == labels[test]).mean() > 0.5 or dtype == "uint8"


def test_the_share_of_shrinkage_is_that_of_scikit_learn():
    for n, d in ((40, 7), (7, 40)):
        x, labels = draw(n, d)
        centered = x - x.mean(axis=0)
        share = ledoit_wolf_shrinkage(centered, assume_centered=True)
        means = np.stack([centered[labels == c].mean(axis=0) for c in labels])
        spread = (1 - share) * centered.T @ centered / n
        spread += share * np.trace(centered.T @ centered) / n / d * np.eye(d)
        between = (1 - share) * means.T @ means / (n - 1)
        expected = np.trace(np.linalg.solve(spread, between))
        assert h_score(features=x, labels=labels, shrinkage=True) == pytest.approx(expected)


@pytest.mark.parametrize("score", [h_score, logme, linear_probe], ids=lambda s: s.__name__)
def test_no_copy_of_a_tall_matrix_is_made(score):
    x, labels = draw(40_000, 32, dtype="float32")
    arguments = {"shrinkage": True} if score is h_score else {}
    linear_probe(features=x[:100], labels=labels[:100])  # what is imported does not count
    tracemalloc.start()
    score(features=x, labels=labels, **arguments)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < x.nbytes * 1.2  # a copy in float64 would be twice as much
