"""Fine-tuning in one call: the head first, then the chosen part of the base."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path

from tlhelpers.checks.devices import scope_of
from tlhelpers.checks.words import check_number, check_whole
from tlhelpers.models.anatomy import Anatomy
from tlhelpers.models.graph import Graph
from tlhelpers.tuning.batches import Batches
from tlhelpers.tuning.fitting import compile_afresh, prepare
from tlhelpers.tuning.freezing import Choice, top_of_the_base
from tlhelpers.tuning.guard import FitGuard
from tlhelpers.tuning.history import FineTuning, KeepBest, OnWhole, Phase, monitor_of
from tlhelpers.tuning.layerwise import renew
from tlhelpers.tuning.lora import check_no_adapters
from tlhelpers.tuning.prefix import FrozenPrefix, Part, PrefixCache
from tlhelpers.tuning.resuming import Keeper

import keras


def fine_tune(
    model: keras.Model,
    train,
    validation=None,
    unfreeze: Mapping | int | None = 1,
    head_epochs: int = 5,
    epochs: int = 5,
    head_learning_rate: float = 5e-3,
    learning_rate: float = 1e-4,
    cache_prefix: bool | str | Path = True,
    passes: int = 1,
    batch_size: int | None = None,
    loss=None,
    metrics=None,
    verbose: int = 1,
    optimizer: keras.Optimizer | None = None,
    monitor: str | None = None,
    class_weight: Mapping | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    head: str | None = None,
    folder: str | Path | None = None,
) -> FineTuning:
    """Train the head on the frozen base, then head and top of the base together, more gently.

    Prints its plan first: what learns in each phase, how fast, and what is cached or why not, and
    how much memory or disk that takes. Each phase compiles with a fresh Adam whose learning rate
    falls to zero along half a cosine, so that the last epochs are not the noisiest. The better of
    before and after is kept: the model ends with the weights of its best epoch on the validation
    data, over both phases; without a head phase, with those from before if no epoch was better.

    Args:
        model: a model with a base and a head, such as `build_classifier` returns; changed in place.
        train: `(x, y)` or `(x, y, weights)` arrays (x may be a list or dictionary of arrays, as
            for text), or a finite `tf.data.Dataset` or `PyDataset` of batches of such.
        validation: the same, kept out of training; without it the last epoch is kept.
        unfreeze: how much of the base learns in the second phase: a number of blocks, or the
            arguments of `unfreeze` as a dict (`{"from_layer": "block5_conv1"}`); None for none.
        head_epochs, epochs: epochs of the first and the second phase, at least 0.
        head_learning_rate, learning_rate: the rates that they begin with, above 0, or Keras
            schedules, which are taken as they are.
        cache_prefix: run the part of the model that is frozen and deterministic over the data
            once, not once per epoch, and train the rest on its outputs. The result is the same,
            but for dropout in the frozen base, which is then off, and for augmentation in
            the pipeline of a dataset, which is then drawn once: pass False, or `passes`, for that.
            A folder keeps the outputs on disk. Where nothing can be cached (the model augments
            its images, or all of the base learns) a phase trains as usual; the plan says why.
        passes: with augmentation (random layers of the model in front of the base, or random
            operations in a dataset's `map`): run the frozen part k times over the data, so that
            each epoch trains on the next of k augmented copies, in turn. They do differ, while
            `tf.random` in a `map`, after `tl.set_seed`, repeats its numbers in every epoch of a
            plain fit.
        batch_size: samples per step. None is 32 for arrays, and leaves a dataset's as they are.
        loss, metrics: as in `compile`. By default those of the head's task (`build_head`), on
            logits or probabilities, whichever the model gives: cross-entropy and accuracy, mean
            squared and absolute error for a regression. A model with several outputs needs its own.
        verbose: 0 prints nothing, 1 the plan, 2 also Keras' line for each epoch.
        optimizer: a fresh one that gives class and settings (such as `clipnorm`) to both phases;
            its learning rate is not used. Defaults to Adam.
        monitor: the metric that decides which epoch is kept. Defaults to "val_accuracy", or
            "val_loss" without one; a loss or an error is best where it is lowest.
        class_weight: as in `fit`, a factor for each class.
        callbacks: Keras callbacks; each phase gets copies of its own, and they see the whole model.
            One that stops a fit ends the phase.
        head: name of the layer where the head of an inlined base begins, as in `freeze`.
        folder: where the state is kept after each epoch. If the training is killed, the same call
            goes on from there; a finished one leaves nothing behind. None keeps no state. With a
            folder, the epoch alone draws the order of arrays: a resumed training then ends with
            the weights of one that was never stopped. The order of a dataset is yours. The copies
            of `passes` are drawn again. The callbacks' own state is not kept.

    Returns:
        A `FineTuning` with named phases "head" and "fine-tuning". The model is left
        compiled, with the optimizer of the last phase, and can be saved; its learning rate has come
        down to zero, so compile again to go on.

    Raises:
        ValueError: before any training: a model without a head or without a graph, or with LoRA;
            a head that is no such layer; a bad amount to unfreeze; data that are endless or do not
            fit the model, such as images out of 0..255 or labels above the classes (of a dataset
            that is not cached, those of the first batch); numbers out of range; passes where
            nothing augments or is cached; a folder of another model, other data or another plan; a
            model of a strategy of several machines.

    Example:
        >>> history = tl.fine_tune(model, (x_train, y_train), (x_val, y_val), unfreeze=1)
        fine_tune keeps the epoch with the best val_accuracy
          head: 5 epochs, 18 weights (head) at 0.005, cached behind dropout (360.00 B in memory)
          fine-tuning: 5 epochs, 203 weights (conv2, head) at 0.0001, cached behind re_lu...
        >>> len(history.history["val_accuracy"])
        10

    Reference:
        Howard and Ruder, "Universal Language Model Fine-tuning for Text Classification", ACL 2018
        (section 3.3 trains the new layers first); Kornblith et al., "Do Better ImageNet Models
        Transfer Better?", CVPR 2019 (frozen against fine-tuned).
    """
    anatomy = Anatomy(model, head)
    if anatomy.graph and not anatomy.head:  # a model without a graph raises by itself
        raise ValueError(
            f"`model` must have a head. Received: model={model.name!r}, a base alone. "
            "Put one on it: build_classifier(base, num_classes). Or say where it begins: head=..."
        )
    check_no_adapters(anatomy)
    rates = {"head_learning_rate": head_learning_rate, "learning_rate": learning_rate}
    amount = _amount(unfreeze)
    check_whole("head_epochs", head_epochs, 0)
    check_whole("epochs", epochs, 0)
    if batch_size is not None:
        check_whole("batch_size", batch_size, 1)
    for name, rate in rates.items():
        if not isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
            check_number(name, rate, "(0, inf)")
    check_whole("verbose", verbose, 0, 2, "0 is silent, 1 prints the plan, 2 each epoch too.")
    train, validation, compiled = prepare(model, train, validation, loss, metrics, batch_size)
    whole = Part(model, [train], validation, seed=(0,) if folder else None)
    cache = PrefixCache(anatomy, cache_prefix, passes, isinstance(train, Batches))
    wanted = [(Phase("head", head_epochs, head_learning_rate), Choice(anatomy, []))]
    if amount is not None:
        opened = top_of_the_base(anatomy, **amount)
        wanted.append((Phase("fine-tuning", epochs, learning_rate), opened))
    plan = [_look_ahead(phase, choice, cache, whole) for phase, choice in wanted]
    cache.check_passes([phase for phase, _ in wanted])
    result = FineTuning([phase for phase, _ in wanted if phase.epochs])
    result.monitor = monitor_of(validation, compiled["metrics"], monitor)
    optimizer, size = optimizer or keras.optimizers.Adam(), batch_size or whole.size or 32
    same: dict = {"model": [[v.name, *v.shape] for v in model.variables]}
    same |= {"train": train, "validation": validation, "loss": compiled["loss"], "passes": passes}
    same |= {"unfreeze": amount, "trainable weights": [phase.trainable for phase, _ in wanted]}
    same |= {"head_epochs": head_epochs, "epochs": epochs, **rates, "batch_size": size}
    same |= {"cache_prefix": bool(cache_prefix), "optimizer": optimizer, "monitor": result.monitor}
    same |= {"class_weight": class_weight and sorted(class_weight.items())}
    keeper = Keeper(KeepBest(result), model, folder, "fine_tune", same)
    first = keeper.resume()
    if verbose:
        print(result.plan + keeper.behind)
    fit = {"verbose": 2 if verbose > 1 else 0, "class_weight": class_weight}
    with scope_of(model):
        _train(plan, first, cache, whole, keeper, _Run(compiled, optimizer, fit, callbacks, size))
    return result


@dataclass(frozen=True)
class _Planned:
    """A phase, what learns in it, and where the model can be cut behind what is frozen."""

    phase: Phase
    choice: Choice
    found: FrozenPrefix | None


def _look_ahead(phase: Phase, choice: Choice, cache: PrefixCache, whole: Part) -> _Planned:
    """Plan a phase. The model stays as it is."""
    parts, phase.trainable = choice.learning
    phase.learns = ", ".join(parts if len(parts) < 4 else [parts[0], "...", *parts[-2:]])
    return _Planned(phase, choice, cache.look_ahead(phase, choice, whole))


@dataclass(frozen=True)
class _Run:
    """What is the same in every phase."""

    compiled: dict  # loss and metrics
    optimizer: keras.Optimizer
    fit: dict
    callbacks: Sequence[keras.callbacks.Callback]
    batch_size: int

    def watching(self, model: keras.Model, optimizer) -> list[keras.callbacks.Callback]:
        """Return the user's callbacks for one phase, on the model with this optimizer."""
        if not self.callbacks:
            return []
        if model.optimizer is not optimizer:
            compile_afresh(model, optimizer, **self.compiled)
        return [OnWhole(model, copy.deepcopy(list(self.callbacks)))]


def _train(
    plan: list[_Planned], first: int, cache: PrefixCache, whole: Part, keeper: Keeper, run: _Run
) -> None:
    model, keep, result = whole.model, keeper.best, keeper.result
    done = sum(phase.epochs for phase in result.phases[:first])
    if len(result.phases) > 1:  # frozen in both phases: run only once
        whole = cache.run(whole, plan[-1].found)
    for planned in plan[first:]:
        phase, found = planned.phase, planned.found
        planned.choice.apply()
        model.compile(renew(run.optimizer, phase.learning_rate), **run.compiled)
        if not phase.epochs:
            continue
        if whole.model is not model:
            found = None if planned is plan[-1] else cache.find(planned.choice, Graph(whole.model))
        part = cache.run(whole, found)
        phase.cached_behind = part.layer
        rate, steps = phase.learning_rate, phase.epochs * part.steps(run.batch_size)
        if isinstance(rate, Real):  # it falls to zero along half a cosine
            rate = keras.optimizers.schedules.CosineDecay(float(rate), steps)
        compile_afresh(part.model, renew(run.optimizer, rate), **run.compiled)
        epoch = keeper.enter(part.model)
        if not epoch:
            if phase.name != "head" and not done:
                result.start(part.score(result.monitor))
            keep.hold(part.model)  # the better one, before
        watching = [FitGuard(), keep, *run.watching(model, part.model.optimizer)]
        span = range(done + epoch, done + phase.epochs)
        if span:
            ends = {"initial_epoch": epoch, "epochs": phase.epochs}
            watching.append(keeper)  # last, to keep what the others change, such as an end
            part.fit(watching, span, run.batch_size, **ends, **run.fit)
        keep.restore()
        if part.model is not model:  # what the optimizer has gathered belongs to these weights
            compile_afresh(model, part.model.optimizer, **run.compiled)
        done = result.epochs
    keeper.forget()


def _amount(unfreeze) -> Mapping | None:
    amount = {"blocks": unfreeze} if isinstance(unfreeze, Integral) else unfreeze
    if amount is not None and not isinstance(amount, Mapping):
        raise ValueError(
            "`unfreeze` must be a number of blocks, a dict of the arguments of unfreeze, or None. "
            f"Received: unfreeze={unfreeze!r}. For a share: unfreeze={{'fraction': 0.5}}."
        )
    return amount
