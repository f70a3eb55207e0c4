"""Your own pictures: a folder for each class, split so that no picture is on two sides."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tlhelpers.checks.words import check_seed
from tlhelpers.sources.class_folders import find_classes
from tlhelpers.sources.class_parts import ClassParts, check_room, read_parts
from tlhelpers.sources.parts import check_shares
from tlhelpers.sources.pictures import SUFFIXES, check_size, load_picture

import numpy as np
from PIL import Image

_SIDE = 16  # of the small grey pictures that are compared
_SMALLER = ("Take a smaller `size`, or keras.utils.image_dataset_from_directory, which fine_tune "
            "takes.")  # fmt: skip
_NEAR = 3.0  # how far two of these may lie apart, in grey levels, to be one picture


class Pictures(ClassParts):
    """Pictures in memory, in three parts: images uint8 `(n, height, width, 3)`, labels int64.

    `files` names the file of each image: `files["test"][i]` is that of `x_test[i]`. `skipped` says
    which files could not be read, and why. `held_together` counts the pictures that are (nearly)
    equal to another one, and are on its side. `in_two_classes` are groups of files that hold one
    and the same picture, but lie in folders of different classes: look at them.
    """

    things = "pictures"
    alike = "nearly equal"


def load_folder(
    folder: str | os.PathLike,
    size: tuple[int, int] = (160, 160),
    validation: float = 0.15,
    test: float = 0.15,
    group: Callable[[Path], object] | None = None,
    fit: str = "crop",
    skip_unreadable: bool = False,
    seed: int = 0,
) -> Pictures:
    """Read pictures that lie in one folder for each class, and split them without leaks.

    Each folder in `folder` is a class, and all pictures below it belong to it. Hidden files, and
    files that are no pictures by their name, are left out. The parts keep the share of each class,
    as far as what must stay together allows: pictures that are equal or nearly so (two shots of a
    burst, a copy of another size), and those of one `group`.

    Args:
        folder: the folder that holds a folder for each class; its classes are sorted by name.
        size, fit: as for `load_picture`.
        validation, test: the share of each part, in [0, 1); together below 1. The rest is train.
        group: what must not be on two sides: a function that makes a patient, a camera or a day
            of a path, such as `lambda path: path.name.split("_")[0]`.
        skip_unreadable: go on where a file cannot be read; `skipped` then names it.
        seed: integer in 0..2**32-1 that draws the parts.

    Returns:
        A `Pictures`.

    Raises:
        ValueError: a folder that is none, or holds pictures but no classes, or one class only, or
            a class without pictures; a file that cannot be read; pictures that do not fit into
            a third of the free memory; a class too small to be in every part; a bad share.

    Example:
        >>> data = tl.load_folder("pets", size=(96, 96))
        24 pictures (cat 12, dog 12): 16 train, 4 validation, 4 test
        >>> data.x_train.shape, data.class_names
        ((16, 96, 96, 3), ('cat', 'dog'))

    Reference:
        Barz, Denzler, "Do We Train on Test Data? Purging CIFAR of Near-Duplicates", Journal of
        Imaging 6(6), 2020 (why equal pictures must be on one side).
    """
    shares, seed = check_shares(validation, test), check_seed(seed)
    height, width = check_size(size)
    classes = find_classes(Path(folder), SUFFIXES)
    count = sum(map(len, classes.values()))
    check_room("pictures", count, f"{height} x {width}", height * width * 3, _SMALLER)
    load = partial(load_picture, size=size, fit=fit)
    return read_parts(Pictures, classes, load, skip_unreadable, group, shares, seed, nearly_equal)


def nearly_equal(x: np.ndarray) -> np.ndarray:
    """Return the pairs of images that are one picture to the eye: int64 `(pairs, 2)`.

    Compared are small grey versions of 16 x 16 pixels: a pair lies at most three grey levels apart
    (root mean square), and less than a tenth of what either varies itself.
    """
    small = [Image.fromarray(one).convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX)
             for one in x]  # fmt: skip
    flat = np.array([np.asarray(one, "float64").ravel() for one in small])
    limit = np.minimum(_NEAR, flat.std(axis=1) / 10)
    norms, pairs = (flat**2).sum(axis=1), []
    for start in range(0, len(flat), 1024):
        block = slice(start, start + 1024)
        squares = norms[block, None] + norms - 2 * flat[block] @ flat.T
        bound = np.minimum(limit[block, None], limit) ** 2 * flat.shape[1]
        one, other = np.nonzero(squares <= bound + 1e-6)
        pairs.append(np.stack([one + start, other], axis=1)[one + start < other])
    return np.concatenate(pairs)
