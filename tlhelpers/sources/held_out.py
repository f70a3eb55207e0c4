"""Which sentences are for testing: each sentence decides that itself."""

import hashlib
import re
from collections.abc import Iterable

from tlhelpers.checks.words import check_number

import numpy as np


def held_out(sentences: Iterable[str], share: float = 0.05) -> np.ndarray:
    """Tell which sentences to keep for validation and test, by nothing but their words.

    The same sentence gets the same answer in any file, in any order, on any computer. So pairs of
    two languages that share English sentences never put one on both sides. Case, punctuation and
    spaces don't count.

    Args:
        sentences: n texts, such as the English sides of pairs.
        share: of all sentences to hold out, in (0, 1), in the long run.

    Returns:
        Booleans `(n,)`.

    Raises:
        ValueError: a share out of its range.

    Example:
        >>> bool(held_out(["I like tea."])[0]) == bool(held_out(["i like TEA!"])[0])
        True
        >>> int(held_out(f"sentence number {n}" for n in range(10_000)).sum())
        489
    """
    share = check_number("share", share, "(0, 1)")
    drawn = [int.from_bytes(_digest(sentence)[:8], "big") / 2**64 for sentence in sentences]
    return np.array(drawn, float) < share


def _digest(sentence: str) -> bytes:
    words = " ".join(re.findall(r"\w+", sentence.lower()))
    return hashlib.sha256(words.encode()).digest()
