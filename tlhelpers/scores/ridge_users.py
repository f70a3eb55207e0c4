"""What a user likes, from a few ratings: a ridge regression on the vectors of the items."""

from tlhelpers.checks.ratings import check_users
from tlhelpers.checks.words import check_number, check_whole

import numpy as np


def ridge_users(
    users: np.ndarray,
    vectors: np.ndarray,
    targets: np.ndarray,
    strength: float | np.ndarray,
    mean: np.ndarray | None = None,
    count: int | None = None,
) -> np.ndarray:
    """Return the vector of each user that explains the targets best without being large.

    For each user it is the p with the least (t - X p)^2 + (p - m)' S (p - m), found at once:
    p = m + (X'X + S)^-1 X'(t - X m). Nothing is iterated, and no other user counts.

    Args:
        users: the user of each rating, int `(n,)`, 0 or above.
        vectors: X, of the item of each rating, `(n, d)`; a column of ones gives users a bias.
        targets: t, what the ratings are above what is said without the user, `(n,)`.
        strength: S, a number s above 0 for s times the identity, or a matrix `(d, d)`, positive
            definite. With users drawn from a normal distribution of covariance C, and ratings that
            scatter by v, the best one is v C^-1.
        mean: m, `(d,)`; zero by default. Users without a rating get it.
        count: how many users there are; by default the highest number and one.

    Returns:
        p of each user, float64 `(count, d)`.

    Raises:
        ValueError: other shapes, or numbers that aren't finite; a strength that isn't positive; a
            user out of 0..count - 1; a count that is no whole number.

    Example:
        >>> likes = ridge_users(np.array([1]), np.array([[1.0, 2.0]]), np.array([1.0]), strength=5)
        >>> likes.round(2).tolist()  # the first user has no rating
        [[0.0, 0.0], [0.1, 0.2]]

    Reference:
        Hoerl, Kennard, "Ridge Regression", Technometrics 12(1), 1970.
    """
    x, t = np.asarray(vectors, "float64"), np.asarray(targets, "float64")
    users = check_users(users)
    if x.ndim != 2 or users.shape != t.shape or t.shape != x.shape[:1]:
        raise ValueError(
            "`users` must have the shape `(n,)`, `vectors` `(n, d)` and `targets` `(n,)`. "
            f"Received: {users.shape}, {x.shape}, {t.shape}. Take the same rows."
        )
    if not np.isfinite(x).all() or not np.isfinite(t).all():
        raise ValueError(
            "`vectors` and `targets` must be finite. Received: some that aren't. Did the training "
            "of the vectors diverge?"
        )
    count = int(users.max(initial=-1)) + 1 if count is None else check_whole("count", count, 0)
    if users.max(initial=-1) >= count:
        raise ValueError(
            f"`users` must be in 0..count - 1. Received: {users.min()} to {users.max()}, "
            f"count={count}. Number them anew, or give a higher count."
        )
    width = x.shape[1]
    shrink = _check_strength(strength, width)
    middle = np.zeros(width) if mean is None else np.asarray(mean, "float64")
    if middle.shape != (width,) or not np.isfinite(middle).all():
        raise ValueError(
            f"`mean` must be finite numbers of shape {(width,)}. Received: shape {middle.shape}, "
            f"{np.sum(~np.isfinite(middle))} not finite. Take the mean vector of many users."
        )
    found = np.tile(middle, (count, 1))
    order = np.argsort(users, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(users[order])) + 1) if len(users) else ():
        mine, left = x[rows], t[rows] - x[rows] @ middle
        found[users[rows[0]]] += np.linalg.solve(mine.T @ mine + shrink, mine.T @ left)
    return found


def _check_strength(strength, width: int) -> np.ndarray:
    if np.ndim(strength) == 0:
        return check_number("strength", strength, "(0, inf)") * np.eye(width)
    matrix = np.asarray(strength, "float64")
    try:
        if matrix.shape != (width, width) or not np.allclose(matrix, matrix.T):
            raise np.linalg.LinAlgError
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        raise ValueError(
            f"`strength` must be a number above 0, or a symmetric matrix {(width, width)} that is "
            f"positive definite. Received: shape {matrix.shape}. Invert a covariance with a little "
            "more on its diagonal."
        ) from None
    return matrix
