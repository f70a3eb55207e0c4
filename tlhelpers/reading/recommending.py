"""What a recommender says: how good it is on ratings held out, and what it recommends."""

import functools
import json
import os
import tempfile
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from tlhelpers.checks.files import sha256
from tlhelpers.checks.ratings import check_pairs
from tlhelpers.checks.words import check_whole, did_you_mean
from tlhelpers.models.recommender import tables_of
from tlhelpers.reading.reports import Printed
from tlhelpers.scores.ordering import ordering_score
from tlhelpers.sources.ratings import Ratings

import keras
import numpy as np

_AT_ONCE = 100_000  # pairs
_FILES = ("recommender.keras", "recommender.json")


@dataclass(frozen=True, repr=False)
class RatingsReport(Printed):
    """What `evaluate_ratings` returns: `rmse` in the units of the ratings, `ordering` in 0..1."""

    rmse: float
    ordering: float
    ratings: int
    users: int

    def __str__(self) -> str:
        return (
            f"RMSE {self.rmse:.3f}, in the right order: {self.ordering:.3f} of a user's pairs "
            f"({self.ratings:,} ratings by {self.users:,} users)"
        )

    def rows(self) -> list[list[str]]:
        """Return the cells of the table, the head first."""
        cells = [f"{self.rmse:.3f}", f"{self.ordering:.3f}", f"{self.ratings}", f"{self.users}"]
        return [["RMSE", "ordering", "ratings", "users"], cells]


def evaluate_ratings(model: keras.Model, pairs, ratings, scale=None) -> RatingsReport:
    """Report how far predicted ratings are off, and whether they order a user's items right.

    Args:
        model: of `build_recommender` or `fit_users`.
        pairs: user and item of each rating, int `(n, 2)`, held out from its training.
        ratings: what they said, `(n,)`.
        scale: (lowest, highest); predictions outside are cut to it.

    Raises:
        ValueError: another model; a user or an item that it doesn't have; another number of ratings
            than of pairs; ratings or predictions that aren't finite.

    Example:
        >>> model = tl.build_recommender(users=2, items=3, centre=3.0, dimensions=0)
        >>> evaluate_ratings(model, np.array([[0, 1], [0, 2]]), np.array([4.0, 3.0]), (1, 5))
        RMSE 0..., in the right order: ... of a user's pairs (2 ratings by 1 users)
    """
    tables = tables_of(model)
    pairs, ratings = check_pairs(pairs, ratings, len(tables.items), len(tables.users))
    said = model.predict(pairs, batch_size=10_000, verbose=0)[:, 0].astype("float64")
    said = said if scale is None else np.clip(said, *scale)
    ordering = ordering_score(pairs[:, 0], ratings, said)
    rmse = float(np.sqrt(np.mean((ratings - said) ** 2)))
    return RatingsReport(rmse, ordering, len(ratings), len(np.unique(pairs[:, 0])))


