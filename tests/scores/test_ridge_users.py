"""Users by ridge regression, against scikit-learn's and against Bayes."""

from tlhelpers.scores.ridge_users import ridge_users

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge


def drawn(seed, count=40, users=6, width=3):
    rng = np.random.default_rng(seed)
    return rng.integers(users, size=count), rng.normal(size=(count, width)), rng.normal(size=count)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1000), st.floats(0.01, 100), st.integers(1, 5))
def test_it_is_a_ridge_regression_for_each_user(seed, strength, width):
    users, x, t = drawn(seed, width=width)
    found = ridge_users(users, x, t, strength, count=7)
    assert found.shape == (7, width) and not found[6].any()
    for user in np.unique(users):
        rows = users == user
        ridge = Ridge(strength, fit_intercept=False).fit(x[rows], t[rows])
        np.testing.assert_allclose(found[user], ridge.coef_, atol=1e-8)


def test_with_mean_and_matrix_it_is_the_posterior_mean_of_a_normal_prior():
    """By another way: condition the joint normal distribution of p and t on t."""
    users, x, t = drawn(3, users=1)
    rng, noise = np.random.default_rng(4), 0.7
    root = rng.normal(size=(3, 3))
    covariance, mean = root @ root.T + np.eye(3), rng.normal(size=3)
    gain = covariance @ x.T @ np.linalg.inv(x @ covariance @ x.T + noise * np.eye(len(t)))
    found = ridge_users(users, x, t, noise * np.linalg.inv(covariance), mean, count=2)
    np.testing.assert_allclose(found[0], mean + gain @ (t - x @ mean), atol=1e-8)
    np.testing.assert_array_equal(found[1], mean)  # nothing is known of the second


def test_users_may_be_unsigned():
    users, x, t = drawn(8)
    np.testing.assert_array_equal(ridge_users(users.astype("uint32"), x, t, 1),
                                  ridge_users(users, x, t, 1))  # fmt: skip


def test_the_order_of_the_rows_does_not_count():
    users, x, t = drawn(5)
    order = np.random.default_rng(6).permutation(len(t))
    one, other = ridge_users(users, x, t, 2), ridge_users(users[order], x[order], t[order], 2)
    np.testing.assert_allclose(one, other, atol=1e-12)


@pytest.mark.parametrize(("change", "said"), [
    ({"strength": 0}, "`strength` must be a finite number above 0"),
    ({"strength": -np.eye(3)}, "positive definite"),
    ({"strength": np.eye(2)}, r"Received: shape \(2, 2\)"),
    ({"targets": np.zeros(3)}, "Take the same rows"),
    ({"users": np.full(40, 0.5)}, "`users` must be whole numbers"),
    ({"users": np.full(40, -1)}, "-1 to -1"),
    ({"count": 2}, "count=2. Number them anew"),
    ({"count": 6.5}, "`count` must be a whole number"),
    ({"mean": np.zeros(1)}, r"`mean` must be finite numbers of shape \(3,\).*shape \(1,\)"),
    ({"mean": np.zeros(2)}, r"Received: shape \(2,\), 0 not finite"),
    ({"mean": [0, 0, np.nan]}, r"Received: shape \(3,\), 1 not finite"),
    ({"vectors": np.full((40, 3), np.inf)}, "must be finite"),
])  # fmt: skip
def test_what_it_cannot_do_is_refused(change, said):
    users, x, t = drawn(7)
    with pytest.raises(ValueError, match=said):
        ridge_users(**{"users": users, "vectors": x, "targets": t, "strength": 1.0} | change)
