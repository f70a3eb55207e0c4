"""Texts of like length together, so that short ones do not pay for long ones."""

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
        labels: integers `(n,)`, or `(n, sequence_length)` for those of a tagger, which are cut to
            the batch's length too; None for texts without.
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
    given = () if labels is None else (_checked(labels, mask),)
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


def _checked(labels, mask: np.ndarray) -> np.ndarray:
    """Return a label for each text, or one for each of its tokens, where -1 is none."""
    if np.ndim(labels) != 2:
        return check_labels(labels, n=len(mask))
    labels = np.asarray(labels)
    if labels.shape != mask.shape or labels.dtype.kind not in "iu":
        raise ValueError(
            f"`labels` must be integers of shape {mask.shape}, one for each token. Received: "
            f"shape={labels.shape}, dtype={labels.dtype}. Take what the WordAligner returned."
        )
    return labels


def _trim(inputs: dict, lengths, *labels):
    longest = keras.ops.max(lengths)
    inputs = {name: part[:, :longest] for name, part in inputs.items()}
    labels = tuple(part[:, :longest] if len(part.shape) == 2 else part for part in labels)
    return (inputs, *labels) if labels else inputs


def predict_by_length(model: keras.Model, inputs: Mapping[str, np.ndarray], step: int = 16):
    """Return what a model says of each token, and pay little for padding.

    Sentences are grouped by their length, in steps of 16 tokens, and each group is padded to its
    own step: a tagger then meets few different widths.

    Args:
        model: from a dictionary of arrays `(n, tokens, ...)`, any number of tokens, to an array
            `(n, tokens, ...)`, or a dictionary of such: a tagger, or a part of one that `split_at`
            has cut off.
        inputs: with a `padding_mask` whose real tokens come first.
        step: tokens from one width to the next.

    Returns:
        Arrays as the model gives them, as many tokens wide as the inputs; zeros from where a
        sentence's own width ends.

    Raises:
        ValueError: no dictionary with a padding mask; a step below 1.

    Example:
        >>> tagger = tl.build_token_classifier(bert, ["O", "B-X"])
        >>> aligner = tl.WordAligner(bert.preprocessor(12), ["O", "B-X"])
        >>> tl.predict_by_length(tagger, aligner([["a", "film"], ["fine"] * 9]), step=4).shape
        (2, 12, 2)
    """
    mask = inputs.get("padding_mask") if isinstance(inputs, Mapping) else None
    if mask is None or np.ndim(mask) != 2 or not len(mask):
        raise ValueError(
            "`inputs` must be a dictionary with a padding_mask (n, tokens). Received: type "
            f"{type(inputs).__name__}. Use what a WordAligner or bert.preprocessor(...) returns."
        )
    step, most = check_whole("step", step, 1), np.shape(mask)[1]
    lengths = np.maximum(np.asarray(mask, bool).sum(axis=1), 1)
    widths = np.minimum(-(-lengths // step) * step, most)
    made = None
    for width in np.unique(widths):
        rows = np.flatnonzero(widths == width)
        few = {name: np.asarray(part)[rows, :width] for name, part in inputs.items()}
        said = keras.tree.map_structure(np.asarray, model.predict(few, batch_size=64, verbose=0))
        if made is None:
            made = keras.tree.map_structure(
                lambda part: np.zeros((len(mask), most, *part.shape[2:]), part.dtype), said
            )
        pairs = zip(keras.tree.flatten(made), keras.tree.flatten(said), strict=True)
        for whole, part in pairs:
            whole[rows, :width] = part
    return made
