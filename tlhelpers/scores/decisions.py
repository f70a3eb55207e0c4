"""Yes or no from a probability: where to cut, and what the answers are worth elsewhere."""

from typing import NamedTuple

from tlhelpers.checks.data import as_classes, check_labels
from tlhelpers.checks.features import to_numpy
from tlhelpers.checks.words import check_number

import numpy as np


class PredictiveValues(NamedTuple):
    """How often a yes is right, and how often a no."""

    positive: float
    negative: float


def check_decisions(y, probability) -> tuple[np.ndarray, np.ndarray]:
    """Return labels 0 and 1, and the probability of 1 as float64, both `(n,)`, or refuse them.

    Raises:
        ValueError: labels that are not 0 or 1, or all the same; probabilities of another shape,
            out of 0..1 or NaN.
    """
    probability = to_numpy(probability)
    if probability.ndim != 1 or probability.dtype.kind not in "iufb":
        column = (
            " Take the column of the class: probabilities[:, 1]." if probability.ndim == 2 else ""
        )
        raise ValueError(
            "`probability` must be that of class 1 for each sample, of shape (n,). Received: shape="
            f"{probability.shape}, dtype={probability.dtype}.{column}"
        )
    probability = probability.astype("float64")
    bad = ~((probability >= 0) & (probability <= 1))
    if bad.any():
        raise ValueError(
            f"`probability` must be in 0..1. Received: {bad.sum():,} of {len(bad):,} others, first "
            f"{probability[bad][0]} in row {bad.argmax()}. Of logits, tl.evaluate(...) keeps "
            "`probabilities`; of NaN, look at the model."
        )
    y = check_labels(as_classes(to_numpy(y)), num_classes=2, n=len(probability))
    if len(np.unique(y)) < 2:
        raise ValueError(
            f"`y` must hold both classes, 0 and 1. Received: y={y[0]}, {len(y)} times. What is "
            "found and what is called in vain can be counted only where there are both: take "
            "more samples."
        )
    return y, probability


def choose_threshold(
    y,
    probability,
    sensitivity: float | None = None,
    cost: tuple[float, float] | None = None,
    prevalence: float | None = None,
) -> float:
    r"""Return from which probability on to say yes: by the sensitivity or by the cost you name.

    By `sensitivity`: the highest threshold that still finds such a share of the positive samples,
    so that as few others as possible are called. By `cost`: the threshold with the lowest mean
    cost of a sample, where $\pi$ is the prevalence,

    $$c_{FN} \, \pi \, (1 - \mathrm{sensitivity})
      + c_{FP} \, (1 - \pi) \, (1 - \mathrm{specificity}).$$

    Choose on validation samples. On the samples that chose it a threshold looks better than it is.

    Args:
        y: 0 or 1 for each sample, `(n,)`; 1 is what is looked for.
        probability: of class 1, `(n,)`, in 0..1.
        sensitivity: the share of the positive samples to find at least, in (0, 1].
        cost: of a false negative and of a false positive, both above 0, in any unit.
        prevalence: the share of positive cases where the model will be used, in (0, 1), beside
            `cost`; None for that of `y`.

    Returns:
        A threshold: a sample is positive if `probability >= threshold`. It is the probability of
        a sample, or lies just above all of them if nobody is to be called. Of thresholds with
        equal costs it is the lowest, which misses fewest.

    Raises:
        ValueError: not one of `sensitivity` and `cost`; one of them out of range; what
            `evaluate_decisions` refuses.

    Example:
        >>> y, p = [0, 0, 1, 0, 1], [0.1, 0.2, 0.3, 0.6, 0.9]
        >>> tl.choose_threshold(y, p, sensitivity=1.0), tl.choose_threshold(y, p, sensitivity=0.5)
        (0.3, 0.9)
        >>> tl.choose_threshold(y, p, cost=(5, 1)), tl.choose_threshold(y, p, cost=(1, 5))
        (0.3, 0.9)

    Reference:
        Elkan, "The Foundations of Cost-Sensitive Learning", IJCAI 2001: with probabilities that
        are right the best threshold is fp / (fp + fn), whatever the samples.
    """
    y, probability = check_decisions(y, probability)
    if (sensitivity is None) == (cost is None):
        raise ValueError(
            f"One of `sensitivity` and `cost` must say what counts. Received: sensitivity="
            f"{sensitivity!r}, cost={cost!r}. Give one: sensitivity=0.95, or cost=(10, 1)."
        )
    if prevalence is not None and cost is None:
        raise ValueError(
            f"`prevalence` must go with `cost`. Received: prevalence={prevalence!r}, cost=None. A "
            "sensitivity does not depend on it: leave it out."
        )
    cuts = np.unique(probability)
    cuts = np.append(cuts, np.nextafter(cuts[-1], np.inf))
    positive, negative = (np.sort(probability[y == label]) for label in (1, 0))
    missed, spared = (np.searchsorted(of, cuts) / len(of) for of in (positive, negative))
    if sensitivity is not None:
        least = check_number("sensitivity", sensitivity, "(0, 1]", "0.95 finds 95 of 100.")
        found = len(positive) - np.searchsorted(positive, cuts)
        return float(cuts[np.flatnonzero(found / len(positive) >= least)[-1]])
    false_negative, false_positive = check_cost(cost)
    share = float(y.mean())
    if prevalence is not None:
        share = check_number("prevalence", prevalence, "(0, 1)", "0.01 is one in a hundred.")
    costs = false_negative * share * missed + false_positive * (1 - share) * (1 - spared)
    return float(cuts[np.flatnonzero(costs <= costs.min() * (1 + 1e-12))[0]])


