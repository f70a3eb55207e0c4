"""Samples of a domain, one array or several for each sample, and the look at a dataset of them."""

from collections.abc import Callable

from tlhelpers.adaptation.normalization import DOMAINS
from tlhelpers.checks.data import to_array
from tlhelpers.checks.features import check_samples, to_numpy

import keras
import numpy as np

LABELLED = "labelled"  # what a batch calls the samples of the target that have labels


def each(change: Callable, *samples):
    """Return `change(a, b, ...)` of arrays, or of each part of dictionaries or tuples of arrays.

    Example:
        >>> each(np.add, {"a": 1, "b": 2}, {"a": 10, "b": 20}) == {"a": 11, "b": 22}
        True
    """
    if isinstance(samples[0], dict):
        return {name: change(*(x[name] for x in samples)) for name in samples[0]}
    if isinstance(samples[0], tuple):
        return tuple(change(*parts) for parts in zip(*samples, strict=True))
    return change(*samples)


def parts_of(x) -> dict:
    """Return the arrays of samples by their key: a name, a number, None for one alone."""
    if isinstance(x, dict):
        return x
    return dict(enumerate(x)) if isinstance(x, tuple | list) else {None: x}


def called(name: str, key) -> str:
    """Return what an error calls a part of samples."""
    return name if key is None else f"{name}[{key!r}]"


def is_pair(inputs) -> bool:
    """Say whether inputs are those of two domains, and not the dictionary of one."""
    return isinstance(inputs, dict) and {*DOMAINS} <= {*inputs}


def domains_of(pair: dict) -> dict:
    """Return the samples of a batch by their domain; labelled ones of the target come last."""
    return {name: pair[name] for name in (*DOMAINS, LABELLED) if name in pair}


def check_pair(pair: dict) -> None:
    """Refuse a batch whose domains differ in their parts, or are known to differ in size."""
    source, *others = domains_of(pair).values()
    for other in others:
        check_parts(source, other)
        for key, part in parts_of(source).items():
            _check_sizes(part, parts_of(other)[key])


def _check_sizes(a, b) -> None:
    (source, one), (target, two) = map(_sizes, (a, b))
    if len(one) == len(two) and not all(map(_may_be_equal, one, two)):
        raise ValueError(
            "Source and target must have samples of one shape. Received: source "
            f"{one}, target {two}. Resize or cut one of them."
        )
    if not _may_be_equal(source, target):
        raise ValueError(
            "A batch must hold as many source as target samples. Received: "
            f"{source=}, {target=}. "
            "Use tl.paired_batches, or batch both domains alike, with drop_remainder=True."
        )


def _may_be_equal(a: int | None, b: int | None) -> bool:
    return None in (a, b) or a == b


def _sizes(x) -> tuple[int | None, tuple]:
    """Return the rows of a tensor or specification, and the shape of one; None is not known."""
    shape = getattr(x, "shape", ())
    rows, *one = tuple(shape) or (None,) if getattr(shape, "rank", 0) is not None else (None,)
    return rows, tuple(one)


def check_parts(source, target, one: str = "x_source", other: str = "x_target") -> None:
    """Refuse two domains that are not of the same arrays."""
    keys = [sorted(map(str, parts_of(x))) for x in (source, target)]
    if keys[0] != keys[1]:
        shown = ["one array" if names == ["None"] else ", ".join(names) for names in keys]
        raise ValueError(
            f"`{one}` and `{other}` must be two arrays, or two dictionaries of the same arrays. "
            f"Received: {one} of {shown[0]}; {other} of {shown[1]}. Make both alike, such as "
            "bert.preprocessor(sequence_length)(texts) of either."
        )


def check_domain(x, name: str, rows: int = 1):
    """Return samples as numpy, an array or a dictionary or tuple of some; see `check_samples`."""
    if not isinstance(x, dict | tuple):
        return check_samples(to_array(x, name), name, rows)
    lengths = {key: len(to_array(part, called(name, key))) for key, part in parts_of(x).items()}
    if len({*lengths.values()}) != 1:
        raise ValueError(
            f"`{name}` must have arrays of one length, one or more. Received: {lengths}. Take them "
            "from the same samples."
        )
    parts = {key: _check_part(part, called(name, key), rows) for key, part in parts_of(x).items()}
    return parts if isinstance(x, dict) else tuple(parts.values())


def _check_part(x, name: str, rows: int) -> np.ndarray:
    """Return one of several arrays; it may have one number per sample."""
    x = to_numpy(to_array(x, name))
    return check_samples(x[:, None] if x.ndim == 1 else x, name, rows).reshape(x.shape)


def check_finite(x, name: str) -> None:
    """Refuse samples of a batch of which some are NaN or infinite."""
    for key, part in parts_of(x).items():
        if np.issubdtype(to_numpy(part).dtype, np.floating):
            _check_part(part, called(name, key), 0)


