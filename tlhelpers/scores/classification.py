"""Numbers about predictions: probabilities, the interval of an accuracy, calibration."""

import numpy as np

ROWS_SUM = 4e-3  # a row's distance from 1, at most: bfloat16 rounds by 2**-8


def are_probabilities(rows: np.ndarray) -> bool:
    """Say whether numbers `(n, classes)` are probabilities: 0 or above, rows that sum to one."""
    return bool(rows.min() >= 0 and (np.abs(rows.sum(axis=1) - 1) <= ROWS_SUM).all())


def to_probabilities(outputs, kind: str | None = None) -> tuple[np.ndarray, str]:
    """Return probabilities `(n, classes)` and what the outputs were: "logits" or "probabilities".

    `outputs` are `(n, classes)`, `(n, 1)` or `(n,)`. Where `kind` does not say what they are, rows
    that sum to one (one column: numbers in 0..1) are probabilities, anything else logits. One
    column becomes two: 1 - p and p. Rows of probabilities are made to sum to one: those of a
    softmax in half precision, or of one sigmoid for each class, do not.

    Raises:
        ValueError: no rows, another shape, or numbers that are not finite.

    Example:
        >>> to_probabilities([[0.2, 0.8]])
        (array([[0.2, 0.8]]), 'probabilities')
        >>> to_probabilities([[3.0, 3.0]])
        (array([[0.5, 0.5]]), 'logits')
    """
    from scipy.special import softmax

    outputs = check_outputs(outputs)
    one = outputs.shape[1] == 1
    rows = np.hstack([1 - outputs, outputs]) if one else outputs
    known = kind == "probabilities" and rows.min() >= 0 and rows.max() <= 1
    if kind != "logits" and (known or are_probabilities(rows)):
        return rows / np.maximum(rows.sum(axis=1, keepdims=True), 1e-30), "probabilities"
    logits = np.hstack([np.zeros_like(outputs), outputs]) if one else outputs
    return softmax(logits, axis=1), "logits"


def to_each(outputs, kind: str | None = None) -> tuple[np.ndarray, str]:
    """Return the probability of each label by itself, `(n, labels)`, and what the outputs were.

    Where `kind` does not say, numbers that all lie in 0..1 are probabilities, others logits.

    Raises:
        ValueError: what `to_probabilities` refuses.

    Example:
        >>> to_each([[0.0, 20.0]])[0].round(3)
        array([[0.5, 1. ]])
    """
    from scipy.special import expit

    outputs = check_outputs(outputs)
    within = outputs.min() >= 0 and outputs.max() <= 1
    if kind != "logits" and within:
        return outputs, "probabilities"
    return expit(outputs), "logits"


def check_outputs(outputs) -> np.ndarray:
    """Return finite outputs of a model as float64, `(n, width)`, or refuse them."""
    outputs = np.asarray(outputs, dtype="float64")
    outputs = outputs[:, None] if outputs.ndim == 1 else outputs
    if outputs.ndim != 2 or not outputs.size:
        raise ValueError(
            f"`outputs` must have shape (n, classes). Received: outputs of shape {outputs.shape}. "
            "Pass what a model of classes or numbers predicts."
        )
    if not np.isfinite(outputs).all():
        raise ValueError(
            "`outputs` must be finite. Received: outputs with NaN or infinity. A learning rate "
            "that is too high leaves a model in this state: train it again with a lower one."
        )
    return outputs


def wilson_interval(right: int, samples: int) -> tuple[float, float]:
    """Return the 95 % interval of a share: `right` of so many samples.

    It holds for these samples as the test set. It never has width 0: 20 of 20 may well be .84.

    Example:
        >>> wilson_interval(20, 20)
        (0.8388..., 1.0)

    Reference:
        Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 22,
        1927.
    """
    from scipy.stats import binomtest

    interval = binomtest(right, samples).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def expected_calibration_error(probabilities, labels, bins: int = 15) -> float:
    """Return the mean distance of confidence and accuracy, in 0..1, over bins of equal width.

    `probabilities` are `(n, classes)`, rows that sum to one; `labels` integers `(n,)`.

    Example:
        >>> expected_calibration_error([[0.9, 0.1], [0.9, 0.1]], [0, 1])  # sure: .9, right: .5
        0.4

    Reference:
        Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, equation 3:
        sum over bins of |B| / n * |accuracy(B) - confidence(B)|.
    """
    rows = reliability(probabilities, labels, bins)
    return float(sum(share * abs(accuracy - sure) for share, accuracy, sure in rows))


def reliability(probabilities, labels, bins: int = 15) -> list[tuple[float, float, float]]:
    """Return share of samples, accuracy and mean confidence of every bin that has samples."""
    confidence = np.max(probabilities, axis=1)
    correct = np.argmax(probabilities, axis=1) == labels
    which = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    masks = [which == number for number in np.unique(which)]
    return [(mask.mean(), correct[mask].mean(), confidence[mask].mean()) for mask in masks]
