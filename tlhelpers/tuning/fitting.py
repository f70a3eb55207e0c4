"""What every fit needs first: data that fit the model, a loss, a fresh compile."""

from collections.abc import Mapping
from functools import partial

from tlhelpers.checks.data import count_samples, to_array
from tlhelpers.checks.devices import scope_of
from tlhelpers.models.ends import End, end_of
from tlhelpers.models.inputs import read_inputs, read_labels
from tlhelpers.scores.classification import to_probabilities
from tlhelpers.tuning.batches import Batches, is_dataset

import keras
import numpy as np


def prepare(model: keras.Model, train, validation, loss, metrics, size=None) -> tuple:
    """Return training and validation data, read, and the loss and metrics that go with the model.

    Args:
        validation: as `train`, or None.
        loss, metrics: as in `compile`; None for those of the model's task.
        size: samples per batch of the training data, as in `read_data`.

    Raises:
        ValueError: what `read_data` raises; several outputs without a loss for each; a model of a
            strategy of several machines.
    """
    scope = scope_of(model)
    end = end_for_loss(model, loss)
    train = read_data(model, train, "train", end, size)
    if validation is not None:
        validation = read_data(model, validation, "validation", end)
    end = end and _with_kind(end, model, train)
    with scope:  # of the metrics
        return train, validation, compiled_with(end, loss, metrics)


def compiled_with(end: End | None, loss, metrics) -> dict:
    """Return loss and metrics for `compile`: those of the end, where no loss is given."""
    if end is not None:
        loss, metrics = loss_of(end, metrics)
    return {"loss": loss, "metrics": metrics_of(loss, metrics)}


def read_data(model: keras.Model, data, name: str, end: End | None = None, size=None):
    """Return `(x, y)` or `(x, y, weights)` as arrays, or `Batches` of such, fit for the model.

    Args:
        end: how the model ends; labels are then read as it takes them (see `read_labels`).
        size: samples per batch, to which a dataset is divided anew; None leaves it.

    Raises:
        ValueError: no pair; what `read_inputs`, `read_labels` or `Batches` refuse; weights that
            are not one number for each sample.
    """
    check = partial(_check_batch, model=model, name=name, end=end)
    if is_dataset(data):
        return Batches(data, name, check, size)
    if not isinstance(data, tuple | list) or len(data) not in (2, 3):
        raise _not_a_pair(name, f"{name} of type {type(data).__name__}", _cure_for(data))
    return check(tuple(data))


def _check_batch(batch: tuple, model: keras.Model, name: str, end: End | None) -> tuple:
    if len(batch) not in (2, 3):
        kind = type(batch[0]).__name__
        raise _not_a_pair(
            name,
            f"a dataset with elements of type {kind}, without labels",
            "Zip them: tf.data.Dataset.zip(images, labels)",
        )
    x, y, *weights = batch
    x = read_inputs(model, x, "x")
    n = count_samples(x)
    y = read_labels(y, end, n) if end else _targets(model, y)
    counts = {len(part) for part in keras.tree.flatten(y)}
    if counts != {n}:
        raise ValueError(
            f"One label per sample is needed. Received: {n} samples, {sorted(counts)} labels."
        )
    return (x, y, *(_check_weights(w, n) for w in weights if w is not None))


def _targets(model: keras.Model, y):
    """Return labels for a loss of the user's own, in the form of the model's outputs."""
    if isinstance(y, Mapping):
        return {key: to_array(part, f"y[{key!r}]") for key, part in y.items()}
    if isinstance(y, list | tuple) and len(getattr(model, "outputs", None) or ()) > 1:
        return [to_array(part, f"y[{number}]") for number, part in enumerate(y)]
    return to_array(y, "y")


def _check_weights(weights, n: int) -> np.ndarray:
    weights = np.asarray(weights)
    if weights.shape not in ((n,), (n, 1)) or weights.dtype.kind not in "iufb":
        raise ValueError(
            f"Sample weights must be numbers of shape ({n},), one for each sample. Received: "
            f"shape={weights.shape}, dtype={weights.dtype}. Take them from the same rows."
        )
    return weights.reshape(n)


