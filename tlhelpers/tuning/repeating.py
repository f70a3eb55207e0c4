"""Train one compiled model again and again, each time from the weights that are given."""

import functools
import json
import math
import time
from collections.abc import Sequence
from typing import NamedTuple

from tlhelpers.checks.devices import count_devices
from tlhelpers.checks.features import to_numpy
from tlhelpers.checks.seeds import check_seed
from tlhelpers.checks.words import check_number, check_whole
from tlhelpers.models.graph import inputs_of
from tlhelpers.models.splitting import split_at
from tlhelpers.models.state import check_built, read, variables_of, write
from tlhelpers.tuning.features import extract_features
from tlhelpers.tuning.fitting import compile_afresh, compiled_with, end_for_loss, read_data
from tlhelpers.tuning.prefix import own_methods

import keras
import numpy as np
from keras.optimizers.schedules import LearningRateSchedule

SMALL = (20, 1_000_000)  # arrays and weights that learn, at most
MOST_STEPS = 10  # in one graph: their batches are in memory together, and Ctrl-C waits for them


class Trained(NamedTuple):
    """What one training ends with: the weights of the whole model, its score, the seconds."""

    weights: list[np.ndarray]
    score: float
    seconds: float


def compile_once(
    model: keras.Model,
    behind: str | None = None,
    optimizer: keras.optimizers.Optimizer | None = None,
    loss=None,
    metrics=None,
    batch_size: int = 32,
) -> "Repeated":
    """Compile what learns in a model now, to train it from many beginnings without new traces.

    `fine_tune` compiles for each fit, and TensorFlow then traces the network again. That's right
    for one training. For a comparison over seeds and sizes it would be most of the time.

    Args:
        model: a built model; what is `trainable` now will learn in each training, whatever is
            frozen and unfrozen in between.
        behind: the last layer of a frozen part. Then only what lies behind it is trained, on
            `features(x)`: the frozen part runs over the data once (see `split_at`).
        optimizer: not yet used; its state is put back before each training. Adam by default.
        loss, metrics: as in `fine_tune`. They fit the end of the model by default; the first
            metric is the score.
        batch_size: samples per step.

    Returns:
        A `Repeated` with `features(x)`, `train(x, y, ...)` and `score(x, y)`.

    Raises:
        ValueError: a model that isn't built or where nothing learns, weights that learn before the
            layer `behind`, and what `split_at` refuses; no loss for a model whose end doesn't tell
            logits from probabilities.

    Example:
        >>> tl.unfreeze(model, blocks=1)  # doctest: +ELLIPSIS
        block ...
        >>> again = tl.compile_once(model, batch_size=4)
        >>> start = model.get_weights()
        >>> ends = [
        ...     again.train(x_train, y_train, start, epochs=2, seed=seed, test=(x_val, y_val))
        ...     for seed in (0, 1, 0)
        ... ]
        >>> ends[0].score == ends[2].score  # the same seed, the same training
        True
    """
    return Repeated(model, behind, optimizer, loss, metrics, batch_size)


