"""Tags of words: O outside of every name, B-PER at the first word of a person, I-PER inside one."""

from collections.abc import Sequence

OUTSIDE = "O"
CASES = ("a word", "all capitals", "a title", "a digit", "no letter or digit")  # yes or no
NEIGHBOURS = 2  # words on each side whose letters count, too
LETTERS = (2 * NEIGHBOURS + 1) * len(CASES)  # numbers beside the vector of a piece
IGNORED = -1  # the label of what is no first piece of a word


def is_tag(tag) -> bool:
    """Whether it is O, or B- or I- with a kind behind it.

    Example:
        >>> [is_tag(tag) for tag in ("O", "B-PER", "I-", "S-PER", None)]
        [True, True, False, False, False]
    """
    return tag == OUTSIDE or (isinstance(tag, str) and tag[:2] in ("B-", "I-") and len(tag) > 2)


def check_tags(sentences, name: str = "tags") -> list[list[str]]:
    """Return the tags of each sentence as lists, or say which one breaks the scheme.

    Args:
        sentences: n sentences, each a list of tags.
        name: of the argument, for the error.

    Raises:
        ValueError: no list of lists; a tag that is not O, B-KIND or I-KIND.

    Example:
        >>> check_tags([["B-PER", "I-PER", "O"], []])
        [['B-PER', 'I-PER', 'O'], []]
    """
    lists = check_sentences(sentences, name, "tags")
    for number, row in enumerate(lists):
        for place, tag in enumerate(row):
            if not is_tag(tag):
                raise ValueError(
                    f"`{name}` must be O, B-KIND or I-KIND (first word of a name, a later one). "
                    f"Received: {tag!r} at word {place} of sentence {number}. Write O outside of "
                    "names; turn S- and U- into B-, E- and L- into I-."
                )
    return lists


def check_sentences(sentences, name: str = "sentences", what: str = "words") -> list[list[str]]:
    """Return n sentences as lists of words, or say what else they are.

    Raises:
        ValueError: one text, or a list of texts; a word that is no `str`, is empty or has a space.

    Example:
        >>> check_sentences([["Ada", "smiled"], []])
        [['Ada', 'smiled'], []]
    """
    required = f"`{name}` must be a list of sentences, each a list of {what}"
    if isinstance(sentences, str) or not hasattr(sentences, "__len__"):
        kind = type(sentences).__name__
        raise ValueError(f"{required}. Received: type {kind}. One sentence? Wrap it: [words].")
    lists = []
    for number, sentence in enumerate(sentences):
        if isinstance(sentence, str) or not hasattr(sentence, "__len__"):
            kind = type(sentence).__name__
            cure = "One sentence? Wrap it: [words]. A text? Cut it: tl.split_words(text)."
            raise ValueError(f"{required}. Received: sentence {number} of type {kind}. {cure}")
        row = list(sentence)
        for place, word in enumerate(row):
            if not isinstance(word, str) or not word or len(word.split()) > 1:
                raise ValueError(
                    f"{required}, not empty and without spaces. Received: {str(word)[:20]!r} of "
                    f"type {type(word).__name__} at {place} in sentence {number}. Drop it, or cut "
                    "it with split()."
                )
        lists.append(row)
    return lists


def tag_names(sentences: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Return the tags that a model must tell apart: O, and B- and I- of each kind, sorted.

    Args:
        sentences: tags of n sentences, in which every kind occurs.

    Raises:
        ValueError: what `check_tags` refuses; no name at all.

    Example:
        >>> tag_names([["O", "I-LOC"], ["B-PER"]])
        ('O', 'B-LOC', 'I-LOC', 'B-PER', 'I-PER')
    """
    kinds = sorted({tag[2:] for row in check_tags(sentences) for tag in row if tag != OUTSIDE})
    if not kinds:
        raise ValueError(
            "`tags` must mark a name at least. Received: O everywhere. Is the column of tags the "
            "right one?"
        )
    return (OUTSIDE, *(f"{begin}-{kind}" for kind in kinds for begin in "BI"))


def check_tag_names(tags: Sequence[str]) -> tuple[str, ...]:
    """Return names of tags, or say what is wrong: one that breaks the scheme, one twice, no O.

    Example:
        >>> check_tag_names(["O", "B-PER"])
        ('O', 'B-PER')
    """
    names = tuple(tags) if not isinstance(tags, str) else (tags,)
    bad = [tag for tag in names if not is_tag(tag)]
    if bad or len(set(names)) < len(names) or len(names) < 2 or names[0] != "O":
        raise ValueError(
            "`tags` must be O first, then B-KIND and I-KIND, each once. Received: "
            f"tags={names!r}. Take data.tags, or tl.tag_names(sentences of tags)."
        )
    return names
