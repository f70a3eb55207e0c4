"""Confidence that can be believed: temperature scaling."""

from __future__ import annotations

from tlhelpers.evaluation import evaluate
from tlhelpers.splitting import inputs_of

import keras
import numpy as np

LOWEST, HIGHEST = 0.05, 20.0


@keras.saving.register_keras_serializable(package="tlhelpers")
class Temperature(keras.layers.Layer):
    """Divide logits by a number: `(n, classes)` to the same. The largest stays the largest.

    Args:
        temperature: above 0; above 1 makes predictions less sure, below 1 surer.
    """

    def __init__(self, temperature: float = 1.0, **kwargs):
        super().__init__(**kwargs)
        self.temperature = float(temperature)

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
            as it is; the new one shares its layers.
        x, y: validation samples and labels, or a dataset, as in `evaluate`; not the training set,
            of which a model is sure with reason, and not the test set.
        batch_size: samples per step, for arrays.

    Returns:
        A `keras.Model` that ends in a layer named "temperature"; `.get_layer("temperature")
        .temperature` is the number. It is evaluated, saved and loaded like any other.

    Raises:
        ValueError: a model that ends in probabilities; samples on which it makes no mistake, or
            nothing but mistakes, so that no finite temperature is best; what `evaluate` refuses.

    Example:
        >>> calibrated = tl.calibrate(model, x_val, y_val)
        >>> print(tl.evaluate(calibrated, x_test, y_test))

    Reference:
        Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, section 4.2.
    """
    report = evaluate(model, x, y, batch_size=batch_size)
    if report.outputs_were != "logits":
        raise ValueError(
            "A model that ends in logits is required. Received: probabilities from "
            f"model={model.name!r}. Leave out the softmax or sigmoid of its last layer."
        )
    temperature = fit_temperature(report.probabilities, report.labels)
    logits = Temperature(temperature, name="temperature", dtype="float32")(model.outputs[0])
    return keras.Model(inputs_of(model), logits, name=f"{model.name}_calibrated")


def fit_temperature(probabilities, labels) -> float:
    """Return the temperature of the lowest cross-entropy, from probabilities at temperature 1.

    Args:
        probabilities: `(n, classes)`, rows that sum to one.
        labels: integers `(n,)`.

    Raises:
        ValueError: the best temperature is outside of 0.05..20.
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
    if not mistakes or not LOWEST * 1.01 < temperature < HIGHEST / 1.01:
        raise ValueError(
            "Samples with right and wrong predictions are required, to see how sure the model may "
            f"be. Received: {mistakes} mistakes in {len(labels)} samples, and no temperature in "
            f"{LOWEST}..{HIGHEST} fits best. Use more validation samples."
        )
    return temperature
