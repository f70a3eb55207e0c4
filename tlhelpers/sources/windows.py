r"""Series cut into what a network reads and what it is to say.

series   .......[ 36 months: x ][ 12 months: y ]........     a window for each place
numbers  logarithms, minus the mean of those in x            so a village looks like a country
"""

from collections.abc import Iterable
from typing import NamedTuple

from tlhelpers.checks.features import to_numpy
from tlhelpers.checks.words import check_seed, check_whole

import numpy as np


class Windows(NamedTuple):
    """Pieces of series, in the unit of the network: logarithms minus the mean of the inputs.

    `x` are inputs `(n, history)`, `y` what follows `(n, horizon)`, both float32. `series` says of
    which series each one is, `places` at which of its months it begins, both int64 `(n,)`.
    """

    x: np.ndarray
    y: np.ndarray
    series: np.ndarray
    places: np.ndarray


def cut_windows(
    histories: Iterable,
    history: int = 36,
    horizon: int = 12,
    most: int | None = None,
    seed: int = 0,
) -> Windows:
    """Cut series into windows: so many months to read, and those that follow, to forecast.

    A series of n months has n - history - horizon + 1 of them; a shorter one has none.

    Args:
        histories: of each series an array of numbers above 0, the months in their order; or a
            `Series`, of which the history counts.
        history, horizon: months to read and to forecast.
        most: windows of a series at most, drawn at random. None: all.
        seed: draws them.

    Returns:
        `Windows`, series by series, each in the order of time.

    Raises:
        ValueError: no list of series; one with what isn't finite or not above 0; none that is long
            enough.

    Example:
        >>> windows = tl.cut_windows([np.arange(1.0, 51.0)], history=36, horizon=12)
        >>> windows.x.shape, windows.y.shape, windows.places
        ((3, 36), (3, 12), array([0, 1, 2]))
    """
    history, horizon = check_whole("history", history, 1), check_whole("horizon", horizon, 1)
    most = None if most is None else check_whole("most", most, 1)
    random = np.random.default_rng(check_seed(seed))
    rows, series, places = [], [], []
    lengths = []
    for number, given in enumerate(listed_series("histories", histories)):
        values = check_positive(given, number)
        lengths.append(len(values))
        count = len(values) - history - horizon + 1
        begins = np.arange(max(count, 0))
        if most is not None and count > most:
            begins = np.sort(random.choice(count, most, replace=False))
        rows += [values[begin : begin + history + horizon] for begin in begins]
        series += [number] * len(begins)
        places += begins.tolist()
    if not rows:
        raise ValueError(
            f"`histories` must have a series of {history + horizon} months or more. Received: "
            f"{len(lengths)}, the longest of {max(lengths, default=0)}. Take longer ones, or a "
            "smaller `history`."
        )
    logs = np.log(np.array(rows))
    logs -= logs[:, :history].mean(axis=1, keepdims=True)
    logs = logs.astype("float32")
    return Windows(logs[:, :history], logs[:, history:], np.array(series), np.array(places))


def to_inputs(histories: Iterable, history: int = 36) -> tuple[np.ndarray, np.ndarray]:
    """Return the last months of each series as a network reads them, and the means of their logs.

    Args:
        histories: as for `cut_windows`.
        history: months to read.

    Returns:
        Float32 `(n, history)`; float64 `(n, 1)`: `np.exp(x + mean)` are the months again.

    Raises:
        ValueError: no list of series; one that is too short, not finite or not above 0.

    Example:
        >>> x, mean = to_inputs([[1.0, 10.0, 1000.0]], history=2)
        >>> np.exp(x + mean).round(3)
        array([[  10., 1000.]])
    """
    history = check_whole("history", history, 1)
    rows = []
    for number, given in enumerate(listed_series("histories", histories)):
        values = check_positive(given, number)
        if len(values) < history:
            raise ValueError(
                f"A series must have {history} months or more. Received: {len(values)} in series "
                f"{number}. Take out what is shorter, or forecast it by last year's months."
            )
        rows.append(values[-history:])
    if not rows:
        raise ValueError("`histories` must hold a series. Received: none. Pass a list of arrays.")
    logs = np.log(np.array(rows))
    mean = logs.mean(axis=1, keepdims=True)
    return (logs - mean).astype("float32"), mean


def listed_series(name: str, given: Iterable) -> list:
    """Return a list of series, or say that one came alone."""
    if not isinstance(given, Iterable):
        raise ValueError(
            f"`{name}` must be a list of series. Received: {name}={given!r:.60}. Put a single one "
            "in brackets: [series]."
        )
    return list(given)


def check_positive(values, number: int) -> np.ndarray:
    """Return a series as float64, or say what in it has no logarithm."""
    values = np.asarray(to_numpy(getattr(values, "history", values)))
    if values.ndim != 1 or values.dtype.kind not in "iuf":
        raise ValueError(
            f"A series must be one row of numbers. Received: series {number} of shape "
            f"{values.shape} and dtype {values.dtype}. Pass a list of series, even for one."
        )
    bad = ~((values > 0) & (values < 1e100))
    if bad.any():
        raise ValueError(
            "A series must have numbers above 0 alone, as its logarithm is taken. Received: "
            f"{values[bad][0]} at month {bad.argmax()} of series {number}. Fill gaps in; add a "
            "constant to a series that falls to 0 or below, and take it off the forecast."
        )
    return values.astype(float)
