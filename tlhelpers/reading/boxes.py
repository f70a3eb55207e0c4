"""What found boxes are worth, and how they look on the picture."""

from collections.abc import Sequence
from dataclasses import dataclass

from tlhelpers.checks.boxes import check_boxes
from tlhelpers.checks.words import check_number
from tlhelpers.reading.detecting import NOTHING, Found
from tlhelpers.reading.evaluation import names_of
from tlhelpers.reading.plots import new_axes
from tlhelpers.reading.reports import Printed, cells
from tlhelpers.scores.boxes import average_precision, match_boxes, resampled_ap

import numpy as np

_MOST_TEXTS = 30  # scores beside boxes
_FOUND, _TRUE = "#ff5a1f", "#ffe14d"  # seen on green, grey and black


@dataclass(frozen=True, repr=False)
class BoxesReport(Printed):
    """What `evaluate_boxes` returns; all scores are in 0..1.

    `average_precision` maps each overlap to its mean over the classes that have a true box, and
    `intervals` to its 95 % bootstrap interval over blocks of the pictures. `precision`, `recall`
    and `f1` are those of the boxes whose score is at least `threshold`, all classes together, at
    the first overlap. `per_class` has average precisions, precision, recall and the number of true
    boxes. `found` counts the boxes above the threshold, `boxes` the true ones.
    """

    average_precision: dict[float, float]
    intervals: dict[float, tuple[float, float]]
    threshold: float
    precision: float
    recall: float
    f1: float
    found: int
    boxes: int
    pictures: int
    class_names: tuple[str, ...]
    per_class: dict[str, dict[str, float]]

    def __str__(self) -> str:
        each = [
            f"AP{100 * overlap:.0f} {score:.3f} (95 % interval {low:.3f} to {high:.3f})"
            for (overlap, score), (low, high) in zip(
                self.average_precision.items(), self.intervals.values(), strict=True
            )
        ]
        first = next(iter(self.average_precision))
        return (
            f"{', '.join(each)}; {self.boxes:,} boxes in {self.pictures:,} pictures\n"
            f"from a score of {self.threshold:g}: {self.found:,} found, precision "
            f"{self.precision:.3f}, recall {self.recall:.3f}, F1 {self.f1:.3f} at an overlap of "
            f"{first:g}"
        )

    def rows(self) -> list[list[str]]:
        """Return the cells of the table, the head first."""
        names = [f"AP{100 * overlap:.0f}" for overlap in self.average_precision]
        mean = [*self.average_precision.values(), self.precision, self.recall]
        return [
            ["class", *names, "precision", "recall", "boxes"],
            *(cells(name, list(s.values())[:-1], s["boxes"]) for name, s in self.per_class.items()),
            cells("**all**", mean, self.boxes),
        ]


