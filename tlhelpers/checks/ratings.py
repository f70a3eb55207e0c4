"""What users, and what pairs of a user and an item with their ratings, must be."""

import numpy as np


def check_users(users) -> np.ndarray:
    """Return numbers of users as int64 `(n,)`, or say that they must be whole, 0 or above."""
    users = np.asarray(users)
    whole = users.ndim == 1 and users.dtype.kind in "iu"
    if not whole or users.min(initial=0) < 0:
        span = f", {users.min()} to {users.max()}" if whole else ""
        raise ValueError(
            "`users` must be whole numbers `(n,)`, 0 or above. Received: "
            f"{users.dtype} {users.shape}{span}. Number them: np.unique(users, "
            "return_inverse=True)[1]."
        )
    return users.astype("int64", copy=False)


def check_pairs(
    pairs, ratings, items: int, users: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return pairs `(n, 2)` and their ratings, float64 `(n,)`, or refuse them.

    Refused are no pairs, an item that isn't below `items`, a user that isn't below `users` (None:
    any may come), another number of ratings than of pairs, and ratings that aren't finite.
    """
    pairs, ratings = np.asarray(pairs), np.asarray(ratings, "float64")
    whole = pairs.dtype.kind in "iu" and pairs.ndim == 2 and pairs.shape[1] == 2 and len(pairs) > 0
    user, item = pairs.max(axis=0) if whole else (0, 0)
    if not whole or pairs.min() < 0 or item >= items or (users is not None and user >= users):
        span = f", {pairs.min()} and above, to user {user} and item {item}" if whole else ""
        known = f"{items} items" if users is None else f"{users} users, {items} items"
        raise ValueError(
            "`pairs` must be whole numbers `(n, 2)`, a user and an item of the model in each row. "
            f"Received: {pairs.dtype} {pairs.shape}{span}; the model has {known}. Take `.pairs` of "
            "ratings that were loaded with items=source.item_names."
        )
    if ratings.shape != (len(pairs),):
        raise ValueError(
            "`ratings` must have one number for each pair. Received: shape "
            f"{ratings.shape}, {len(pairs)} pairs. Take both from the same rows."
        )
    if bad := int(np.sum(~np.isfinite(ratings))):
        raise ValueError(
            f"`ratings` must be finite. Received: {bad} of {len(ratings)} that aren't. Leave those "
            "rows out, in `pairs` too."
        )
    return pairs, ratings
