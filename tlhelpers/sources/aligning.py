"""Words to pieces and back: what a tagger reads, and what it says of each word."""

import re
from collections.abc import Sequence

from tlhelpers.checks.tags import (
    CASES,
    IGNORED,
    LETTERS,
    NEIGHBOURS,
    OUTSIDE,
    check_sentences,
    check_tag_names,
    check_tags,
)
from tlhelpers.sources.text_preprocessing import TextPreprocessor, check_texts

import numpy as np

_WORD = re.compile(r"(?:[^\W\d_]\.){2,}|\w+(?:[-.,:/]\w+)*|['\u2019]\w+|[^\w\s]")


def split_words(text: str) -> list[str]:
    """Return the words of a text, punctuation apart, as the news of CoNLL-2003 are cut.

    Raises:
        ValueError: no text.

    Example:
        >>> tl.split_words("Ada's U.S. visit, 3.5 days.")
        ['Ada', "'s", 'U.S.', 'visit', ',', '3.5', 'days', '.']
    """
    return _WORD.findall(check_texts([text])[0])


def case_features(word: str) -> list[bool]:
    """Return what the letters of a word say: those of `CASES`.

    Example:
        >>> case_features("NATO"), case_features("7.")
        ([True, True, False, False, False], [True, False, False, True, False])
    """
    return [
        True, word.isupper(), word.istitle(), any(c.isdigit() for c in word),
        not any(c.isalnum() for c in word),
    ]  # fmt: skip


def letter_features(words: list[str]) -> np.ndarray:
    """Return `(words, 25)`: the `case_features` of each word and of two on each side, 0 for none.

    Example:
        >>> letter_features(["Ada", "smiled"]).reshape(2, 5, 5)[0, :, 0]  # before it, it, behind it
        array([0., 0., 1., 1., 0.], dtype=float32)
    """
    own = np.array([case_features(word) for word in words], "float32").reshape(-1, len(CASES))
    padded = np.pad(own, ((NEIGHBOURS, NEIGHBOURS), (0, 0)))
    shifted = [padded[step : step + len(words)] for step in range(2 * NEIGHBOURS + 1)]
    return np.concatenate(shifted, axis=1)