def evaluate_boxes(
    found: Sequence[Found], boxes, labels=None, class_names=None,
    iou: Sequence[float] = (0.4, 0.5), threshold: float = 0.3, block: float = 256,
) -> BoxesReport:  # fmt: skip
    """Say what found boxes are worth beside the true ones: average precision, precision, recall.

    A found box is right where it overlaps a true one of its class by `iou` (intersection over
    union), and is the first there; a second one on the same object is wrong. Average precision
    looks at all of them, from the highest score down: it is the mean precision over all recalls.

    Args:
        found: what `detect` returned for each picture, with a low threshold: what is left out there
            can't be found here.
        boxes, labels: the true ones of each picture, `(m, 4)` in pixels and `(m,)`; none for a
            picture without objects. No labels are zeros.
        class_names: in the order of their numbers; None for numbers.
        iou: overlaps in (0, 1], one or more.
        threshold: the score from which on a box counts for precision and recall, in [0, 1]. Choose
            it on validation pictures: `threshold_for`.
        block: side of the squares, in pixels, over which the interval is drawn: neighbours are
            found or missed together, so a block is what varies.

    Returns:
        A `BoxesReport`; `print` it, or use `.to_markdown()`, `.to_json(path)`.

    Raises:
        ValueError: not one list of true boxes for each picture; none at all; what is no box; a
            number out of its range.

    Example:
        >>> found = [Found(np.array([[0, 0, 8, 8], [20, 20, 30, 30]]), np.array([0.9, 0.4]),
        ...                np.array([0, 0]))]
        >>> print(tl.evaluate_boxes(found, [[[0, 0, 8, 9]]]))
        AP40 1.000 (95 % interval ...), AP50 1.000 (95 % interval ...); 1 boxes in 1 pictures
        from a score of 0.3: 2 found, precision 0.500, recall 1.000, F1 0.667 at an overlap of 0.4

    Reference:
        Everingham et al., "The Pascal Visual Object Classes Challenge: A Retrospective",
        International Journal of Computer Vision 111, 2015, section 2.2 (all points).
    """
    overlaps = [check_number("iou", each, "(0, 1]") for each in iou]
    threshold = check_number("threshold", threshold, "[0, 1]")
    block = check_number("block", block, "(0, inf)")
    true = _checked(found, boxes, labels)
    classes = 1 + max(
        int(y.max(initial=0)) for y in [*(y for _, y in true), *(f.labels for f in found)]
    )
    names = names_of(
        class_names, classes if class_names is None else max(classes, len(class_names))
    )
    matches = {
        overlap: [
            match_boxes(
                [(f.boxes[f.labels == c], f.scores[f.labels == c]) for f in found],
                [b[y == c] for b, y in true], overlap,
            )
            for c in range(len(names))
        ]
        for overlap in overlaps
    }  # fmt: skip
    first = matches[overlaps[0]]
    right = sum(int(m.right[m.scores >= threshold].sum()) for m in first)
    kept, there = sum(len(f.above(threshold)) for f in found), sum(m.there for m in first)
    drawn = {o: resampled_ap(each, block) for o, each in matches.items()}
    return BoxesReport(
        average_precision={
            o: float(np.mean([average_precision(m) for m in each if m.there]))
            for o, each in matches.items()
        },
        intervals={o: tuple(np.percentile(d, [2.5, 97.5]).tolist()) for o, d in drawn.items()},
        threshold=threshold,
        precision=right / kept if kept else float("nan"),
        recall=right / there,
        f1=2 * right / (kept + there),
        found=kept,
        boxes=there,
        pictures=len(found),
        class_names=names,
        per_class={
            name: {
                **{f"AP{100 * o:.0f}": average_precision(each[c]) for o, each in matches.items()},
                **dict(zip(("precision", "recall"), first[c].at(threshold), strict=True)),
                "boxes": first[c].there,
            }
            for c, name in enumerate(names)
        },
    )  # fmt: skip


def threshold_for(found: Sequence[Found], boxes, labels=None, iou: float = 0.4) -> float:
    """Return the score from which on the F1 of found boxes is highest; use validation pictures.

    Args:
        found, boxes, labels: as for `evaluate_boxes`.
        iou: the overlap from which on a box is right.

    Raises:
        ValueError: what `evaluate_boxes` raises; nothing found.

    Example:
        >>> found = [Found(np.array([[0, 0, 8, 8], [20, 20, 30, 30]]), np.array([0.9, 0.4]),
        ...                np.array([0, 0]))]
        >>> threshold_for(found, [[[0, 0, 8, 9]]])
        0.9
    """
    true = _checked(found, boxes, labels)
    scores = np.unique(np.concatenate([f.scores for f in found]))
    if not len(scores):
        raise ValueError(
            "`found` must have a box at least. Received: none. Call detect with a lower threshold."
        )
    pairs, there = [], sum(len(b) for b, _ in true)
    for c in np.unique(np.concatenate([f.labels for f in found])):
        each = [(f.boxes[f.labels == c], f.scores[f.labels == c]) for f in found]
        pairs.append(match_boxes(each, [b[y == c] for b, y in true], iou))
    every = np.concatenate([m.scores for m in pairs])
    order = np.argsort(-every, kind="stable")
    hits = np.cumsum(np.concatenate([m.right for m in pairs])[order])
    f1 = 2 * hits / (np.arange(1, len(hits) + 1) + there)
    last = np.append(np.diff(every[order]) < 0, True)  # of equal scores all count or none
    return float(every[order][last][f1[last].argmax()])


