"""Scores of what a source model promises on a target set, before anything is trained.

All take keyword arguments only, and higher is better. They compare models on *one* data set: a
score of one data set says nothing beside that of another.
"""

from collections.abc import Callable

from tlhelpers.checks.data import check_labels
from tlhelpers.checks.features import (
    check_classes,
    check_matrix,
    check_varied,
    to_matrix,
    to_numpy,
)
from tlhelpers.scores.blocks import Tall
from tlhelpers.scores.classification import are_probabilities

import numpy as np

_LEAST_NOISE = 1e-10  # LogME: the least variance of the noise, as a share of the mean square of y
_BLOCK = 2**17  # LEEP: probabilities at a time, so few that they stay in the processor's cache


def leep(*, source_probabilities, labels) -> float:
    """Score a source classifier by the log-likelihood of the target labels given its predictions.

    What the source model calls the target samples ("mostly tiger cat") is turned into target
    labels through their joint frequencies: LEEP = 1/n sum_i log sum_z P(y_i | z) theta(x_i)_z with
    P(y, z) = 1/n sum_{i: y_i = y} theta(x_i)_z. No feature and no training is needed; the
    probabilities are read in blocks, so that memory beyond them is P(y, z) and little else.

    Args:
        source_probabilities: `(n, source classes)`, softmax outputs of the source model on the
            target samples; rows that sum to one.
        labels: target labels, integers `(n,)`.

    Returns:
        At most 0, the higher the better; minus the entropy of the labels when the predictions say
        nothing about them. Equal to `nce` for one-hot predictions.

    Raises:
        ValueError: rows that are no probabilities (logits, say), NaN, another number of labels,
            fewer than two target classes, swapped arguments.

    Example:
        >>> theta = keras.ops.softmax(model(x))  # of a model with its source classes
        >>> tl.leep(source_probabilities=theta, labels=y) <= 0
        True

    Reference:
        Nguyen et al., "LEEP: A New Measure to Evaluate Transferability of Learned
        Representations", ICML 2020, section 3.
    """
    theta = to_numpy(source_probabilities)
    if theta.ndim != 2 or theta.dtype.kind not in "iufb" or 0 in theta.shape:
        raise ValueError(
            "`source_probabilities` must be numbers of shape (n, source classes). Received: shape="
            f"{theta.shape}, dtype={theta.dtype}. Class numbers of the source model go to "
            "nce(source_labels=...), target labels to labels=."
        )
    labels = check_classes(labels, n=len(theta))
    joint = np.zeros((labels.max() + 1, theta.shape[1]))
    rows = max(_BLOCK // theta.shape[1], 1)
    for label, block in _blocks_of_classes(theta, labels, rows):
        if not are_probabilities(block):
            sums = block.sum(axis=1)
            raise ValueError(
                "`source_probabilities` must be finite and at least 0, each row must sum to 1. "
                f"Received: numbers from {block.min():.4g}, rows that sum to {sums.min():.4g} to "
                f"{sums.max():.4g}. Turn logits into probabilities: keras.ops.softmax(logits)."
            )
        joint[label] += block.sum(axis=0)
    source = joint.sum(axis=0)
    given_source = np.divide(joint, source, out=np.zeros_like(joint), where=source > 0)
    total = sum(
        np.log(block @ given_source[label]).sum()
        for label, block in _blocks_of_classes(theta, labels, rows)
    )
    return float(min(total / len(labels), 0.0))


def nce(*, source_labels, labels) -> float:
    """Score a source classifier by how much its predicted classes tell about the target labels.

    NCE = -H(Y | Z) = sum_{y,z} P(y, z) log P(y | z), z = argmax of the source model's output. It is
    at most 0, the higher the better.

    Args:
        source_labels: the class that the source model predicts for each target sample, `(n,)`.
        labels: target labels, integers `(n,)`; swapped arguments give another number.

    Raises:
        ValueError: labels that are not integers `(n,)` of one n, fewer than two target classes.

    Example:
        >>> tl.nce(source_labels=[281, 281, 207], labels=[0, 0, 1])  # two cats and a dog
        0.0

    Reference:
        Tran et al., "Transferability and Hardness of Supervised Classification Tasks", ICCV 2019.
    """
    source = check_labels(to_numpy(source_labels))
    labels = check_classes(labels, n=len(source))
    seen, source = np.unique(source, return_inverse=True)
    joint = np.bincount(labels * len(seen) + source, minlength=(labels.max() + 1) * len(seen))
    joint = joint.reshape(-1, len(seen))
    both = joint > 0
    given_source = (joint / joint.sum(axis=0))[both]
    return float(joint[both] @ np.log(given_source) / len(labels)) + 0.0


def h_score(*, features, labels, shrinkage: bool = False) -> float:
    """Score features by how far the class means lie apart, in units of the features' spread.

    H = tr(cov(f)^-1 cov(E[f | y])); directions without spread are left out (pseudo-inverse). With
    `shrinkage`, cov(f) is the Ledoit-Wolf estimate and cov(E[f | y]) shrinks by the same factor.
    For n > D a block of rows and D x D numbers are held besides the features.

    Args:
        features, labels: `(n, D)`, such as `tl.extract_features` gives, and integers `(n,)`.
        shrinkage: take it for fewer than some ten samples per feature. Without it the score is
            classes - 1 for *any* features in general position with D >= n - 1. With it, random
            weights may still beat good ones there: ask `logme` and `linear_probe` too.

    Returns:
        In 0..min(D, classes - 1), the higher the better; the same for any rescaling of features
        (for any invertible linear map of them without shrinkage). 0 when the shrinkage is total.

    Raises:
        ValueError: features that are no finite matrix or all the same, fewer than two classes.

    Example:
        >>> tl.h_score(features=features, labels=y, shrinkage=True) < 2  # 3 classes - 1
        True

    Reference:
        Bao et al., "An Information-Theoretic Approach to Transferability in Task Transfer
        Learning", ICIP 2019; Ibrahim et al., "Newer is not always better: Rethinking
        transferability metrics", ECML PKDD 2022 (shrinkage).
    """
    f = _check_features(features)
    labels = check_classes(labels, n=len(f))
    n, dimensions = f.shape
    tall = Tall.of(f, center=True)
    s, along = tall.decomposed(_class_sums(labels))
    squares = along**2
    between = (squares / np.bincount(labels)[:, None]).sum(axis=0)  # per direction, in units of s^2
    if not shrinkage:
        return float(between.sum())
    share = _shrinkage(tall, s)
    spread = (1 - share) * s**2 / n + share * (s**2).sum() / n / dimensions
    return float((1 - share) * (between * s**2 / (n - 1) / spread).sum())


def _shrinkage(tall: Tall, s: np.ndarray) -> float:
    """Return the share of Ledoit and Wolf, as scikit-learn does, which would square a copy."""
    n, dimensions = tall.x.shape
    fourth = sum(((block**2).sum(axis=1) ** 2).sum() for block in tall.blocks()) / n
    square, trace = (s**4).sum() / n**2, (s**2).sum() / n
    apart = square - trace**2 / dimensions
    return float(min((fourth - square) / n, apart) / apart) if apart > 0 else 0.0


def logme(*, features, labels=None, targets=None) -> float:
    """Score features by the evidence of a linear model of the targets, over all its weights.

    Per class (targets 0 and 1) or column of `targets`: log p(y | F, alpha, beta) / n of Bayesian
    linear regression, at the prior precision alpha and noise precision beta that maximise it; then
    the mean. One SVD of the features serves all classes; for n > D a block of rows and D x D
    numbers are held besides them. Exact for n < D too, where the authors' default code leaves out
    (D - n)/2 log alpha.

    With `F = U S V'`, `u = U'y` and `r = alpha / beta` the best beta is `n / R(r)`, where
    `R(r) = sum_k u_k^2 r / (r + s_k^2) + |y|^2 - |u|^2`, and
    `2 log p = n log beta - beta R(r) - n log 2 pi - sum_k log(1 + s_k^2 / r)` is maximised over r.

    Args:
        features: `(n, D)`, such as `tl.extract_features` gives.
        labels: integers `(n,)`, for classification.
        targets: floats `(n,)` or `(n, t)` instead of labels, for regression.

    Returns:
        The higher the better; comparable between models, not between data sets. Finite for targets
        that the features reproduce exactly: the noise keeps at least 1e-10 of their mean square.

    Raises:
        ValueError: features that are no finite matrix or all the same, fewer than two classes, a
            column of zeros in targets, both or neither of labels and targets.

    Example:
        >>> tl.logme(features=np.eye(3)[y], labels=y) > tl.logme(features=features, labels=y)
        True

    Reference:
        You et al., "LogME: Practical Assessment of Pre-trained Models for Transfer Learning",
        ICML 2021 (equation 2); JMLR 23, 2022.
    """
    if (labels is None) == (targets is None):
        raise ValueError(
            f"Either `labels` or `targets` must be given. Received: "
            f"{'neither' if labels is None else 'both'}. Class numbers are labels, floats targets."
        )
    f = _check_features(features)
    if targets is None:
        labels = check_classes(labels, n=len(f))
        sums, squares = _class_sums(labels), np.bincount(labels).astype("float64")
    else:
        y = _check_targets(targets, len(f))
        sums, squares = (lambda rows, block: y[rows].T @ block), (y**2).sum(axis=0)
    s, along = Tall.of(f).decomposed(sums)
    each = _log_evidences((s / s[0]) ** 2, along.T**2, squares, len(f))
    return float(np.mean(each) / len(f))


def _log_evidences(s2: np.ndarray, u2: np.ndarray, squares: np.ndarray, n: int) -> list[float]:
    """Return the maximal log-evidence of each target: of a grid of log r, then finer ones inside.

    `u2` is `(directions, targets)`. The first grid serves all targets. A search, and no fixed-point
    iteration, because that may take thousands of steps (or never end) where the best noise or the
    best prior is nearly nothing; its bounds keep both finite.
    """
    outside = np.maximum(squares - u2.sum(axis=0), 0.0)

    def evidence(log_r, some):
        r = np.exp(log_r)[:, None]
        residual = (r / (r + s2)) @ u2[:, some] + outside[some]
        noise = np.maximum(residual, _LEAST_NOISE * squares[some]) / n
        spread = np.log1p(s2 / r).sum(axis=1, keepdims=True)
        return -(n * np.log(2 * np.pi * noise) + residual / noise + spread) / 2

    first = np.arange(np.log(s2.min() * _LEAST_NOISE), np.log(s2.sum() / _LEAST_NOISE), 0.5)
    each = []
    for target, start in enumerate(first[evidence(first, slice(None)).argmax(axis=0)]):
        best, step = start, 0.5
        while step > 1e-6:
            grid = np.linspace(best - step, best + step, 21)
            values = evidence(grid, [target])
            best, step = grid[values.argmax()], step / 10
        each.append(float(values.max()))
    return each


def _check_features(features) -> np.ndarray:
    """Return a finite matrix whose rows differ, as it is: no copy of it is made."""
    f = check_matrix(features, "features", rows=2)
    check_varied(features=f)
    return f


def _class_sums(labels: np.ndarray) -> Callable:
    """Return what sums some rows by their class, `(classes, columns)`."""
    from scipy.sparse import csc_array

    classes = labels.max() + 1

    def sums(rows: slice, block: np.ndarray) -> np.ndarray:
        own = labels[rows]
        one_each = np.ones(len(own)), own, np.arange(len(own) + 1)
        return csc_array(one_each, (classes, len(own))) @ block

    return sums


def _blocks_of_classes(x: np.ndarray, labels: np.ndarray, rows: int):
    """Yield `(class, some rows of x as float64)` for labels 0, 1, 2, ..., at most so many rows."""
    order = np.argsort(labels, kind="stable")
    starts = np.flatnonzero(np.diff(labels[order], prepend=-1))
    for label, own in enumerate(np.split(order, starts[1:])):
        for begin in range(0, len(own), rows):
            yield label, x[own[begin : begin + rows]].astype("float64", copy=False)


def _check_targets(targets, n: int) -> np.ndarray:
    y = to_numpy(targets)
    y = to_matrix(y[:, None] if y.ndim == 1 else y, "targets", rows=2)
    if len(y) != n:
        raise ValueError(
            f"`targets` must have one row per sample. Received: {len(y)} rows for {n} samples. "
            "Pass those of the same samples."
        )
    if not (y**2).any(axis=0).all():
        raise ValueError(
            "`targets` must differ from zero in every column. Received: targets with a column of "
            "zeros. Leave it out: there is nothing to predict."
        )
    return y
