"""How far forecasts miss: MASE and sMAPE, as the M competitions count, and the pinball loss."""

from collections.abc import Iterable, Sequence

from tlhelpers.checks.features import check_samples, to_numpy
from tlhelpers.checks.quantiles import check_quantiles
from tlhelpers.checks.words import check_whole

import numpy as np


def mase(*, truth, forecast, histories, season: int = 12) -> float:
    r"""Return the mean absolute scaled error: 1 is a miss as large as the history's own changes.

    Each series' mean absolute error is divided by how much the months of its history differ from
    the same months a year before, then the series are averaged:

    $$\frac{\frac{1}{h} \sum_j |y_j - f_j|}{\frac{1}{n-m} \sum_{t=m+1}^{n} |x_t - x_{t-m}|}$$

    Args:
        truth: $y$, what came, `(series, h)`.
        forecast: $f$, of the same shape.
        histories: $x$, what was known, an array of any length above `season` for each series.
        season: $m$, months of a season; 1 is no season.

    Returns:
        0 or above, lower is better.

    Raises:
        ValueError: other shapes; what isn't finite; a history that is no longer than a season, or
            that repeats its season exactly, such as a constant one: the scale is 0.

    Example:
        >>> tl.mase(truth=[[3.0, 5.0]], forecast=[[3.0, 4.0]], histories=[[1, 2, 1, 2]], season=1)
        0.5

    Reference:
        Hyndman and Koehler, "Another look at measures of forecast accuracy", International Journal
        of Forecasting 22, 2006, section 3; with the season as in the M4 competition.
    """
    return scaled_error(truth, forecast, scales_of(histories, season))


def smape(*, truth, forecast) -> float:
    r"""Return the symmetric mean absolute percentage error, 0..200, lower is better.

    $$\frac{200}{h} \sum_j \frac{|y_j - f_j|}{|y_j| + |f_j|}$$

    It needs no history and no scale, but counts the same miss more where the numbers are small.
    Where both are 0 the miss is 0.

    Args:
        truth, forecast: $y$ and $f$, `(series, h)`.

    Raises:
        ValueError: other shapes; what isn't finite.

    Example:
        >>> round(tl.smape(truth=[[100.0]], forecast=[[110.0]]), 2)
        9.52

    Reference:
        Makridakis and Hibon, "The M3-Competition", International Journal of Forecasting 16, 2000.
    """
    truth, forecast = _pair(truth, forecast)
    size = np.abs(truth) + np.abs(forecast)
    return float(200 * np.mean(np.abs(truth - forecast) / np.where(size > 0, size, 1)))


def pinball(*, truth, forecasts, quantiles: Sequence[float]) -> float:
    r"""Return the mean pinball loss of forecast quantiles, lower is better.

    A miss costs $q$ for each unit that the truth lies above, and $1 - q$ for each below. So the
    cheapest forecast is the value below which a share of $q$ of the truths lie. For 0.5 it's half
    of the absolute error.

    Args:
        truth: `(series, h)`.
        forecasts: `(series, h, quantiles)`.
        quantiles: each in (0, 1), growing.

    Raises:
        ValueError: other shapes; what isn't finite; quantiles out of order.

    Example:
        >>> round(tl.pinball(truth=[[10.0]], forecasts=[[[7.0, 8.0]]], quantiles=(0.1, 0.5)), 3)
        0.65

    Reference:
        Koenker and Bassett, "Regression Quantiles", Econometrica 46, 1978, equation 2.
    """
    quantiles = check_quantiles(quantiles)
    truth, forecasts = check_samples(truth, "truth"), check_samples(forecasts, "forecasts")
    if forecasts.shape != (*truth.shape, len(quantiles)):
        raise ValueError(
            f"`forecasts` must be of shape {(*truth.shape, len(quantiles))}. Received: "
            f"{forecasts.shape}. The last axis is that of the quantiles."
        )
    gap = truth[..., None] - forecasts
    return float(np.maximum(quantiles * gap, (np.array(quantiles) - 1) * gap).mean())


def scaled_error(truth, forecast, scales: np.ndarray) -> float:
    """Return `mase` with the scales of the series, of `scales_of`.

    Raises:
        ValueError: what `mase` refuses of `truth` and `forecast`; another number of scales.
    """
    truth, forecast = _pair(truth, forecast)
    if len(scales) != len(truth):
        raise ValueError(
            "`histories` must be one for each series. Received: "
            f"{len(scales)} for {len(truth)} series. Pass what was known before `truth`."
        )
    return float((np.abs(truth - forecast).mean(axis=1) / scales).mean())


def scales_of(
    histories: Iterable, season: int = 12, names: Sequence[str] | None = None
) -> np.ndarray:
    """Return the scale of MASE of each history: what the seasonal naive forecast misses in it.

    Args:
        histories, season: as for `mase`.
        names: what an error calls the histories; None: row 0, row 1, ...

    Raises:
        ValueError: what `mase` refuses of a history.
    """
    season = check_whole("season", season, 1)
    scales = []
    for number, history in enumerate(histories):
        name = f"row {number}" if names is None else names[number]
        values = np.asarray(to_numpy(history), float)
        if values.ndim != 1 or len(values) <= season or not np.isfinite(values).all():
            raise ValueError(
                f"A history must be finite numbers, more than a season of {season}. Received: "
                f"shape {values.shape} in {name}. Take a longer one, or a smaller `season`."
            )
        scales.append(np.abs(values[season:] - values[:-season]).mean())
        if not scales[-1]:
            raise ValueError(
                f"A history must change from season to season. Received: {name}, which repeats "
                "itself exactly, so that MASE divides by 0. Take it out, or use smape."
            )
    return np.array(scales)


def _pair(truth, forecast) -> tuple[np.ndarray, np.ndarray]:
    truth, forecast = check_samples(truth, "truth"), check_samples(forecast, "forecast")
    if truth.ndim != 2 or truth.shape != forecast.shape:
        raise ValueError(
            "`truth` and `forecast` must be of one shape, (series, months). Received: "
            f"{truth.shape} and {forecast.shape}. Of quantiles take the middle one."
        )
    return truth.astype(float), forecast.astype(float)
