"""The record of a training in phases, and the weights of its best epoch."""

from dataclasses import dataclass, field
from functools import partialmethod
from numbers import Real

from tlhelpers.checks.words import check_choice
from tlhelpers.models import state

import keras
import numpy as np

BEFORE = -1  # the "epoch" of the weights from before the training


@dataclass
class Phase:
    """One fit: what trained, how fast, behind which layer the data was run only once.

    `learns` names the parts, such as "block5, head". `kept` says what the cached outputs take, such
    as "9.00 MB in memory"; where nothing was cached, `uncached` says why. The seconds of the first
    phase include the run through what is frozen in both.
    """

    name: str
    epochs: int
    learning_rate: float | keras.optimizers.schedules.LearningRateSchedule
    trainable: int = 0
    cached_behind: str | None = None
    seconds: float = 0.0
    learns: str = ""
    uncached: str = ""
    kept: str = ""

    def __str__(self) -> str:
        rate = self.learning_rate
        rate = f"{rate:g}" if isinstance(rate, Real) else type(rate).__name__
        behind = self.cached_behind
        cached = f"cached behind {behind}" if behind else "not cached"
        if about := self.kept if behind else self.uncached:
            cached += f" ({about})"
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

    @property
    def epochs(self) -> int:
        """How many epochs have been noted."""
        return max(map(len, self.history.values()), default=0)

    @property
    def plan(self) -> str:
        """What will be done: which epoch is kept, and a line for each phase."""
        kept = f"epoch with the best {self.monitor}" if self.monitor else "last epoch"
        return "\n  ".join([f"fine_tune keeps the {kept}", *map(str, self.phases)])

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
        sign = -1 if _is_an_error(self.monitor) else 1
        self.best = max(finite, key=lambda n: sign * finite[n])
        return self.best == len(values) - 1


def _is_an_error(metric: str) -> bool:
    """Whether a metric is best where it is lowest."""
    return metric.endswith(("loss", "error", "mae", "mse", "entropy", "divergence"))


def monitor_of(validation, metrics, given: str | None = None) -> str | None:
    """Return the metric that decides which epoch is kept; None without validation data."""
    if validation is None:
        if given is not None:
            raise ValueError(
                f"`monitor` needs validation data. Received: monitor={given!r}, validation=None."
            )
        return None
    if given is not None and not given.startswith("val_"):
        raise ValueError(
            "`monitor` must be a metric of the validation data. Received: "
            f"monitor={given!r}. Use monitor='val_{given}'."
        )
    names = [getattr(metric, "name", metric) for metric in keras.tree.flatten(metrics or ())]
    return given or ("val_accuracy" if "accuracy" in names else "val_loss")


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
        check_choice("monitor", self.result.monitor or "loss", logs)
        if self.result.add(logs):
            self.hold(self.model)

    def restore(self) -> None:
        """Put the held weights back; without validation data the last ones stay."""
        if self.result.best is not None:
            state.write(*self.held)


class OnWhole(keras.callbacks.Callback):
    """Callbacks that see the whole model, while a tail of it trains on what was kept of the rest.

    They may save it, or stop the fit.
    """

    def __init__(self, model: keras.Model, callbacks: list[keras.callbacks.Callback]):
        super().__init__()
        self.whole, self.inside = model, keras.callbacks.CallbackList(callbacks, model=model)

    def set_params(self, params):
        super().set_params(params)
        self.inside.set_params(params)

    def on_train_begin(self, logs=None):
        self.whole.stop_training = False
        self._hand_on("on_train_begin", logs=logs)

    def _hand_on(self, hook: str, *args, **logs) -> None:
        getattr(self.inside, hook)(*args, **logs)
        if self.whole.stop_training:
            self.model.stop_training = True

    on_train_end = partialmethod(_hand_on, "on_train_end")
    on_epoch_begin = partialmethod(_hand_on, "on_epoch_begin")
    on_epoch_end = partialmethod(_hand_on, "on_epoch_end")
    on_train_batch_begin = partialmethod(_hand_on, "on_train_batch_begin")
    on_train_batch_end = partialmethod(_hand_on, "on_train_batch_end")
