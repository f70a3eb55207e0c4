"""Batches of texts of like length, so that short ones do not pay for long ones."""

from collections.abc import Mapping

from tlhelpers.checks.data import check_labels
from tlhelpers.checks.words import check_seed, check_whole

import keras
import numpy as np


def bucket_by_length(
    inputs: Mapping[str, np.ndarray],
    labels=None,
    batch_size: int = 32,
    buckets: int = 8,
    shuffle: bool = True,
    seed: int = 0,
):
    """Return batches of texts of like length, each padded only to its own longest text.

    The time of a transformer grows with the length of the padded batch. Every sample comes once in
    each epoch. Epochs differ in their order; the same seed, and the same `set_seed` before the
    first epoch, give the same epochs again.

    Args:
        inputs: what a preprocessor returns for n texts: arrays `(n, sequence_length)`, at most the
            length that you will pay for, with a `padding_mask` whose real tokens come first.
        labels: integers `(n,)`; None for texts without.
        batch_size: texts per batch; the last batch of a bucket may have fewer.
        buckets: how many lengths to tell apart, by quantiles, at least 1.
        shuffle: draw a new order in each epoch. False keeps the given order in each bucket.
        seed: of the order.

    Returns:
        A finite `tf.data.Dataset` of `(inputs, labels)`, or of inputs alone, for `fit` and
        `fine_tune` of a model that takes any length (`sequence_length=None`). It cannot be cached
        behind a layer that still has tokens: `fine_tune(..., cache_prefix=False)`.

    Raises:
        ValueError: no dictionary with a padding mask, or one with padding before real tokens;
            arrays of other shapes in it; not one label for each text; numbers below 1.

    Example:
        >>> batches = tl.bucket_by_length(bert.preprocessor(12)(texts), sentiments, batch_size=4)
        >>> model = tl.build_text_classifier(bert, 2, sequence_length=None)
        >>> model.compile("adam", loss)
        >>> history = model.fit(batches, epochs=3, shuffle=False, verbose=0)  # shuffled already
    """
    import tensorflow as tf

    mask = inputs.get("padding_mask") if isinstance(inputs, Mapping) else None
    if mask is None or np.ndim(mask) != 2 or not len(mask):
        received, cure = f"type {type(inputs).__name__}", "Use what bert.preprocessor(...) returns."
        if mask is None and isinstance(inputs, Mapping):
            received = f"a dictionary of {', '.join(map(str, inputs))}"
            cure = "An encoder that reads none (FNet) reads padding as text: fit on the arrays."
        raise ValueError(
            "`inputs` must be a dictionary with a padding_mask (n, tokens). Received: "
            f"{received}. {cure}"
        )
    mask = np.asarray(mask, bool)
    if np.any(mask[:, 1:] & ~mask[:, :-1]):
        raise ValueError(
            "`inputs` must have real tokens before the padding. Received: a padding_mask with "
            "padding in front of a real token. Pad on the right."
        )
    shapes = {name: np.shape(part) for name, part in inputs.items()}
    if any(shape[:2] != mask.shape for shape in shapes.values()):
        raise ValueError(
            f"`inputs` must be arrays of one shape, (n, tokens). Received: shapes={shapes}. Take "
            "the same rows of each."
        )
    lengths = mask.sum(axis=1, dtype="int32")
    batch_size = check_whole("batch_size", batch_size, 1)
    buckets = check_whole("buckets", buckets, 1)
    given = () if labels is None else (check_labels(labels, n=len(lengths)),)
    edges = np.unique(np.quantile(lengths, np.arange(1, buckets) / buckets).astype(int) + 1)
    counts = np.bincount(np.digitize(lengths, edges))
    dataset = tf.data.Dataset.from_tensor_slices((dict(inputs), lengths, *given))
    if shuffle:
        dataset = dataset.shuffle(len(lengths), seed=check_seed(seed))
    dataset = dataset.bucket_by_sequence_length(
        lambda inputs, length, *labels: length, edges.tolist(), [batch_size] * (len(edges) + 1)
    )
    number = int(np.sum(-(-counts // batch_size)))
    return dataset.map(_trim).apply(tf.data.experimental.assert_cardinality(number)).prefetch(2)


def _trim(inputs: dict, lengths, *labels):
    longest = keras.ops.max(lengths)
    inputs = {name: part[:, :longest] for name, part in inputs.items()}
    return (inputs, *labels) if labels else inputs
