"""Which ratings of a user are known, and which test what is said of the user."""

from typing import NamedTuple

from tlhelpers.checks.ratings import check_users
from tlhelpers.checks.words import check_seed, check_whole

import numpy as np


class KnownAndHeld(NamedTuple):
    """Rows of ratings: those that are known of a user, and those that test what is said of them."""

    known: np.ndarray
    held: np.ndarray


def draw_known(
    users: np.ndarray,
    known: int | None,
    held: int = 10,
    least: int | None = None,
    seed: int = 0,
    times: np.ndarray | None = None,
) -> KnownAndHeld:
    """Draw for each user some ratings that are known, and others that are held out for the test.

    With one seed, the held rows are the same for any number `known`, and two known ratings are
    among the five: what `known` changes is how much is known, and nothing else.

    Args:
        users: the user of each rating, int `(n,)`, 0 or above.
        known: how many ratings of each user to learn from; None for all that aren't held.
        held: how many to hold out.
        least: how many a user must have to be drawn; none of the others is in either part. By
            default `held + known`, or `held + 1` where `known` is None.
        seed: draws them.
        times: of each rating; then the latest ones are held out, and those before them are known.
            That's how a recommender is used: on what comes next.

    Returns:
        `KnownAndHeld`, two arrays of row numbers, user by user.

    Raises:
        ValueError: users that aren't whole numbers, 0 or above; another number of times; a `least`
            that leaves a user without a known rating; no user with so many.

    Example:
        >>> users = np.array([0, 0, 0, 1, 1, 1, 1, 2])
        >>> rows = tl.draw_known(users, known=2, held=1)
        >>> users[rows.known].tolist(), users[rows.held].tolist()  # the third has one rating
        ([0, 0, 1, 1], [0, 1])
    """
    held = check_whole("held", held, 1)
    known = known if known is None else check_whole("known", known, 1)
    needed = held + (known or 1)
    least = check_whole("least", needed if least is None else least, needed)
    users, rng = check_users(users), np.random.default_rng(check_seed(seed))
    order = rng.permutation(len(users))
    if times is not None:
        if np.shape(times) != users.shape:
            raise ValueError(
                "`times` must have one number for each rating. Received: shape "
                f"{np.shape(times)}, {len(users)} users. Take both from the same rows."
            )
        order = order[np.argsort(-np.asarray(times)[order], kind="stable")]
    order = order[np.argsort(users[order], kind="stable")]
    counts = np.bincount(users)
    place = np.arange(len(users)) - np.repeat(np.cumsum(counts) - counts, counts)
    enough = np.repeat(counts >= least, counts)
    if not enough.any():
        raise ValueError(
            f"`least` must leave users. Received: least={least}, and no user has more than "
            f"{counts.max(initial=0)} ratings. Hold out fewer, or ask for fewer known ones."
        )
    behind = len(users) if known is None else held + known
    return KnownAndHeld(order[enough & (place >= held) & (place < behind)],
                        order[enough & (place < held)])  # fmt: skip
