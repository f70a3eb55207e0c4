"""What forecasts are worth, beside last year's months; and how they look."""

from collections.abc import Sequence
from dataclasses import dataclass

from tlhelpers.checks.quantiles import check_quantiles
from tlhelpers.checks.words import check_whole
from tlhelpers.reading.plots import BLUE, GREY, ORANGE, new_axes
from tlhelpers.reading.reports import Printed
from tlhelpers.scores.forecasts import mase, pinball, smape
from tlhelpers.sources.series import Series

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
        ValueError: what `mase` and `pinball` refuse; no quantile 0.5; a future that is too short; a
            series that repeats itself exactly, such as a constant one.

    Example:
        >>> from tlhelpers.sources.series import Series
        >>> one = Series("tea", np.array([1.0, 2, 3] * 8), np.array([2.0] * 3), "2024-01")
        >>> forecasts = np.full((1, 3, 3), [1.0, 2.0, 2.5])
        >>> tl.evaluate_forecasts(forecasts, [one], season=4)
        MASE 0.000 (a year ago: 0.513), sMAPE 0.00 (...); 100% of 3 months in an interval for 80%
    """
    quantiles, season = check_quantiles(quantiles), check_whole("season", season, 1)
    forecasts = np.asarray(forecasts, float)
    months = forecasts.shape[1] if forecasts.ndim == 3 else 0
    short = [one.name for one in series if len(one.future) < months]
    if not months or 0.5 not in quantiles or short:
        raise ValueError(
            "`forecasts` must be quantiles (series, months, quantiles), 0.5 among them, of months "
            f"that came. Received: shape {forecasts.shape}, quantiles={quantiles}, without a "
            f"future: {short[:3]}. Use series.hold_out(12)."
        )
    if flat := [one.name for one in series if _repeats(one.history, season)]:
        raise ValueError(
            "A history must change from season to season, or MASE divides by 0. Received: "
            f"{', '.join(flat[:5])}, which repeats itself exactly. Take it out."
        )
    truth = np.array([one.future[:months] for one in series]).reshape(-1, months)
    histories = [one.history for one in series]
    naive = np.array([year_ago(history, months, season) for history in histories])
    given = {"truth": truth, "forecast": forecasts[..., quantiles.index(0.5)]}
    inside = (truth >= forecasts[..., 0]) & (truth <= forecasts[..., -1])
    return Forecasts(
        mase(**given, histories=histories, season=season), smape(**given),
        mase(truth=truth, forecast=naive, histories=histories, season=season),
        smape(truth=truth, forecast=naive),
        pinball(truth=truth, forecasts=forecasts, quantiles=quantiles),
        float(inside.mean()), quantiles[-1] - quantiles[0], *truth.shape,
    )  # fmt: skip


def _repeats(history: np.ndarray, season: int) -> bool:
    return len(history) > season and np.array_equal(history[season:], history[:-season])


def year_ago(history, months: int = 12, season: int = 12) -> np.ndarray:
    """Return the seasonal naive forecast: the last season, again and again.

    Raises:
        ValueError: a history that is shorter than a season.

    Example:
        >>> year_ago([9, 1, 2, 3], months=5, season=3)
        array([1., 2., 3., 1., 2.])
    """
    history = np.asarray(history, float)
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
        known: months of the history that are shown.
        quantiles: those of the last axis, 0.5 among them.

    Raises:
        ValueError: no series, more than 12, or another number of forecasts.

    Example:
        >>> from tlhelpers.sources.series import Series
        >>> one = Series("tea", np.arange(1.0, 25.0), np.arange(25.0, 28.0))
        >>> figure = tl.plot_forecasts([one], np.full((1, 3, 3), [20.0, 25.0, 30.0]))
        >>> figure.savefig("tea.png")
    """
    quantiles, forecasts = check_quantiles(quantiles), np.asarray(forecasts, float)
    count = check_whole("len(series)", len(series), 1, 12, "Choose some of them.")
    if forecasts.ndim != 3 or len(forecasts) != count or forecasts.shape[-1] != len(quantiles):
        raise ValueError(
            f"`forecasts` must be ({count}, months, {len(quantiles)}). Received: "
            f"{forecasts.shape}. Pass what the forecaster gave for these series."
        )
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
        ax.set(title=one.name, xlabel="months from the forecast on", ylim=(0, None))
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False, fontsize=8)
    for ax in axes[count:]:
        ax.set_axis_off()
    return figure
