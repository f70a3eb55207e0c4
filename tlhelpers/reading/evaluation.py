"""What a classifier is worth: a report from one pass over the data."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tlhelpers.checks.data import as_classes, check_labels, count_samples, to_array
from tlhelpers.checks.words import check_whole
from tlhelpers.models.ends import kind_of_outputs
from tlhelpers.models.inputs import read_inputs
from tlhelpers.scores.classification import (
    expected_calibration_error,
    to_probabilities,
    wilson_interval,
)
from tlhelpers.tuning.batches import Batches, is_dataset
from tlhelpers.tuning.features import predict_batch

import keras
import numpy as np


@dataclass(frozen=True)
class Report:
    """What `evaluate` returns. All scores are in 0..1.

    `accuracy_interval` is the 95 % Wilson interval of the accuracy: how far the test set could have
    moved the figure, not what another training run would give. `per_class` maps a class name to
    precision, recall, f1 and support; `confusion[i][j]` counts samples of class i called j;
    `calibration_error` is the expected one. `missing_classes` have no sample in the data, and
    their recall says nothing.
    """

    accuracy: float
    accuracy_interval: tuple[float, float]
    precision: float
    recall: float
    f1: float
    calibration_error: float
    samples: int
    majority_accuracy: float
    class_names: tuple[str, ...]
    per_class: dict[str, dict[str, float]]
    confusion: np.ndarray
    outputs_were: str
    missing_classes: tuple[str, ...]
    probabilities: np.ndarray
    labels: np.ndarray

    @property
    def predictions(self) -> np.ndarray:
        """The most probable class of every sample, `(n,)`."""
        return self.probabilities.argmax(axis=1)

    def __str__(self) -> str:
        low, high = self.accuracy_interval
        missing = ", ".join(self.missing_classes)
        return (
            f"accuracy {self.accuracy:.3f} (95 % interval {low:.3f} to {high:.3f}, "
            f"{self.samples:,} samples; always the largest class: {self.majority_accuracy:.3f})\n"
            f"macro precision {self.precision:.3f}, recall {self.recall:.3f}, F1 {self.f1:.3f}; "
            f"calibration error {self.calibration_error:.3f}"
            + (f"\nno sample of: {missing}" if missing else "")
        )

    __repr__ = __str__

    def to_markdown(self) -> str:
        """Return the report as a Markdown table, one row for each class."""
        row = "| {} | {precision:.3f} | {recall:.3f} | {f1:.3f} | {support:.0f} |"
        rows = [row.format(name, **scores) for name, scores in self.per_class.items()]
        rows.append(row.format("**mean**", **vars(self), support=self.samples))
        head = ["| class | precision | recall | F1 | samples |", "|---|---|---|---|---|"]
        return "\n".join([*head, *rows, "", str(self).replace("\n", "  \n")])

    _repr_markdown_ = to_markdown  # how a notebook shows it

    def to_json(self, path: str | Path | None = None) -> str:
        """Return the report as JSON, without the single predictions; write it where `path` says."""
        content = {**vars(self), "confusion": self.confusion.tolist()}
        del content["probabilities"], content["labels"]
        text = json.dumps(content, indent=1)
        if path is not None:
            Path(path).write_text(text + "\n", encoding="utf8")
        return text


def evaluate(model: keras.Model, x, y=None, class_names=None, batch_size: int = 64) -> Report:
    """Predict once, and report accuracy with its interval, precision, recall, F1, calibration.

    Labels and predictions come from the same pass, so that a shuffling dataset cannot mix them up.

    Args:
        model: a classifier. Its outputs may be logits or probabilities, `(n, classes)`, or one
            column for a binary task; which they are is found out and kept in `outputs_were`.
        x, y: inputs `(n, ...)`, or a list or dictionary of them (text), and the class of each,
            integers `(n,)` (a column, or whole floats, will do); or a finite `tf.data.Dataset` or
            `PyDataset` of batches `(x, y)` alone. Sample weights do not count.
        class_names: a list with one for each class, in order of the labels.
        batch_size: inputs per step, for an array.

    Returns:
        A `Report`; `print` it, or use `.to_markdown()`, `.to_json(path)`.

    Raises:
        ValueError: a model with several outputs; labels that are not integers in
            0..classes - 1, one for each input; labels beside a dataset; one without labels,
            endless or empty; images out of 0..255 for a model that preprocesses, tokens of other
            names or another length than a model takes; names that are no list with one for each
            class; predictions that are not finite.

    Example:
        >>> report = tl.evaluate(model, x_test, y_test, class_names)
        >>> print(report)
        accuracy ... (95 % interval ... to ..., 6 samples; always the largest class: 0.333)
        macro precision ..., recall ..., F1 ...; calibration error ...

    Reference:
        Guo et al., "On Calibration of Modern Neural Networks", ICML 2017 (equation 3, 15 bins);
        Wilson, 1927 (the interval).
    """
    outputs, labels = _predict(model, x, y, batch_size)
    return report_on(outputs, labels, class_names, kind_of_outputs(model))


def report_on(outputs, labels, class_names=None, kind: str | None = None) -> Report:
    """Report as `evaluate` does, on `outputs` of a `kind` (see `to_probabilities`) and labels."""
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    probabilities, were = to_probabilities(outputs, kind)
    classes = probabilities.shape[1]
    labels = _one_class_each(labels, len(probabilities), classes)
    names = names_of(class_names, classes)
    predicted = probabilities.argmax(axis=1)
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, predicted, labels=range(classes), zero_division=0.0
    )
    correct = predicted == labels
    columns = {"precision": precision, "recall": recall, "f1": f1, "support": support}
    present = support > 0
    return Report(
        accuracy=float(correct.mean()),
        accuracy_interval=wilson_interval(int(correct.sum()), len(correct)),
        precision=float(precision[present].mean()),
        recall=float(recall[present].mean()),
        f1=float(f1[present].mean()),
        calibration_error=expected_calibration_error(probabilities, labels),
        samples=len(labels),
        majority_accuracy=float(support.max() / support.sum()),
        class_names=names,
        per_class={n: {k: float(v[i]) for k, v in columns.items()} for i, n in enumerate(names)},
        confusion=confusion_matrix(labels, predicted, labels=range(classes)),
        outputs_were=were,
        missing_classes=tuple(n for n, there in zip(names, present, strict=True) if not there),
        probabilities=probabilities,
        labels=labels,
    )


def names_of(class_names, classes: int) -> tuple[str, ...]:
    """Return names for so many classes, the given ones or their numbers, or say what is wrong."""
    given = range(classes) if class_names is None else class_names
    ordered = hasattr(given, "__len__") and hasattr(given, "__getitem__")
    ordered &= not isinstance(given, str | bytes | Mapping) and getattr(given, "ndim", 1) == 1
    names = tuple(map(str, given)) if ordered else ()
    if len(names) != classes or len(set(names)) != classes:
        raise ValueError(
            f"`class_names` must be a list of {classes} names, all different as text. Received: "
            f"class_names={class_names!r}. List one for each class, in order of the labels."
        )
    return names


def _one_class_each(y, n: int, classes: int | None = None) -> np.ndarray:
    """Return labels that suit a report, not those of a multilabel or regression model."""
    values = as_classes(np.asarray(to_array(y, "y")))
    several = values.ndim == 2 and values.shape[1] > 1 and (values.sum(axis=1) != 1).any()
    if several or values.dtype.kind == "f":
        task = "several labels for a sample (multilabel)" if several else "numbers (regression)"
        raise ValueError(
            f"`y` must be one class for each sample. Received: y with {task}. Use "
            "model.evaluate(x, y), with metrics=... given to model.compile."
        )
    return check_labels(values, num_classes=classes, n=n)


def _predict(model: keras.Model, x, y, batch_size: int):
    """Return outputs and labels, from one pass over the data."""
    several = len(getattr(model, "outputs", None) or [0])
    if several > 1:
        raise ValueError(
            f"`model` must have one output. Received: model={model.name!r} with {several}. Report "
            "on one: keras.Model(model.input, model.outputs[0])."
        )
    if not is_dataset(x):
        x = read_inputs(model, x)
        y = _one_class_each(y, count_samples(x))  # before the time is spent
        batch_size = check_whole("batch_size", batch_size, 1)
        return model.predict(x, batch_size=batch_size, verbose=0), y
    if y is not None:
        raise ValueError(
            "`y` must be left out beside a dataset, which brings its own labels. Received: y. "
            "Use a dataset of pairs (x, y): the order of y need not be the dataset's."
        )
    outputs, labels = [], []
    for inputs, own in Batches(x, "x", partial(_labelled, model)):
        outputs.append(keras.ops.convert_to_numpy(predict_batch(model, inputs)))
        labels.append(own)
    return np.concatenate(outputs), np.concatenate(labels)


def _labelled(model: keras.Model, batch: tuple) -> tuple:
    """Return inputs and labels of a batch; weights, as in Keras' accuracy, do not count."""
    if len(batch) not in (2, 3):
        raise ValueError(
            "`x` must be a dataset of (x, y). Received: batches without labels. Zip them: "
            "tf.data.Dataset.zip((x, y))."
        )
    inputs = read_inputs(model, batch[0])
    return inputs, _one_class_each(batch[1], count_samples(inputs))
