"""What a model is worth: a report from one pass over the data."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tlhelpers.checks.data import as_classes, check_labels, count_samples, to_array
from tlhelpers.checks.features import to_numpy
from tlhelpers.checks.words import check_choice, check_whole
from tlhelpers.models.ends import End, end_of, kind_of_outputs
from tlhelpers.models.heads import TASKS
from tlhelpers.models.inputs import read_inputs, read_labels
from tlhelpers.reading.multilabel import LabelsReport, report_on_labels
from tlhelpers.reading.regression import NumbersReport, report_on_numbers
from tlhelpers.reading.reports import Printed, cells
from tlhelpers.reading.tasks import task_trained
from tlhelpers.scores.classification import (
    expected_calibration_error,
    to_probabilities,
    wilson_interval,
)
from tlhelpers.tuning.batches import Batches, is_dataset
from tlhelpers.tuning.features import predict_batch

import keras
import numpy as np


@dataclass(frozen=True, repr=False)
class Report(Printed):
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

    def rows(self) -> list[list[str]]:
        """Return the cells of the table, the head first."""
        rows = [
            cells(name, [scores[key] for key in ("precision", "recall", "f1")], scores["support"])
            for name, scores in self.per_class.items()
        ]
        mean = cells("**mean**", [self.precision, self.recall, self.f1], self.samples)
        return [["class", "precision", "recall", "F1", "samples"], *rows, mean]


def evaluate(
    model: keras.Model, x, y=None, class_names=None, batch_size: int = 64, task: str | None = None
) -> Report | LabelsReport | NumbersReport:
    """Predict once, and report what suits the model's task, with intervals and a control.

    Classes: accuracy with its interval, precision, recall, F1, calibration. Several labels a sample
    (multilabel): exact match, Hamming loss, and for each label precision, recall, F1, average
    precision and AUC. Numbers (regression): MAE, RMSE, R2, beside always saying the mean.

    Labels and predictions come from the same pass, so that a shuffling dataset cannot mix them up.

    Args:
        model: its outputs may be logits or probabilities, `(n, classes)`, or one column for a
            binary task; which they are is found out and kept in `outputs_were`. Several labels
            are cut at a probability of .5.
        x, y: inputs `(n, ...)`, or a list or dictionary of them (text), and the class of each,
            integers `(n,)` (a column, or whole floats, will do), several labels, 0 or 1, or
            numbers `(n, width)`; or a finite `tf.data.Dataset` or `PyDataset` of batches `(x, y)`
            alone. Sample weights do not count.
        class_names: a list with one for each class, label or target, in their order.
        batch_size: inputs per step, for an array.
        task: "multiclass", "binary", "multilabel" or "regression". None takes that of the head of
            `build_head`, or of the loss that the model is compiled for; a sigmoid over several
            units with as many columns in `y` is multilabel; anything else has classes.

    Returns:
        A `Report`, a `LabelsReport` or a `NumbersReport`; `print` it, or use `.to_markdown()`,
        `.to_json(path)`.

    Raises:
        ValueError: a model with several outputs; labels that are not integers in
            0..classes - 1, one for each input, or not as the task has them; labels beside a
            dataset; one without labels, endless or empty; images out of 0..255 for a model that
            preprocesses, tokens of other names or another length than a model takes; names that
            are no list with one for each class; predictions that are not finite.

    Example:
        >>> report = tl.evaluate(model, x_test, y_test, class_names)
        >>> print(report)
        accuracy ... (95 % interval ... to ..., 6 samples; always the largest class: 0.333)
        macro precision ..., recall ..., F1 ...; calibration error ...
        >>> tags = tl.build_classifier(base, 3, task="multilabel")
        >>> print(tl.evaluate(tags, x_test, np.eye(3)[y_test], class_names))
        exact match ... (95 % interval ... to ..., 6 samples; always the commonest set: ...
        macro precision ..., recall ..., F1 ..., average precision ..., AUC ...
        micro precision ..., recall ..., F1 ...

    Reference:
        Guo et al., "On Calibration of Modern Neural Networks", ICML 2017 (equation 3, 15 bins);
        Wilson, 1927 (the interval).
    """
    task = task_trained(model) if task is None else check_choice("task", task, TASKS)
    outputs, labels = _predict(model, x, y, batch_size, _reader(model, task))
    kind, width = kind_of_outputs(model), outputs.shape[-1] if outputs.ndim > 1 else 1
    if task == "regression":
        return report_on_numbers(outputs, labels, names_of(class_names, width))
    if task == "multilabel" or labels.ndim == 2:
        return report_on_labels(outputs, labels, names_of(class_names, width), kind)
    return report_on(outputs, labels, class_names, kind)


def _reader(model: keras.Model, task: str | None) -> Callable:
    """Return what reads labels and their number as the task of a model has them."""
    end = end_of(model) if len(getattr(model, "outputs", None) or ()) == 1 else None

    def read(y, n: int) -> np.ndarray:
        values = to_numpy(to_array(y, "y"))
        columns = values.shape[1] if values.ndim == 2 else 1
        known = task
        if task is None and end and end.task == "multilabel" and columns > 1:
            known = end.task  # a sigmoid for each; beside one class a sample they are classes
        if known in ("multilabel", "regression"):
            return read_labels(values, End(known, None, end.width if end else columns), n)
        return _one_class_each(values, n)

    return read


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
            f"`y` must be one class for each sample. Received: y with {task}. If that is what the "
            "model is for, say it: tl.evaluate(model, x, y, task='multilabel' | 'regression')."
        )
    return check_labels(values, num_classes=classes, n=n)


def _predict(model: keras.Model, x, y, batch_size: int, read: Callable):
    """Return outputs and labels, from one pass over the data."""
    several = len(getattr(model, "outputs", None) or [0])
    if several > 1:
        raise ValueError(
            f"`model` must have one output. Received: model={model.name!r} with {several}. Report "
            "on one: keras.Model(model.input, model.outputs[0])."
        )
    if not is_dataset(x):
        x = read_inputs(model, x)
        y = read(y, count_samples(x))  # before the time is spent
        batch_size = check_whole("batch_size", batch_size, 1)
        return model.predict(x, batch_size=batch_size, verbose=0), y
    if y is not None:
        raise ValueError(
            "`y` must be left out beside a dataset, which brings its own labels. Received: y. "
            "Use a dataset of pairs (x, y): the order of y need not be the dataset's."
        )
    outputs, labels = [], []
    for inputs, own in Batches(x, "x", lambda batch: _labelled(model, batch, read)):
        outputs.append(keras.ops.convert_to_numpy(predict_batch(model, inputs)))
        labels.append(own)
    return np.concatenate(outputs), np.concatenate(labels)


def _labelled(model: keras.Model, batch: tuple, read: Callable) -> tuple:
    """Return inputs and labels of a batch; weights, as in Keras' accuracy, do not count."""
    if len(batch) not in (2, 3):
        raise ValueError(
            "`x` must be a dataset of (x, y). Received: batches without labels. Zip them: "
            "tf.data.Dataset.zip((x, y))."
        )
    inputs = read_inputs(model, batch[0])
    return inputs, read(batch[1], count_samples(inputs))
