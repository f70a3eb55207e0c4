"""What a model that predicts numbers is worth, beside one that always says their mean."""

import warnings
from dataclasses import dataclass

from tlhelpers.reading.reports import Printed
from tlhelpers.scores.classification import check_outputs

import numpy as np

_RESAMPLES = 1000
SCORES = ("mae", "rmse", "r2")


@dataclass(frozen=True, repr=False)
class NumbersReport(Printed):
    """What `evaluate` returns for a regression; errors are in the units of the targets.

    `mae` is the mean absolute error, `rmse` the root of the mean squared one, `r2` the share of the
    variance that is explained: 1 at best, 0 for always saying the mean, below 0 for worse. `mean`
    has the errors of that control. Of several targets these are means over targets. `intervals`
    are 95 % bootstrap intervals over samples (percentiles of 1,000 draws, seed 0). R2 is NaN for a
    target that never varies.
    """

    mae: float
    rmse: float
    r2: float
    intervals: dict[str, tuple[float, float]]
    mean: dict[str, float]
    samples: int
    class_names: tuple[str, ...]
    per_target: dict[str, dict[str, float]]
    predicted: np.ndarray
    labels: np.ndarray

    def __str__(self) -> str:
        low_high = {name: "{:.4g} to {:.4g}".format(*self.intervals[name]) for name in SCORES}
        return (
            f"R2 {self.r2:.3f} (95 % interval {low_high['r2']}, {self.samples:,} samples)\n"
            f"MAE {self.mae:.4g} ({low_high['mae']}; always the mean: {self.mean['mae']:.4g}), "
            f"RMSE {self.rmse:.4g} ({low_high['rmse']}; always the mean: {self.mean['rmse']:.4g})"
        )

    def rows(self) -> list[list[str]]:
        """Return the cells of the table, the head first."""
        rows = {**self.per_target, "**mean**": vars(self)}
        return [["target", "MAE", "RMSE", "R2"]] + [
            [name, f"{s['mae']:.4g}", f"{s['rmse']:.4g}", f"{s['r2']:.3f}"]
            for name, s in rows.items()
        ]


def report_on_numbers(outputs, labels, names: tuple) -> NumbersReport:
    """Report on predicted numbers `(n, targets)` and true ones, as many."""
    predicted = check_outputs(outputs)
    labels = np.asarray(labels, dtype="float64").reshape(predicted.shape)
    each = np.array(_scores(predicted, labels))  # (3, targets)
    rng, n = np.random.default_rng(0), len(labels)
    drawn = (rng.integers(n, size=n) for _ in range(_RESAMPLES))  # one at a time is held
    resampled = [np.mean(_scores(predicted[rows], labels[rows]), axis=1) for rows in drawn]
    with warnings.catch_warnings():  # an R2 that is undefined in every draw stays NaN
        warnings.filterwarnings("ignore", message="All-NaN slice", category=RuntimeWarning)
        low, high = np.nanpercentile(resampled, [2.5, 97.5], axis=0)
    control = _scores(np.broadcast_to(labels.mean(axis=0), labels.shape), labels)
    return NumbersReport(
        **dict(zip(SCORES, map(float, each.mean(axis=1)), strict=True)),
        intervals={s: (float(low[i]), float(high[i])) for i, s in enumerate(SCORES)},
        mean={"mae": float(np.mean(control[0])), "rmse": float(np.mean(control[1]))},
        samples=n,
        class_names=names,
        per_target={
            name: {s: float(each[j, i]) for j, s in enumerate(SCORES)}
            for i, name in enumerate(names)
        },
        predicted=predicted,
        labels=labels,
    )


def _scores(predicted: np.ndarray, labels: np.ndarray) -> list[np.ndarray]:
    """Return MAE, RMSE and R2 of each target; R2 is NaN where the target never varies."""
    wrong = predicted - labels
    squared, variance = (wrong**2).mean(axis=0), labels.var(axis=0)
    varied = np.ptp(labels, axis=0) > 0
    r2 = 1 - np.divide(squared, variance, out=np.full(len(squared), np.nan), where=varied)
    return [np.abs(wrong).mean(axis=0), np.sqrt(squared), r2]
