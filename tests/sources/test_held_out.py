from tlhelpers.sources.held_out import held_out

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st


@given(st.lists(st.text(max_size=20), max_size=8), st.integers(0, 2**16))
def test_a_sentence_decides_alone(sentences, seed):
    order = np.random.default_rng(seed).permutation(len(sentences))
    together = held_out(sentences, 0.5)
    moved = held_out([sentences[n] for n in order], 0.5)
    assert together.dtype == bool and (moved == together[order]).all()


def test_case_and_punctuation_do_not_count():
    assert len(set(held_out(["I like tea.", "i like  tea", "I, like TEA!"], 0.5))) == 1


@pytest.mark.parametrize("share", [0.01, 0.05, 0.5])
def test_the_share_is_as_asked(share):
    kept = held_out((f"number {n}" for n in range(20_000)), share)
    assert abs(kept.mean() - share) < 4 * np.sqrt(share * (1 - share) / 20_000)


def test_a_larger_share_holds_the_smaller_one():
    sentences = [f"number {n}" for n in range(1000)]
    assert not (held_out(sentences, 0.1) & ~held_out(sentences, 0.2)).any()


@pytest.mark.parametrize("share", [0, 1, -0.1, None])
def test_a_share_out_of_range_is_refused(share):
    with pytest.raises(ValueError, match="`share`"):
        held_out(["a"], share)
