"""The share of a user's pairs in the right order, against SciPy, scikit-learn and brute force."""

from itertools import combinations

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


@pytest.mark.parametrize(("predicted", "said"), [
    ([1.0, 2.0], r"shapes \(3,\), \(3,\), \(2,\)"),
    ([1.0, 2.0, np.nan], "1 that aren't"),
])  # fmt: skip
def test_what_cannot_be_scored_is_refused(predicted, said):
    with pytest.raises(ValueError, match=said):
        ordering_score(np.zeros(3, int), np.arange(3), predicted)
