"""A table in a text file: its encoding, its separator, and the line where each row begins."""

import codecs
import csv
import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from operator import itemgetter
from pathlib import Path

from tlhelpers.checks.words import did_you_mean

_SEPARATORS = (",", ";", "\t", "|")
_BEGINNINGS = {codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32",
               codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}  # fmt: skip
_PACKED = {b"PK\3\4": "an Excel workbook or a zip file", b"\xd0\xcf\x11\xe0": "an Excel workbook",
           b"\x1f\x8b": "a gzip file"}  # fmt: skip
_SHOWN = 8  # items of a list that a line names


@dataclass
class Table:
    """The columns that are wanted; a million rows take little more than their texts.

    `rows` are the lines where they begin, `labels` numbers, and `codes` says of which label each
    is. `groups` and `times` are empty without such a column; a row without a value has None in
    `groups`. `empty` are the rows that have no text or no label: row -> what it lacks. They are in
    none of the others.
    """

    rows: array = field(default_factory=lambda: array("q"))
    texts: list[str] = field(default_factory=list)
    labels: array = field(default_factory=lambda: array("q"))
    groups: list[str | None] = field(default_factory=list)
    times: list[str] = field(default_factory=list)
    codes: dict[str, int] = field(default_factory=dict)
    empty: dict[int, str] = field(default_factory=dict)


def read_table(
    file: Path, columns: dict[str, str], separator: str | None, encoding: str | None
) -> Table:
    """Read the columns of a table: a text, a label and, if they are among them, a group and a time.

    Args:
        file: the table; its first row names the columns.
        columns: argument -> the name of its column, in this order; an error names the argument.
        separator, encoding: as for `load_table`.

    Raises:
        ValueError: all that `load_table` refuses of a file, a column or a row, empty ones aside.
    """
    _check_separator(separator)
    encoding = _find_encoding(encoding, _first_bytes(file))
    separators = [separator] if separator else _SEPARATORS
    headers = {each: _read_header(file, encoding, each) for each in separators}
    separator = max(headers, key=lambda each: _fit(headers[each], columns))
    _check_columns(headers[separator], columns)
    places = [headers[separator].index(name) for name in columns.values()]
    table, take = Table(), itemgetter(*places)
    for row, fields in _body(file, encoding, separator, 1 + max(places)):
        _append(table, row, *take(fields))
    return table


def listed(items: list[str]) -> str:
    """Return the first items with commas, and how many more there are."""
    more = f" and {len(items) - _SHOWN:,} more" if len(items) > _SHOWN else ""
    return ", ".join(items[:_SHOWN]) + more


def to_number(text: str | None) -> float:
    """Return the number that a cell holds; NaN where it holds none."""
    try:
        return float(text or "nan")
    except ValueError:
        return float("nan")


def _check_separator(separator: str | None) -> None:
    one = isinstance(separator, str) and len(separator) == 1 and separator not in '"\r\n\0'
    if separator is not None and not one:
        raise ValueError(
            f"`separator` must be one character. Received: separator={separator!r}. "
            r'Leave it out, or take ",", ";", "\t" (a tab) or "|".'
        )


def _first_bytes(file: Path) -> bytes:
    required = "`path` must be a table in a text file; its first row names the columns."
    if not file.is_file():
        what = "a folder" if file.exists() else "which does not exist"
        raise ValueError(f"{required} Received: {str(file)!r}, {what}.")
    with file.open("rb") as opened:
        first = opened.read(4)
    if not first:
        raise ValueError(f"{required} Received: {str(file)!r}, which is empty.")
    if packed := next((what for mark, what in _PACKED.items() if first.startswith(mark)), ""):
        cure = 'In Excel: Save as, "CSV UTF-8".' if "Excel" in packed else "Unpack it first."
        raise ValueError(f"{required} Received: {str(file)!r}, {packed}. {cure}")
    return first


def _find_encoding(encoding: str | None, first: bytes) -> str:
    if encoding is None:
        found = (name for mark, name in _BEGINNINGS.items() if first.startswith(mark))
        return next(found, "utf-8-sig")
    try:
        "a".encode(encoding)
    except (LookupError, TypeError, ValueError):
        raise ValueError(
            f"`encoding` must be one that Python knows. Received: encoding={encoding!r}. "
            'Take "utf-8", "cp1252" (Excel on Windows) or "utf-16".'
        ) from None
    return "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding


