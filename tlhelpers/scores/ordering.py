"""Are the items that a user likes more also those that are said to be liked more?"""

import numpy as np


def ordering_score(users: np.ndarray, ratings: np.ndarray, predicted: np.ndarray) -> float:
    """Return the share of pairs of a user's items that are in the right order, a mean over users.

    A pair is two items that the user rated differently. It counts 1 where the better one is
    predicted higher, 1/2 where both are predicted alike. So 1/2 is what luck reaches, and what
    knows the user's mean alone. With ratings of 0 and 1 it's the AUC of each user.

    Args:
        users: the user of each rating, int `(n,)`, in any order.
        ratings: what they said, `(n,)`.
        predicted: what was predicted, `(n,)`, on any scale.

    Returns:
        A number in [0, 1]: the mean over the users that have such a pair; NaN if none has.

    Raises:
        ValueError: other shapes; a prediction that is not finite.

    Example:
        >>> users, ratings = np.array([0, 0, 0]), np.array([5, 3, 1])
        >>> round(ordering_score(users, ratings, np.array([4.2, 2.0, 3.1])), 3)  # 2 of 3 pairs
        0.667

    Reference:
        Somers, "A New Asymmetric Measure of Association", 1962: it is (1 + D) / 2.
    """
    users, ratings, predicted = (np.asarray(each) for each in (users, ratings, predicted))
    if not users.shape == ratings.shape == predicted.shape == (users.size,):
        raise ValueError(
            "`users`, `ratings` and `predicted` must have one number for each rating. Received: "
            f"shapes {users.shape}, {ratings.shape}, {predicted.shape}. Take a column: x[:, 0]."
        )
    if not np.isfinite(predicted).all():
        raise ValueError(
            f"`predicted` must be finite. Received: {np.sum(~np.isfinite(predicted))} that aren't. "
            "Did the training diverge? Lower its learning rate."
        )
    order = np.argsort(users, kind="stable")
    edges = np.flatnonzero(np.diff(users[order])) + 1
    shares = [_share(ratings[rows], predicted[rows]) for rows in np.split(order, edges)]
    known = [share for share in shares if share is not None]
    return float(np.mean(known)) if known else float("nan")


def _share(ratings: np.ndarray, predicted: np.ndarray) -> float | None:
    better = ratings[:, None] > ratings
    above = np.sign(predicted[:, None] - predicted)[better]
    return float((1 + above.mean()) / 2) if len(above) else None
