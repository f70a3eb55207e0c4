"""One seed for everything random."""

from numbers import Integral

import keras


def check_seed(seed: int) -> int:
    """Return `seed` as an int, or say that it must be an integer in 0..2**32-1."""
    if isinstance(seed, bool) or not isinstance(seed, Integral) or not 0 <= seed < 2**32:
        raise ValueError(f"`seed` must be an integer in 0..2**32-1. Received: seed={seed!r}.")
    return int(seed)


def set_seed(seed: int = 0) -> None:
    """Seed Python, numpy and the Keras backend, so that a run on one machine can be repeated.

    Call it before a model is built. Between two fits of one model it costs seconds: TensorFlow
    then prepares every function of the model again.

    Args:
        seed: Integer in 0..2**32-1.

    Raises:
        ValueError: `seed` is not such an integer.

    Example:
        >>> set_seed(0)
    """
    keras.utils.set_random_seed(check_seed(seed))
