"""A tagger with what cuts its words: used on texts, saved and loaded as one folder, shown."""

import html
import os
from collections.abc import Iterable
from dataclasses import dataclass

from tlhelpers.checks.tags import check_tags
from tlhelpers.reading.text_folders import TextFolder
from tlhelpers.scores.entities import find_entities
from tlhelpers.sources.aligning import WordAligner, split_words
from tlhelpers.sources.text_preprocessing import check_texts
from tlhelpers.tuning.bucketing import predict_by_length

import keras
import numpy as np

_FOLDER = TextFolder("tlhelpers tagger 2", "tagger.json", "save_tagger")
_COLOURS = ("#cfe8ff", "#ffe0b3", "#d5f0d0", "#f3d1ea", "#e6e0c0", "#d9d9f5")  # black is read well


@dataclass(frozen=True)
class Named:
    """A name in a text: its words, its kind, and how sure the tagger is of its least sure word."""

    text: str
    kind: str
    confidence: float


@dataclass(frozen=True, eq=False)
class Tagger:
    """A model of `build_token_classifier` and the aligner that it was trained with."""

    model: keras.Model
    aligner: WordAligner

    def probabilities(self, sentences) -> list[np.ndarray]:
        """Return the probability of each tag for the words of each sentence that are seen.

        Args:
            sentences: n lists of words.

        Returns:
            Arrays `(words, tags)`, one for each sentence, in the order of `aligner.tags`.
        """
        from scipy.special import softmax

        logits = predict_by_length(self.model, self.aligner(sentences))
        return [softmax(row, axis=-1) for row in self.aligner.of_words(logits, sentences)]

    def tag(self, sentences) -> list[list[str]]:
        """Return the tag of each word of n sentences; O for words that are not seen."""
        return self.aligner.read(predict_by_length(self.model, self.aligner(sentences)), sentences)

    def find(self, texts: Iterable[str]) -> list[list[Named]]:
        """Return the names in each text, which is cut into words by `split_words`.

        Raises:
            ValueError: no list of texts.
        """
        sentences = [split_words(text) for text in check_texts(list(texts))]
        odds = self.probabilities(sentences)
        return [
            [
                Named(" ".join(words[e.start : e.end]), e.kind, float(row[e.start : e.end].min()))
                for e in find_entities([self.aligner.tags[t] for t in p.argmax(axis=-1)])
            ]
            for words, p, row in zip(sentences, odds, (p.max(axis=-1) for p in odds), strict=True)
        ]


def save_tagger(folder: str | os.PathLike, model: keras.Model, aligner: WordAligner) -> Tagger:
    """Write a tagger, its tokenizer and its tags into one folder; return it as a `Tagger`.

    The folder holds `model.keras`, the tokenizer with its vocabulary, and `tagger.json` with the
    tags and the SHA-256 of every other file. It is written beside its place, then moved there.

    Args:
        folder: a new or empty one, or one of an earlier `save_tagger` to which nothing was added.
        model: of `build_token_classifier`.
        aligner: as it was for the training.

    Raises:
        ValueError: a model of other inputs, words or tags; one with adapters; a folder that holds
            something else.

    Example:
        >>> aligner = tl.WordAligner(bert.preprocessor(8), ["O", "B-FILM", "I-FILM"])
        >>> tagger = tl.build_token_classifier(bert, aligner.tags)
        >>> saved = tl.save_tagger("films", tagger, aligner)
        >>> again = tl.load_tagger("films")
        >>> again.tag([["a", "fine", "film"]]) == saved.tag([["a", "fine", "film"]])
        True
    """
    if model.output_shape[-1] != len(aligner.tags):
        raise ValueError(
            f"`aligner` must have the tags of the model, {model.output_shape[-1]}. Received: "
            f"{len(aligner.tags)} tags. Take the aligner of its training."
        )
    _FOLDER.write(folder, model, aligner.preprocessor, aligner([["a"]]), tags=aligner.tags)
    return Tagger(model, aligner)


def load_tagger(folder: str | os.PathLike) -> Tagger:
    """Read a folder of `save_tagger`; you need nothing else, and no network.

    Returns:
        A `Tagger`: `.find(texts)`, `.tag(sentences)`, `.probabilities(sentences)`.

    Raises:
        ValueError: another folder; a file in it that is missing or not as it was saved; KerasHub is
            missing.

    Example:
        >>> aligner = tl.WordAligner(bert.preprocessor(8), ["O", "B-FILM", "I-FILM"])
        >>> saved = tl.save_tagger("films", tl.build_token_classifier(bert, aligner.tags), aligner)
        >>> len(tl.load_tagger("films").find(["A fine film!", ""]))
        2
    """
    return _FOLDER.read(
        folder, lambda model, reader, about: Tagger(model, WordAligner(reader, about["tags"]))
    )


class ShownEntities:
    """Sentences with their names on coloured ground, as HTML; as plain text `[Ada](PER)`."""

    def __init__(self, parts: list[list[tuple[str, str, str]]], kinds: list[str]):
        self.parts, self.kinds = parts, kinds

    def __repr__(self) -> str:
        return "\n".join(
            " ".join(f"[{text}]({kind}{sure})" if kind else text for text, kind, sure in row)
            for row in self.parts
        )

    def _repr_html_(self) -> str:
        return "\n".join(f"<p>{' '.join(map(self._marked, row))}</p>" for row in self.parts)

    def _marked(self, part: tuple[str, str, str]) -> str:
        text, kind, sure = map(html.escape, part)
        if not kind:
            return text
        colour = _COLOURS[self.kinds.index(part[1]) % len(_COLOURS)]
        style = f"background:{colour};color:#000;border-radius:4px;padding:1px 4px"
        return f'<mark style="{style}">{text} <small><b>{kind}</b>{sure}</small></mark>'


def show_entities(sentences, tags, confidence=None) -> ShownEntities:
    """Show sentences with their names marked: coloured in a notebook, in brackets as text.

    The kind stands beside each name, so that nobody needs the colours.

    Args:
        sentences, tags: n lists of words, and of their tags.
        confidence: of each word, shown for a name as that of its least sure word; None for none.

    Raises:
        ValueError: not one tag for each word; what is no tag.

    Example:
        >>> tl.show_entities([["Ada", "Lovelace", "smiled"]], [["B-PER", "I-PER", "O"]])
        [Ada Lovelace](PER) smiled
    """
    tags, rows = check_tags(tags), [list(words) for words in sentences]
    if [len(row) for row in tags] != [len(row) for row in rows]:
        raise ValueError(
            "`tags` must hold one tag for each word. Received: other numbers of words. Take words "
            "and tags of the same sentences."
        )
    parts, kinds = [], sorted({e.kind for row in tags for e in find_entities(row)})
    for number, (words, row) in enumerate(zip(rows, tags, strict=True)):
        told, place = [], 0
        for kind, start, end in find_entities(row):
            told += [(word, "", "") for word in words[place:start]]
            sure = "" if confidence is None else f" {min(confidence[number][start:end]):.2f}"
            told.append((" ".join(words[start:end]), kind, sure))
            place = end
        parts.append(told + [(word, "", "") for word in words[place:]])
    return ShownEntities(parts, kinds)