def plot_boxes(
    picture, found: Found | None = None, boxes=None, class_names=None, threshold: float = 0.3
):
    """Draw boxes on a picture: those that were found, and the true ones, dashed.

    Args:
        picture: `(height, width, 3)`, uint8 or floats in 0..255.
        found: of `detect`; those with a score of at least `threshold` are drawn, with their score
            where there are few.
        boxes: the true ones, `(m, 4)`.
        class_names: to name what was found; None for no names.

    Returns:
        A matplotlib figure, whose alternative text counts the boxes.

    Raises:
        ValueError: what is no picture or no box; a threshold out of [0, 1].

    Example:
        >>> tl.plot_boxes(np.zeros((40, 60, 3), "uint8"), boxes=[[5, 5, 20, 30]])
        <Figure size ...>
    """
    picture = np.asarray(picture)
    if picture.ndim != 3 or not picture.size:
        raise ValueError(
            f"`picture` must have shape (height, width, 3). Received: shape={picture.shape}. Pass "
            "one picture."
        )
    true, _ = check_boxes([] if boxes is None else boxes)
    check_number("threshold", threshold, "[0, 1]")
    drawn = NOTHING if found is None else found.above(threshold)
    height, width = picture.shape[:2]
    wide = min(5.0, 4.5 * width / height)  # small: a photograph makes a large file
    figure, (ax,) = new_axes(wide, wide * height / width, dpi=72)
    ax.imshow(np.clip(picture, 0, 255).astype("uint8"))
    ax.axis("off")
    for box in true:
        _rectangle(ax, box, _TRUE, "--")
    for box, score, label in zip(drawn.boxes, drawn.scores, drawn.labels, strict=True):
        _rectangle(ax, box, _FOUND, "-")
        if len(drawn) <= _MOST_TEXTS:
            name = "" if class_names is None else f"{class_names[label]} "
            ax.text(box[0], box[1], f"{name}{score:.2f}", fontsize=6, va="bottom", color=_FOUND)
    told = [f"{len(true)} true boxes (dashed)"] if boxes is not None else []
    told += (
        [f"{len(drawn)} found from a score of {threshold:g} (solid)"] if found is not None else []
    )
    figure.set_label(f"A picture of {width} by {height} pixels with {', '.join(told) or 'no box'}")
    return figure


def _rectangle(ax, box, colour: str, line: str) -> None:
    from matplotlib.patches import Rectangle

    (left, top), (wide, high) = box[:2], box[2:] - box[:2]
    ax.add_patch(Rectangle((left, top), wide, high, fill=False, ec=colour, ls=line, lw=1.2))


def _checked(found, boxes, labels) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the true boxes and labels of each picture."""
    labels = [None] * len(boxes) if labels is None else labels
    if not len(found) == len(boxes) == len(labels):
        raise ValueError(
            "`boxes` and `labels` must have a list for each picture, also an empty one. Received: "
            f"{len(found)} found, {len(boxes)} boxes, {len(labels)} labels. Put the boxes of a "
            "single picture into a list: [boxes]."
        )
    true = [check_boxes(*pair) for pair in zip(boxes, labels, strict=True)]
    if not sum(len(each) for each, _ in true):
        raise ValueError(
            "`boxes` must hold a true box at least. Received: none, in "
            f"{len(found)} pictures. Without one nothing can be found or missed."
        )
    return true
