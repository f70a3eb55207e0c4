"""Boxes as a map of centres, and back: what a detector learns, and how its answer is read.

box -> a bump where its centre lies, and at that place: how large, how far from the cell's middle
"""

from collections.abc import Sequence

from tlhelpers.checks.boxes import check_boxes
from tlhelpers.checks.words import check_number, check_whole

import keras
import numpy as np
from keras import ops

BESIDE = 4  # numbers of a cell beside those of the classes: log width, log height, right, down
SIZE = 8.0  # cells: a box of this size has the logarithm 0
_LONGEST = 4.0  # of the logarithm of a size, when it is read


def draw_centres(
    boxes, labels, size: tuple[int, int], classes: int, stride: int = 4, weights=None
) -> np.ndarray:
    """Return the map that a detector is to learn for one picture.

    Around the centre of each box stands a bump of height 1 in the map of its class: a Gaussian with
    a sixth of the box's sides as deviations, but at least .6 cells. Where bumps meet, the higher
    one counts. Three such deviations reach the edge of the box.

    Args:
        boxes: `(n, 4)` in pixels: left, top, right, bottom. Where a centre lies outside of the
            picture, nothing is drawn.
        labels: their classes `(n,)`, 0..classes - 1.
        size: height and width of the picture, multiples of `stride`.
        classes: how many there are.
        stride: pixels for one cell of the map, each way.
        weights: `(n,)`, how much the size of each box counts, such as 0 where a picture's edge cuts
            it off; None for 1.

    Returns:
        float32 `(height / stride, width / stride, classes + 5)`: the bumps of each class, then in
        the cell of a centre log(width / (8 stride)), log(height / (8 stride)), how far the centre
        lies right of and below the cell's middle, in cells, and the weight. Elsewhere zeros. Of two
        centres in one cell the smaller box is kept.

    Raises:
        ValueError: boxes that are none, labels out of range, a size that the stride does not
            divide.

    Example:
        >>> drawn = draw_centres([[0, 0, 16, 16]], [0], (32, 32), classes=1)
        >>> drawn.shape, float(drawn[2, 2, 0])
        ((8, 8, 6), 1.0)

    Reference:
        Zhou, Wang, Krähenbühl, "Objects as Points", 2019 (arXiv 1904.07850), section 3; the
        deviations follow each side, as in Liu et al., "Training-Time-Friendly Network for Real-Time
        Object Detection", AAAI 2020 (arXiv 1909.00700), section 3.
    """
    boxes, labels = check_boxes(boxes, labels, classes)
    weights = np.ones(len(boxes)) if weights is None else np.asarray(weights, "float64")
    rows, columns = _cells(size, stride)
    drawn = np.zeros((rows, columns, classes + BESIDE + 1), "float32")
    down, right = np.mgrid[:rows, :columns]
    sides = boxes[:, 2:] - boxes[:, :2]
    for number in np.argsort(-sides.prod(axis=1), kind="stable"):  # the smallest comes last
        x, y = (boxes[number, :2] + boxes[number, 2:]) / 2 / stride
        j, i = int(np.floor(x)), int(np.floor(y))
        if not (0 <= i < rows and 0 <= j < columns):
            continue
        wide, high = np.maximum(sides[number] / stride / 6, 0.6)
        bump = np.exp(-(((right - j) / wide) ** 2 + ((down - i) / high) ** 2) / 2)
        heat = drawn[..., labels[number]]
        np.maximum(heat, bump, out=heat)
        logs = np.log(sides[number] / (SIZE * stride))
        drawn[i, j, classes:] = *logs, x - j - 0.5, y - i - 0.5, weights[number]
    return drawn


