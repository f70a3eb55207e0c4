"""A Whisper out of a file is the network that was written; bad files and bad sounds are said."""

import tlhelpers as tl
from tlhelpers.sources import language_models

import numpy as np
import pytest
from whisper_files import MARKS, PIECES, arrays_of, build, write_recognizer, write_tokenizer

pytest.importorskip("keras_hub", reason="pip install 'tlhelpers[text]'")

OTHER = {"name": "", "trainable": None}


@pytest.fixture(scope="module")
def model():
    return build()


@pytest.fixture(scope="module")
def recognizer(tmp_path_factory, model):
    return tl.load_speech_recognizer(write_recognizer(tmp_path_factory.mktemp("w") / "w", model))


@pytest.mark.parametrize("kind", ["float16", "float32"])
def test_every_weight_of_the_file_is_in_the_network_bit_by_bit(kind, model, tmp_path, capsys):
    found = tl.load_speech_recognizer(write_recognizer(tmp_path / "mine", model, kind))
    assert capsys.readouterr().out == "mine: a folder\n"
    for one, two in zip(model.weights, found.model.weights, strict=True):
        assert one.path.split("/")[1:] == two.path.split("/")[1:]
        np.testing.assert_array_equal(one.numpy().astype(kind).astype("f4"), two.numpy())
    assert found.model.get_config() | OTHER == model.get_config() | OTHER
    assert not found.model.trainable_variables and not found.encoder.trainable_variables
    assert repr(found).startswith("SpeechRecognizer(mine: 0.0 million weights")


def test_the_encoder_is_the_first_half_and_takes_shorter_windows(recognizer):
    x = np.random.default_rng(0).normal(size=(2, 60, 80)).astype("f4")
    inputs = {"encoder_features": x, "decoder_token_ids": np.ones((2, 3), "i4"),
              "decoder_padding_mask": np.ones((2, 3), "i4")}  # fmt: skip
    whole = recognizer.model.predict(inputs, verbose=0)["encoder_sequence_output"]
    np.testing.assert_allclose(recognizer.encoder.predict(x, verbose=0), whole, atol=1e-5)
    assert whole.shape == (2, 30, 16)
    assert recognizer.encoder.get_layer("encoder_position_embedding") is (
        recognizer.model.get_layer("encoder_position_embedding")
    )


def test_random_weights_are_another_network_with_the_same_tokenizer(model, tmp_path, capsys):
    folder = write_recognizer(tmp_path / "mine", model)
    other = tl.load_speech_recognizer(folder, weights=None)
    assert capsys.readouterr().out == "mine: random weights\n"
    kernel = other.model.encoder_conv_layer_2.kernel
    assert np.abs(kernel - model.encoder_conv_layer_2.kernel).max() > 0.1
    assert other.numbers(" a the") and other.model.count_params() == model.count_params()


def test_texts_are_numbers_and_back(recognizer):
    assert recognizer.numbers("the a") == [PIECES.index("the"), PIECES.index("Ġa")]
    for text in ("the a", "Zwölf привет 🎬", "一二三"):
        assert recognizer.text(recognizer.numbers(" " + text)) == text
    assert recognizer.numbers("") == [] and recognizer.text([]) == ""
    start, mute = PIECES.index("<|startoftranscript|>"), PIECES.index("<|notimestamps|>")
    assert recognizer.prompt == (start, mute) and recognizer.end == PIECES.index("<|endoftext|>")
    assert recognizer.text([start, mute, *recognizer.numbers(" the"), recognizer.end]) == "the"


def test_merges_may_be_pairs(model, tmp_path):
    folder = write_recognizer(tmp_path / "mine", model)
    write_tokenizer(folder / "tokenizer.json", pairs=True)
    assert tl.load_speech_recognizer(folder).numbers("the") == [PIECES.index("the")]


def test_a_network_of_many_languages_is_told_which(tmp_path):
    big = build(vocabulary_size=51_865, num_layers=1, hidden_dim=4, intermediate_dim=4)
    folder = write_recognizer(tmp_path / "many", big)
    numbers = [PIECES.index(f"<|{mark}|>")
               for mark in ("startoftranscript", "en", "transcribe", "notimestamps")]  # fmt: skip
    assert tl.load_speech_recognizer(folder).prompt == tuple(numbers)
    with pytest.raises(ValueError, match=r"`language` must be one that.*'fr'.*Known: 'en'"):
        tl.load_speech_recognizer(folder, language="fr")


