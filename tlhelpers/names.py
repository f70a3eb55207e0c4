"""Words about names: near matches for one that was not found, where a thing came from."""

from collections.abc import Iterable
from difflib import get_close_matches

_SAID: set[str] = set()


def announce(line: str) -> None:
    """Print a line once in this process, however often it is said (a loop over seeds)."""
    if line not in _SAID:
        _SAID.add(line)
        print(line)


def did_you_mean(name: str, known: Iterable[str], shown: int = 6) -> str:
    """Return " Did you mean a, b?" or, when nothing is near, " Known: a, b, c, ..."."""
    known = list(known)
    lower = {k.lower(): k for k in known}
    near = get_close_matches(str(name).lower(), lower, n=3, cutoff=0.5)
    if near:
        return f" Did you mean {', '.join(repr(lower[n]) for n in near)}?"
    more = ", ..." if len(known) > shown else ""
    return f" Known: {', '.join(repr(k) for k in known[:shown])}{more}."
