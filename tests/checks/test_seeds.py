import random

from tlhelpers.checks.seeds import set_seed

import keras
import numpy as np
import pytest


def draw():
    return random.random(), np.random.rand(), float(keras.random.uniform(()))


def test_same_seed_same_numbers():
    set_seed(3)
    first = draw()
    set_seed(np.int64(3))
    assert draw() == first
    set_seed(4)
    assert all(a != b for a, b in zip(draw(), first, strict=True))


@pytest.mark.parametrize("seed", [-1, 2**32, 1.0, "0", None, True])
def test_bad_seed(seed):
    with pytest.raises(ValueError, match="Received: seed="):
        set_seed(seed)
