"""Unfreeze a model block by block, from the top, in one training that can be resumed."""

import json
import time
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tlhelpers.checks.words import check_choice, check_seed, check_whole
from tlhelpers.models import state
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
from tlhelpers.tuning.schedules import warmup_cosine

import keras
import numpy as np


@dataclass(frozen=True)
class _PhasePlan:
    name: str
    blocks: int  # how many are unfrozen
    epochs: int


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
        keeper = _Keeper(self.folder, self._plan(model, phases, steps), monitor)
        begin, epoch, values = keeper.resume(model)
        for number, phase in list(enumerate(phases))[begin:]:
            table = self._choice(anatomy, phase.blocks).apply()
            rate = warmup_cosine(self.learning_rate, phase.epochs * steps, self.warmup)
            optimizer = layerwise(
                renew(self.optimizer, rate), model, decay=self.decay, head=self.head
            )
            compile_afresh(model, optimizer, **compiled)
            if values:
                state.write(_kept(model), values)
            planned = Phase(phase.name, phase.epochs, float(self.learning_rate), table.trainable)
            epochs = keeper.enter(number, planned)
            if epoch < epochs:
                part = Part(model, [train], validation, seed=(self.seed, number))
                part.fit(
                    [FitGuard(), keeper, *callbacks],
                    range(epoch, epochs),
                    batch_size,
                    initial_epoch=epoch,
                    epochs=epochs,
                    verbose=verbose,
                )
                keeper.leave(model)
            epoch, values = 0, []
        return keeper.finish()

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

    def _phases(self, anatomy: Anatomy) -> list[_PhasePlan]:
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
        return [_PhasePlan(*depth, n) for depth, n in zip(depths, checked, strict=True)]

    def _plan(self, model: keras.Model, phases: list[_PhasePlan], steps: int) -> dict:
        """Return all that must be the same for a resumed training to end as one never stopped."""
        plan = {
            "model": [[w.name, *w.shape] for w in model.weights],
            "phases": [[phase.name, phase.blocks, phase.epochs] for phase in phases],
            "steps per epoch": steps,
            "optimizer": type(self.optimizer).__name__,
        }
        for name in ("learning_rate", "decay", "warmup", "batchnorm", "keep_best", "seed", "head"):
            plan[name] = getattr(self, name)
        return json.loads(json.dumps(plan, default=lambda value: value.item()))  # numpy's numbers


class _Keeper(KeepBest):
    """Write history and state into the folder after each epoch, and find the way back in."""

    def __init__(self, folder: str | Path | None, plan: dict, monitor: str | None):
        super().__init__(FineTuning(monitor=monitor))
        self.plan, self.clock = plan, 0.0
        self.number, self.epochs = 0, 0  # of this phase, of its epochs so far
        self.file = Path(folder) / "gradual.npz" if folder else None
        if folder and Path(folder).exists() and not Path(folder).is_dir():
            raise ValueError(
                f"`folder` must be a folder. Received: folder={str(folder)!r}, a file. Name "
                "another one; it is made where it is missing."
            )

    def resume(self, model: keras.Model) -> tuple[int, int, list[np.ndarray]]:
        """Return phase, epoch and state to begin with."""
        if self.file is None or not self.file.exists():
            return 0, 0, []
        try:
            values, about = state.load(self.file)
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(
                "`folder` must be one that GradualUnfreezing kept. Received: folder="
                f"{str(self.file.parent)!r}, whose {self.file.name} cannot be read. Delete it to "
                "start again."
            ) from error
        other = [name for name, value in self.plan.items() if about["plan"].get(name) != value]
        if other:
            raise ValueError(
                "`folder` must be of this model and this plan. Received: "
                f"folder={str(self.file.parent)!r}, kept by a training with another "
                f"{', '.join(other)}. Choose another folder, or delete this one to start again."
            )
        self.result.phases = [Phase(**phase) for phase in about["phases"]]
        self.result.history, self.result.best = about["history"], about["best"]
        if best := values[about["variables"] :]:
            self.held = list(model.variables), best
        return about["phase"], about["epoch"], values[: about["variables"]]

    def enter(self, number: int, phase: Phase) -> int:
        """Begin a phase, or go on with it; return its epochs, fewer where it was ended early."""
        self.number = number
        if number == len(self.result.phases):
            self.result.phases.append(phase)
        return self.result.phases[number].epochs

    def leave(self, model: keras.Model) -> None:
        """End a phase; one that a callback has ended early is not gone on with when resumed."""
        phase = self.result.phases[-1]
        if self.epochs < phase.epochs:
            phase.epochs = self.epochs
            self._write(model)

    def finish(self) -> FineTuning:
        """Bring the best weights back, and remove the state of a training that is complete."""
        self.restore()
        if self.file is not None:
            self.file.unlink()
        return self.result

    def on_epoch_begin(self, epoch, logs=None):
        self.clock = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        self.result.phases[-1].seconds += time.perf_counter() - self.clock
        self.epochs = epoch + 1
        self._write(self.model)

    def _write(self, model: keras.Model) -> None:
        if self.file is not None:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            values = state.read(_kept(model))
            about = {"plan": self.plan, "phase": self.number, "epoch": self.epochs}
            about |= {"variables": len(values), "best": self.result.best}
            about["history"] = self.result.history
            about["phases"] = [asdict(phase) for phase in self.result.phases]
            state.save(self.file, values + self.held[1], about)


def _kept(model: keras.Model) -> list[keras.Variable]:
    """Return weights, seeds of layers (which Keras' own backup leaves out) and optimizer."""
    every = [*model.variables, *model.optimizer.variables]
    return list({id(v): v for v in every}.values())
