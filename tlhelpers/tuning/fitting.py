"""What every fit needs first: data that fit the model, a loss, a fresh compile."""

from tlhelpers.checks.data import check_labels, count_samples
from tlhelpers.models.preprocessing import check_inputs
from tlhelpers.tuning.batches import is_dataset

import keras
import numpy as np


def check_data(model: keras.Model, data, loss, name: str) -> None:
    """Refuse data that the model would misread, before any training; of a dataset one batch.

    Raises:
        ValueError: no pair `(x, y)`; images, tokens or labels that do not fit the model.
    """
    batches = is_dataset(data)
    if batches:
        data = next(iter(data.take(1)), None)
    if not isinstance(data, tuple | list) or not (len(data) == 2 or (batches and len(data) == 3)):
        kind = f"type {type(data).__name__}"
        elements = "an empty dataset" if data is None else f"a dataset with elements of {kind}"
        raise ValueError(
            f"`{name}` must be a pair (x, y) or a tf.data.Dataset of batches of such pairs. "
            f"Received: {elements if batches else f'{name} of {kind}'}."
        )
    x, y = data[:2]
    check_inputs(model, x)
    if loss is None:
        logits = model.output_shape[-1]
        try:
            y = _whole(y, logits) if batches else y
            check_labels(y, num_classes=2 if logits == 1 else logits, n=count_samples(x))
        except ValueError as error:
            raise ValueError(
                f"{error} For a multilabel or regression model give loss=... and metrics=..."
            ) from None


def _whole(y, logits: int) -> np.ndarray:
    """Return labels as readers of folders and tables make them, 1.0 for 1, as integers."""
    y = np.asarray(y)
    if y.dtype.kind == "f" and np.array_equal(y, np.round(y)):
        y = y.astype("int64")
    return np.ravel(y) if logits == 1 and y.ndim == 2 else y


def loss_of(model: keras.Model, metrics):
    """Return the loss of a classifier that ends in logits, and its metrics."""
    if model.output_shape[-1] == 1:
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
        return loss, metrics or [keras.metrics.BinaryAccuracy("accuracy", threshold=0.0)]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return loss, metrics or [keras.metrics.SparseCategoricalAccuracy("accuracy")]


def compile_afresh(model: keras.Model, optimizer, loss, metrics) -> None:
    """Compile with metrics at zero and all variables made.

    Keras resets only metrics that have been used in this compile, not what another fit left in
    them; and a step in which an optimizer or a metric makes its variables is traced twice.
    """
    for metric in keras.tree.flatten(metrics):
        if isinstance(metric, keras.Metric):
            metric.reset_state()
    model.compile(optimizer, loss=loss, metrics=metrics)
    model.optimizer.build(model.trainable_variables)
