"""Square crops of pictures with boxes, turned and mirrored: what a detector trains on."""

from dataclasses import dataclass

from tlhelpers.checks.boxes import check_boxes
from tlhelpers.checks.words import check_number, check_seed, check_whole

import numpy as np
from PIL import Image

WAYS = 8  # four turns, each also mirrored


@dataclass(frozen=True, eq=False)
class Crops:
    """Crops of one size: `x` uint8 `(n, side, side, 3)`; the rest are lists, one element a crop.

    `boxes` are `(m, 4)` in the pixels of the crop, cut off at its edges, `labels` their classes,
    `whole` is 1 for a box that the crop holds whole and 0 for one that its edge cuts off, whose
    size nobody can see.
    """

    x: np.ndarray
    boxes: list[np.ndarray]
    labels: list[np.ndarray]
    whole: list[np.ndarray]


def cut_crops(
    pictures, boxes, labels=None, side: int = 256, count: int = 100, zoom: float = 1.25,
    visible: float = 0.5, seed: int = 0,
) -> Crops:  # fmt: skip
    """Cut random square crops around boxes, each zoomed a little, turned, and perhaps mirrored.

    A crop is placed near a box that few crops show so far. So all boxes come to be seen about
    equally often, also in a picture with much that is empty.

    Args:
        pictures: uint8 arrays `(height, width, 3)`, each at least `side * zoom` high and wide.
        boxes, labels: of each picture, `(n, 4)` in pixels and `(n,)`; no labels are zeros.
        side: of a crop, in pixels.
        count: how many.
        zoom: a crop shows between `side / zoom` and `side * zoom` pixels of a picture, resized to
            `side`; 1 or above.
        visible: a box of which the crop shows a smaller share than this is left out.
        seed: integer in 0..2**32-1.

    Returns:
        A `Crops`.

    Raises:
        ValueError: no picture, no box in them, a picture that is too small, a number out of range.

    Example:
        >>> page = np.zeros((400, 300, 3), "uint8")
        >>> boxes = [[10, 10, 50, 60], [200, 300, 240, 350]]
        >>> crops = tl.cut_crops([page], [boxes], side=96, count=5)
        >>> crops.x.shape, len(crops.boxes)
        ((5, 96, 96, 3), 5)
    """
    side, count = check_whole("side", side, 1), check_whole("count", count, 1)
    zoom = check_number("zoom", zoom, "[1, inf)")
    visible = check_number("visible", visible, "[0, 1]")
    labels = [None] * len(boxes) if labels is None else labels
    told = [check_boxes(*pair) for pair in zip(boxes, labels, strict=True)]
    where = [(p, n) for p, (found, _) in enumerate(told) for n in range(len(found))]
    _check(pictures, where, side * zoom)
    rng, seen = np.random.default_rng(check_seed(seed)), np.zeros(len(where))
    middles = np.array([(told[p][0][n, :2] + told[p][0][n, 2:]) / 2 for p, n in where])
    of = np.array([p for p, _ in where])
    crops = Crops(np.empty((count, side, side, 3), "uint8"), [], [], [])
    for number in range(count):
        likely = 1 / (1 + seen) ** 2
        chosen = rng.choice(len(where), p=likely / likely.sum())
        page, wide = of[chosen], round(side * zoom ** rng.uniform(-1, 1))
        corner = middles[chosen] + rng.uniform(-0.9, -0.1, 2) * wide
        free = np.array(pictures[page].shape[1::-1]) - wide
        left, top = np.clip(corner, 0, free).astype(int)
        inside = (middles >= [left, top]).all(axis=1) & (middles < [left + wide, top + wide]).all(
            axis=1
        )
        seen[inside & (of == page)] += 1
        part = Image.fromarray(pictures[page][top : top + wide, left : left + wide])
        image = np.asarray(part.resize((side, side), Image.Resampling.BILINEAR))
        moved = (told[page][0] - [left, top, left, top]) * side / wide
        kept, cut, whole = _seen(moved, side, visible)
        crops.x[number], turned = turn(image, cut, int(rng.integers(WAYS)))
        crops.boxes.append(turned)
        crops.labels.append(told[page][1][kept])
        crops.whole.append(whole)
    return crops


def turn(image: np.ndarray, boxes: np.ndarray, way: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a square image and its boxes, mirrored for a way of 4..7, then turned to the left.

    Example:
        >>> image, boxes = turn(np.arange(4).reshape(2, 2), np.array([[0, 0, 1, 1]]), way=1)
        >>> image, boxes
        (array([[1, 3],
           [0, 2]]), array([[0, 1, 1, 2]]))
    """
    side = len(image)
    left, top, right, bottom = np.asarray(boxes).reshape(-1, 4).T
    if way >= WAYS // 2:
        image, left, right = image[:, ::-1], side - right, side - left
    for _ in range(way % (WAYS // 2)):  # what was at the right is at the top
        left, top, right, bottom = top, side - right, bottom, side - left
    turned = np.rot90(image, way % (WAYS // 2))
    return np.ascontiguousarray(turned), np.stack([left, top, right, bottom], axis=1)


def _seen(
    boxes: np.ndarray, side: int, visible: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return which boxes a crop shows enough of, these cut off at its edges, and if whole."""
    cut = np.clip(boxes, 0, side)
    share = np.prod(cut[:, 2:] - cut[:, :2], axis=1) / np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    kept = (share > 0) & (share >= visible)
    return kept, cut[kept], (share[kept] > 0.95).astype("float64")


def _check(pictures, where, least: float) -> None:
    if not len(pictures) or not where:
        raise ValueError(
            f"`boxes` must hold a box at least. Received: {len(pictures)} pictures with "
            f"{len(where)} boxes. Crops are placed around boxes."
        )
    for number, picture in enumerate(pictures):
        if np.ndim(picture) != 3 or min(picture.shape[:2]) < round(least):
            raise ValueError(
                f"`pictures` must be (height, width, 3), at least {round(least)} pixels each way "
                f"for such crops. Received: pictures[{number}] of shape {np.shape(picture)}. "
                "Take a smaller `side`, or zoom=1."
            )
