"""Batch normalization that keeps the statistics of source and target apart."""

from tlhelpers.checks.words import check_choice, check_number

import keras
from keras import ops

DOMAINS = ("source", "target")


@keras.saving.register_keras_serializable("tlhelpers")
class DomainBatchNormalization(keras.layers.Layer):
    r"""Normalize source and target by their own mean and variance; scale and shift are shared.

    It replaces `BatchNormalization` in the encoder of a `DANN` or another adaptation. They train on
    joined batches: `encoder(x, parts=2)` reaches this layer, which normalizes source and target
    each by itself. Without `parts` a batch belongs to one domain: the target, unless you say
    `with model.on_domain("source"):`. Under mixed precision the statistics are those of float32.

    Args:
        momentum: of the moving statistics, in [0, 1).
        epsilon: added to the variance, above 0.

    Raises:
        ValueError: momentum or epsilon out of its range; an unknown domain.

    Example:
        >>> encoder = keras.Sequential([
        ...     keras.layers.Conv2D(32, 5), tl.DomainBatchNormalization(), keras.layers.ReLU(),
        ...     keras.layers.Flatten()])

    Reference:
        Chang et al. 2019, Domain-Specific Batch Normalization for Unsupervised Domain Adaptation
        (arXiv 1906.03950), equation 4, here with shared scale and shift as in AdaBN (Li et al.
        2016, arXiv 1603.04779).
    """

    def __init__(self, momentum: float = 0.95, epsilon: float = 1e-3, **kwargs):
        super().__init__(**kwargs)
        self.momentum = check_number("momentum", momentum, "[0, 1)", "Use 0.95.")
        self.epsilon = check_number("epsilon", epsilon, "(0, inf)", "Use 0.001.")
        hand_on_parts(self)

    def build(self, input_shape):
        width = input_shape[-1]
        exact = {"autocast": False}  # a moving average forgets what half precision cannot hold
        fixed = {"trainable": False, **exact}
        self.gamma = self.add_weight((width,), "ones", name="gamma", **exact)
        self.beta = self.add_weight((width,), "zeros", name="beta", **exact)
        self.means = self.add_weight((2, width), "zeros", name="means", **fixed)
        self.variances = self.add_weight((2, width), "ones", name="variances", **fixed)
        self.domain = self.add_weight((), "ones", dtype="int32", name="domain", **fixed)

    def use_domain(self, name: str) -> None:
        """Take the batches to come, other than joined ones, for source or for target."""
        self.domain.assign(DOMAINS.index(check_choice("name", name, DOMAINS)))

    def call(self, inputs, training=None, parts=None):
        """Normalize `(n, ..., channels)`, a batch of one domain or one joined of equal parts.

        Of `parts` parts the first is source, all others are target. `training` learns statistics.
        """
        learns = bool(training) and self.trainable
        if parts is None:
            return self._normalize(inputs, self.domain, learns)
        cut = ops.shape(inputs)[0] // parts
        domains = [inputs[:cut], inputs[cut:]]
        return ops.concatenate([self._normalize(x, i, learns) for i, x in enumerate(domains)])

    def _normalize(self, x, domain, learns: bool):
        """Normalize samples of one domain, and learn its statistics in training."""
        exact = ops.cast(x, keras.backend.result_type(x.dtype, "float32"))  # or float64 for float64
        if learns:
            mean, variance = ops.moments(exact, axes=list(range(len(x.shape) - 1)))
            row = ops.expand_dims(ops.one_hot(domain, 2), 1) * (1 - self.momentum)
            self.means.assign(self.means + row * (mean - self.means))
            self.variances.assign(self.variances + row * (variance - self.variances))
        else:
            mean, variance = (ops.take(v, domain, axis=0) for v in (self.means, self.variances))
        scale = self.gamma * ops.rsqrt(variance + self.epsilon)
        shift = self.beta - mean * scale
        return ops.cast(exact * scale + shift, x.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        """Return the settings."""
        return {**super().get_config(), "momentum": self.momentum, "epsilon": self.epsilon}


def hand_on_parts(layer: keras.Layer) -> None:
    """Let a layer be called with `parts`, which goes on to every layer inside, as `training` does.

    A layer whose `call` has this call-context argument gets it, until another value is given or the
    outermost call ends. Keras' own `_register_call_context_args` skips layers called earlier.
    """
    layer._call_context_args = layer._call_context_args | {"parts"}
    layer._call_has_context_arg["parts"] = "parts" in layer._call_signature.parameters
