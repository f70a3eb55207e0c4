"""The trainer that all methods of adaptation share."""

import contextlib
import math
from collections.abc import Iterator

from tlhelpers.adaptation.batches import PairedBatches
from tlhelpers.adaptation.callbacks import Readiness, WeightSchedule, check_compiled_weights
from tlhelpers.adaptation.normalization import DOMAINS, DomainBatchNormalization, hand_on_parts
from tlhelpers.adaptation.parts import check_logits, check_part
from tlhelpers.adaptation.reversal import GradientReversal, reversal_schedule
from tlhelpers.adaptation.samples import (
    LABELLED,
    Watch,
    check_domain,
    check_finite,
    check_pair,
    check_weights,
    domains_of,
    each,
    is_pair,
    to_weights,
)
from tlhelpers.checks.data import as_classes, check_labels, count_samples, to_array
from tlhelpers.checks.devices import check_optimizer, count_devices, scope_of
from tlhelpers.checks.features import to_numpy
from tlhelpers.checks.words import check_choice, check_number, check_whole
from tlhelpers.models.ends import End, task_of
from tlhelpers.models.inputs import read_inputs, read_labels
from tlhelpers.tuning.batches import is_dataset
from tlhelpers.tuning.fitting import loss_of
from tlhelpers.tuning.freezing import flags_of, restore_flags

import keras
import numpy as np
from keras import ops
from keras.src.losses.loss import scale_loss_for_distribution

PARTS = ("encoder", "classifier", "discriminator", "view")
QUIET = {"batch_size": 256, "verbose": 0}  # of predict


