"""Invented ratings: many of one crowd, few of another, who both have hidden tastes."""

import csv
from pathlib import Path

import numpy as np

_ITEMS, _TASTES, _MANY, _FEW = 100, 3, 40, 15  # and ratings of a user in each table


def write_invented_ratings(folder: Path, size: int, seed: int) -> None:
    """Write `many.csv`, ratings of `size` people, and `mine.csv`, of a tenth as many others.

    A rating from 1 to 5 is how much a book is liked by all, how kind the reader is, how well the
    tastes of both fit, and chance. One book of `mine.csv` is unknown in `many.csv`.

    Example:
        >>> Path("example").mkdir()
        >>> write_invented_ratings(Path("example"), 50, 0)
        >>> tl.load_ratings("example/mine.csv")
        mine.csv: 80 ratings (1 to 5) by 5 users of ... items
    """
    rng = np.random.default_rng(seed)
    books, liked = rng.normal(size=(_ITEMS, _TASTES)), rng.normal(3.2, 0.5, _ITEMS)
    names = [f"book {number:03d}" for number in range(_ITEMS)]
    for file, people, each in (("many", size, _MANY), ("mine", max(size // 10, 2), _FEW)):
        with (folder / f"{file}.csv").open("w", newline="", encoding="utf8") as opened:
            rows = csv.writer(opened)
            rows.writerow(["user", "item", "rating"])
            for number in range(people):
                taste, kind = rng.normal(0, 0.6, _TASTES), rng.normal(0, 0.4)
                read = rng.permutation(_ITEMS)[:each]
                said = liked[read] + kind + books[read] @ taste + rng.normal(0, 0.5, each)
                for book, rating in zip(read, np.clip(np.round(said), 1, 5), strict=True):
                    rows.writerow([f"{file} {number:04d}", names[book], int(rating)])
                if file == "mine":
                    rows.writerow([f"{file} {number:04d}", "a book of your own", 4])
