"""What forecasts are worth, beside last year's months; and how they look."""

from collections.abc import Sequence
from dataclasses import dataclass

from tlhelpers.checks.quantiles import check_quantiles
from tlhelpers.checks.words import check_whole
from tlhelpers.reading.plots import BLUE, GREY, ORANGE, new_axes
from tlhelpers.reading.reports import Printed
from tlhelpers.scores.forecasts import pinball, scaled_error, scales_of, smape
from tlhelpers.sources.series import Series
from tlhelpers.sources.windows import listed_series

import numpy as np


@dataclass(frozen=True, repr=False)
class Forecasts(Printed):
    """What `evaluate_forecasts` returns. MASE, sMAPE and pinball: lower is better.

    `naive_mase` and `naive_smape` are those of the seasonal naive forecast, the same months a year
    ago. `coverage` is the share of the months between the outermost quantiles, `promised` what it
    should be.
    """

    mase: float
    smape: float
    naive_mase: float
    naive_smape: float
    pinball: float
    coverage: float
    promised: float
    series: int
    months: int

    def __str__(self) -> str:
        return (
            f"MASE {self.mase:.3f} (a year ago: {self.naive_mase:.3f}), sMAPE {self.smape:.2f} "
            f"({self.naive_smape:.2f}); {self.coverage:.0%} of {self.series * self.months:,} "
            f"months in an interval for {self.promised:.0%}"
        )

    def rows(self) -> list[list[str]]:
        """Return the cells of the table, the head first."""
        return [
            ["", "MASE", "sMAPE"],
            ["forecast", f"{self.mase:.3f}", f"{self.smape:.2f}"],
            ["a year ago", f"{self.naive_mase:.3f}", f"{self.naive_smape:.2f}"],
        ]


def evaluate_forecasts(
    forecasts,
    series: Sequence[Series],
    quantiles: Sequence[float] = (0.1, 0.5, 0.9),
    season: int = 12,
) -> Forecasts:
    """Compare forecasts with what came, and with what the same months were a year ago.

    Args:
        forecasts: quantiles `(n, h, quantiles)`, as a `Forecaster` gives them.
        series: n `Series`; of the future of each the first h months count.
        quantiles: those of the last axis, 0.5 among them.
        season: months of a season.

    Raises:
        ValueError: what `mase` and `pinball` refuse; no list of series; other forecasts than one
            for each series and quantile; no quantile 0.5; a future that is too short.

    Example:
        >>> from tlhelpers.sources.series import Series
        >>> one = Series("tea", np.array([1.0, 2, 3] * 8), np.array([2.0] * 3), "2024-01")
        >>> forecasts = np.full((1, 3, 3), [1.0, 2.0, 2.5])
        >>> tl.evaluate_forecasts(forecasts, [one], season=4)
        MASE 0.000 (a year ago: 0.513), sMAPE 0.00 (...); 100% of 3 months in an interval for 80%
    """
    series = listed_series("series", series)
    forecasts, quantiles = _check_forecasts(forecasts, quantiles, len(series))
    months = forecasts.shape[1]
    if short := [one.name for one in series if len(one.future) < months]:
        raise ValueError(
            f"`series` must have a future of {months} months or more, as the forecasts have. "
            f"Received: less in {', '.join(short[:5])}. Use series.hold_out({months})."
        )
    histories = [one.history for one in series]
    scales = scales_of(histories, season, [one.name for one in series])
    truth = np.array([one.future[:months] for one in series])
    naive = np.array([year_ago(history, months, season) for history in histories])
    middle = forecasts[..., quantiles.index(0.5)]
    inside = (truth >= forecasts[..., 0]) & (truth <= forecasts[..., -1])
    return Forecasts(
        scaled_error(truth, middle, scales), smape(truth=truth, forecast=middle),
        scaled_error(truth, naive, scales), smape(truth=truth, forecast=naive),
        pinball(truth=truth, forecasts=forecasts, quantiles=quantiles),
        float(inside.mean()), quantiles[-1] - quantiles[0], *truth.shape,
    )  # fmt: skip


