"""Distances and alikeness against brute force, closed forms, and domains that are the same."""

from tlhelpers.scores.similarity import linear_cka, mmd, proxy_a_distance

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist, pdist
from scipy.stats import norm

few = settings(deadline=None, max_examples=30, derandomize=True)
seeds = st.integers(0, 10**6)


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


# Proxy A-distance


def test_the_distance_of_two_normal_domains_is_known():
    for shift in (1, 2, 3):  # the best line errs with probability Phi(-shift / 2)
        a, b = normal(0, 3000, 2), normal(1, 3000, 2) + np.array([shift, 0])
        best = 2 * (1 - 2 * norm.cdf(-shift / 2))
        assert proxy_a_distance(source=a, target=b) == pytest.approx(best, abs=0.1)


def test_domains_that_lie_apart_have_distance_2():
    assert proxy_a_distance(source=normal(0, 50, 3), target=normal(1, 30, 3) + 30) == 2


def test_it_is_held_out_and_chooses_nothing_on_what_it_tests():
    """A line tells 40 from 40 random points in 200 dimensions without error if it has seen them."""
    found = [
        proxy_a_distance(source=normal(s, 40, 200), target=normal(s + 100, 40, 200), seed=s)
        for s in range(20)
    ]
    assert np.mean(found) < 0.3  # by chance 0.8 / sqrt(40)


def test_a_set_has_no_distance_from_itself_even_in_many_dimensions():
    x = normal(0, 60, 300)
    assert proxy_a_distance(source=x, target=x) < 0.3
    turned = x @ np.linalg.qr(normal(1, 300, 300))[0]
    assert proxy_a_distance(source=x, target=turned) < 0.8


@few
@given(seeds, st.integers(10, 60), st.integers(10, 60))
def test_the_distance_is_in_0_to_2_whatever_the_sizes(seed, n, m):
    a, b = normal(seed, n, 4), normal(seed + 1, m, 4) * 2 + seed % 3
    assert 0 <= proxy_a_distance(source=a, target=b, seed=seed) <= 2


def test_unequal_sizes_are_no_difference():
    """Always calling the larger domain is no skill, though it errs on 5 % of the samples only."""
    found = [
        proxy_a_distance(source=normal(s, 950, 2), target=normal(s + 50, 50, 2)) for s in range(8)
    ]
    assert np.mean(found) < 0.35


def test_the_seed_cuts_and_the_same_seed_cuts_the_same():
    a, b = normal(0, 60, 5), normal(1, 60, 5) + 0.5
    found = [proxy_a_distance(source=a, target=b, seed=s) for s in (0, 0, 1, 2, 3)]
    assert found[0] == found[1] and len(set(found)) > 1


def test_one_domain_may_be_a_single_colour():
    grey = np.full((20, 3), 0.5)
    assert proxy_a_distance(source=normal(0, 20, 3) + 20, target=grey) == 2
    assert mmd(normal(0, 20, 3) + 20, grey) > 0.5


# MMD


def mmd_by_hand(a, b, h):
    def k(x, y):
        return np.exp(-cdist(x, y, "sqeuclidean") / (2 * h**2))

    n, m = len(a), len(b)
    own = [k(x, x)[~np.eye(len(x), dtype=bool)].mean() for x in (a, b)]
    return sum(own) - 2 * k(a, b).sum() / (n * m)


@few
@given(seeds, st.integers(2, 30), st.integers(2, 30))
def test_mmd_is_what_its_formula_says(seed, n, m):
    a, b = normal(seed, n, 3), normal(seed + 1, m, 3) + 1
    h = np.median(pdist(np.vstack([a, b])))
    assert mmd(a, b) == pytest.approx(mmd_by_hand(a, b, h), rel=1e-6, abs=1e-10)
    assert mmd(a, b, bandwidth=0.7) == pytest.approx(mmd_by_hand(a, b, 0.7), rel=1e-6, abs=1e-10)
    assert mmd(a, b) == pytest.approx(mmd(b, a), abs=1e-12)
    for scale in (50, 1e-200):
        shifted = a * scale + 1e3 * scale, b * scale + 1e3 * scale
        assert mmd(*shifted) == pytest.approx(mmd(a, b), abs=1e-8)


def test_mmd_in_closed_form():
    a, b = np.zeros((4, 1)), np.ones((3, 1))
    assert mmd(a, b) == pytest.approx(2 - 2 * np.exp(-0.5))  # all different points are 1 apart
    s, d, h = 0.7, 3, 1.5  # N(0, s^2) and N(delta, s^2), in d dimensions
    shrink = (h**2 / (h**2 + 2 * s**2)) ** (d / 2)
    for delta in (0.0, 1.0, 2.0):
        exact = 2 * shrink * (1 - np.exp(-(delta**2) / (2 * (h**2 + 2 * s**2))))
        x, y = normal(0, 2000, d) * s, normal(1, 2000, d) * s + np.array([delta, 0, 0])
        assert mmd(x, y, bandwidth=h) == pytest.approx(exact, abs=0.02)


def test_mmd_is_unbiased():
    found = [mmd(normal(s, 12, 2), normal(s + 1000, 12, 2), bandwidth=1.0) for s in range(400)]
    assert abs(np.mean(found)) < 3 * np.std(found) / 20
    assert min(found) < 0 < max(found)


def test_mmd_in_blocks_is_mmd():
    a, b = normal(0, 2500, 2), normal(1, 2300, 2) + 0.3
    assert mmd(a, b, bandwidth=1.0) == pytest.approx(mmd_by_hand(a, b, 1.0), rel=1e-8)


