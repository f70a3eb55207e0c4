"""Fine-tuning in one call: the head first, then the chosen part of the base."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Integral, Real
from pathlib import Path

from tlhelpers.blocks import split_head, walk
from tlhelpers.features import extract_features
from tlhelpers.freezing import describe, freeze
from tlhelpers.freezing import unfreeze as unfreeze_base
from tlhelpers.guard import FitGuard
from tlhelpers.preprocessing import check_images, check_labels, count_samples, images_of
from tlhelpers.splitting import last_frozen_layer, layers_of_base, split_at

import keras
import numpy as np


@dataclass
class Phase:
    """One fit: what trained, how fast, behind which layer the data was run only once.

    The seconds of the first phase include the run through what is frozen in both.
    """

    name: str
    epochs: int
    learning_rate: float | keras.optimizers.schedules.LearningRateSchedule
    trainable: int
    cached_behind: str | None = None
    seconds: float = 0.0


@dataclass
class FineTuning:
    """What `fine_tune` returns.

    `history` maps each metric to its values over all epochs, as Keras' own history does; `phases`
    tells them apart; `best` is the epoch (from 0) whose weights the model has now.
    """

    phases: list[Phase] = field(default_factory=list)
    history: dict[str, list[float]] = field(default_factory=dict)
    monitor: str | None = None
    best: int | None = None

    @property
    def boundaries(self) -> list[int]:
        """The first epoch (from 0) of every phase after the first one."""
        ends = np.cumsum([phase.epochs for phase in self.phases])
        return [int(end) for end in ends[:-1]]

    def __str__(self) -> str:
        rows = []
        for phase in self.phases:
            behind = phase.cached_behind
            cached = f", cached behind {behind}" if behind else ", not cached"
            rate = phase.learning_rate
            rate = f"{rate:g}" if isinstance(rate, Real) else type(rate).__name__
            rows.append(
                f"{phase.name}: {phase.epochs} epochs, {phase.trainable:,} weights at {rate}"
                f"{cached}, {phase.seconds:.0f} s"
            )
        if self.best is not None:
            value = self.history[self.monitor][self.best]
            rows.append(f"kept: epoch {self.best + 1} ({self.monitor} {value:.3f})")
        return "\n".join(rows)

    __repr__ = __str__


class _KeepBest(keras.callbacks.Callback):
    """Remember the weights of the best epoch over several fits; `restore` brings them back."""

    def __init__(self, result: FineTuning):
        super().__init__()
        self.result, self.weights = result, None

    def on_train_begin(self, logs=None):
        self.weights = [(v, v.numpy()) for v in self.model.variables]  # the better one, before

    def on_epoch_end(self, epoch, logs=None):
        for name, value in logs.items():
            self.result.history.setdefault(name, []).append(float(value))
        values = self.result.history.get(self.result.monitor)
        if not values:
            return
        pick = np.nanargmin if self.result.monitor.endswith("loss") else np.nanargmax
        if np.isfinite(values[-1]) and int(pick(values)) == len(values) - 1:
            self.result.best = len(values) - 1
            self.weights = [(v, v.numpy()) for v in self.model.variables]

    def restore(self) -> None:
        if self.result.best is not None:
            for variable, value in self.weights:
                variable.assign(value)


def fine_tune(
    model: keras.Model,
    train,
    validation=None,
    unfreeze: Mapping | int | None = 1,
    head_epochs: int = 5,
    epochs: int = 5,
    head_learning_rate: float = 1e-3,
    learning_rate: float = 1e-4,
    cache_prefix: bool | str | Path = True,
    batch_size: int = 32,
    loss=None,
    metrics=None,
    verbose: int = 0,
) -> FineTuning:
    """Train the head on the frozen base, then head and top of the base together, more gently.

    Each phase compiles with a fresh Adam whose learning rate falls to zero along half a cosine, so
    that the last epochs are not the noisiest. The better of before and after is kept: the model
    ends with the weights of its best epoch on the validation data, over both phases.

    Args:
        model: a model with a base and a head, such as `build_classifier` returns; changed in place.
        train: `(x, y)` arrays (x may be a dictionary of arrays, as for text), or a
            `tf.data.Dataset` of batches.
        validation: the same, kept out of training; without it the last epoch is kept.
        unfreeze: how much of the base learns in the second phase: a number of blocks, or the
            arguments of `unfreeze` as a dict (`{"from_layer": "block5_conv1"}`); None for none.
        head_epochs, epochs: epochs of the first and the second phase, at least 0.
        head_learning_rate, learning_rate: the rates that they begin with, above 0, or Keras
            schedules, which are taken as they are.
        cache_prefix: run the part of the model that is frozen and deterministic over the data
            once, not once per epoch, and train the rest on its outputs. The result is the same,
            but for dropout inside of the frozen base, which is then off, and for augmentation in
            the pipeline of a dataset, which is then drawn once: pass False for that. A folder
            keeps the outputs on disk. Where nothing can be cached (the model augments its
            images, or all of the base learns) a phase trains as usual; the result says which.
        batch_size: samples per step, for arrays.
        loss, metrics: as in `compile`; by default cross-entropy on logits and accuracy (binary for
            a model with one logit). Multilabel and regression models need theirs given.
        verbose: as in `fit`.

    Returns:
        A `FineTuning` with named phases "head" and "fine-tuning". The model is left
        compiled, with the optimizer of the last phase, and can be saved; its learning rate has come
        down to zero, so compile again to go on.

    Raises:
        ValueError: before any training: a model without a head or without a graph, a bad amount
            to unfreeze, images out of 0..255, labels that are not integers in
            0..num_classes - 1, numbers out of range.

    Example:
        >>> history = tl.fine_tune(model, (x, y), (x_val, y_val), unfreeze=1)
        >>> tl.plot_history(history)

    Reference:
        Howard and Ruder, "Universal Language Model Fine-tuning for Text Classification", ACL 2018
        (section 3.3 trains the new layers first); Kornblith et al., "Do Better ImageNet Models
        Transfer Better?", CVPR 2019 (frozen against fine-tuned).
    """
    walk(model)  # a model with a graph, or an error
    if not split_head(model)[1]:
        raise ValueError(
            f"A model with a head is required. Received: model={model.name!r}, a base alone. "
            "Put one on it: build_classifier(base, num_classes)."
        )
    amount = {"blocks": unfreeze} if isinstance(unfreeze, Integral) else unfreeze
    if amount is not None and not isinstance(amount, Mapping):
        raise ValueError(
            "unfreeze must be a number of blocks, a dict of the arguments of unfreeze, or None. "
            f"Received: unfreeze={unfreeze!r}. For a share: unfreeze={{'fraction': 0.5}}."
        )
    _check_numbers(head_epochs, epochs, head_learning_rate, learning_rate)
    if isinstance(batch_size, bool) or not isinstance(batch_size, Integral) or batch_size < 1:
        raise ValueError(f"batch_size must be at least 1. Received: batch_size={batch_size!r}.")
    _check_data(model, train, loss, "train")
    if validation is not None:
        _check_data(model, validation, loss, "validation")
    plan = [("head", head_epochs, head_learning_rate)]
    if amount is not None:
        unfreeze_base(model, **amount)  # a bad amount is found here, before any training
        plan.append(("fine-tuning", epochs, learning_rate))
    if loss is None:
        loss, metrics = _loss_of(model, metrics)
    result = FineTuning(monitor=_monitor(validation, metrics))
    keep = _KeepBest(result)
    base_layers = layers_of_base(model)
    whole = _Cached(model, train, validation)
    begin = time.perf_counter()
    if cache_prefix and epochs and head_epochs:
        whole = whole.behind(base_layers, cache_prefix)  # frozen in both phases: run only once
    for name, number, rate in plan:
        freeze(model) if name == "head" else unfreeze_base(model, **amount)
        model.compile(keras.optimizers.Adam(rate), loss=loss, metrics=metrics)
        if not number:
            continue
        phase = Phase(name, number, rate, describe(model).trainable)
        result.phases.append(phase)
        part = whole.behind(base_layers, cache_prefix) if cache_prefix else whole
        steps = number * _steps_per_epoch(part.train, batch_size)
        part.model.compile(_optimizer(rate, steps), loss=loss, metrics=metrics)
        phase.cached_behind = part.layer
        part.fit([FitGuard(), keep], number, batch_size, verbose)
        keep.restore()
        if part.model is not model:  # what the optimizer has gathered belongs to these weights
            model.compile(part.model.optimizer, loss=loss, metrics=metrics)
        begin, phase.seconds = time.perf_counter(), time.perf_counter() - begin
    return result


@dataclass
class _Cached:
    """A model, or the tail of it, with the data that goes into it."""

    model: keras.Model
    train: object
    validation: object
    layer: str | None = None

    def behind(self, base_layers: set[int], folder) -> _Cached:
        """Run what is frozen and deterministic once, and return the rest with its outputs."""
        layer = last_frozen_layer(self.model, base_layers)
        if layer is None:
            return self
        prefix, tail = split_at(self.model, layer)
        folder = None if folder is True else folder
        train, validation = (
            data if data is None else _run_prefix(prefix, data, folder)
            for data in (self.train, self.validation)
        )
        return _Cached(tail, train, validation, layer.name)

    def fit(self, callbacks, epochs: int, batch_size: int, verbose: int) -> None:
        arrays = isinstance(self.train, tuple | list)
        x, y = (self.train[0], np.asarray(self.train[1])) if arrays else (self.train, None)
        self.model.fit(
            x,
            y,
            batch_size=batch_size if arrays else None,
            shuffle=arrays,
            epochs=epochs,
            validation_data=self.validation,
            callbacks=callbacks,
            verbose=verbose,
        )


def _optimizer(rate, steps: int) -> keras.optimizers.Optimizer:
    """Return a fresh Adam whose rate falls to zero along half a cosine."""
    if isinstance(rate, Real) and steps > 0:
        rate = keras.optimizers.schedules.CosineDecay(float(rate), steps)
    return keras.optimizers.Adam(rate)


def _steps_per_epoch(train, batch_size: int) -> int:
    """Return the batches of an epoch; a dataset that does not know gives a number below 1."""
    if isinstance(train, tuple | list):
        return -(-count_samples(train[0]) // batch_size)
    return int(train.cardinality())


def _run_prefix(prefix: keras.Model, data, folder):
    if isinstance(data, tuple | list):
        return extract_features(prefix, *data, cache=folder)
    return extract_features(prefix, data)


def _loss_of(model: keras.Model, metrics):
    if model.output_shape[-1] == 1:
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
        return loss, metrics or [keras.metrics.BinaryAccuracy("accuracy", threshold=0.0)]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return loss, metrics or ["accuracy"]


def _monitor(validation, metrics) -> str | None:
    if validation is None:
        return None
    names = [getattr(metric, "name", metric) for metric in metrics or ()]
    return "val_accuracy" if "accuracy" in names else "val_loss"


def _check_numbers(head_epochs, epochs, head_learning_rate, learning_rate) -> None:
    for name, value in {"head_epochs": head_epochs, "epochs": epochs}.items():
        if isinstance(value, bool) or not isinstance(value, Integral) or value < 0:
            raise ValueError(
                f"{name} must be a whole number, at least 0. Received: {name}={value}."
            )
    rates = {"head_learning_rate": head_learning_rate, "learning_rate": learning_rate}
    for name, value in rates.items():
        if isinstance(value, keras.optimizers.schedules.LearningRateSchedule):
            continue
        if isinstance(value, bool) or not isinstance(value, Real) or not 0 < value < np.inf:
            raise ValueError(f"{name} must be a number above 0. Received: {name}={value!r}.")


def _check_data(model: keras.Model, data, loss, name: str) -> None:
    if hasattr(data, "element_spec"):
        images = images_of(model)
        for batch in data.take(1) if images is not None else ():
            check_images(batch[0] if isinstance(batch, tuple) else batch, images)
        return
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise ValueError(
            f"{name} must be a pair (x, y) or a tf.data.Dataset of batches. "
            f"Received: {name} of type {type(data).__name__}."
        )
    x, y = data
    if (images := images_of(model)) is not None:
        check_images(x, images)
    if loss is None:
        logits = model.output_shape[-1]
        try:
            check_labels(y, num_classes=2 if logits == 1 else logits, n=count_samples(x))
        except ValueError as error:
            raise ValueError(
                f"{error} For a multilabel or regression model give loss=... and metrics=..."
            ) from None
