"""Users, and pairs of a user and an item: which are taken, and what is said of the others."""

from tlhelpers.checks.ratings import check_pairs, check_users

import numpy as np
import pytest


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "uint64"])
def test_whole_numbers_of_any_type_are_taken(dtype):
    users = check_users(np.array([0, 3, 1], dtype))
    assert users.dtype == "int64" and users.tolist() == [0, 3, 1]
    pairs, ratings = check_pairs(np.array([[0, 3], [1, 2]], dtype), [1, 5], 4, 2)
    assert pairs.tolist() == [[0, 3], [1, 2]] and ratings.dtype == "float64"
    assert check_pairs(pairs, ratings, 4)[0].shape == (2, 2)  # any user may come


@pytest.mark.parametrize(("users", "said"), [
    ([-1, 2], r"0 or above\. Received: int64 \(2,\), -1 to 2\. Number them"),
    ([0.0, 1.0], r"Received: float64 \(2,\)\."),
    (["ann", "bob"], r"Received: <U3 \(2,\)\."),
    ([True, False], r"Received: bool \(2,\)\."),
    ([[0], [1]], r"Received: int64 \(2, 1\)\."),
])  # fmt: skip
def test_other_users_are_refused(users, said):
    with pytest.raises(ValueError, match=f"`users` must be whole numbers.*{said}"):
        check_users(users)


@pytest.mark.parametrize(("change", "said"), [
    ({"pairs": [[0, 6], [1, 1]]}, "to user 1 and item 6; the model has 2 users, 6 items"),
    ({"pairs": [[0, 5], [9, 1]]}, "to user 9 and item 5; the model has 2 users, 6 items"),
    ({"pairs": [[0, 5], [-1, 1]]}, "-1 and above"),
    ({"pairs": [[0.0, 5.0], [1.0, 1.0]]}, r"Received: float64 \(2, 2\);"),
    ({"pairs": [[0], [1]]}, r"Received: int64 \(2, 1\);"),
    ({"pairs": np.zeros((0, 2), int)}, r"Received: int64 \(0, 2\);"),
    ({"ratings": [3]}, r"`ratings` must have one .* Received: shape \(1,\), 2 pairs"),
    ({"ratings": [3, np.nan]}, "`ratings` must be finite. Received: 1 of 2"),
])  # fmt: skip
def test_other_pairs_and_ratings_are_refused(change, said):
    with pytest.raises(ValueError, match=said):
        check_pairs(**{"pairs": [[0, 5], [1, 1]], "ratings": [3, 4], "items": 6, "users": 2}
                    | change)  # fmt: skip
