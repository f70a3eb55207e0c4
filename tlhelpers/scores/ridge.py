"""A ridge classifier for more samples than features: the same as scikit-learn's, without copies."""

from collections.abc import Iterator

import numpy as np

STRENGTHS = np.logspace(-2, 6, 17)


def predict_tall(
    x: np.ndarray, labels: np.ndarray, train: np.ndarray, test: np.ndarray
) -> np.ndarray:
    """Return the classes of the rows `test`, by a classifier that is fitted to the rows `train`.

    It predicts what `linear_classifier` does: standardised features, classes that count equally,
    the strength of the lowest leave-one-out error. It reads blocks of rows and holds D x D numbers.
    With X and Y weighted and centered and X'X = V diag(e) V', the error of a sample without itself
    is its residual over 1 - h, h = 1 / n + sum_k (x v_k)^2 / (e_k + strength), weights left out.

    Args:
        x: features `(n, D)` of any real type; labels: 0, 1, 2, ..., all of them in `train`.
        train, test: row numbers.

    Example:
        >>> x = np.array([[0.0], [0.2], [0.9], [1.0], [0.1]])
        >>> predict_tall(x, np.array([0, 0, 1, 1, 0]), np.arange(4), np.array([4]))
        array([0])

    Reference:
        Rifkin, Lippert, "Notes on Regularized Least Squares", MIT-CSAIL-TR-2007-025.
    """
    n, classes = len(train), labels.max() + 1
    weights = (n / classes / np.bincount(labels[train]))[labels]  # of every row, also of `test`
    signs = (2 * np.eye(classes) - 1)[:, 1 if classes == 2 else 0 :]
    mean = sum(block.sum(axis=0) for _, block in _blocks(x, train)) / n
    variance = sum(((block - mean) ** 2).sum(axis=0) for _, block in _blocks(x, train)) / n
    scale = np.sqrt(variance)
    scale[scale <= n * np.finfo("float64").eps * np.abs(mean)] = 1  # constant, but for rounding
    total = weights[train].sum()
    middle = sum(weights[rows] @ block for rows, block in _blocks(x, train)) / total
    offset = weights[train] @ signs[labels[train]] / total

    def weighted(rows, block):
        root = np.sqrt(weights[rows])[:, None]
        return root * ((block - middle) / scale), root * (signs[labels[rows]] - offset)

    gram = np.zeros((x.shape[1],) * 2)
    moments = np.zeros((x.shape[1], signs.shape[1]))
    for rows, block in _blocks(x, train):
        a, y = weighted(rows, block)
        gram += a.T @ a
        moments += a.T @ y
    e, v = np.linalg.eigh(gram)
    moments = v.T @ moments
    errors = np.zeros(len(STRENGTHS))
    for rows, block in _blocks(x, train):
        a, y = weighted(rows, block)
        along = a @ v
        own = weights[rows][:, None] / total
        for number, strength in enumerate(STRENGTHS):
            left = 1 - own - (along**2 @ (1 / (e + strength)))[:, None]
            fitted = along @ (moments / (e + strength)[:, None])
            errors[number] += (((y - fitted) / left) ** 2).sum()
    coefficients = v @ (moments / (e + STRENGTHS[errors.argmin()])[:, None])
    scores = np.vstack(
        [(block - middle) / scale @ coefficients + offset for _, block in _blocks(x, test)]
    )
    return scores.argmax(axis=1) if classes > 2 else (scores[:, 0] > 0).astype(labels.dtype)


def _blocks(x: np.ndarray, chosen: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield row numbers and these rows as float64, some at a time."""
    step = max(x.shape[1], 256)
    for start in range(0, len(chosen), step):
        rows = chosen[start : start + step]
        yield rows, x[rows].astype("float64")
