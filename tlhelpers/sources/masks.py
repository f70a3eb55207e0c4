"""Your own pictures with a mask for each: two folders, the same names.

tissue/pictures/day1/07.jpg      the picture
tissue/masks/day1/07.png         its mask: a number for each pixel
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tlhelpers.checks.words import check_seed
from tlhelpers.sources.folders import nearly_equal
from tlhelpers.sources.parts import PARTS, Parts, check_shares, connect, draw_parts
from tlhelpers.sources.pictures import check_size, load_picture, pictures_below

import numpy as np
from PIL import Image, ImageOps

_MOST_VALUES = 64  # of masks; a photograph or a JPEG has more
_LOSSY = (".jpg", ".jpeg", ".webp")


@dataclass(frozen=True, repr=False, eq=False)
class MaskedPictures(Parts):
    """Pictures with masks in memory, in three parts: both uint8, masks `(n, height, width)`.

    `files` names the file of each picture: `files["test"][i]` is that of `x_test[i]`. `values` are
    the numbers in the files of the masks that became the classes 0, 1, 2, ...
    """

    values: tuple[int, ...]
    files: dict[str, tuple[Path, ...]]

    def __repr__(self) -> str:
        masks = self._labels()
        shares = np.bincount(masks.ravel(), minlength=len(self.class_names)) / masks.size
        told = ", ".join(f"{n} {s:.1%}" for n, s in zip(self.class_names, shares, strict=True))
        return f"{len(masks):,} pictures with masks ({told} of the pixels): {self._sizes()}"


def load_masks(
    folder: str | os.PathLike,
    size: tuple[int, int] = (128, 128),
    class_names: Sequence[str] | None = None,
    values: Sequence[int] | None = None,
    validation: float = 0.15,
    test: float = 0.15,
    group: Callable[[Path], object] | None = None,
    seed: int = 0,
) -> MaskedPictures:
    """Read pictures from `pictures/` and their masks from `masks/`, and split them without leaks.

    A mask is an image of one channel (grey, palette or black and white) in a format without loss,
    such as PNG. It has the size of its picture, and its name but for the ending. Both are stretched
    to one size, the mask without new values. Pictures that are equal or nearly so stay on one side,
    as do those of one `group`. A picture without any object may be among them.

    Args:
        folder: holds the folders `pictures` and `masks`.
        size: `(height, width)` in pixels.
        class_names: one for each value; None for the values themselves.
        values: the numbers in the masks, in the order of the classes, such as (0, 255). None takes
            those that are found, in rising order.
        validation, test, group, seed: as in `load_folder`.

    Returns:
        A `MaskedPictures`.

    Raises:
        ValueError: a folder that is not there, or empty; a picture without a mask, or a mask
            without a picture; a mask of another size than its picture, of several channels, or with
            values that are not among `values`; one value alone. Each names the file. Too few
            pictures for the parts.

    Example:
        >>> folder = tl.make_example("masks", "digits", size=12)
        mnist: ...
        >>> data = tl.load_masks(folder, (64, 64), ["background", "zero", "one"])
        >>> data.x_train.shape, data.y_train.shape
        ((8, 64, 64, 3), (8, 64, 64))
    """
    shares, seed = check_shares(validation, test), check_seed(seed)
    height, width = check_size(size)
    pairs = _pairs(Path(folder))
    masks = [_read(picture, mask) for picture, mask in pairs]
    known = _check_values(pairs, masks, values)
    names = tuple(map(str, known if class_names is None else class_names))
    if len(names) != len(known) or len(set(names)) != len(names):
        raise ValueError(
            f"`class_names` must be one for each value in the masks, {known}. Received: "
            f"class_names={class_names!r}. Give {len(known)} different names, in this order."
        )
    table = np.zeros(max(known) + 1, "uint8")
    table[list(known)] = range(len(known))
    resized = (Image.fromarray(table[m]).resize((width, height), Image.Resampling.NEAREST)
               for m in masks)  # fmt: skip
    y = np.stack([np.asarray(mask) for mask in resized])
    x = np.stack([load_picture(picture, (height, width), "stretch") for picture, _ in pairs])
    keys = [None if group is None else group(picture) for picture, _ in pairs]
    together = connect(len(x), nearly_equal(x), keys)
    same = np.zeros(len(x), int)
    rows = draw_parts(same, together, shares, seed, ["a mask"], "pictures")
    arrays = {f"{name}_{part}": of[rows[part]] for name, of in (("x", x), ("y", y))
              for part in PARTS}  # fmt: skip
    files = {part: tuple(pairs[row][0] for row in rows[part]) for part in PARTS}
    return MaskedPictures(**arrays, class_names=names, values=known, files=files)


def _pairs(folder: Path) -> list[tuple[Path, Path]]:
    """Return the files of each picture and its mask."""
    found = {}
    for kind in ("pictures", "masks"):
        here = folder / kind
        files = pictures_below(here) if here.is_dir() else []
        found[kind] = {file.relative_to(here).with_suffix(""): file for file in files}
        if not files or len(found[kind]) < len(files):
            what = "two of one name" if files else "no picture" if here.is_dir() else "no folder"
            raise ValueError(
                "`folder` must hold the folders pictures and masks, with files of the same names. "
                f"Received: {what} at {here}. Put pictures/1.jpg and masks/1.png there."
            )
    pictures, masks = found.values()
    alone = [*(pictures[name] for name in pictures.keys() - masks.keys()),
             *(masks[name] for name in masks.keys() - pictures.keys())]  # fmt: skip
    if alone:
        raise ValueError(
            "Each picture must have a mask of the same name, and each mask a picture. Received: "
            f"{min(alone)} alone, {len(alone)} such in all. Add its partner, or take it away."
        )
    return [(pictures[name], masks[name]) for name in sorted(pictures)]


def _read(picture: Path, mask: Path) -> np.ndarray:
    """Return the values of a mask, int64 `(height, width)`."""
    try:
        with Image.open(mask) as image:
            channels, values = image.getbands(), np.asarray(image)
        with Image.open(picture) as image:
            size = ImageOps.exif_transpose(image).size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(
            f"A picture and its mask must be whole. Received: {picture}, {mask}: {error}. Save "
            "them again, or take both away."
        ) from error
    if len(channels) > 1 or values.dtype.kind not in "iub":
        raise ValueError(
            f"A mask must have one channel of whole numbers. Received: {mask} with "
            f"{''.join(channels)}, {values.dtype}. Write a number for each colour into a grey PNG."
        )
    if values.shape != size[::-1]:
        raise ValueError(
            f"A mask must be as large as its picture. Received: {mask} of {values.shape[1]} x "
            f"{values.shape[0]} pixels for {picture} of {size[0]} x {size[1]}. Resize the mask "
            "without new values (nearest), or draw it again."
        )
    return values.astype("int64")


def _check_values(pairs: list, masks: list[np.ndarray], values) -> tuple[int, ...]:
    found = [np.unique(mask).tolist() for mask in masks]
    known = tuple(sorted(set().union(*found))) if values is None else tuple(map(int, values))
    if values is None and (len(known) > _MOST_VALUES or known[0] < 0):
        most = pairs[int(np.argmax([len(numbers) for numbers in found]))][1]
        lossy = f" {most.suffix} changes values." if most.suffix.lower() in _LOSSY else ""
        raise ValueError(
            f"Masks must have a few values, one for each class. Received: {len(known)} of them in "
            f"{known[0]}..{known[-1]}, most in {most}.{lossy} Save masks as PNG, or say which "
            "values are classes: values=(0, 255)."
        )
    for (_, file), numbers in zip(pairs, found, strict=True):
        if unknown := sorted(set(numbers) - set(known)):
            raise ValueError(
                f"Masks must hold the values {known} alone. Received: {unknown[:5]} in {file}. "
                "Mend the mask, or name all values: values=(0, 1, 255)."
            )
    if len(set(known)) < 2 or len(set(known)) < len(known) or min(known) < 0:
        raise ValueError(
            f"Masks must have two values or more, 0 or above. Received: {known} in {len(masks)} "
            f"masks, first {pairs[0][1]}. The background is a class, too."
        )
    return known
