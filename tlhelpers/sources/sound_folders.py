"""Your own sounds: a folder for each class, split so that no speaker is on two sides."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tlhelpers.checks.words import announce, check_seed
from tlhelpers.sources.class_folders import find_classes
from tlhelpers.sources.parts import PARTS, check_shares, connect, draw_parts
from tlhelpers.sources.sounds import SUFFIXES, load_sound

import numpy as np


@dataclass(frozen=True, repr=False, eq=False)
class Sounds:
    """Sounds in memory, in three parts: waves float32 `(n, samples)` in -1..1, labels int64.

    `files` names the file of each wave: `files["test"][i]` is that of `x_test[i]`. `skipped` says
    which files could not be read, and why.
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

    def __repr__(self) -> str:
        labels = [getattr(self, f"y_{part}") for part in PARTS]
        counts = np.bincount(np.concatenate(labels), minlength=len(self.class_names))
        classes = ", ".join(f"{n} {c:,}" for n, c in zip(self.class_names, counts, strict=True))
        sizes = ", ".join(f"{len(y):,} {p}" for p, y in zip(PARTS, labels, strict=True))
        skipped = f"; not readable: {len(self.skipped)}" if self.skipped else ""
        return f"{counts.sum():,} sounds ({classes}): {sizes}{skipped}"


def load_sounds(
    folder: str | os.PathLike,
    seconds: float = 1.0,
    validation: float = 0.15,
    test: float = 0.15,
    group: Callable[[Path], object] | None = None,
    skip_unreadable: bool = False,
    seed: int = 0,
) -> Sounds:
    """Read sounds that lie in one folder for each class, and split them without leaks.

    Each folder in `folder` is a class, and all WAV files below it belong to it. Each sound gets one
    channel, 16,000 samples a second, one length and one peak (see `load_sound`). The parts keep the
    share of each class, as far as what must stay together allows: equal sounds, and those of one
    `group`.

    Args:
        folder: the folder that holds a folder for each class; its classes are sorted by name.
        seconds: the length of each sound; 64 kB of memory a second.
        validation, test: the share of each part, in [0, 1); together below 1. The rest is train.
        group: what must not be on two sides: a function that makes a speaker, a room or a device of
            a path, such as `tl.group_by("^[^_]+")`. Without it the test hears known speakers.
        skip_unreadable: go on where a file cannot be read; `skipped` then names it.
        seed: integer in 0..2**32-1 that draws the parts.

    Returns:
        A `Sounds`.

    Raises:
        ValueError: a folder that is none, or holds sounds but no classes, or one class only, or a
            class without sounds; a file that cannot be read; a class too small to be in every part;
            a bad share or length.

    Example:
        >>> data = tl.load_sounds("sounds", validation=0, test=0.25)
        8 sounds (high 4, low 4): 6 train, 0 validation, 2 test
        >>> data.x_train.shape, data.class_names
        ((6, 16000), ('high', 'low'))
    """
    shares, seed = check_shares(validation, test), check_seed(seed)
    classes = find_classes(Path(folder), SUFFIXES, "sounds", "yes/1.wav")
    waves: list[np.ndarray] = []
    labels: list[int] = []
    files: list[Path] = []
    skipped: dict[Path, str] = {}
    for label, (name, paths) in enumerate(classes.items()):
        for path in paths:
            try:
                waves.append(load_sound(path, seconds))
            except ValueError as error:
                if not skip_unreadable:
                    raise ValueError(f"{error} Or pass skip_unreadable=True.") from error
                skipped[path] = str(error)
                continue
            labels.append(label)
            files.append(path)
        if label not in labels:
            raise ValueError(f"Each class must have sounds. None of {name!r} could be read.")
    x, y = np.stack(waves), np.array(labels, "int64")
    keys = [None if group is None else group(path) for path in files]
    together = connect(len(x), _equal(x), keys)
    rows = draw_parts(y, together, shares, seed, list(classes), "sounds")
    train, val, held = rows.values()
    data = Sounds(
        *(x[train], y[train], x[val], y[val], x[held], y[held]),
        class_names=tuple(classes),
        files={part: tuple(files[row] for row in chosen) for part, chosen in rows.items()},
        skipped=skipped,
    )
    announce(repr(data))
    return data


def _equal(x: np.ndarray) -> np.ndarray:
    """Return pairs of waves that are the same: each with the first of its kind."""
    first: dict[bytes, int] = {}
    pairs = [(first.setdefault(wave.tobytes(), row), row) for row, wave in enumerate(x)]
    return np.array(pairs, "int64").reshape(-1, 2)
