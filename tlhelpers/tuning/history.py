"""The record of a training in phases, and the weights of its best epoch."""

from dataclasses import dataclass, field
from numbers import Real

from tlhelpers.models import state

import keras
import numpy as np

BEFORE = -1  # the "epoch" of the weights from before the training


@dataclass
class Phase:
    """One fit: what trained, how fast, behind which layer the data was run only once.

    `learns` names the parts, such as "block5, head". Where nothing was cached, `uncached` says why.
    The seconds of the first phase include the run through what is frozen in both.
    """

    name: str
    epochs: int
    learning_rate: float | keras.optimizers.schedules.LearningRateSchedule
    trainable: int = 0
    cached_behind: str | None = None
    seconds: float = 0.0
    learns: str = ""
    uncached: str = ""

    def __str__(self) -> str:
        rate = self.learning_rate
        rate = f"{rate:g}" if isinstance(rate, Real) else type(rate).__name__
        behind = self.cached_behind
        why = f" ({self.uncached})" if self.uncached else ""
        cached = f"cached behind {behind}" if behind else f"not cached{why}"
        weights = f"{self.trainable:,} weights" + (f" ({self.learns})" if self.learns else "")
        return f"{self.name}: {self.epochs} epochs, {weights} at {rate}, {cached}"


@dataclass
class FineTuning:
    """What `fine_tune` and `GradualUnfreezing.fit` return.

    `history` maps each metric to its values over all epochs, as Keras' own history does; `phases`
    tells them apart; `best` is the epoch (from 0) whose weights the model has now, -1 if these are
    the weights from before, and None if it is simply the last one.
    """

    phases: list[Phase] = field(default_factory=list)
    history: dict[str, list[float]] = field(default_factory=dict)
    monitor: str | None = None
    best: int | None = None
    before: float | None = None

    @property
    def boundaries(self) -> list[int]:
        """The first epoch (from 0) of every phase after the first one."""
        return np.cumsum([phase.epochs for phase in self.phases])[:-1].tolist()

    def __str__(self) -> str:
        rows = [f"{phase}, {phase.seconds:.0f} s" for phase in self.phases]
        if self.best == BEFORE:
            rows.append(f"kept: the weights from before ({self.monitor} {self.before:.3f})")
        elif self.best is not None and self.monitor is not None:
            value = self.history[self.monitor][self.best]
            rows.append(f"kept: epoch {self.best + 1} ({self.monitor} {value:.3f})")
        return "\n".join(rows)

    __repr__ = __str__

    def start(self, score: float | None) -> None:
        """Note the score of the weights from before."""
        self.before = score
        self.best = BEFORE if score is not None and np.isfinite(score) else None

    def add(self, logs: dict[str, float]) -> bool:
        """Note the metrics of an epoch, and say whether it is the best one so far."""
        for name, value in logs.items():
            self.history.setdefault(name, []).append(float(value))
        values = self.history.get(self.monitor or "")
        if not self.monitor or not values or not np.isfinite(values[-1]):
            return False
        known = {BEFORE: self.before, **dict(enumerate(values))}
        finite = {n: v for n, v in known.items() if v is not None and np.isfinite(v)}
        sign = -1 if self.monitor.endswith("loss") else 1
        self.best = max(finite, key=lambda n: sign * finite[n])
        return self.best == len(values) - 1


def monitor_of(validation, metrics) -> str | None:
    """Return the metric that decides which epoch is kept; None without validation data."""
    if validation is None:
        return None
    names = [getattr(metric, "name", metric) for metric in metrics or ()]
    return "val_accuracy" if "accuracy" in names else "val_loss"


class KeepBest(keras.callbacks.Callback):
    """Note every epoch in a record, and hold the weights of the best one until `restore`."""

    def __init__(self, result: FineTuning):
        super().__init__()
        self.result = result
        self.held: tuple[list[keras.Variable], list[np.ndarray]] = [], []

    def hold(self, model: keras.Model) -> None:
        """Hold a model's weights as they are now."""
        self.held = list(model.variables), state.read(model.variables)

    def on_epoch_end(self, epoch, logs=None):
        if self.result.add(logs):
            self.hold(self.model)

    def restore(self) -> None:
        """Put the held weights back; without validation data the last ones stay."""
        if self.result.best is not None:
            state.write(*self.held)