@dataclass(frozen=True, repr=False, eq=False)
class Recommender:
    """A model of ratings with the names of its users and items, and what each user has rated."""

    model: keras.Model
    user_names: tuple[str, ...]
    item_names: tuple[str, ...]
    pairs: np.ndarray

    def recommend(self, user: str, top: int = 10) -> list[tuple[str, float]]:
        """Return items that a user hasn't rated, with what they are predicted to give: best first.

        Raises:
            ValueError: a user who isn't known.
        """
        return [(item, said) for _, item, said in self.recommend_each([user], top)]

    def recommend_each(self, users: Iterable[str], top: int = 10) -> list[tuple[str, str, float]]:
        """Return what `recommend` says of each of these users, in rows (user, item, predicted).

        The model is asked for many users at once.

        Raises:
            ValueError: a user who isn't known.
        """
        top, rows = check_whole("top", top, 1), []
        asked = [(user, *self._rated[check_user(user, self._rated)]) for user in users]
        items = np.arange(len(self.item_names))
        step = max(1, _AT_ONCE // len(items))
        for start in range(0, len(asked), step):
            some = asked[start : start + step]
            numbers = np.repeat([number for _, number, _ in some], len(items))
            pairs = np.stack([numbers, np.tile(items, len(some))], axis=1).astype("int32")
            said = keras.ops.convert_to_numpy(self.model(pairs)).reshape(len(some), len(items))
            for (user, _, seen), row in zip(some, said, strict=True):
                left = np.setdiff1d(items, seen)
                best = left[np.argsort(-row[left], kind="stable")[:top]]
                rows += [(user, self.item_names[item], float(row[item])) for item in best]
        return rows

    @functools.cached_property
    def _rated(self) -> dict[str, tuple[int, np.ndarray]]:
        """Return of each user the number, and the numbers of the items that they have rated."""
        users, items = self.pairs[np.argsort(self.pairs[:, 0], kind="stable")].T
        edges = np.searchsorted(users, np.arange(1, len(self.user_names)))
        each = enumerate(np.split(items, edges))
        return dict(zip(self.user_names, each, strict=True))


def check_user(user: str, known: Collection[str]) -> str:
    """Return the name of a user, or say which names are near."""
    if not isinstance(user, str) or user not in known:
        raise ValueError(
            f"`user` must be one who has rated. Received: user={user!r}, which is none of "
            f"{len(known):,}.{did_you_mean(user, known, shown=0)} Fit anew with their ratings."
        )
    return user


def save_recommender(folder: str | os.PathLike, model: keras.Model, data: Ratings) -> Recommender:
    """Save a model with names and rated pairs as `recommender.keras` and `recommender.json`.

    Both are written beside their place, then moved there.

    Args:
        folder: where; it is made.
        model: of `build_recommender` or `fit_users`, for the users and items of `data`.
        data: of `load_ratings`. Its pairs are in the file: keep it as private as the ratings.

    Raises:
        ValueError: another model; one with other numbers of users or items.

    Example:
        >>> data = tl.load_ratings(tl.make_example("ratings", "books", size=20))
        >>> model = tl.build_recommender(len(data.user_names), len(data.item_names))
        >>> saved = tl.save_recommender("result", model, data)
        >>> len(tl.load_recommender("result").recommend("mine 0001", top=3))
        3
    """
    tables = tables_of(model)
    if (len(tables.users), len(tables.items)) != (len(data.user_names), len(data.item_names)):
        raise ValueError(
            "`model` must have the users and items of `data`. Received: "
            f"{len(tables.users):,} users and {len(tables.items):,} items, and "
            f"{len(data.user_names):,} and {len(data.item_names):,} names. Fit it to these ratings."
        )
    about = {"users": data.user_names, "items": data.item_names, "pairs": data.pairs.tolist()}
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".recommender.") as beside:
        new = [Path(beside) / name for name in _FILES]
        model.save(new[0])
        about["sha256"] = sha256(new[0])
        new[1].write_text(json.dumps(about), encoding="utf8")
        for file in new:
            os.replace(file, folder / file.name)
    return Recommender(model, data.user_names, data.item_names, data.pairs)


def load_recommender(folder: str | os.PathLike) -> Recommender:
    """Return what `save_recommender` has saved, for predictions: without optimizer and loss.

    Raises:
        ValueError: no such files; one that isn't whole; two that weren't saved together.

    Example:
        >>> tl.load_recommender("nowhere")
        Traceback (most recent call last):
        ValueError: `folder` must hold recommender.keras and recommender.json. Received ...
    """
    model_file, about_file = (Path(folder) / name for name in _FILES)
    try:
        about = json.loads(about_file.read_text(encoding="utf8"))
        if about["sha256"] != sha256(model_file):
            raise ValueError(f"{_FILES[0]} is damaged, or from another save")
        pairs = np.array(about["pairs"], "int32").reshape(-1, 2)
        model = keras.models.load_model(model_file, compile=False, safe_mode=True)
        return Recommender(model, tuple(about["users"]), tuple(about["items"]), pairs)
    except Exception as error:  # a damaged file makes Keras raise all kinds
        raise ValueError(
            f"`folder` must hold {_FILES[0]} and {_FILES[1]}, whole, of one save. Received: "
            f"{str(folder)!r}: {type(error).__name__}: {error}. Save with tl.save_recommender, or "
            "copy both files again."
        ) from error
