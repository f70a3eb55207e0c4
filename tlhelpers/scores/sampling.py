"""From the logits of the next piece to the probabilities by which one is drawn."""

from tlhelpers.checks.features import to_numpy
from tlhelpers.checks.words import check_number, check_whole

import numpy as np


def sampling_probabilities(
    logits, temperature: float = 1.0, top_k: int | None = None, top_p: float = 1.0
) -> np.ndarray:
    r"""Return by which probabilities the next piece is drawn.

    In this order: divide the logits by the temperature and take the softmax,
    $p_i \propto \exp(z_i / T)$; keep the `top_k` most probable pieces; of these keep the smallest
    set, the most probable first, that has a share of `top_p`; let the rest sum to 1 again.

    Args:
        logits: `(..., pieces)`.
        temperature: $T$ above 0. Below 1 the probable pieces get likelier, above 1 the others do.
        top_k: pieces to keep at most; 1 takes the most probable one, always. None: all.
        top_p: share to keep, in (0, 1]; 1: all.

    Returns:
        float64 array like the logits; each row sums to 1. Of equal pieces the first is kept.

    Raises:
        ValueError: a setting out of its range; logits that are NaN or infinite.

    Example:
        >>> logits = np.log([0.5, 0.3, 0.2])
        >>> tl.sampling_probabilities(logits, top_k=2).round(3).tolist()
        [0.625, 0.375, 0.0]
        >>> tl.sampling_probabilities(logits, top_p=0.5).tolist()
        [1.0, 0.0, 0.0]

    Reference:
        Fan et al. 2018 (top-k, arXiv 1805.04833); Holtzman et al. 2020 (top-p, arXiv 1904.09751).
    """
    temperature = check_number(
        "temperature", temperature, "(0, inf)", "For the most probable piece give top_k=1."
    )
    top_p = check_number("top_p", top_p, "(0, 1]", "1 keeps all pieces.")
    logits = to_numpy(logits).astype("float64")
    if logits.ndim < 1 or not logits.size or not np.isfinite(logits).all():
        raise ValueError(
            "`logits` must be finite numbers, one for each piece. Received: shape "
            f"{logits.shape}, {np.sum(~np.isfinite(logits))} of them not finite. Look at the model."
        )
    pieces = logits.shape[-1]
    top_k = pieces if top_k is None else check_whole("top_k", top_k, 1, pieces)
    shifted = (logits - logits.max(axis=-1, keepdims=True)) / temperature
    odds = np.exp(shifted)
    order = np.argsort(-shifted, axis=-1, kind="stable")
    ranked = np.take_along_axis(odds, order, axis=-1)
    ranked[..., top_k:] = 0
    ranked /= ranked.sum(axis=-1, keepdims=True)
    before = np.cumsum(ranked, axis=-1) - ranked  # the share of those that are more probable
    ranked[(before >= top_p) & (np.arange(pieces) > 0)] = 0
    ranked /= ranked.sum(axis=-1, keepdims=True)
    result = np.zeros_like(ranked)
    np.put_along_axis(result, order, ranked, axis=-1)
    return result
