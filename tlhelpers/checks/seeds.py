"""One seed for everything random."""

from tlhelpers.checks.words import check_seed

import keras


def set_seed(seed: int = 0) -> None:
    """Seed Python, numpy and the Keras backend, so that a run on one machine can be repeated.

    Call it before a model is built. Between two fits of one model it costs seconds: TensorFlow
    then prepares every function of the model again.

    Raises:
        ValueError: `seed` is not a whole number in 0..2**32-1.

    Example:
        >>> tl.set_seed(0)
    """
    keras.utils.set_random_seed(check_seed(seed))
