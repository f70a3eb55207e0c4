"""Paragraphs of plain text files, as parts to learn from, to choose by and to test on."""

import os
import re
from pathlib import Path
from typing import NamedTuple

from tlhelpers.checks.words import check_seed
from tlhelpers.sources.parts import check_shares

import numpy as np

_REQUIRED = "`path` must be a text file in UTF-8, or a folder with such files, *.txt."


class Paragraphs(NamedTuple):
    """Lists of strings; no paragraph is in two of them."""

    train: list[str]
    validation: list[str]
    test: list[str]


def load_paragraphs(
    path: str | os.PathLike, validation: float = 0.1, test: float = 0.2, seed: int = 0
) -> Paragraphs:
    """Return the paragraphs of your own text, split for a language model.

    A paragraph ends at an empty line. Its lines are joined by spaces; one that occurs again is
    left out.

    Args:
        path: a file in UTF-8, or a folder in which all `*.txt` are read, at any depth.
        validation, test: their shares of the paragraphs, in [0, 1); each gets one at the least,
            unless its share is 0.
        seed: draws who goes where.

    Raises:
        ValueError: no file, none in the folder, another encoding; fewer paragraphs than parts.

    Example:
        >>> text = "Rain fell.\\n\\nIt was late,\\nand dark.\\n\\nNobody came.\\n"
        >>> with open("diary.txt", "w", encoding="utf8") as file:
        ...     size = file.write(text)
        >>> parts = tl.load_paragraphs("diary.txt", validation=0.3, test=0.3)
        >>> [len(part) for part in parts], "It was late, and dark." in sum(parts, [])
        ([1, 1, 1], True)
    """
    shares = check_shares(validation, test)
    rng = np.random.default_rng(check_seed(seed))
    path = Path(path)
    files = sorted(path.rglob("*.txt")) if path.is_dir() else [path]
    if not files:
        raise ValueError(f"{_REQUIRED} Received: {str(path)!r}, a folder without a .txt file.")
    blocks = [block for file in files for block in re.split(r"\n[^\S\n]*\n", _read(file))]
    found = list(dict.fromkeys(text for block in blocks if (text := " ".join(block.split()))))
    parts = sum(share > 0 for share in shares)
    if len(found) < parts:
        raise ValueError(
            f"`path` must hold {parts} different paragraphs at least, with an empty line between "
            f"them. Received: {str(path)!r} with {len(found)}. Put an empty line where one ends."
        )
    sizes = [max(1, round(share * len(found))) if share else 0 for share in shares[1:]]
    order = [found[i] for i in rng.permutation(len(found))]
    middle, end = sizes[0], sum(sizes)
    return Paragraphs(order[end:], order[:middle], order[middle:end])


def _read(file: Path) -> str:
    if not file.is_file():
        what = "a folder" if file.is_dir() else "which does not exist"
        raise ValueError(f"{_REQUIRED} Received: {str(file)!r}, {what}.")
    raw = file.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{_REQUIRED} Received: {str(file)!r}, which is not UTF-8 in line {line}. Save it "
            "again as UTF-8, as plain text."
        ) from error
    if "\0" in text:
        raise ValueError(f"{_REQUIRED} Received: {str(file)!r}, which is no text.")
    return text.replace("\r\n", "\n").replace("\r", "\n")
