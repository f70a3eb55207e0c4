"""How well a language model guesses: perplexity, and bits for each character."""

import math

from tlhelpers.checks.features import to_numpy
from tlhelpers.checks.words import check_whole

import numpy as np


def perplexity(*, log_probabilities) -> float:
    r"""Return among how many equally likely pieces the model seems to choose, 1 at the least.

    $$\exp\left(-\frac{1}{n} \sum_i \log p_i\right)$$

    Compare it only between models with the same pieces: who cuts text into shorter ones has the
    easier guesses, and more of them.

    Args:
        log_probabilities: natural logarithm of the probability of each piece that came, `(n,)`.

    Raises:
        ValueError: none; NaN; one above 0.

    Example:
        >>> round(tl.perplexity(log_probabilities=np.log([0.25, 0.25, 0.25])), 6)
        4.0
    """
    return float(np.exp(-_read(log_probabilities).mean()))


def bits_per_character(*, log_probabilities, characters: int) -> float:
    r"""Return how many bits the text costs for each of its characters, if the model packs it.

    $$-\frac{1}{c} \sum_i \log_2 p_i$$

    It doesn't depend on how the text is cut into pieces, so it compares any two models, and zip.

    Args:
        log_probabilities: as in `perplexity`, of all pieces of the text.
        characters: $c$, its characters, 1 or more.

    Raises:
        ValueError: what `perplexity` raises; no character.

    Example:
        >>> tl.bits_per_character(log_probabilities=np.log([0.25, 0.25, 0.25]), characters=6)
        1.0
    """
    count = check_whole("characters", characters, 1, cure="Leave empty texts out.")
    return float(-_read(log_probabilities).sum() / math.log(2) / count)


def _read(log_probabilities) -> np.ndarray:
    values = to_numpy(log_probabilities)
    values = values.astype("float64") if values.dtype.kind in "iuf" else values
    if values.ndim != 1 or not values.size or values.dtype.kind != "f" or not (values <= 0).all():
        raise ValueError(
            "`log_probabilities` must be one logarithm, 0 or below, for each piece that came. "
            f"Received: shape {values.shape}, {values.ravel()[:3].tolist()}. Take the log-softmax "
            "of the logits at the labels."
        )
    return values
