"""Patients, cameras, modules: what belongs together stays on one side."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from tlhelpers.checks.data import check_labels
from tlhelpers.checks.features import to_numpy
from tlhelpers.checks.words import check_seed
from tlhelpers.sources.parts import PARTS, check_parts, check_shares, split_groups

import numpy as np

_DRAWS = 16  # of which the best balanced is kept
_NAMED = 5  # groups in an error


class Parts(NamedTuple):
    """The rows of each part, int64, in rising order."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def group_split(groups, y, validation: float = 0.15, test: float = 0.15, seed: int = 0) -> Parts:
    """Split samples into train, validation and test, each group wholly on one side.

    A group is what a new case brings along: a patient, a hospital, a camera, a module. Of sixteen
    random assignments of whole groups the one is kept whose classes come nearest to the shares.

    Args:
        groups: the group of each sample, `(n,)`: names or numbers.
        y: the class of each sample, integers `(n,)`.
        validation, test: the share of each part, in [0, 1); together below 1. The rest is train.
        seed: integer in 0..2**32-1 that draws the assignments.

    Returns:
        `Parts(train, validation, test)`: rows to index with, such as `x[parts.test]`.

    Raises:
        ValueError: fewer groups than parts; a sample without a group (None, NaN, an empty name);
            not one group and one label for each sample; a class of too few groups to be in every
            part; a bad share.

    Example:
        >>> groups = np.repeat(["ann", "bob", "eve", "joe"], 6)
        >>> parts = tl.group_split(groups, y, validation=0.25, test=0.25)
        >>> [len(rows) for rows in parts]
        [12, 6, 6]
        >>> tl.check_groups(train=groups[parts.train], test=groups[parts.test])

    Reference:
        Kapoor, Narayanan, "Leakage and the Reproducibility Crisis in Machine-Learning-Based
        Science", Patterns 4(9), 2023 (no independence between training and test samples).
    """
    shares, seed = check_shares(validation, test), check_seed(seed)
    names = _check_names("groups", groups)
    y = check_labels(to_numpy(y), n=len(names))
    classes, y = np.unique(y, return_inverse=True)
    kinds, numbers = np.unique(names, return_inverse=True)
    wanted = sum(share > 0 for share in shares)
    if len(kinds) < wanted:
        raise ValueError(
            f"`groups` must be at least as many as the parts, {wanted}. Received: "
            f"{len(kinds)} in {len(names)} samples ({_listed(kinds)}). A model of one group says "
            "nothing about another: collect more, or set validation=0 or test=0."
        )
    draws = [split_groups(y, numbers, shares, [seed, draw], True) for draw in range(_DRAWS)]
    best = min(draws, key=lambda parts: _distance(y, parts, shares))
    check_parts(y, best, shares, [str(name) for name in classes], numbers, "samples")
    parts = Parts(*(np.flatnonzero(best == part) for part in range(len(PARTS))))
    check_groups(**{part: names[rows] for part, rows in parts._asdict().items()})
    return parts


def check_groups(**parts: Sequence | np.ndarray) -> None:
    """Check that no group is in two parts of a split.

    Args:
        parts: the group of each sample of each part, by its name: `train=groups[train]`.

    Raises:
        ValueError: a group in two parts, which are named; a sample without a group; one part alone.

    Example:
        >>> tl.check_groups(train=["ann", "ann", "bob"], test=["eve"])
        >>> tl.check_groups(train=["ann", "bob"], test=["bob", "eve"])
        Traceback (most recent call last):
        ValueError: No group may be in two parts. Received: 'bob' in train and in test. ...
    """
    if len(parts) < 2:
        raise ValueError(
            f"`parts` must be two or more. Received: {list(parts)}. Name them: "
            "tl.check_groups(train=groups[train], test=groups[test])."
        )
    sets = {part: set(_check_names(part, names, empty=True).tolist())
            for part, names in parts.items()}  # fmt: skip
    order = list(sets)
    for number, one in enumerate(order):
        for other in order[number + 1 :]:
            if both := sorted(sets[one] & sets[other]):
                raise ValueError(
                    f"No group may be in two parts. Received: {_listed(both)} in {one} and in "
                    f"{other}. Split whole groups: tl.group_split(groups, y)."
                )


def group_by(pattern: str) -> Callable[[Path], str]:
    r"""Return a function that finds the group of a picture in its path, for `load_folder`.

    Args:
        pattern: a regular expression, searched for in the path written with "/". What its first
            pair of brackets holds is the group, or all that it finds.

    Raises:
        ValueError: no expression; from the function: a path in which nothing is found.

    Example:
        >>> tl.group_by(r"patient\d+")(Path("ill/patient07_left.png"))
        'patient07'
        >>> tl.group_by(r"([^/]+)/[^/]+$")(Path("ill/ward 3/1.png"))  # the folder it lies in
        'ward 3'
    """
    if not isinstance(pattern, str) or not pattern:
        raise ValueError(
            f"`group` must be a regular expression that finds whose each picture is. Received: "
            rf"group={pattern!r}. Give 'patient\d+', or '[^/]+$' if each is a case of its own."
        )
    expression = re.compile(pattern)

    def group(path: Path) -> str:
        found = expression.search(Path(path).as_posix())
        name = found and found[min(expression.groups, 1)]
        if not name:
            raise ValueError(
                f"`group` must find the group of each picture. Received: {pattern!r}, which finds "
                f"nothing in {path}. Mend the expression, or rename the file."
            )
        return name

    return group


def _check_names(what: str, groups, empty: bool = False) -> np.ndarray:
    """Return the group of each sample as an array that can be sorted, or refuse it."""
    given = groups.tolist() if hasattr(groups, "tolist") else list(groups)  # NaN stays NaN
    names = np.asarray(groups)
    if names.ndim != 1 or not (len(names) or empty):
        raise ValueError(
            f"`{what}` must be the group of each sample, of shape (n,). Received: shape="
            f"{names.shape}. Give a name or a number for each."
        )
    nameless = [row for row, name in enumerate(given) if name in (None, "") or name != name]
    if nameless:
        raise ValueError(
            f"`{what}` must name a group for each sample. Received: {len(nameless)} of "
            f"{len(names)} without one, first in row {nameless[0]}. Leave these samples out, or "
            "give each a group of its own if it is a case of its own."
        )
    return names.astype(str) if names.dtype == object else names


def _distance(y: np.ndarray, parts: np.ndarray, shares) -> tuple[int, float]:
    """Return how many classes a part lacks, then how far the counts lie from the shares."""
    classes = int(y.max()) + 1
    counts = np.bincount(parts * classes + y, minlength=len(PARTS) * classes)
    found = counts.reshape(-1, classes) / np.bincount(y)
    wanted = np.array(shares)[:, None]
    return int(((found == 0) & (wanted > 0)).sum()), float(np.abs(found - wanted).max())


def _listed(names) -> str:
    names = np.asarray(names).tolist()
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(map(repr, names[:_NAMED])) + more
