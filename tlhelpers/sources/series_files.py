"""Monthly series from a table of your own: long, wide, or one series alone."""

import math
import os
import re
from collections.abc import Sequence
from pathlib import Path

from tlhelpers.checks.words import announce
from tlhelpers.sources.series import Series, month_after
from tlhelpers.sources.table_files import listed, read_table, to_number

import numpy as np

_MONTH = re.compile(r"(\d{4})[-/](0?[1-9]|1[0-2])(?:[-/]\d{1,2})?(?:[T ].*)?")


def load_series_file(
    path: str | os.PathLike,
    date: str = "date",
    value: str | Sequence[str] = "value",
    series: str | None = None,
    separator: str | None = None,
    encoding: str | None = None,
) -> list[Series]:
    """Read monthly series from a table (CSV, TSV), in any order of its rows.

    One series has two columns, `date,value`. Several stand one below the other, with a column that
    names them (`series="shop"`), or side by side (`value=["north", "south"]`). Every month from
    the first to the last of a series must be there once, with a number above 0: the forecaster
    works with logarithms. What is missing is an error that names it; nothing is filled in.

    Args:
        path: the file; its first row names the columns.
        date: the column of months, 2025-03; what follows, as in 2025-03-31, is not read.
        value: the column of numbers, or a list of columns, a series each.
        series: the column that names the series; None where there is no such column.
        separator, encoding: as for `load_table`.

    Returns:
        A list of `Series` in the order of their first rows, without a future.

    Raises:
        ValueError: a cell that is empty, no month or no number above 0, by its line; a month that
            is missing or there twice, by its series; both `series` and several values; what
            `load_table` refuses of a file.

    Example:
        >>> text = "month,shop,sold\\n2025-01,a,3\\n2025-02,a,4\\n2025-01,b,7\\n"
        >>> size = Path("sold.csv").write_text(text)
        >>> tl.load_series_file("sold.csv", date="month", value="sold", series="shop")
        sold.csv: 2 monthly series, 1 to 2 months long, up to 2025-02
        [Series(a, 2 months from 2025-01), Series(b, 1 months from 2025-01)]
    """
    path, values = Path(path), [value] if isinstance(value, str) else list(value)
    if not values or (series is not None and len(values) > 1):
        raise ValueError(
            "`value` must be one column where `series` names the series, else one or more. "
            f"Received: value={value!r}, series={series!r}. Leave out one of the two."
        )
    found: dict[str, dict[str, float]] = {}
    for name in values:
        alone = path.stem if len(values) == 1 else name
        for key, month, number in _cells(path, date, name, series, alone, separator, encoding):
            if month in found.setdefault(key, {}):
                raise ValueError(
                    f"{path.name} must have each month once. Received: {month} twice in the series "
                    f"{key!r}. Add the rows of a month up, or name the column: series=..."
                )
            found[key][month] = number
    result = [_whole(path, name, months) for name, months in found.items()]
    lengths, end = sorted(map(len, result)), max(max(months) for months in found.values())
    announce(f"{path.name}: {len(result)} monthly series, {lengths[0]} to {lengths[-1]} months "
             f"long, up to {end}")  # fmt: skip
    return result


def _cells(path, date, value, series, alone, separator, encoding):
    """Yield the name, the month and the number of each row, or say what is wrong in which line."""
    columns = {"date": date, "value": value} | ({} if series is None else {"series": series})
    table = read_table(path, columns, separator, encoding)
    if table.empty:
        lacks = {"no text": f"no {date}", "no label": f"no {value}"}
        told = listed([f"line {row} ({lacks.get(why, why)})" for row, why in table.empty.items()])
        raise ValueError(
            f"{path.name} must have a month and a number in each row. Received: {told}. Fill in "
            "what is missing; a series may begin later or end sooner, but has no gaps."
        )
    if not table.rows:
        raise ValueError(f"{path.name} must have rows below the first. Received: none. Add some.")
    names = [alone] * len(table.rows) if series is None else table.groups
    codes, bad, cells = list(table.codes), [], []
    for line, text, label, name in zip(table.rows, table.texts, table.labels, names, strict=True):
        month, number = _MONTH.fullmatch(text.strip()), to_number(codes[label])
        if not month:
            bad.append(f"line {line}: {text.strip()!r:.20} is no month such as 2025-03")
        elif not 0 < number < math.inf:
            bad.append(f"line {line}: {codes[label]!r:.20} is no number above 0")
        elif not name:
            bad.append(f"line {line}: no {series}")
        else:
            cells.append((name, f"{month[1]}-{int(month[2]):02d}", number))
    if bad:
        raise ValueError(
            f"{path.name} must have a month and a number above 0 in each row. Received: "
            f"{listed(bad)}. Correct them; add a constant to a series that falls to 0 or below."
        )
    return cells


def _whole(path: Path, name: str, months: dict[str, float]) -> Series:
    start, end = min(months), max(months)
    count = 1 + 12 * (int(end[:4]) - int(start[:4])) + int(end[5:]) - int(start[5:])
    expected = [month_after(start, number) for number in range(count)]
    if gaps := [month for month in expected if month not in months]:
        raise ValueError(
            f"{path.name} must have every month of a series from its first to its last. Received: "
            f"{name!r} without {listed(gaps)}. Fill them in, or begin the series behind the gap."
        )
    return Series(name, np.array([months[month] for month in expected]), np.zeros(0), start)
