"""What a word or a number must be, and how an error says so."""

import math
from collections.abc import Iterable
from difflib import get_close_matches
from numbers import Integral, Real

_SAID: set[str] = set()


def announce(line: str) -> None:
    """Print a line once in this process, however often it is said (a loop over seeds)."""
    if line not in _SAID:
        _SAID.add(line)
        print(line)


def did_you_mean(name: str, known: Iterable[str], shown: int = 6) -> str:
    """Return " Did you mean a, b?" or, if nothing is near, " Known: a, b, c, ..." (so many)."""
    known = list(known)
    lower = {k.lower(): k for k in known}
    near = get_close_matches(str(name).lower(), lower, n=3, cutoff=0.5)
    if near:
        return f" Did you mean {', '.join(repr(lower[n]) for n in near)}?"
    more = ", ..." if len(known) > shown else ""
    return f" Known: {', '.join(repr(k) for k in known[:shown])}{more}." if shown else ""


def check_choice(name: str, value: str, known: Iterable[str], cure: str = "") -> str:
    """Return `value`, or raise a ValueError that lists what is known and the near names."""
    known = tuple(known)
    if not isinstance(value, str) or value not in known:
        raise ValueError(
            f"`{name}` must be one of {', '.join(map(repr, known))}. Received: {name}={value!r}."
            + (f" {cure}" if cure else did_you_mean(value, known, shown=0))
        )
    return value


def check_whole(name: str, value, least: int, most: int | None = None, cure: str = "") -> int:
    """Return a whole number (numpy's too, but no bool) as an int, or raise a ValueError.

    Both borders, `least` and `most`, are allowed; the sentence `cure` ends the error.
    """
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or value < least or (most is not None and value > most):
        border = f", {least} or above" if most is None else f" between {least} and {most}"
        raise ValueError(
            f"`{name}` must be a whole number{border}. Received: {name}={value!r}. {cure}".rstrip()
        )
    return int(value)


def check_number(name: str, value, within: str = "(-inf, inf)", cure: str = "") -> float:
    """Return a real number (numpy's too, but no bool) as a float, or raise a ValueError.

    `within` is an interval: "[0, 1)" holds 0 but not 1, "(0, inf)" all finite numbers above 0.

    Example:
        >>> check_number("rate", 0.5, "(0, 1]")
        0.5
    """
    low, high = map(float, within[1:-1].split(","))
    real = isinstance(value, Real) and not isinstance(value, bool) and not math.isnan(value)
    above = real and (value >= low if within[0] == "[" else value > low)
    if not above or not (value <= high if within[-1] == "]" else value < high):
        finite = "a finite number" if "inf" in within else "a number"
        borders = {"(-inf, inf)": "", "[0, inf)": ", 0 or above", "(0, inf)": " above 0"}
        raise ValueError(
            f"`{name}` must be {finite}{borders.get(within, f' in {within}')}. "
            f"Received: {name}={value!r}. {cure}".rstrip()
        )
    return float(value)


def check_seed(seed: int) -> int:
    """Return `seed` as an int, or say that it must be a whole number in 0..2**32-1."""
    return check_whole("seed", seed, 0, 2**32 - 1)


def check_texts(name: str, texts: Iterable[str]) -> list[str]:
    """Return texts as a list, or say which one is none."""
    required = f"`{name}` must be a list of texts. Received:"
    if isinstance(texts, str | bytes):
        raise ValueError(f"{required} {name}={texts!r:.60}. Put a single one in brackets: [text].")
    try:
        texts = list(texts)
    except TypeError:
        raise ValueError(f"{required} {name} of type {type(texts).__name__}.") from None
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueError(
                f"{required} {name}[{number}]={text!r:.60} of type {type(text).__name__}. Use "
                "str(...), and leave out what is missing."
            )
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                f"`{name}` must be whole characters. Received: {name}[{number}]={text!r:.60}: "
                f"{error.reason}. Read the file with the encoding it was written in."
            ) from None
    return [str(text) for text in texts]  # numpy's too
