"""What a recommender says: how good it is on ratings held out, and what it recommends."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from tlhelpers.checks.words import check_whole, did_you_mean
from tlhelpers.reading.reports import Printed
from tlhelpers.scores.ordering import ordering_score
from tlhelpers.sources.ratings import Ratings

import keras
import numpy as np

_AT_ONCE, _NAME = 10_000, "recommender"


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
        ValueError: another number of ratings than of pairs; predictions that aren't finite.

    Example:
        >>> model = tl.build_recommender(users=2, items=3, centre=3.0, dimensions=0)
        >>> evaluate_ratings(model, np.array([[0, 1], [0, 2]]), np.array([4.0, 3.0]), (1, 5))
        RMSE 0..., in the right order: ... of a user's pairs (2 ratings by 1 users)
    """
    pairs, ratings = np.asarray(pairs), np.asarray(ratings, "float64")
    if pairs.shape != (len(ratings), 2) or not len(ratings):
        raise ValueError(
            "`pairs` must have a user and an item for each rating. Received: "
            f"{pairs.shape}, {len(ratings)} ratings. Take both from the same rows."
        )
    said = model.predict(pairs, batch_size=_AT_ONCE, verbose=0)[:, 0].astype("float64")
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
        top = check_whole("top", top, 1)
        number = self.user_names.index(check_user(user, self.user_names))
        seen = self.pairs[self.pairs[:, 0] == number, 1]
        left = np.setdiff1d(np.arange(len(self.item_names)), seen)
        if not len(left):
            return []
        asked = np.stack([np.full(len(left), number), left], axis=1).astype("int32")
        said = keras.ops.convert_to_numpy(self.model(asked))[:, 0]
        best = np.argsort(-said, kind="stable")[:top]
        return [(self.item_names[left[row]], float(said[row])) for row in best]


def check_user(user: str, known: tuple[str, ...]) -> str:
    """Return the name of a user, or say which names are near."""
    if user not in known:
        raise ValueError(
            f"`user` must be one who has rated. Received: user={user!r}, which is none of "
            f"{len(known):,}.{did_you_mean(user, known, shown=0)} Fit anew with their ratings."
        )
    return user


def save_recommender(folder: str | os.PathLike, model: keras.Model, data: Ratings) -> Recommender:
    """Save a model with names and rated pairs as `recommender.keras` and `recommender.json`.

    Args:
        folder: where; it is made.
        model: of `build_recommender` or `fit_users`, for the users and items of `data`.
        data: of `load_ratings`. Its pairs are in the file: keep it as private as the ratings.

    Raises:
        ValueError: a model with other numbers of users or items.

    Example:
        >>> data = tl.load_ratings(tl.make_example("ratings", "books", size=20))
        >>> model = tl.build_recommender(len(data.user_names), len(data.item_names))
        >>> saved = tl.save_recommender("result", model, data)
        >>> len(tl.load_recommender("result").recommend("mine 0001", top=3))
        3
    """
    counts = [len(model.get_layer(part).get_weights()[0]) for part in ("users", "items")]
    if counts != [len(data.user_names), len(data.item_names)]:
        raise ValueError(
            "`model` must have the users and items of `data`. Received: "
            f"{counts[0]:,} users and {counts[1]:,} items, and {len(data.user_names):,} and "
            f"{len(data.item_names):,} names. Fit it to these ratings."
        )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    model.save(folder / f"{_NAME}.keras")
    about = {"users": data.user_names, "items": data.item_names, "pairs": data.pairs.tolist()}
    (folder / f"{_NAME}.json").write_text(json.dumps(about), encoding="utf8")
    return Recommender(model, data.user_names, data.item_names, data.pairs)


def load_recommender(folder: str | os.PathLike) -> Recommender:
    """Return what `save_recommender` has saved.

    Raises:
        ValueError: no such files.

    Example:
        >>> tl.load_recommender("nowhere")
        Traceback (most recent call last):
        ValueError: `folder` must hold recommender.keras and recommender.json. Received ...
    """
    files = [Path(folder) / f"{_NAME}.{kind}" for kind in ("keras", "json")]
    if not all(file.is_file() for file in files):
        raise ValueError(
            f"`folder` must hold {_NAME}.keras and {_NAME}.json. Received: {str(folder)!r}. Save "
            "with tl.save_recommender."
        )
    about = json.loads(files[1].read_text(encoding="utf8"))
    pairs = np.array(about["pairs"], "int32").reshape(-1, 2)
    model = keras.models.load_model(files[0])
    return Recommender(model, tuple(about["users"]), tuple(about["items"]), pairs)
