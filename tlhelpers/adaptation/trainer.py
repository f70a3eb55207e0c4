"""The trainer that all methods of adaptation share."""

import contextlib
import math
from collections.abc import Iterator

from tlhelpers.adaptation.batches import PairedBatches
from tlhelpers.adaptation.normalization import DOMAINS, DomainBatchNormalization, hand_on_parts
from tlhelpers.adaptation.reversal import GradientReversal, reversal_schedule
from tlhelpers.adaptation.samples import (
    Watch,
    check_pair,
    check_weights,
    each,
    is_pair,
    to_labels,
    to_weights,
)
from tlhelpers.checks.data import check_labels, count_samples
from tlhelpers.checks.features import to_numpy
from tlhelpers.checks.words import check_choice, check_number, check_whole
from tlhelpers.models.preprocessing import check_inputs
from tlhelpers.tuning.batches import is_dataset
from tlhelpers.tuning.freezing import flags_of, restore_flags
from tlhelpers.tuning.guard import FitGuard

import keras
import numpy as np
from keras import ops

PARTS = ("encoder", "classifier", "discriminator", "view")
QUIET = {"batch_size": 256, "verbose": 0}  # of predict


class Adaptation(keras.Model):
    r"""A classifier that is trained on labelled source and unlabelled target samples.

    The loss is $L = L_\text{label}(source) + w \cdot L_\text{alignment}(source, target)$. Source
    and target go through the encoder as one batch; only the source half meets its labels. What
    aligns the two is up to the subclass: `DANN`, `CDAN`, `CORAL`, `MMD`, `MCC`; `SourceOnly` does
    not align. Compile it with an optimizer, fit it on `paired_batches`; `predict`, `evaluate`,
    `validation_data` and `save` then work on plain arrays, as with any classifier, or on the
    dictionary of arrays that a text encoder takes. The parts are used, not copied.

    Args:
        encoder, classifier, weight, gamma: as in `DANN`; so are the errors.
    """

    alignment_name: str | None = "alignment_loss"
    paired: tuple = (("alignment", "alignment"),)  # outputs, and the metrics that are their means
    classifies_target = False  # whether the alignment reads the logits of the target half
    reverses = False  # whether the weight is that of a gradient reversal, not of the loss
    moves_encoder_alone = True  # whether the alignment can change nothing but the encoder
    least_rows = 1  # of each domain, without which the alignment says nothing

    def __init__(
        self, encoder: keras.Layer, classifier: keras.Layer,
        weight: float = 1.0, gamma: float | None = 10.0, **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        self.encoder = check_part(encoder, "encoder")
        self.classifier = check_logits(classifier, "classifier")
        hand_on_parts(self.encoder)
        hand_on_parts(self.classifier)
        self.peak = check_number("weight", weight, "[0, inf)", "0 leaves the alignment out.")
        self.gamma = None if gamma is None else check_number("gamma", gamma, "(0, inf)", "Use 10.")
        self._flags = ""
        if self.reverses:
            self.reversal = GradientReversal(self.weight_at(0.0))
        else:
            start = keras.initializers.Constant(self.weight_at(0.0))
            self._weight = self.add_weight((), start, trainable=False, name="weight")
        self.label_loss = keras.metrics.Mean("label_loss")
        if self.alignment_name:
            self.alignment = keras.metrics.Mean(self.alignment_name)

    def compile(self, optimizer="rmsprop", loss=None, *, metrics=None, **kwargs):
        """Set optimizer, and metrics of labels and logits beside the accuracy; refuse a `loss`."""
        if loss is not None:
            raise ValueError(
                f"`loss` must be None: {type(self).__name__} has a loss of its own. Received: "
                f"loss={loss!r}. Use model.compile(optimizer, metrics=[...]), or no metrics."
            )
        others = [metric for metric in metrics or () if metric != "accuracy"]
        accuracy = keras.metrics.SparseCategoricalAccuracy("accuracy")
        super().compile(optimizer, metrics=[accuracy, *others], **kwargs)

    def compile_from_config(self, config):
        """Compile a model that was loaded as it was compiled when it was saved."""
        super().compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None and self.built:
            self.optimizer.build(self.trainable_variables)

    def build_from_config(self, config):
        """Build a model that was loaded, and freeze in it what was frozen when it was saved."""
        super().build_from_config(config)
        self._restore_flags()

    def _restore_flags(self) -> None:
        if len(self._flatten_layers()) == len(self._flags):  # built, and of a file with flags
            restore_flags(self, self._flags)

    @property
    def weight(self) -> keras.Variable:
        """The variable that holds the weight of the alignment, or of the reversal, now."""
        return self.reversal.weight if self.reverses else self._weight

    def weight_at(self, progress: float) -> float:
        """Return the weight of the alignment when a share `progress` of a fit is done."""
        share = 1.0 if self.gamma is None else float(reversal_schedule(progress, self.gamma))
        return self.peak * share

    @property
    def classes(self) -> int:
        """The number of classes: the width of what the classifier, once built, gives."""
        part = self.classifier
        if not hasattr(part, "output_shape"):  # a single layer, or a subclass of keras.Model
            features = keras.KerasTensor(part.get_build_config()["input_shape"])
            return part.compute_output_spec(features).shape[-1]
        return part.output_shape[-1]

    def features_of(self, x: np.ndarray) -> np.ndarray:
        """Return what the encoder makes of all rows of `x` in inference mode, one flat row each."""
        if isinstance(self.encoder, keras.Model):
            features = to_numpy(self.encoder.predict(x, **QUIET))
        else:
            starts = range(0, count_samples(x), 256)
            parts = [each(lambda part, i=i: part[i : i + 256], x) for i in starts]
            features = np.concatenate([to_numpy(self.encoder(p, training=False)) for p in parts])
        return features.reshape(len(features), -1)

    def align(self, features, logits) -> dict:
        """Return the alignment loss under "alignment", and what else the metrics need.

        `features` are `(2b, ...)`, the source half first; `logits` are `(b, classes)`, those of the
        source, or `(2b, classes)` if `classifies_target`.
        """
        return {}

    def call(self, inputs, training=None):  # Keras hands `training` on to the layers inside
        if not is_pair(inputs):
            return self._classify(self._encode(inputs))
        check_pair(inputs)
        features = self._encode(inputs["source"], inputs["target"])
        logits = self._classify(features if self.classifies_target else halves(features)[0])
        aligned = self.align(features, logits)
        return {"logits": halves(logits)[0] if self.classifies_target else logits, **aligned}

    def _encode(self, *domains):
        """Return the features of one domain, or of several as one batch."""
        x, parts = domains[0], {}
        if len(domains) > 1:
            x, parts = each(lambda *x: ops.concatenate(x), *domains), {"parts": len(domains)}
        features = self.encoder(x, **parts)
        if isinstance(features, dict | list | tuple):
            raise ValueError(
                "`encoder` must give one tensor of features. Received: a "
                f"{type(features).__name__} of {len(features)}. Choose one, such as "
                "keras.Model(encoder.input, encoder.output['pooled_output'])."
            )
        return features

    def _classify(self, features):
        logits = self.classifier(features, parts=None)  # or Keras hands on those of the encoder
        logits = ops.cast(logits, "float32")  # also under mixed precision
        if len(logits.shape) != 2 or logits.shape[-1] in (None, 1):
            raise ValueError(
                "`classifier` must give logits of shape (n, classes), two classes or more. "
                f"Received: shape={tuple(logits.shape)}. End it in keras.layers.Dense(classes)."
            )
        return logits

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return label loss, weighted alignment loss and the regularization of the layers."""
        paired = isinstance(y_pred, dict)
        loss = self._label_loss(y, y_pred["logits"] if paired else y_pred, sample_weight)
        if paired and "alignment" in y_pred:
            weight = 1 if self.reverses else ops.cast(self.weight, "float32")
            loss = loss + weight * y_pred["alignment"]
        return sum(self.losses, loss)

    def _label_loss(self, y, logits, sample_weight=None):
        y = ops.cast(ops.reshape(y, (-1,)), "int32")
        losses = ops.sparse_categorical_crossentropy(y, logits, from_logits=True)
        if sample_weight is None:
            return ops.mean(losses)
        check_weights(sample_weight.shape, losses.shape[0])  # (n,) * (n, 1) would be (n, n)
        weights = ops.cast(ops.reshape(sample_weight, (-1,)), losses.dtype)
        return ops.mean(losses * weights)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Update the metrics; those of pairs only where there is a target half."""
        paired = {output: getattr(self, name) for output, name in self.paired}
        logits = y_pred["logits"] if isinstance(y_pred, dict) else y_pred
        self.label_loss.update_state(self._label_loss(y, logits, sample_weight))
        results = super().compute_metrics(x, y, logits, sample_weight)
        if not isinstance(y_pred, dict):
            hidden = {"label_loss", *(metric.name for metric in paired.values())}
            return {name: value for name, value in results.items() if name not in hidden}
        for output, metric in paired.items():
            metric.update_state(y_pred[output])
        return self.get_metrics_result()

    def fit(self, x=None, y=None, *, epochs: int = 1, callbacks=None, **kwargs):
        """Train on `paired_batches`; all else is as in Keras' own fit.

        Of a dataset, the labels and weights of every batch are looked at before the step on it, and
        the samples of the first one.

        Args:
            x: `paired_batches`, or a `tf.data.Dataset` of such batches, the last one too with as
                many source as target samples: zip the domains sample by sample before `batch`, or
                batch each of them with `drop_remainder=True`. It may give weights of the source
                samples as a third part, `(n,)` or `(n, 1)`.
            y: None; the labels of the source are in the batches.
            epochs, callbacks, **kwargs: as in Keras; one callback may stand alone.

        Raises:
            ValueError: not compiled, or frozen and unfrozen since; an encoder with nothing to
                train, where the alignment moves nothing else (all but `MCC`); other data; halves
                known to differ in size; `batch_size=1` where several samples are compared (`CORAL`,
                `MMD`); labels, weights, images or tokens that do not fit the model; with a gamma,
                data of unknown length without `steps_per_epoch`.
        """
        self._assert_compile_called("fit")
        spec = getattr(x, "element_spec", None)
        pair = spec[0] if isinstance(spec, tuple) else None
        if y is not None or not (is_pair(pair) or isinstance(x, PairedBatches)):
            raise ValueError(
                "`x` must be batches of source and target, and `y` None. Received: x of type "
                f"{type(x).__name__}, y of type {type(y).__name__}. Use tl.paired_batches as `x`."
            )
        if pair is not None:
            check_pair(pair)
        kwargs["shuffle"] = False  # the batches have an order of their own
        with self._watch() as watch:
            data = self._labelled(x, None, None, watch)[0]
            self._prepare(x if pair is None else pair["source"])
            validation = self._validation(kwargs.pop("validation_data", None), watch)
            first = [Readiness(validation), WeightSchedule(x)]
            callbacks = [*first, *keras.tree.flatten(callbacks or [])]
            return super().fit(
                data, epochs=epochs, callbacks=callbacks, validation_data=validation, **kwargs
            )

    def evaluate(
        self, x=None, y=None, batch_size=None, verbose="auto", sample_weight=None, *args, **kwargs
    ):
        """Evaluate as Keras does, on data that are checked as those of `fit` are."""
        options = {"batch_size": batch_size, "verbose": verbose, **kwargs}
        if kwargs.get("_use_cached_eval_dataset"):  # of a fit, which has looked at it
            return super().evaluate(x, y, sample_weight=sample_weight, **options)
        with self._watch() as watch:
            x, y, weights = self._labelled(x, y, sample_weight, watch)
            return super().evaluate(x, y, batch_size, verbose, weights, *args, **kwargs)

    def _watch(self) -> Watch:
        return Watch(self._check_samples, self._known_classes)

    def _known_classes(self) -> int | None:
        return self.classes if self.built else None

    def _labelled(self, x, y, weights, watch: Watch) -> tuple:
        """Return samples, labels and weights, checked, or to be checked batch by batch."""
        if hasattr(x, "map") and is_dataset(x):
            return watch.over(x), y, weights
        if isinstance(x, PairedBatches):
            self._check_samples({"source": x.x_source, "target": x.x_target})
        if y is None and (hasattr(x, "shape") or isinstance(x, dict)):
            raise ValueError(
                "`y` must be given beside arrays: the loss compares it with the predictions. "
                "Received: y=None. Use evaluate(x, y), or validation_data=(x, y)."
            )
        if y is None:
            return x, y, weights
        self._check_samples(x)
        n = count_samples(x["source"] if is_pair(x) else x)
        labels = to_labels(y, self._known_classes(), n)
        return x, labels, None if weights is None else to_weights(weights, n)

    def _validation(self, data, watch: Watch):
        """Return `validation_data`, checked, in a form that Keras takes."""
        x, *said = data if isinstance(data, tuple | list) else (data,)
        y, weights = (*said, None, None)[:2]
        x, *said = self._labelled(x, y, weights, watch)
        said = [part for part in said if part is not None]
        return (x, *said) if said else x

    def _check_samples(self, x) -> None:
        """Refuse images or tokens that the encoder would misread."""
        for name in DOMAINS if is_pair(x) else ():
            try:
                check_inputs(self, x[name])
            except ValueError as error:
                raise ValueError(f"In the {name}: {error}") from None
        if not is_pair(x):
            check_inputs(self, x)

    def _prepare(self, x) -> None:
        """Build model and optimizer for batches, or a specification; check what is then known."""
        if isinstance(x, PairedBatches):
            cure = f"{type(self).__name__} compares several samples of each domain. Use 64, say."
            check_whole("batch_size", x.batch_size, self.least_rows, cure=cure)
        sample = each(symbol, getattr(x, "x_source", x))
        known = None not in keras.tree.flatten(each(lambda part: part.shape[1:], sample))
        if not self.built and (known or self.encoder.built):
            self({"source": sample, "target": sample})
        if self.built and self.optimizer is not None:
            check_compiled_weights(self)
            self.optimizer.build(self.trainable_variables)  # or the step is traced twice
        if isinstance(x, PairedBatches):
            check_labels(x.y_source, num_classes=self.classes)

    @contextlib.contextmanager
    def on_domain(self, name: str) -> Iterator[None]:
        """Use the statistics of "source" or "target", where the encoder keeps both, inside `with`.

        Outside they are those of the target. Without `DomainBatchNormalization` it changes nothing.
        """
        check_choice("name", name, DOMAINS)
        layers = [x for x in self._flatten_layers() if isinstance(x, DomainBatchNormalization)]
        try:
            for layer in layers:
                layer.use_domain(name)
            yield
        finally:
            for layer in layers:
                layer.use_domain("target")

    def get_config(self):
        """Return parts and settings, so that `keras.saving.load_model` makes the same model."""
        serialize = keras.saving.serialize_keras_object
        own = {name: serialize(getattr(self, name)) for name in PARTS if hasattr(self, name)}
        own |= {"weight": self.peak, "gamma": self.gamma, "flags": flags_of(self)}
        return {**super().get_config(), **own}

    @classmethod
    def from_config(cls, config):
        """Make the model from what `get_config` returned."""
        make, settings = keras.saving.deserialize_keras_object, {"flags": "", **config}
        flags = settings.pop("flags")  # Keras forgets those of layers inside layers
        made = {k: make(config[k]) for k in PARTS if isinstance(config.get(k), dict)}
        model = cls(**settings | made)
        model._flags = flags
        model._restore_flags()
        return model


class Readiness(keras.callbacks.Callback):
    """Refuse a fit that would train no encoder, or end at its validation data; `fit` adds it."""

    def __init__(self, validation):
        super().__init__()
        self.validation = validation

    def on_train_begin(self, logs=None):
        check_moves(self.model)
        classes = self.model._known_classes()
        labels = getattr(self.validation, "y_source", None)  # of paired batches
        labels = self.validation[1] if isinstance(self.validation, tuple) else labels
        if labels is not None:
            check_labels(labels, num_classes=classes)
        elif is_dataset(self.validation) and int(self.validation.cardinality()) > 0:
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


def symbol(part) -> keras.KerasTensor:
    """Return what stands for any number of samples like those of an array or a specification."""
    shape = part.shape if getattr(part.shape, "rank", 0) is not None else (None, None)
    return keras.KerasTensor((None, *shape[1:]), part.dtype.name)


def check_compiled_weights(model: Adaptation) -> None:
    """Refuse a fit with an optimizer that knows other weights than those that train now."""
    if getattr(model.optimizer, "built", False):
        guard = FitGuard()
        guard.set_model(model)
        guard.on_train_begin()


def check_moves(model: Adaptation) -> None:
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


def halves(x):
    """Return the source half and the target half of a joined batch."""
    half = ops.shape(x)[0] // 2
    return x[:half], x[half:]


def flat(features):
    """Return features as float32 rows, `(n, d)`."""
    return ops.cast(ops.reshape(features, (-1, math.prod(features.shape[1:]))), "float32")


def check_part(part: keras.Layer, name: str) -> keras.Layer:
    """Return a part of the model, or say that it must be a Keras layer or model."""
    if not isinstance(part, keras.Layer):
        raise ValueError(
            f"`{name}` must be a Keras model or layer. Received: {name} of type "
            f"{type(part).__name__}. Wrap layers in keras.Sequential([...])."
        )
    return part


def check_logits(part: keras.Layer, name: str) -> keras.Layer:
    """Return a part of the model, or say that it must not end in an activation."""
    last, inside = None, [check_part(part, name)]
    while inside:
        last = inside[-1]
        if isinstance(last, keras.Sequential):
            inside = last.layers
        else:  # outputs has a functional model alone
            ends = isinstance(last, keras.Model) and getattr(last, "outputs", None)
            inside = [end._keras_history.operation for end in ends or ()][:1]
    activation = type(last).__name__.lower()
    if activation not in ("softmax", "relu"):
        activation = getattr(getattr(last, "activation", None), "__name__", "linear")
    if activation == "linear":
        return part
    why = "the loss takes logits and applies the activation itself, which is exact"
    if activation == "softmax" and getattr(last, "units", None) == 1:
        why = "a softmax over one unit is always 1, its gradient is 0, and nothing would be trained"
        why += " adversarially"
    raise ValueError(
        f"`{name}` must end without an activation: {why}. Received: {name} ending in "
        f"{activation!r}. End it in keras.layers.Dense({getattr(last, 'units', None) or 'units'})."
    )
