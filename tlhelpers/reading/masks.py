"""What a segmenter is worth: how far its masks and the true ones are the same area."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tlhelpers.checks.masks import check_masks
from tlhelpers.checks.words import check_whole
from tlhelpers.models.inputs import read_inputs
from tlhelpers.reading.evaluation import names_of
from tlhelpers.reading.plots import new_axes
from tlhelpers.reading.reports import Printed, cells

import keras
import numpy as np

COLOURS = ("#2ca02c", "#ffd500", "#00c5ff", "#e4572e", "#f781bf", "#3b3b98", "#ffffff", "#000000")


@dataclass(frozen=True, repr=False)
class MasksReport(Printed):
    """What `evaluate_masks` and `compare_masks` return. All scores are in 0..1.

    IoU of a class is the area that both masks give it, divided by the area that either does; Dice
    is twice the first divided by the sum of the two areas. Pixels of all pictures are counted
    together. `mean_iou` and `mean_dice` are over the classes that are in the true masks;
    `missing_classes` are not, and one that nobody saw has the scores NaN. `majority_iou` is the
    mean IoU of always saying the largest class. `per_class` maps a name to iou, dice and share, the
    part of the true pixels; `confusion[i][j]` counts pixels of class i called j.
    """

    mean_iou: float
    mean_dice: float
    pixel_accuracy: float
    majority_iou: float
    majority_accuracy: float
    pictures: int
    pixels: int
    class_names: tuple[str, ...]
    per_class: dict[str, dict[str, float]]
    confusion: np.ndarray
    missing_classes: tuple[str, ...]
    predicted: np.ndarray

    def __str__(self) -> str:
        missing = ", ".join(self.missing_classes)
        return (
            f"mean IoU {self.mean_iou:.3f} (always the largest class: {self.majority_iou:.3f}), "
            f"mean Dice {self.mean_dice:.3f}\n"
            f"pixel accuracy {self.pixel_accuracy:.3f} (always the largest class: "
            f"{self.majority_accuracy:.3f}); {self.pictures:,} pictures, {self.pixels:,} pixels"
            + (f"\nno pixel of: {missing}" if missing else "")
        )

    def rows(self) -> list[list[str]]:
        """Return the cells of the table, the head first."""
        rows = [
            cells(name, [scores["iou"], scores["dice"]], scores["share"] * self.pixels)
            for name, scores in self.per_class.items()
        ]
        mean = cells("**mean**", [self.mean_iou, self.mean_dice], self.pixels)
        return [["class", "IoU", "Dice", "pixels"], *rows, mean]


def evaluate_masks(
    model: keras.Model,
    x,
    masks,
    class_names: Sequence[str] | None = None,
    batch_size: int = 8,
    ignore: int | None = None,
) -> MasksReport:
    """Predict a mask for each picture, and report how far it is the true one.

    Args:
        model: of `build_segmenter`, or any with one output `(n, height, width, classes)`.
        x: pictures `(n, height, width, 3)`, as the model takes them.
        masks: the class of each pixel, integers `(n, height, width)`.
        class_names: one for each class, in order of their numbers.
        batch_size: pictures per step.
        ignore: a value in the masks whose pixels do not count.

    Returns:
        A `MasksReport`; `print` it, or use `.to_markdown()`, `.to_json(path)`. Its `predicted`
        holds the masks, uint8. Pictures without any object are welcome: their background counts.

    Raises:
        ValueError: a model with another output; masks of another number or size, or with unknown
            values; pictures that the model would misread.

    Example:
        >>> vgg16 = tl.load_backbone("vgg16", (32, 32, 3), weights=None)
        vgg16: random weights
        >>> segmenter = tl.build_segmenter(vgg16, 2)
        >>> pictures, masks = np.full((2, 32, 32, 3), 255, "uint8"), np.zeros((2, 32, 32), "uint8")
        >>> print(tl.evaluate_masks(segmenter, pictures, masks, ["tissue", "nucleus"]))
        mean IoU ... (always the largest class: 1.000), mean Dice ...
        pixel accuracy ... (always the largest class: 1.000); 2 pictures, 2,048 pixels
        no pixel of: nucleus

    Reference:
        Everingham et al., "The PASCAL Visual Object Classes Challenge", IJCV 88, 2010, section
        4.1.3 (IoU, there "segmentation accuracy", over all pixels of the set).
    """
    outputs = list(getattr(model, "outputs", None) or ())
    if len(outputs) != 1 or len(outputs[0].shape) != 4 or (outputs[0].shape[-1] or 0) < 2:
        raise ValueError(
            "`model` must have one output (n, height, width, classes). Received: outputs of shape "
            f"{[tuple(tensor.shape) for tensor in outputs]}. Build one: build_segmenter(base, 4)."
        )
    classes = outputs[0].shape[-1]
    x = read_inputs(model, x)
    names = names_of(class_names, classes)
    check_masks(masks, classes, tuple(x.shape[:3]), ignore)  # before the time is spent
    batch_size = check_whole("batch_size", batch_size, 1)
    parts = [  # logits of many pictures would fill the memory
        model.predict(x[first : first + 32 * batch_size], batch_size, verbose=0).argmax(-1)
        for first in range(0, len(x), 32 * batch_size)
    ]
    return compare_masks(np.concatenate(parts), masks, names, ignore)


def compare_masks(
    predicted, masks, class_names: Sequence[str], ignore: int | None = None
) -> MasksReport:
    """Report on masks that were made in any way, such as by a threshold; see `evaluate_masks`.

    Args:
        predicted, masks: the class of each pixel, integers `(n, height, width)`.
        class_names, ignore: as in `evaluate_masks`.

    Raises:
        ValueError: masks of two sizes, or with unknown values; no pixel that counts.

    Example:
        >>> report = tl.compare_masks([[[1, 1, 0, 0]]], [[[1, 0, 0, 0]]], ["tissue", "nucleus"])
        >>> report.per_class["nucleus"]["iou"], round(report.mean_iou, 3)
        (0.5, 0.583)
    """
    classes = len(class_names)
    names = names_of(class_names, classes)
    truth = check_masks(masks, classes, None, ignore)
    guess = check_masks(predicted, classes, truth.shape, None, "predicted")
    counts = truth != ignore if ignore is not None else np.ones(truth.shape, bool)
    if not counts.any():
        raise ValueError(
            f"`masks` must have a pixel that counts. Received: {ignore} in all of {truth.size:,}. "
            "Leave such pictures out."
        )
    pairs = truth[counts] * classes + guess[counts]
    confusion = np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    right, true, said = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    iou, dice = _ratio(right, true + said - right), _ratio(2 * right, true + said)
    there = true > 0
    columns = {"iou": iou, "dice": dice, "share": true / true.sum()}
    largest = true.max() / true.sum()
    return MasksReport(
        mean_iou=float(iou[there].mean()),
        mean_dice=float(dice[there].mean()),
        pixel_accuracy=float(right.sum() / true.sum()),
        majority_iou=float(largest / there.sum()),
        majority_accuracy=float(largest),
        pictures=len(truth),
        pixels=int(true.sum()),
        class_names=names,
        per_class={n: {k: float(v[i]) for k, v in columns.items()} for i, n in enumerate(names)},
        confusion=confusion,
        missing_classes=tuple(n for n, here in zip(names, there, strict=True) if not here),
        predicted=guess.astype("uint8"),
    )


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)


def plot_masks(pictures, masks: Mapping[str, np.ndarray], class_names: Sequence[str]):
    """Show pictures, and beside each the same picture under its masks.

    Args:
        pictures: `(n, height, width, 3)`, uint8 or floats in 0..255; a row for each.
        masks: a column for each, name -> integers `(n, height, width)`, such as
            `{"true": masks, "predicted": report.predicted}`. The first class, the background, has
            no colour.
        class_names: one for each class, in order of their numbers.

    Raises:
        ValueError: masks of another number or size than the pictures, or with unknown values.

    Example:
        >>> masks = np.arange(12) % 3 * np.ones((2, 12, 1), int)
        >>> tl.plot_masks(x[:2], {"true": masks, "predicted": 0 * masks}, class_names)
        <Figure size ...>
    """
    from matplotlib.colors import to_rgba
    from matplotlib.patches import Patch

    pictures, names = np.asarray(pictures), names_of(class_names, len(class_names))
    masks = {title: check_masks(mask, len(names), pictures.shape[:3], name=title)
             for title, mask in masks.items()}  # fmt: skip
    colours = [COLOURS[number % len(COLOURS)] for number in range(len(names) - 1)]
    table = np.array([(0, 0, 0, 0), *(to_rgba(colour, 0.6) for colour in colours)])
    rows, columns = len(pictures), 1 + len(masks)
    figure, axes = new_axes(min(11, 1.8 * columns), 1.8 * rows + 0.5, rows, columns)
    for number, row in enumerate(axes.reshape(rows, columns)):
        for ax, title in zip(row, ["picture", *masks], strict=True):
            ax.imshow(np.clip(pictures[number], 0, 255).astype("uint8"))
            if title in masks:
                ax.imshow(table[masks[title][number]], interpolation="nearest")
            ax.set_title(title if number == 0 else "", fontsize=9)
            ax.axis("off")
    patches = [Patch(color=c, label=n) for c, n in zip(colours, names[1:], strict=True)]
    figure.legend(handles=patches, loc="outside lower center", ncols=6, fontsize=8, frameon=False)
    told = "; ".join(f"{title}: {_shares(mask, names)}" for title, mask in masks.items())
    figure.set_label(f"{rows} pictures under masks; share of each class, {told}")
    return figure


def _shares(mask: np.ndarray, names: Sequence[str]) -> str:
    shares = np.bincount(mask.ravel(), minlength=len(names)) / mask.size
    return ", ".join(f"{name} {share:.3f}" for name, share in zip(names, shares, strict=True))
