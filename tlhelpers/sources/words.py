"""Sentences as the numbers of their words, and back: what a translator writes with."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from tlhelpers.checks.vocabulary import BEGIN, END, PADDING, UNKNOWN
from tlhelpers.checks.words import check_number, check_whole

import numpy as np

_MARKS = ("[PAD]", "[BEGIN]", "[END]", "[UNK]")
_WORD = re.compile(r"\w+(?:'\w+)*|[^\w\s]")


class Words:
    """A vocabulary: the numbers 0 to 3 are padding, begin, end and unknown, then come the words.

    A word is a run of letters or digits, with apostrophes inside; a punctuation mark is a word of
    its own. Case is dropped.

    Args:
        words: each once, in lower case.

    Raises:
        ValueError: no words, one twice, one that `split` would cut.

    Example:
        >>> words = Words(["i", "like", "tea", "."])
        >>> words.encode(["I like tea."], length=6)
        array([[1, 4, 5, 6, 7, 2, 0]], dtype=int32)
        >>> words.decode([[4, 5, 6, 7, 2, 0]])
        ['i like tea.']
    """

    def __init__(self, words: Iterable[str]):
        words = tuple(words)
        bad = [word for word in words if split_words(word) != [word]]
        twice = [word for word, count in Counter(words).items() if count > 1]
        if not words or bad or twice:
            raise ValueError(
                "`words` must be one or more, each once, in lower case, without spaces. Received: "
                f"{len(words):,} words, such as {(bad + twice)[:3]}. Make them with "
                "tl.learn_words(sentences)."
            )
        self._words = (*_MARKS, *words)
        self._numbers = {word: number for number, word in enumerate(self._words)}

    def __len__(self) -> int:
        return len(self._words)

    def __getitem__(self, number: int) -> str:
        return self._words[number]

    def __iter__(self):
        return iter(self._words[len(_MARKS) :])

    def __repr__(self) -> str:
        return f"Words({len(self) - len(_MARKS):,}: {', '.join([*self][:4])}, ...)"

    @staticmethod
    def split(sentence: str) -> list[str]:
        """Return the words and punctuation marks of a text; see `split_words`."""
        return split_words(sentence)

    def share_known(self, sentences: Iterable[str]) -> float:
        """Return which share of all words in the sentences is in the vocabulary, in 0..1."""
        known = [word in self._numbers for one in sentences for word in split_words(one)]
        return float(np.mean(known)) if known else 0.0

    def encode(self, sentences: Sequence[str], length: int, least_known: float = 0.5) -> np.ndarray:
        """Return sentences as numbers, int32 `(n, length + 1)`: begin, words, end, padding.

        The first `length` columns are what a translator reads, the last `length` what it writes.

        Args:
            sentences: n texts, each with a word and at most `length - 1`.
            length: of the longest, with its end, 2 or more.
            least_known: the share of all words that must be in the vocabulary, in [0, 1].

        Raises:
            ValueError: a sentence without a word or with too many; a vocabulary that doesn't fit.
        """
        length = check_whole("length", length, 2)
        least = check_number("least_known", least_known, "[0, 1]")
        if isinstance(sentences, str):
            raise ValueError(
                f"`sentences` must be a list of texts. Received: sentences={sentences!r:.60}. "
                "Put a single one in brackets: [sentence]."
            )
        numbers = np.full((len(sentences), length + 1), PADDING, "int32")
        for row, sentence in enumerate(sentences):
            words = split_words(sentence)
            if not 0 < len(words) < length:
                raise ValueError(
                    f"`sentences` must have 1 to {length - 1} words each. Received: "
                    f"sentences[{row}]={sentence!r:.60} with {len(words)}. Leave it out."
                )
            found = [self._numbers.get(word, UNKNOWN) for word in words]
            numbers[row, : len(words) + 2] = [BEGIN, *found, END]
        if len(sentences) and (share := self.share_known(sentences)) < least:
            raise ValueError(
                f"The vocabulary must hold at least {least:.0%} of the words in `sentences`. "
                f"Received: {share:.0%} of those in {len(sentences):,} sentences, the first "
                f"{sentences[0]!r:.60}. Are these in the language of the vocabulary? Else make "
                "another one: tl.learn_words(sentences)."
            )
        return numbers

    def decode(self, numbers) -> list[str]:
        """Return each row of numbers as a text, up to its end; punctuation joins the word before.

        Raises:
            ValueError: not rows of whole numbers of this vocabulary.
        """
        numbers = np.asarray(numbers)
        whole = numbers.ndim == 2 and numbers.dtype.kind in "iu"
        if not whole or (numbers.size and not 0 <= numbers.min() <= numbers.max() < len(self)):
            raise ValueError(
                f"`numbers` must be rows of whole numbers in 0..{len(self) - 1}. Received: shape="
                f"{numbers.shape}, dtype={numbers.dtype}. Take them from this vocabulary's model."
            )
        rows = (row[: row.index(END)] if END in row else row for row in numbers.tolist())
        return [
            join_words(self._words[n] for n in row if n not in (PADDING, BEGIN)) for row in rows
        ]


def learn_words(sentences: Iterable[str], size: int = 3000) -> Words:
    """Return the vocabulary of the most frequent words; of equally frequent ones, the first seen.

    Args:
        sentences: texts of one language, of the training pairs alone.
        size: of the vocabulary, its four marks included, 5 or more.

    Raises:
        ValueError: no word; a size that is too small.

    Example:
        >>> learn_words(["I like tea.", "You like tea."], size=7)
        Words(3: like, tea, ., ...)
    """
    size = check_whole("size", size, len(_MARKS) + 1)
    counts = Counter(word for sentence in sentences for word in split_words(sentence))
    return Words(word for word, _ in counts.most_common(size - len(_MARKS)))


def split_words(sentence: str) -> list[str]:
    """Return the words and punctuation marks of a text, in lower case.

    Raises:
        ValueError: no text.

    Example:
        >>> split_words("Don't go!")
        ["don't", 'go', '!']
    """
    if not isinstance(sentence, str):
        raise ValueError(f"A sentence must be a text. Received: {sentence!r:.60}. Use str(...).")
    return _WORD.findall(sentence.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))


def join_words(words: Iterable[str]) -> str:
    """Return words as one text: no space before a full stop, a comma and their like.

    Example:
        >>> join_words(["no", ",", "thanks", "."])
        'no, thanks.'
    """
    return re.sub(r" (?=[.,!?;:%])", "", " ".join(words))
