"""Unfreeze a model block by block, from the top, in one training that can be resumed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tlhelpers.checks.devices import scope_of
from tlhelpers.checks.words import check_choice, check_seed, check_whole
from tlhelpers.models.anatomy import Anatomy
from tlhelpers.models.graph import learns
from tlhelpers.tuning.batches import count_steps
from tlhelpers.tuning.fitting import compile_afresh, prepare
from tlhelpers.tuning.freezing import BATCHNORM, Choice, top_of_the_base
from tlhelpers.tuning.guard import FitGuard
from tlhelpers.tuning.history import FineTuning, KeepBest, Phase, monitor_of
from tlhelpers.tuning.layerwise import layerwise, renew
from tlhelpers.tuning.lora import check_no_adapters
from tlhelpers.tuning.prefix import Part
from tlhelpers.tuning.resuming import Keeper
from tlhelpers.tuning.schedules import warmup_cosine

import keras
import numpy as np


@dataclass
class GradualUnfreezing:
    r"""A training that starts with the head and adds one block of the base per phase, from the top.

    Keras captures what trains when a fit begins, so that a callback which unfreezes in the middle
    of it would change nothing. This is therefore not a callback but a plan with a `fit` of its own:
    one Keras fit per phase, each compiled with a fresh optimizer, with learning rates per block and
    a warm-up, since the new block's gradients would otherwise meet a full rate and empty momenta.

    Args:
        epochs: epochs of every phase, or a list with a number for each phase.
        blocks: how many blocks to unfreeze in the end; None for all.
        learning_rate: peak rate of the head in every phase, above 0.
        decay: factor per block below the head, as in `layerwise`: "ulmfit" (1/2.6), "bert" (0.95)
            or a number in (0, 1].
        warmup: share of a phase's steps in which the rates rise, in [0, 1); they then fall to 0.
        optimizer: a fresh SGD, Adam, AdamW or RMSprop that gives class and settings (its learning
            rate is not used). Defaults to AdamW.
        batchnorm: "frozen" or "train", as in `unfreeze`.
        keep_best: with validation data, end with the weights of the best epoch over all phases
            instead of the last.
        folder: where the state is kept after each epoch. If the training is killed, the same call
            goes on from there; a finished one leaves nothing behind. None keeps no state.
        seed: draws the order of the samples, from the phase and the epoch, so that a resumed
            training sees the same order as one that was never stopped.
        head: name of the layer where the head of an inlined base begins, as in `freeze`.

    Example:
        >>> plan = tl.GradualUnfreezing(epochs=2, blocks=1, decay="ulmfit", folder="run1")
        >>> history = plan.fit(model, (x_train, y_train), (x_val, y_val))
        >>> [phase.name for phase in history.phases]
        ['head', 'conv2']

    Reference:
        Howard and Ruder 2018, Universal Language Model Fine-tuning (arXiv 1801.06146), section 3.3.
    """

    epochs: int | Sequence[int] = 1
    blocks: int | None = None
    learning_rate: float = 1e-3
    decay: float | str = "ulmfit"
    warmup: float = 0.1
    optimizer: keras.Optimizer = field(default_factory=lambda: keras.optimizers.AdamW(1e-3))
    batchnorm: str = "frozen"
    keep_best: bool = True
    folder: str | Path | None = None
    seed: int = 0
    head: str | None = None

    def fit(
        self,
        model: keras.Model,
        train,
        validation=None,
        loss=None,
        metrics=None,
        batch_size: int = 32,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        verbose: int = 0,
    ) -> FineTuning:
        """Train a model through all phases, in place.

        Args:
            model: a model with a base and a head, or a base alone.
            train: `(x, y)` or `(x, y, weights)` arrays, or a finite `tf.data.Dataset` or
                `PyDataset` of batches; its order is yours then, and a resumed run repeats it only
                if it does not depend on the epoch.
            validation: the same.
            loss, metrics: as in `compile`; by default as in `fine_tune`.
            batch_size: samples per step, for arrays.
            callbacks: Keras callbacks, given to the fit of every phase; one that stops it ends the
                phase. Their own state is not kept in the folder.
            verbose: as in Keras.

        Returns:
            A `FineTuning` with a phase "head" and one per block. The model has the weights of its
            best epoch, or the last, and is left compiled.

        Raises:
            ValueError: before any training: more blocks than there are, an argument out of its
                range, a model with LoRA, a head that is no such layer, a folder of another model
                or another plan.
        """
        anatomy = Anatomy(model, self.head)
        phases = self._phases(anatomy)
        check_no_adapters(anatomy)
        self._check(model)
        batch_size = check_whole("batch_size", batch_size, 1)
        train, validation, compiled = prepare(model, train, validation, loss, metrics)
        steps = count_steps(train, batch_size)
        monitor = monitor_of(validation, compiled["metrics"]) if self.keep_best else None
        rate = float(self.learning_rate)
        result = FineTuning([Phase(name, n, rate) for name, _, n in phases], monitor=monitor)
        plan = self._plan(model, phases, steps)
        keep = KeepBest(result)
        keeper = Keeper(keep, model, self.folder, "GradualUnfreezing", plan)
        for number, (_, blocks, epochs) in list(enumerate(phases))[keeper.resume() :]:
            phase = result.phases[number]
            phase.trainable = self._choice(anatomy, blocks).apply().trainable
            schedule = warmup_cosine(self.learning_rate, epochs * steps, self.warmup)
            optimizer = layerwise(
                renew(self.optimizer, schedule), model, decay=self.decay, head=self.head
            )
            with scope_of(model):
                compile_afresh(model, optimizer, **compiled)
            epoch = keeper.enter(model)
            if epoch < phase.epochs:
                part = Part(model, [train], validation, seed=(self.seed, number))
                part.fit(
                    [FitGuard(), keep, keeper, *callbacks],
                    range(epoch, phase.epochs),
                    batch_size,
                    initial_epoch=epoch,
                    epochs=phase.epochs,
                    verbose=verbose,
                )
                keeper.leave()
        keep.restore()
        keeper.forget()
        return result

    def _check(self, model: keras.Model) -> None:
        """Find bad arguments before the model is touched."""
        layerwise(renew(self.optimizer), model, decay=self.decay, head=self.head)
        warmup_cosine(self.learning_rate, 1, self.warmup)
        check_seed(self.seed)
        if self.optimizer.use_ema:
            raise ValueError(
                "`optimizer` must be without moving averages. Received: use_ema=True. Leave it "
                "out: the best epoch is kept instead."
            )
        check_choice("batchnorm", self.batchnorm, BATCHNORM, "Keep 'frozen' for few images.")

    def _choice(self, anatomy: Anatomy, blocks: int) -> Choice:
        """Return what learns when so many blocks are unfrozen."""
        if not blocks:
            return Choice(anatomy, [])
        return top_of_the_base(anatomy, blocks=blocks, batchnorm=self.batchnorm)

    def _phases(self, anatomy: Anatomy) -> list[tuple[str, int, int]]:
        """Return of each phase its name, how many blocks are unfrozen, and its epochs."""
        names = [block.name for block in reversed(anatomy.blocks)]
        count = len(names)
        if self.blocks is not None:
            count = check_whole("blocks", self.blocks, 1, count, "Use None for all.")
        depths = [("head", 0)] if any(map(learns, anatomy.head)) else []
        depths += [(name, depth) for depth, name in enumerate(names[:count], start=1)]
        given = self.epochs
        epochs = [given] * len(depths) if isinstance(given, int | np.integer) else list(given)
        if len(epochs) != len(depths):
            raise ValueError(
                f"`epochs` must be a whole number, or {len(depths)} of them. Received: "
                f"epochs={self.epochs!r}. The phases are {[name for name, _ in depths]}."
            )
        cure = f"The phases are {[name for name, _ in depths]}."
        checked = [check_whole("epochs", n, 1, cure=cure) for n in epochs]
        return [(*depth, n) for depth, n in zip(depths, checked, strict=True)]

    def _plan(self, model: keras.Model, phases: list[tuple[str, int, int]], steps: int) -> dict:
        """Return all that must be the same for a resumed training to end as one never stopped."""
        plan = {
            "model": [[w.name, *w.shape] for w in model.weights],
            "phases": phases,
            "steps per epoch": steps,
            "optimizer": type(self.optimizer).__name__,
        }
        for name in ("learning_rate", "decay", "warmup", "batchnorm", "keep_best", "seed", "head"):
            plan[name] = getattr(self, name)
        return plan