class Repeated:
    """What `compile_once` returns. `net` is compiled; it shares its weights with `model`."""

    def __init__(self, model, behind=None, optimizer=None, loss=None, metrics=None, batch_size=32):
        check_built(model)
        if (devices := count_devices(model)) > 1:
            raise ValueError(
                f"`model` must be on one device. Received: model={model.name!r} on {devices}. Make "
                "it outside the strategy's scope, or use tl.fine_tune."
            )
        if own := own_methods(model):
            raise ValueError(
                f"`model` must train as Keras does. Received: model={model.name!r} with its own "
                f"{', '.join(own)}. Call its own fit."
            )
        self.model, self._prefix = model, None
        self.net = model
        if getattr(model, "inputs", None):  # a net of its own keeps what it compiled
            sequential = isinstance(model, keras.Sequential)
            outputs = model.outputs[0] if sequential else model.output
            self.net = keras.Model(inputs_of(model), outputs)
        self.batch_size = check_whole("batch_size", batch_size, 1)
        if behind is not None:
            self._prefix, self.net = split_at(model, behind)
        before = [] if self._prefix is None else self._prefix.trainable_variables
        if before or not self.net.trainable_variables:
            raise ValueError(
                "`model` must have weights that learn, none of them before the layer `behind`. "
                f"Received: {model.name!r}, behind={behind!r}, {len(before)} arrays that learn "
                "before it. Use tl.freeze or tl.unfreeze first."
            )
        self._end = end_for_loss(self.net, loss)
        if self._end and self._end.kind is None and self._end.task != "regression":
            raise ValueError(
                "`loss` must be given for a model whose end doesn't tell logits from probabilities."
                f" Received: loss=None, model={self.net.name!r}. Use the one that it was made for."
            )
        settings = compiled_with(self._end, loss, metrics)
        compile_afresh(self.net, optimizer or keras.optimizers.Adam(), **settings)
        changing = {id(v): v for v in [*model.variables, *variables_of(self.net)]}
        self._variables = list(changing.values())
        self._fresh, self._traced = read(self._variables), False
        self._flags = [(layer, layer.trainable) for layer in model._flatten_layers()]
        self._take = in_one_graph(self.net)
        weights = {id(v) for v in model.weights}
        names = [v.path.rsplit("/")[-1] for v in self._variables]
        self._seeds = [
            v for v, name in zip(self._variables, names, strict=True)
            if name == "seed_generator_state" and id(v) not in weights
        ]  # fmt: skip

    def features(self, x):
        """Return what the frozen part makes of inputs; the inputs themselves without such a part.

        Give it to `train` and `score`.
        """
        if self._prefix is None:
            return x
        frozen = {id(v) for v in self._prefix.variables}
        pairs = zip(self._variables, self._fresh, strict=True)
        mine = [(v, a) for v, a in pairs if id(v) in frozen]
        write([v for v, _ in mine], [a for _, a in mine])  # another training may have changed it
        return extract_features(self._prefix, x)

    def train(
        self,
        x,
        y,
        weights: Sequence[np.ndarray] | None = None,
        *,
        epochs: int,
        seed: int = 0,
        learning_rate: float | LearningRateSchedule | None = None,
        test: tuple | None = None,
    ) -> Trained:
        """Train from these weights, with an optimizer that has seen nothing.

        The model keeps the weights of the end until the next training. No random state outside of
        the model is read or changed.

        Args:
            x, y: what `features` returned (rows of it), and its labels.
            weights: of the whole model, as `get_weights` gives them; by default those that it had
                in `compile_once`. The frozen part's must be the ones that it has.
            epochs: passes over the data.
            seed: draws the order of the samples, and dropout.
            learning_rate: a number, or a schedule over the steps such as `warmup_cosine`; by
                default the optimizer's own.
            test: `(x, y)` for the score, which is NaN without it.

        Raises:
            ValueError: weights of another model, or another frozen part; data that don't fit.
        """
        x, y = read_data(self.net, (x, y), "data", self._end)
        epochs = check_whole("epochs", epochs, 1)
        rng = np.random.default_rng(check_seed(seed))
        count = len(keras.tree.flatten(y)[0])
        rates = self._rates(learning_rate, epochs, -(-count // self.batch_size))
        begin = self._beginning(weights)
        if test is not None:
            test = read_data(self.net, test, "test", self._end)
        x, y = keras.tree.map_structure(to_numpy, (x, y))  # rows are drawn from them
        if not self._traced:  # so that the first seconds are like the others
            self._restart(begin, seed)
            first = np.arange(self.batch_size) % count
            self.net.train_on_batch(*rows_of((x, y), first))
            self._pass(x, y, first, None if rates is None else rates[0])
            self._traced = True
        self._restart(begin, seed)
        started = time.perf_counter()
        for epoch in range(epochs):
            self._pass(x, y, rng.permutation(count), None if rates is None else rates[epoch])
        seconds = time.perf_counter() - started
        score = self.score(*test) if test is not None else float("nan")
        return Trained(self.model.get_weights(), score, seconds)

    def score(self, x, y) -> float:
        """Return the first metric on data, of the model as it is; the loss without a metric."""
        x, y = read_data(self.net, (x, y), "test", self._end)
        found = self.net.evaluate(x, y, batch_size=max(self.batch_size, 200), verbose=0)
        found = found if isinstance(found, list) else [found]
        outputs = len(getattr(self.net, "outputs", None) or [0])
        first = 1 + (outputs if outputs > 1 else 0)  # behind the loss, and that of each output
        return float(found[first] if len(found) > first else found[0])

    def _pass(self, x, y, order, rates):
        """Take a step for each batch: many in one graph, the rest one by one."""
        size = self.batch_size
        many = len(order) // size if self._take else 0  # the last batch may be smaller
        for first in range(0, many, MOST_STEPS):
            few = slice(first, min(first + MOST_STEPS, many))
            rows = order[few.start * size : few.stop * size].reshape(-1, size)
            self._take(rows_of((x, y), rows), None if rates is None else rates[few])
        for step in range(many, -(-len(order) // size)):
            if rates is not None:
                self.net.optimizer.learning_rate = rates[step]
            self.net.train_on_batch(*rows_of((x, y), order[step * size : (step + 1) * size]))

    def _rates(self, rate, epochs: int, steps: int) -> np.ndarray | None:
        if rate is None:
            return None
        if isinstance(rate, LearningRateSchedule):
            rates = rates_of(rate, epochs * steps)
        else:
            rates = (check_number("learning_rate", rate, "(0, inf)"),) * (epochs * steps)
        return np.array(rates, "float32").reshape(epochs, steps)

    def _beginning(self, weights) -> list[np.ndarray] | None:
        mine = self.model.weights
        if weights is None:
            return None
        if [tuple(v.shape) for v in mine] != [np.shape(a) for a in weights]:
            raise ValueError(
                f"`weights` must be those of the whole model, {len(mine)} arrays. Received: "
                f"{len(weights)} arrays. Take model.get_weights(), with equal layers."
            )
        frozen = {id(v) for v in self._prefix.weights} if self._prefix is not None else set()
        fresh = {id(v): a for v, a in zip(self._variables, self._fresh, strict=True)}
        for variable, array in zip(mine, weights, strict=True):
            if id(variable) in frozen and not np.array_equal(fresh[id(variable)], array):
                raise ValueError(
                    "`weights` must agree with the model in its frozen part, as it was in "
                    f"compile_once. Received: another {variable.path}. Set them before."
                )
        return list(weights)

    def _restart(self, weights, seed):
        for layer, flag in self._flags:  # a parent comes before its children
            if layer.trainable != flag:
                layer.trainable = flag
        self.net.compiled = True  # `unfreeze` asks to compile again, but these flags are as before
        write(self._variables, self._fresh)
        if weights is not None:
            write(self.model.weights, weights)
        rng = np.random.default_rng([seed, 1])  # beside the one of the order
        for state in self._seeds:
            state.assign(rng.integers(0, 2**32, state.shape, dtype="uint32"))


def rates_of(schedule: LearningRateSchedule, steps: int) -> tuple[float, ...]:
    """Return the rate at each step; those of Keras' own schedules, 4 ms for each, are kept."""
    if type(schedule).__module__.startswith("keras."):
        told = {"class": type(schedule).__name__, "config": schedule.get_config()}
        return _known_rates(json.dumps(told, default=float), steps)
    return tuple(float(schedule(step)) for step in range(steps))


@functools.lru_cache(256)
def _known_rates(told: str, steps: int) -> tuple[float, ...]:
    known = json.loads(told)
    schedule = getattr(keras.optimizers.schedules, known["class"]).from_config(known["config"])
    return tuple(float(schedule(step)) for step in range(steps))


def rows_of(data, rows: np.ndarray):
    """Return these rows of each array in a structure."""
    return keras.tree.map_structure(lambda part: part[rows], data)


def in_one_graph(net):
    """Return a function that takes the steps of many batches; None for a network that isn't small.

    Called from Python one by one, the steps of a small network are a third waiting. With more
    layers TensorFlow takes longer to prepare the graph than it saves (MobileNetV2: seconds).
    """
    sizes = [math.prod(v.shape) for v in net.trainable_variables]
    if len(sizes) > SMALL[0] or sum(sizes) > SMALL[1] or keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    def take(batches, rates):
        def step(number):
            if rates is not None:
                net.optimizer.learning_rate = rates[number]
            net.train_function(iter([(*rows_of(batches, number), None)]))
            return number + 1

        count = tf.shape(keras.tree.flatten(batches)[0])[0]
        tf.while_loop(lambda number: number < count, step, [0], parallel_iterations=1)

    return tf.function(take, reduce_retracing=True, autograph=False)
