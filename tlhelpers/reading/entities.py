"""What found names are worth: precision, recall and F1 of whole entities, and what went wrong."""

from dataclasses import dataclass

from tlhelpers.reading.reports import Printed, cells
from tlhelpers.scores.entities import (
    ERRORS,
    Counts,
    count_entities,
    count_errors,
    paired,
)

import numpy as np


@dataclass(frozen=True, repr=False)
class EntitiesReport(Printed):
    """What `evaluate_entities` returns; all scores are in 0..1, NaN where nothing defines one.

    `precision`, `recall` and `f1` are those of all entities together (micro), `interval` is the
    95 % bootstrap interval of `f1` over sentences, `per_kind` has the same by kind with the number
    of true entities, `errors` counts what went wrong, by kind (see `count_errors`). `words_right`
    is the share of words with the right tag: high for everyone, as most words are O.
    """

    f1: float
    interval: tuple[float, float]
    precision: float
    recall: float
    words_right: float
    found: int
    entities: int
    sentences: int
    per_kind: dict[str, dict[str, float]]
    errors: dict[str, dict[str, int]]

    def __str__(self) -> str:
        low, high = self.interval
        sums = {sort: sum(row[sort] for row in self.errors.values()) for sort in ERRORS}
        told = ", ".join(f"{sort} {count}" for sort, count in sums.items())
        return (
            f"entity F1 {self.f1:.3f} (95 % interval {low:.3f} to {high:.3f}), precision "
            f"{self.precision:.3f}, recall {self.recall:.3f}; {self.entities:,} entities in "
            f"{self.sentences:,} sentences, {self.found:,} found\n"
            f"words with the right tag {self.words_right:.3f}; errors: {told}"
        )

    def rows(self) -> list[list[str]]:
        """Return the cells of the table, the head first."""
        each = [
            [*cells(kind, [s["precision"], s["recall"], s["f1"]], s["entities"]),
             *(str(self.errors[kind][sort]) for sort in ERRORS)]
            for kind, s in self.per_kind.items()
        ]  # fmt: skip
        sums = [str(sum(row[sort] for row in self.errors.values())) for sort in ERRORS]
        whole = [*cells("**all**", [self.precision, self.recall, self.f1], self.entities), *sums]
        return [["kind", "precision", "recall", "F1", "entities", *ERRORS], *each, whole]


def evaluate_entities(true, predicted, resamples: int = 1000, seed: int = 0) -> EntitiesReport:
    """Say what predicted tags are worth: strict F1 of whole entities, as conlleval counts them.

    An entity counts as found only with its kind and with both borders. I- after O, or after
    another kind, begins an entity (conlleval, and seqeval by default).

    Args:
        true, predicted: tags of n sentences, lists of O, B-KIND and I-KIND, one for each word.
        resamples: of the bootstrap over sentences; 0 for no interval.
        seed: of it.

    Returns:
        An `EntitiesReport`; `print` it, or use `.to_markdown()`, `.to_json(path)`.

    Raises:
        ValueError: other numbers of sentences or words; a tag that breaks the scheme.

    Example:
        >>> true = [["B-PER", "I-PER", "O", "B-LOC"]]
        >>> print(tl.evaluate_entities(true, [["B-PER", "O", "O", "I-LOC"]]))
        entity F1 0.500 (95 % interval ...), precision 0.500, recall 0.500; 2 entities ...
        words with the right tag 0.500; errors: another kind 0, other borders 1, both 0, ...

    Reference:
        Tjong Kim Sang and De Meulder, "Introduction to the CoNLL-2003 Shared Task", 2003.
    """
    pairs = paired(true, predicted)
    counts = count_entities(true, predicted)
    whole = Counts(*np.sum([*counts.values(), (0, 0, 0)], axis=0).tolist())
    equal = [a == b for one in pairs for a, b in zip(*one, strict=True)]
    return EntitiesReport(
        f1=whole.f1,
        interval=_interval(pairs, resamples, seed),
        precision=whole.precision,
        recall=whole.recall,
        words_right=float(np.mean(equal)) if equal else float("nan"),
        found=whole.found,
        entities=whole.there,
        sentences=len(pairs),
        per_kind={
            kind: {"precision": c.precision, "recall": c.recall, "f1": c.f1, "entities": c.there}
            for kind, c in counts.items()
        },
        errors=count_errors(true, predicted),
    )


def _interval(pairs, resamples: int, seed: int) -> tuple[float, float]:
    """Draw sentences with replacement: the words of one sentence are not independent."""
    each = np.array([
        np.sum([*count_entities([a], [b]).values(), (0, 0, 0)], axis=0) for a, b in pairs
    ])  # fmt: skip
    if not resamples or not each[:, 1:].any():
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(len(each), np.full(len(each), 1 / len(each)), resamples) @ each
    f1 = 2 * draws[:, 0] / np.maximum(draws[:, 1] + draws[:, 2], 1)
    low, high = np.percentile(f1, [2.5, 97.5])
    return float(low), float(high)
