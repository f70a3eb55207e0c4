"""Boxes: how far two agree, which say the same, and what found ones are worth.

a box is (left, top, right, bottom) in pixels, y downwards; found ones have a score each
"""

from dataclasses import dataclass

import numpy as np


def box_iou(a, b) -> np.ndarray:
    """Return the intersection over union of each of some boxes with each of others.

    Args:
        a, b: `(n, 4)` and `(m, 4)`: left, top, right, bottom.

    Returns:
        `(n, m)` in 0..1: 1 for equal boxes, 0 for boxes apart, and for boxes without an area.

    Example:
        >>> box_iou([[0, 0, 2, 2]], [[0, 0, 2, 2], [1, 0, 3, 2], [5, 5, 6, 6]]).round(3)
        array([[1.   , 0.333, 0.   ]])
    """
    a, b = (np.asarray(boxes, "float64").reshape(-1, 4) for boxes in (a, b))
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=-1)
    joined = areas(a)[:, None] + areas(b)[None] - shared
    return np.divide(shared, joined, out=np.zeros_like(shared), where=joined > 0)


def areas(boxes: np.ndarray) -> np.ndarray:
    """Return the area of each of some boxes `(n, 4)`; 0 where a side is below 0."""
    return np.prod(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None), axis=1)


def suppress(boxes, scores, iou: float = 0.5, labels=None) -> np.ndarray:
    """Return which boxes stay when each one takes away those below it that say the same.

    The box with the highest score stays, and those of its class that overlap it by more than `iou`
    go; then the next (non-maximum suppression).

    Args:
        boxes, scores: `(n, 4)` and `(n,)`.
        iou: the overlap above which two boxes are one object, in 0..1.
        labels: classes `(n,)`; boxes of two classes never take each other away.

    Returns:
        Positions, the highest score first; of equal scores, the one that came first.

    Example:
        >>> suppress([[0, 0, 4, 4], [0, 0, 4, 5], [9, 9, 12, 12]], [0.6, 0.9, 0.3])
        array([1, 2])
    """
    boxes = np.asarray(boxes, "float64").reshape(-1, 4)
    labels = np.zeros(len(boxes)) if labels is None else np.asarray(labels)
    left = np.argsort(-np.asarray(scores, "float64"), kind="stable")
    kept = []
    while len(left):
        first, left = left[0], left[1:]
        kept.append(first)
        same = (box_iou(boxes[first], boxes[left])[0] > iou) & (labels[left] == labels[first])
        left = left[~same]
    return np.array(kept, "int64")


def box_grid(size: tuple[int, int], sides: tuple[float, float], step: float = 0.5) -> np.ndarray:
    """Return equal boxes all over a picture: what a detector must beat that has seen nothing.

    Args:
        size: height and width of the picture.
        sides: width and height of each box, such as the median of those to train on.
        step: from one box to the next, in sides of a box.

    Returns:
        `(n, 4)`, row by row.

    Example:
        >>> box_grid((4, 8), sides=(4, 4)).tolist()
        [[0.0, 0.0, 4.0, 4.0], [2.0, 0.0, 6.0, 4.0], [4.0, 0.0, 8.0, 4.0]]
    """
    (height, width), (wide, high) = size, sides
    lefts = np.arange(0, max(width - wide, 0) + 1e-9, step * wide)
    tops = np.arange(0, max(height - high, 0) + 1e-9, step * high)
    top, left = (each.ravel() for each in np.meshgrid(tops, lefts, indexing="ij"))
    return np.stack([left, top, left + wide, top + high], axis=1)


@dataclass(frozen=True)
class Matches:
    """What became of found boxes, over all pictures, the highest score first.

    `scores` and `right` are `(n,)`: a found box is right where it is the first for its true one.
    `there` counts the true boxes. `places` are `(n, 3)` and `true_places` `(there, 3)`: the number
    of the picture and the middle of each box, for `interval_of_ap`.
    """

    scores: np.ndarray
    right: np.ndarray
    places: np.ndarray
    true_places: np.ndarray

    @property
    def there(self) -> int:
        """How many true boxes there are."""
        return len(self.true_places)

    def at(self, threshold: float) -> tuple[float, float]:
        """Return precision and recall of the boxes whose score is at least so high.

        The precision of no box is NaN, and so is the recall where there is nothing to find.
        """
        kept = self.right[self.scores >= threshold]
        precision = float(kept.mean()) if len(kept) else float("nan")
        return precision, float(kept.sum() / self.there) if self.there else float("nan")


