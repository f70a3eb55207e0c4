"""A learning-rate range test that leaves the model as it was."""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass

from tlhelpers.checks.devices import scope_of
from tlhelpers.checks.words import check_number, check_seed, check_whole
from tlhelpers.models.inputs import read_inputs
from tlhelpers.models.state import preserved
from tlhelpers.tuning.batches import is_dataset
from tlhelpers.tuning.layerwise import renew

import keras
import numpy as np


@dataclass(frozen=True)
class LearningRates:
    """The curve of `find_learning_rate`, and what can be read off it.

    Attributes:
        rates: learning rates tried, rising, shape `(n,)`.
        losses: loss of one batch at each rate, all finite, shape `(n,)`.
        smoothed: the same curve without the noise of the batches, shape `(n,)`.
        range: the rates where the loss begins to fall and where it is lowest; None if it does not.
        suggestion: the rate in that range where the loss falls fastest; None without one.
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    range: tuple[float, float] | None
    suggestion: float | None

    def __str__(self) -> str:
        """Return the findings in one line."""
        tried = f"{len(self.rates)} rates tried, {self.rates[0]:.1e} to {self.rates[-1]:.1e}"
        if self.range is None:
            return f"the loss does not fall at any learning rate ({tried})"
        low, high = self.range
        found = f"learning rate {self.suggestion:.1e} (steepest), range {low:.1e} to {high:.1e}"
        return f"{found} ({tried})"


def find_learning_rate(
    model: keras.Model,
    x,
    y=None,
    low: float = 1e-6,
    high: float = 1.0,
    steps: int = 100,
    batch_size: int = 32,
    smoothing: float = 0.2,
    seed: int = 0,
) -> LearningRates:
    r"""Train a compiled model at rising learning rates, undo it all, and return `LearningRates`.

    Batch $i$ is trained at $\eta_i = \mathrm{low}\,(\mathrm{high}/\mathrm{low})^{i/(n-1)}$ with a
    fresh optimizer of the compiled kind, layerwise factors included. The curve is smoothed with a
    normal kernel over $\log_{10} \eta$, unbiased at its ends. The test ends early once the loss is
    no longer finite or has grown by three times its first value. Weights, optimizer, metrics and
    the random states of Keras, its layers, numpy and Python are put back bit for bit.

    Args:
        model: a built and compiled model, fitted or not.
        x, y: array, or dict or list of arrays, with samples along axis 0, and their labels; or a
            `tf.data.Dataset` or `PyDataset` of batches `(x, y)` or `(x, y, weights)` alone, which
            is repeated as needed.
        low, high: first rate, above 0, and last rate, above low.
        steps: how many batches, at least 10.
        batch_size: samples in a batch of the arrays.
        smoothing: width of the kernel (one standard deviation) in powers of ten, above 0.
        seed: draws the batches.

    Raises:
        ValueError: a model that is not compiled or built; an argument out of its range; x and y of
            different length; a loss that is not finite from the start.

    Example:
        >>> model.compile(keras.optimizers.Adam(), loss)
        >>> found = tl.find_learning_rate(model, x_train, y_train, batch_size=4)
        >>> model.optimizer.learning_rate = found.suggestion

    Reference:
        Smith 2017, Cyclical Learning Rates (arXiv 1506.01186), section 3.3.
    """
    if not getattr(model, "compiled", False) or not model.built:
        raise ValueError(
            f"`model` must be built and compiled. Received: {model.name!r}, built={model.built}, "
            f"compiled={model.compiled}. Call model.compile(optimizer, loss) first."
        )
    low = check_number("low", low, "(0, inf)")
    high = check_number("high", high, f"({low}, inf)", f"The test rises from low={low} to high.")
    steps, batch_size = check_whole("steps", steps, 10), check_whole("batch_size", batch_size, 1)
    smoothing = check_number("smoothing", smoothing, "(0, inf)")
    rates = np.geomspace(low, high, steps)
    batches = _batches(model, x, y, batch_size, np.random.default_rng(check_seed(seed)))
    losses: list[float] = []
    with preserved(model), _borrowed(model, low):
        for rate, batch in zip(rates, batches, strict=False):
            model.optimizer.learning_rate = float(rate)
            loss = float(model.train_on_batch(*batch, return_dict=True)["loss"])
            if not math.isfinite(loss):
                break
            losses.append(loss)
            if loss > min(losses) + 3 * abs(losses[0]):
                break
    if len(losses) < 5:
        raise ValueError(
            f"`low` must be a rate at which the loss is finite. Received: low={low}, with losses "
            f"{losses} before it was not. Start lower, and check the input for NaN."
        )
    return _read_off(rates[: len(losses)], np.array(losses), smoothing)


@contextlib.contextmanager
def _borrowed(model: keras.Model, rate: float) -> Iterator[None]:
    """Lend the model an optimizer and a trace of its own."""
    own = {name: getattr(model, name) for name in ("optimizer", "train_function")}
    own["steps_per_execution"] = model.steps_per_execution
    with scope_of(model):
        model.optimizer = renew(model.optimizer, learning_rate=rate)
    model.train_function, model.steps_per_execution = None, 1
    try:
        yield
    finally:
        for name, value in own.items():
            setattr(model, name, value)


def _batches(model, x, y, batch_size: int, rng: np.random.Generator) -> Iterator[tuple]:
    """Yield `(x, y)` or `(x, y, weights)`, over and over."""
    if is_dataset(x):
        yield from _over_and_over(x)
    if y is None:
        raise ValueError(
            "`y` must be given with arrays. Received: y=None and x of type "
            f"{type(x).__name__}. Pass labels, or a tf.data.Dataset of (x, y)."
        )
    arrays = keras.tree.map_structure(np.asarray, (read_inputs(model, x), y))
    lengths = [len(part) for part in keras.tree.flatten(arrays)]
    if not lengths[0] or len(set(lengths)) > 1:
        raise ValueError(
            f"`x` and `y` must have one length above 0. Received: lengths {lengths}. Check both."
        )
    while True:
        order = rng.permutation(lengths[0])
        for start in range(0, max(len(order) - batch_size, 0) + 1, batch_size):
            chosen = order[start : start + batch_size]
            yield keras.tree.map_structure(lambda part, rows=chosen: part[rows], arrays)


def _over_and_over(dataset) -> Iterator[tuple]:
    while True:
        batch: tuple = ()
        for batch in dataset:
            if not isinstance(batch, tuple) or len(batch) < 2:
                raise ValueError(
                    "`x` must be a dataset of (x, y). Received: batches without labels. Zip them: "
                    "tf.data.Dataset.zip((x, y))."
                )
            yield batch
        if not batch:
            raise ValueError(
                "`x` must hold a batch. Received: a dataset that is empty, or has nothing left. "
                "Look at its source."
            )


def _read_off(rates: np.ndarray, losses: np.ndarray, smoothing: float) -> LearningRates:
    axis = np.log10(rates)
    kernel = np.exp(-0.5 * ((axis[:, None] - axis) / smoothing) ** 2)
    capped = np.minimum(losses, losses.min() + 3 * abs(losses[0]))
    smoothed = kernel @ capped / kernel.sum(axis=1)
    bottom = int(smoothed.argmin())
    drop = smoothed[0] - smoothed[bottom]
    noise = np.std(capped[: bottom + 1] - smoothed[: bottom + 1])
    if bottom < 2 or drop <= noise + 1e-6 * abs(smoothed[0]):
        return LearningRates(rates, losses, smoothed, None, None)
    begin = int(np.flatnonzero(smoothed[:bottom] >= smoothed[0] - 0.1 * drop)[-1])
    slope = np.gradient(smoothed, axis)[begin : bottom + 1]
    steepest = begin + int(slope.argmin())
    low, high = float(rates[begin]), float(rates[bottom])
    return LearningRates(rates, losses, smoothed, (low, high), float(rates[steepest]))
