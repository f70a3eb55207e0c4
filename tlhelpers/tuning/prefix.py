"""The frozen part of a model, run over the data once, or once for each augmented copy."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from tlhelpers.checks.data import count_samples
from tlhelpers.models.anatomy import learns, walk
from tlhelpers.models.splitting import last_frozen_layer, split_at
from tlhelpers.tuning.features import extract_features

import keras
import numpy as np


@dataclass
class Part:
    """A model, or the tail of it, with the data that goes into it.

    `copies` are the training data, as one pass over them gives them: one for each augmented pass.
    """

    model: keras.Model
    copies: list
    validation: object
    layer: str | None = None
    seed: int = 0

    def behind(self, base_layers: set[int], folder=None, passes: int = 1) -> Part:
        """Run what is frozen and deterministic, and return the rest with its outputs.

        Args:
            base_layers: the `id` of every layer of the base.
            folder: where the outputs for arrays are kept.
            passes: how often, each time with another draw of the augmentation.
        """
        layer = place_to_cache(self.model, base_layers, passes)
        if layer is None:
            return self
        prefix, tail = split_at(self.model, layer)
        if passes == 1:
            copies, seed = [_run(prefix, data, folder) for data in self.copies], self.seed
        else:
            copies = _draw(_augmenting(self.model, layer), self.copies[0], passes)
            seed = np.random.randint(2**31)
        validation = None if self.validation is None else _run(prefix, self.validation, folder)
        return Part(tail, copies, validation, layer.name, seed)

    def steps(self, batch_size: int) -> int:
        """Return the batches of an epoch; a dataset that does not know gives a number below 1."""
        data = self.copies[0]
        if isinstance(data, tuple | list):
            return -(-count_samples(data[0]) // batch_size)
        return int(data.cardinality())

    def score(self, monitor: str | None) -> float | None:
        """Return the metric of the validation data, such as "val_loss", as it is now."""
        if self.validation is None:
            return None
        arrays = isinstance(self.validation, tuple | list)
        data = self.validation if arrays else [self.validation]
        return self.model.evaluate(*data, verbose=0, return_dict=True)[monitor.removeprefix("val_")]

    def fit(self, callbacks, begin: int, epochs: int, batch_size: int, verbose: int = 0) -> None:
        """Train for some epochs; epoch `begin`, and each one after it, takes the next copy."""
        data = {"x": self.copies[0], "shuffle": False}
        if len(self.copies) > 1:
            rows = range(begin, begin + epochs)
            batches = Shuffled(self.copies, batch_size, (self.seed,), rows)
            data = {"x": batches, "steps_per_epoch": batches.steps, "shuffle": False}
        elif isinstance(self.copies[0], tuple | list):
            x, y = self.copies[0]
            data = {"x": x, "y": np.asarray(y), "batch_size": batch_size}
        validation = self.validation
        self.model.fit(
            **data, epochs=epochs, validation_data=validation, callbacks=callbacks, verbose=verbose
        )


class Shuffled(keras.utils.PyDataset):
    """The batches of some epochs; their order depends on the seed and the epoch alone.

    Epoch e takes copy `e % len(copies)`, each of them `(x, y)` arrays of one length.
    """

    def __init__(self, copies: Sequence, batch_size: int, seed: Sequence[int], epochs: range):
        super().__init__()
        self.copies, self.batch_size = copies, batch_size
        self.seed, self.epochs = seed, epochs
        self.steps = -(-len(copies[0][1]) // batch_size)
        self.order = functools.lru_cache(2)(self._order)  # Keras reads ahead into the next epoch

    def _order(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([*self.seed, epoch]).permutation(len(self.copies[0][1]))

    def __len__(self):
        return len(self.epochs) * self.steps

    def __getitem__(self, index):
        past, batch = divmod(index, self.steps)
        epoch = self.epochs.start + past
        rows = self.order(epoch)[batch * self.batch_size :][: self.batch_size]
        copy = self.copies[epoch % len(self.copies)]
        return keras.tree.map_structure(lambda part: part[rows], tuple(copy))


def place_to_cache(model: keras.Model, base_layers: set[int], passes: int = 1):
    """Return the layer behind which outputs can be kept, or None; see `last_frozen_layer`."""
    drawn = last_augmentation(model) if passes > 1 else None
    return last_frozen_layer(split_at(model, drawn)[1] if drawn else model, base_layers)


def why_not_cached(model: keras.Model, passes: int = 1) -> str:
    """Return the reason why nothing of a model can be run once for all epochs."""
    trained = {id(variable) for variable in model.trainable_variables}
    try:
        drawn = last_augmentation(model)
        first = next((layer for layer in _in_order(model) if learns(layer)), None)
    except ValueError:
        return "the model has no graph to cut"
    if drawn is not None and passes == 1:
        return f"{drawn.name} draws anew in every epoch; passes=k would cache k such copies"
    if first is not None and any(id(v) in trained for v in first.variables):
        return f"everything from {first.name} on learns"
    return "no place in its frozen part carries everything in one tensor"


def last_augmentation(model: keras.Model) -> keras.Layer | None:
    """Return the last layer that draws random numbers in front of all that learns."""
    found = None
    for step in walk(model):
        if learns(step.layer):
            nested = isinstance(step.layer, keras.Model)
            return (last_augmentation(step.layer) if nested else None) or found
        parts = step.layer._flatten_layers() if isinstance(step.layer, keras.Layer) else ()
        if any(part._seed_generators for part in parts):
            found = step.layer
    return found


def _in_order(model: keras.Model):
    for step in walk(model):
        if isinstance(step.layer, keras.Model):
            yield from _in_order(step.layer)
        else:
            yield step.layer


class _Drawing(keras.layers.Layer):
    """A model in training mode, wherever it is called: its augmentation draws."""

    def __init__(self, model: keras.Model):
        super().__init__(name=f"{model.name}_drawing")
        self.model = model

    def call(self, x):
        return self.model(x, training=True)


def _augmenting(model: keras.Model, layer: keras.Operation) -> keras.Model:
    """Return the part of a model up to a layer, with the augmentation in front of it at work."""
    drawn = last_augmentation(model)
    if drawn is None:
        return split_at(model, layer)[0]
    front, rest = split_at(model, drawn)
    inputs = keras.tree.map_structure(
        lambda tensor: keras.Input(tensor.shape[1:], dtype=tensor.dtype, name=tensor.name),
        model.input,
    )
    return keras.Model(inputs, split_at(rest, layer)[0](_Drawing(front)(inputs)), name=model.name)


def _run(prefix: keras.Model, data, folder):
    if isinstance(data, tuple | list):
        return extract_features(prefix, *data, cache=folder)
    return extract_features(prefix, data)


def _draw(prefix: keras.Model, data, passes: int) -> list:
    """Return the outputs and labels of each pass, which all must differ."""
    if isinstance(data, tuple | list):
        copies = [extract_features(prefix, *data) for _ in range(passes)]
    else:  # one iterator: a new one would draw the same numbers again after tl.set_seed
        both = extract_features(prefix, data.repeat(passes))
        count = len(both[1]) // passes
        copies = [
            keras.tree.map_structure(lambda part, n=n: part[n * count : (n + 1) * count], both)
            for n in range(passes)
        ]
    first, second = (np.sort(_sums(features)) for features, _ in copies[:2])
    if np.allclose(first, second, rtol=1e-5):
        raise ValueError(
            f"passes={passes} needs passes that augment anew each time. Received: passes with "
            "equal outputs. Augment behind dataset.cache(), or use passes=1."
        )
    return copies


def _sums(features) -> np.ndarray:
    parts = [np.asarray(part, "float64") for part in keras.tree.flatten(features)]
    return sum(part.reshape(len(part), -1).sum(axis=1) for part in parts)
