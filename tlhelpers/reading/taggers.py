"""A tagger with what cuts its words: used on texts, saved and loaded as one folder, shown."""

import html
import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tlhelpers.checks.data import check_tokens
from tlhelpers.checks.files import is_intact, sha256
from tlhelpers.checks.tags import check_tags
from tlhelpers.checks.vocabulary import check_vocabulary, remember_vocabulary
from tlhelpers.scores.entities import find_entities
from tlhelpers.sources.aligning import WordAligner, split_words
from tlhelpers.sources.bert import import_keras_hub
from tlhelpers.sources.text_preprocessing import TextPreprocessor, check_texts
from tlhelpers.tuning.bucketing import predict_by_length
from tlhelpers.tuning.freezing import flags_of, restore_flags

import keras
import numpy as np

_FORMAT, _ABOUT = "tlhelpers tagger 1", "tagger.json"
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
        folder: a new or empty one, or one of an earlier `save_tagger`, which is replaced.
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
    check_tokens(model, aligner([["a"]]))
    check_vocabulary(model, aligner.preprocessor.tokenizer)
    if model.output_shape[-1] != len(aligner.tags):
        raise ValueError(
            f"`aligner` must have the tags of the model, {model.output_shape[-1]}. Received: "
            f"{len(aligner.tags)} tags. Take the aligner of its training."
        )
    if any(getattr(layer, "lora_enabled", False) for layer in model._flatten_layers()):
        raise ValueError(
            f"`model` must be without LoRA. Received: model={model.name!r} with adapters. Call "
            "merge_lora(model) first."
        )
    target = Path(folder).resolve()
    if target.is_file() or (
        target.is_dir() and any(target.iterdir()) and not (target / _ABOUT).is_file()
    ):
        raise ValueError(
            "`folder` must be new, empty, or one of save_tagger. Received: "
            f"folder={str(target)!r}, which holds something else. Name another one."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as beside:
        new, old = Path(beside) / "new", Path(beside) / "old"
        new.mkdir()
        model.save(new / "model.keras")
        aligner.preprocessor.layer.save_to_preset(str(new / "preprocessor"))
        files = {
            path.relative_to(new).as_posix(): {"size": path.stat().st_size, "sha256": sha256(path)}
            for path in sorted(new.rglob("*")) if path.is_file()
        }  # fmt: skip
        about = {"format": _FORMAT, "tags": aligner.tags, "trainable": flags_of(model),
                 "files": files}  # fmt: skip
        (new / _ABOUT).write_text(json.dumps(about, indent=1), encoding="utf8")
        if target.exists():
            os.replace(target, old)
        try:
            os.replace(new, target)
        except BaseException:
            if old.exists():
                os.replace(old, target)
            raise
        shutil.rmtree(old, ignore_errors=True)
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
    import_keras_hub()
    folder = Path(folder)
    try:
        about = json.loads((folder / _ABOUT).read_text(encoding="utf8"))
        if about["format"] != _FORMAT:
            raise ValueError(f"its format is {about['format']!r} and not {_FORMAT!r}")
        for name, file in about["files"].items():
            if not is_intact(folder / name, file):
                raise ValueError(f"{name} is missing or not as it was saved")
        settings = json.loads((folder / "preprocessor/preprocessor.json").read_text("utf8"))
        layer = keras.saving.deserialize_keras_object(settings, safe_mode=True)
        layer.tokenizer.load_assets(str(folder / "preprocessor/assets/tokenizer"))
        model = keras.models.load_model(folder / "model.keras", compile=False, safe_mode=True)
        restore_flags(model, about["trainable"])
        remember_vocabulary(model, layer.tokenizer)
        return Tagger(model, WordAligner(TextPreprocessor(layer), about["tags"]))
    except Exception as error:  # a damaged file makes Keras and KerasHub raise all kinds
        raise ValueError(
            "`folder` must be one of save_tagger, whole. Received: "
            f"folder={str(folder)!r}: {type(error).__name__}: {error}. Save the tagger again, or "
            "copy its folder again as a whole."
        ) from error


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
