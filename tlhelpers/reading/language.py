"""Score a language model on texts, and let it write."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tlhelpers.checks.seeds import check_seed
from tlhelpers.checks.words import check_texts, check_whole
from tlhelpers.reading.reports import Printed
from tlhelpers.scores.likelihood import bits_per_character, perplexity
from tlhelpers.scores.sampling import sampling_probabilities
from tlhelpers.sources.language_models import NOTHING, LanguageModel

import keras
import numpy as np

_ROOM = 64  # places are made by so many: a step that is traced once serves many lengths


@dataclass(frozen=True, repr=False)
class LanguageReport(Printed):
    """What `evaluate_language_model` found; `by_text` is the bits per character of each text."""

    perplexity: float
    bits_per_character: float
    pieces: int
    characters: int
    texts: int
    by_text: list[float] = field(repr=False)

    def __str__(self) -> str:
        return (
            f"{self.bits_per_character:.3f} bits per character, perplexity {self.perplexity:.1f} "
            f"({self.texts:,} texts, {self.pieces:,} pieces, {self.characters:,} characters)"
        )

    def rows(self) -> list[list[str]]:
        """Return the cells of the table, the head first."""
        numbers = [f"{self.bits_per_character:.3f}", f"{self.perplexity:.1f}"]
        counts = [f"{count:,}" for count in (self.texts, self.pieces, self.characters)]
        head = ["bits per character", "perplexity", "texts", "pieces", "characters"]
        return [head, numbers + counts]


def evaluate_language_model(
    language: LanguageModel, texts: Sequence[str], length: int = 256, batch_size: int = 16
) -> LanguageReport:
    """Return how well a language model guesses texts that it hasn't learned from.

    Each piece is guessed from all before it in its text; the first one from `language.begin`, which
    itself is not guessed, nor is the end. Characters are those of the text: `len(text)`.

    Args:
        language: of `load_language_model`, with adapters or without.
        texts: strings; empty ones count for nothing.
        length: pieces that are seen together, or fewer where the network sees no more. A longer
            text is cut into such parts. Each begins anew, so its guesses are a little worse.
        batch_size: rows at once. The result doesn't depend on it.

    Raises:
        ValueError: one text instead of a list; nothing but empty texts; a size below 1.

    Example:
        >>> report = tl.evaluate_language_model(language, ["abc", "", "ca"])
        >>> report.texts, report.pieces, report.characters
        (2, 5, 5)
    """
    size = check_whole("batch_size", batch_size, 1)
    length = min(check_whole("length", length, 1), language.longest or length)
    known = [text for text in check_texts("texts", texts) if text]
    numbers = [language.numbers(text) for text in known]
    parts = [(i, one[n : n + length]) for i, one in enumerate(numbers)
             for n in range(0, len(one), length)]  # fmt: skip
    if not parts:
        raise ValueError(
            f"`texts` must hold a text that isn't empty. Received: {len(texts)} texts, all empty. "
            "Look at how the file was read."
        )
    parts.sort(key=lambda part: len(part[1]))  # rows of like length together: little padding
    found: list[list[np.ndarray]] = [[] for _ in known]
    score = traced(language, "score", _scorer(language), [((None, None), "int32")] * 3)
    for first in range(0, len(parts), size):
        some = parts[first : first + size]
        labels = np.full((len(some), len(some[-1][1])), NOTHING, "int32")
        for row, (_, part) in zip(labels, some, strict=True):
            row[: len(part)] = part
        x = language.inputs_of(labels)
        logs = score(x["token_ids"], x["padding_mask"], np.maximum(labels, 0))
        logs = keras.ops.convert_to_numpy(logs)
        for (i, part), row in zip(some, logs, strict=True):
            found[i].append(np.minimum(row[: len(part)], 0))  # rounding may go above
    each = [np.concatenate(rows) for rows in found]
    every, characters = np.concatenate(each), sum(map(len, known))
    bits = [bits_per_character(log_probabilities=logs, characters=len(text))
            for logs, text in zip(each, known, strict=True)]  # fmt: skip
    return LanguageReport(
        perplexity(log_probabilities=every),
        bits_per_character(log_probabilities=every, characters=characters),
        len(every), characters, len(known), bits,
    )  # fmt: skip


def generate(
    language: LanguageModel,
    prompt: str = "",
    length: int = 40,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float = 1.0,
    samples: int = 1,
    seed: int = 0,
) -> list[str]:
    """Let a language model go on with a text, piece by piece.

    Keys and values of what is written already are kept, so that each step looks at one piece.

    Args:
        language: of `load_language_model`, with adapters or without.
        prompt: the beginning; empty for none.
        length: new pieces at most. A sample ends earlier where the model ends its text.
        temperature, top_k, top_p: as in `sampling_probabilities`; `top_k=1` is greedy.
        samples: texts to write.
        seed: draws the pieces; the same one gives the same texts.

    Returns:
        `samples` texts, each with the prompt at its beginning.

    Raises:
        ValueError: a setting out of its range.

    Example:
        >>> first, second = tl.generate(language, "ab", length=5, samples=2)
        >>> first.startswith("ab"), tl.generate(language, "ab", length=5) == [first]
        (True, False)
    """
    length, count = check_whole("length", length, 1), check_whole("samples", samples, 1)
    rng = np.random.default_rng(check_seed(seed))
    known = [language.begin, *language.numbers(check_texts("texts", [prompt])[0])]
    sampling_probabilities(np.zeros(language.vocabulary_size), temperature, top_k, top_p)
    room = -(-(len(known) + length) // _ROOM) * _ROOM
    if language.longest is not None and len(known) + length > language.longest:
        raise ValueError(
            f"`length` must fit the network, which sees {language.longest} pieces. Received: "
            f"length={length} behind a prompt of {len(known)}. Give less of both."
        )
    room = min(room, language.longest or room)
    ids = np.full((count, room), language.begin, "int32")
    ids[:, : len(known)] = known
    begin = traced(
        language, "begin", lambda ids: language.model._build_cache(ids)[1], [((None,) * 2, "int32")]
    )
    cache = begin(keras.ops.convert_to_tensor(ids))
    kept = (None, *cache.shape[1:3], None, *cache.shape[4:])
    given = [((None, 1), "int32"), (kept, cache.dtype), ((), "int32")]
    step = traced(language, "step", language.model.call_with_cache, given)
    done = np.zeros(count, bool)
    ends = [room] * count
    for place in range(len(known), len(known) + length):
        at = keras.ops.convert_to_tensor(place - 1, "int32")
        last = keras.ops.convert_to_tensor(ids[:, place - 1 : place])
        logits, _, cache = step(last, cache, at)
        logits = keras.ops.convert_to_numpy(logits)[:, 0]
        odds = sampling_probabilities(logits, temperature, top_k, top_p).cumsum(axis=-1)
        drawn = rng.random((count, 1)) * odds[:, -1:]
        ids[:, place] = (odds <= drawn).sum(axis=-1)
        for i in np.flatnonzero(~done & np.isin(ids[:, place], language.ends)):
            done[i], ends[i] = True, place
        if done.all():
            break
    last = place + 1
    return [prompt + language.text(row[len(known) : min(end, last)].tolist())
            for row, end in zip(ids, ends, strict=True)]  # fmt: skip


def traced(owner, name: str, function: Callable, inputs=None) -> Callable:
    """Return a function of `owner.model` as a graph; traced again where it got adapters."""
    key = (name, *(id(variable) for variable in owner.model.variables))
    if key not in owner.traced:
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            spec = inputs and [tf.TensorSpec(shape, kind) for shape, kind in inputs]
            function = tf.function(function, input_signature=spec, reduce_retracing=True)
        owner.traced[key] = function
    return owner.traced[key]


def _scorer(language: LanguageModel) -> Callable:
    def score(ids, mask, labels):
        logits = language.model({"token_ids": ids, "padding_mask": mask}, training=False)
        logits = keras.ops.cast(logits, "float32")
        return -keras.ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)

    return score