def to_weights(weights, n: int) -> np.ndarray:
    """Return sample weights, `(n,)` or a column `(n, 1)`, as float32 `(n,)`, or refuse them."""
    weights = to_numpy(weights)
    check_weights(weights.shape, n)
    if weights.dtype.kind not in "iufb":
        raise ValueError(
            f"`sample_weight` must be numbers. Received: sample_weight of dtype {weights.dtype}. "
            "Give one number per source sample."
        )
    return weights.reshape(-1).astype("float32")


def check_weights(shape: tuple, n: int | None) -> None:
    """Refuse the shape of sample weights that are not one per source sample."""
    one_each = len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)
    if not one_each or (None not in (n, shape[0]) and n != shape[0]):
        raise ValueError(
            "`sample_weight` must have shape (n,) or (n, 1), one number per source sample. "
            f"Received: sample_weight of shape {tuple(shape)} for {n} samples. The target has no "
            "labels, hence no weights."
        )


class Watch:
    """Look at what a dataset gives before the model does, and keep the first error.

    TensorFlow hides an error in the data behind one of its own: the end of `with` raises the first.

    Args:
        read: `read(x, y, weights, first)` returns labels and weights of a batch as the loss takes
            them, or raises what is wrong with them; `first` says that it is the first batch.
        kind: the type of the labels that it returns: "int32" are `(n,)`, "float32" `(n, targets)`.
    """

    def __init__(self, read: Callable, kind: str):
        self.read, self.kind = read, kind
        self.shapes: tuple[list, list] = ([] if kind == "int32" else [None]), []
        self.error: ValueError | None = None

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if error is not None and self.error is not None:
            raise self.error from None

    def over(self, dataset):
        """Return the dataset, `(x, y)` or `(x, y, weights)`, with y and weights as read.

        Args:
            dataset: a `tf.data.Dataset` or `keras.utils.PyDataset`.
        """
        import tensorflow as tf

        if isinstance(dataset, keras.utils.PyDataset):
            return _Watched(dataset, self)
        _check_elements(dataset)
        seen: list[bool] = []
        kinds = [tf.as_dtype(self.kind), tf.float32]

        @tf.autograph.experimental.do_not_convert
        def look(x, *given):
            def read(*arrays):
                *parts, y, weights = arrays if len(given) == 2 else (*arrays, None)
                return self.look(tf.nest.pack_sequence_as(x, parts), y, weights, seen)

            found = tf.numpy_function(read, [*tf.nest.flatten(x), *given], kinds[: len(given)])
            for before, after, rest in zip(given, found, self.shapes, strict=False):
                after.set_shape([before.shape[0] if before.shape.rank else None, *rest])
            return x, *found

        return dataset.map(look)

    def look(self, x, y, weights, seen: list) -> list[np.ndarray]:
        """Return labels, and weights where there are some; note in `seen` that a batch was good."""
        try:
            labels, weights = self.read(x, y, weights, not seen)
        except ValueError as error:
            self.error = self.error or error
            raise
        seen.append(True)
        return [labels.astype(self.kind), *([] if weights is None else [weights])]


class _Watched(keras.utils.PyDataset):
    """The batches of another PyDataset, each looked at."""

    def __init__(self, source: keras.utils.PyDataset, watch: Watch):
        super().__init__(source.workers, source.use_multiprocessing, source.max_queue_size)
        self.source, self.watch = source, watch
        self.seen: list[bool] = []

    @property
    def num_batches(self) -> int | None:
        return self.source.num_batches

    def __getitem__(self, index: int):
        batch = self.source[index]
        if not isinstance(batch, tuple | list) or len(batch) not in (2, 3):
            raise ValueError(
                "A dataset must give (x, y) or (x, y, sample_weight). Received: batches of type "
                f"{type(batch).__name__}. Give the labels of the source with its samples."
            )
        x, y, weights = (*batch, None)[:3]
        return x, *self.watch.look(x, y, weights, self.seen)

    def on_epoch_begin(self):
        self.source.on_epoch_begin()

    def on_epoch_end(self):
        self.source.on_epoch_end()


def _check_elements(dataset) -> None:
    """Refuse a dataset that is not one of batches of samples, labels and perhaps weights."""
    spec = dataset.element_spec
    given = spec[1:] if isinstance(spec, tuple) else ()
    if len(given) not in (1, 2) or not all(hasattr(part, "shape") for part in given):
        raise ValueError(
            "A dataset must give (x, y) or (x, y, sample_weight), y and weights one array each. "
            f"Received: elements {spec}. Zip samples and labels: tf.data.Dataset.zip((x, y))."
        )
    if given[0].shape.rank == 0:
        raise ValueError(
            "A dataset must give batches. Received: single samples, with one label each. Use "
            ".batch(64, drop_remainder=True)."
        )
    if int(dataset.cardinality()) == 0:
        raise ValueError(
            "A dataset must hold a batch. Received: an empty one. Look at its source: a domain "
            "smaller than a batch gives none with drop_remainder=True."
        )
