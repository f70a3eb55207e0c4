"""What a yes or no is worth: shares with intervals, for one who has to act on it."""

from collections.abc import Mapping
from dataclasses import dataclass

from tlhelpers.checks.words import check_number
from tlhelpers.reading.evaluation import names_of
from tlhelpers.reading.plots import BLUE, GREY, ORANGE, new_axes
from tlhelpers.reading.reports import Printed
from tlhelpers.scores.classification import wilson_interval
from tlhelpers.scores.decisions import PredictiveValues, check_cost, check_decisions
from tlhelpers.scores.decisions import predictive_values as bayes
from tlhelpers.scores.resampling import resample_groups

import numpy as np


@dataclass(frozen=True, repr=False)
class Decisions(Printed):
    """What `evaluate_decisions` returns. All scores are in 0..1, but `expected_cost`.

    `counts` are those of found, missed, spared and false_alarms. `intervals` maps a score to its
    95 % interval: Wilson's for a share, which takes the samples for independent; the bootstrap's
    for the AUC. `group_intervals` are the bootstrap's over whole groups, for AUC, sensitivity and
    specificity; empty without groups. A predictive value of an answer that was never given is NaN,
    with the interval 0 to 1.
    """

    threshold: float
    sensitivity: float
    specificity: float
    positive_predictive_value: float
    negative_predictive_value: float
    auc: float
    average_precision: float
    brier: float
    cost: tuple[float, float] | None
    expected_cost: float
    prevalence: float
    samples: int
    groups: int | None
    class_names: tuple[str, ...]
    counts: dict[str, int]
    intervals: dict[str, tuple[float, float]]
    group_intervals: dict[str, tuple[float, float]]
    probabilities: np.ndarray
    labels: np.ndarray

    def at_prevalence(self, prevalence: float) -> PredictiveValues:
        """Return the predictive values where the positive cases have another share."""
        return bayes(self.sensitivity, self.specificity, prevalence)

    def __str__(self) -> str:
        name, counts = self.class_names[1], self.counts
        groups = f" in {self.groups} groups" if self.groups else ""
        low, high = (self.group_intervals or self.intervals)["auc"]
        by = "whole groups redrawn" if self.groups else "samples redrawn"
        cost = "" if self.cost is None else f", expected cost {self.expected_cost:.3f}"
        return (
            f"{name} from {self.threshold:.3f} on: {counts['found']} of "
            f"{counts['found'] + counts['missed']} found, {counts['false_alarms']} of "
            f"{counts['spared'] + counts['false_alarms']} others called too "
            f"({self.samples:,} samples{groups})\n"
            f"AUC {self.auc:.3f} (95 % interval {low:.3f} to {high:.3f}, {by}), average precision "
            f"{self.average_precision:.3f} (chance: {self.prevalence:.3f}), Brier "
            f"{self.brier:.3f}{cost}"
        )

    def rows(self) -> list[list[str]]:
        """Return the cells of the table, the head first."""
        c, (no, yes) = self.counts, self.class_names
        shares = {
            "sensitivity": (f"of {yes}, called so", c["found"], c["found"] + c["missed"]),
            "specificity": (f"of {no}, called so", c["spared"], c["spared"] + c["false_alarms"]),
            "positive_predictive_value": (
                f"of those called {yes}, right", c["found"], c["found"] + c["false_alarms"],
            ),
            "negative_predictive_value": (
                f"of those called {no}, right", c["spared"], c["spared"] + c["missed"],
            ),
        }  # fmt: skip
        head = ["score", "what", "value", "samples", "95 % interval"]
        grouped = ["95 %, groups redrawn"] * bool(self.groups)
        rows = [[*head, *grouped]]
        for key, (what, right, of) in shares.items():
            row = [key.replace("_", " "), what, f"{right / of:.3f}" if of else "-"]
            row += [f"{right} of {of}", _range(self.intervals[key])]
            rows.append(row + [_range(self.group_intervals.get(key))] * len(grouped))
        return rows


