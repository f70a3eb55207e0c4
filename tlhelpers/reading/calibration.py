"""Confidence that can be believed: temperature scaling."""

from tlhelpers.checks.words import check_number
from tlhelpers.models.graph import inputs_of, walk
from tlhelpers.reading.evaluation import Report, evaluate

import keras
import numpy as np

LOWEST, HIGHEST = 0.05, 20.0


@keras.saving.register_keras_serializable(package="tlhelpers")
class Temperature(keras.layers.Layer):
    """Divide logits by a temperature above 0: above 1 predictions are less sure, below 1 surer.

    `(n, classes)` keep their shape, and the largest stays the largest.
    """

    def __init__(self, temperature: float = 1.0, **kwargs):
        super().__init__(**kwargs)
        self.temperature = check_number("temperature", temperature, "(0, inf)")

    def call(self, logits):
        return logits / self.temperature

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "temperature": self.temperature}


def calibrate(model: keras.Model, x, y=None, batch_size: int = 64) -> keras.Model:
    r"""Return the model with its logits divided by the temperature that fits these samples best.

    A fine-tuned network is often too sure of itself. One number $T$, chosen on samples that were
    not trained on, corrects that and changes no decision: $\mathrm{softmax}(z / T)$ with the $T$
    of the lowest cross-entropy.

    Args:
        model: a classifier that ends in logits, `(n, classes)` or one for a binary task. It stays
            as it is; the new one shares its layers. One that was calibrated gets a new temperature.
        x, y: validation samples and labels, or a dataset, as in `evaluate`; not the training set,
            of which a model is sure with reason, and not the test set.
        batch_size: samples per step, for arrays.

    Returns:
        A `keras.Model` that ends in a layer named "temperature"; `.get_layer("temperature")
        .temperature` is the number. It is evaluated, saved and loaded like any other.

    Raises:
        ValueError: a model that ends in probabilities or has no graph; samples with no mistake, or
            nothing else, or where it is no surer when it is right; what `evaluate` refuses.

    Example:
        >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Activation("linear")])
        >>> logits = 3 * np.eye(3)[y]  # a confidence of .91
        >>> logits[::4] = np.roll(logits[::4], 1, axis=1)  # but a quarter of it is wrong
        >>> calibrated = tl.calibrate(model, logits, y)
        >>> print(f"{calibrated.get_layer('temperature').temperature:.2f}")
        1.67

    Reference:
        Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, section 4.2.
    """
    raw, name = model, model.name.removesuffix("_calibrated")
    if getattr(model, "outputs", None):
        layer, call, _ = model.outputs[0]._keras_history
        if isinstance(layer, Temperature):  # back to the logits that it divides
            raw = keras.Model(inputs_of(model), layer._inbound_nodes[call].input_tensors[0])
    report = evaluate(raw, x, y, batch_size=batch_size)
    if not isinstance(report, Report):
        raise ValueError(
            "`model` must give each sample one class. Received: "
            f"model={model.name!r} with several labels (multilabel) or numbers (regression). One "
            "temperature is for a softmax: report on it with evaluate as it is."
        )
    if report.outputs_were != "logits":
        raise ValueError(
            f"`model` must end in logits. Received: probabilities from model={model.name!r}. Leave "
            "out the softmax or sigmoid of its last layer."
        )
    walk(raw)  # a model with a graph, or an error
    temperature = fit_temperature(report.probabilities, report.labels)
    logits = Temperature(temperature, name="temperature", dtype="float32")(raw.outputs[0])
    return keras.Model(inputs_of(raw), logits, name=f"{name}_calibrated")


def fit_temperature(probabilities, labels) -> float:
    """Return the temperature of the lowest cross-entropy, from probabilities at temperature 1.

    Raises:
        ValueError: the best temperature is not within 0.05..20; no mistakes, or nothing else.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    logits = np.log(np.clip(probabilities, 1e-30, None))  # softmax forgets only a constant
    rows = np.arange(len(labels))

    def cross_entropy(inverse: float) -> float:  # convex in 1 / T
        scaled = logits * inverse
        return float(np.mean(logsumexp(scaled, axis=1) - scaled[rows, labels]))

    best = minimize_scalar(cross_entropy, bounds=(1 / HIGHEST, 1 / LOWEST), method="bounded")
    temperature = float(1 / best.x)
    mistakes = int(np.sum(np.argmax(probabilities, axis=1) != labels))
    if mistakes and LOWEST * 1.01 < temperature < HIGHEST / 1.01:
        return temperature
    found = f"{mistakes} mistakes in {len(labels)} samples"
    if mistakes in (0, len(labels)):
        raise ValueError(
            f"`x` must hold right and wrong predictions. Received: {found}, and no temperature in "
            f"{LOWEST}..{HIGHEST} fits best. Use more validation samples."
        )
    bound, confidence = HIGHEST, "unrelated to its correctness"
    if temperature < 1:
        bound, confidence = LOWEST, "next to none, although it is right more often"
    raise ValueError(
        f"`model` must be surer where it is right. Received: {found}, on which its confidence is "
        f"{confidence}: the best temperature lies at the bound, {bound}. Train the model further, "
        "and check that x and y belong together."
    )
