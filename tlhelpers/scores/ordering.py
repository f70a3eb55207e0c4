"""Are the items that a user likes more also those that are said to be liked more?"""

import numpy as np

_AT_ONCE = 2**22  # pairs


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
        ValueError: other shapes; a rating or a prediction that is not finite.

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
    cures = {"ratings": "Leave those rows out, in all three.",
             "predicted": "Did the training diverge? Lower its learning rate."}  # fmt: skip
    for (name, cure), values in zip(cures.items(), (ratings, predicted), strict=True):
        if bad := np.sum(~np.isfinite(values)):
            raise ValueError(f"`{name}` must be finite. Received: {bad} that aren't. {cure}")
    order = np.argsort(users, kind="stable")
    edges = np.flatnonzero(np.diff(users[order])) + 1
    shares = [_share(ratings[rows], predicted[rows]) for rows in np.split(order, edges)]
    known = [share for share in shares if share is not None]
    return float(np.mean(known)) if known else float("nan")


def _share(ratings: np.ndarray, predicted: np.ndarray) -> float | None:
    """Return the share of one user; so many rows at a time that memory doesn't grow as a square."""
    pairs = above = 0
    step = max(1, _AT_ONCE // len(ratings))
    for start in range(0, len(ratings), step):
        rows = slice(start, start + step)
        better, said = ratings[rows, None] > ratings, predicted[rows, None]
        pairs += int(better.sum())
        above += int((better & (said > predicted)).sum()) - int((better & (said < predicted)).sum())
    return (1 + above / pairs) / 2 if pairs else None
