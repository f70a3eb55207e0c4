"""Sentences from templates: "[please] turn (on|off) [<the>] {name}" -> "turn off the lamp".

(a|b)    one of them                 <rule>   another template, by its name
[a]      a, or nothing               {list}   a word of a list, by its name; {list:slot} as well
(a;b)    all, in any order
"""

import re
from collections.abc import Callable, Mapping

import numpy as np

_DEEPEST = 50  # rules within rules
_ENDS = {"(": ")", "[": "]", "<": ">", "{": "}"}


def sample(
    template: str,
    random: np.random.Generator,
    rules: Mapping[str, str] | None = None,
    fill: Callable[[str], str] | None = None,
) -> str:
    """Draw a sentence of a template: each choice with equal odds, what is optional at every second.

    Args:
        template: see above.
        random: draws the choices.
        rules: name -> template, for `<name>`.
        fill: returns a word for `{name}`, a template again.

    Returns:
        The sentence, words parted by one space.

    Raises:
        ValueError: a bracket without its partner; an unknown rule; rules that never end.

    Example:
        >>> random = np.random.default_rng(0)
        >>> sample("[please] (turn;(on|off)) {name}", random, fill=lambda name: "the lamp")
        'please turn on the lamp'

    Reference:
        The grammar of hassil, which Home Assistant's intents are written in.
    """
    return " ".join(_expand(template, random, rules or {}, fill, 0).split())


def _expand(template: str, random, rules, fill, depth: int) -> str:
    if depth > _DEEPEST:
        raise ValueError(
            f"`rules` must end. Received: {template!r:.60}, {depth} rules deep. Does one of them "
            "name itself?"
        )
    options = _split(template, "|")
    option = options[random.integers(len(options))]
    parts = _split(option, ";")
    if len(parts) > 1:
        order = random.permutation(len(parts))
        return " ".join(_expand(parts[n], random, rules, fill, depth) for n in order)
    return "".join(_draw(piece, random, rules, fill, depth) for piece in _pieces(option))


def _draw(piece: str, random, rules, fill, depth: int) -> str:
    kind, inside = piece[0], piece[1:-1]
    if kind == "[" and random.random() < 0.5:
        return ""
    if kind in "([":
        return _expand(inside, random, rules, fill, depth)
    if kind == "<":
        if inside not in rules:
            raise ValueError(f"`rules` must hold each rule. Received: <{inside}>, which it lacks.")
        return _expand(rules[inside], random, rules, fill, depth + 1)
    if kind == "{" and fill is not None:
        return _expand(fill(inside.partition(":")[0]), random, rules, fill, depth + 1)
    return piece


def _split(template: str, mark: str) -> list[str]:
    """Split at a mark that stands in no bracket."""
    parts = [""]
    for piece in _pieces(template):
        if piece[0] in _ENDS:
            parts[-1] += piece
        else:
            first, *others = piece.split(mark)
            parts[-1] += first
            parts += others
    return parts


def _pieces(template: str) -> list[str]:
    """Return brackets with all that is in them, and the texts between, in order."""
    pieces: list[str] = []
    open_: list[str] = []
    start = 0
    for mark in re.finditer(r"[()\[\]<>{}]", template):
        sign = mark.group()
        if sign in _ENDS:
            if not open_ and mark.start() > start:
                pieces.append(template[start : mark.start()])
            start = start if open_ else mark.start()
            open_.append(_ENDS[sign])
        elif not open_ or sign != open_.pop():
            raise ValueError(
                f"A template's brackets must be in pairs. Received: {template!r:.80}, where "
                f"{sign!r} at {mark.start()} closes none. Add or remove one."
            )
        elif not open_:
            pieces.append(template[start : mark.end()])
            start = mark.end()
    if open_:
        raise ValueError(
            f"A template's brackets must be in pairs. Received: {template!r:.80}, which lacks "
            f"{open_[-1]!r} at its end. Add it."
        )
    return [*pieces, template[start:]] if start < len(template) else pieces
