"""Texts in, translations out: a frozen encoder, a translator's weights, its vocabulary."""

from collections.abc import Sequence
from pathlib import Path

from tlhelpers.checks.words import announce, check_choice, check_texts, check_whole
from tlhelpers.models.decoding import beam_search, greedy_search
from tlhelpers.models.translator import build_translator, steps_of
from tlhelpers.sources.assets import fetch, origin_of
from tlhelpers.sources.sentence_encoder import SentenceEncoder, load_sentence_encoder
from tlhelpers.sources.words import Words

import keras
import numpy as np

NAME = "translator-es-en"
_AT_ONCE = 256  # sentences


class Translator:
    """Translate texts: `translator(texts)`, or `translator(texts, beam=4)`.

    Args:
        encoder: frozen, with `features(texts, pieces)`, see `load_sentence_encoder`.
        model: of `build_translator`. Train it, and the next call uses what it learnt.
        words: the vocabulary that it writes with.
        pieces, length: the most pieces to read and words to write, the end included.

    Raises:
        ValueError: a vocabulary of another size than the model's, other features than it reads.

    Example:
        >>> class Letters:  # an encoder with two features: a letter's number, and 1
        ...     def features(self, texts, length=24):
        ...         rows = [[(ord(c), 1) for c in text.ljust(length)[:length]] for text in texts]
        ...         return np.array(rows, "float32"), np.ones((len(texts), length), bool)
        >>> words = tl.learn_words(["I like tea."])
        >>> untrained = Translator(Letters(), build_translator(2, len(words), width=8), words)
        >>> len(untrained(["Me gusta el té.", ""]))
        2
    """

    def __init__(
        self, encoder, model: keras.Model, words: Words, pieces: int = 24, length: int = 12
    ):
        if len(words) != model.output.shape[-1]:
            raise ValueError(
                "`words` must be the vocabulary that the model writes with, of "
                f"{model.output.shape[-1]:,} numbers. Received: {len(words):,}. Build the model "
                "for it: tl.build_translator(features, words=len(words))."
            )
        self.encoder, self.model, self.words = encoder, model, words
        most = model.get_layer("bridge_places").sequence_length
        self.pieces = check_whole("pieces", pieces, 3, most)
        most = model.get_layer("embedding_places").sequence_length
        self.length = check_whole("length", length, 2, most)

    def __repr__(self) -> str:
        size = self.model.count_params() / 1e6
        return f"Translator({size:.1f} million weights, writes {len(self.words):,} words)"

    def __call__(self, texts: Sequence[str], beam: int = 1) -> list[str]:
        """Return a translation for each text, in lower case; of an empty text, an empty one.

        Args:
            texts: n texts, in any script; pieces beyond the most that it reads are cut off.
            beam: how many beginnings to keep, see `beam_search`; 1 is greedy.

        Raises:
            ValueError: no list of texts.
        """
        texts = check_texts("texts", texts)
        features, mask = self.encoder.features(texts, self.pieces)
        found = self.decode(features, mask, beam)
        return [out if text.strip() else "" for text, out in zip(texts, found, strict=True)]

    def decode(self, features: np.ndarray, mask: np.ndarray, beam: int = 1) -> list[str]:
        """Return a translation of each row of what `encoder.features` gave."""
        beam = check_whole("beam", beam, 1, None, "1 is greedy, 4 is usual.")
        found: list[str] = []
        for start in range(0, len(features), _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            begin = steps_of(self.model, features[some], mask[some], self.length)
            asked = (begin, len(mask[some]), self.length)
            decoded = greedy_search(*asked) if beam == 1 else beam_search(*asked, beam)
            found += self.words.decode(decoded.numbers)
        return found


def load_translator(
    name: str = NAME,
    encoder: SentenceEncoder | None = None,
    weights: str | None = "pretrained",
) -> Translator:
    """Return our small translator from Spanish to English, for short everyday sentences.

    It is a parent to begin from: with a thousand pairs of another language it learns that one
    faster than from nothing. On its own it makes many mistakes.

    Args:
        name: "translator-es-en".
        encoder: of `load_sentence_encoder`, the one that it was trained on. None loads it.
        weights: "pretrained", or None for random ones with the same vocabulary, a control.

    Returns:
        A `Translator`; its `model` isn't compiled.

    Raises:
        ValueError: another name; an altered file; what `load_sentence_encoder` refuses.

    Example:
        >>> translate = tl.load_translator()  # doctest: +SKIP
        >>> translate(["Me gusta el té."])  # doctest: +SKIP
        ['i like tea.']

    Reference:
        Zoph et al., "Transfer Learning for Low-Resource Neural Machine Translation", EMNLP 2016
        (parent and child).
    """
    check_choice("name", name, (NAME,))
    check_choice("weights", weights or "random", ("pretrained", "random"))
    model, words = read_translator(fetch(name), weights == "pretrained")
    pretrained = origin_of(name) if weights else "random weights"
    announce(f"{name}: {pretrained}")
    pieces = model.get_layer("bridge_places").sequence_length
    length = model.get_layer("embedding_places").sequence_length
    return Translator(encoder or load_sentence_encoder(), model, words, pieces, length)


def read_translator(path: Path, filled: bool = True) -> tuple[keras.Model, Words]:
    """Return the model and the vocabulary of a file of data/train_translator.py.

    Raises:
        ValueError: arrays of other names or shapes.
    """
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    try:
        words = Words(arrays.pop("words").tobytes().decode().split("\n"))
        features, width = arrays["bridge/kernel"].shape
        places, length = (
            len(arrays[f"{layer}/embeddings"]) for layer in ("bridge_places", "embedding_places")
        )
        model = build_translator(features, len(words), places, length, width)
        values = [arrays.pop(weight.path).astype("float32") for weight in model.weights]
    except (KeyError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path.name} must hold the weights of a translator and its words. Received: "
            f"{error!r}. Write it with data/train_translator.py."
        ) from error
    shapes = [tuple(weight.shape) for weight in model.weights]
    if arrays or shapes != [value.shape for value in values]:
        raise ValueError(
            f"{path.name} must fit the model. Received: {sorted(arrays)} left over, or other "
            "shapes. Write it with data/train_translator.py."
        )
    if filled:
        model.set_weights(values)
    return model, words
