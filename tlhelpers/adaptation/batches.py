"""Batches of which one half is labelled source and the other half unlabelled target."""

import functools
from collections.abc import Callable, Iterator

from tlhelpers.adaptation.samples import check_domain, check_parts, each
from tlhelpers.checks.data import check_labels, count_samples
from tlhelpers.checks.features import to_numpy
from tlhelpers.checks.words import check_seed, check_whole

import keras
import numpy as np


class PairedBatches(keras.utils.PyDataset):
    """What `paired_batches` returns: `({"source": x, "target": x}, y_source)` per batch.

    `len` counts the batches of an epoch. The order in an epoch depends on the seed and the number
    of the epoch alone. Iterating goes on to the next epoch; `start_at` says which that is. A fit
    says for how many epochs its model has been trained: several models can share the batches, and
    a second fit goes on where the first one ended.
    """

    def __init__(self, x_source, y_source, x_target, batch_size: int, seed: int, augment):
        super().__init__()
        self.x_source, self.y_source, self.x_target = x_source, y_source, x_target
        self.batch_size, self.seed, self.augment = batch_size, seed, augment
        self.epoch = self._next = 0
        self.rows = functools.lru_cache(2)(self._rows)

    def __len__(self) -> int:
        return max(map(count_samples, (self.x_source, self.x_target))) // self.batch_size

    def __getitem__(self, index: int):
        if not 0 <= index < len(self):
            raise IndexError(f"Batch {index} of {len(self)}.")
        part = slice(index * self.batch_size, (index + 1) * self.batch_size)
        source, target = (rows[part] for rows in self.rows(self.epoch))
        samples = each(lambda part: part[source], self.x_source)
        if self.augment is not None:
            samples = self._augmented(samples, index)
        target = each(lambda part: part[target], self.x_target)
        return {"source": samples, "target": target}, self.y_source[source]

    def _augmented(self, samples, index: int):
        draw = np.random.default_rng([self.seed, self.epoch, 2, index])
        changed = self.augment(samples, draw)
        shape, received = (each(np.shape, x) for x in (samples, changed))
        if received != shape:
            raise ValueError(
                f"`augment` must return images of the same shape, {shape}. "
                f"Received: shape={received}. Crop or pad them back to it."
            )
        return each(_as_before, samples, changed)

    def __iter__(self) -> Iterator:
        self.on_epoch_begin()
        return (self[index] for index in range(len(self)))

    def on_epoch_begin(self) -> None:
        """Go on to the order of the next epoch."""
        self.epoch, self._next = self._next, self._next + 1

    def start_at(self, epoch: int) -> None:
        """Let the next pass have the order of this epoch, counted from 0."""
        self._next = epoch

    def _rows(self, epoch: int) -> list[np.ndarray]:
        """Return the rows of an epoch for each domain: whole passes, each in a new order."""
        needed = len(self) * self.batch_size
        rows = []
        for domain, x in enumerate((self.x_source, self.x_target)):
            draw = np.random.default_rng([self.seed, epoch, domain])
            n = count_samples(x)
            passes = [draw.permutation(n) for _ in range(-(-needed // n))]
            rows.append(np.concatenate(passes)[:needed])
        return rows


def paired_batches(
    x_source: np.ndarray,
    y_source: np.ndarray,
    x_target: np.ndarray,
    batch_size: int = 64,
    seed: int = 0,
    augment: Callable[[np.ndarray, np.random.Generator], np.ndarray] | None = None,
) -> PairedBatches:
    """Return the batches that an adaptation trains on: as many source as target samples in each.

    An epoch passes the larger set once, but for a remainder smaller than a batch; the smaller set
    repeats, in a new order at every pass. There is no place for target labels.

    Args:
        x_source: samples of the source, `(n, ...)`, one row each; or a dictionary of such arrays,
            as `bert.preprocessor` returns for texts.
        y_source: their labels, integers `(n,)`.
        x_target: samples of the target, `(m, ...)`, of the source's parts, shape and type.
        batch_size: source samples per batch, and target samples per batch.
        seed: integer in 0..2**32-1 that gives the order.
        augment: changes the source images of each batch: `augment(images, generator)` returns new
            ones of the same shape, drawn from the `numpy.random.Generator`. None leaves them. Of
            texts it gets and returns dictionaries.

    Returns:
        A `keras.utils.PyDataset` with a length, for `model.fit` or a `for` loop.

    Raises:
        ValueError: domains that are empty, differ in shape or type, are not finite, or do not fill
            a batch, or half of it; labels of other samples, or where target samples belong.

    Example:
        >>> batches = tl.paired_batches(x_source, y_source, x_target, batch_size=4)
        >>> len(batches)
        3
        >>> pair, labels = batches[0]
        >>> pair["source"].shape, pair["target"].shape, labels.shape
        ((4, 12, 12, 3), (4, 12, 12, 3), (4,))
        >>> tokens = bert.preprocessor(sequence_length=6)(texts)  # for an encoder of texts
        >>> pair, labels = tl.paired_batches(tokens, sentiments, tokens, batch_size=4)[0]
        >>> pair["target"]["token_ids"].shape
        (4, 6)
    """
    x_source, x_target = _check_domain(x_source, "x_source"), _check_domain(x_target, "x_target")
    check_parts(x_source, x_target)
    for part in x_source if isinstance(x_source, dict) else ():
        _check_alike(x_source[part], x_target[part], f"[{part!r}]", "Use one sequence_length")
    if not isinstance(x_source, dict):
        _check_alike(x_source, x_target, "", "Resize one of them")
    n, m = count_samples(x_source), count_samples(x_target)
    y_source = check_labels(y_source, n=n).astype("int32")
    cure = f"There are {n} source and {m} target samples: the larger domain must fill a batch, "
    cure += "the smaller one at least half of its places."
    most = min(max(n, m), 2 * min(n, m))
    batch_size = check_whole("batch_size", batch_size, 1, most, cure)
    if augment is not None and not callable(augment):
        raise ValueError(
            f"`augment` must be a function or None. Received: augment={augment!r}. "
            "Use a function of images and a numpy.random.Generator."
        )
    return PairedBatches(x_source, y_source, x_target, batch_size, check_seed(seed), augment)


def _as_before(samples: np.ndarray, changed) -> np.ndarray:
    """Return augmented samples in the type that they had."""
    changed = np.asarray(changed)
    scaled = samples.dtype.kind in "iu" and changed.dtype.kind == "f"
    if scaled and changed.max() <= 1 < samples.max():  # all would become 0
        raise ValueError(
            "`augment` must return images in the range that it gets. Received: values up to "
            f"{changed.max():.4g} for images up to {samples.max()}. Multiply them by 255."
        )
    return changed.astype(samples.dtype, copy=False)


def _check_alike(x_source: np.ndarray, x_target: np.ndarray, part: str, cure: str) -> None:
    """Refuse arrays of two domains that differ in the shape of a sample, or in type."""
    names = f"`x_source{part}` and `x_target{part}`"
    if x_source.shape[1:] != x_target.shape[1:]:
        raise ValueError(
            f"{names} must have samples of one shape. Received: x_source "
            f"{x_source.shape[1:]}, x_target {x_target.shape[1:]}. {cure}, or repeat a "
            "grey channel: np.repeat(x, 3, axis=-1)."
        )
    if x_source.dtype != x_target.dtype:
        raise ValueError(
            f"{names} must have one type. Received: x_source "
            f"{x_source.dtype}, x_target {x_target.dtype}, perhaps 0..255 against 0..1. Bring both "
            "to the same range first."
        )


def _check_domain(x, name: str):
    if isinstance(x, tuple | list) and len(x) == 2 and np.ndim(x[0]) > 1 and np.ndim(x[1]) == 1:
        raise ValueError(
            f"`{name}` must be one array of samples. Received: {name} as a pair, it seems of "
            "samples and labels. Pass the samples alone: target labels play no part in adaptation."
        )
    if isinstance(x, dict):
        return each(_as_trained_on, check_domain(x, name))
    x = to_numpy(x)
    if x.ndim == 1 and x.dtype.kind in "iu":
        raise ValueError(
            f"`{name}` must hold one sample per row, shape (n, ...). Received: shape={x.shape}, "
            "which looks like labels. Pass paired_batches(x_source, y_source, x_target); target "
            "labels play no part."
        )
    x = check_domain(x, name)
    return x.astype("float32") if x.dtype.kind == "b" else _as_trained_on(x)


def _as_trained_on(x: np.ndarray) -> np.ndarray:
    return x.astype("float32", copy=False) if x.dtype.kind == "f" else x
