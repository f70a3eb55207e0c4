"""Let a speech recognizer write, and ask it how probable a text is."""

from collections.abc import Callable, Sequence

from tlhelpers.checks.words import check_texts, check_whole
from tlhelpers.models.decoding import Step, greedy_search
from tlhelpers.reading.language import traced
from tlhelpers.sources.speech_recognizers import WINDOW, SpeechRecognizer

import keras
import numpy as np

_ROOM = 64  # places are made by so many: a step that is traced once serves many lengths


def transcribe(
    recognizer: SpeechRecognizer,
    sounds: Sequence[np.ndarray],
    seconds: int = WINDOW,
    length: int = 100,
    batch_size: int = 4,
) -> list[str]:
    """Write down what is said in sounds: the most probable piece, and again, up to the end.

    What the encoder heard is computed once. Keys and values of what is written already are kept,
    so that each step looks at one piece. No piece is forbidden.

    Args:
        recognizer: of `load_speech_recognizer`.
        sounds: n arrays of one channel, 16,000 samples a second, floats within -1..1. A filter
            may have gone beyond, up to 1.5.
        seconds: the window, from 1 to 30. Whisper was trained with 30; a shorter one costs less,
            and is another kind of input: compare before you trust it.
        length: pieces of a transcript at most; about four for three words.
        batch_size: sounds at once. The result doesn't depend on it.

    Returns:
        n texts; one without speech may be empty, or an invention.

    Raises:
        ValueError: what `spectrograms` of the recognizer refuses; a number below 1; more pieces
            than the network can write.

    Example:
        >>> texts = tl.transcribe(recognizer, [np.zeros(8_000)], seconds=1, length=5)
        >>> len(texts)
        1
    """
    pieces = decode_greedily(recognizer, sounds, seconds, length, batch_size)
    return [recognizer.text(row) for row in pieces]


def decode_greedily(
    recognizer: SpeechRecognizer,
    sounds: Sequence[np.ndarray],
    seconds: int = WINDOW,
    length: int = 100,
    batch_size: int = 4,
) -> list[list[int]]:
    """Return the numbers of the pieces that `transcribe` writes, the end left out.

    Args, Raises: as for `transcribe`.

    Example:
        >>> pieces = decode_greedily(recognizer, [np.zeros(8_000)], seconds=1, length=5)
        >>> len(pieces), len(pieces[0]) <= 5
        (1, True)
    """
    found, end, size = [], recognizer.end, check_whole("batch_size", batch_size, 1)
    _check_length(recognizer, check_whole("length", length, 1))
    for some in recognizer.batches(sounds, seconds, size):
        begin = lambda copies, some=some: _listen(recognizer, some, length)[0]  # noqa: E731
        rows = greedy_search(begin, len(some), length, end, end).numbers
        found += [[int(number) for number in row if number != end] for row in rows]
    return found


def transcript_odds(
    recognizer: SpeechRecognizer,
    sounds: Sequence[np.ndarray],
    texts: Sequence[str],
    seconds: int = WINDOW,
    batch_size: int = 4,
) -> np.ndarray:
    """Return how probable it is that a sound's transcript begins with each of some texts.

        log p(text | sound) = sum of log p(piece | sound, the pieces before)

    With the names of classes as texts it is a classifier that has seen no example ("zero-shot").
    "Four", "four" and "4" are different texts: add up their probabilities.

    Args:
        recognizer, sounds, seconds, batch_size: as for `transcribe`.
        texts: k texts; the space before a transcript is put there.

    Returns:
        Log-probabilities, float32 `(n, k)`.

    Raises:
        ValueError: what `transcribe` refuses; no texts, or an empty one.

    Example:
        >>> tl.transcript_odds(recognizer, [np.zeros(8_000)], ["a", "the"], seconds=1).shape
        (1, 2)
    """
    size, texts = check_whole("batch_size", batch_size, 1), check_texts("texts", texts)
    rows = [recognizer.numbers(" " + text.strip()) for text in texts if text.strip()]
    if len(rows) != len(texts) or not rows:
        raise ValueError(
            f"`texts` must be one text or more, none of them empty. Received: texts={texts!r:.60}."
        )
    _check_length(recognizer, max(map(len, rows)))
    found = []
    for some in recognizer.batches(sounds, seconds, size):
        step, read = _listen(recognizer, some, max(map(len, rows)))
        odds = np.zeros((len(some), len(rows)), "float32")
        first = step(np.zeros(len(some)), None)
        for column, row in enumerate(rows):
            odds[:, column] = first[:, row[0]]
            if len(row) > 1:
                after = read(np.tile(row[:-1], (len(some), 1)))
                odds[:, column] += sum(after[:, n, piece] for n, piece in enumerate(row[1:]))
        found.append(odds)
    return np.concatenate(found) if found else np.zeros((0, len(rows)), "float32")