def _not_a_pair(name: str, received: str, cure: str) -> ValueError:
    return ValueError(
        f"`{name}` must be a pair (x, y), or (x, y, weights), or a tf.data.Dataset or PyDataset of "
        f"batches of such pairs. Received: {received}. {cure}."
    )


def _cure_for(data) -> str:
    if hasattr(data, "__next__"):
        return (
            "An iterator can be read only once: tf.data.Dataset.from_generator(function, "
            "output_signature=...) reads it again for each epoch"
        )
    if isinstance(data, int | float):
        return "Hold samples back yourself: (x[:800], y[:800]) and (x[800:], y[800:])"
    return "Give inputs and labels together"


def end_for_loss(model: keras.Model, loss) -> End | None:
    """Return how a model ends, for its default loss; None where the loss is given."""
    if loss is not None:
        return None
    if len(getattr(model, "outputs", None) or [0]) > 1:
        raise ValueError(
            f"`loss` must be given for a model with {len(model.outputs)} outputs, one for each: "
            f"{sorted(model.output) if isinstance(model.output, dict) else 'a list'}. Received: "
            "loss=None. Use loss={'name': ...}, or a list."
        )
    return end_of(model)


def _with_kind(end: End, model: keras.Model, data) -> End:
    """Return the end with its kind of outputs; where the graph does not tell, data do."""
    if end.kind or end.task == "regression":
        return end
    x = data.first[0] if isinstance(data, Batches) else _first_rows(data[0])
    kind = to_probabilities(keras.ops.convert_to_numpy(model(x, training=False)))[1]
    return End(end.task, kind, end.width)


def _first_rows(x, rows: int = 64):
    return keras.tree.map_structure(lambda part: np.asarray(part[:rows]), x)


def loss_of(end: End, metrics) -> tuple:
    """Return the loss of a model's task, on what it gives, and its metrics."""
    logits = end.kind != "probabilities"
    if end.task == "regression":
        return keras.losses.MeanSquaredError(), metrics or [keras.metrics.MeanAbsoluteError("mae")]
    if end.task == "multiclass":
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=logits)
        accuracy = keras.metrics.SparseCategoricalAccuracy("accuracy")
    else:
        loss = keras.losses.BinaryCrossentropy(from_logits=logits)
        accuracy = _binary_accuracy(logits)
    return loss, _named_accuracy(metrics, accuracy) or [accuracy]


def metrics_of(loss, metrics):
    """Return metrics beside a loss that is given, with "accuracy" as one on logits means it.

    Keras cuts what one unit gives at 0.5, also where the loss takes logits.
    """
    if isinstance(metrics, Mapping):
        of = loss if isinstance(loss, Mapping) else dict.fromkeys(metrics, loss)
        lists = {k: [m] if isinstance(m, str) else m for k, m in metrics.items()}
        return {k: metrics_of(of.get(k), m) for k, m in lists.items()}
    binary = keras.losses.BinaryCrossentropy | keras.losses.BinaryFocalCrossentropy
    if isinstance(loss, binary) and loss.from_logits:
        return _named_accuracy(metrics, _binary_accuracy(logits=True))
    return metrics


def _binary_accuracy(logits: bool) -> keras.metrics.Metric:
    return keras.metrics.BinaryAccuracy("accuracy", threshold=0.0 if logits else 0.5)


def _named_accuracy(metrics, accuracy: keras.metrics.Metric):
    """Return metrics in which the word "accuracy" is this metric."""
    if not isinstance(metrics, list | tuple):
        return metrics
    return [accuracy if metric in ("accuracy", "acc") else metric for metric in metrics]


def compile_afresh(model: keras.Model, optimizer, loss, metrics) -> None:
    """Compile with metrics at zero and all variables made.

    Keras resets only metrics that have been used in this compile, not what another fit left in
    them; and a step in which an optimizer or a metric makes its variables is traced twice. An
    optimizer that is built already stays as it is: one for loss scaling would be built twice.
    """
    for metric in keras.tree.flatten(metrics):
        if isinstance(metric, keras.Metric):
            metric.reset_state()
    model.compile(optimizer, loss=loss, metrics=metrics)
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
