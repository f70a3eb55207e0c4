"""Ten digits, spoken by several people again and again."""

from dataclasses import dataclass
from pathlib import Path

from tlhelpers.checks.words import announce, check_whole
from tlhelpers.sources.assets import fetch
from tlhelpers.sources.network import NotHere
from tlhelpers.sources.origins import official_folder, prepared_folder
from tlhelpers.sources.sounds import prepare_sound

import numpy as np

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
OFFICIAL = (
    "spoken_digit",
    "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/v1.0.9.tar.gz",
)
_RATE = 8_000


@dataclass(frozen=True, repr=False, eq=False)
class SpokenDigits:
    """Spoken digits in memory: waves float32 `(n, 16000)`, a second each, and who speaks.

    `y` holds the digits, int64; `speaker` the name of who speaks; `take` how many times that
    speaker had said the digit before. `is_stand_in` is True where a machine speaks.
    """

    waves: np.ndarray
    y: np.ndarray
    speaker: np.ndarray
    take: np.ndarray
    class_names: tuple[str, ...]
    origin: str
    is_stand_in: bool

    def __len__(self) -> int:
        return len(self.y)

    def __repr__(self) -> str:
        people = len(np.unique(self.speaker))
        kind = f"{people} synthetic speakers, stand-in" if self.is_stand_in else f"{people} people"
        return f"SpokenDigits({len(self)} clips by {kind}, {self.take.max() + 1} takes)"


def load_spoken_digits(takes: int | None = None, synthetic: bool = False) -> SpokenDigits:
    """Return the Free Spoken Digit Dataset: 6 people say each digit 50 times, 3,000 clips.

    The first source that answers is used: prepared already for TFDS (`spoken_digit`), the official
    one through TFDS, then a stand-in of this package. That one is **synthetic**: the program
    espeak-ng speaks in 96 voices, 12 speakers in 8 accents each, which count as their takes. One
    printed line says which. Each clip is brought to 16,000 Hz, one second and one peak
    (`prepare_sound`).

    Args:
        takes: the first takes of each digit by each speaker, or all that there are if these are
            fewer. None for all: 192 MB of memory for 3,000 clips.
        synthetic: take the stand-in at once, for what is shown or passed on: it is nobody's voice.

    Returns:
        A `SpokenDigits`, sorted by speaker, digit and take.

    Raises:
        ValueError: not a number of takes; a damaged prepared folder.

    Example:
        >>> digits = tl.load_spoken_digits(takes=2)  # doctest: +ELLIPSIS
        spoken_digit: ...
        >>> digits.waves.shape[1], digits.class_names[3], digits.take.max()
        (16000, 'three', np.int64(1))

    Reference:
        Jackson et al., "Free Spoken Digit Dataset", v1.0.9, github.com/Jakobovski, CC BY-SA 4.0.
    """
    takes = None if takes is None else check_whole("takes", takes, 1)
    tried = []
    sources = [lambda: prepared_folder(OFFICIAL[0]), lambda: official_folder(*OFFICIAL)]
    for find in [] if synthetic else sources:
        try:
            folder, origin = find()
        except NotHere as reason:
            tried.append(str(reason))
            continue
        rows = _read_tfds(folder)
        break
    else:
        rows = _read_stand_in()
        why = ", ".join(tried) or "as asked"
        origin = f"stand-in, SYNTHETIC, spoken by espeak-ng, from data/ ({why})"
    rows = sorted(rows, key=lambda row: row[:3])
    rows = [row for row in rows if takes is None or row[2] < takes]
    speaker, y, take, waves = zip(*rows, strict=True)
    announce(f"{OFFICIAL[0]}: {origin}")
    return SpokenDigits(
        np.stack([prepare_sound(wave, _RATE) for wave in waves]),
        np.array(y, "int64"), np.array(speaker), np.array(take, "int64"),
        NAMES, origin, origin.startswith("stand-in"),
    )  # fmt: skip


def _read_tfds(folder: Path) -> list[tuple]:
    """Return speaker, digit, take and wave of each clip; its file is named "3_theo_12.wav"."""
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder_from_directory(str(folder))
        clips = list(tfds.as_numpy(builder.as_dataset(split="train")))
        if len(clips) != builder.info.splits["train"].num_examples:
            raise EOFError(f"{len(clips)} clips")
        names = [clip["audio/filename"].decode().removesuffix(".wav").split("_") for clip in clips]
        return [
            (speaker, int(digit), int(take), clip["audio"] / 32_768)
            for (digit, speaker, take), clip in zip(names, clips, strict=True)
        ]
    except Exception as error:
        reason = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
        raise ValueError(
            f"The prepared TFDS folder of spoken_digit must be whole. Received: {folder}: {reason}."
            " Remove the folder, or prepare it with tfds.load."
        ) from error


def _read_stand_in() -> list[tuple]:
    with np.load(fetch("spoken-digits")) as file:
        waves = np.split(file["waves"], np.cumsum(file["lengths"])[:-1])
        about = zip(
            file["speaker"].tolist(), file["y"].tolist(), file["take"].tolist(), strict=True
        )
        return [(*row, from_mu_law(wave)) for row, wave in zip(about, waves, strict=True)]


def from_mu_law(numbers: np.ndarray) -> np.ndarray:
    """Return a wave in -1..1 from uint8, the inverse of `mu_law` in data/build.py."""
    pressed = numbers / 127.5 - 1
    return np.sign(pressed) * np.expm1(np.abs(pressed) * np.log(256)) / 255
