"""What a segmenter minimizes: each pixel's cross-entropy, and how little the areas overlap."""

from tlhelpers.checks.words import check_number

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="tlhelpers")
class SegmentationLoss(keras.losses.Loss):
    """Cross-entropy of the pixels, plus a share of one minus the soft Dice coefficient.

    Cross-entropy counts pixels, so that a large background decides nearly all of it. Dice counts
    each class the same, as small as it may be:

        Dice of a class = 2 * sum(p * g) / (sum(p) + sum(g))

    with the probability p and the truth g, 0 or 1, of each pixel of one picture. The mean is over
    the classes that are in the picture. A class that isn't there has no Dice to win, and its
    pixels are left to the cross-entropy.

    Args:
        dice: the factor of the Dice part, 0 or above; 0 leaves cross-entropy alone.
        ignore: a value in the masks whose pixels do not count, such as 255; None: all count.

    Input: masks, integers `(n, height, width)`, and logits `(n, height, width, classes)`.
    Output: one loss for each picture, whose mean Keras takes. A picture in which all is ignored
    has loss 0.

    Raises:
        ValueError: a factor below 0.

    Example:
        >>> logits = np.zeros((1, 2, 2, 4), "float32")  # any of 4 classes
        >>> value = tl.SegmentationLoss()(np.zeros((1, 2, 2), "uint8"), logits)
        >>> bool(np.isclose(value, np.log(4) + 1 - 2 / (4 + 1)))
        True

    Note:
        A model that was compiled with it loads elsewhere with `compile=False`.

    Reference:
        Drozdzal et al., "The Importance of Skip Connections in Biomedical Image Segmentation",
        2016 (arXiv 1608.04117), equation 1, here for several classes; Isensee et al., "nnU-Net",
        Nature Methods 18, 2021, trains on the sum of both.
    """

    def __init__(self, dice: float = 1.0, ignore: int | None = None, name="segmentation", **kwargs):
        super().__init__(name=name, **kwargs)
        self.dice = check_number("dice", dice, "[0, inf)", "0 is cross-entropy alone.")
        self.ignore = ignore

    def call(self, y_true, y_pred):
        labels = ops.cast(y_true, "int32")
        labels = ops.squeeze(labels, -1) if len(labels.shape) == len(y_pred.shape) else labels
        counts = ops.ones_like(labels) if self.ignore is None else labels != self.ignore
        counts = ops.cast(counts, y_pred.dtype)[..., None]
        truth = ops.one_hot(labels, y_pred.shape[-1], dtype=y_pred.dtype) * counts
        pixels = ops.maximum(ops.sum(counts, axis=(1, 2, 3)), 1)
        entropy = -ops.sum(truth * ops.log_softmax(y_pred, axis=-1), axis=(1, 2, 3)) / pixels
        return entropy + self.dice * _lack_of_overlap(truth, ops.softmax(y_pred, axis=-1) * counts)

    def get_config(self):
        return {**super().get_config(), "dice": self.dice, "ignore": self.ignore}


def _lack_of_overlap(truth, probabilities):
    """Return one minus the mean soft Dice of the classes that are there, for each picture."""
    both = ops.sum(truth * probabilities, axis=(1, 2))
    areas = ops.sum(truth, axis=(1, 2))
    there = ops.cast(areas > 0, truth.dtype)
    dice = 2 * both / ops.maximum(areas + ops.sum(probabilities, axis=(1, 2)), 1e-7)
    classes = ops.sum(there, axis=-1)
    return ops.sum(there * (1 - dice), axis=-1) / ops.maximum(classes, 1)
