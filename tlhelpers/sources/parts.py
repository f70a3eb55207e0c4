"""Train, validation and test: parts of data of which no sample stands on two sides."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tlhelpers.checks.words import check_number

import numpy as np

PARTS = ("train", "validation", "test")
_URGENT = 1e9  # above every lack


@dataclass(frozen=True, repr=False, eq=False)
class Parts:
    """Samples and their labels in memory, in three parts."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_validation: np.ndarray
    y_validation: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    class_names: tuple[str, ...]

    def _labels(self) -> np.ndarray:
        return np.concatenate([getattr(self, f"y_{part}") for part in PARTS])

    def _sizes(self) -> str:
        return ", ".join(f"{len(getattr(self, f'y_{part}')):,} {part}" for part in PARTS)


def check_shares(validation, test) -> tuple[float, float, float]:
    """Return the share of each of the `PARTS`, or say what is wrong with the last two."""
    validation = check_number("validation", validation, "[0, 1)", "0.15 is 15 %.")
    test = check_number("test", test, "[0, 1)", "0.15 is 15 %.")
    if validation + test >= 1:
        raise ValueError(
            "`validation` and `test` must leave something to train on. Received: "
            f"validation={validation}, test={test}. Together they must be below 1."
        )
    return 1 - validation - test, validation, test


def connect(count: int, pairs: np.ndarray, keys: Iterable) -> np.ndarray:
    """Number what must stay together: by pairs, and by equal keys that are not None.

    Returns:
        The number of the group of each of `count` samples, int `(count,)`.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first: dict = {}
    links = (first.setdefault(key, i) if key is not None else i for i, key in enumerate(keys))
    rows = np.concatenate([pairs[:, 0], np.fromiter(links, int, count)])
    columns = np.concatenate([pairs[:, 1], np.arange(count)])
    graph = coo_array((np.ones(len(rows), bool), (rows, columns)), shape=(count, count))
    return connected_components(graph, directed=False)[1]


def split_groups(
    y: np.ndarray, groups: np.ndarray, shares, seed: int | Sequence[int], mixed: bool = False
) -> np.ndarray:
    """Assign whole groups to parts, so that each part comes near its share of every class.

    Large groups go first, in a random order among equals; `mixed` lets smaller ones come before
    larger ones. Each goes where most is lacking of its classes; the last ones of a class go to the
    parts that have none of it yet.

    Returns:
        The number of the part of each sample, int64 `(n,)`.
    """
    classes, sizes = int(y.max()) + 1, np.bincount(groups)
    pairs, counts = np.unique(groups.astype("int64") * classes + y, return_counts=True)
    begins, labels = np.searchsorted(pairs, np.arange(len(sizes) + 1) * classes), pairs % classes
    balance = _Balance(np.bincount(y).tolist(), np.bincount(labels).tolist(), shares)
    part = np.empty(len(sizes), int)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(sizes))
    weights = sizes[order] * (rng.lognormal(size=len(sizes)) if mixed else 1)
    order = order[np.argsort(-weights, kind="stable")]
    for number in order[sizes[order] > 1].tolist():
        mine = slice(begins[number], begins[number + 1])
        part[number] = balance.place(labels[mine].tolist(), counts[mine].tolist())
    alone = order[sizes[order] == 1]
    alone = alone[np.argsort(labels[begins[alone]], kind="stable")]
    edges = np.searchsorted(labels[begins[alone]], np.arange(1, classes))
    for label, numbers in enumerate(np.split(alone, edges)):
        part[numbers] = balance.place_singles(label, len(numbers))
    return part[groups]


def draw_parts(y, groups, shares, seed: int, names: Sequence[str], things: str) -> dict:
    """Return the samples of each part, in a random order: part -> numbers, int64.

    Raises:
        ValueError: a class is too small to be in every part (see `check_parts`).
    """
    parts = split_groups(y, groups, shares, seed)
    check_parts(y, parts, shares, names, groups, things)
    order = np.random.default_rng(seed).permutation(len(y))
    return {part: order[parts[order] == number] for number, part in enumerate(PARTS)}


def check_parts(y, parts, shares, names: Sequence[str], groups, things: str) -> None:
    """Check that each class is in each part; `things` is what the samples are: "pictures".

    Raises:
        ValueError: a part that has a share has none of a class.
    """
    classes = len(names)
    counts = np.bincount(parts * classes + y, minlength=len(PARTS) * classes)
    for number, label in np.argwhere(counts.reshape(-1, classes) == 0):
        if shares[number]:
            kinds = len(np.unique(groups[y == label]))
            raise ValueError(
                f"Each class must be in each part. Received: {np.sum(y == label)} {things} of "
                f"{names[label]!r}, {kinds} if what stays together counts once: none is left for "
                f"{PARTS[number]}. Add {things}, or set validation=0 or test=0."
            )


class _Balance:
    """What each part has of each class while groups are placed; plain numbers, as they're fast."""

    def __init__(self, total: list[int], left: list[int], shares):
        self.total, self.left = total, left  # samples of each class; groups of it to be placed
        self.shares = {part: float(share) for part, share in enumerate(shares) if share > 0}
        self.had = {part: [0] * len(total) for part in self.shares}
        self.lacking = [len(self.shares)] * len(total)  # parts that have none of a class

    def place(self, labels: list[int], members: list[int]) -> int:
        """Give a group, so many members of each of its labels, to a part; return which."""
        scores = {part: self._score(part, labels, members) for part in self.shares}
        chosen = max(scores, key=scores.__getitem__)
        had = self.had[chosen]
        for label, count in zip(labels, members, strict=True):
            self.lacking[label] -= not had[label]
            self.left[label] -= 1
            had[label] += count
        return chosen

    def place_singles(self, label: int, count: int) -> list[int]:
        """Place the last groups of a class, one sample each: as `place` does, but at once.

        A part lacks less with each sample, so that the order of the lacks is the order of the
        parts. Only the last three samples can be urgent.
        """
        early = max(count - len(PARTS), 0)
        lacks = []
        for part, share in self.shares.items():
            wanted, had = share * self.total[label], self.had[part][label] + np.arange(early)
            lacks.append((wanted - had) / max(self.total[label], 1))
        best = np.argsort(-np.concatenate(lacks), kind="stable")[:early]
        chosen = np.repeat(list(self.shares), early)[best]
        for part, had_of in self.had.items():
            had_of[label] += int(np.sum(chosen == part))
        self.left[label] -= early
        self.lacking[label] = sum(not had_of[label] for had_of in self.had.values())
        return [*chosen.tolist(), *(self.place([label], [1]) for _ in range(count - early))]

    def _score(self, part: int, labels: list[int], members: list[int]) -> float:
        share, had, score, urgent = self.shares[part], self.had[part], 0.0, 0.0
        for label, count in zip(labels, members, strict=True):
            total = self.total[label]
            score += (share * total - had[label]) / total * count
            if not had[label] and self.left[label] <= self.lacking[label]:
                urgent = _URGENT
        return score + urgent
