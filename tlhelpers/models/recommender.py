r"""A recommender: what a user thinks of an item, from a vector of each.

(user, item) -> items: vector and bias of the item  \
             -> users: vector and bias of the user   +- product of vectors + biases -> rating
"""

import math
from typing import NamedTuple

from tlhelpers.checks.words import check_number, check_whole

import keras
import numpy as np


def build_recommender(
    users: int,
    items: int,
    dimensions: int = 24,
    centre: float = 0.0,
    user_strength: float = 0.0,
    item_strength: float = 0.0,
) -> keras.Model:
    r"""Return a model of ratings: centre + bias of the user + bias of the item + their product.

    r(u, i) = centre + b_u + b_i + p_u . q_i, with vectors p and q of `dimensions` numbers. In each
    table the last column is the bias. The items are the base, the users the head. So
    `freeze(model)` keeps the items' vectors, and `unfreeze(model, fraction=1.0)` lets them learn.

    Args:
        users, items: how many there are.
        dimensions: of a vector; 0 leaves biases alone.
        centre: what is said of nobody and nothing, such as the mean of the ratings.
        user_strength, item_strength: how strongly a user, or an item, is drawn to zero: s adds
            s p.p, of bias and vector, to its squared errors. The penalty must be divided by the
            number of training ratings, as the loss is a mean over them: give s / ratings. It then
            says the same as a ridge regression of strength s for each user.

    Returns:
        A model that takes whole numbers `(n, 2)`, a user and an item in each row, and gives ratings
        `(n, 1)`. `model.get_layer("items")` and "users" are models of their own; their one weight
        is the table `(count, dimensions + 1)`.

    Raises:
        ValueError: a count that is not whole and above 0; a strength below 0.

    Example:
        >>> recommender = build_recommender(users=3, items=5, dimensions=2, centre=3.6)
        >>> recommender(np.array([[0, 4], [2, 1]])).shape
        TensorShape([2, 1])
        >>> print(tl.freeze(recommender))
        block         trainable  all  layers
        item_vectors          0   15  item_vectors
        head                  9    9  user_vectors
        trainable 9 | all 24 | 37.50 %

    Reference:
        Koren, Bell, Volinsky, "Matrix Factorization Techniques for Recommender Systems", 2009.
    """
    width = 1 + check_whole("dimensions", dimensions, 0)
    centre = check_number("centre", centre)
    pairs = keras.Input((2,), dtype="int32", name="pairs")
    strengths = {"user_strength": user_strength, "item_strength": item_strength}
    for name, strength in strengths.items():
        check_number(name, strength, "[0, inf)")
    item = _table("items", items, width, item_strength)(pairs[:, 1])
    user = _table("users", users, width, user_strength)(pairs[:, 0])
    rating = item[:, -1:] + user[:, -1:]  # the items come first: so they are the base
    if dimensions:
        rating = rating + keras.layers.Dot(1)([item[:, :-1], user[:, :-1]])
    rating = keras.layers.Rescaling(1.0, centre, name="task_regression")(rating)
    return keras.Model(pairs, rating, name="recommender")


class Tables(NamedTuple):
    """What a recommender has learnt: a row for each user and item, the bias last; its centre."""

    users: np.ndarray
    items: np.ndarray
    centre: float


def tables_of(model: keras.Model) -> Tables:
    """Return the tables of a model of `build_recommender`, or say that it's another one.

    Example:
        >>> tables_of(build_recommender(users=3, items=5, dimensions=2)).items.shape
        (5, 3)
    """
    try:
        (users,), (items,) = (model.get_layer(part).get_weights() for part in ("users", "items"))
        return Tables(users, items, float(model.get_layer("task_regression").offset))
    except (ValueError, AttributeError) as error:
        raise ValueError(
            f"`model` must be a recommender. Received: {model!r}. Build it with "
            "tl.build_recommender."
        ) from error


def _table(name: str, count: int, width: int, strength: float) -> keras.Model:
    """Return a model from numbers `(n,)` to rows `(n, width)` of a table that it learns."""
    count = check_whole(name, count, 1)
    numbers = keras.Input((), dtype="int32")
    table = keras.layers.Embedding(
        count, width, name=f"{name[:-1]}_vectors",
        embeddings_initializer=keras.initializers.RandomNormal(0.1 / math.sqrt(width)),
        embeddings_regularizer=keras.regularizers.L2(strength) if strength else None,
    )  # fmt: skip
    return keras.Model(numbers, table(numbers), name=name)