def test_mmd_takes_copies():
    a, b = np.repeat(normal(0, 4, 2), 9, axis=0), np.repeat(normal(1, 4, 2), 9, axis=0)
    assert np.isfinite(mmd(a, b)) and np.isfinite(mmd(a, a))


# CKA


def cka_by_hand(a, b):
    a, b = a - a.mean(0), b - b.mean(0)
    k, m = a @ a.T, b @ b.T
    return (k * m).sum() / np.sqrt((k * k).sum() * (m * m).sum())


def debiased_by_hand(a, b):
    """Song et al., equation 5, with its sums over four different samples written out as traces."""

    def hsic(x, y):
        n, one = len(x), np.ones(len(x))
        k, m = x @ x.T, y @ y.T
        np.fill_diagonal(k, 0), np.fill_diagonal(m, 0)
        middle = (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2))
        return (np.trace(k @ m) + middle - 2 / (n - 2) * one @ k @ m @ one) / (n * (n - 3))

    return hsic(a, b) / np.sqrt(hsic(a, a) * hsic(b, b))


@few
@given(seeds, st.integers(6, 30), st.integers(1, 40), st.integers(1, 40))
def test_cka_is_what_its_formula_says(seed, n, d, e):
    a = normal(seed, n, d) + 1
    b = a @ normal(seed + 1, d, e) + normal(seed + 2, n, e)
    assert linear_cka(a, b) == pytest.approx(cka_by_hand(a, b), rel=1e-6)
    by_hand = debiased_by_hand(a, b)
    assert linear_cka(a, b, debiased=True) == pytest.approx(by_hand, rel=1e-6, abs=1e-9)


@few
@given(seeds, st.booleans())
def test_cka_sees_no_rotation_no_scale_and_no_shift(seed, debiased):
    a, b = normal(seed, 12, 20), normal(seed + 1, 12, 6)
    turn = np.linalg.qr(normal(seed + 2, 20, 20))[0]
    value = linear_cka(a, b, debiased=debiased)
    assert linear_cka(a, a @ turn * 1e-7 + 3, debiased=debiased) == pytest.approx(1, abs=1e-6)
    assert linear_cka(a @ turn * 40 - 9, b, debiased=debiased) == pytest.approx(value, abs=1e-8)
    assert linear_cka(b, a, debiased=debiased) == pytest.approx(value, abs=1e-10)
    assert (-1 if debiased else 0) <= value <= 1


def test_cka_in_closed_form():
    """Two columns each, all orthonormal and centred; one is shared: |B'A|^2 = 1, |A'A| = sqrt 2."""
    basis = np.linalg.qr(normal(0, 9, 9) - normal(0, 9, 9).mean(0))[0][:, :3]
    assert linear_cka(basis[:, :2], basis[:, 1:]) == pytest.approx(1 / 2)
    assert linear_cka(basis[:, :1], basis[:, 1:]) == pytest.approx(0, abs=1e-12)


def test_only_debiased_cka_is_near_zero_for_unrelated_features():
    plain, debiased = zip(
        *[
            [linear_cka(normal(s, 40, 200), normal(s + 99, 40, 200), debiased=d) for d in (0, 1)]
            for s in range(10)
        ],
        strict=True,
    )
    assert min(plain) > 0.7 and abs(np.mean(debiased)) < 0.05


# Bad input

A = normal(0, 12, 3)


@pytest.mark.parametrize(
    "measure",
    [lambda a, b: proxy_a_distance(source=a, target=b), mmd, linear_cka],
    ids=["proxy_a_distance", "mmd", "linear_cka"],
)
@pytest.mark.parametrize(
    "a, b, says",
    [
        (A, A * np.nan, "finite"),
        (A * np.inf, A, "finite"),
        (A, A[:, 0], r"\(n, D\)"),
        (A.reshape(3, 4, 3), A, "Flatten"),
        (A[:1], A[:1], "rows"),
        (A * 0, A * 0, "all the same|differ"),
        (A.astype(str), A, "real numbers"),
    ],
)
def test_bad_features_say_what_to_do(measure, a, b, says):
    with pytest.raises(ValueError, match=f"{says}") as error, np.errstate(invalid="ignore"):
        measure(a, b)
    assert "Received: " in str(error.value)


@pytest.mark.parametrize(
    "call, says",
    [
        (
            lambda: proxy_a_distance(source=A, target=A[:, :2]),
            "same columns.*of 3 and target of 2",
        ),
        (lambda: proxy_a_distance(source=A, target=A[:9]), "at least 10 rows"),
        (lambda: proxy_a_distance(source=A, target=A, seed=-1), "seed"),
        (lambda: proxy_a_distance(source=A, target=A, seed=0.5), "seed"),
        (lambda: mmd(A, A[:, :2]), "same columns.*a of 3 and b of 2"),
        (lambda: mmd(A, A, bandwidth=0), "above 0"),
        (lambda: mmd(A, A, bandwidth="median"), "above 0"),
        (lambda: mmd(A, A, bandwidth=float("nan")), "above 0"),
        (lambda: linear_cka(A, A[:9]), "row by row.*12 and b of 9.*proxy_a_distance"),
        (lambda: linear_cka(A, np.ones((12, 2))), "`b` must differ"),
        (lambda: linear_cka(A[:3], A[:3], debiased=True), "at least 4 rows"),
    ],
)
def test_bad_input_says_what_to_do(call, says):
    with pytest.raises(ValueError, match=f"(?s){says}") as error:
        call()
    assert "Received: " in str(error.value)