def log_mel(wave, model):
    """Compute Whisper's spectrogram slowly: windows of 400 samples, every 160."""
    import keras_hub

    filters = keras_hub.layers.WhisperAudioConverter(max_audio_length=1).mel_filters
    wave = np.pad(wave.astype("f8"), 200, mode="reflect")
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    frames = [wave[at : at + 400] * hann for at in range(0, len(wave) - 400, 160)]
    power = np.abs(np.fft.rfft(frames)) ** 2 @ filters
    logs = np.log10(np.maximum(power, 1e-10))
    return (np.maximum(logs, logs.max() - 8) + 4) / 4


def test_spectrograms_are_log_mel_of_sounds_filled_up_with_silence(recognizer, model):
    rng = np.random.default_rng(0)
    sounds = [rng.uniform(-0.5, 0.5, n).astype("f4") for n in (160, 16_000, 9_000)]
    found = recognizer.spectrograms(sounds, seconds=1)
    assert found.shape == (3, 100, 80) and found.dtype == np.float32
    for one, sound in zip(found, sounds, strict=True):
        wave = np.pad(sound, (0, 16_000 - len(sound)))
        np.testing.assert_allclose(one, log_mel(wave, model), atol=2e-4)
    many = recognizer.spectrograms(sounds * 7, seconds=1)  # more than go at once
    np.testing.assert_array_equal(many[18:], found)
    assert recognizer.spectrograms([], seconds=2).shape == (0, 200, 80)
    silent = recognizer.spectrograms([np.zeros(5)], seconds=1)
    assert np.isfinite(silent).all() and np.ptp(silent) == 0


SOUND = np.zeros(1600, "f4")
BAD_SOUNDS = {
    "alone": (SOUND, r"must be a list of sounds.*\[sound\]"),
    "stereo": ([SOUND, np.zeros((2, 1600), "f4")], r"sounds\[1\] with shape \(2, 1600\).*mean"),
    "whole numbers": ([SOUND.astype("i2")], r"sounds\[0\] with shape.*int16.*divide 16-bit"),
    "empty": ([SOUND[:0]], r"sounds\[0\] with shape \(0,\)"),
    "ten minutes": ([np.zeros(9_600_000, "f4")], "600.0 seconds.*Cut it into parts of 1 seconds"),
    "no number": ([SOUND + np.nan], "samples up to nan.*no number"),
    "infinite": ([SOUND + np.inf], "samples up to inf"),
    "the scale of 16 bits": ([SOUND + 20_000], r"samples up to 2e\+04.*divide"),
}


@pytest.mark.parametrize("name", BAD_SOUNDS)
def test_what_is_no_sound_is_refused(recognizer, name):
    sounds, says = BAD_SOUNDS[name]
    for call in (recognizer.spectrograms, lambda *a: tl.transcribe(recognizer, *a)):
        with pytest.raises(ValueError, match=says):
            call(sounds, 1)


@pytest.mark.parametrize("seconds", [0, 3, 1.5, True])
def test_a_window_out_of_range_is_refused(recognizer, seconds):
    with pytest.raises(ValueError, match=r"`seconds` must be a whole number between 1 and 2"):
        recognizer.spectrograms([SOUND], seconds)


