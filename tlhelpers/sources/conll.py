"""Files of the CoNLL form: a word in each line, columns behind it, an empty line at the end."""

import os
from pathlib import Path
from typing import NamedTuple

from tlhelpers.checks.tags import is_tag


class Tagged(NamedTuple):
    """Sentences: their words, and in the same places their tags."""

    words: list[list[str]]
    tags: list[list[str]]

    def __repr__(self) -> str:
        return f"Tagged({len(self.words):,} sentences, {sum(map(len, self.words)):,} words)"


def read_conll(path: str | os.PathLike, column: int = -1) -> Tagged:
    """Read a file with a word in the first column of each line and its tag in another one.

    Columns stand between spaces or tabs. An empty line ends a sentence; several are as one. Lines
    that begin with -DOCSTART- (a new document) are left out.

    Args:
        path: a file in UTF-8.
        column: of the tag, counted from 0; -1 is the last one.

    Returns:
        `Tagged`: `.words` and `.tags`, a list for each sentence. Every sentence has a word.

    Raises:
        ValueError: no such file, no UTF-8, a line with too few columns, a tag that is not O, B-KIND
            or I-KIND, no sentence. It names file and line, never the words in it.

    Example:
        >>> text = "Ada B-PER\\nLovelace I-PER\\nsmiled O\\n\\nParis B-LOC\\n"
        >>> size = Path("mine.txt").write_text(text)
        >>> read_conll("mine.txt").tags
        [['B-PER', 'I-PER', 'O'], ['B-LOC']]
    """
    path = Path(path)
    if not path.is_file():
        what = "a folder" if path.is_dir() else "which does not exist"
        raise ValueError(f"`path` must be a file. Received: {str(path)!r}, {what}.")
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        before = path.read_bytes()[: error.start].count(b"\n")
        raise ValueError(
            f"{path} must be UTF-8. Received: another encoding in line {before + 1}. Save it as "
            "UTF-8."
        ) from None
    words: list[list[str]] = [[]]
    tags: list[list[str]] = [[]]
    for number, line in enumerate(lines, 1):
        columns = line.split()
        if not columns or columns[0] == "-DOCSTART-":
            if words[-1]:
                words.append([])
                tags.append([])
            continue
        words[-1].append(columns[0])
        tags[-1].append(_tag_of(columns, column, path, number))
    if not words[-1]:
        del words[-1], tags[-1]
    if not words:
        raise ValueError(f"{path} must hold a sentence at least. Received: no line with a word.")
    return Tagged(words, tags)


def write_conll(path: str | os.PathLike, sentences: Tagged) -> None:
    """Write sentences as a file that `read_conll` reads: a word, a space, its tag.

    Example:
        >>> write_conll("mine.txt", Tagged([["Ada"], ["Paris", "!"]], [["B-PER"], ["B-LOC", "O"]]))
        >>> read_conll("mine.txt").words
        [['Ada'], ['Paris', '!']]
    """
    told = [
        "".join(f"{word} {tag}\n" for word, tag in zip(words, tags, strict=True))
        for words, tags in zip(*sentences, strict=True)
    ]
    Path(path).write_text("\n".join(told), encoding="utf8")


def _tag_of(columns: list[str], column: int, path: Path, number: int) -> str:
    if len(columns) < 2 or not -len(columns) <= column < len(columns):
        raise ValueError(
            f"{path} must have a word and its tag in each line, the tag in column {column}. "
            f"Received: {len(columns)} columns in line {number}. Correct it, or name the column."
        )
    if not is_tag(tag := columns[column]):
        raise ValueError(
            f"{path} must have tags O, B-KIND or I-KIND in column {column}. Received: "
            f"{_shortened(tag)} in line {number}. Is it another column? Turn S- and U- into B-, "
            "E- and L- into I-."
        )
    return tag


def _shortened(tag: str) -> str:
    """Return a tag as an error may show it: what could be a word of the text is left out."""
    return repr(tag) if len(tag) < 12 and tag[1:2] == "-" else f"something of {len(tag)} letters"
