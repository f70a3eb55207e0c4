"""The batches of a fit: how many there are, and in which order."""

import functools
from collections.abc import Sequence

import keras
import numpy as np


def is_dataset(data) -> bool:
    """Whether the data are a `tf.data.Dataset` of batches, and not arrays."""
    return hasattr(data, "element_spec")


def count_steps(data, batch_size: int) -> int:
    """Return the batches of an epoch; a dataset that does not know gives a number below 1."""
    if is_dataset(data):
        return int(data.cardinality())
    return -(-len(data[1]) // batch_size)


class Shuffled(keras.utils.PyDataset):
    """The batches of some epochs; their order depends on the seed and the epoch alone.

    Epoch e takes copy `e % len(copies)`, each of them `(x, y)` arrays of one length.
    """

    def __init__(self, copies: Sequence, batch_size: int, seed: Sequence[int], epochs: range):
        super().__init__()
        self.copies, self.batch_size = copies, batch_size
        self.seed, self.epochs = seed, epochs
        self.steps = count_steps(copies[0], batch_size)
        self.order = functools.lru_cache(2)(self._order)  # Keras reads ahead into the next epoch

    def _order(self, epoch: int) -> np.ndarray:
        rng = np.random.default_rng([*self.seed, epoch])
        return rng.permutation(len(self.copies[0][1]))

    def __len__(self):
        return len(self.epochs) * self.steps

    def __getitem__(self, index):
        past, batch = divmod(index, self.steps)
        epoch = self.epochs.start + past
        rows = self.order(epoch)[batch * self.batch_size :][: self.batch_size]
        copy = self.copies[epoch % len(self.copies)]
        return keras.tree.map_structure(lambda part: part[rows], tuple(copy))

    @property
    def fit_arguments(self) -> dict:
        """The data arguments of `fit` for these batches."""
        return {"x": self, "steps_per_epoch": self.steps, "shuffle": False}
