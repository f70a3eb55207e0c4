"""The sentences come whole, at their rate, and say what they are."""

import tlhelpers as tl
from tlhelpers.sources import spoken_sentences

import numpy as np
import pytest


def test_synthetic_sentences_say_so_and_are_sounds(capsys):
    spoken = tl.load_spoken_sentences("espeak-ng")
    assert "SYNTHETIC" in capsys.readouterr().out and "SYNTHETIC" in spoken.origin
    assert len(spoken.sounds) == len(spoken.texts) == 24
    assert repr(spoken) == "SpokenSentences(espeak-ng: 24 sounds, 66 seconds)"
    for sound, text in zip(spoken.sounds, spoken.texts, strict=True):
        assert sound.dtype == np.float32 and np.abs(sound).max() == pytest.approx(0.6)
        assert 0.1 < len(sound) / 16_000 / len(text.split()) < 0.6  # seconds a word
        assert abs(sound.mean()) < 0.01 and text.endswith((".", "?"))


def test_waves_come_back_from_mu_law(monkeypatch, tmp_path):
    wave = 0.7 * np.hanning(4_000) * np.sin(np.arange(4_000) / 9)  # about 140 Hz
    pressed = np.sign(wave) * np.log1p(255 * np.abs(wave)) / np.log(256)  # ITU-T G.711
    pressed = np.round(127.5 * (pressed + 1)).astype("uint8")
    np.savez(tmp_path / "spoken.npz", waves=np.tile(pressed, 2), texts=np.array(["a", "b"]),
             lengths=np.array([4_000] * 2, "uint16"))  # fmt: skip
    monkeypatch.setattr(spoken_sentences, "fetch", lambda asset: tmp_path / "spoken.npz")
    spoken = tl.load_spoken_sentences("espeak-ng")
    assert spoken.texts == ["a", "b"] and [len(one) for one in spoken.sounds] == [8_000] * 2
    wanted = 0.6 * np.hanning(8_000) * np.sin(np.arange(8_000) / 18)
    for one in spoken.sounds:
        np.testing.assert_allclose(one[200:-200], wanted[200:-200], atol=0.03)


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match=r"`name` must be one of 'clips'.*Did you mean 'clips-es'"):
        tl.load_spoken_sentences("clips-en")


@pytest.mark.network
def test_the_clips_are_read():
    for name, words in (("clips", 21), ("clips-es", 21)):
        spoken = tl.load_spoken_sentences(name)
        assert len(spoken.sounds) == 3 and sum(len(text.split()) for text in spoken.texts) == words
        assert all(one.dtype == np.float32 and one.ndim == 1 for one in spoken.sounds)