def match_boxes(found, true, iou: float) -> Matches:
    """Say which found boxes are right, picture by picture.

    The found boxes of a picture are gone through from the highest score down. Each is compared with
    the true box that it overlaps most. It is right if by `iou` or more, and if no box before was
    right there. So a second box on one object is wrong.

    Args:
        found: for each picture, boxes `(n, 4)` and scores `(n,)`.
        true: for each picture, boxes `(m, 4)`.
        iou: in (0, 1].

    Example:
        >>> found = [([[0, 0, 4, 4], [0, 0, 4, 3]], [0.9, 0.8])]
        >>> match_boxes(found, [[[0, 0, 4, 4]]], iou=0.5).right
        array([ True, False])

    Reference:
        Everingham et al., "The Pascal Visual Object Classes (VOC) Challenge", International Journal
        of Computer Vision 88, 2010, section 4.2.
    """
    scores, right, places, true_places = [], [], [np.zeros((0, 3))], [np.zeros((0, 3))]
    for picture, ((boxes, score), there) in enumerate(zip(found, true, strict=True)):
        score = np.asarray(score, "float64")
        order = np.argsort(-score, kind="stable")
        boxes, there = (np.asarray(b, "float64").reshape(-1, 4) for b in (boxes, there))
        taken = np.zeros(len(there), bool)
        for row in box_iou(boxes[order], there):
            best = int(row.argmax()) if len(row) else 0
            hit = len(row) > 0 and bool(row[best] >= iou) and not taken[best]
            if hit:
                taken[best] = True
            right.append(hit)
        scores += score[order].tolist()
        places.append(_places(picture, boxes[order]))
        true_places.append(_places(picture, there))
    order = np.argsort(-np.array(scores, "float64"), kind="stable")
    return Matches(
        np.array(scores, "float64")[order],
        np.array(right, bool)[order],
        np.concatenate(places)[order],
        np.concatenate(true_places),
    )


def _places(picture: int, boxes: np.ndarray) -> np.ndarray:
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    return np.column_stack([np.full(len(boxes), float(picture)), middles])


def average_precision(matches: Matches) -> float:
    """Return the area under precision over recall, in 0..1; NaN where there is nothing to find.

    At each recall counts the best precision that is reached there or at a higher recall (all points
    are used, as in VOC since 2010; not eleven of them).

    Example:
        >>> found = [([[0, 0, 4, 4], [8, 8, 9, 9]], [0.9, 0.8])]
        >>> average_precision(match_boxes(found, [[[0, 0, 4, 4], [20, 20, 24, 24]]], 0.5))
        0.5

    Reference:
        Everingham et al., "The Pascal Visual Object Classes Challenge: A Retrospective",
        International Journal of Computer Vision 111, 2015, section 2.2.
    """
    if not matches.there:
        return float("nan")
    once = np.ones((1, len(matches.scores))), np.full(1, matches.there)
    return float(_areas_under(matches.right, *once)[0])


def resampled_ap(matches: list[Matches], block: float, draws: int = 1000) -> np.ndarray:
    """Return what the mean average precision would be on other blocks like these: `(draws,)`.

    Objects that stand together are found or missed together. So not boxes are drawn again, but
    square blocks of the pictures with all that lies in them (a block bootstrap, seed 0).

    Args:
        matches: of each class, over the same pictures.
        block: side of a block, in pixels.
        draws: how often as many blocks as there are with a box are drawn, with replacement.

    Example:
        >>> found = [([[0, 0, 4, 4], [90, 0, 94, 4]], [0.9, 0.8])]
        >>> matches = match_boxes(found, [[[0, 0, 4, 4], [50, 0, 54, 4]]], iou=0.5)
        >>> sorted(set(resampled_ap([matches], block=40).round(1).tolist()))[::-1][0]
        1.0

    Reference:
        Efron, Tibshirani, "An Introduction to the Bootstrap", 1993, sections 8.6 and 13.3.
    """
    every = np.concatenate([part for m in matches for part in (m.places, m.true_places)])
    _, numbers = np.unique(np.floor(every / [1, block, block]), axis=0, return_inverse=True)
    blocks = int(numbers.max(initial=-1)) + 1
    rng, start, scores = np.random.default_rng(0), 0, []
    drawn = rng.multinomial(blocks, np.full(blocks, 1 / max(blocks, 1)), draws)
    for each in matches:
        middle, end = start + len(each.places), start + len(each.places) + each.there
        times, there = (
            drawn[:, numbers[start:middle].ravel()],
            drawn[:, numbers[middle:end].ravel()],
        )
        if each.there:
            parts = zip(np.array_split(times, 20), np.array_split(there, 20), strict=True)
            scores.append([a for t, n in parts for a in _areas_under(each.right, t, n.sum(axis=1))])
        start = end
    return np.mean(scores, axis=0) if scores else np.full(draws, np.nan)


def _areas_under(right: np.ndarray, times: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Return the area for each row of `times`, which says how often each found box counts."""
    hits = np.cumsum(times * right, axis=1)
    precision = hits / np.maximum(np.cumsum(times, axis=1), 1)
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    return np.sum(best * times * right, axis=1) / np.maximum(there, 1)
