"""How far other patients would have moved a score: the bootstrap over whole groups."""

from tlhelpers.checks.words import check_seed, check_whole
from tlhelpers.scores.decisions import check_decisions

import numpy as np

_ENDS = (2.5, 97.5)  # percentiles: 95 % lie between


def resample_groups(
    y, probability, threshold: float, groups=None, resamples: int = 1000, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Return 95 % intervals of AUC, sensitivity and specificity over redrawn groups.

    Each resample draws as many groups as there are, with replacement, and takes all samples of
    each: cells of one patient are alike, so a hundred of them tell less than a hundred patients.
    A resample without both classes is left out.

    Args:
        y, probability: as for `choose_threshold`.
        threshold: positive is `probability >= threshold`.
        groups: the group of each sample, `(n,)`; None for each sample by itself.
        resamples, seed: how many, 20 or more, and what draws them.

    Returns:
        "auc", "sensitivity" and "specificity", each (low, high), the percentiles 2.5 and 97.5.

    Raises:
        ValueError: a class that is in one group alone, of which nothing can be redrawn; not one
            group for each sample; what `check_decisions` refuses.

    Example:
        >>> y, p = np.arange(24) % 2, np.linspace(0, 1, 24)
        >>> resample_groups(y, p, 0.5, groups=np.arange(24) // 4)["auc"]
        (0.5..., 0.6...)

    Reference:
        Field, Welsh, "Bootstrapping Clustered Data", Journal of the Royal Statistical Society B
        69(3), 2007 (the cluster bootstrap).
    """
    y, probability = check_decisions(y, probability)
    resamples = check_whole("resamples", resamples, 20, None, "1000 is usual.")
    numbers = np.arange(len(y)) if groups is None else _numbered(groups, y)
    count = int(numbers.max()) + 1
    drawn = np.random.default_rng(check_seed(seed)).multinomial(
        count, np.full(count, 1 / count), size=resamples
    )
    order = np.argsort(probability, kind="stable")
    y, numbers, probability = y[order], numbers[order], probability[order]
    called, ties = probability >= threshold, np.unique(probability, return_inverse=True)[1]
    scores = np.array([_scores(y, called, ties, times[numbers]) for times in drawn])
    low, high = np.nanpercentile(scores, _ENDS, axis=0)
    names = ("auc", "sensitivity", "specificity")
    return {name: (float(low[i]), float(high[i])) for i, name in enumerate(names)}


def _scores(y, called, ties, times) -> tuple[float, float, float]:
    """Return AUC, sensitivity and specificity where each sample counts so many times."""
    positive, negative = times * y, times * (1 - y)
    n, others = positive.sum(), negative.sum()
    if not n or not others:
        return np.nan, np.nan, np.nan
    at, below = (np.bincount(ties, of) for of in (positive, negative))
    auc = np.sum(at * (np.cumsum(below) - below / 2)) / (n * others)
    return auc, positive[called].sum() / n, 1 - negative[called].sum() / others


def _numbered(groups, y: np.ndarray) -> np.ndarray:
    """Return the number of each sample's group, or say why these cannot be redrawn."""
    groups = np.asarray(groups)
    if groups.shape != y.shape:
        raise ValueError(
            f"`groups` must be one for each sample. Received: groups of shape {groups.shape} for "
            f"{len(y)} samples. Take the rows of the same part: groups[parts.test]."
        )
    kinds, numbers = np.unique(groups, return_inverse=True)
    for label in (0, 1):
        holding = np.unique(numbers[y == label])
        if len(holding) < 2:
            raise ValueError(
                f"`groups` must be two or more with samples of each class. Received: class {label} "
                f"in {kinds.tolist()[holding[0]]!r} alone, of {len(kinds)}. One group tells "
                "nothing about another: test on more, or leave out `groups` and say so."
            )
    return numbers
