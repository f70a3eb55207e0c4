"""MNIST-M: digits blended into photographs, the target domain of domain adaptation."""

from tlhelpers.checks.words import check_seed

import numpy as np

SIDE = 28


def make_mnist_m(
    digits: np.ndarray, seed: int = 0, region: tuple[float, float] = (0.0, 1.0)
) -> np.ndarray:
    r"""Blend each digit into a random piece of a photograph: $|patch - digit|$ per channel.

    The digit is binarised (above 0 becomes 255) and the difference is taken in signed integers,
    as unsigned bytes would wrap around. The photographs are scikit-learn's two sample images; the
    paper took BSDS500. Result `i` depends on digit `i`, `seed` and `i` alone, so the first results
    stay the same when digits are appended.

    Args:
        digits: uint8 `(n, 28, 28)` or `(n, 28, 28, 1)`, 0..255, bright strokes on black.
        seed: Integer in 0..2**32-1 that chooses the pieces.
        region: Part of the photographs' width to take pieces from, as fractions in 0..1; two
            regions that do not overlap give sets that share no background.

    Returns:
        uint8 `(n, 28, 28, 3)`, a new array.

    Raises:
        ValueError: digits of another shape or type, a bad seed, a region narrower than a digit.

    Example:
        >>> make_mnist_m(np.zeros((5, 28, 28), "uint8")).shape
        (5, 28, 28, 3)

    Reference:
        Ganin et al. 2016, Domain-Adversarial Training of Neural Networks, JMLR 17(59), 5.2.
    """
    digits = np.asarray(digits)
    if digits.shape[1:] not in ((SIDE, SIDE), (SIDE, SIDE, 1)) or digits.dtype != np.uint8:
        raise ValueError(
            "`digits` must be uint8 of shape (n, 28, 28) or (n, 28, 28, 1), 0..255. Received: "
            f"digits of shape={digits.shape}, dtype={digits.dtype}. Cast them: .astype('uint8')."
        )
    return blend(digits.reshape(-1, SIDE, SIDE), np.arange(len(digits)), seed, region)


def blend(digits: np.ndarray, ids: np.ndarray, seed: int, region: tuple) -> np.ndarray:
    """Blend digits whose pieces are drawn by their number `ids`; see `make_mnist_m`."""
    from sklearn.datasets import load_sample_images

    photos = np.stack(load_sample_images().images)  # 2 of 427 x 640 x 3
    width = photos.shape[2]
    start, stop = (round(edge * width) for edge in region)
    if not 0 <= start <= stop - SIDE <= width - SIDE:
        raise ValueError(
            "`region` must be two fractions of the width, from left to right, at least "
            f"{SIDE / width:.3f} apart. Received: region={region}. Take (0.0, 1.0)."
        )
    view = np.lib.stride_tricks.sliding_window_view
    pieces = view(photos[:, :, start:stop], (SIDE, SIDE), axis=(1, 2))
    draws = np.random.default_rng(check_seed(seed)).random((ids.max(initial=-1) + 1, 3))[ids]
    which, row, column = (draws * pieces.shape[:3]).astype(int).T
    patches = np.moveaxis(pieces[which, row, column], 1, -1).astype("int16")
    ink = np.where(digits > 0, 255, 0).astype("int16")[..., None]
    return np.abs(patches - ink).astype("uint8", order="C")
