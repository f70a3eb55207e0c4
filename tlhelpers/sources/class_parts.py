"""What lies in a folder for each class: read, and split so that equal things stay on one side."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import ClassVar, TypeVar

from tlhelpers.checks.words import announce
from tlhelpers.sources.parts import Parts, connect, draw_parts

import numpy as np
import psutil


@dataclass(frozen=True, repr=False, eq=False)
class ClassParts(Parts):
    """Samples in memory, in three parts, with their labels and files.

    `files["test"][i]` is that of `x_test[i]`. `skipped` says which files could not be read, and
    why. `held_together` counts the samples that equal another one, and are on its side.
    `in_two_classes` are groups of files of different classes that hold the very same sample.
    """

    files: dict[str, tuple[Path, ...]]
    skipped: dict[Path, str]
    held_together: int
    in_two_classes: tuple[tuple[Path, ...], ...]

    things: ClassVar[str]  # what they are: "pictures"
    alike: ClassVar[str] = "equal"

    def __repr__(self) -> str:
        counts = np.bincount(self._labels(), minlength=len(self.class_names))
        classes = ", ".join(f"{n} {c:,}" for n, c in zip(self.class_names, counts, strict=True))
        line = f"{counts.sum():,} {self.things} ({classes}): {self._sizes()}"
        told = {
            f"{self.alike} to another, and on its side": self.held_together,
            "in two classes": len(self.in_two_classes),
            "not readable": len(self.skipped),
        }
        return line + "".join(f"; {what}: {count}" for what, count in told.items() if count)


Kind = TypeVar("Kind", bound=ClassParts)


def check_room(things: str, count: int, of: str, size: float, cure: str) -> None:
    """Check that `count` things, each `of` a shape and with `size` bytes, fit into memory."""
    needed, free = count * size, psutil.virtual_memory().available
    if needed > free / 3:  # all of them, and then once more in their parts
        raise ValueError(
            f"The {things} must fit into a third of the free memory, {free / 3e9:.1f} GB. "
            f"Received: {count:,} {things} of {of}, {needed / 1e9:.1f} GB. {cure}"
        )


def read_parts(
    kind: type[Kind],
    classes: dict[str, list[Path]],
    load: Callable[[Path], np.ndarray],
    skip: bool,
    group: Callable[[Path], object] | None,
    shares: tuple[float, float, float],
    seed: int,
    pair: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Kind:
    """Load the files of all classes, split them, and say what there is.

    `pair` returns the pairs of samples that count as equal; without it they are those that are.

    Raises:
        ValueError: a file that cannot be read, if it isn't to be skipped; a class of such files
            alone, or one too small to be in every part.
    """
    samples, labels, skipped = [], [], {}
    for label, (name, paths) in enumerate(classes.items()):
        for path in paths:
            try:
                samples.append(load(path))
            except ValueError as error:
                if not skip:
                    raise ValueError(f"{error} Or pass skip_unreadable=True.") from error
                skipped[path] = str(error)
                continue
            labels.append(label)
        if label not in labels:
            raise ValueError(f"Each class must have {kind.things}. None of {name!r} could be read.")
    x, y = np.stack(samples), np.array(labels, "int64")
    files = [path for paths in classes.values() for path in paths if path not in skipped]
    equal: dict[bytes, list[int]] = {}
    for row, sample in enumerate(samples):
        equal.setdefault(sha256(sample.tobytes()).digest(), []).append(row)
    del samples
    pairs = [(rows[0], row) for rows in equal.values() for row in rows[1:]]
    near = pair(x) if pair else np.array(pairs, "int64").reshape(-1, 2)
    groups = connect(len(x), near, [None if group is None else group(path) for path in files])
    rows_of = draw_parts(y, groups, shares, seed, list(classes), kind.things)
    mixed = [rows for rows in equal.values() if len(set(y[rows].tolist())) > 1]
    train, val, test = rows_of.values()
    data = kind(
        *(x[train], y[train], x[val], y[val], x[test], y[test]),
        class_names=tuple(classes),
        files={part: tuple(files[row] for row in rows) for part, rows in rows_of.items()},
        skipped=skipped,
        held_together=len(np.unique(near)),
        in_two_classes=tuple(tuple(files[row] for row in rows) for rows in mixed),
    )
    announce(repr(data))
    return data
