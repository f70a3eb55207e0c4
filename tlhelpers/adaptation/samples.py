"""Samples of a domain, an array or a dictionary of arrays (texts), and what they bring along."""

from collections.abc import Callable

from tlhelpers.adaptation.normalization import DOMAINS
from tlhelpers.checks.data import as_classes, check_labels, count_samples
from tlhelpers.checks.features import check_samples, to_numpy

import numpy as np


def each(change: Callable, *samples):
    """Return `change(a, b, ...)` of arrays, or of each part of dictionaries of arrays.

    Example:
        >>> each(np.add, {"a": 1, "b": 2}, {"a": 10, "b": 20}) == {"a": 11, "b": 22}
        True
    """
    if isinstance(samples[0], dict):
        return {name: change(*(x[name] for x in samples)) for name in samples[0]}
    return change(*samples)


def is_pair(inputs) -> bool:
    """Say whether inputs are those of two domains, and not the dictionary of one."""
    return isinstance(inputs, dict) and {*DOMAINS} <= {*inputs}


def check_pair(pair: dict) -> None:
    """Refuse a batch whose halves differ in their parts, or are known to differ in size."""
    check_parts(*(pair[name] for name in DOMAINS))
    for part in pair["source"] if isinstance(pair["source"], dict) else [None]:
        halves = (pair[name] if part is None else pair[name][part] for name in DOMAINS)
        (source, one), (target, other) = map(_sizes, halves)
        if len(one) == len(other) and not all(map(_may_be_equal, one, other)):
            raise ValueError(
                "Source and target must have samples of one shape. Received: source "
                f"{one}, target {other}. Resize or cut one of them."
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


def check_parts(source, target) -> None:
    """Refuse two domains of which one is a dictionary, or has other parts than the other."""
    parts = [sorted(x) if isinstance(x, dict) else None for x in (source, target)]
    if parts[0] != parts[1]:
        shown = ["one array" if names is None else ", ".join(names) for names in parts]
        raise ValueError(
            "`x_source` and `x_target` must be two arrays, or two dictionaries of the same arrays. "
            f"Received: x_source of {shown[0]}; x_target of {shown[1]}. Make both alike, such as "
            "bert.preprocessor(sequence_length)(texts) of either."
        )


def check_domain(x, name: str, rows: int = 1):
    """Return samples as a numpy array, or a dictionary of arrays as one; see `check_samples`."""
    if not isinstance(x, dict):
        return check_samples(x, name, rows)
    parts = {part: _check_part(value, f"{name}[{part!r}]", rows) for part, value in x.items()}
    lengths = {part: len(value) for part, value in parts.items()}
    if len({*lengths.values()}) != 1:
        raise ValueError(
            f"`{name}` must have arrays of one length, one or more. Received: {lengths}. Take them "
            "from the same samples."
        )
    return parts


def _check_part(x, name: str, rows: int) -> np.ndarray:
    """Return an array of a dictionary; it may have one number per sample."""
    x = to_numpy(x)
    return check_samples(x[:, None] if x.ndim == 1 else x, name, rows).reshape(x.shape)


def to_labels(y, num_classes: int | None, n: int) -> np.ndarray:
    """Return labels `(n,)` as int32; columns, and 1.0 for 1, are as good. See `check_labels`."""
    y = as_classes(to_numpy(y))  # as readers of folders make them
    return check_labels(y, num_classes=num_classes, n=n).astype("int32")


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
    """Look at what a `tf.data.Dataset` gives before the model does, and keep the first error.

    TensorFlow hides an error in the data behind one of its own: the end of `with` raises the first.

    Args:
        check: looks at the samples of the first batch, and raises what is wrong with them.
        classes: returns how many classes there are; None as long as that is not known.
    """

    def __init__(self, check: Callable, classes: Callable):
        self.check, self.classes = check, classes
        self.known: int | None = None
        self.error: ValueError | None = None

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if error is not None and self.error is not None:
            raise self.error from None

    def over(self, dataset):
        """Return a dataset of `(x, y)` or `(x, y, weights)` with y and weights of shape `(n,)`."""
        import tensorflow as tf

        _check_elements(dataset.element_spec)
        if int(dataset.cardinality()) == 0:
            raise ValueError(
                "A dataset must hold a batch. Received: an empty one. Look at its source: a domain "
                "smaller than a batch gives none with drop_remainder=True."
            )
        looked: list[bool] = []

        @tf.autograph.experimental.do_not_convert
        def look(x, *given):
            def inside(*arrays):
                parts, said = arrays[: -len(given)], arrays[-len(given) :]
                return self._look(looked, tf.nest.pack_sequence_as(x, parts), *said)

            kinds = [tf.int32, tf.float32][: len(given)]
            seen = tf.numpy_function(inside, [*tf.nest.flatten(x), *given], kinds)
            for before, after in zip(given, seen, strict=True):
                after.set_shape(before.shape[:1] if before.shape.rank else [None])
            return x, *seen

        return dataset.map(look)

    def _look(self, looked: list, x, y: np.ndarray, *weights: np.ndarray) -> list[np.ndarray]:
        """Return labels and weights of a batch as the loss takes them."""
        try:
            n = count_samples(x["source"] if is_pair(x) else x)
            self.known = self.known or self.classes()
            labels = to_labels(y, self.known, n)
            if not looked:
                self.check(x)
                looked.append(True)
            return [labels, *(to_weights(w, n) for w in weights)]
        except ValueError as error:
            self.error = self.error or error
            raise


def _check_elements(spec) -> None:
    """Refuse a dataset that is not one of batches of samples, labels and perhaps weights."""
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