def year_ago(history, months: int = 12, season: int = 12) -> np.ndarray:
    """Return the seasonal naive forecast: the last season, again and again.

    Raises:
        ValueError: a history that is shorter than a season; `months` or `season` below 1.

    Example:
        >>> year_ago([9, 1, 2, 3], months=5, season=3)
        array([1., 2., 3., 1., 2.])
    """
    history, months = np.asarray(history, float), check_whole("months", months, 1)
    season = check_whole("season", season, 1)
    if len(history) < season:
        raise ValueError(
            f"A history must have a season of {season} or more. Received: {len(history)} months. "
            "Take a longer one, or a smaller `season`."
        )
    return np.resize(history[-season:], months)


def plot_forecasts(series: Sequence[Series], forecasts, known: int = 48, quantiles=(0.1, 0.5, 0.9)):
    """Plot series, their forecasts and the intervals of these; and what came, where it's known.

    Args:
        series: at most 12 of them, a panel each.
        forecasts: `(n, h, quantiles)`.
        known: months of the history that are shown, at least 1.
        quantiles: those of the last axis, 0.5 among them.

    Raises:
        ValueError: no list of 1 to 12 series; other forecasts than one for each series and
            quantile; no quantile 0.5; `known` below 1.

    Example:
        >>> from tlhelpers.sources.series import Series
        >>> one = Series("tea", np.arange(1.0, 25.0), np.arange(25.0, 28.0))
        >>> figure = tl.plot_forecasts([one], np.full((1, 3, 3), [20.0, 25.0, 30.0]))
        >>> figure.savefig("tea.png")
    """
    series, known = listed_series("series", series), check_whole("known", known, 1)
    count = check_whole("len(series)", len(series), 1, 12, "Choose some of them.")
    forecasts, quantiles = _check_forecasts(forecasts, quantiles, count)
    columns = min(count, 3)
    rows = -(-count // columns)
    figure, axes = new_axes(3.6 * max(columns, 2), 2.5 * rows, rows, columns)
    for ax, one, ahead in zip(axes, series, forecasts, strict=False):
        months, shown = np.arange(1, len(ahead) + 1), one.history[-known:]
        ax.plot(np.arange(1 - len(shown), 1), shown, color=GREY, linewidth=1, label="known")
        if len(one.future):
            ax.plot(months, one.future[: len(months)], color=GREY, linestyle=":", label="came")
        ax.fill_between(months, ahead[:, 0], ahead[:, -1], color=BLUE, alpha=0.2, linewidth=0)
        ax.plot(months, ahead[:, quantiles.index(0.5)], color=ORANGE, label="forecast")
        ax.set(title=one.name, xlabel="months from the forecast on")
        if ax.dataLim.ymin >= 0:
            ax.set_ylim(0)
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False, fontsize=8)
    for ax in axes[count:]:
        ax.set_axis_off()
    return figure


def _check_forecasts(forecasts, quantiles, count: int) -> tuple[np.ndarray, tuple[float, ...]]:
    """Return forecasts of so many series and their quantiles, or say what doesn't fit."""
    quantiles, forecasts = check_quantiles(quantiles), np.asarray(forecasts, float)
    if 0.5 not in quantiles:
        raise ValueError(
            f"`quantiles` must have 0.5 among them, the forecast. Received: quantiles={quantiles}. "
            "Pass those of the forecaster: forecaster.quantiles."
        )
    if forecasts.ndim != 3 or forecasts.shape[::2] != (count, len(quantiles)) or not forecasts.size:
        raise ValueError(
            f"`forecasts` must be ({count}, months, {len(quantiles)}). Received: "
            f"{forecasts.shape}. Pass what the forecaster gave for these series."
        )
    return forecasts, quantiles
