"""Small examples as files, in the form in which the recipes take a reader's own data."""

import csv
import os
from pathlib import Path

from tlhelpers.checks.words import check_choice, check_seed
from tlhelpers.sources.datasets import load_dataset
from tlhelpers.sources.mnist_m import make_mnist_m

import numpy as np
from PIL import Image

KINDS = ("pictures", "domains", "texts")


def make_example(kind: str, folder: str | os.PathLike, size: int = 600, seed: int = 0) -> Path:
    """Write an example into a folder, as your own data should lie there; return what to read.

    - "pictures": a folder for each class of CIFAR-10 (or of its stand-in), for `load_folder`.
    - "domains": digits on black in `source/`, a folder for each class; other digits on photographs
      in `target/`, without classes; and a few of these with classes, for a test, in `test/`.
    - "texts": `texts.csv` with the columns text and label, film reviews, for `load_table`.

    Args:
        kind: "pictures", "domains" or "texts".
        folder: where; it is made. One that holds the example already stays as it is.
        size: how many pictures or texts, in each domain where there are two.
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
    return folder / "texts.csv" if kind == "texts" else folder


def _write_pictures(folder: Path, size: int, seed: int) -> None:
    data = load_dataset("cifar10", train=size, test=10, seed=seed)
    _write_classes(folder, data.x_train, [data.class_names[label] for label in data.y_train])


def _write_domains(folder: Path, size: int, seed: int) -> None:
    data = load_dataset("mnist", train=2 * size, test=max(size // 4, 10), seed=seed)
    digits = np.repeat(data.x_train[:size], 3, axis=-1)
    _write_classes(folder / "source", digits, data.y_train[:size])
    _write_files(folder / "target", make_mnist_m(data.x_train[size:], seed=1))
    _write_classes(folder / "test", make_mnist_m(data.x_test, seed=2), data.y_test)


def _write_texts(folder: Path, size: int, seed: int) -> None:
    data = load_dataset("rotten_tomatoes", train=size, test=10, seed=seed)
    with (folder / "texts.csv").open("w", newline="", encoding="utf8") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "label"])
        rows.writerows(zip(data.x_train, [data.class_names[y] for y in data.y_train], strict=True))


def _write_classes(folder: Path, images: np.ndarray, names) -> None:
    names = np.array([str(name).replace("/", " or ") for name in names])
    for name in np.unique(names):
        _write_files(folder / name, images[names == name])


def _write_files(folder: Path, images: np.ndarray) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number:04d}.png", compress_level=1)


_WRITE = {"pictures": _write_pictures, "domains": _write_domains, "texts": _write_texts}
