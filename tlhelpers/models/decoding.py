"""From probabilities of the next word to a sentence: greedy, or with a beam.

Both ask a step, a function of the last word of each row, `(rows,)`, and of the row of the call
before that each row goes on from (`parents`; None at first). It returns the log-probabilities of
the next word, `(rows, words)`. `begin(copies)` gives a step with so many rows for each sentence.
"""

from collections.abc import Callable
from typing import NamedTuple

from tlhelpers.checks.vocabulary import BEGIN, END, PADDING
from tlhelpers.checks.words import check_whole

import numpy as np

Step = Callable[[np.ndarray, np.ndarray | None], np.ndarray]


class Decoded(NamedTuple):
    """Sentences: the numbers of their words `(n, length)` up to the end, then padding; `scores`.

    A score is the sum of the log-probabilities of a sentence's words, its end included, `(n,)`.
    """

    numbers: np.ndarray
    scores: np.ndarray


def greedy_search(
    begin: Callable[[int], Step],
    sentences: int,
    length: int,
    end: int = END,
    padding: int = PADDING,
) -> Decoded:
    """Take the most probable word each time.

    Args:
        begin: see above; called once, with 1.
        sentences, length: n, and how many words to write at most, the end included.
        end, padding: the numbers of the end of a sentence, and of what stands behind it.

    Returns:
        `Decoded`. A sentence that hasn't ended after `length` words stops there.

    Raises:
        ValueError: a number below 1.

    Example:
        >>> after_1, after_3 = [0.1, 0.1, 0.2, 0.6], [0.1, 0.1, 0.5, 0.3]
        >>> table = np.log([after_1, after_1, after_1, after_3])
        >>> decoded = greedy_search(lambda copies: lambda last, parents: table[last], 1, 5)
        >>> decoded.numbers  # after 1 comes 3, after 3 the end
        array([[3, 2, 0, 0, 0]])
    """
    n, length = check_whole("sentences", sentences, 1), check_whole("length", length, 1)
    step, last, parents = begin(1), np.full(n, BEGIN), None
    numbers, scores, ended = np.full((n, length), padding), np.zeros(n), np.zeros(n, bool)
    for place in range(length):
        odds = step(last, parents)
        last = np.where(ended, padding, odds.argmax(axis=1))
        scores += np.where(ended, 0, odds.max(axis=1))
        numbers[:, place] = last
        ended |= last == end
        parents = np.arange(n)
        if ended.all():
            break
    return Decoded(numbers, scores)


def beam_search(
    begin: Callable[[int], Step], sentences: int, length: int, beam: int = 4
) -> Decoded:
    """Keep the `beam` best beginnings of each sentence, and return the best whole one.

    A beam may drop the path that greedy search takes, and end below it. So the greedy sentence is
    found too, and returned where it scores higher: a wider search is never worse than greedy.
    Scores aren't divided by the length.

    Args:
        begin, sentences, length: as in `greedy_search`.
        beam: 1 or more; as wide as there are beginnings, the search is exhaustive.

    Raises:
        ValueError: a number below 1.

    Example:
        >>> after_1, after_3 = [0.05, 0.05, 0.4, 0.5], [0.1, 0.1, 0.2, 0.6]
        >>> table = np.log([after_1, after_1, after_1, after_3])
        >>> begin = lambda copies: lambda last, parents: table[last]
        >>> greedy_search(begin, 1, 3).numbers, beam_search(begin, 1, 3, beam=2).numbers
        (array([[3, 3, 3]]), array([[2, 0, 0]]))

    Reference:
        Sutskever, Vinyals, Le, "Sequence to Sequence Learning with Neural Networks", NeurIPS 2014,
        section 3.2.
    """
    n, length = check_whole("sentences", sentences, 1), check_whole("length", length, 1)
    k = check_whole("beam", beam, 1, None, "1 is greedy, 4 is usual.")
    greedy = greedy_search(begin, n, length)
    step, last, parents = begin(k), np.full(n * k, BEGIN), None
    numbers = np.full((n, k, length), PADDING)
    scores = np.full((n, k), -np.inf)
    scores[:, 0] = 0  # at first the k beginnings are one
    ended = np.zeros((n, k), bool)
    for place in range(length):
        odds = step(last, parents).reshape(n, k, -1)
        odds = np.where(ended[..., None], -np.inf, odds)
        odds[..., PADDING] = np.where(ended, 0, odds[..., PADDING])  # who has ended waits for free
        totals = (scores[..., None] + odds).reshape(n, -1)
        best = np.argsort(-totals, axis=1, kind="stable")[:, :k]
        scores = np.take_along_axis(totals, best, axis=1)
        row, word = np.divmod(best, odds.shape[-1])
        numbers = np.take_along_axis(numbers, row[..., None], axis=1)
        numbers[..., place] = word
        ended = np.take_along_axis(ended, row, axis=1) | (word == END)
        if ended.all():
            break
        last, parents = word.ravel(), (row + np.arange(n)[:, None] * k).ravel()
    top = scores.argmax(axis=1)[:, None]
    found = np.take_along_axis(numbers, top[..., None], axis=1)[:, 0]
    score = np.take_along_axis(scores, top, axis=1)[:, 0]
    better = score >= greedy.scores
    return Decoded(
        np.where(better[:, None], found, greedy.numbers), np.where(better, score, greedy.scores)
    )
