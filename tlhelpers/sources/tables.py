"""Your own texts: a table of texts and labels, split so that no text is on two sides."""

import os
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from tlhelpers.checks.words import announce, check_seed, check_whole
from tlhelpers.sources.parts import Parts, check_shares, connect, draw_parts
from tlhelpers.sources.table_files import listed, read_table

import numpy as np

_NO_WORD = re.compile(r"[\W_]+")
_NO_WORD_BYTES = bytes(i for i in range(128) if not chr(i).isalnum())
_LEAST = 3  # rows of a class that `most` leaves: one for each part


@dataclass(frozen=True, repr=False, eq=False)
class Texts(Parts):
    """Texts in memory, in three parts: arrays of `str` (dtype object) `(n,)`, labels int64.

    `rows` names the line of the file where each text's row begins: `rows["test"][i]` is that of
    `x_test[i]`, int64. `skipped` says which rows were left out, and why. `held_together` counts the
    texts that are (nearly) equal to another one, and are on its side. `in_two_classes` are groups
    of rows with one and the same text, but different labels: look at them. `not_taken` counts the
    rows that `most` left out.
    """

    rows: dict[str, np.ndarray]
    skipped: dict[int, str]
    held_together: int
    in_two_classes: tuple[tuple[int, ...], ...]
    not_taken: int

    def __repr__(self) -> str:
        counts = np.bincount(self._labels(), minlength=len(self.class_names))
        pairs = zip(self.class_names, counts, strict=True)
        classes = listed([f"{name} {count:,}" for name, count in pairs])
        told = {
            "nearly equal to another, and on its side: {:,}": self.held_together,
            "in two classes: {:,}": len(self.in_two_classes),
            "empty: {:,}": len(self.skipped),
            "{:,} more not taken": self.not_taken,
        }
        notes = "".join(f"; {what.format(count)}" for what, count in told.items() if count)
        return f"{counts.sum():,} texts ({classes}): {self._sizes()}{notes}"


def load_table(
    path: str | os.PathLike,
    text: str = "text",
    label: str = "label",
    validation: float = 0.15,
    test: float = 0.15,
    group: str | None = None,
    most: int | None = None,
    separator: str | None = None,
    encoding: str | None = None,
    skip_empty: bool = False,
    seed: int = 0,
) -> Texts:
    """Read texts and their labels from a table (CSV, TSV), and split them without leaks.

    The first row names the columns. The parts keep the share of each class, as far as what must
    stay together allows: texts that are equal but for case, spaces and punctuation, and those of
    one `group`. Lines without anything are left out. The file is read once, in order.

    Args:
        path: the file.
        text, label: the columns of the texts and of the labels. Classes are sorted by name.
        validation, test: the share of each part, in [0, 1); together below 1. The rest is train.
        group: the column of what must not be on two sides: a patient, an author. A row without a
            value there stands alone.
        most: take so many rows at most, drawn so that each class keeps its share, and three rows
            at least. Defaults to all.
        separator: what stands between two columns. Defaults to the one of comma, semicolon, tab
            and "|" that makes these columns of the first row.
        encoding: a name that Python knows, such as "cp1252". Defaults to what the file's first
            bytes say (a byte order mark), or else UTF-8.
        skip_empty: go on where a text or a label is empty; `skipped` then names the row.
        seed: integer in 0..2**32-1 that draws the rows and the parts.

    Returns:
        A `Texts`.

    Raises:
        ValueError: a file that is none, or is packed; a column that is missing or there twice; an
            unknown encoding, or bytes that it doesn't know; a row with too few or too many fields,
            or an open quotation mark; an empty text or label; one class only, or about one for
            each row; a class too small to be in every part; a bad share.

    Example:
        >>> data = tl.load_table("reviews.csv", text="review", label="opinion")
        24 texts (bad 12, good 12): 16 train, 4 validation, 4 test
        >>> data.x_train.shape, data.class_names
        ((16,), ('bad', 'good'))
    """
    shares, seed = check_shares(validation, test), check_seed(seed)
    if most is not None:
        most = check_whole("most", most, 1, cure="Leave it out for all rows.")
    wanted = {"text": text, "label": label} | ({} if group is None else {"group": group})
    table = read_table(Path(path), wanted, separator, encoding)
    _check_empty(table.empty, skip_empty)
    names = _check_classes(sorted(table.codes), len(table.rows), label)
    ranks = {name: rank for rank, name in enumerate(names)}
    y = np.array([ranks[name] for name in table.codes], "int64")[np.array(table.labels)]
    taken = _draw(y, most, seed)
    x, y, rows = np.array(table.texts, object)[taken], y[taken], np.array(table.rows)[taken]
    keys = [None] * len(x) if group is None else [table.groups[i] for i in taken]
    near = _nearly_equal(x)
    drawn = draw_parts(y, connect(len(x), near, keys), shares, seed, names, "texts")
    train, val, held = drawn.values()
    data = Texts(
        *(x[train], y[train], x[val], y[val], x[held], y[held]),
        class_names=tuple(names),
        rows={part: rows[chosen] for part, chosen in drawn.items()},
        skipped=table.empty,
        held_together=len(np.unique(near)),
        in_two_classes=_in_two_classes(x, y, rows, np.unique(near)),
        not_taken=len(table.rows) - len(rows),
    )
    announce(repr(data))
    return data


