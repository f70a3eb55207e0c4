"""Known and held-out ratings: apart, nested, the latest where times are given."""

from tlhelpers.sources.known_ratings import draw_known

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 6), min_size=8, max_size=80), st.integers(1, 3), st.integers(1, 3))
def test_they_are_apart_and_as_many_as_asked_for(users, known, held):
    users = np.array(users)
    counts = np.bincount(users)
    if counts.max() < known + held:
        with pytest.raises(ValueError, match="`least` must leave users"):
            draw_known(users, known, held)
        return
    rows = draw_known(users, known, held)
    assert not set(rows.known.tolist()) & set(rows.held.tolist())
    enough = counts >= known + held
    np.testing.assert_array_equal(np.bincount(users[rows.known], minlength=7)[: len(counts)],
                                  known * enough)  # fmt: skip
    np.testing.assert_array_equal(np.bincount(users[rows.held], minlength=7)[: len(counts)],
                                  held * enough)  # fmt: skip


def test_fewer_known_ones_are_among_more_and_the_test_stays():
    users = np.random.default_rng(0).integers(5, size=100)
    two, five, rest = (draw_known(users, n, 3, least=9, seed=4) for n in (2, 5, None))
    assert set(two.known) < set(five.known) < set(rest.known)
    for rows in (five, rest):
        np.testing.assert_array_equal(rows.held, two.held)
    assert set(rest.known) | set(rest.held) == set(range(100))
    assert set(draw_known(users, 5, 3, seed=5).held) != set(five.held)


def test_with_times_the_latest_are_held_and_those_before_known():
    times = np.array([5, 1, 4, 2, 3, 9, 8, 7])
    rows = draw_known(np.array([0, 0, 0, 0, 0, 1, 1, 1]), 2, 1, times=times)
    assert rows.held.tolist() == [0, 5] and rows.known.tolist() == [2, 4, 6, 7]


@pytest.mark.parametrize(("change", "said"), [
    ({"known": 0}, "`known` must be a whole number, 1 or above"),
    ({"held": 0}, "`held` must be a whole number, 1 or above"),
    ({"least": 4}, "`least` must be a whole number, 5 or above"),
    ({"least": 99}, "no user has more than 6 ratings"),
    ({"seed": -1}, "`seed` must be"),
    ({"users": np.full(6, -1)}, "`users` must be whole numbers.* -1 to -1"),
    ({"users": np.zeros(6)}, "`users` must be whole numbers.*float64"),
    ({"users": np.array(["ann"] * 6)}, "`users` must be whole numbers"),
    ({"times": np.zeros(5)}, r"`times` must have .* Received: shape \(5,\), 6 users"),
])  # fmt: skip
def test_wrong_arguments_are_refused(change, said):
    with pytest.raises(ValueError, match=said):
        draw_known(**{"users": np.zeros(6, int), "known": 2, "held": 3} | change)
