"""A layer that hands its input on as it is and turns the gradient round, and its schedule."""

from tlhelpers.checks.words import check_number

import keras
import numpy as np

_SIGN = "The sign is turned by the layer itself."


@keras.saving.register_keras_serializable("tlhelpers")
class GradientReversal(keras.layers.Layer):
    r"""Return the input unchanged; multiply the gradient on its way back by $-\lambda$.

    Written as $x_0 + \lambda (x_0 - x)$, where $x_0$ is $x$ cut off from the gradient, so that it
    works on any Keras backend and its output is the input to the last bit.

    Args:
        weight: $\lambda \ge 0$ to begin with. `layer.weight` is a variable that no optimizer
            trains: `layer.weight.assign(0.5)`, or `layer.weight = 0.5`, holds from the next step
            on, without tracing anything again.

    Raises:
        ValueError: a weight that is negative or not finite.

    Example:
        >>> layer = tl.GradientReversal(0.7)  # a gradient of 1 comes back as -0.7

    Reference:
        Ganin and Lempitsky 2015, Unsupervised Domain Adaptation by Backpropagation
        (arXiv 1409.7495), section 3.2.
    """

    def __init__(self, weight: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        self.initial = check_number("weight", weight, "[0, inf)", _SIGN)
        start = keras.initializers.Constant(self.initial)
        self._weight = self.add_weight(shape=(), initializer=start, trainable=False, name="weight")

    @property
    def weight(self) -> keras.Variable:
        """The variable that holds the weight now."""
        return self._weight

    @weight.setter
    def weight(self, value: float) -> None:
        self._weight.assign(check_number("weight", value, "[0, inf)", _SIGN))

    def call(self, inputs):
        cut = keras.ops.stop_gradient(inputs)
        return cut + keras.ops.cast(self._weight, inputs.dtype) * (cut - inputs)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        """Return the initial weight; the present one is saved among the model's weights."""
        return {**super().get_config(), "weight": self.initial}


def reversal_schedule(progress: float | np.ndarray, gamma: float = 10.0) -> float | np.ndarray:
    r"""Return $\frac{2}{1 + \exp(-\gamma p)} - 1$: 0 at the start, then fast towards 1.

    Args:
        progress: p, the share of the training that is done, in 0..1; a number or an array.
        gamma: how fast it rises, above 0; the paper takes 10.

    Returns:
        A float in 0..1, or an array of them.

    Raises:
        ValueError: progress outside 0..1, gamma not above 0.

    Example:
        >>> round(tl.reversal_schedule(0.1), 2)
        0.46

    Reference:
        Ganin et al. 2016, Domain-Adversarial Training of Neural Networks, JMLR 17(59), 5.2.2.
    """
    p = np.asarray(progress, "float64")
    if not np.all((p >= 0) & (p <= 1)):
        raise ValueError(
            f"`progress` must lie in 0..1. Received: progress={progress!r}. Divide the steps done "
            "by all steps."
        )
    value = 2 / (1 + np.exp(-check_number("gamma", gamma, "(0, inf)", "Use 10.") * p)) - 1
    return value if p.ndim else float(value)