class Adaptation(keras.Model):
    r"""A classifier that is trained on labelled source and unlabelled target samples.

    The loss is $L = L_\text{label}(source) + w \cdot L_\text{alignment}(source, target)$. Source
    and target go through the encoder as one batch; only the source half meets its labels. What
    aligns the two is up to the subclass: `DANN`, `CDAN`, `CORAL`, `MMD`, `MCC`; `SourceOnly` does
    not align. Compile it with an optimizer, fit it on `paired_batches`; `predict`, `evaluate`,
    `validation_data` and `save` then work on plain arrays, as with any classifier, or on the
    dictionary or tuple of arrays that the encoder takes. The parts are used, not copied.

    Args:
        encoder, classifier, weight, gamma, sources: as in `DANN`; so are the errors.
    """

    alignment_name: str | None = "alignment_loss"
    paired: tuple = (("alignment", "alignment"),)  # outputs, and the metrics that are their means
    classifies_target = False  # whether the alignment reads the logits of the target half
    reverses = False  # whether the weight is that of a gradient reversal, not of the loss
    moves_encoder_alone = True  # whether the alignment can change nothing but the encoder
    least_rows = 1  # of each domain, without which the alignment says nothing

    def __init__(
        self, encoder: keras.Layer, classifier: keras.Layer,
        weight: float = 1.0, gamma: float | None = 10.0, sources: int = 1, **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        self.encoder = check_part(encoder, "encoder")
        self.classifier = check_logits(classifier, "classifier")
        hand_on_parts(self.encoder)
        hand_on_parts(self.classifier)
        self.peak = check_number("weight", weight, "[0, inf)", "0 leaves the alignment out.")
        self.gamma = None if gamma is None else check_number("gamma", gamma, "(0, inf)", "Use 10.")
        self.sources = check_whole("sources", sources, 1, cure="1 takes all sources as one.")
        self.task = task_of(classifier) or "multiclass"
        if self.classifies_target and self.task != "multiclass":
            raise ValueError(
                f"`classifier` must give classes: {type(self).__name__} uses their probabilities. "
                f"Received: classifier for a {self.task} task. Use tl.DANN, tl.CORAL or tl.MMD."
            )
        self.each_loss = loss_of(End(self.task, "logits", 0), None)[0]
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
        """Set optimizer, and metrics beside accuracy, or "mae" in a regression; refuse a `loss`."""
        if loss is not None:
            raise ValueError(
                f"`loss` must be None: {type(self).__name__} has a loss of its own. Received: "
                f"loss={loss!r}. Use model.compile(optimizer, metrics=[...]), or no metrics."
            )
        check_optimizer(self, optimizer)
        with scope_of(self):
            first = loss_of(End(self.task, "logits", 0), None)[1]
            others = [m for m in metrics or () if m not in ("accuracy", "acc", first[0].name)]
            super().compile(optimizer, metrics=[*first, *others], **kwargs)

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

        `features` are `(2b, ...)`, the source half first; `logits` are theirs, `(2b, classes)`, if
        `classifies_target`, and else None.
        """
        return {}

    def pairs(self, features) -> list[tuple]:
        """Return the features of each source, beside those of the target."""
        source, target = pieces(features)
        return [(part, target) for part in pieces(source, self.sources)]

    def call(self, inputs, training=None):  # Keras hands `training` on to the layers inside
        if not is_pair(inputs):
            return self._classify(self._encode(inputs))
        check_pair(inputs)
        domains = domains_of(inputs).values()
        return self._outputs(self._encode(*domains), len(domains))

    def _outputs(self, features, number: int) -> dict:
        """Return the logits of what has labels, and the alignment, of a number of joined parts."""
        source, target, *labelled = pieces(features, number)
        both = features if number == 2 else ops.concatenate([source, target])
        if self.classifies_target:
            logits = self._classify(features)
            ends = pieces(logits, number)
            aligned = self.align(both, ops.concatenate(ends[:2]))
            return {"logits": ops.concatenate([ends[0], *ends[2:]]), **aligned}
        logits = self._classify(ops.concatenate([source, *labelled]) if labelled else source)
        return {"logits": logits, **self.align(both, None)}

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
        few = (None, 1) if self.task == "multiclass" else (None,)
        if len(logits.shape) != 2 or logits.shape[-1] in few:
            raise ValueError(
                "`classifier` must give logits of shape (n, classes), two classes or more. "
                f"Received: shape={tuple(logits.shape)}. End it in keras.layers.Dense(classes); to "
                'learn numbers, use tl.build_head(1, task="regression").'
            )
        return logits

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return label loss, weighted alignment loss and the regularization of the layers."""
        paired = isinstance(y_pred, dict)
        loss = self._label_loss(y, y_pred["logits"] if paired else y_pred, sample_weight)
        if paired and "alignment" in y_pred:
            weight = 1 if self.reverses else ops.cast(self.weight, "float32")
            loss = loss + weight * y_pred["alignment"]
        return scale_loss_for_distribution(sum(self.losses, loss))  # devices add their gradients

    def _label_loss(self, y, logits, sample_weight=None):
        if self.task == "multiclass":
            y = ops.cast(ops.reshape(y, (-1,)), "int32")
        else:
            y = ops.cast(ops.reshape(y, ops.shape(logits)), "float32")
        losses = self.each_loss.call(y, logits)
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
            x: `paired_batches`, or a `tf.data.Dataset` or `PyDataset` of such batches, the last one
                too with as many source as target samples: zip the domains sample by sample before
                `batch`, or batch each of them with `drop_remainder=True`. It may give weights of
                the source samples as a third part, `(n,)` or `(n, 1)`. Target samples with labels
                are a part "labelled" beside "source"; their labels follow those of the source.
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
        if is_dataset(x) and spec is None and not isinstance(x, PairedBatches):
            spec = x[0]  # of another PyDataset: its first batch has the shapes
        pair = spec[0] if isinstance(spec, tuple) else None
        if y is not None or not (is_pair(pair) or isinstance(x, PairedBatches)):
            raise ValueError(
                "`x` must be batches of source and target, and `y` None. Received: x of type "
                f"{type(x).__name__}, y of type {type(y).__name__}. Use tl.paired_batches as `x`, "
                'or a dataset of elements ({"source": x_source, "target": x_target}, y_source).'
            )
        if pair is not None:
            check_pair(pair)
        self._check_shared(domains_of(x.samples if pair is None else pair))
        kwargs["shuffle"] = False  # the batches have an order of their own
        with self._watch() as watch:
            data = self._looked_at(x, None, None, watch)[0]
            with scope_of(self):
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
            x, y, weights = self._looked_at(x, y, sample_weight, watch)
            return super().evaluate(x, y, batch_size, verbose, weights, *args, **kwargs)

    def _check_shared(self, parts: dict) -> None:
        """Refuse, on several devices, batches whose slices have not all that a batch has."""
        devices = count_devices(self)
        if devices > 1 and (self.sources > 1 or LABELLED in parts):
            raise ValueError(
                "`x` must be batches of one source and the target on several devices, which cut "
                f"each batch into slices. Received: parts {sorted(parts)}, sources={self.sources}, "
                f"{devices} devices. Make the model outside the strategy's scope, for one device."
            )

    def _watch(self) -> Watch:
        return Watch(self._read, "int32" if self.task in ("multiclass", "binary") else "float32")

    def _looked_at(self, x, y, weights, watch: Watch) -> tuple:
        """Return samples, labels and weights, checked, or to be checked batch by batch."""
        if isinstance(x, PairedBatches):
            self._read_samples(x.samples)
        elif is_dataset(x) and (hasattr(x, "map") or not hasattr(x, "element_spec")):
            return watch.over(x), y, weights
        if y is None and (hasattr(x, "shape") or isinstance(x, dict)):
            raise ValueError(
                "`y` must be given beside arrays: the loss compares it with the predictions. "
                "Received: y=None. Use evaluate(x, y), or validation_data=(x, y)."
            )
        if y is None:
            return x, y, weights
        x = self._read_samples(x)
        return x, *self._read(x, y, weights, first=False)

    def _read(self, x, y, weights=None, first: bool = True) -> tuple:
        """Return labels and weights of samples as the loss takes them; see `Watch`."""
        domains = domains_of(x) if is_pair(x) else {"x": x}
        if first:
            self._read_samples(x)
        for name, part in domains.items():
            check_finite(part, name)
        n = sum(count_samples(part) for name, part in domains.items() if name != "target")
        return self.read_labels(y, n), None if weights is None else to_weights(weights, n)

    def read_labels(self, y, n: int | None = None) -> np.ndarray:
        """Return labels, of n samples, as the end of the classifier takes them, or refuse them."""
        y = to_numpy(to_array(y, "y"))
        classes = self.task in ("multiclass", "binary")
        width = self.classes if self.built else (*y.shape, 1)[1]
        if classes and not self.built:  # how many classes there are is not known yet
            y = check_labels(as_classes(y), n=n)
        else:
            y = read_labels(y, End(self.task, "logits", width), n)
        return y.astype("int32") if classes else y.reshape(-1, width).astype("float32")

    def check_labels_of(self, batches: PairedBatches) -> None:
        """Refuse labels of paired batches that the classifier does not have."""
        for labels in (batches.y_source, *(batches.labelled or ())[1:]):
            self.read_labels(labels)

    def _validation(self, data, watch: Watch):
        """Return `validation_data`, checked, in a form that Keras takes."""
        x, *said = data if isinstance(data, tuple | list) else (data,)
        y, weights = (*said, None, None)[:2]
        x, *said = self._looked_at(x, y, weights, watch)
        said = [part for part in said if part is not None]
        return (x, *said) if said else x

    def _read_samples(self, x):
        """Return samples as the encoder takes them; refuse images or tokens that it would misread.

        The domain that is wrong is named.
        """
        if not is_pair(x):
            return self._read_domain(x, "x")
        read = {}
        for name, part in domains_of(x).items():
            try:
                read[name] = self._read_domain(part, name)
            except ValueError as error:
                raise ValueError(f"In the {name}: {error}") from None
        return read

    def _read_domain(self, x, name: str):
        if isinstance(x, tuple) and not getattr(self.encoder, "inputs", None):
            return check_domain(x, name)  # `read_inputs` would take it for rows of one array
        return read_inputs(self.encoder, x, name)

    def _prepare(self, x) -> None:
        """Build model and optimizer for batches, or a specification; check what is then known."""
        if isinstance(x, PairedBatches):
            cure = f"{type(self).__name__} compares several samples of each domain. Use 64, say."
            least = self.least_rows * self.sources * count_devices(self)
            check_whole("batch_size", x.batch_size, least, cure=cure)
            if self.sources not in (1, len(x.sources)):
                raise ValueError(
                    f"`x` must have the {self.sources} sources of the model. Received: "
                    f"{len(x.sources)}. Give paired_batches lists of as many, or sources=1."
                )
        sample = each(symbol, getattr(x, "x_source", x))
        known = None not in keras.tree.flatten(each(lambda part: part.shape[1:], sample))
        made = all(getattr(self, name).built for name in PARTS if hasattr(self, name))
        if not (self.built and made) and (known or self.encoder.built):  # predict makes not all
            self({"source": sample, "target": sample})
        if self.built and self.optimizer is not None:
            check_compiled_weights(self)
            self.optimizer.build(self.trainable_variables)  # or the step is traced twice
        if isinstance(x, PairedBatches):
            self.check_labels_of(x)

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
        own |= {"weight": self.peak, "gamma": self.gamma, "sources": self.sources}
        own |= {"flags": flags_of(self)}
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


def symbol(part) -> keras.KerasTensor:
    """Return what stands for any number of samples like those of an array or a specification."""
    shape = part.shape if getattr(part.shape, "rank", 0) is not None else (None, None)
    return keras.KerasTensor((None, *shape[1:]), part.dtype.name)


def pieces(x, number: int = 2) -> list:
    """Return equal pieces of a joined batch: without a number the source and the target half."""
    n = ops.shape(x)[0]
    return [x[n * i // number : n * (i + 1) // number] for i in range(number)]


def flat(features):
    """Return features as float32 rows, `(n, d)`."""
    return ops.cast(ops.reshape(features, (-1, math.prod(features.shape[1:]))), "float32")
