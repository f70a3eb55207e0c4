"""Entities of tagged sentences, and how many of them were found: strict, as conlleval counts."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from tlhelpers.checks.tags import OUTSIDE, check_tags


class Entity(NamedTuple):
    """A name: its kind, its first word, and the word behind its last one."""

    kind: str
    start: int
    end: int


def find_entities(tags: Sequence[str]) -> list[Entity]:
    """Return the entities of one tagged sentence, in order.

    B- begins one. So does I- where none of its kind goes on: after O, or after another kind. That
    is how conlleval, and seqeval by default, read a slip of a tagger.

    Args:
        tags: of each word: O, B-KIND or I-KIND.

    Raises:
        ValueError: what is no such tag.

    Example:
        >>> tl.find_entities(["B-PER", "I-PER", "O", "I-LOC", "I-ORG", "B-ORG"])
        [Entity(kind='PER', start=0, end=2), Entity(kind='LOC', start=3, end=4),
         Entity(kind='ORG', start=4, end=5), Entity(kind='ORG', start=5, end=6)]

    Reference:
        Tjong Kim Sang and De Meulder, "Introduction to the CoNLL-2003 Shared Task", 2003.
    """
    (row,) = check_tags([tags])
    found, start, kind = [], 0, ""
    for place, tag in enumerate([*row, OUTSIDE]):
        goes_on = bool(kind) and tag == f"I-{kind}"
        if kind and not goes_on:
            found.append(Entity(kind, start, place))
        if not goes_on:
            start, kind = place, tag[2:]
    return found


class Counts(NamedTuple):
    """Of one kind: entities found right, found in all, there in all."""

    right: int
    found: int
    there: int

    @property
    def precision(self) -> float:
        """Right ones of those found; NaN where none was found."""
        return self.right / self.found if self.found else float("nan")

    @property
    def recall(self) -> float:
        """Right ones of those that are there; NaN where there is none."""
        return self.right / self.there if self.there else float("nan")

    @property
    def f1(self) -> float:
        """2 right / (found + there); NaN where both are none."""
        both = self.found + self.there
        return 2 * self.right / both if both else float("nan")


def count_entities(true, predicted) -> dict[str, Counts]:
    """Return the `Counts` of each kind. An entity is right with the same kind and borders.

    Args:
        true, predicted: tags of n sentences, of as many words each.

    Raises:
        ValueError: other numbers of sentences or words; what is no tag.

    Example:
        >>> count_entities([["B-PER", "I-PER", "O"]], [["B-PER", "O", "B-LOC"]])
        {'LOC': Counts(right=0, found=1, there=0), 'PER': Counts(right=0, found=1, there=1)}
    """
    right, found, there = Counter[str](), Counter[str](), Counter[str]()
    for a, b in paired(true, predicted):
        mine, theirs = set(find_entities(a)), set(find_entities(b))
        there.update(entity.kind for entity in mine)
        found.update(entity.kind for entity in theirs)
        right.update(entity.kind for entity in mine & theirs)
    kinds = sorted({*there, *found})
    return {kind: Counts(right[kind], found[kind], there[kind]) for kind in kinds}


ERRORS = ("another kind", "other borders", "both", "missed", "nothing there")


def count_errors(true, predicted) -> dict[str, dict[str, int]]:
    """Return what went wrong, by kind and sort of error.

    A true entity that was not found right is "another kind" (same words), "other borders" (same
    kind, words in common), "both" (words in common with another kind alone) or "missed". A found
    one without a word in common with any true one is "nothing there", under the kind that it was
    called. A true one that overlaps several is named after the first sort that fits.

    Args:
        true, predicted: as for `count_entities`.

    Example:
        >>> count_errors([["B-PER", "I-PER", "O"]], [["B-PER", "O", "B-LOC"]])["PER"]
        {'another kind': 0, 'other borders': 1, 'both': 0, 'missed': 0, 'nothing there': 0}
    """
    told: dict[str, Counter] = {}
    for a, b in paired(true, predicted):
        mine, theirs = find_entities(a), find_entities(b)
        for entity in mine:
            told.setdefault(entity.kind, Counter())
            if entity not in theirs:
                told[entity.kind][_sort_of(entity, theirs)] += 1
        for entity in theirs:
            told.setdefault(entity.kind, Counter())
            if not any(_overlap(entity, other) for other in mine):
                told[entity.kind][ERRORS[4]] += 1
    return {kind: {sort: told[kind][sort] for sort in ERRORS} for kind in sorted(told)}


def _sort_of(entity: Entity, theirs: list[Entity]) -> str:
    near = [other for other in theirs if _overlap(entity, other)]
    if any(other[1:] == entity[1:] for other in near):
        return ERRORS[0]
    if any(other.kind == entity.kind for other in near):
        return ERRORS[1]
    return ERRORS[2] if near else ERRORS[3]


def _overlap(a: Entity, b: Entity) -> bool:
    return a.start < b.end and b.start < a.end


def paired(true, predicted) -> list[tuple[list[str], list[str]]]:
    """Return true and predicted tags of each sentence.

    Raises:
        ValueError: other numbers of sentences or words; what is no tag.
    """
    true, predicted = check_tags(true, "true"), check_tags(predicted, "predicted")
    if len(true) != len(predicted) or not true:
        raise ValueError(
            "`predicted` must be of as many sentences as `true`, one at least. Received: "
            f"{len(predicted)} and {len(true)}. Take the same sentences."
        )
    for number, (a, b) in enumerate(zip(true, predicted, strict=True)):
        if len(a) != len(b):
            raise ValueError(
                "`predicted` must have a tag for each word. Received: "
                f"{len(b)} for the {len(a)} words of sentence {number}. Read them with the "
                "aligner: aligner.read(logits, sentences)."
            )
    return list(zip(true, predicted, strict=True))
