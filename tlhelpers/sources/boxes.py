"""Your own pictures with boxes: a folder of Pascal VOC XML files, or a COCO JSON file.

folder/a.jpg  a.xml  b.jpg  b.xml          or          folder/images/a.jpg  annotations.json
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tlhelpers.checks.boxes import check_boxes
from tlhelpers.checks.words import announce, check_choice, did_you_mean
from tlhelpers.sources.box_files import Annotated, read_coco, read_voc
from tlhelpers.sources.pictures import SUFFIXES, load_picture, pictures_below

import numpy as np
import psutil
from PIL import Image

_BESIDE = 1.0  # pixels that a box may lie outside: some programs count from 1
_TURNED = (5, 6, 7, 8)  # EXIF: height and width change places


@dataclass(frozen=True, repr=False, eq=False)
class BoxedPictures:
    """Pictures in memory, and the boxes in each; element i of every list is of picture i.

    `pictures` are uint8 `(height, width, 3)`, each of its own size. `boxes` are float64 `(n, 4)` in
    pixels (left, top, right, bottom), none or more. `labels` are int64 `(n,)`, positions in
    `class_names`.
    """

    pictures: tuple[np.ndarray, ...]
    boxes: tuple[np.ndarray, ...]
    labels: tuple[np.ndarray, ...]
    class_names: tuple[str, ...]
    files: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.pictures)

    def __repr__(self) -> str:
        counts = np.bincount(np.concatenate(self.labels), minlength=len(self.class_names))
        classes = ", ".join(f"{n} {c:,}" for n, c in zip(self.class_names, counts, strict=True))
        empty = sum(not len(boxes) for boxes in self.boxes)
        rest = f"; {empty} without a box" if empty else ""
        return f"{len(self):,} pictures with {counts.sum():,} boxes ({classes}){rest}"

    def part(self, rows: Sequence[int]) -> "BoxedPictures":
        """Return these pictures alone, in this order, with the same class names.

        Example:
            >>> data = tl.load_boxes(tl.make_example("boxes", "boxed", size=6))
            mnist: ...
            6 pictures with ... boxes (...)
            >>> len(data.part([4, 0]))
            2
        """
        return BoxedPictures(
            tuple(self.pictures[row] for row in rows),
            tuple(self.boxes[row] for row in rows),
            tuple(self.labels[row] for row in rows),
            self.class_names,
            tuple(self.files[row] for row in rows),
        )


def load_boxes(
    folder: str | os.PathLike,
    class_names: Sequence[str] | None = None,
    outside: str = "error",
) -> BoxedPictures:
    """Read pictures and the boxes in them, of a folder, in the order of the files' names.

    Two forms are read:

    - **Pascal VOC**: beside each picture an XML file of the same name (`a.jpg`, `a.xml`), also in
      folders below. One without an `<object>` says that the picture has none.
    - **COCO**: one JSON file with "images", "annotations" and "categories"; its pictures lie beside
      it or in `images/` beside it. The boxes of crowds (`iscrowd`) are left out.

    Coordinates are taken as they are; whether a program counts pixels from 0 or 1 isn't known.

    Args:
        folder: the folder, or a COCO file.
        class_names: the classes in the order of their numbers; another class in a file is an error.
            None takes those that occur, sorted by name (COCO: all categories, by their number).
        outside: what to do with a box that reaches out of its picture by more than a pixel:
            "error", or "clip" to cut it off at the edge.

    Returns:
        A `BoxedPictures`.

    Raises:
        ValueError: a folder that is none, or has neither form, or both; a file that is missing,
            empty, no picture, or not as its form has it; a picture without an XML file; another
            size than the file says; a box without an area, or outside of the picture; an unknown
            class; no box at all; more than fits into a third of the free memory. Errors name the
            file.

    Example:
        >>> data = tl.load_boxes(tl.make_example("boxes", "boxed", size=6))
        mnist: ...
        6 pictures with ... boxes (...)
        >>> data.pictures[0].shape, data.boxes[0].shape[1]
        ((128, 128, 3), 4)

    Reference:
        Everingham et al., 2010 (the VOC challenge's development kit, its annotation format); Lin
        et al., "Microsoft COCO", ECCV 2014 (arXiv 1405.0312).
    """
    check_choice("outside", outside, ("error", "clip"))
    found = _annotated(Path(folder))
    names = tuple(class_names or _names(found))
    files = [each.picture for each in found]
    sizes = [_size_of(file) for file in files]
    _check_room(sizes)
    boxes, labels = [], []
    for each, (height, width) in zip(found, sizes, strict=True):
        if each.size is not None and each.size != (height, width):
            raise ValueError(
                f"{each.file} must say the size of its picture. Received: {each.size[1]} x "
                f"{each.size[0]}, and {each.picture.name} has {width} x {height}. Boxes of another "
                "size do not fit: scale them, or take the picture that was annotated."
            )
        boxes.append(_inside(each, height, width, outside))
        labels.append(np.array([_label(name, names, each.file) for name in each.names], "int64"))
    if not sum(map(len, boxes)):
        raise ValueError(
            f"`folder` must hold a box at least. Received: {folder}, {len(files)} pictures without "
            "any. Are these the annotations?"
        )
    pictures = tuple(load_picture(file, size=None) for file in files)
    data = BoxedPictures(pictures, tuple(boxes), tuple(labels), names, tuple(files))
    announce(repr(data))
    return data


def _annotated(folder: Path) -> list[Annotated]:
    required = "`folder` must hold pictures with Pascal VOC XML files, or a COCO JSON file."
    if folder.suffix.lower() == ".json" and folder.is_file():
        return read_coco(folder)
    if not folder.is_dir():
        what = "a file" if folder.exists() else "which does not exist"
        raise ValueError(f"{required} Received: {str(folder)!r}, {what}.")
    visible = [p for p in sorted(folder.rglob("*")) if not p.name.startswith(".")]
    voc = [path for path in visible if path.suffix.lower() == ".xml"]
    coco = [path for path in visible if path.suffix.lower() == ".json" and path.parent == folder]
    if len(coco) + bool(voc) != 1:
        here = f"{len(voc)} XML and {len(coco)} JSON files"
        raise ValueError(
            f"{required} Received: {str(folder)!r} with {here}. Name the JSON file itself, or take "
            "what is too much away."
        )
    if coco:
        return read_coco(coco[0])
    told = [read_voc(path) for path in voc]
    without = sorted({*pictures_below(folder)} - {each.picture for each in told})
    if without:
        raise ValueError(
            f"Each picture must have an XML file. Received: {without[0]} without one. Write one "
            "without an <object> if nothing is in it, or take the picture away."
        )
    return told


def _names(found: Sequence[Annotated]) -> list[str]:
    """Return all categories of a COCO file, else the names that occur, sorted."""
    if found and found[0].categories is not None:
        return list(found[0].categories)
    return sorted({name for each in found for name in each.names})


def _label(name: str, names: tuple[str, ...], file: Path) -> int:
    if name not in names:
        raise ValueError(
            f"{file} must name classes among {', '.join(map(repr, names))}. Received: {name!r}."
            + did_you_mean(name, names, shown=0)
        )
    return names.index(name)


def _size_of(file: Path) -> tuple[int, int]:
    """Return height and width of a picture, upright, without reading all of it."""
    if not file.is_file():
        raise ValueError(f"Each picture must be there. Received: {file}, which is no file.")
    if file.suffix.lower() not in SUFFIXES:
        raise ValueError(
            f"A picture must be one of {', '.join(sorted(SUFFIXES))}. Received: {file}."
        )
    try:
        with Image.open(file) as image:
            width, height = image.size
            turned = image.getexif().get(0x0112) in _TURNED
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{file} must be a whole picture. Received: {error}.") from error
    return (width, height) if turned else (height, width)


def _inside(each: Annotated, height: int, width: int, outside: str) -> np.ndarray:
    try:
        boxes, _ = check_boxes(each.boxes)
    except ValueError as error:
        raise ValueError(f"{each.file}: {error}") from error
    cut = np.clip(boxes, 0, [width, height, width, height])
    far = np.abs(cut - boxes).max(axis=1, initial=0) > _BESIDE
    gone = (cut[:, 2:] <= cut[:, :2]).any(axis=1)
    if (far.any() and outside != "clip") or gone.any():
        box = boxes[(gone if gone.any() else far).argmax()].tolist()
        cure = "" if gone.any() else ' Or pass outside="clip" to cut boxes off at the edge.'
        raise ValueError(
            f"{each.file} must have boxes inside {each.picture.name}, {width} x {height}. "
            f"Received: {box} (left, top, right, bottom). Correct the file.{cure}"
        )
    return cut


def _check_room(sizes: Sequence[tuple[int, int]]) -> None:
    needed, free = 3 * sum(h * w for h, w in sizes), psutil.virtual_memory().available
    if needed > free / 3:
        raise ValueError(
            f"The pictures must fit into a third of the free memory, {free / 3e9:.1f} GB. "
            f"Received: {len(sizes):,} pictures, {needed / 1e9:.1f} GB. Take fewer."
        )
