import tlhelpers as tl

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st


@given(st.integers(1, 1000), st.integers(1, 40))
def test_a_uniform_guess_over_v_pieces_costs_log_v(pieces, count):
    logs = np.full(count, -np.log(pieces))
    assert tl.perplexity(log_probabilities=logs) == pytest.approx(pieces)
    bits = tl.bits_per_character(log_probabilities=logs, characters=2 * count)
    assert bits == pytest.approx(np.log2(pieces) / 2, abs=1e-12)


@given(st.lists(st.floats(-20, 0), min_size=1, max_size=20), st.integers(1, 50))
def test_both_say_the_same_in_other_units(logs, characters):
    bits = tl.bits_per_character(log_probabilities=np.array(logs), characters=characters)
    per_piece = bits * characters / len(logs)
    assert 2**per_piece == pytest.approx(tl.perplexity(log_probabilities=np.array(logs)), rel=1e-9)


@pytest.mark.parametrize("logs", [[], [0.1], [np.nan], [[-1.0]], ["a"]])
def test_what_is_no_logarithm_of_a_probability_is_refused(logs):
    with pytest.raises(ValueError, match="`log_probabilities` must be one logarithm"):
        tl.perplexity(log_probabilities=np.array(logs))


def test_no_character_is_refused():
    with pytest.raises(ValueError, match="`characters` must be"):
        tl.bits_per_character(log_probabilities=[-1.0], characters=0)
