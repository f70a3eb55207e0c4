"""Your own pictures: a folder for each class, split so that no picture is on two sides."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tlhelpers.checks.words import announce, check_seed
from tlhelpers.sources.class_folders import find_classes
from tlhelpers.sources.parts import PARTS, check_shares, connect, draw_parts
from tlhelpers.sources.pictures import SUFFIXES, check_size, load_picture

import numpy as np
import psutil
from PIL import Image

_SIDE = 16  # of the small grey pictures that are compared
_NEAR = 3.0  # how far two of these may lie apart, in grey levels, to be one picture


@dataclass(frozen=True, repr=False, eq=False)
class Pictures:
    """Pictures in memory, in three parts: images uint8 `(n, height, width, 3)`, labels int64.

    `files` names the file of each image: `files["test"][i]` is that of `x_test[i]`. `skipped` says
    which files could not be read, and why. `held_together` counts the pictures that are (nearly)
    equal to another one, and are on its side. `in_two_classes` are groups of files that hold one
    and the same picture, but lie in folders of different classes: look at them.
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_validation: np.ndarray
    y_validation: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    class_names: tuple[str, ...]
    files: dict[str, tuple[Path, ...]]
    skipped: dict[Path, str]
    held_together: int
    in_two_classes: tuple[tuple[Path, ...], ...]

    def __repr__(self) -> str:
        labels = [getattr(self, f"y_{part}") for part in PARTS]
        counts = np.bincount(np.concatenate(labels), minlength=len(self.class_names))
        classes = ", ".join(f"{n} {c:,}" for n, c in zip(self.class_names, counts, strict=True))
        sizes = ", ".join(f"{len(y):,} {p}" for p, y in zip(PARTS, labels, strict=True))
        line = f"{counts.sum():,} pictures ({classes}): {sizes}"
        told = {
            "nearly equal to another, and on its side": self.held_together,
            "in two classes": len(self.in_two_classes),
            "not readable": len(self.skipped),
        }
        return line + "".join(f"; {what}: {count}" for what, count in told.items() if count)


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
    _check_room(sum(map(len, classes.values())), height, width)
    x, y, files, skipped = _read(classes, size, fit, skip_unreadable)
    near = nearly_equal(x)
    keys = [None if group is None else group(path) for path in files]
    together = connect(len(x), near, keys)
    rows = draw_parts(y, together, shares, seed, list(classes), "pictures")
    train, val, held = rows.values()
    data = Pictures(
        *(x[train], y[train], x[val], y[val], x[held], y[held]),
        class_names=tuple(classes),
        files={part: tuple(files[row] for row in chosen) for part, chosen in rows.items()},
        skipped=skipped,
        held_together=len(np.unique(near)),
        in_two_classes=_in_two_classes(x, y, files),
    )
    announce(repr(data))
    return data


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


def _read(classes: dict[str, list[Path]], size, fit: str, skip: bool) -> tuple:
    """Return images, labels and files of what can be read, and why the others cannot."""
    x = np.empty((sum(map(len, classes.values())), *size, 3), "uint8")
    labels: list[int] = []
    files: list[Path] = []
    skipped: dict[Path, str] = {}
    for label, (name, paths) in enumerate(classes.items()):
        for path in paths:
            try:
                x[len(files)] = load_picture(path, size, fit)
            except ValueError as error:
                if not skip:
                    raise ValueError(f"{error} Or pass skip_unreadable=True.") from error
                skipped[path] = str(error)
                continue
            labels.append(label)
            files.append(path)
        if label not in labels:
            raise ValueError(f"Each class must have pictures. None of {name!r} could be read.")
    return x[: len(files)], np.array(labels, "int64"), files, skipped


def _check_room(count: int, height: int, width: int) -> None:
    needed, free = count * height * width * 3, psutil.virtual_memory().available
    if needed > free / 3:  # all of them, and then once more in their parts
        raise ValueError(
            f"The pictures must fit into a third of the free memory, {free / 3e9:.1f} GB. "
            f"Received: {count:,} pictures of {height} x {width}, {needed / 1e9:.1f} GB. Take a "
            "smaller `size`, or keras.utils.image_dataset_from_directory, which fine_tune takes."
        )


def _in_two_classes(x, y, files) -> tuple[tuple[Path, ...], ...]:
    equal: dict[bytes, list[int]] = {}
    for number, image in enumerate(x):
        equal.setdefault(image.tobytes(), []).append(number)
    mixed = [rows for rows in equal.values() if len(set(y[rows].tolist())) > 1]
    return tuple(tuple(files[row] for row in rows) for rows in mixed)
