"""The front end and the network against the original files, and against closed forms."""

import tracemalloc

from tlhelpers.sources import log_mel as front_end
from tlhelpers.sources.assets import fetch
from tlhelpers.sources.audio_encoders import load_audio_encoder
from tlhelpers.sources.log_mel import log_mel, mel_bands

import numpy as np
import pytest


def sounds(seed=0):
    rng = np.random.default_rng(seed)
    sweeps = np.sin(np.cumsum(rng.uniform(0.01, 1.2, (4, 16_000)), 1))
    sweeps *= rng.uniform(0, 0.6, sweeps.shape)
    sweeps[1, :8_000] = 0
    sweeps[3] = 0
    return sweeps


def test_a_tone_stands_in_its_band_and_twice_as_loud_is_six_decibels_more():
    time = np.arange(16_000) / 16_000
    for hertz in (200, 1_000, 3_000):
        tone = 0.3 * np.sin(2 * np.pi * hertz * time)
        quiet, loud = log_mel(np.stack([tone, 2 * tone]))[:, 50, :, 0]
        assert quiet.argmax() == mel_bands()[round(hertz / 31.25)].argmax()
        assert loud.max() - quiet.max() == pytest.approx(2 * np.log10(2), abs=1e-4)


def test_triangles_have_an_area_of_two_over_their_width_and_overlap_their_neighbours():
    bands = mel_bands()
    assert bands.shape == (257, 32) and (bands >= 0).all()
    np.testing.assert_allclose(bands.sum(0) * 31.25, 1, rtol=0.05)
    assert not bands[:2].any() and not bands[123:].any()  # nothing below 60 or above 3,800 Hz


def test_silence_is_finite_and_what_is_80_decibels_weaker_is_cut():
    wave = sounds()
    found = log_mel(wave)
    assert found.shape == (4, 97, 32, 1) and found.dtype == np.float32
    assert (found[3] == -8).all() and np.isfinite(found).all()
    assert (found.max((1, 2)) - found.min((1, 2)) <= 8 + 1e-5).all()
    np.testing.assert_array_equal(log_mel(wave[1:2]), found[1:2])  # whatever lies beside it


def test_long_sounds_take_no_more_memory_than_short_ones(monkeypatch):
    def peak(waves):
        tracemalloc.start()
        log_mel(waves)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    monkeypatch.setattr(front_end, "_AT_ONCE", 8)
    waves = np.zeros((8, 8 * 16_000))
    assert peak(waves) < 1.5 * peak(waves[:1])
    assert peak(waves[:, :16_000]) < 1.5 * peak(waves[:1])


@pytest.mark.parametrize(("wave", "said"), [
    (np.zeros(16_000), r"shape=\(16000,\).*wave\[None\]"),
    (np.zeros((2, 300)), "512 samples at least"),
    (np.zeros((1, 16_000), "int16"), "dtype=int16.*divide 16-bit numbers by 32768"),
    (np.full((1, 600), 20_000.0), r"in -1..1. Received: samples up to 2e\+04"),
    (np.full((1, 600), 1.6), "samples up to 1.6"),
    (np.full((1, 600), np.nan), "samples up to nan"),
])  # fmt: skip
def test_what_is_no_wave_in_its_range_is_refused(wave, said):
    with pytest.raises(ValueError, match=said):
        log_mel(wave)


@pytest.mark.network
def test_front_end_and_network_are_those_of_the_original_files():
    from onnx.reference import ReferenceEvaluator

    folder, waves = fetch("speech-embedding"), sounds()
    front, net = (ReferenceEvaluator(str(folder / name))
                  for name in ("melspectrogram.onnx", "embedding_model.onnx"))  # fmt: skip
    pictures, base = log_mel(waves), load_audio_encoder()
    vectors = base.predict(pictures, verbose=0)
    assert base.count_params() == 328_128 and vectors.shape == (4, 3, 1, 96)
    for wave, picture, (first, _, last) in zip(waves, pictures, vectors, strict=True):
        (found,) = front.run(None, {"input": (wave[None] * 32_768).astype("float32")})
        np.testing.assert_allclose(picture[..., 0], found.squeeze() / 10 + 2, atol=1e-5)
        for rows, vector in ((picture[:76], first), (picture[16:92], last)):
            (expected,) = net.run(None, {"input_1": rows[None]})
            np.testing.assert_allclose(vector[0], expected.squeeze(), atol=1e-4)
