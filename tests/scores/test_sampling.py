import tlhelpers as tl

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

ROWS = arrays("f8", (2, 6), elements=st.floats(-30, 30), unique=True)


def softmax(z):
    odds = np.exp(z - z.max(-1, keepdims=True))
    return odds / odds.sum(-1, keepdims=True)


@given(ROWS)
def test_alone_it_is_a_softmax(z):
    np.testing.assert_allclose(tl.sampling_probabilities(z), softmax(z), atol=1e-12)
    found = tl.sampling_probabilities(z, temperature=2.5)
    np.testing.assert_allclose(found, softmax(z / 2.5), atol=1e-12)


@given(ROWS, st.integers(1, 6), st.floats(0.05, 1), st.floats(0.3, 3))
def test_the_smallest_set_with_the_share_is_kept(z, k, p, temperature):
    found = tl.sampling_probabilities(z, temperature, k, p)
    np.testing.assert_allclose(found.sum(-1), 1)
    for row, odds in zip(found, softmax(z / temperature), strict=True):
        kept, likely = np.flatnonzero(row), np.argsort(-odds)
        if odds[likely[0]] == odds[likely[1]]:
            continue  # equal after rounding
        assert likely[0] in kept and len(kept) <= k
        among = odds[likely[:k]] / odds[likely[:k]].sum()
        share = among[: len(kept)].sum()
        assert share >= p - 1e-9 or len(kept) == np.count_nonzero(among)
        assert len(kept) == 1 or among[: len(kept) - 1].sum() < p + 1e-9  # one less is too few
        np.testing.assert_allclose(row[kept], odds[kept] / odds[kept].sum(), rtol=1e-6)


@given(ROWS)
def test_top_k_1_and_a_low_temperature_are_greedy_and_a_high_one_is_uniform(z):
    best = np.eye(6)[z.argmax(-1)]
    np.testing.assert_array_equal(tl.sampling_probabilities(z, top_k=1), best)
    np.testing.assert_array_equal(tl.sampling_probabilities(z, 1e-300), best)
    hot = tl.sampling_probabilities(z, temperature=1e9)
    np.testing.assert_allclose(hot, np.full((2, 6), 1 / 6), atol=1e-6)


def test_of_equal_pieces_the_first_is_kept():
    assert tl.sampling_probabilities(np.zeros(4), top_k=1).tolist() == [1, 0, 0, 0]
    assert tl.sampling_probabilities(np.zeros(4), top_p=0.5).tolist() == [0.5, 0.5, 0, 0]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"temperature": 0}, "`temperature` must.*top_k=1"),
        ({"temperature": -1}, "`temperature`"),
        ({"top_k": 0}, "`top_k` must be a whole number between 1 and 4"),
        ({"top_k": 5}, "`top_k`"),
        ({"top_p": 0}, "`top_p`"),
        ({"top_p": 1.1}, "`top_p`"),
        ({"logits": np.array([0, np.nan])}, "`logits` must be finite"),
        ({"logits": np.array([])}, "`logits` must be finite"),
    ],
)
def test_bad_settings_are_refused(settings, says):
    with pytest.raises(ValueError, match=says):
        tl.sampling_probabilities(**{"logits": np.zeros(4), **settings})