def read_centres(
    outputs, classes: int, stride: int = 4, threshold: float = 0.05
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the boxes that a detector's map of one picture says, the opposite of `draw_centres`.

    A cell is a centre where its logit is the highest of the 3 x 3 cells around it.

    Args:
        outputs: `(rows, columns, classes + 4)`: logits, then sizes and places as `draw_centres` has
            them.
        threshold: centres of a lower probability are left out.

    Returns:
        Boxes float64 `(n, 4)` in pixels, scores `(n,)` in 0..1 and labels int64 `(n,)`, the highest
        score first.

    Example:
        >>> drawn = draw_centres([[3, 2, 19, 14]], [1], (32, 32), classes=2)
        >>> logits = np.where(drawn[..., :2] == 1, 3.0, -9.0)
        >>> boxes, scores, labels = read_centres(np.dstack([logits, drawn[..., 2:6]]), classes=2)
        >>> boxes.round(3), labels
        (array([[ 3.,  2., 19., 14.]]), array([1]))
    """
    outputs = np.asarray(outputs, "float64")
    logits, rest = outputs[..., :classes], outputs[..., classes:]
    padded = np.pad(logits, ((1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    rows, columns = logits.shape[:2]
    around = [padded[a : a + rows, b : b + columns] for a in range(3) for b in range(3)]
    scores = 1 / (1 + np.exp(-np.clip(logits, -500, 500)))
    i, j, labels = np.nonzero((logits >= np.max(around, axis=0)) & (scores >= threshold))
    found = scores[i, j, labels]
    sides = np.exp(np.clip(rest[i, j, :2], -_LONGEST, _LONGEST)) * SIZE * stride
    middle = (np.stack([j, i], axis=1) + 0.5 + rest[i, j, 2:4]) * stride
    order = np.argsort(-found, kind="stable")
    boxes = np.concatenate([middle - sides / 2, middle + sides / 2], axis=1)
    return boxes[order], found[order], labels[order].astype("int64")


@keras.saving.register_keras_serializable(package="tlhelpers")
class CentreLoss(keras.losses.Loss):
    """What a detector of `build_detector` is trained with, on maps of `draw_centres`.

    With p the probability of a cell, t its bump, and n the number of centres in the batch::

        heat = -1/n sum of  (1 - p)^2 log p                  where t = 1
                            (1 - t)^4 p^2 log(1 - p)         elsewhere: less near a centre
        size = 1/n sum over centres of weight * |difference of the four numbers|
        loss = heat + size_weight * size

    Places count half as much as sizes, as they are of a cell and no object.

    Args:
        size_weight: how much sizes and places count beside the centres, 0 or above.

    Example:
        >>> drawn = draw_centres([[0, 0, 16, 16]], [0], (32, 32), classes=1)[None]
        >>> good = np.concatenate([20 * drawn[..., :1] - 10, drawn[..., 1:5]], axis=-1)
        >>> float(CentreLoss()(drawn, good)) < float(CentreLoss()(drawn, 0 * good))
        True

    Reference:
        Zhou, Wang, Krähenbühl, "Objects as Points", 2019 (arXiv 1904.07850), equations 1 to 4; the
        penalty near a centre is of Law and Deng, "CornerNet", ECCV 2018 (arXiv 1808.01244).
    """

    def __init__(self, size_weight: float = 1.0, name: str = "centre_loss", **kwargs):
        super().__init__(name=name, **kwargs)
        self.size_weight = check_number("size_weight", size_weight, "[0, inf)")

    def call(self, y_true, y_pred):
        classes = y_pred.shape[-1] - BESIDE
        heat, wanted = y_true[..., :classes], y_true[..., classes:-1]
        logits, given = y_pred[..., :classes], y_pred[..., classes:]
        probability = ops.sigmoid(logits)
        centre = ops.cast(heat >= 1.0, logits.dtype)
        found = centre * (1 - probability) ** 2 * ops.softplus(-logits)
        wrong = (1 - centre) * (1 - heat) ** 4 * probability**2 * ops.softplus(logits)
        count = ops.maximum(ops.sum(centre), 1.0)
        shares = ops.convert_to_tensor([1.0, 1.0, 0.5, 0.5], dtype=logits.dtype)
        size = ops.sum(ops.abs(wanted - given) * shares * y_true[..., -1:])
        total = (ops.sum(found) + ops.sum(wrong) + self.size_weight * size) / count
        # Keras takes the mean over this axis: equal numbers leave the sum over the batch as it is.
        return ops.broadcast_to(total, (ops.shape(y_pred)[0],))

    def get_config(self):
        return {**super().get_config(), "size_weight": self.size_weight}


def _cells(size: Sequence[int], stride: int) -> tuple[int, int]:
    height, width = (check_whole("size", side, 1) for side in size)
    stride = check_whole("stride", stride, 1)
    if height % stride or width % stride:
        raise ValueError(
            f"`size` must be multiples of the stride, {stride}. Received: size={tuple(size)}. Pad "
            "or crop the picture."
        )
    return height // stride, width // stride