def _check_empty(empty: dict[int, str], skip: bool) -> None:
    if empty and not skip:
        rows = listed([f"line {row} ({why})" for row, why in empty.items()])
        raise ValueError(
            f"Each row must have a text and a label. Received: {len(empty):,} without: {rows}. "
            "Fill them in, or pass skip_empty=True."
        )


def _check_classes(names: list[str], count: int, label: str) -> list[str]:
    required, received = "`label` must be a column of two classes or more.", f"label={label!r}"
    if not count:
        raise ValueError("The table must have rows below the first. Received: none. Add texts.")
    if len(names) < 2:
        raise ValueError(
            f"{required} Received: {received} with one class, {names[0]!r}. A classifier needs "
            "two: add texts of what it is not."
        )
    if len(names) > max(50, count / 2):
        raise ValueError(
            f"{required} Received: {received} with {len(names):,} classes in {count:,} rows: "
            f"{listed([repr(name[:40]) for name in names])}. It seems to be a number or an id: "
            "name the column of the classes."
        )
    return names


def _draw(y: np.ndarray, most: int | None, seed: int) -> np.ndarray:
    """Return the rows that `most` leaves: in turn by class, the first three of each at once."""
    counts = np.bincount(y)
    least = int(np.minimum(counts, _LEAST).sum())
    if most is None or most >= len(y):
        return np.arange(len(y))
    check_whole("most", most, least, cure=f"Each of {len(counts)} classes keeps {_LEAST} rows.")
    order = np.random.default_rng(seed).permutation(len(y))
    order = order[np.argsort(y[order], kind="stable")]
    sizes = np.repeat(counts, counts)
    place = np.arange(len(y)) - np.repeat(np.cumsum(counts) - counts, counts)
    turn = np.where(place < _LEAST, 0, (place + 0.5) / sizes)
    return np.sort(order[np.argsort(turn, kind="stable")[:most]])


def _nearly_equal(x: np.ndarray) -> np.ndarray:
    """Return pairs of texts, int64 `(pairs, 2)`: the first of those that are equal, and another."""
    plain = np.fromiter((hash(_plain(text)) for text in x), "int64", len(x))
    _, first, of = np.unique(plain, return_index=True, return_inverse=True)
    return np.stack([first[of], np.arange(len(x))], axis=1)[first[of] != np.arange(len(x))]


def _plain(text: str) -> str:
    """Return the letters and digits of a text, small; where it has none, all but the spaces."""
    small = unicodedata.normalize("NFKC", text).casefold()
    words = small.encode().translate(None, _NO_WORD_BYTES).decode()  # most of it, and fast
    words = words if words.isalnum() else _NO_WORD.sub("", words)
    return words or "".join(small.split())


def _in_two_classes(x, y, rows, near) -> tuple[tuple[int, ...], ...]:
    equal: dict[str, list[int]] = {}
    for number in near.tolist():
        equal.setdefault(x[number], []).append(number)
    mixed = [numbers for numbers in equal.values() if len(set(y[numbers].tolist())) > 1]
    return tuple(tuple(rows[numbers].tolist()) for numbers in mixed)
