"""Keep the weights of the best epoch, judged without target labels, or by an oracle."""

from tlhelpers.adaptation import validators
from tlhelpers.adaptation.parts import check_tells_classes
from tlhelpers.adaptation.samples import check_domain
from tlhelpers.adaptation.trainer import QUIET
from tlhelpers.checks.data import check_labels, count_samples
from tlhelpers.checks.features import is_finite
from tlhelpers.checks.words import check_choice, check_whole

import keras
import numpy as np

ON_TARGET = ("entropy", "diversity", "information_maximization", "soft_neighborhood_density")
VALIDATORS = (*ON_TARGET, "source_accuracy", "reverse_validation")
LEAST_ROWS = {"soft_neighborhood_density": 3, "reverse_validation": 2}


class BestEpoch(keras.callbacks.Callback):
    """Score the model after every epoch, and end the fit with the weights of the best one."""

    def __init__(self, name: str, patience: int | None):
        super().__init__()
        if patience is not None:
            patience = check_whole("patience", patience, 1, cure="None never stops the fit.")
        self.name, self.patience = name, patience
        self.scores: dict[int, float] = {}
        self.best_epoch: int | None = None

    def score(self) -> float:
        """Return the score of the model as it is now; the higher, the better, -inf never wins."""
        raise NotImplementedError

    def on_train_begin(self, logs=None):
        check_tells_classes(self.model, type(self).__name__)
        self.scores, self.best_epoch, self._best = {}, None, -np.inf
        self._weights, self._waited = None, 0

    def on_epoch_end(self, epoch, logs=None):
        score = self.scores[epoch] = self.score()
        if logs is not None:
            logs[self.name] = score
        self._waited += 1
        if score > self._best:
            self.best_epoch, self._best = epoch, score
            self._weights, self._waited = self.model.get_weights(), 0
        elif self._waited == self.patience:
            self.model.stop_training = True

    def on_train_end(self, logs=None):
        if self._weights is not None:
            self.model.set_weights(self._weights)


class SelectEpoch(BestEpoch):
    """Keep the weights of the epoch that a validator likes best; no target label is used.

    The score stands in the logs under `val_` and the validator's name. An epoch after which the
    model gives NaN or infinity scores -inf: it counts towards `patience` and is never chosen.

    Args:
        validator: name of a function of `tl.validators`.
        x_target: unlabelled target samples, an array or a dictionary of arrays (texts); every
            validator but "source_accuracy" needs them.
        x_source, y_source: labelled source samples kept out of the training, for "source_accuracy"
            and "reverse_validation".
        patience: stop the fit after so many epochs without a better score; None never stops it.

    Attributes:
        scores: by number of the epoch, from 0.
        best_epoch: number of the chosen epoch; None if the model diverged in all of them.

    Raises:
        ValueError: an unknown validator, samples that it needs and does not get, samples that are
            not finite, labels that do not fit them.

    Example:
        >>> model = tl.DANN(encoder, classifier)
        >>> model.compile("adam")
        >>> batches = tl.paired_batches(x_source, y_source, x_target, batch_size=6)
        >>> select = tl.SelectEpoch("information_maximization", x_target=x_target[:1000])
        >>> history = model.fit(batches, epochs=2, callbacks=[select], verbose=0)
        >>> list(select.scores.values()) == history.history["val_information_maximization"]
        True
        >>> select.best_epoch in (0, 1)
        True
    """

    def __init__(
        self, validator: str = "information_maximization",
        x_target=None, x_source=None, y_source=None, patience: int | None = None,
    ):  # fmt: skip
        super().__init__(f"val_{check_choice('validator', validator, VALIDATORS)}", patience)
        self.validator, needed = validator, {}
        if validator != "source_accuracy":
            needed["x_target"] = x_target
        if validator not in ON_TARGET:
            needed |= {"x_source": x_source, "y_source": y_source}
        missing = [name for name, value in needed.items() if value is None or not len(value)]
        if missing:
            raise ValueError(
                f"`{'` and `'.join(needed)}` must be given for {validator=}. Received: no "
                f"{' and no '.join(missing)}. Pass them, or use another validator."
            )
        if needed.pop("y_source", None) is not None:
            y_source = check_labels(y_source, n=count_samples(x_source))
        least = LEAST_ROWS.get(validator, 1)
        checked = {name: check_domain(value, name, least) for name, value in needed.items()}
        self.x_target, self.x_source = checked.get("x_target"), checked.get("x_source")
        self.y_source = y_source

    def score(self) -> float:
        """Return the validator's score of the model as it is now, -inf if it has diverged."""
        seen, labels = {}, {}
        if self.validator == "source_accuracy":
            labels["labels"] = self.y_source
            with self.model.on_domain("source"):
                seen["predictions"] = self.model.predict(self.x_source, **QUIET)
        else:
            seen["predictions"] = self.model.predict(self.x_target, **QUIET)
        if self.validator == "reverse_validation":
            labels["source_labels"] = self.y_source
            with self.model.on_domain("source"):
                seen["source_features"] = self.model.features_of(self.x_source)
            seen["target_features"] = self.model.features_of(self.x_target)
        if not all(map(is_finite, seen.values())):
            return -np.inf
        return getattr(validators, self.validator)(**seen, **labels)


class OracleEpoch(BestEpoch):
    """Choose the epoch by *target labels*, which no one has in practice, to see what was missed.

    Its score stands in the logs as "val_oracle_accuracy". It is for teaching and for judging
    validators: no choice of the epoch could reach more, and it is no result.

    Args:
        x_target: target samples.
        y_target: their labels, integers `(n,)`.

    Attributes:
        scores, best_epoch: as in `SelectEpoch`; a score is the accuracy on the target.

    Raises:
        ValueError: samples that are not finite, labels that do not fit them.

    Example:
        >>> model = tl.DANN(encoder, classifier)
        >>> model.compile("adam")
        >>> oracle = tl.OracleEpoch(x_target, y_target)
        >>> batches = tl.paired_batches(x_source, y_source, x_target, batch_size=6)
        >>> history = model.fit(batches, epochs=2, callbacks=[oracle], verbose=0)
        >>> list(oracle.scores.values()) == history.history["val_oracle_accuracy"]
        True
    """

    def __init__(self, x_target, y_target):
        super().__init__("val_oracle_accuracy", patience=None)
        self.x_target = check_domain(x_target, "x_target")
        self.y_target = check_labels(y_target, n=count_samples(self.x_target))

    def score(self) -> float:
        """Return the accuracy on the target, -inf if the model has diverged."""
        predictions = self.model.predict(self.x_target, **QUIET)
        if not is_finite(predictions):
            return -np.inf
        return float((predictions.argmax(axis=1) == self.y_target).mean())