def evaluate_decisions(
    y,
    probability,
    threshold: float,
    groups=None,
    cost: tuple[float, float] | None = None,
    class_names=("no", "yes"),
    resamples: int = 1000,
    seed: int = 0,
) -> Decisions:
    """Report what the answers of a two-class model are worth at a threshold, with intervals.

    Sensitivity is the share of positive samples that are found, specificity the share of the others
    that are spared. The predictive values say how often a yes and a no are right, here: elsewhere
    see `.at_prevalence`. Take test samples that chose neither the model nor the threshold.

    Args:
        y: 0 or 1 for each sample, `(n,)`; 1 is what is looked for.
        probability: of class 1, `(n,)`, in 0..1.
        threshold: positive is `probability >= threshold`; of `choose_threshold`.
        groups: the patient, camera or module of each sample, `(n,)`, for intervals over them.
        cost: of a false negative and of a false positive, for `expected_cost`, a sample's mean.
        class_names: of 0 and of 1.
        resamples, seed: of the bootstrap.

    Returns:
        A `Decisions`; `print` it, or use `.to_markdown()`, `.to_json(path)`.

    Raises:
        ValueError: labels that are not 0 and 1, both; probabilities out of 0..1 or NaN; a threshold
            below 0; groups of which a class has one alone; a bad cost.

    Example:
        >>> y, p = np.repeat([0, 1], 12), np.linspace(0, 1, 24)
        >>> report = tl.evaluate_decisions(y, p, 0.4, cost=(10, 1), class_names=["sound", "ill"])
        >>> print(report)
        ill from 0.400 on: 12 of 12 found, 2 of 12 others called too (24 samples)
        AUC 1.000 (95 % interval 1.000 to 1.000, samples redrawn), ..., expected cost 0.083
        >>> report.intervals["sensitivity"]
        (0.757..., 1.0)
        >>> print(f"{report.at_prevalence(0.01).positive:.2f}")
        0.06

    Reference:
        Wilson, 1927 (the shares' intervals); Field, Welsh, 2007 (those over groups); Brier,
        "Verification of Forecasts Expressed in Terms of Probability", 1950.
    """
    from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

    y, probability = check_decisions(y, probability)
    threshold = check_number("threshold", threshold, "[0, inf)", "Take that of choose_threshold.")
    cost = None if cost is None else check_cost(cost)
    called, names = probability >= threshold, names_of(class_names, 2)
    found, alarms = int(np.sum(called & (y == 1))), int(np.sum(called & (y == 0)))
    missed, spared = int(np.sum(y == 1)) - found, int(np.sum(y == 0)) - alarms
    shares = {
        "sensitivity": (found, found + missed),
        "specificity": (spared, spared + alarms),
        "positive_predictive_value": (found, found + alarms),
        "negative_predictive_value": (spared, spared + missed),
    }
    redrawn = resample_groups(y, probability, threshold, groups, resamples, seed)
    intervals = {name: wilson_interval(*of) if of[1] else (0.0, 1.0) for name, of in shares.items()}
    lost = missed * cost[0] + alarms * cost[1] if cost else float("nan")
    return Decisions(
        threshold=threshold,
        **{name: right / of if of else float("nan") for name, (right, of) in shares.items()},
        auc=float(roc_auc_score(y, probability)),
        average_precision=float(average_precision_score(y, probability)),
        brier=float(brier_score_loss(y, probability)),
        cost=cost,
        expected_cost=lost / len(y),
        prevalence=float(y.mean()),
        samples=len(y),
        groups=None if groups is None else len(np.unique(np.asarray(groups))),
        class_names=names,
        counts={"found": found, "missed": missed, "spared": spared, "false_alarms": alarms},
        intervals=intervals if groups is not None else {**intervals, "auc": redrawn["auc"]},
        group_intervals={} if groups is None else redrawn,
        probabilities=probability,
        labels=y,
    )


def plot_decisions(reports: Decisions | Mapping[str, Decisions]):
    """Plot the ROC and the precision-recall curve, with a point at each threshold.

    The first shows what is found against what is called in vain, and doesn't depend on how rare
    the positive samples are. The second shows how often a yes is right, and does.

    Args:
        reports: one of `evaluate_decisions`, or several by name.

    Raises:
        ValueError: no report, or something else.

    Example:
        >>> report = tl.evaluate_decisions([0, 1, 0, 1], [0.1, 0.8, 0.4, 0.3], 0.3)
        >>> tl.plot_decisions({"frozen": report}).savefig("decisions.png")
    """
    from sklearn.metrics import precision_recall_curve, roc_curve

    named = {"": reports} if isinstance(reports, Decisions) else reports
    if (
        not isinstance(named, Mapping)
        or not named
        or not all(isinstance(report, Decisions) for report in named.values())
    ):
        raise ValueError(
            "`reports` must be of evaluate_decisions, one or several by name. Received: reports="
            f"{type(reports).__name__}. plot_decisions({{'frozen': report}})."
        )
    figure, (roc, pr) = new_axes(7.4, 3.3, 1, 2)
    roc.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="chance")
    for number, (name, report) in enumerate(named.items()):
        colour = (BLUE, ORANGE, GREY, "#4b8b3b", "#7a4b8b")[number % 5]
        alarms, found, _ = roc_curve(report.labels, report.probabilities)
        precision, recall, _ = precision_recall_curve(report.labels, report.probabilities)
        roc.plot(alarms, found, color=colour, label=f"{name} AUC {report.auc:.3f}".strip())
        label = f"{name} average precision {report.average_precision:.3f}".strip()
        pr.plot(recall[:-1], precision[:-1], color=colour, label=label, drawstyle="steps-post")
        roc.plot(1 - report.specificity, report.sensitivity, "o", color=colour)
        pr.plot(report.sensitivity, report.positive_predictive_value, "o", color=colour)
        pr.axhline(report.prevalence, color=colour, linestyle="--", linewidth=1)
    roc.set(xlabel="1 - specificity (false alarms)", ylabel="sensitivity (found)")
    pr.set(xlabel="sensitivity (recall)", ylabel="positive predictive value (precision)")
    for ax in (roc, pr):
        ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        ax.legend(frameon=False, fontsize=8, loc="lower right" if ax is roc else "lower left")
        ax.spines[["top", "right"]].set_visible(False)
    figure.set_label("ROC and precision-recall curves, a point at each threshold")
    return figure


def _range(interval: tuple[float, float] | None) -> str:
    return "-" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"
