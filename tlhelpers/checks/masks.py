"""What a mask must be: a class for each pixel of a picture."""

from tlhelpers.checks.data import shown, to_array
from tlhelpers.checks.features import to_numpy

import numpy as np


def check_masks(
    masks, classes: int, shape: tuple | None = None, ignore: int | None = None, name: str = "masks"
) -> np.ndarray:
    """Return masks as integers `(n, height, width)`, or refuse them.

    Args:
        masks: integers (a last axis of length one may follow), whole floats, or booleans.
        classes: above every value.
        shape: `(n, height, width)` of the pictures that they belong to.
        ignore: a value that may stand for pixels that do not count.

    Raises:
        ValueError: another number or size of masks, colours instead of classes, or unknown values,
            which are listed.
    """
    masks = to_numpy(to_array(masks, name))
    masks = masks[..., 0] if masks.ndim == 4 and masks.shape[-1] == 1 else masks
    if masks.ndim != 3 or not masks.size or (shape is not None and masks.shape != tuple(shape)):
        wanted = shown(("height", "width")) if shape is None else tuple(shape)
        colours = masks.ndim == 4 and masks.shape[-1] in (3, 4)
        cure = "Turn colours into the number of each class" if colours else "One for each picture"
        raise ValueError(
            f"`{name}` must have shape {wanted}, a class for each pixel. Received: shape="
            f"{masks.shape}. {cure}, and of its height and width."
        )
    whole = masks.dtype.kind in "iub" or (masks.dtype.kind == "f" and (masks == masks // 1).all())
    values = np.unique(masks) if whole else masks[:0]
    unknown = [v for v in values.tolist() if not 0 <= v < classes and v != ignore]
    if not whole or unknown:
        found = f"{unknown[:5]} in mask {_first_with(masks, unknown[0])}" if whole else masks.dtype
        raise ValueError(
            f"`{name}` must hold whole numbers in 0..{classes - 1}. Received: {found}. Number the "
            "classes from 0, or say which value does not count: ignore=255."
        )
    return masks.astype("int64")


def _first_with(masks: np.ndarray, value) -> int:
    return int(np.argmax((masks == value).any(axis=(1, 2))))
