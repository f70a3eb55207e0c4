"""How good transcripts are: the word error rate, with an interval and its parts."""

from collections.abc import Sequence
from dataclasses import dataclass

from tlhelpers.checks.words import check_seed, check_texts, check_whole
from tlhelpers.reading.reports import Printed

import numpy as np

_ENDS = (2.5, 97.5)  # percentiles: 95 % lie between


@dataclass(frozen=True, repr=False)
class Transcripts(Printed):
    """What `evaluate_transcripts` returns.

    `error_rate` is wrong words for each word that was said: 0 is perfect, and above 1 more is
    invented than was said. `interval` is its 95 % bootstrap interval over sounds. `substituted`,
    `deleted` and `inserted` count the wrong words, `by_text` those of each sound.
    """

    error_rate: float
    interval: tuple[float, float]
    substituted: int
    deleted: int
    inserted: int
    words: int
    texts: int
    by_text: list[int]

    def __str__(self) -> str:
        low, high = self.interval
        return (
            f"word error rate {self.error_rate:.3f} (95 % interval {low:.3f} to {high:.3f}): "
            f"{self.substituted} other, {self.deleted} missing, {self.inserted} invented; "
            f"{self.words} words in {self.texts} sounds"
        )

    def rows(self) -> list[list[str]]:
        """Return the cells of the table, the head first."""
        low, high = self.interval
        counts = (self.substituted, self.deleted, self.inserted, self.words, self.texts)
        head = [
            "word error rate",
            "95 % interval",
            "other",
            "missing",
            "invented",
            "words",
            "sounds",
        ]
        return [head, [f"{self.error_rate:.3f}", f"{low:.3f} to {high:.3f}", *map(str, counts)]]


def evaluate_transcripts(
    found: Sequence[str], references: Sequence[str], resamples: int = 1000, seed: int = 0
) -> Transcripts:
    """Compare transcripts with what was said: how many words must be changed?

        error rate = (other + missing + invented words) / words that were said

    Case and punctuation are dropped first, nothing else is: "4" for "four" is a wrong word. jiwer
    aligns the words.

    Args:
        found: n transcripts; an empty one counts, all its words as missing.
        references: n texts, what was said.
        resamples, seed: of the bootstrap: how many, 20 or more, and what draws them.

    Raises:
        ValueError: no texts, a reference without a word, not as many of both; jiwer isn't
            installed.

    Example:
        >>> tl.evaluate_transcripts(["Hello, word!", "the end"], ["hello world", "the end"])
        word error rate 0.250 (95 % interval 0.000 to 0.500): 1 other, 0 missing, 0 invented; ...

    Reference:
        Morris, Maier, Green, "From WER and RIL to MER and WIL", Interspeech 2004.
    """
    try:
        import jiwer
    except ImportError:
        raise ValueError(
            "evaluate_transcripts needs jiwer. Received: no module 'jiwer'. Install it: "
            "pip install jiwer"
        ) from None
    resamples = check_whole("resamples", resamples, 20, None, "1000 is usual.")
    clean = jiwer.Compose([jiwer.ToLowerCase(), jiwer.RemovePunctuation(),
                           jiwer.RemoveMultipleSpaces(), jiwer.Strip()])  # fmt: skip
    found, references = ([clean(text) for text in check_texts(*one)]
                         for one in (("found", found), ("references", references)))  # fmt: skip
    if len(found) != len(references) or not found:
        raise ValueError(
            "`found` and `references` must be one text for each sound, one or more. Received: "
            f"{len(found)} and {len(references)}. Transcribe exactly the sounds of the references."
        )
    if empty := [row for row, text in enumerate(references) if not text]:
        raise ValueError(
            f"`references` must have a word each. Received: references[{empty[0]}] without one. "
            "Leave its sound out of the test."
        )
    parts = [jiwer.process_words(one, two) for one, two in zip(references, found, strict=True)]
    wrong = np.array([(p.substitutions, p.deletions, p.insertions) for p in parts])
    words, n = np.array([len(text.split()) for text in references]), len(found)
    drawn = np.random.default_rng(check_seed(seed)).multinomial(n, np.full(n, 1 / n), resamples)
    low, high = np.percentile(drawn @ wrong.sum(axis=1) / (drawn @ words), _ENDS)
    other, missing, invented = wrong.sum(axis=0).tolist()
    return Transcripts(
        error_rate=float(wrong.sum() / words.sum()),
        interval=(float(low), float(high)),
        substituted=other,
        deleted=missing,
        inserted=invented,
        words=int(words.sum()),
        texts=n,
        by_text=wrong.sum(axis=1).tolist(),
    )
