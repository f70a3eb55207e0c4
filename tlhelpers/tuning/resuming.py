"""The state of a training in phases, kept in a file after each epoch, and the way back into it."""

import hashlib
import json
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path

from tlhelpers.checks.features import to_numpy
from tlhelpers.models import state
from tlhelpers.tuning.batches import Batches
from tlhelpers.tuning.history import KeepBest, Phase

import keras
import numpy as np

FILES = {"GradualUnfreezing": "gradual.npz", "fine_tune": "fine_tune.npz"}
_BYTES, _ROWS = 2**24, 64  # of a larger array, so many rows are looked at


class Keeper(keras.callbacks.Callback):
    """Keep the state of a training after each epoch. Without a folder it only times the phases.

    A phase trains the model, or a tail of it that shares its variables. In the file:

        [ variables of the model | of the optimizer | held weights ] + plan, history, phase, epoch

    Args:
        best: holds the best weights, and the record, with its phases planned.
        by: who trains, a key of `FILES`.
        plan: what must be the same for a resumed training to end as one that was never stopped.
    """

    def __init__(self, best: KeepBest, model: keras.Model, folder, by: str, plan: dict):
        super().__init__()
        self.best, self.result = best, best.result
        self.whole, self.by, self.behind = model, by, ""
        self.number, self.epochs = -1, 0  # of this phase, of its epochs so far
        self.clock = time.perf_counter()
        self.kept: tuple[dict, list[np.ndarray], list[np.ndarray]] | None = None
        self.file = Path(folder) / FILES[by] if folder else None
        if self.file is None:
            return
        if self.file.parent.exists() and not self.file.parent.is_dir():
            raise ValueError(
                f"`folder` must be a folder. Received: folder={str(folder)!r}, a file. Name "
                "another one; it is made where it is missing."
            )
        self.plan = json.loads(json.dumps(plan, default=_comparable))

    @property
    def phase(self) -> Phase:
        """The phase that trains."""
        return self.result.phases[self.number]

    def resume(self) -> int:
        """Give the model the weights that were kept, and return the number of their phase.

        Raises:
            ValueError: a file that cannot be read, or was kept under another plan.
        """
        if self.file is None or not self.file.exists():
            return 0
        folder, result = str(self.file.parent), self.result
        try:
            values, about = state.load(self.file)
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"`folder` must be one that {self.by} kept. Received: folder={folder!r}, whose "
                f"{self.file.name} cannot be read. Delete it to start again."
            ) from error
        other = [name for name, value in self.plan.items() if about["plan"].get(name) != value]
        if other:
            raise ValueError(
                f"`folder` must be of this model and this plan. Received: folder={folder!r}, kept "
                f"by a training with another {', '.join(other)}. Choose another folder, or delete "
                "this one to start again."
            )
        count, end = len(self.whole.variables), about["variables"]
        state.write(self.whole.variables, values[:count])
        self.number, self.kept = about["phase"] - 1, (about, values[count:end], values[end:])
        result.history, result.best = about["history"], about["best"]
        result.before = about.get("before")
        for phase, noted in zip(result.phases, about["phases"][: about["phase"]], strict=False):
            vars(phase).update(noted)
        planned = sum(phase.epochs for phase in result.phases)
        self.behind = f"\n  goes on behind epoch {result.epochs} of {planned}, from {folder}"
        return about["phase"]

    def enter(self, model: keras.Model) -> int:
        """Begin the next phase, with its compiled model; return the epochs of it that are done."""
        self.number, self.epochs = self.number + 1, 0
        self.set_model(model)
        if self.kept is not None:
            about, optimizer, held = self.kept
            state.write(model.optimizer.variables, optimizer)
            if held:
                self.best.held = list(model.variables), held
            self.epochs, self.kept = about["epoch"], None
            vars(self.phase).update(about["phases"][self.number])
            if self.epochs == self.phase.epochs:  # what `fit` does last: a moving average counts
                model.optimizer.finalize_variable_values(model.trainable_variables)
        return self.epochs

    def leave(self) -> None:
        """Note that a callback behind this one has ended the phase, so that it stays ended."""
        if self.epochs < self.phase.epochs:
            self.phase.epochs = self.epochs
            self._write()

    def forget(self) -> None:
        """Remove the state of a training that is complete."""
        if self.file is not None:
            self.file.unlink(missing_ok=True)

    def on_epoch_end(self, epoch, logs=None):
        self.epochs, now = epoch + 1, time.perf_counter()
        self.phase.seconds += now - self.clock
        self.clock = now
        if self.model.stop_training:
            self.phase.epochs = self.epochs
        self._write()

    def _write(self) -> None:
        if self.file is None:
            return
        self.file.parent.mkdir(parents=True, exist_ok=True)
        values = state.read([*self.whole.variables, *self.model.optimizer.variables])
        held = self.best.held[1] if self.result.best is not None else []
        about = {"plan": self.plan, "phase": self.number, "epoch": self.epochs}
        about |= {"variables": len(values), "history": self.result.history}
        about |= {"best": self.result.best, "before": self.result.before}
        names = ("epochs", "trainable", "seconds")
        about["phases"] = [{n: getattr(phase, n) for n in names} for phase in self.result.phases]
        state.save(self.file, values + held, about)


def _comparable(value):
    """Return what stands in a plan for a value that JSON lacks: settings, or a digest."""
    if isinstance(value, Batches):
        if value.known is None:  # it may be one that can be read but once
            return None
        both = value, Batches(value.source, value.name, value.check)
        first, again = ([*map(_comparable, keras.tree.flatten(data.first))] for data in both)
        return [value.known, first if first == again else None]  # None: it shuffles, or augments
    if isinstance(value, keras.Optimizer):
        return [type(value).__name__, {**value.get_config(), "learning_rate": None, "name": None}]
    if isinstance(value, keras.optimizers.schedules.LearningRateSchedule):
        return [float(value(10**power)) for power in range(6)]
    if isinstance(value, Mapping):
        return dict(value)
    if not hasattr(value, "__array__"):
        return type(value).__name__
    array = to_numpy(value)
    if not array.ndim:
        return array.item()
    few = array.nbytes <= _BYTES
    rows = array if few else array[np.linspace(0, len(array) - 1, _ROWS).astype(int)]
    data = repr(rows.tolist()).encode() if rows.dtype.kind in "OSU" else rows.tobytes()
    return [str(array.dtype), array.shape, hashlib.blake2b(data, digest_size=16).hexdigest()]
