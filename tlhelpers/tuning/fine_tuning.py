"""Fine-tuning in one call: the head first, then the chosen part of the base."""

from __future__ import annotations

import time
from collections.abc import Mapping
from numbers import Integral, Real
from pathlib import Path

from tlhelpers.checks.data import check_images, check_labels, check_tokens, count_samples
from tlhelpers.models.anatomy import split_head, walk
from tlhelpers.models.preprocessing import images_of
from tlhelpers.models.splitting import layers_of_base
from tlhelpers.tuning.freezing import describe, freeze
from tlhelpers.tuning.freezing import unfreeze as unfreeze_base
from tlhelpers.tuning.guard import FitGuard
from tlhelpers.tuning.history import FineTuning, Phase, monitor_of
from tlhelpers.tuning.lora import check_no_adapters
from tlhelpers.tuning.prefix import Part, last_augmentation, place_to_cache, why_not_cached

import keras
import numpy as np


class _KeepBest(keras.callbacks.Callback):
    """Remember the weights of the best epoch over several fits; `restore` brings them back."""

    def __init__(self, result: FineTuning):
        super().__init__()
        self.result, self.weights = result, None

    def on_train_begin(self, logs=None):
        self.weights = [(v, v.numpy()) for v in self.model.variables]  # the better one, before

    def on_epoch_end(self, epoch, logs=None):
        if self.result.add(logs):
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
    passes: int = 1,
    batch_size: int = 32,
    loss=None,
    metrics=None,
    verbose: int = 1,
) -> FineTuning:
    """Train the head on the frozen base, then head and top of the base together, more gently.

    Prints its plan first: what learns in each phase, how fast, and what is cached or why not. Each
    phase compiles with a fresh Adam whose learning rate falls to zero along half a cosine, so that
    the last epochs are not the noisiest. The better of before and after is kept: the model ends
    with the weights of its best epoch on the validation data, over both phases; without a head
    phase, with those from before if no epoch was better.

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
            the pipeline of a dataset, which is then drawn once: pass False, or `passes`, for that.
            A folder keeps the outputs on disk. Where nothing can be cached (the model augments
            its images, or all of the base learns) a phase trains as usual; the plan says why.
        passes: with augmentation (random layers of the model in front of the base, or random
            operations in a dataset's `map`): run the frozen part k times over the data, so that
            each epoch trains on the next of k augmented copies, in turn. They do differ, while
            `tf.random` in a `map`, after `tl.set_seed`, repeats its numbers in every epoch of a
            plain fit.
        batch_size: samples per step, for arrays.
        loss, metrics: as in `compile`; by default cross-entropy on logits and accuracy (binary for
            a model with one logit). Multilabel and regression models need theirs given.
        verbose: 0 prints nothing, 1 the plan, 2 also Keras' line for each epoch.

    Returns:
        A `FineTuning` with named phases "head" and "fine-tuning". The model is left
        compiled, with the optimizer of the last phase, and can be saved; its learning rate has come
        down to zero, so compile again to go on.

    Raises:
        ValueError: before any training: a model without a head or without a graph, or with LoRA;
            a bad amount to unfreeze; images out of 0..255; labels that are not integers in
            0..num_classes - 1 (of a dataset, those of the first batch); numbers out of range;
            passes where nothing augments or is cached.

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
    check_no_adapters(model)
    amount = {"blocks": unfreeze} if isinstance(unfreeze, Integral) else unfreeze
    if amount is not None and not isinstance(amount, Mapping):
        raise ValueError(
            "unfreeze must be a number of blocks, a dict of the arguments of unfreeze, or None. "
            f"Received: unfreeze={unfreeze!r}. For a share: unfreeze={{'fraction': 0.5}}."
        )
    _check_numbers(head_epochs, epochs, head_learning_rate, learning_rate, batch_size, verbose)
    check_data(model, train, loss, "train")
    if validation is not None:
        check_data(model, validation, loss, "validation")
    _check_passes(model, train, passes, cache_prefix)
    phases = [Phase("head", head_epochs, head_learning_rate)]
    if amount is not None:
        phases.append(Phase("fine-tuning", epochs, learning_rate))
    plan = _Plan(model, phases, amount, cache_prefix, passes)
    if loss is None:
        loss, metrics = loss_of(model, metrics)
    result = FineTuning([phase for phase in phases if phase.epochs])
    result.monitor = monitor_of(validation, metrics)
    if verbose:
        kept = f"epoch with the best {result.monitor}" if result.monitor else "last epoch"
        print(f"fine_tune keeps the {kept}", *result.phases, sep="\n  ")
    settings = {"loss": loss, "metrics": metrics}
    _train(plan, Part(model, [train], validation), result, settings, batch_size, verbose)
    return result


class _Plan:
    """What learns in each phase, and behind which layer it can be cached."""

    def __init__(self, model: keras.Model, phases: list[Phase], amount, cache, passes: int):
        self.model, self.phases, self.amount = model, phases, amount
        self.cache, self.passes = cache, passes
        self.base_layers = layers_of_base(model)
        for phase in reversed(phases):  # a bad amount is found before anything changes
            self._look_ahead(phase)
        if passes > 1 and not any(phase.cached_behind for phase in phases if phase.epochs):
            reasons = "; ".join(f"{p.name}: {p.uncached}" for p in phases if p.epochs)
            raise ValueError(
                f"passes={passes} needs a frozen part that can be cached. Received: {reasons}. "
                "Use passes=1, or unfreeze less."
            )

    def choose(self, phase: Phase) -> None:
        """Freeze and unfreeze as a phase needs it."""
        freeze(self.model) if phase.name == "head" else unfreeze_base(self.model, **self.amount)

    def _look_ahead(self, phase: Phase) -> None:
        self.choose(phase)
        table = describe(self.model)
        parts = [row.name for row in table.rows if row.trainable]
        phase.trainable = table.trainable
        phase.learns = ", ".join(parts if len(parts) < 4 else [parts[0], "...", *parts[-2:]])
        layer = self.cache and place_to_cache(self.model, self.base_layers, self.passes)
        phase.cached_behind = layer.name if layer else None
        if not self.cache:
            phase.uncached = f"cache_prefix={self.cache}"
        elif not layer:
            phase.uncached = why_not_cached(self.model, self.passes)

    def behind(self, part: Part) -> Part:
        """Run what is frozen now over the data, and return the rest with its outputs."""
        folder = None if self.cache is True else self.cache
        passes = 1 if part.layer else self.passes
        return part.behind(self.base_layers, folder, passes) if self.cache else part


def _train(plan: _Plan, whole: Part, result: FineTuning, settings, batch_size, verbose) -> None:
    model, keep, done = plan.model, _KeepBest(result), 0
    begin = time.perf_counter()
    if len(result.phases) > 1:
        plan.choose(plan.phases[-1])
        whole = plan.behind(whole)  # frozen in both phases: run only once
    for phase in plan.phases:
        plan.choose(phase)
        model.compile(keras.optimizers.Adam(phase.learning_rate), **settings)
        if not phase.epochs:
            continue
        part = plan.behind(whole)
        phase.cached_behind = part.layer
        steps = phase.epochs * part.steps(batch_size)
        compile_afresh(part.model, _optimizer(phase.learning_rate, steps), **settings)
        if phase.name != "head" and not done:
            result.start(part.score(result.monitor))
        part.fit([FitGuard(), keep], done, phase.epochs, batch_size, 2 if verbose > 1 else 0)
        keep.restore()
        if part.model is not model:  # what the optimizer has gathered belongs to these weights
            compile_afresh(model, part.model.optimizer, **settings)
        done += phase.epochs
        begin, phase.seconds = time.perf_counter(), time.perf_counter() - begin


def _optimizer(rate, steps: int) -> keras.optimizers.Optimizer:
    """Return a fresh Adam whose rate falls to zero along half a cosine."""
    if isinstance(rate, Real) and steps > 0:
        rate = keras.optimizers.schedules.CosineDecay(float(rate), steps)
    return keras.optimizers.Adam(rate)


def compile_afresh(model: keras.Model, optimizer, loss, metrics) -> None:
    """Compile with metrics at zero and all variables made.

    Keras resets only metrics that have been used in this compile, not what another fit left in
    them; and a step in which an optimizer or a metric makes its variables is traced twice.
    """
    for metric in keras.tree.flatten(metrics):
        if isinstance(metric, keras.Metric):
            metric.reset_state()
    model.compile(optimizer, loss=loss, metrics=metrics)
    model.optimizer.build(model.trainable_variables)


def loss_of(model: keras.Model, metrics):
    """Return the loss of a classifier that ends in logits, and its metrics."""
    if model.output_shape[-1] == 1:
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
        return loss, metrics or [keras.metrics.BinaryAccuracy("accuracy", threshold=0.0)]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return loss, metrics or [keras.metrics.SparseCategoricalAccuracy("accuracy")]


def _check_numbers(
    head_epochs, epochs, head_learning_rate, learning_rate, batch_size, verbose
) -> None:
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
    if isinstance(batch_size, bool) or not isinstance(batch_size, Integral) or batch_size < 1:
        raise ValueError(f"batch_size must be at least 1. Received: batch_size={batch_size!r}.")
    if verbose not in (0, 1, 2):
        raise ValueError(
            f"verbose must be 0, 1 (the plan) or 2 (each epoch). Received: verbose={verbose!r}."
        )


def _check_passes(model: keras.Model, train, passes: int, cache) -> None:
    if isinstance(passes, bool) or not isinstance(passes, Integral) or passes < 1:
        raise ValueError(f"passes must be a whole number, 1 or above. Received: passes={passes!r}.")
    if passes == 1:
        return
    if cache is not True:
        raise ValueError(
            "passes needs cache_prefix=True: the copies are drawn anew each time and kept in "
            f"memory. Received: passes={passes}, cache_prefix={cache!r}."
        )
    if not hasattr(train, "element_spec") and last_augmentation(model) is None:
        raise ValueError(
            f"passes={passes} needs augmentation, or all passes would be the same. Received: "
            f"model={model.name!r} without a random layer in front of its base, and arrays. Put "
            "keras.layers.RandomFlip() in front, or use passes=1."
        )


def check_data(model: keras.Model, data, loss, name: str) -> None:
    """Refuse data that the model would misread, before any training; of a dataset one batch."""
    batches = hasattr(data, "element_spec")
    if batches:
        data = next(iter(data.take(1)), None)
    if not isinstance(data, tuple | list) or not (len(data) == 2 or (batches and len(data) == 3)):
        received = "a dataset with elements" if batches else name
        received = (
            "an empty dataset"
            if batches and data is None
            else f"{received} of type {type(data).__name__}"
        )
        raise ValueError(
            f"{name} must be a pair (x, y) or a tf.data.Dataset of batches of such pairs. "
            f"Received: {received}."
        )
    x, y = data[:2]
    check_tokens(model, x)
    if (images := images_of(model)) is not None:
        check_images(x, images)
    if loss is None:
        logits = model.output_shape[-1]
        try:
            y = _whole(y, logits) if batches else y
            check_labels(y, num_classes=2 if logits == 1 else logits, n=count_samples(x))
        except ValueError as error:
            raise ValueError(
                f"{error} For a multilabel or regression model give loss=... and metrics=..."
            ) from None


def _whole(y, logits: int) -> np.ndarray:
    """Return labels as readers of folders and tables make them, 1.0 for 1, as integers."""
    y = np.asarray(y)
    if y.dtype.kind == "f" and np.array_equal(y, np.round(y)):
        y = y.astype("int64")
    return np.ravel(y) if logits == 1 and y.ndim == 2 else y
