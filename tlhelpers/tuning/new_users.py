"""Train a recommender, and take it to other users: items stay, each user is found at once."""

from tlhelpers.checks.ratings import check_pairs
from tlhelpers.checks.words import check_number, check_whole
from tlhelpers.models.recommender import build_recommender, tables_of
from tlhelpers.scores.ridge_users import ridge_users
from tlhelpers.sources.ratings import Ratings
from tlhelpers.tuning.freezing import freeze

import keras
import numpy as np


def fit_recommender(
    data: Ratings,
    rows: np.ndarray | None = None,
    dimensions: int = 24,
    strength: float = 6.0,
    epochs: int = 20,
    learning_rate: float = 0.01,
) -> keras.Model:
    """Return a recommender that has learnt users and items from ratings.

    Adam, with a cosine decay, on batches of a hundredth of the ratings, but of 64 at least: a
    hundred steps in an epoch, fewer below 6,400 ratings. The weights are drawn by the seed of
    `set_seed`.

    Args:
        data: of `load_ratings`.
        rows: which of its ratings to learn from, numbers or booleans; None: all.
        dimensions: of a vector; 0 learns biases alone, which are means of users and items.
        strength: of the penalty of each user and each item, see `build_recommender`.
        epochs: passes over the ratings.
        learning_rate: of the first step.

    Raises:
        ValueError: no rows; a number out of its range.

    Example:
        >>> data = tl.load_ratings(tl.make_example("ratings", "books", size=20))
        >>> tl.fit_recommender(data, dimensions=2, epochs=1).name
        'recommender'
    """
    rows = np.arange(len(data.users))[slice(None) if rows is None else rows]
    count = check_whole("len(rows)", len(rows), 1)
    epochs, size = check_whole("epochs", epochs, 1), max(64, count // 100)
    learning_rate = check_number("learning_rate", learning_rate, "(0, inf)")
    shrink, centre = check_number("strength", strength, "[0, inf)") / count, data.ratings[rows]
    model = build_recommender(
        len(data.user_names), len(data.item_names), dimensions, float(centre.mean()), shrink, shrink
    )
    rate = keras.optimizers.schedules.CosineDecay(learning_rate, epochs * -(-count // size))
    model.compile(keras.optimizers.Adam(rate), "mse")
    model.fit(data.pairs[rows], data.ratings[rows], batch_size=size, epochs=epochs, verbose=0)
    return model


def fit_users(
    model: keras.Model,
    pairs: np.ndarray,
    ratings: np.ndarray,
    strength: float | np.ndarray,
    users: int | None = None,
) -> keras.Model:
    """Return a recommender for other users of the same items, who are found by a ridge regression.

    The items' table is the model's, frozen. A user without a rating says what the items' biases
    say. The new model is one of `build_recommender`: fine-tune it with `unfreeze`.

    Args:
        model: of `build_recommender`, trained on many users.
        pairs: number of the (new) user and of the item in each row, int `(n, 2)`.
        ratings: what they said, `(n,)`.
        strength: as in `ridge_users`.
        users: how many there are; by default the highest number and one.

    Raises:
        ValueError: a model without such items and users; no pairs; an item that it doesn't have;
            another number of ratings than of pairs, or some that aren't finite; what `ridge_users`
            refuses.

    Example:
        >>> many = tl.build_recommender(users=50, items=5, dimensions=2, centre=3.6)
        >>> few = tl.fit_users(many, np.array([[0, 4], [0, 1]]), np.array([5.0, 2.0]), strength=6)
        >>> few.predict(np.array([[0, 3]]), verbose=0).shape
        (1, 1)
    """
    _, items, centre = tables_of(model)
    pairs, ratings = check_pairs(pairs, ratings, len(items))
    rows = pairs[:, 1]
    x = np.hstack([items[:, :-1], np.ones((len(items), 1), items.dtype)])
    left = ratings - centre - items[rows, -1]
    users = None if users is None else check_whole("users", users, 1)
    found = ridge_users(pairs[:, 0], x[rows], left, strength, count=users)
    other = build_recommender(len(found), len(items), items.shape[1] - 1, centre)
    other.get_layer("items").set_weights([items])
    other.get_layer("users").set_weights([found])
    freeze(other)
    return other
