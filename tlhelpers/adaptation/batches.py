"""Batches of which one half is labelled source and the other half unlabelled target."""

import functools
from collections.abc import Callable, Iterator

from tlhelpers.adaptation.samples import LABELLED, called, check_domain, check_parts, each, parts_of
from tlhelpers.checks.data import as_classes, check_labels, count_samples, to_array
from tlhelpers.checks.features import is_finite, to_numpy
from tlhelpers.checks.words import check_seed, check_whole

import keras
import numpy as np


class PairedBatches(keras.utils.PyDataset):
    """What `paired_batches` returns: `({"source": x, "target": x}, y_source)` per batch.

    With labelled samples of the target they are the part "labelled", as many as of the source;
    their labels follow those of the source. Of several sources each has an equal share of the
    source's rows, one after the other.

    `len` counts the batches of an epoch. The order in an epoch depends on the seed and the number
    of the epoch alone. Iterating goes on to the next epoch; `start_at` says which that is. A fit
    says for how many epochs its model has been trained: several models can share the batches, and
    a second fit goes on where the first one ended.

    Attributes:
        sources: samples of each source; they lie one behind the other in `x_source`, `y_source`.
        labelled: `(x, y)` of the target, or None.
    """

    def __init__(
        self, x_source, y_source, x_target, batch_size: int, seed: int, augment,
        sources: tuple[int, ...], labelled: tuple | None,
    ):  # fmt: skip
        super().__init__()
        self.x_source, self.y_source, self.x_target = x_source, y_source, x_target
        self.batch_size, self.seed, self.augment = batch_size, seed, augment
        self.sources, self.labelled = sources, labelled
        self.epoch = self._next = 0

    @property
    def samples(self) -> dict:
        """All samples, by the part of a batch that they go to."""
        labelled = {LABELLED: self.labelled[0]} if self.labelled else {}
        return {"source": self.x_source, "target": self.x_target, **labelled}

    def __len__(self) -> int:
        share = self.batch_size // len(self.sources)
        passes = [n // share for n in self.sources]
        return max(*passes, count_samples(self.x_target) // self.batch_size)

    def __getitem__(self, index: int):
        if not 0 <= index < len(self):
            raise IndexError(f"Batch {index} of {len(self)}.")
        source, target = self._source(index), self._rows(index, 1, count_samples(self.x_target))
        samples = each(lambda part: part[source], self.x_source)
        if self.augment is not None:
            samples = self._augmented(samples, index)
        batch = {"source": samples, "target": each(lambda part: part[target], self.x_target)}
        labels = self.y_source[source]
        if self.labelled is not None:
            x, y = self.labelled
            rows = self._rows(index, 3, len(y))
            batch[LABELLED] = each(lambda part: part[rows], x)
            labels = np.concatenate([labels, y[rows]])
        return batch, labels

    def _source(self, index: int) -> np.ndarray:
        """Return the rows of a batch that come from the sources, of each its share."""
        k = len(self.sources)
        draws = [0, *range(4, 3 + k)]  # 1 is the target's, 2 that of augment, 3 of what is labelled
        rows = [self._rows(index, draw, n, k) for draw, n in zip(draws, self.sources, strict=True)]
        starts = np.cumsum([0, *self.sources[:-1]])
        return np.concatenate([start + part for start, part in zip(starts, rows, strict=True)])

    def _rows(self, index: int, draw: int, n: int, shares: int = 1) -> np.ndarray:
        """Return the rows, out of n, of one share of a batch."""
        size = self.batch_size // shares
        order = _order(self.seed, self.epoch, draw, n, len(self) * size)
        return order[index * size : (index + 1) * size]

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


@functools.lru_cache(16)
def _order(seed: int, epoch: int, draw: int, n: int, needed: int) -> np.ndarray:
    """Return so many of n rows: whole passes, each in a new order."""
    generator = np.random.default_rng([seed, epoch, draw])
    passes = [generator.permutation(n) for _ in range(-(-needed // n))]
    return np.concatenate(passes)[:needed]


def paired_batches(
    x_source, y_source, x_target,
    batch_size: int = 64,
    seed: int = 0,
    augment: Callable[[np.ndarray, np.random.Generator], np.ndarray] | None = None,
    labelled_target: tuple | None = None,
) -> PairedBatches:  # fmt: skip
    """Return the batches that an adaptation trains on: as many source as target samples in each.

    An epoch passes the larger set once, but for a remainder smaller than a batch; the smaller set
    repeats, in a new order at every pass.

    Args:
        x_source: samples of the source, `(n, ...)`, one row each; or a dictionary of such arrays,
            as `bert.preprocessor` returns for texts, or a tuple of them, for an encoder of several
            inputs. A list of several sources: each batch has equally many of each.
        y_source: their labels: integers `(n,)`, or numbers `(n,)` or `(n, targets)` where the
            classifier ends in a regression (see `DANN`). For several sources a list of as many.
        x_target: samples of the target, `(m, ...)`, of the source's parts, shape and type.
        batch_size: source samples per batch, and target samples per batch; divisible by the number
            of sources.
        seed: integer in 0..2**32-1 that gives the order.
        augment: changes the source images of each batch: `augment(images, generator)` returns new
            ones of the same shape, drawn from the `numpy.random.Generator`. None leaves them. Of
            texts it gets and returns dictionaries.
        labelled_target: `(x, y)`, the few samples of the target that have labels. Each batch has
            `batch_size` of them, repeated where there are fewer, beside the unlabelled ones: they
            count in the label loss as much as the source does. They may stand in `x_target` too.

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
        >>> few = x_target[:3], [0, 1, 2]
        >>> batches = tl.paired_batches(x_source, y_source, x_target, 4, labelled_target=few)
        >>> pair, labels = batches[0]
        >>> pair["labelled"].shape, labels.shape
        ((4, 12, 12, 3), (8,))

    Reference:
        Labelled target samples in the label loss of a DANN: Saito et al. 2019, Semi-supervised
        Domain Adaptation via Minimax Entropy (arXiv 1904.06487), whose baselines do so.
    """
    several = isinstance(x_source, list) and _are_arrays(y_source)
    if several and len(x_source) != len(y_source):
        raise ValueError(
            "`x_source` and `y_source` must be lists of as many sources. Received: "
            f"{len(x_source)} and {len(y_source)} of them. Give the labels of each source."
        )
    if isinstance(x_source, list) and len(x_source) != len(y_source):
        raise ValueError(
            "`x_source` as a list must hold a row for each label, or several sources beside a list "
            f"of their labels. Received: {len(x_source)} of them for {len(y_source)} labels. Give "
            "the inputs of one encoder as a tuple: (a, b)."
        )
    names = [f"[{number}]" for number in range(len(x_source))] if several else [""]
    xs, ys = (x_source, y_source) if several else ([x_source], [y_source])
    xs = [_check_domain(x, f"x_source{i}") for x, i in zip(xs, names, strict=True)]
    ys = [_check_targets(y, f"y_source{i}", x) for x, y, i in zip(xs, ys, names, strict=True)]
    x_target = _check_domain(x_target, "x_target")
    for x, i in zip(xs, names, strict=True):
        _check_alike(x, x_target, f"x_source{i}", "x_target")
    labelled = None
    if labelled_target is not None:
        labelled = _check_labelled(labelled_target, ys[0].ndim == 2)
        _check_alike(labelled[0], x_target, "labelled_target", "x_target")
    ys = _of_one_kind([*ys, *(labelled or ())[1:]])
    sources, m = tuple(map(count_samples, xs)), count_samples(x_target)
    k = len(sources)
    sizes = [*(n * k for n in sources), m]
    cure = f"There are {' and '.join(map(str, sources))} source and {m} target samples: the larger "
    cure += "domain must fill a batch, the smaller one at least half of its places."
    most = min(max(sizes), 2 * min(sizes))
    batch_size = check_whole("batch_size", batch_size, 1, most, cure)
    if batch_size % k:
        raise ValueError(
            f"`batch_size` must be divisible by the {k} sources. Received: "
            f"batch_size={batch_size}. Use {batch_size + -batch_size % k}."
        )
    if augment is not None and not callable(augment):
        raise ValueError(
            f"`augment` must be a function or None. Received: augment={augment!r}. "
            "Use a function of images and a numpy.random.Generator."
        )
    x_source = each(lambda *parts: np.concatenate(parts), *xs) if several else xs[0]
    y_source, labelled = np.concatenate(ys[:k]), labelled and (labelled[0], ys[k])
    return PairedBatches(
        x_source, y_source, x_target, batch_size, check_seed(seed), augment, sources, labelled
    )


def _are_arrays(y) -> bool:
    """Whether labels are those of several sources."""
    return isinstance(y, list | tuple) and len(y) > 0 and all(np.ndim(part) > 0 for part in y)


def _check_targets(y, name: str, x, columns: bool = False) -> np.ndarray:
    """Return classes `(n,)` as int32, or what a regression learns as float32."""
    y, n = as_classes(to_numpy(to_array(y, name))), count_samples(x)
    numbers = y.dtype.kind in "iuf" and y.ndim in (1, 2)
    matrix = numbers and y.ndim == 2 and not columns
    one_hot = matrix and np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all()
    if not numbers or one_hot or len(y) != n:
        check_labels(y if not numbers or one_hot else np.zeros(len(y), int), n=n)
    if not is_finite(y):
        raise ValueError(f"`{name}` must be finite. Received: NaN or infinity. Drop these samples.")
    return y.astype("int32" if y.dtype.kind in "iu" else "float32")


def _of_one_kind(labels: list[np.ndarray]) -> list[np.ndarray]:
    """Return labels of several samples alike: whole numbers may be those of a regression."""
    shapes = [y.shape[1:] for y in labels]
    if len({*shapes}) > 1:
        raise ValueError(
            "Labels of all sources, and of labelled_target, must have one shape. Received: "
            f"{shapes} for each sample. Give as many numbers for every sample."
        )
    whole = all(y.dtype == "int32" for y in labels)
    return [y.astype("int32" if whole else "float32") for y in labels]


def _check_labelled(labelled, columns: bool) -> tuple:
    if not isinstance(labelled, tuple | list) or len(labelled) != 2:
        raise ValueError(
            "`labelled_target` must be a pair (x, y). Received: labelled_target of type "
            f"{type(labelled).__name__}. Give the labelled target samples and their labels."
        )
    x = _check_domain(labelled[0], "labelled_target[0]")
    return x, _check_targets(labelled[1], "labelled_target[1]", x, columns)


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


def _check_alike(a, b, one: str, other: str) -> None:
    """Refuse domains that differ in their parts, in the shape of a sample, or in type."""
    check_parts(a, b, one, other)
    for key, part in parts_of(a).items():
        names = f"`{called(one, key)}` and `{called(other, key)}`"
        (shape, kind), (wanted, known) = ((x.shape[1:], x.dtype) for x in (part, parts_of(b)[key]))
        if shape != wanted:
            cure = "Resize one of them" if key is None else "Use one sequence_length"
            raise ValueError(
                f"{names} must have samples of one shape. Received: {one} {shape}, {other} "
                f"{wanted}. {cure}, or repeat a grey channel: np.repeat(x, 3, axis=-1)."
            )
        if kind != known:
            raise ValueError(
                f"{names} must have one type. Received: {one} {kind}, {other} {known}, perhaps "
                "0..255 against 0..1. Bring both to the same range first."
            )


def _check_domain(x, name: str):
    if isinstance(x, tuple | list) and len(x) == 2 and np.ndim(x[0]) > 1 and np.ndim(x[1]) == 1:
        raise ValueError(
            f"`{name}` must be one array of samples. Received: {name} as a pair, it seems of "
            "samples and labels. Pass the samples alone: target labels play no part in adaptation, "
            "but for a few: labelled_target=(x, y)."
        )
    if not isinstance(x, dict | tuple):
        x = to_numpy(to_array(x, name))
        if x.ndim == 1 and x.dtype.kind in "iu":
            raise ValueError(
                f"`{name}` must hold one sample per row, shape (n, ...). Received: shape="
                f"{x.shape}, which looks like labels. Pass paired_batches(x_source, y_source, "
                "x_target); target labels play no part."
            )
    x = check_domain(x, name)
    if isinstance(x, np.ndarray) and x.dtype.kind == "b":
        return x.astype("float32")
    return each(_as_trained_on, x)


def _as_trained_on(x: np.ndarray) -> np.ndarray:
    return x.astype("float32", copy=False) if x.dtype.kind == "f" else x
