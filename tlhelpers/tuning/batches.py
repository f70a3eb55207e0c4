"""The data of a fit: arrays, or batches that can be gone through more than once."""

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence

from tlhelpers.checks.words import check_whole

import keras
import numpy as np

MOST_BATCHES = 4096  # of data that do not know their length, before they count as endless


def is_dataset(data) -> bool:
    """Whether the data come in batches, a `tf.data.Dataset` or a `PyDataset`, and not as arrays."""
    tensors = hasattr(data, "element_spec") and not hasattr(data, "__next__")  # an iterator has it
    return tensors or isinstance(data, keras.utils.PyDataset)


def count_steps(data, batch_size: int) -> int:
    """Return the batches of an epoch."""
    if isinstance(data, Batches):
        return data.count()
    return -(-len(keras.tree.flatten(data[1])[0]) // batch_size)


class Batches:
    """Batches `x`, `(x, y)` or `(x, y, weights)` of a dataset, each looked at before it is used.

    The first batch can be looked at ahead, and nothing of a source that can be read but once is
    lost: the first pass goes on behind it.

    Args:
        source: a finite `tf.data.Dataset` or `keras.utils.PyDataset`.
        name: what the caller calls it, for errors.
        check: is given each batch, as a tuple, and returns it, or raises.
        size: samples per batch; None leaves the batches as they are.

    Attributes:
        first: the first batch, as a tuple.
        steps: batches of a pass; None where the source does not know and nothing has counted them.

    Raises:
        ValueError: an endless or empty source; while passing, a source of unknown length with more
            than `MOST_BATCHES`, or one that has nothing left; what `check` raises.
    """

    def __init__(self, source, name: str = "x", check: Callable | None = None, size=None):
        self.name, self.check = name, check or (lambda batch: batch)
        self.source = source if size is None else self._rebatched(source, size)
        self.known = self._known_steps()
        self.steps = self.known
        self.error: ValueError | None = None  # that Keras has met in a pass of its own
        self._begun: Iterator | None = iter(self._pass())
        try:
            self.first = next(self._begun)
        except StopIteration:
            raise ValueError(
                f"`{name}` must hold a batch. Received: an empty dataset. Look at its source."
            ) from None

    def __iter__(self) -> Iterator[tuple]:
        begun, self._begun = self._begun, None
        steps = 0
        for batch in self._pass() if begun is None else itertools.chain([self.first], begun):
            yield batch
            steps += 1
        if not steps:
            raise ValueError(
                f"`{self.name}` must be one that can be read again. Received: a dataset with "
                "nothing left after its first pass. Make it from a function that returns a new "
                "generator, or from arrays; .cache() keeps what it has read."
            )
        self.steps = steps

    def count(self) -> int:
        """Return the batches of a pass; where the source does not know, by one more pass."""
        if self.steps is None:
            for _ in self:
                pass
        return self.steps or 0

    def repeated(self, times: int) -> Iterator[tuple]:
        """Yield the batches of several passes; random draws go on from one to the next."""
        if isinstance(self.source, keras.utils.PyDataset):
            return (batch for _ in range(times) for batch in self)
        self._begun = None
        return map(self._look_at, self.source.repeat(times))

    @property
    def for_keras(self):
        """What `fit` and `evaluate` take."""
        if self.known is not None:
            return self.source
        import tensorflow as tf

        steps = self.count()  # or Keras takes a step more than there are
        spec = self.source.element_spec
        passes = tf.data.Dataset.from_generator(self._noting_errors, output_signature=spec)
        return passes.apply(tf.data.experimental.assert_cardinality(steps))

    def _noting_errors(self) -> Iterator[tuple]:
        try:
            yield from self
        except ValueError as error:
            self.error = error
            raise

    def _known_steps(self) -> int | None:
        if isinstance(self.source, keras.utils.PyDataset):
            count = self.source.num_batches
            count = -1 if count is None else int(count)
        else:
            count = int(self.source.cardinality())
        if count == -1:
            raise ValueError(
                f"`{self.name}` must be finite. Received: an endless dataset. Use "
                f"{self.name}.take(steps), without repeat(): an epoch is one pass."
            )
        return count if count >= 0 else None

    def _pass(self) -> Iterator[tuple]:
        source = self.source
        if isinstance(source, keras.utils.PyDataset):
            source.on_epoch_begin()
            yield from (self._look_at(source[number]) for number in range(self.known or 0))
            source.on_epoch_end()
            return
        for number, batch in enumerate(source):
            if self.known is None and number == MOST_BATCHES:
                raise ValueError(
                    f"`{self.name}` must be finite. Received: a dataset of unknown length with "
                    f"more than {MOST_BATCHES:,} batches. If it ends, say where: {self.name}.apply("
                    "tf.data.experimental.assert_cardinality(steps)); if not: .take(steps)."
                )
            yield self._look_at(batch)

    def _look_at(self, batch) -> tuple:
        return self.check(tuple(batch) if isinstance(batch, tuple | list) else (batch,))

    def _rebatched(self, source, size: int):
        if isinstance(source, keras.utils.PyDataset):
            raise ValueError(
                "`batch_size` must be None beside a PyDataset, which makes its own batches. "
                f"Received: batch_size={size}."
            )
        return source.rebatch(check_whole("batch_size", size, 1))


def for_keras(data):
    """Return data as Keras' `validation_data` takes them; None for none."""
    return data.for_keras if isinstance(data, Batches) else data


class Shuffled(keras.utils.PyDataset):
    """The batches of some epochs; their order depends on the seed and the epoch alone.

    Epoch e takes copy `e % len(copies)`, each of them `(x, y)` arrays of one length, or
    `(x, y, weights)`.
    """

    def __init__(self, copies: Sequence, batch_size: int, seed: Sequence[int], epochs: range):
        super().__init__()
        self.copies = [keras.tree.map_structure(np.asarray, tuple(copy)) for copy in copies]
        self.batch_size = batch_size
        self.seed, self.epochs = seed, epochs
        self.steps = count_steps(copies[0], batch_size)
        self.order = functools.lru_cache(2)(self._order)  # Keras reads ahead into the next epoch

    def _order(self, epoch: int) -> np.ndarray:
        rng = np.random.default_rng([*self.seed, epoch])
        return rng.permutation(len(keras.tree.flatten(self.copies[0][1])[0]))

    def __len__(self):
        return len(self.epochs) * self.steps

    def __getitem__(self, index):
        past, batch = divmod(index, self.steps)
        epoch = self.epochs.start + past
        rows = self.order(epoch)[batch * self.batch_size :][: self.batch_size]
        copy = self.copies[epoch % len(self.copies)]
        return keras.tree.map_structure(lambda part: part[rows], copy)

    @property
    def fit_arguments(self) -> dict:
        """The data arguments of `fit` for these batches."""
        return {"x": self, "steps_per_epoch": self.steps, "shuffle": False}
