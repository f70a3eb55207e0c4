"""Your own sounds: a folder for each class, split so that no speaker is on two sides."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tlhelpers.checks.words import check_number, check_seed
from tlhelpers.sources.class_folders import find_classes
from tlhelpers.sources.class_parts import ClassParts, check_room, read_parts
from tlhelpers.sources.log_mel import RATE
from tlhelpers.sources.parts import check_shares
from tlhelpers.sources.sounds import SUFFIXES, load_sound


class Sounds(ClassParts):
    """Sounds in memory, in three parts: waves float32 `(n, samples)` in -1..1, labels int64.

    `files` names the file of each wave: `files["test"][i]` is that of `x_test[i]`. `skipped` says
    which files could not be read, and why. `held_together` counts the sounds that are equal to
    another one, and are on its side. `in_two_classes` are groups of files that hold one and the
    same sound, but lie in folders of different classes: listen to them.
    """

    things = "sounds"


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
            class without sounds; a file that cannot be read; sounds that do not fit into a third of
            the free memory; a class too small to be in every part; a bad share or length.

    Example:
        >>> data = tl.load_sounds("sounds", validation=0, test=0.25)
        8 sounds (high 4, low 4): 6 train, 0 validation, 2 test
        >>> data.x_train.shape, data.class_names
        ((6, 16000), ('high', 'low'))
    """
    shares, seed = check_shares(validation, test), check_seed(seed)
    seconds = check_number("seconds", seconds, "(0, inf)", "Try 1.0.")
    classes = find_classes(Path(folder), SUFFIXES, "sounds", "yes/1.wav")
    count, size = sum(map(len, classes.values())), 4 * RATE * seconds
    check_room("sounds", count, f"{seconds:,g} seconds", size, "Take fewer `seconds`.")
    load = partial(load_sound, seconds=seconds)
    return read_parts(Sounds, classes, load, skip_unreadable, group, shares, seed)
