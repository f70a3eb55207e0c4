"""What `fit` of an adaptation does around its steps: last checks, and the weight over time."""

from tlhelpers.adaptation.batches import PairedBatches
from tlhelpers.tuning.guard import FitGuard

import keras
from keras import ops


class Readiness(keras.callbacks.Callback):
    """Refuse a fit that would train no encoder, or end at its validation data; `fit` adds it."""

    def __init__(self, validation):
        super().__init__()
        self.validation = validation

    def on_train_begin(self, logs=None):
        check_moves(self.model)
        if isinstance(self.validation, PairedBatches):
            self.model.check_labels_of(self.validation)
        elif isinstance(self.validation, tuple):
            self.model.read_labels(self.validation[1])
        elif hasattr(self.validation, "take") and int(self.validation.cardinality()) > 0:
            next(iter(self.validation.take(1)))  # which is watched


class WeightSchedule(keras.callbacks.Callback):
    """Move the weight of the alignment with the progress of the fit, before every step.

    `fit` adds it. At the end of an epoch the weight stands in the logs as "weight". Paired batches
    are told, by `start_at`, for how many epochs the model has been trained.
    """

    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def on_train_batch_begin(self, batch, logs=None):
        if keras.backend.backend() == "jax":
            self.model.jax_state_sync()  # its steps work on copies of the variables
        steps, progress = self.params["steps"], 0.0
        if self.model.gamma is not None:
            if steps is None:
                raise ValueError(
                    "`x` must have a known number of batches, for the schedule of the weight. "
                    "Received: x of unknown length. Pass steps_per_epoch, or gamma=None."
                )
            progress = min((self.epoch + batch / steps) / self.params["epochs"], 1.0)
        self.model.weight.assign(self.model.weight_at(progress))

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
        if isinstance(self.batches, PairedBatches):
            optimizer = getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)
            done = int(ops.convert_to_numpy(optimizer._iterations))  # batches, not updates
            self.batches.start_at(-(-done // len(self.batches)))  # loss scaling skips some

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            logs["weight"] = float(ops.convert_to_numpy(self.model.weight))


def check_compiled_weights(model: keras.Model) -> None:
    """Refuse a fit with an optimizer that knows other weights than those that train now."""
    if getattr(model.optimizer, "built", False):
        guard = FitGuard()
        guard.set_model(model)
        guard.on_train_begin()


def check_moves(model: keras.Model) -> None:
    """Refuse an encoder without a weight to train, if the alignment acts on nothing else."""
    encoder = model.encoder
    unknown = encoder.trainable and not encoder.built
    if not (model.peak and model.moves_encoder_alone) or unknown or encoder.trainable_variables:
        return
    frozen = f"with all {len(encoder.weights)} weights frozen" if encoder.weights else "without any"
    raise ValueError(
        f"`encoder` must have weights to train: {type(model).__name__} aligns the domains by them "
        f"alone. Received: encoder={encoder.name!r} {frozen}. Unfreeze some, such as "
        "tl.unfreeze(encoder, blocks=1), and compile again. To train the classifier on features "
        "as they are, use tl.SourceOnly."
    )
