"""Small examples as files, in the form in which the recipes take a reader's own data."""

import csv
import os
from collections.abc import Sequence
from pathlib import Path

from tlhelpers.checks.words import announce, check_choice, check_seed
from tlhelpers.sources.datasets import choose_stratified, load_dataset
from tlhelpers.sources.intents import INTENTS, load_intents
from tlhelpers.sources.invented import write_invented
from tlhelpers.sources.invented_ratings import write_invented_ratings
from tlhelpers.sources.log_mel import RATE
from tlhelpers.sources.mnist_m import make_mnist_m
from tlhelpers.sources.series import month_after, part_tourism
from tlhelpers.sources.spoken_digits import load_spoken_digits

import numpy as np
from PIL import Image

KINDS = ("pictures", "domains", "texts", "boxes", "masks", "groups", "entities", "paragraphs",
         "languages", "series", "ratings", "sounds")  # fmt: skip
_CAMERAS, _TWO_ALIKE = 24, (2, 6)  # bird and frog; of the stand-in pullover and shirt


def make_example(kind: str, folder: str | os.PathLike, size: int = 600, seed: int = 0) -> Path:
    """Write an example into a folder, as your own data should lie there; return what to read.

    - "pictures": a folder for each class of CIFAR-10 (or of its stand-in), for `load_folder`.
    - "domains": digits on black in `source/`, a folder for each class; other digits on photographs
      in `target/`, without classes; and a few of these with classes, for a test, in `test/`.
    - "groups": a folder for each of two classes, in pictures of 24 cameras with colours of their
      own, named `camera07_0012.png`; three in ten are of the second class.
    - "texts": `texts.csv` with the columns text and label, film reviews, for `load_table`.
    - "boxes": pictures of 128 x 128 with up to four digits, zeros and ones, and a Pascal VOC XML
      file for each, for `load_boxes`.
    - "masks": zeros and ones on pieces of photographs, 64 x 64, in `pictures/`, and in `masks/`
      what each pixel is: 0 background, 1 a zero, 2 a one, for `load_masks`. Some have no digit.
    - "entities": `train.txt`, `valid.txt` and `test.txt`, invented sentences in which people,
      places and organisations are marked, for `load_entities`. No name is in two of the files.
    - "paragraphs": `paragraphs.txt`, film reviews with an empty line between them, for
      `load_paragraphs`.
    - "languages": `texts.csv` with the columns text, label and language, what is said to a voice
      assistant in English, German, Spanish and Russian, for `load_languages`.
    - "series": `series.csv` with the columns date, id and value, seven years of monthly tourism
      that our forecaster has never seen, for `load_series_file`. The dates are made up.
    - "ratings": `mine.csv` with the columns user, item and rating, invented ratings of books by a
      few people; and beside it `many.csv`, of many others, for `load_ratings`.
    - "sounds": a folder for each digit, in it WAV files of people or synthetic voices who say it,
      named `speaker_take.wav`, for `load_sounds`.

    Args:
        kind: "pictures", "domains", "texts", "boxes", "masks", "groups", "entities", "paragraphs",
            "languages", "series", "ratings" or "sounds".
        folder: where; it is made. One that holds the example already stays as it is.
        size: how many pictures, texts, sentences, series or sounds, in each domain where there are
            two; for "ratings" the people in `many.csv`. There are 96 series, and 960 sounds of
            the synthetic voices or 3,000 of people: a line says so where you ask for more.
        seed: integer in 0..2**32-1 that draws them.

    Raises:
        ValueError: an unknown kind; what `load_dataset` raises.

    Example:
        >>> folder = tl.make_example("pictures", "photographs", size=20)
        cifar10: ...
        >>> len(list(folder.glob("*/*.png")))
        20
    """
    check_choice("kind", kind, KINDS)
    folder, done = Path(folder), Path(folder) / ".complete"
    if not done.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _WRITE[kind](folder, size, check_seed(seed))
        done.touch()
    files = {"texts": "texts.csv", "languages": "texts.csv", "paragraphs": "paragraphs.txt",
             "series": "series.csv", "ratings": "mine.csv"}  # fmt: skip
    return folder / files.get(kind, "")


