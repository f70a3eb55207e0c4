"""A reader's own pairs: one line each, English, a tab, the other language."""

from pathlib import Path

from tlhelpers.checks.words import check_whole
from tlhelpers.sources.pairs import Pairs
from tlhelpers.sources.words import split_words

_SHOWN = 5  # bad lines in an error


def load_pairs_file(path: str | Path, most_words: int = 11) -> Pairs:
    """Return the pairs of a text file: in each line English, a tab, the other language.

    What is wrong is an error that names its lines; nothing is left out in silence. Columns behind
    the second aren't read (Tatoeba's files name the authors there).

    Args:
        path: a UTF-8 file.
        most_words: of an English sentence, punctuation marks included: one less than the length of
            the translator.

    Returns:
        `Pairs`: `.english` and `.other`, in the order of the file.

    Raises:
        ValueError: no such file, not UTF-8, no pair; a line that is empty or has no tab; a side
            without a word; too many words; a pair that stands there twice.

    Example:
        >>> Path("tea.tsv").write_text("I like tea.\\tЯ люблю чай.\\n", encoding="utf8")
        25
        >>> load_pairs_file("tea.tsv")
        Pairs(english=['I like tea.'], other=['Я люблю чай.'])
    """
    path, most = Path(path), check_whole("most_words", most_words, 1)
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise ValueError(
            f"`path` must be a UTF-8 text file. Received: path={path.name!r}: {reason}. Save it "
            "as UTF-8, one pair a line."
        ) from error
    lines = [line.rstrip("\r") for line in lines]
    lines = lines[:-1] if lines[-1] == "" else lines  # the end of the last line
    bad, pairs = [], Pairs([], [])
    seen: dict[tuple[str, str], int] = {}
    for number, line in enumerate(lines, 1):
        english, *rest = (part.strip() for part in line.split("\t"))
        if reason := _fault(line, english, rest, most):
            bad.append(f"line {number}: {reason}")
        elif (first := seen.setdefault((english, rest[0]), number)) != number:
            bad.append(f"line {number}: the same pair as in line {first}")
        else:
            pairs.english.append(english)
            pairs.other.append(rest[0])
    if bad or not pairs.english:
        said = "; ".join(bad[:_SHOWN]) or "no line at all"
        more = f"; and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
        raise ValueError(
            f"{path.name} must have English, a tab and its translation in each line. Received: "
            f"{said}{more}. Correct these lines or take them out."
        )
    return pairs


def _fault(line: str, english: str, rest: list[str], most: int) -> str:
    """Return what is wrong with a line, or nothing."""
    if not line.strip():
        return "empty"
    if not rest:
        return f"no tab in {line!r:.40}"
    if not split_words(english) or not split_words(rest[0]):
        return "a side without a word"
    if (count := len(split_words(english))) > most:
        return f"{count} words, more than {most}, in {english!r:.40}"
    return ""
