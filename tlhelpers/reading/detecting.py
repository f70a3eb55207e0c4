"""Find objects in a picture of any size: tile by tile, and what two tiles see counts once.

|-------- tile --------|
                 |-------- tile --------|
                    ^ each says what is on its side of the middle of their overlap
"""

from dataclasses import dataclass

from tlhelpers.checks.data import check_images
from tlhelpers.checks.words import check_number, check_whole
from tlhelpers.models.centres import BESIDE, read_centres
from tlhelpers.models.detector import stride_of
from tlhelpers.scores.boxes import suppress

import keras
import numpy as np
from PIL import Image

_AT_ONCE = 8  # tiles


@dataclass(frozen=True, eq=False)
class Found:
    """Boxes in one picture, the highest score first.

    `boxes` are float64 `(n, 4)` in pixels (left, top, right, bottom), `scores` `(n,)` in 0..1,
    `labels` int64 `(n,)`.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.boxes)

    def above(self, threshold: float) -> "Found":
        """Return those whose score is at least so high."""
        kept = self.scores >= threshold
        return Found(self.boxes[kept], self.scores[kept], self.labels[kept])

    def told(self, class_names) -> list[dict]:
        """Return each box as JSON has it: {"class", "score", "box"}.

        Example:
            >>> Found(np.array([[0, 1, 8.04, 9]]), np.array([0.9]), np.array([1])).told(["a", "b"])
            [{'class': 'b', 'score': 0.9, 'box': [0.0, 1.0, 8.0, 9.0]}]
        """
        rows = zip(self.labels, self.scores, self.boxes, strict=True)
        return [
            {"class": class_names[label], "score": round(float(score), 3),
             "box": [round(float(place), 1) for place in box]}
            for label, score, box in rows
        ]  # fmt: skip


NOTHING = Found(np.zeros((0, 4)), np.zeros(0), np.zeros(0, "int64"))


def detect(
    model: keras.Model, picture, tile: int = 256, overlap: int | None = None, zoom: float = 1.0,
    threshold: float = 0.05, iou: float = 0.4,
) -> Found:  # fmt: skip
    """Find the objects in one picture of any size with a detector of `build_detector`.

    The picture is cut into overlapping tiles. Of two tiles each says what lies on its side of the
    middle of their overlap, so that no object is judged by a tile that cuts it off, if it is no
    larger than the overlap. Then of boxes that overlap the best one stays (`suppress`).

    Args:
        model: it takes any size, or squares: then these are the tiles.
        picture: `(height, width, 3)`, 0..255 RGB. A smaller one than a tile is mirrored at its
            right and lower edge.
        tile: side of a tile in pixels, a multiple of the base's coarsest stride.
        overlap: pixels that two tiles share, at least; below `tile`. None for a quarter of it.
        zoom: how much larger the model is to see the picture; above 0. Boxes come in the pixels of
            the picture as it is.
        threshold: in [0, 1]; boxes of a lower score are left out. For `evaluate_boxes` keep it low.
        iou: in [0, 1]; the overlap of two boxes of a class above which the lower one goes.

    Returns:
        A `Found`; its boxes are cut off at the picture's edges.

    Raises:
        ValueError: what is no picture; a model that is no detector, or whose input is no square; a
            tile that does not fit it; a number out of its range.

    Example:
        >>> vgg16 = tl.load_backbone("vgg16", (None, None, 3), weights=None)
        vgg16: random weights
        >>> detector = tl.build_detector(vgg16, classes=2)
        >>> found = tl.detect(detector, np.zeros((100, 70, 3), "uint8"), tile=64, overlap=16)
        >>> found.boxes.shape[1]
        4
    """
    picture = np.asarray(picture)
    check_images(picture[None])
    zoom, threshold = (
        check_number("zoom", zoom, "(0, inf)"),
        check_number("threshold", threshold, "[0, 1]"),
    )
    iou = check_number("iou", iou, "[0, 1]")
    tile, stride = _tile_of(model, tile)
    overlap = check_whole("overlap", tile // 4 if overlap is None else overlap, 0, tile - 1)
    height, width = picture.shape[:2]
    large = _zoomed(picture, zoom)
    rows, columns = (_starts(side, tile, overlap) for side in large.shape[:2])
    places = [(row, column) for row in rows for column in columns]
    boxes, scores, labels = [np.zeros((0, 4))], [np.zeros(0)], [np.zeros(0, "int64")]
    for first in range(0, len(places), _AT_ONCE):
        few = places[first : first + _AT_ONCE]
        tiles = np.stack([_cut(large, row[0], column[0], tile) for row, column in few])
        for (row, column), said in zip(few, np.asarray(model.predict_on_batch(tiles)), strict=True):
            found, score, label = read_centres(said, said.shape[-1] - BESIDE, stride, threshold)
            found += [column[0], row[0]] * 2
            x, y = ((found[:, :2] + found[:, 2:]) / 2).T
            mine = (column[1] <= x) & (x < column[2]) & (row[1] <= y) & (y < row[2])
            boxes.append(found[mine])
            scores.append(score[mine])
            labels.append(label[mine])
    every, score, label = (np.concatenate(each) for each in (boxes, scores, labels))
    every = np.clip(every / zoom, 0, [width, height, width, height])
    kept = suppress(every, score, iou, label)
    kept = kept[(every[kept, 2:] > every[kept, :2]).all(axis=1)]
    return Found(every[kept], score[kept], label[kept])


def _tile_of(model: keras.Model, tile: int) -> tuple[int, int]:
    """Return the side of a tile that the model takes, and the pixels of a cell of its output."""
    shape, said = getattr(model, "input_shape", None), getattr(model, "output_shape", None)
    if (
        not isinstance(shape, tuple)
        or not isinstance(said, tuple)
        or len(said) != 4
        or said[-1] <= BESIDE
    ):
        raise ValueError(
            "`model` must be a detector of build_detector: (n, rows, columns, classes + 4). "
            f"Received: model={getattr(model, 'name', model)!r} with output shape {said}."
        )
    if None not in shape[1:3]:
        if shape[1] != shape[2]:
            raise ValueError(
                f"`model` must take squares or any size. Received: {shape[1]} x {shape[2]}. Build "
                "it on a base of input shape (None, None, 3)."
            )
        tile = shape[1]
    tile = check_whole("tile", tile, 1)
    return tile, stride_of(model, tile, "tile")


def _zoomed(picture: np.ndarray, zoom: float) -> np.ndarray:
    if zoom == 1:
        return picture
    height, width = (max(1, round(side * zoom)) for side in picture.shape[:2])
    image = Image.fromarray(np.clip(picture, 0, 255).astype("uint8"))
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))


def _starts(side: int, tile: int, overlap: int) -> list[tuple[int, float, float]]:
    """Return where each tile begins along a side, and between which places it has the word."""
    last = max(side - tile, 0)
    count = -(-last // (tile - overlap)) + 1
    starts = np.linspace(0, last, count).round().astype(int)
    middles = (starts[1:] + starts[:-1] + tile) / 2
    ends = zip([-np.inf, *middles], [*middles, np.inf], strict=True)
    return [(int(start), *end) for start, end in zip(starts, ends, strict=True)]


def _cut(picture: np.ndarray, top: int, left: int, tile: int) -> np.ndarray:
    part = picture[top : top + tile, left : left + tile]
    missing = [(0, tile - side) for side in part.shape[:2]]
    return np.pad(part, [*missing, (0, 0)], mode="symmetric")