def _write_pictures(folder: Path, size: int, seed: int) -> None:
    data = load_dataset("cifar10", train=size, test=10, seed=seed)
    _write_classes(folder, data.x_train, [data.class_names[label] for label in data.y_train])


def _write_domains(folder: Path, size: int, seed: int) -> None:
    data = load_dataset("mnist", train=2 * size, test=max(size // 4, 10), seed=seed)
    digits = np.repeat(data.x_train[:size], 3, axis=-1)
    _write_classes(folder / "source", digits, data.y_train[:size])
    _write_files(folder / "target", make_mnist_m(data.x_train[size:], seed=1))
    _write_classes(folder / "test", make_mnist_m(data.x_test, seed=2), data.y_test)


def _write_groups(folder: Path, size: int, seed: int) -> None:
    """Let 24 cameras of different colours photograph two classes, each its own share of both."""
    counts = [size - 3 * size // 10, 3 * size // 10]
    data = load_dataset("cifar10", train=10 * counts[0], test=10, seed=seed)
    rng = np.random.default_rng(seed)
    gain, light = rng.uniform(0.5, 1, (_CAMERAS, 3)), rng.uniform(0, 70, (_CAMERAS, 3))
    for label, count, evenness in zip(_TWO_ALIKE, counts, (4, 2), strict=True):
        images = data.x_train[data.y_train == label][:count]
        shares = rng.dirichlet(np.full(_CAMERAS, evenness))
        cameras = rng.choice(_CAMERAS, len(images), p=shares)
        grain = rng.normal(0, 8, images.shape)
        seen = images * gain[cameras, None, None] + light[cameras, None, None] + grain
        names = [f"camera{camera:02d}_{number:04d}" for number, camera in enumerate(cameras)]
        name = data.class_names[label].replace("/", " or ")
        _write_files(folder / name, np.clip(seen, 0, 255).astype("uint8"), names)


def _write_sounds(folder: Path, size: int, seed: int) -> None:
    from scipy.io import wavfile

    digits = load_spoken_digits(takes=max(8, -(-size // 60)))
    chosen = choose_stratified(digits.y, size, seed)
    _tell_if_fewer(len(chosen), size, "sounds")
    for row in chosen:
        place = folder / digits.class_names[digits.y[row]]
        place.mkdir(exist_ok=True)
        wave = np.round(digits.waves[row] * 32_767).astype("int16")
        wavfile.write(place / f"{digits.speaker[row]}_{digits.take[row]}.wav", RATE, wave)


def _write_texts(folder: Path, size: int, seed: int) -> None:
    data = load_dataset("rotten_tomatoes", train=size, test=10, seed=seed)
    with (folder / "texts.csv").open("w", newline="", encoding="utf8") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "label"])
        rows.writerows(zip(data.x_train, [data.class_names[y] for y in data.y_train], strict=True))


def _write_paragraphs(folder: Path, size: int, seed: int) -> None:
    data = load_dataset("rotten_tomatoes", train=size, test=10, seed=seed)
    (folder / "paragraphs.txt").write_text("\n\n".join(data.x_train), encoding="utf8")


def _write_languages(folder: Path, size: int, seed: int) -> None:
    per_class = -(-size // len(INTENTS))
    with (folder / "texts.csv").open("w", newline="", encoding="utf8") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "label", "language"])
        for code, one in load_intents(("en", "de", "es", "ru"), per_class, seed).items():
            labels = [one.class_names[label] for label in one.y]
            rows.writerows(zip(one.texts, labels, [code] * len(one), strict=True))


def _write_series(folder: Path, size: int, seed: int) -> None:
    _, aside = part_tourism()
    drawn = np.random.default_rng(seed).permutation(len(aside))[:size]
    _tell_if_fewer(len(drawn), size, "series")
    with (folder / "series.csv").open("w", newline="", encoding="utf8") as file:
        rows = csv.writer(file)
        rows.writerow(["date", "id", "value"])
        for one in (aside[number].last(84) for number in drawn):
            months = (month_after("2019-01", number) for number in range(len(one)))
            rows.writerows(zip(months, [one.name] * len(one), one.history, strict=True))


def _tell_if_fewer(count: int, size: int, things: str) -> None:
    if count < size:
        announce(f"{count:,} {things}: there are no more, and {size:,} were asked for")


def _write_boxes(folder: Path, size: int, seed: int) -> None:
    """Write pictures of dim noise; on each, in some of its quarters, a bright digit."""
    rng, data = np.random.default_rng(seed), load_dataset("mnist", train=4_000, test=10, seed=seed)
    known = [data.x_train[data.y_train == digit, ..., 0] for digit in (0, 1)]
    for number in range(size):
        canvas = rng.integers(0, 90, (128, 128, 1)).repeat(3, axis=-1)
        things = []
        for quarter in rng.permutation(4)[: rng.integers(0 if number % 10 == 9 else 1, 5)]:
            label, side = int(rng.integers(2)), int(rng.integers(28, 57))
            drawn = Image.fromarray(known[label][rng.integers(len(known[label]))])
            digit = np.asarray(drawn.resize((side, side), Image.Resampling.BILINEAR))
            left, top = np.array(divmod(quarter, 2)) * 64 + rng.integers(0, 65 - side, 2)
            part = canvas[top : top + side, left : left + side]
            np.maximum(part, digit[..., None], out=part)
            rows, columns = (np.flatnonzero((digit > 64).any(axis=axis)) for axis in (1, 0))
            corners = left + columns[0], top + rows[0], left + columns[-1] + 1, top + rows[-1] + 1
            things.append((str(label), corners))
        Image.fromarray(canvas.astype("uint8")).save(folder / f"{number:04d}.png", compress_level=1)
        (folder / f"{number:04d}.xml").write_text(_as_voc(things))


def _write_masks(folder: Path, size: int, seed: int) -> None:
    """Blend up to two digits into a piece of a photograph, as MNIST-M does it."""
    from sklearn.datasets import load_sample_images

    photos = load_sample_images().images
    rng, data = np.random.default_rng(seed), load_dataset("mnist", train=4_000, test=10, seed=seed)
    known = [data.x_train[data.y_train == digit, ..., 0] for digit in (0, 1)]
    pictures, masks = np.empty((size, 64, 64, 3), "uint8"), np.zeros((size, 64, 64), "uint8")
    for picture, mask in zip(pictures, masks, strict=True):
        photo = photos[rng.integers(len(photos))]
        top, left = (rng.integers(side - 64) for side in photo.shape[:2])
        for half in np.flatnonzero(rng.random(2) < 0.8):
            label = int(rng.integers(2))
            digit = known[label][rng.integers(len(known[label]))] > 64
            row, column = rng.integers(37), 32 * half + rng.integers(5)
            mask[row : row + 28, column : column + 28][digit] = 1 + label
        ink = 255 * (mask > 0).astype("int16")[..., None]
        picture[:] = np.abs(photo[top : top + 64, left : left + 64] - ink)
    _write_files(folder / "pictures", pictures)
    _write_files(folder / "masks", masks)


def _as_voc(things: list) -> str:
    """Return a Pascal VOC XML file of a picture of 128 x 128."""
    lines = ["<annotation>", "  <size><width>128</width><height>128</height></size>"]
    for name, corners in things:
        named = zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
        box = "".join(f"<{corner}>{value}</{corner}>" for corner, value in named)
        lines.append(f"  <object><name>{name}</name><bndbox>{box}</bndbox></object>")
    return "\n".join([*lines, "</annotation>"]) + "\n"


def _write_classes(folder: Path, images: np.ndarray, names) -> None:
    names = np.array([str(name).replace("/", " or ") for name in names])
    for name in np.unique(names):
        _write_files(folder / name, images[names == name])


def _write_files(folder: Path, images: np.ndarray, names: Sequence[str] | None = None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images):
        name = names[number] if names else f"{number:04d}"
        Image.fromarray(image).save(folder / f"{name}.png", compress_level=1)


_WRITE = {"pictures": _write_pictures, "domains": _write_domains, "texts": _write_texts,
          "boxes": _write_boxes, "masks": _write_masks, "groups": _write_groups,
          "entities": write_invented, "paragraphs": _write_paragraphs,
          "languages": _write_languages, "series": _write_series,
          "ratings": write_invented_ratings, "sounds": _write_sounds}  # fmt: skip