def _read_header(file: Path, encoding: str, separator: str) -> list[str]:
    reader = csv.reader(_lines(file, encoding), delimiter=separator)
    try:
        return [name.strip() for name in next(filter(None, reader), [])]
    except csv.Error:  # a field above the limit: no name of a column
        return []


def _fit(header: list[str], columns: dict[str, str]) -> tuple[int, int]:
    return sum(name in header for name in columns.values()), len(header)


def _check_columns(header: list[str], columns: dict[str, str]) -> None:
    for argument, name in columns.items():
        received, count = f"Received: {argument}={name!r}", header.count(name)
        if not count:
            raise ValueError(
                f"`{argument}` must be a column. {received}, but the columns are "
                f"{listed([repr(column[:40]) for column in header])}."
                f"{did_you_mean(name, header, shown=0)} The first row must hold their names."
            )
        if count > 1:
            raise ValueError(
                f"`{argument}` must be one column. {received}, {count} times in the first row. "
                "Give each column a name of its own."
            )


def _body(file: Path, encoding: str, separator: str, least: int) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows below the first, each after its line, or say which is too short or long."""
    rows = _rows(file, encoding, separator)
    width = len(next(rows)[1])
    for row, fields in rows:
        if len(fields) < least or any(fields[width:]):
            raise ValueError(
                "Each row must have a field for each column. Received: "
                f"{len(fields)} in line {row} of {file.name!r}, {width} in the first row. Put a "
                f"text that holds {separator!r} into quotation marks."
            )
        yield row, fields


def _rows(file: Path, encoding: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that aren't blank, each after the number of the line where it begins."""
    reader, row = csv.reader(_lines(file, encoding), delimiter=separator, strict=True), 1
    try:
        for fields in reader:
            if fields:
                yield row, fields
            row = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(
            "Each quotation mark that opens a field must be closed at its end. Received: the row "
            f"in line {row} of {file.name!r}: {error}. Write a mark in a text twice, and the text "
            'in marks: "a ""fine"" film".'
        ) from error


def _lines(file: Path, encoding: str) -> Iterator[str]:
    required, number = "`encoding` must be that of the file.", 0
    try:
        with file.open(newline="", encoding=encoding) as opened:
            for number, line in enumerate(opened, 1):
                if "\0" in line:
                    raise ValueError(
                        f"{required} Received: line {number} of {file.name!r} with a zero byte. "
                        'Pass encoding="utf-16-le", or save the table as CSV in UTF-8.'
                    )
                yield line
    except UnicodeError as error:
        name = encoding.removesuffix("-sig")
        other = 'encoding="cp1252" (Excel on Windows)' if name != "cp1252" else 'encoding="utf-8"'
        raise ValueError(
            f"{required} Received: line {_broken_line(file, encoding, number)} of {file.name!r}, "
            f"which is not {name}. Pass {other}, or the one that it was saved in."
        ) from error


def _broken_line(file: Path, encoding: str, whole: int) -> int:
    """Return the line of what the encoding doesn't know: dropped or marked, it's another line."""
    try:
        with (
            file.open(newline="", encoding=encoding, errors="ignore") as dropped,
            file.open(newline="", encoding=encoding, errors="replace") as marked,
        ):
            lines = enumerate(zip_longest(dropped, marked), 1)
            return next(number for number, (one, other) in lines if one != other)
    except (UnicodeError, StopIteration):  # an encoding that needs its mark
        return whole + 1


def _append(
    table: Table, row: int, text: str, label: str, group: str | None = None, time: str | None = None
) -> None:
    label = label.strip()
    if not label or not text.strip():
        table.empty[row] = "no text" if label else "no label"
        return
    table.rows.append(row)
    table.texts.append(text)
    table.labels.append(table.codes.setdefault(label, len(table.codes)))
    if group is not None:
        table.groups.append(sys.intern(group.strip()) or None)
    if time is not None:
        table.times.append(time)
