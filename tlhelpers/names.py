"""Near matches for a name that was not found."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: str, known: Iterable[str], shown: int = 6) -> str:
    """Return " Did you mean a, b?" or, when nothing is near, " Known: a, b, c, ..."."""
    known = list(known)
    lower = {k.lower(): k for k in known}
    near = get_close_matches(str(name).lower(), lower, n=3, cutoff=0.5)
    if near:
        return f" Did you mean {', '.join(repr(lower[n]) for n in near)}?"
    more = ", ..." if len(known) > shown else ""
    return f" Known: {', '.join(repr(k) for k in known[:shown])}{more}."
