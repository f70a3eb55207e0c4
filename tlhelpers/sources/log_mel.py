"""The log-mel picture of a sound: how much of each pitch, a hundred times a second.

wave 16,000 numbers a second --> 25 ms under a window, every 10 ms --> power of 257 frequencies
                             --> 32 bands, narrow below and wide above --> decibels
"""

from functools import cache

import numpy as np

RATE = 16_000  # samples a second
BANDS = 32
_WINDOW, _FRAME, _HOP = 400, 512, 160  # samples: under the window, transformed, to the next one
_LOW, _HIGH = 60.0, 3_800.0  # Hz: the ends of the lowest and the highest band
_RANGE = 80.0  # dB: what is so much weaker than the loudest of its sound counts as silence
LOUDEST = 1.5  # of samples in -1..1; room for what a filter adds to a full sound
_AT_ONCE = 256  # seconds of sound, 0.3 GB


def log_mel(waves: np.ndarray) -> np.ndarray:
    """Return the log-mel pictures of sounds, as `load_audio_encoder` reads them.

    A value is a tenth of the decibels plus 2, where a wave of whole numbers in -32768..32767 sets
    the zero: this scale belongs to the weights. The loudness stays in the picture, so give all
    sounds the same peak first, as `load_sound` does.

    Args:
        waves: floats in -1..1, `(n, samples)`, one channel, 16,000 samples a second, at least 512.
            A filter may have gone beyond, up to 1.5.

    Returns:
        float32 `(n, 1 + (samples - 512) // 160, 32, 1)`: time, bands from low to high, a channel.
        A second has 97 rows. Silence is -8 everywhere, a full sound has up to 12.

    Raises:
        ValueError: not such an array; whole numbers; a sample beyond -1.5..1.5, or that is no
            number.

    Example:
        >>> beep = 0.6 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
        >>> picture = tl.log_mel(beep[None])
        >>> picture.shape, int(picture[0, 50, :, 0].argmax())  # the band around 440 Hz
        ((1, 97, 32, 1), 5)

    Reference:
        Davis, Mermelstein, "Comparison of Parametric Representations for Monosyllabic Word
        Recognition", IEEE TASSP 28(4), 1980; bands as Slaney's Auditory Toolbox, 1998, has them.
    """
    waves = _check(waves)
    starts = np.arange(0, waves.shape[1] - _FRAME + 1, _HOP)
    found = np.empty((len(waves), len(starts), BANDS, 1), "float32")
    step = max(1, _AT_ONCE * RATE // waves.shape[1])
    for first in range(0, len(waves), step):
        some = waves[first : first + step].astype("float64") * 32_768
        frames = some[:, starts[:, None] + np.arange(_FRAME)] * _window()
        power = np.abs(np.fft.rfft(frames)) ** 2
        decibels = 10 * np.log10(np.maximum(power @ mel_bands(), 1e-10))
        floor = decibels.max(axis=(1, 2), keepdims=True) - _RANGE
        found[first : first + step, ..., 0] = np.maximum(decibels, floor) / 10 + 2
    return found


@cache
def mel_bands() -> np.ndarray:
    """Return how much of each frequency is in each band: triangles of area 2, `(257, 32)`."""
    lowest, highest = _to_mel(np.array([_LOW, _HIGH]))
    ends = _to_hertz(np.linspace(lowest, highest, BANDS + 2))
    low, middle, high = ends[:-2], ends[1:-1], ends[2:]
    frequencies = np.arange(_FRAME // 2 + 1)[:, None] * RATE / _FRAME
    up, down = (frequencies - low) / (middle - low), (high - frequencies) / (high - middle)
    return np.maximum(0, np.minimum(up, down)) * 2 / (high - low)


def _to_mel(hertz):
    """Slaney's scale: straight to 1,000 Hz, which is 15; then 27 steps for each 6.4 times more."""
    return np.where(hertz < 1_000, hertz * 3 / 200, 15 + 27 * np.log(hertz / 1_000) / np.log(6.4))


def _to_hertz(mel):
    return np.where(mel < 15, mel * 200 / 3, 1_000 * 6.4 ** ((mel - 15) / 27))


@cache
def _window() -> np.ndarray:
    """Return Hann's window of 25 ms in the middle of a frame."""
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_WINDOW) / _WINDOW)
    return np.pad(hann, (_FRAME - _WINDOW) // 2)


def _check(waves) -> np.ndarray:
    waves = np.asarray(waves)
    if waves.ndim != 2 or waves.shape[1] < _FRAME or waves.dtype.kind != "f":
        raise ValueError(
            "`waves` must be floats of shape (n, samples), 512 samples at least. Received: shape="
            f"{waves.shape}, dtype={waves.dtype}. Put one sound in brackets, wave[None]; divide "
            "16-bit numbers by 32768; take the mean of two channels."
        )
    loudest = np.abs(waves).max(initial=0)
    if not loudest <= LOUDEST:  # what is no number is not <=
        raise ValueError(
            f"`waves` must be in -1..1. Received: samples up to {loudest:.4g}. Divide 16-bit "
            "samples by 32768, and leave out what is no number."
        )
    return waves
