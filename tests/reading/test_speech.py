"""Writing with kept keys and values is writing without them; odds are what one call finds."""

import tlhelpers as tl
from tlhelpers.reading.speech import decode_greedily

import keras
import numpy as np
import pytest
from whisper_files import build, write_recognizer

pytest.importorskip("keras_hub", reason="pip install 'tlhelpers[text]'")
SOUNDS = [np.random.default_rng(n).uniform(-0.9, 0.9, 2_000 * (n + 1)).astype("f4")
          for n in range(5)]  # fmt: skip


@pytest.fixture(scope="module")
def recognizer(tmp_path_factory):
    return tl.load_speech_recognizer(write_recognizer(tmp_path_factory.mktemp("w") / "w"))


def log_odds(recognizer, heard, pieces):
    """Return what follows each of some pieces, in one call: nothing is kept."""
    ids = np.array([pieces])
    x = {"encoder_features": heard, "decoder_token_ids": ids, "decoder_padding_mask": ids * 0 + 1}
    out = recognizer.model(x, training=False)["decoder_sequence_output"]
    out = recognizer.model.token_embedding(out, reverse=True)
    return keras.ops.convert_to_numpy(keras.ops.log_softmax(out))[0]


def is_greedy(recognizer, sound, written, length):
    """Tell whether each piece is the most probable one behind all before it, up to the end."""
    start = len(recognizer.prompt)
    heard = recognizer.spectrograms([sound], 1)
    best = log_odds(recognizer, heard, [*recognizer.prompt, *written]).argmax(axis=-1)[start - 1 :]
    stopped = len(written) == length or best[-1] == recognizer.end
    return stopped and best[: len(written)].tolist() == written


def test_kept_keys_and_values_change_nothing(recognizer):
    found = decode_greedily(recognizer, SOUNDS, 1, 8)
    assert len({tuple(one) for one in found}) > 1  # the sounds are heard
    assert all(is_greedy(recognizer, *both, 8) for both in zip(SOUNDS, found, strict=True))
    assert decode_greedily(recognizer, SOUNDS, 1, 8, batch_size=1) == found
    texts = tl.transcribe(recognizer, SOUNDS, seconds=1, length=8)
    assert texts == [recognizer.text(one) for one in found]
    assert tl.transcribe(recognizer, [], seconds=1) == []


def test_a_transcript_stops_at_its_end(tmp_path):
    recognizer = tl.load_speech_recognizer(write_recognizer(tmp_path / "w", build(seed=3)))
    (before,) = decode_greedily(recognizer, SOUNDS[:1], 1, 8)
    table = recognizer.model.token_embedding.embeddings
    rows = table.numpy()
    rows[recognizer.end] = rows[before[3]] * 1.01  # now the end is a little more probable
    table.assign(rows)
    (found,) = decode_greedily(recognizer, SOUNDS[:1], 1, 8)
    assert len(found) < 8 and is_greedy(recognizer, SOUNDS[0], found, 8)


def test_the_longest_transcript_and_beyond(recognizer):
    most = recognizer.model.max_decoder_sequence_length - len(recognizer.prompt)
    (found,) = decode_greedily(recognizer, SOUNDS[:1], 1, most)
    assert len(found) <= most and is_greedy(recognizer, SOUNDS[0], found, most)
    with pytest.raises(ValueError, match=rf"writes {most} pieces.*length={most + 1}"):
        tl.transcribe(recognizer, SOUNDS, 1, most + 1)
    with pytest.raises(ValueError, match=f"writes {most} pieces"):
        tl.transcript_odds(recognizer, SOUNDS, ["z" * most], 1)


TEXTS = ["a", "the a", "bc", " the ", "a the"]


@pytest.mark.parametrize("batch_size", [1, 4])
def test_odds_are_sums_over_pieces(recognizer, batch_size):
    found = tl.transcript_odds(recognizer, SOUNDS[:2], TEXTS, 1, batch_size)
    assert found.shape == (2, 5) and (found < 0).all()
    for sound, row in zip(SOUNDS, found, strict=False):
        heard = recognizer.spectrograms([sound], 1)
        for text, odds in zip(TEXTS, row, strict=True):
            pieces = recognizer.numbers(" " + text.strip())
            after = log_odds(recognizer, heard, [*recognizer.prompt, *pieces])[1:]
            total = sum(after[n, piece] for n, piece in enumerate(pieces))
            assert odds == pytest.approx(total, abs=1e-3)
    assert tl.transcript_odds(recognizer, [], TEXTS, 1).shape == (0, 5)


@pytest.mark.parametrize(
    ("call", "says"),
    [(lambda r: tl.transcript_odds(r, SOUNDS, "a", 1), "`texts` must be a list"),
     (lambda r: tl.transcript_odds(r, SOUNDS, [], 1), "one text or more"),
     (lambda r: tl.transcript_odds(r, SOUNDS, ["a", " "], 1), "none of them empty"),
     (lambda r: tl.transcribe(r, SOUNDS, 1, 0), "`length`"),
     (lambda r: tl.transcribe(r, SOUNDS, 1, batch_size=0), "`batch_size`"),
     (lambda r: tl.transcribe(r, SOUNDS, 9), "`seconds`")],
)  # fmt: skip
def test_bad_settings_are_refused(recognizer, call, says):
    with pytest.raises(ValueError, match=says):
        call(recognizer)


# The pieces that CTranslate2 4.8.5 writes with the same file (ctranslate2.models.Whisper, float32,
# features of faster-whisper 1.2.1, prompt 50257 50362, beam_size=1, suppress_blank=False,
# suppress_tokens=[]) for the clips of `speech-clips`; with its usual settings it writes the same.
REFERENCE = {
    "en/counting": [352, 12, 17, 12, 27712, 12, 3134, 4531, 940, 13],
    "en/hello_world": [18435, 995, 13],
    "en/quick_brown_fox": [383, 2068, 7586, 21831, 18045, 625, 262, 16931, 3290, 13],
    "es/conteo": [791, 78, 288, 455, 411, 18912, 47756, 269, 259, 1073, 384, 271, 269, 1155, 68,
                  267, 354, 261, 518, 303, 2566, 14064, 746, 13],
    "es/hola_mundo": [4889, 1703, 917, 78, 13],
    "es/pangrama": [314, 1101, 2574, 6667, 418, 5921, 979, 282, 3839, 11, 290, 7062, 284, 262, 717,
                    4471, 286, 262, 2159, 338, 2159, 338, 2159, 338],  # and so on: a loop
}  # fmt: skip


@pytest.mark.network
def test_the_real_one_writes_the_pieces_of_the_reference():
    from scipy.io import wavfile

    recognizer, folder = tl.load_speech_recognizer(), tl.fetch("speech-clips")
    assert recognizer.model.count_params() == 37_760_256
    sounds = []
    for name in REFERENCE:
        with pytest.warns(wavfile.WavFileWarning, match="not understood"):
            rate, sound = wavfile.read(folder / f"{name}.wav")
        assert rate == 16_000
        sounds.append(sound)
    assert decode_greedily(recognizer, sounds, length=24) == list(REFERENCE.values())