class WordAligner:
    """Turn sentences of words into a tagger's inputs, and its logits into tags of words.

        words     Ada     Lovelace smiled
        pieces    [CLS] ada   love ##lace smiled [SEP]
        labels      -1  B-PER I-PER  -1     O     -1      (-1: not counted)

    Each word is cut into pieces by itself. Its label lies on its first piece, and only there. A
    word without any piece (signs that the tokenizer drops) becomes the unknown piece; so do words
    in a script that the vocabulary lacks. Of a sentence that is longer than the sequence the rest
    isn't seen: its words get no label, and `read` calls them O. `cut` says how many these are.

    Args:
        preprocessor: `bert.preprocessor(sequence_length)`.
        tags: names of the tags, O first, as in `build_token_classifier`.

    Raises:
        ValueError: something else than a preprocessor; tags that break the scheme.

    Example:
        >>> aligner = tl.WordAligner(bert.preprocessor(7), ["O", "B-FILM", "I-FILM"])
        >>> inputs, labels = aligner([["fine", "films", "!"]], [["O", "B-FILM", "O"]])
        >>> labels
        array([[-1,  0,  1, -1,  0, -1, -1]], dtype=int32)
        >>> aligner.read(np.eye(3)[[[0, 0, 1, 0, 0, 0, 0]]], [["fine", "films", "!"]])
        [['O', 'B-FILM', 'O']]
    """

    def __init__(self, preprocessor: TextPreprocessor, tags: Sequence[str]):
        if not isinstance(preprocessor, TextPreprocessor):
            raise ValueError(
                f"`preprocessor` must be a TextPreprocessor. Received: preprocessor="
                f"{preprocessor!r}. Make one with bert.preprocessor(sequence_length)."
            )
        self.preprocessor, self.tags = preprocessor, check_tag_names(tags)
        self._kinds = {name: part.dtype for name, part in preprocessor([""]).items()}
        packer = preprocessor.layer.packer  # built by the call above
        self._start, self._end = (
            np.atleast_1d(getattr(packer, f"{name}_value")) for name in ("start", "end")
        )
        self._known: dict[str, list[int]] = {}

    def __repr__(self) -> str:
        return f"WordAligner({self.sequence_length} pieces, {len(self.tags)} tags)"

    @property
    def sequence_length(self) -> int:
        """Pieces of a sentence, the markers included."""
        return self.preprocessor.sequence_length

    def __call__(self, sentences, tags=None):
        """Return a tagger's inputs, and with `tags` its labels beside them.

        Args:
            sentences: n lists of words. One without words becomes the markers alone.
            tags: of each word, among the tags of this aligner.

        Returns:
            A dictionary of arrays `(n, sequence_length)` as of the preprocessor, with `cases`,
            float32 `(n, sequence_length, 25)`; with tags also labels int32 `(n, sequence_length)`,
            -1 where no word begins.

        Raises:
            ValueError: what is no list of lists of words; not one tag for each; unknown tags.
        """
        sentences = self._checked(sentences)
        shape = (len(sentences), self.sequence_length)
        ids = np.full(shape, self.preprocessor.tokenizer.pad_token_id)
        cases = np.zeros((*shape, LETTERS), "float32")
        for row, words in enumerate(sentences):
            parts = [self._known[word] for word in words]
            flat = [piece for part in parts for piece in part][: self._room]
            first, last = len(self._start), len(self._start) + len(flat)
            ids[row, : last + len(self._end)] = [*self._start, *flat, *self._end]
            letters = letter_features(words).repeat([len(part) for part in parts], axis=0)
            cases[row, first:last] = letters[: self._room]
        real = ids != self.preprocessor.tokenizer.pad_token_id
        made = {"token_ids": ids, "padding_mask": real, "segment_ids": np.zeros(shape, int)}
        inputs = {name: made[name].astype(kind) for name, kind in self._kinds.items()}
        inputs["cases"] = cases
        return inputs if tags is None else (inputs, self._labels(sentences, tags))

    def read(self, logits, sentences) -> list[list[str]]:
        """Return the tag of each word: the one with the highest logit on its first piece.

        Args:
            logits: `(n, pieces, tags)`, or probabilities; fewer pieces than the sequence if those
                left out are padding.
            sentences: the words that they are of.

        Raises:
            ValueError: logits of another shape; what is no list of lists of words.
        """
        best = [part.argmax(axis=-1) for part in self.of_words(logits, sentences)]
        return [
            [*(self.tags[tag] for tag in row), *[OUTSIDE] * (len(words) - len(row))]
            for row, words in zip(best, sentences, strict=True)
        ]

    def of_words(self, values, sentences) -> list[np.ndarray]:
        """Return the row of each word that is seen: `(words, tags)` for each sentence."""
        sentences, values = self._checked(sentences), np.asarray(values)
        shape = (len(sentences), len(self.tags))
        if values.ndim != 3 or (len(values), values.shape[-1]) != shape:
            raise ValueError(
                f"`logits` must be of shape ({shape[0]}, pieces, {shape[1]}). Received: shape="
                f"{values.shape}. Predict for these sentences, with a model of these tags."
            )
        return [row[self._places(words)] for row, words in zip(values, sentences, strict=True)]

    def pieces(self, sentences) -> list[list[list[str]]]:
        """Return the pieces of each word of each sentence, also those that are not seen.

        Example:
            >>> tl.WordAligner(bert.preprocessor(6), ["O", "B-X"]).pieces([["Fine", "films"]])
            [[['fine'], ['film', '##s']]]
        """
        name = self.preprocessor.tokenizer.id_to_token
        return [[[name(p) for p in self._known[w]] for w in s] for s in self._checked(sentences)]

    def cut(self, sentences) -> int:
        """Return how many words the tagger doesn't see, as their sentences are too long.

        Example:
            >>> tl.WordAligner(bert.preprocessor(4), ["O", "B-X"]).cut([["a", "fine", "film"]])
            1
        """
        return sum(len(s) - len(self._places(s)) for s in self._checked(sentences))

    @property
    def _room(self) -> int:
        return self.sequence_length - len(self._start) - len(self._end)

    def _checked(self, sentences) -> list[list[str]]:
        sentences = check_sentences(sentences)
        if new := sorted({word for words in sentences for word in words} - self._known.keys()):
            self._cut_to_pieces(new)
        return sentences

    def _cut_to_pieces(self, words: list[str]) -> None:
        tokenizer = self.preprocessor.tokenizer
        rows = tokenizer(check_texts(words))
        rows = rows.to_list() if hasattr(rows, "to_list") else rows
        unknown = tokenizer.token_to_id(getattr(tokenizer, "unk_token", "[UNK]"))
        for word, row in zip(words, rows, strict=True):
            self._known[word] = [int(piece) for piece in row] or [unknown]

    def _places(self, words: list[str]) -> np.ndarray:
        """Return where the first piece of each word lies, of those that fit."""
        counts = [len(self._known[word]) for word in words]
        before = np.cumsum([0, *counts])[:-1]
        return len(self._start) + before[before < self._room]

    def _labels(self, sentences: list[list[str]], tags) -> np.ndarray:
        tags, numbers = check_tags(tags), {tag: i for i, tag in enumerate(self.tags)}
        counts = [[len(row) for row in part] for part in (sentences, tags)]
        if counts[0] != counts[1]:
            raise ValueError(
                "`tags` must hold one tag for each word. Received: "
                f"{len(tags)} sentences of tags for {len(sentences)} of words, or other lengths. "
                "Take words and tags of the same data."
            )
        if unknown := {tag for row in tags for tag in row} - {*self.tags}:
            raise ValueError(
                f"`tags` must be among {', '.join(self.tags)}. Received: {sorted(unknown)[0]!r}. "
                "Make the aligner with all tags: tl.tag_names(...)."
            )
        labels = np.full((len(sentences), self.sequence_length), IGNORED, "int32")
        for row, words, named in zip(labels, sentences, tags, strict=True):
            places = self._places(words)
            row[places] = [numbers[tag] for tag in named[: len(places)]]
        return labels
