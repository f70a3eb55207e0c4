"""One sound from a file: one channel, 16,000 samples a second, of one length and one peak."""

import os
import warnings
from fractions import Fraction
from pathlib import Path

from tlhelpers.checks.words import check_number
from tlhelpers.sources.log_mel import RATE

import numpy as np

SUFFIXES = frozenset([".wav"])
PEAK = 0.6  # about 20,000 of 32,767
_RATES = (1_000, 768_000)  # samples a second that a recorder may write
_SIMPLE = 1_000  # 441 is enough for the usual rates; others are met within 0.1 %


def load_sound(
    path: str | os.PathLike, seconds: float | None = 1.0, peak: float | None = PEAK
) -> np.ndarray:
    """Read a sound as the encoders of this package want it: for one prediction, or many.

    Several channels become one, their mean. Another rate becomes 16,000 samples a second: what lies
    above 8,000 Hz is filtered out before (`scipy.signal.resample_poly`).

    Args:
        path: of a WAV file with 8, 16, 24 or 32 bits, or floats.
        seconds: the length of the result. A shorter sound stands in its middle, with silence around
            it; of a longer one the loudest stretch is kept. None for its own length.
        peak: its loudest sample in the result, in (0, 1]; silence stays silence. None keeps the
            loudness of the file, where a full whole number is 1.

    Returns:
        float32 `(samples,)`.

    Raises:
        ValueError: a file that does not exist, is no whole WAV file, has no sample, a sample that
            is no number or a rate that no recorder writes; a bad length or peak.

    Example:
        >>> tl.load_sound("beep.wav").shape
        (16000,)
    """
    from scipy.io import wavfile

    seconds, peak = check_length_and_peak(seconds, peak)
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"`path` must be a sound's file. Received: {path}, which is no file.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", wavfile.WavFileWarning)  # of notes beside the sound
            warnings.filterwarnings("error", "Reached EOF", wavfile.WavFileWarning)
            rate, wave = wavfile.read(path)
        return prepare_sound(_in_one(wave), rate, seconds, peak)
    except (OSError, EOFError, ValueError, ZeroDivisionError, wavfile.WavFileWarning) as error:
        raise ValueError(
            f"`path` must be a whole sound. Received: {path}: {error}. Save it again as WAV with "
            "16 bits, or take it away."
        ) from error
    except Exception as error:  # a header of random bytes makes the reader raise all kinds
        raise ValueError(
            f"`path` must be a WAV file. Received: {path}: {type(error).__name__}: {error}. Save "
            "it again as WAV with 16 bits, or take it away."
        ) from error


def prepare_sound(
    wave: np.ndarray, rate: int, seconds: float | None = 1.0, peak: float | None = PEAK
) -> np.ndarray:
    """Bring a wave to 16,000 samples a second, one length and one peak; see `load_sound`.

    Args:
        wave: floats of one channel, `(samples,)`.
        rate: its samples a second.
        seconds, peak: as for `load_sound`.

    Raises:
        ValueError: no sample, one that is no number, a rate out of range; a bad length or peak.

    Example:
        >>> prepare_sound(np.sin(np.arange(4_000)), 8_000, seconds=2).shape
        (32000,)
    """
    from scipy.signal import resample_poly

    seconds, peak = check_length_and_peak(seconds, peak)
    if not len(wave) or not np.isfinite(wave).all():
        raise ValueError("a sample that is no number" if len(wave) else "no sample in it")
    if not _RATES[0] <= rate <= _RATES[1]:
        raise ValueError(f"{rate:,} samples a second")
    if rate != RATE:
        ratio = Fraction(RATE, int(rate)).limit_denominator(_SIMPLE)
        wave = resample_poly(wave, ratio.numerator, ratio.denominator)
    if seconds is not None:
        wave = _of_length(wave, max(round(seconds * RATE), 1))
    loudest = np.abs(wave).max()
    if peak is not None and loudest > 0:
        wave = wave / loudest * peak
    return wave.astype("float32")


def check_length_and_peak(seconds, peak) -> tuple[float | None, float | None]:
    """Return both as floats, or None where they are; or say which one is none."""
    if seconds is not None:
        seconds = check_number("seconds", seconds, "(0, inf)", "Try 1.0.")
    if peak is not None:
        peak = check_number("peak", peak, "(0, 1]", "Try 0.6.")
    return seconds, peak


def _in_one(wave: np.ndarray) -> np.ndarray:
    """Return the mean of the channels as floats, in -1..1 where they were whole numbers."""
    if wave.dtype.kind == "u":  # 8 bits: silence is 128
        wave = (wave.astype("float64") - 128) / 128
    elif wave.dtype.kind == "i":  # 24 bits come as the upper three bytes of 32
        wave = wave / -float(np.iinfo(wave.dtype).min)
    return wave.astype("float64") if wave.ndim == 1 else wave.mean(axis=1, dtype="float64")


def _of_length(wave: np.ndarray, samples: int) -> np.ndarray:
    missing = samples - len(wave)
    if missing >= 0:
        return np.pad(wave, (missing // 2, missing - missing // 2))
    energy = np.concatenate([[0], np.cumsum(np.square(wave))])
    begin = int(np.argmax(energy[samples:] - energy[:-samples]))
    return wave[begin : begin + samples]
