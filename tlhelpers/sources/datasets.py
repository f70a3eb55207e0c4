"""Small labelled data sets with honest subsets."""

from dataclasses import dataclass
from numbers import Integral

from tlhelpers.checks.words import announce, check_seed, did_you_mean
from tlhelpers.sources.mnist_m import blend
from tlhelpers.sources.origins import find_pool

import numpy as np

NAMES = ("cifar10", "fashion_mnist", "mnist", "mnist_m", "rotten_tomatoes", "imdb")
_REGIONS = {"train": (0.0, 0.7), "test": (0.7, 1.0)}  # of MNIST-M's photographs


@dataclass(frozen=True, repr=False, eq=False)
class Dataset:
    """A data set in memory: images uint8 channels last or texts, labels int64 from 0."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    class_names: tuple[str, ...]
    name: str
    origin: str
    is_stand_in: bool

    def __repr__(self) -> str:
        sample = "x".join(map(str, self.x_train.shape[1:])) or "texts"
        stand_in = ", stand-in" if self.is_stand_in else ""
        return (
            f"Dataset({self.name}: {len(self.y_train)} train, {len(self.y_test)} test, {sample}, "
            f"{len(self.class_names)} classes{stand_in})"
        )


def load_dataset(
    name: str, train: int | None = None, test: int | None = None, seed: int = 0
) -> Dataset:
    """Return a data set, or a part of it that keeps the share of every class.

    The source is whichever answers first: prepared already (`TFDS_DATA_DIR` or TFDS's own
    folder, our cache), the official one through TFDS (found unreachable within three seconds;
    `TL_OFFLINE=1` skips it), then a mirror or a smaller stand-in. One printed line says which.

    Subsets are the same for the same seed and nested: `train=200` contains `train=100`. The
    train and test splits of the source are never mixed.

    Args:
        name: "cifar10", "fashion_mnist", "mnist", "mnist_m" (made from the digits that "mnist"
            takes last, with backgrounds from separate parts of the photographs),
            "rotten_tomatoes" or "imdb".
        train: Number of training samples, at least one per class. Defaults to all there are.
        test: Number of test samples. Defaults to all there are.
        seed: Integer in 0..2**32-1 that chooses the subset and its order.

    Returns:
        A `Dataset`. For "cifar10" without a source it holds Fashion-MNIST in CIFAR-10's shape,
        and `is_stand_in` is True.

    Raises:
        ValueError: unknown name; a number below the classes or above what the source has; a bad
            seed; no source; a prepared folder that is damaged.

    Example:
        >>> data = load_dataset("mnist", train=100, test=50)  # doctest: +SKIP
        mnist: stand-in, a part of it from data/ (not prepared for TFDS, ...)
    """
    if name not in NAMES:
        raise ValueError(
            f"`name` must be one of {', '.join(NAMES)}. Received: name={name!r}."
            f"{did_you_mean(name, NAMES)}"
        )
    seed, pool = check_seed(seed), find_pool("mnist" if name == "mnist_m" else name)
    arrays = []
    for split, size in (("train", train), ("test", test)):
        x, y = getattr(pool, split)
        chosen = _choose(split, size, y, seed, last=name == "mnist_m")
        x = _decode(x[chosen])
        if name == "mnist_m":
            x = blend(x[..., 0], chosen, seed, _REGIONS[split])
        arrays += [x, y[chosen]]
    announce(f"{name}: {pool.origin}")
    return Dataset(*arrays, pool.class_names, name, pool.origin, pool.is_stand_in)


def choose_stratified(y: np.ndarray, size: int, seed, last: bool = False) -> np.ndarray:
    """Choose `size` samples that keep the share of every class, in a random order.

    Member r of a class of n has its turn at (r + 1/2) / n; the first `size` turns are taken.
    That keeps every class within one sample of its share, and makes the choices nested.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(y))[:: -1 if last else 1]
    turn = np.empty(len(y))
    for label in np.unique(y):
        members = np.flatnonzero(y[order] == label)
        turn[members] = (np.arange(len(members)) + 0.5) / len(members)
    chosen = order[np.argsort(turn, kind="stable")[:size]]
    return rng.permutation(chosen)


def _choose(split: str, size: int | None, y: np.ndarray, seed: int, last: bool) -> np.ndarray:
    classes = len(np.unique(y))
    if size is None:
        size = len(y)
    whole = isinstance(size, Integral) and not isinstance(size, bool)
    if not whole or not classes <= size <= len(y):
        raise ValueError(
            f"`{split}` must be an integer in {classes}..{len(y)}, from one sample per class to "
            f"all that this source has. Received: {split}={size!r}. Use {split}=None for all."
        )
    return choose_stratified(y, size, [seed, split == "test"], last)


def _decode(x: np.ndarray) -> np.ndarray:
    """Turn compressed images (TFDS leaves them to us) into pixels; the rest stays as it is."""
    if x.dtype != object or not isinstance(x[0], bytes):
        return x
    import tensorflow as tf

    return np.stack([tf.io.decode_image(image, expand_animations=False).numpy() for image in x])