AT = "encoder/layer_1/"
BAD_FILES = {
    "a part lacks": ({f"{AT}ffn/linear_0/weight": None}, r"layer_1/ffn/linear_0/weight.*none"),
    "another shape": ({f"{AT}ffn/linear_0/weight": np.zeros((24, 15), "f2")},
                      r"of shape \(24, 16\).*shape \(24, 15\)"),
    "a part too many": ({"encoder/extra/bias": np.zeros(3, "f2")}, "no others.*encoder/extra"),
    "eight bits": ({f"{AT}ffn/linear_1/weight": np.zeros((16, 24), "i1")}, "float16.*in int8"),
    "keys with a bias": ({f"{AT}self_attention/linear_0/bias": np.ones(48, "f2")},
                         "keys without a bias"),
    "a tanh": ({"decoder/activation": np.int8(1)}, "'decoder/activation' of 3.*1"),
    "no heads": ({"encoder/num_heads": np.int16(0)}, "of the same sizes"),
    "heads that don't fit": ({f"{side}/num_heads": np.int16(3) for side in ("encoder", "decoder")},
                             "of the same sizes"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_file_that_does_not_fit_is_refused_by_name(name, model, tmp_path):
    changes, says = BAD_FILES[name]
    folder = write_recognizer(tmp_path / "bad", model, **changes)
    with pytest.raises(ValueError, match=says) as error:
        tl.load_speech_recognizer(folder)
    assert "model.bin" in str(error.value) and "Download it again" in str(error.value)


def test_another_kind_of_network_is_refused(model, tmp_path):
    from whisper_files import write_ctranslate2

    folder = write_recognizer(tmp_path / "bad", model)
    write_ctranslate2(folder / "model.bin", arrays_of(model), kind="TransformerSpec")
    with pytest.raises(ValueError, match=r"of the kind 'WhisperSpec'.*'TransformerSpec'"):
        tl.load_speech_recognizer(folder)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"model": {"vocab": {}, "merges": []}}'])
def test_another_tokenizer_is_refused_by_name(content, model, tmp_path):
    folder = write_recognizer(tmp_path / "bad", model)
    (folder / "tokenizer.json").write_text(content)
    with pytest.raises(ValueError, match=r"tokenizer\.json of a Whisper.*tokenizer\.json"):
        tl.load_speech_recognizer(folder)
    write_tokenizer(folder / "tokenizer.json", added_tokens=[{"content": MARKS[0], "id": 259}])
    with pytest.raises(ValueError, match=r"tokenizer\.json of a Whisper.*startoftranscript"):
        tl.load_speech_recognizer(folder)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ValueError, match=r"tokenizer\.json of a Whisper.*FileNotFound"):
        tl.load_speech_recognizer(folder)


def test_a_tokenizer_with_more_pieces_than_the_network_is_refused(tmp_path):
    folder = write_recognizer(tmp_path / "small", build(vocabulary_size=200))
    with pytest.raises(ValueError, match=r"tokenizer fits its network.*small.*network of 200"):
        tl.load_speech_recognizer(folder)


@pytest.mark.parametrize(
    ("name", "says"),
    [(7, "`name` must be 'whisper-tiny-en'.*name=7"),
     ("whisper-tiny", "Did you mean 'whisper-tiny-en'"),
     ("nowhere/at/all", "`name` must be 'whisper-tiny-en'")],
)  # fmt: skip
def test_unknown_names_are_refused(name, says):
    with pytest.raises(ValueError, match=says):
        tl.load_speech_recognizer(name)
    with pytest.raises(ValueError, match="`weights` must be one of"):
        tl.load_speech_recognizer(weights="imagenet")


def test_a_preset_of_keras_hub_comes_by_the_same_call(model, recognizer, tmp_path, monkeypatch):
    model.save_to_preset(tmp_path / "mine")
    recognizer.tokenizer.save_to_preset(tmp_path / "mine")
    found = tl.load_speech_recognizer(tmp_path / "mine")
    x = recognizer.spectrograms([np.ones(1600) / 2], seconds=1)
    ours, theirs = (one.predict(x, verbose=0) for one in (recognizer.encoder, found.encoder))
    np.testing.assert_allclose(ours, theirs, atol=0.05)  # of 16 bits and of 32
    assert (found.prompt, found.end) == (recognizer.prompt, recognizer.end)
    assert found.origin == "folder mine" and found.text(found.numbers(" the a")) == "the a"
    with pytest.raises(ValueError, match="Whisper that KerasHub can load"):
        tl.load_speech_recognizer(tmp_path)
    monkeypatch.setattr(language_models, "is_reachable", lambda host: False)
    with pytest.raises(
        ValueError, match=r"whisper_tiny_en.*does not answer.*Use 'whisper-tiny-en'"
    ):
        tl.load_speech_recognizer("whisper_tiny_en")
