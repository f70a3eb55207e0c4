"""Boxes: left, top, right, bottom, with an area."""

import numpy as np


def check_boxes(boxes, labels=None, classes: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return boxes float64 `(n, 4)` and labels int64 `(n,)` (zeros for None), or refuse them.

    Raises:
        ValueError: another shape, a box without an area or not finite; labels that are not one
            integer in 0..classes - 1 for each box.

    Example:
        >>> check_boxes([[0, 0, 4, 2]])
        (array([[0., 0., 4., 2.]]), array([0]))
    """
    boxes = np.asarray(boxes, "float64")
    boxes = boxes.reshape(0, 4) if not boxes.size else boxes
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(
            "`boxes` must have shape (n, 4): left, top, right, bottom. Received: shape="
            f"{boxes.shape}. A single one is [[left, top, right, bottom]]."
        )
    fine = np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    if not fine.all():
        raise ValueError(
            "`boxes` must have left < right and top < bottom, all finite. Received: "
            f"boxes[{fine.argmin()}]={boxes[fine.argmin()].tolist()}. COCO's boxes are (left, top, "
            "width, height): add the first two to the last two."
        )
    labels = np.zeros(len(boxes), "int64") if labels is None else np.asarray(labels)
    whole = labels.dtype.kind in "iu" or not labels.size
    inside = whole and (not labels.size or labels.min() >= 0) and (
        classes is None or not labels.size or labels.max() < classes
    )  # fmt: skip
    if labels.shape != (len(boxes),) or not inside:
        raise ValueError(
            f"`labels` must be a class from 0 on for each of {len(boxes)} boxes, below the number "
            f"of classes ({classes}). Received: labels={labels.tolist()!r:.80}. Number them from 0."
        )
    return boxes, labels.astype("int64")
