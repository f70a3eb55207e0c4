"""The search alone, on tables of probabilities: no network."""

import itertools

from tlhelpers.checks.vocabulary import BEGIN, END, PADDING
from tlhelpers.models.decoding import beam_search, greedy_search

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

SIZE, LENGTH = 6, 4  # words, the first three of them marks


class Table:
    """Log-probabilities by the last two words, for each sentence; it keeps the one before last.

    So a search that mixes up the rows' parents gets other numbers.
    """

    def __init__(self, seed, sentences=3):
        draws = np.random.default_rng(seed).normal(size=(sentences, SIZE, SIZE, SIZE)) * 2
        self.odds = draws - np.log(np.exp(draws).sum(axis=-1, keepdims=True))
        self.odds[..., [PADDING, BEGIN]] = -np.inf

    def __call__(self, copies):
        sentence = np.repeat(np.arange(len(self.odds)), copies)
        before = np.zeros(len(sentence), int)
        kept = np.zeros(len(sentence), int)

        def step(last, parents):
            nonlocal before, kept
            before = np.zeros_like(last) if parents is None else kept[parents]
            kept = last
            return self.odds[sentence, before, last]

        return step

    def score(self, sentence, words):
        before, last, total = 0, BEGIN, 0.0
        for word in words:
            total += self.odds[sentence, before, last, word]
            before, last = last, word
        return total

    def best(self, sentence):
        """Search through all sentences."""
        words = range(3, SIZE)
        every = [*itertools.product(words, repeat=LENGTH)]
        for n in range(LENGTH):
            every += [(*start, END) for start in itertools.product(words, repeat=n)]
        return max((self.score(sentence, one), one) for one in every)


def written(row):
    return tuple(row[row != PADDING].tolist())


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.integers(2, 5))
def test_a_beam_of_one_is_greedy_and_a_wider_one_is_not_worse(seed, beam):
    table = Table(seed)
    greedy, one, wide = (
        greedy_search(table, 3, LENGTH),
        beam_search(table, 3, LENGTH, 1),
        beam_search(table, 3, LENGTH, beam),
    )
    np.testing.assert_array_equal(one.numbers, greedy.numbers)
    np.testing.assert_allclose(one.scores, greedy.scores)
    assert (wide.scores >= greedy.scores - 1e-12).all()
    for found in (greedy, wide):
        again = [table.score(n, written(row)) for n, row in enumerate(found.numbers)]
        np.testing.assert_allclose(found.scores, again)


@pytest.mark.parametrize("seed", range(5))
def test_a_beam_as_wide_as_all_beginnings_finds_the_best_sentence(seed):
    table = Table(seed)
    found = beam_search(table, 3, LENGTH, beam=3**LENGTH + 40)
    for sentence, row in enumerate(found.numbers):
        score, words = table.best(sentence)
        assert written(row) == words and found.scores[sentence] == pytest.approx(score)


def test_a_wider_beam_finds_more():
    def total(beam):
        return sum(beam_search(Table(seed), 3, LENGTH, beam).scores.sum() for seed in range(20))

    assert total(1) < total(2) < total(8)


def test_nothing_is_written_behind_the_end():
    for seed in range(5):
        for row in beam_search(Table(seed), 3, LENGTH, 3).numbers:
            ends = np.flatnonzero(row == END)
            assert not len(ends) or not row[ends[0] + 1 :].any()


@pytest.mark.parametrize("numbers", [(0, 4, 1), (1, 0, 1), (1, 4, 0), (1, 4, 1.5)])
def test_numbers_below_one_are_refused(numbers):
    with pytest.raises(ValueError, match="must be a whole number"):
        beam_search(Table(0), *numbers)
