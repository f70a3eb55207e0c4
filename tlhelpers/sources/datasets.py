"""Small labelled data sets with honest subsets."""

from dataclasses import dataclass

from tlhelpers.checks.words import announce, check_choice, check_seed, check_whole
from tlhelpers.sources.mnist_m import blend
from tlhelpers.sources.origins import Split, find_pool

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

    The first source that answers is used: prepared already (`TFDS_DATA_DIR` or TFDS's own folder,
    our cache), the official one through TFDS (given up after three seconds without an answer;
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
            seed; no source; a damaged prepared folder.

    Example:
        >>> data = tl.load_dataset("mnist", train=100, test=50)
        mnist: ...
        >>> data.x_train.shape, data.y_test.shape
        ((100, 28, 28, 1), (50,))
    """
    check_choice("name", name, NAMES)
    seed, pool = check_seed(seed), find_pool("mnist" if name == "mnist_m" else name)
    x_train, y_train = _take(name, "train", pool.train, train, seed)
    x_test, y_test = _take(name, "test", pool.test, test, seed)
    announce(f"{name}: {pool.origin}")
    return Dataset(
        x_train, y_train, x_test, y_test, pool.class_names, name, pool.origin, pool.is_stand_in
    )


def _take(name: str, split: str, samples: Split, size: int | None, seed: int) -> Split:
    x, y = samples
    cure = f"Take one sample per class at least; {split}=None takes all that this source has."
    size = check_whole(split, len(y) if size is None else size, len(np.unique(y)), len(y), cure)
    chosen = choose_stratified(y, size, [seed, split == "test"], last=name == "mnist_m")
    x = x[chosen]
    if x.dtype == object and isinstance(x[0], bytes):  # TFDS's images, still compressed
        import tensorflow as tf

        x = np.stack([tf.io.decode_image(one, expand_animations=False).numpy() for one in x])
    if name == "mnist_m":
        x = blend(x[..., 0], chosen, seed, _REGIONS[split])
    return x, y[chosen]


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
