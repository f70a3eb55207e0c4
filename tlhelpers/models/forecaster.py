r"""A forecaster of monthly series: what was a year ago, plus a correction by recurrent layers.

36 months --> GRU --> what it remembers --\
     |                                     join --> correction --\
     |---------------------------------- /                        add --> 12 months ahead
     \---- the last 12 months, once for each quantile -----------/
"""

from collections.abc import Sequence

from tlhelpers.checks.quantiles import check_quantiles
from tlhelpers.checks.words import check_whole

import keras
from keras import layers


def build_forecaster(
    history: int = 36,
    horizon: int = 12,
    quantiles: Sequence[float] = (0.1, 0.5, 0.9),
    width: int = 48,
    depth: int = 1,
) -> keras.Model:
    """Build a network that reads the last months of a series and forecasts the next ones.

    A GRU reads month after month, and keeps `width` numbers in mind. They and the months
    themselves give a correction of last year's months. Its weights begin at zero: an untrained
    forecaster says that each month is as a year ago, the seasonal naive forecast.

    Args:
        history: months that it reads, at least `horizon`.
        horizon: months that it forecasts, from the first after the history on.
        quantiles: each in (0, 1), growing; 0.5 is the forecast, the others its interval.
        width: numbers that a recurrent layer keeps.
        depth: recurrent layers, at least 1.

    Returns:
        A functional `keras.Model` of Keras' own layers: logarithms minus their mean, see
        `cut_windows`, `(n, history)`; to float32 forecasts in the same unit, `(n, horizon,
        quantiles)`. Its base are the layers "gru_1", ...; its head begins at "join". Train it with
        `QuantileLoss`.

    Raises:
        ValueError: a number out of its range; quantiles out of order.

    Example:
        >>> net = tl.build_forecaster(history=24, width=4)
        >>> months = np.random.default_rng(0).normal(size=(1, 24)).astype("float32")
        >>> net.predict(months, verbose=0).shape
        (1, 12, 3)
        >>> bool(np.allclose(net.predict(months, verbose=0)[..., 1], months[:, -12:]))
        True

    Reference:
        Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder", EMNLP 2014
        (GRU); Wen et al., "A Multi-Horizon Quantile Recurrent Forecaster", 2017 (arXiv 1711.11053).
    """
    horizon = check_whole("horizon", horizon, 1)
    history = check_whole("history", history, horizon, cure="It must hold the months a year ago.")
    quantiles, width = check_quantiles(quantiles), check_whole("width", width, 1)
    depth = check_whole("depth", depth, 1)
    months = keras.Input((history,), name="months")
    x = layers.Reshape((history, 1), name="in_steps")(months)
    for number in range(1, depth + 1):
        x = layers.GRU(width, return_sequences=number < depth, name=f"gru_{number}")(x)
    x = layers.Concatenate(name="join")([months, x])
    x = layers.Dense(horizon * len(quantiles), kernel_initializer="zeros", name="correction")(x)
    x = layers.Reshape((horizon, len(quantiles)), name="by_quantile")(x)
    year = layers.Reshape((history, 1), name="in_a_column")(months)  # its own: a cut may be before
    year = layers.Cropping1D((history - horizon, 0), name="year_ago")(year)
    out = layers.Add(name="forecast", dtype="float32")([x, year])
    return keras.Model(months, out, name="forecaster")
