"""What a multilabel model is worth: each label a question of its own."""

from dataclasses import dataclass

from tlhelpers.reading.reports import Printed, cells
from tlhelpers.scores.classification import to_each, wilson_interval

import numpy as np

SCORES = ("precision", "recall", "f1", "average_precision", "auc", "support")


@dataclass(frozen=True, repr=False)
class LabelsReport(Printed):
    """What `evaluate` returns for several yes-or-no labels a sample. All scores are in 0..1.

    A label is predicted where its probability is .5 or above. `exact_match` is the share of samples
    with all labels right, with its 95 % Wilson interval; `majority_match` is that of always saying
    the commonest set. `hamming_loss` is the share of wrong answers. `precision`, `recall`, `f1`,
    `average_precision` and `auc` are means over labels ("macro") that have the samples for them,
    `micro` has the first three over all answers. `per_class` maps a name to its scores: `auc` is
    NaN where all samples have the label, or none; `average_precision` where none has it.
    """

    exact_match: float
    exact_match_interval: tuple[float, float]
    majority_match: float
    hamming_loss: float
    precision: float
    recall: float
    f1: float
    average_precision: float
    auc: float
    micro: dict[str, float]
    samples: int
    class_names: tuple[str, ...]
    per_class: dict[str, dict[str, float]]
    outputs_were: str
    probabilities: np.ndarray
    labels: np.ndarray

    @property
    def predictions(self) -> np.ndarray:
        """Which labels are predicted, 0 or 1, `(n, labels)`."""
        return (self.probabilities >= 0.5).astype("int64")

    def __str__(self) -> str:
        low, high = self.exact_match_interval
        micro = "precision {precision:.3f}, recall {recall:.3f}, F1 {f1:.3f}".format(**self.micro)
        return (
            f"exact match {self.exact_match:.3f} (95 % interval {low:.3f} to {high:.3f}, "
            f"{self.samples:,} samples; always the commonest set: {self.majority_match:.3f}); "
            f"Hamming loss {self.hamming_loss:.3f}\n"
            f"macro precision {self.precision:.3f}, recall {self.recall:.3f}, F1 {self.f1:.3f}, "
            f"average precision {self.average_precision:.3f}, AUC {self.auc:.3f}\nmicro {micro}"
        )

    def rows(self) -> list[list[str]]:
        """Return the cells of the table, the head first."""
        head = ["label", "precision", "recall", "F1", "average precision", "AUC", "samples"]
        rows = [
            cells(name, [s for key, s in scores.items() if key != "support"], scores["support"])
            for name, scores in self.per_class.items()
        ]
        mean = [self.precision, self.recall, self.f1, self.average_precision, self.auc]
        return [head, *rows, cells("**mean**", mean, self.samples)]


def report_on_labels(outputs, labels, names: tuple, kind: str | None) -> LabelsReport:
    """Report on outputs `(n, labels)` of a `kind` (see `to_each`) and labels, 0 or 1, as many."""
    from sklearn.metrics import (
        average_precision_score,
        precision_recall_fscore_support,
        roc_auc_score,
    )

    probabilities, were = to_each(outputs, kind)
    predicted = probabilities >= 0.5
    labels = np.asarray(labels).reshape(probabilities.shape).astype("int64")
    right = predicted == labels
    each = [
        precision_recall_fscore_support(y, p, labels=[1], zero_division=0.0)
        for y, p in zip(labels.T, predicted.T, strict=True)
    ]
    *three, support = np.reshape(each, (len(names), 4)).T
    has = support > 0
    both = has & (support < len(labels))
    ranked = np.full((2, len(names)), np.nan)
    for i in np.flatnonzero(has):
        ranked[0, i] = average_precision_score(labels[:, i], probabilities[:, i])
        ranked[1, i] = roc_auc_score(labels[:, i], probabilities[:, i]) if both[i] else np.nan
    columns = dict(zip(SCORES, [*three, *ranked, support], strict=True))
    micro = precision_recall_fscore_support(
        labels.ravel(), predicted.ravel(), average="binary", zero_division=0.0
    )
    counts = np.unique(labels, axis=0, return_counts=True)[1]
    exact = right.all(axis=1)
    return LabelsReport(
        exact_match=float(exact.mean()),
        exact_match_interval=wilson_interval(int(exact.sum()), len(exact)),
        majority_match=float(counts.max() / len(exact)),
        hamming_loss=float(1 - right.mean()),
        **{name: _mean(columns[name], both if name == "auc" else has) for name in SCORES[:-1]},
        micro=dict(zip(SCORES, map(float, micro[:3]), strict=False)),
        samples=len(labels),
        class_names=names,
        per_class={n: {k: float(v[i]) for k, v in columns.items()} for i, n in enumerate(names)},
        outputs_were=were,
        probabilities=probabilities,
        labels=labels,
    )


def _mean(scores: np.ndarray, of: np.ndarray) -> float:
    return float(scores[of].mean()) if of.any() else float("nan")
