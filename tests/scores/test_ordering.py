"""The share of a user's pairs in the right order, against SciPy, scikit-learn and brute force."""

import tracemalloc
from itertools import combinations

from tlhelpers.scores import ordering
from tlhelpers.scores.ordering import ordering_score

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import somersd
from sklearn.metrics import roc_auc_score

ROWS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(1, 5), st.integers(-3, 3)), min_size=1, max_size=40
)


@settings(deadline=None, max_examples=60)
@given(ROWS)
def test_it_counts_pairs_one_by_one(rows):
    users, ratings, predicted = map(np.array, zip(*rows, strict=True))
    shares = []
    for user in set(users.tolist()):
        mine = [(r, p) for u, r, p in rows if u == user]
        pairs = [(a, b) for a, b in combinations(mine, 2) if a[0] != b[0]]
        points = [((a[0] - b[0]) * (a[1] - b[1]) > 0) + (a[1] == b[1]) / 2 for a, b in pairs]
        shares += [np.mean(points)] if points else []
    wanted = np.mean(shares) if shares else np.nan
    np.testing.assert_allclose(ordering_score(users, ratings, predicted), wanted)


def test_of_one_user_it_is_somers_d():
    rng = np.random.default_rng(0)
    ratings, predicted = rng.integers(1, 6, 30), rng.integers(0, 9, 30)
    d = somersd(ratings, predicted).statistic
    assert ordering_score(np.zeros(30, int), ratings, predicted) == pytest.approx((1 + d) / 2)


def test_of_likes_it_is_the_auc_of_each_user():
    rng = np.random.default_rng(1)
    users, likes, said = rng.integers(4, size=80), rng.integers(2, size=80), rng.normal(size=80)
    each = [roc_auc_score(likes[users == user], said[users == user]) for user in range(4)]
    assert ordering_score(users, likes, said) == pytest.approx(np.mean(each))


def test_what_is_predicted_may_be_unsigned():
    assert ordering_score(np.zeros(3, int), [3, 2, 1], np.array([0, 1, 2], "uint8")) == 0


def test_a_user_with_many_ratings_is_looked_at_in_parts(monkeypatch):
    rng = np.random.default_rng(2)
    users, ratings, said = np.zeros(3_000, int), rng.integers(1, 6, 3_000), rng.normal(size=3_000)
    tracemalloc.start()
    whole = ordering_score(users, ratings, said)
    assert tracemalloc.get_traced_memory()[1] < 40e6  # a square of floats takes 72 MB
    tracemalloc.stop()
    monkeypatch.setattr(ordering, "_AT_ONCE", 1_000_000)
    assert ordering_score(users, ratings, said) == whole


@pytest.mark.parametrize(("change", "said"), [
    ({"predicted": [1.0, 2.0]}, r"shapes \(3,\), \(3,\), \(2,\)"),
    ({"predicted": [1.0, 2.0, np.nan]}, "`predicted` must be finite. Received: 1 that aren't"),
    ({"ratings": [1.0, np.nan, np.inf]}, "`ratings` must be finite. Received: 2 that aren't"),
])  # fmt: skip
def test_what_cannot_be_scored_is_refused(change, said):
    with pytest.raises(ValueError, match=said):
        ordering_score(
            **{"users": [0, 0, 0], "ratings": [0, 1, 2], "predicted": [0, 1, 2]} | change
        )
