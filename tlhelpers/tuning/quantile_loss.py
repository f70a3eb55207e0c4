"""What a forecaster minimizes: the pinball loss, which makes each output a quantile."""

from collections.abc import Sequence

from tlhelpers.checks.quantiles import check_quantiles

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="tlhelpers")
class QuantileLoss(keras.losses.Loss):
    """The pinball loss: too low costs q for each unit, too high 1 - q.

    With q = 0.9 a forecast that is too low costs nine times as much. So it rises, until the truth
    lies above it in one case of ten. `tl.pinball` is the same number outside of training.

    Args:
        quantiles: each in (0, 1), growing; those of the model.

    Input: truths `(n, h)`, and forecasts `(n, h, quantiles)`.
    Output: a loss for each truth, `(n, h)`, the mean over the quantiles.

    Raises:
        ValueError: quantiles out of order, or another number than the model's.

    Example:
        >>> loss = tl.QuantileLoss((0.1, 0.5))
        >>> round(float(loss(np.array([[10.0]]), np.array([[[7.0, 8.0]]]))), 3)
        0.65

    Note:
        A model that was compiled with it loads elsewhere with `compile=False`.

    Reference:
        Koenker and Bassett, "Regression Quantiles", Econometrica 46, 1978, equation 2.
    """

    def __init__(self, quantiles: Sequence[float] = (0.1, 0.5, 0.9), name="quantile", **kwargs):
        super().__init__(name=name, **kwargs)
        self.quantiles = check_quantiles(quantiles)

    def call(self, y_true, y_pred):
        if y_pred.shape[-1] != len(self.quantiles):
            raise ValueError(
                f"`quantiles` must be as many as the model's {y_pred.shape[-1]}. Received: "
                f"quantiles={self.quantiles}. Build the model and the loss with the same ones."
            )
        shares = ops.convert_to_tensor(self.quantiles, y_pred.dtype)
        gap = ops.cast(y_true, y_pred.dtype)[..., None] - y_pred
        return ops.mean(ops.maximum(shares * gap, (shares - 1) * gap), axis=-1)

    def get_config(self):
        return {**super().get_config(), "quantiles": self.quantiles}