def check_cost(cost) -> tuple[float, float]:
    """Return the cost of a false negative and of a false positive, or say what is wrong."""
    if not isinstance(cost, tuple | list) or len(cost) != 2:
        raise ValueError(
            "`cost` must be two numbers: of a false negative and of a false positive. Received: "
            f"cost={cost!r}. cost=(10, 1): to miss one is as bad as ten false alarms."
        )
    cure = "Of a false negative first, then of a false positive: cost=(10, 1)."
    negative, positive = (check_number("cost", one, "(0, inf)", cure) for one in cost)
    return negative, positive


def predictive_values(
    sensitivity: float, specificity: float, prevalence: float
) -> PredictiveValues:
    r"""Return how often a yes and a no are right where the positive cases have another share.

    Sensitivity and specificity belong to the model (as long as the cases are alike), what an
    answer is worth also to the place. By Bayes' rule, with the prevalence $\pi$:

    $$P(\mathrm{ill} \mid \mathrm{yes}) = \frac{\mathrm{sensitivity} \cdot \pi}
      {\mathrm{sensitivity} \cdot \pi + (1 - \mathrm{specificity}) (1 - \pi)}.$$

    Args:
        sensitivity, specificity: in [0, 1].
        prevalence: the share of positive cases, in (0, 1).

    Returns:
        `PredictiveValues(positive, negative)`; NaN for an answer that is never given.

    Raises:
        ValueError: a number out of its range.

    Example:
        >>> positive, negative = tl.predictive_values(0.9, 0.9, prevalence=0.01)
        >>> print(f"a yes is right in {positive:.1%}, a no in {negative:.1%}")
        a yes is right in 8.3%, a no in 99.9%

    Reference:
        Gigerenzer et al., "Helping Doctors and Patients Make Sense of Health Statistics",
        Psychological Science in the Public Interest 8(2), 2007.
    """
    found = check_number("sensitivity", sensitivity, "[0, 1]", "0.9 finds nine of ten.")
    spared = check_number("specificity", specificity, "[0, 1]", "0.9 spares nine of ten.")
    ill = check_number("prevalence", prevalence, "(0, 1)", "0.01 is one in a hundred.")
    yes, no = found * ill + (1 - spared) * (1 - ill), (1 - found) * ill + spared * (1 - ill)
    return PredictiveValues(
        found * ill / yes if yes else float("nan"), spared * (1 - ill) / no if no else float("nan")
    )