def _check_length(recognizer: SpeechRecognizer, length: int) -> None:
    most = recognizer.model.max_decoder_sequence_length - len(recognizer.prompt)
    if length > most:
        raise ValueError(
            f"`length` must fit the network, which writes {most} pieces at most. Received: "
            f"length={length}. Cut the sound into shorter ones."
        )


def _listen(
    recognizer: SpeechRecognizer, spectrograms: np.ndarray, length: int
) -> tuple[Step, Callable[[np.ndarray], np.ndarray]]:
    """Hear some sounds, and return two ways to go on behind the prompt.

    The first is a step of `greedy_search`. The second takes pieces `(n, k)` and returns the
    log-probabilities of what follows each of them, `(n, k, pieces)`; it doesn't move on.
    """
    model, count, start = recognizer.model, len(spectrograms), len(recognizer.prompt)
    most = model.max_decoder_sequence_length
    room = min(-(-(start + length) // _ROOM) * _ROOM, most)
    sizes = (model.num_layers, count, 2, room, model.num_heads, model.hidden_dim // model.num_heads)
    prompt = np.tile(np.array(recognizer.prompt), (count, 1))
    heard, theirs = traced(recognizer, "hear", _hearing(recognizer))(spectrograms)
    write = traced(recognizer, "write", _writing(model))

    def read(pieces, mine, place):
        odds, mine = write(
            keras.ops.convert_to_tensor(pieces, "int32"), heard, mine, theirs,
            keras.ops.convert_to_tensor(place, "int32"),
        )  # fmt: skip
        return keras.ops.convert_to_numpy(odds), mine

    place, (odds, mine) = start, read(prompt, keras.ops.zeros(sizes), 0)
    known = mine

    def step(last: np.ndarray, parents: np.ndarray | None) -> np.ndarray:
        nonlocal place, mine
        if parents is None:
            return odds[:, -1]
        after, mine = read(last[:, None], mine, place)
        place += 1
        return after[:, 0]

    return step, lambda pieces: read(pieces, known, start)[0]


def _hearing(recognizer: SpeechRecognizer) -> Callable:
    """Return what the encoder hears, and each decoder layer's keys and values of it."""
    layers = [one._cross_attention_layer for one in recognizer.model.decoder_transformer_layers]

    def hear(spectrograms):
        x = recognizer.encoder(spectrograms, training=False)
        kept = [keras.ops.stack([one._key_dense(x), one._value_dense(x)], axis=1) for one in layers]
        return x, keras.ops.stack(kept)

    return hear


def _writing(model: keras.Model) -> Callable:
    """Return the log-probabilities behind each piece; keys and values of the pieces are kept."""

    def write(pieces, heard, mine, theirs, place):
        x, kept = model.decoder_embeddings(pieces, start_index=place), []
        for number, layer in enumerate(model.decoder_transformer_layers):
            x, cache, _ = layer(
                x, heard, self_attention_cache=mine[number], cross_attention_cache=theirs[number],
                self_attention_cache_update_index=place, training=False,
            )  # fmt: skip
            kept.append(cache)
        x = model.token_embedding(model.decoder_layer_norm(x), reverse=True)
        return keras.ops.log_softmax(keras.ops.cast(x, "float32")), keras.ops.stack(kept)

    return write
