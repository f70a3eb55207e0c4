"""Sounds from files of all kinds, from folders, and the spoken digits."""

import struct

import tlhelpers as tl
from tlhelpers.sources import sound_folders
from tlhelpers.sources.sounds import load_sound, prepare_sound
from tlhelpers.sources.spoken_digits import from_mu_law, load_spoken_digits

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import wavfile


def tone(rate=16_000, seconds=1.0, hertz=440):
    return np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)


def write_24_bits(path, wave, rate):
    """Write a WAV file of 24 bits, which scipy reads and doesn't write."""
    whole = np.round(wave * (2**23 - 1)).astype("<i4")
    data = whole.reshape(-1, 1).view("u1").reshape(-1, 4)[:, :3].tobytes()
    channels = 1 if wave.ndim == 1 else wave.shape[1]
    form = struct.pack("<HHIIHH", 1, channels, rate, rate * 3 * channels, 3 * channels, 24)
    size = 4 + 8 + len(form) + 8 + len(data)
    head = b"RIFF" + struct.pack("<I", size) + b"WAVEfmt " + struct.pack("<I", 16) + form
    path.write_bytes(head + b"data" + struct.pack("<I", len(data)) + data)


KINDS = {
    "u1": lambda wave: np.round(wave * 127 + 128).astype("uint8"),
    "i2": lambda wave: np.round(wave * 32_767).astype("int16"),
    "i4": lambda wave: np.round(wave * (2**31 - 1)).astype("int32"),
    "f4": lambda wave: wave.astype("float32"),
}


@pytest.mark.parametrize("kind", [*KINDS, "i3"])
@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_every_kind_and_rate_is_the_same_sound(kind, rate, tmp_path):
    wave, path = 0.5 * tone(rate), tmp_path / "a.wav"
    both = np.stack([wave * 0.6, wave * 1.4], axis=1)  # their mean is the wave
    if kind == "i3":
        write_24_bits(path, both, rate)
    else:
        wavfile.write(path, rate, KINDS[kind](both))
    found = load_sound(path, peak=None)
    assert found.dtype == np.float32 and found.shape == (16_000,)
    middle = slice(200, -200)  # a filter has its ends
    np.testing.assert_allclose(found[middle], 0.5 * tone()[middle], atol=0.012)
    assert np.abs(load_sound(path)).max() == pytest.approx(0.6)


def test_what_is_above_half_the_new_rate_is_filtered_out():
    high = prepare_sound(tone(44_100, hertz=12_000), 44_100, peak=None)
    assert np.abs(high[500:-500]).max() < 0.01


def test_short_ones_stand_in_the_middle_and_of_long_ones_the_loudest_stretch_is_kept(tmp_path):
    wavfile.write(tmp_path / "short.wav", 16_000, np.full(160, 9_000, "int16"))
    found = load_sound(tmp_path / "short.wav")
    assert np.flatnonzero(found)[[0, -1]].tolist() == [7_920, 8_079]
    long = np.zeros(600 * 8_000, "uint8") + np.uint8(128)
    long[400 * 8_000 : 401 * 8_000] = 255
    wavfile.write(tmp_path / "long.wav", 8_000, long)
    found = load_sound(tmp_path / "long.wav")
    assert found.shape == (16_000,) and np.mean(found > 0.5) > 0.98
    assert len(load_sound(tmp_path / "short.wav", seconds=None)) == 160
    wavfile.write(tmp_path / "silence.wav", 16_000, np.zeros(50, "int16"))
    silent = load_sound(tmp_path / "silence.wav")
    assert not silent.any() and np.isfinite(tl.log_mel(silent[None])).all()


@settings(max_examples=25)
@given(
    st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=300),
    st.integers(1_000, 768_000),
    st.floats(0.01, 2),
)
def test_any_wave_becomes_one_of_the_length_and_peak(samples, rate, seconds):
    wave = np.array(samples)
    found = prepare_sound(wave, rate, seconds)
    assert found.shape == (max(round(seconds * 16_000), 1),) and np.isfinite(found).all()
    assert not found.any() or np.abs(found).max() == pytest.approx(0.6, rel=1e-5)


@pytest.mark.parametrize("rate", [767_999, 59_999, 8_001])
def test_a_rate_without_a_common_divisor_is_met_within_a_thousandth_and_filters_stay_short(
    rate, monkeypatch
):
    from scipy import signal

    asked, resample = [], signal.resample_poly
    monkeypatch.setattr(
        signal, "resample_poly", lambda wave, *by: asked.append(by) or resample(wave, *by)
    )
    found = prepare_sound(0.5 * tone(rate, 0.2), rate, seconds=None, peak=None)
    ((up, down),) = asked
    assert up / down == pytest.approx(16_000 / rate, rel=1e-3) and max(up, down) <= 16_000
    there = np.arange(200, 3_000) * down / up / rate  # when each sample was heard
    np.testing.assert_allclose(found[200:3_000], 0.5 * np.sin(2 * np.pi * 440 * there), atol=2e-3)


def no_sound(path):
    path.write_bytes(b"ID3 this is no WAV file at all" * 20)


def cut(path):
    wavfile.write(path, 16_000, np.ones(16_000, "int16"))
    path.write_bytes(path.read_bytes()[:20_000])


def wrong_rate(path):
    wavfile.write(path, 3, np.ones(9, "int16"))


@pytest.mark.parametrize(("write", "said"), [
    (lambda path: None, "must be a sound's file"),
    (lambda path: path.write_bytes(b""), r"a\.wav"),
    (no_sound, r"a\.wav.*Save it again as WAV"),
    (cut, r"whole sound.*a\.wav: Reached EOF"),
    (wrong_rate, r"a\.wav: 3 samples a second"),
    (lambda path: wavfile.write(path, 16_000, np.array([], "int16")), r"a\.wav: no sample"),
    (lambda path: wavfile.write(path, 16_000, np.array([np.nan, 0.0], "float32")), "no number"),
])  # fmt: skip
def test_a_file_that_is_no_sound_is_named(write, said, tmp_path):
    write(tmp_path / "a.wav")
    with pytest.raises(ValueError, match=said):
        load_sound(tmp_path / "a.wav")


def test_bad_lengths_and_peaks_are_the_callers(tmp_path):
    wavfile.write(tmp_path / "a.wav", 16_000, np.ones(9, "int16"))
    with pytest.raises(ValueError, match=r"^`seconds` must be"):
        load_sound(tmp_path / "a.wav", seconds=0)
    with pytest.raises(ValueError, match=r"^`peak` must be"):
        load_sound(tmp_path / "a.wav", peak=2)
    (tmp_path / "`seconds`").mkdir()
    (tmp_path / "`seconds`" / "b.wav").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"^`path` must be a.*Save it again as WAV"):
        load_sound(tmp_path / "`seconds`" / "b.wav")


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("seconds", [0, float("nan"), float("inf"), None])
def test_a_bad_length_is_the_callers_also_of_a_folder(folder, seconds, skip):
    with pytest.raises(ValueError, match=r"^`seconds` must be a finite number.*Try 1\.0\.$"):
        tl.load_sounds(folder, seconds, skip_unreadable=skip)


def test_sounds_that_do_not_fit_into_memory_are_refused_before_they_are_read(folder, monkeypatch):
    monkeypatch.setattr(sound_folders, "load_sound", None)
    with pytest.raises(ValueError, match=r"24 sounds of 1e\+09 seconds.*fewer `seconds`\.$"):
        tl.load_sounds(folder, 1e9)


@pytest.fixture
def folder(tmp_path):
    for label, hertz in (("high", 900), ("low", 200)):
        (tmp_path / "beeps" / label).mkdir(parents=True)
        for number in range(12):
            wave = tone(8_000, 0.2 + number / 50, hertz + number)
            name = f"{'abcd'[number % 4]}_{number}.wav"
            wavfile.write(tmp_path / "beeps" / label / name, 8_000, wave.astype("float32"))
    return tmp_path / "beeps"


def test_folders_are_split_and_nobody_is_on_two_sides(folder):
    data = tl.load_sounds(folder, 0.8, 0.25, 0.25, lambda path: path.name[0], seed=1)
    assert data.x_train.shape[1:] == (12_800,) and data.class_names == ("high", "low")
    people = {part: [file.name[0] for file in files] for part, files in data.files.items()}
    tl.check_groups(**people)
    for part, files in data.files.items():
        x, y = getattr(data, f"x_{part}"), getattr(data, f"y_{part}")
        assert [data.class_names[label] for label in y] == [file.parent.name for file in files]
        np.testing.assert_array_equal(x[0], load_sound(files[0], 0.8))


def test_copies_stay_on_one_side(folder):
    for number in range(6):
        file = next(folder.glob(f"high/*_{number}.wav"))
        (folder / "high" / f"z{number}.wav").write_bytes(file.read_bytes())
    data = tl.load_sounds(folder, validation=0.2, test=0.3)
    side = {file: part for part, files in data.files.items() for file in files}
    for number in range(6):
        copy, first = folder / f"high/z{number}.wav", next(folder.glob(f"high/?_{number}.wav"))
        assert side[copy] == side[first]
    assert data.held_together == 12 and not data.in_two_classes
    assert repr(data).endswith("; equal to another, and on its side: 12")


def test_one_sound_in_two_classes_is_told(folder, capsys):
    (folder / "low" / "twin.wav").write_bytes((folder / "high" / "a_0.wav").read_bytes())
    data = tl.load_sounds(folder)
    assert [[path.name for path in twins] for twins in data.in_two_classes] == [
        ["a_0.wav", "twin.wav"]
    ]
    assert "in two classes: 1" in capsys.readouterr().out


def test_bad_folders_are_told(folder, tmp_path):
    (folder / "low" / "bad.wav").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"bad\.wav.*Or pass skip_unreadable=True"):
        tl.load_sounds(folder)
    assert "not readable: 1" in repr(tl.load_sounds(folder, skip_unreadable=True))
    (tmp_path / "none" / "yes").mkdir(parents=True)
    (tmp_path / "none" / "yes" / "1.mp3").write_bytes(b"ID3")
    with pytest.raises(ValueError, match=r"for each class.*with no sounds \(\.wav\).*yes/1\.wav"):
        tl.load_sounds(tmp_path / "none")


@pytest.fixture
def offline(monkeypatch, tmp_path):
    monkeypatch.setenv("TL_OFFLINE", "1")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))


def test_the_stand_in_is_called_synthetic(offline, capsys):
    digits = load_spoken_digits(takes=2)
    assert "stand-in, SYNTHETIC" in capsys.readouterr().out and digits.is_stand_in
    assert digits.waves.shape == (240, 16_000) and digits.waves.dtype == np.float32
    assert np.bincount(digits.y).tolist() == [24] * 10 and set(digits.take) == {0, 1}
    assert len(np.unique(digits.speaker)) == 12 and "12 synthetic speakers" in repr(digits)
    assert len({wave.tobytes() for wave in digits.waves}) == 240
    np.testing.assert_allclose(np.abs(digits.waves).max(axis=1), 0.6, rtol=1e-5)


def test_mu_law_keeps_a_wave_within_its_steps():
    wave = np.linspace(-1, 1, 999)
    pressed = np.sign(wave) * np.log1p(255 * np.abs(wave)) / np.log(256)
    found = from_mu_law(np.round(127.5 * (pressed + 1)).astype("uint8"))
    np.testing.assert_allclose(found, wave, atol=0.022)


def test_a_prepared_folder_is_read(offline, tmp_path, capsys):
    import tensorflow_datasets as tfds

    features = tfds.features.FeaturesDict({
        "audio": tfds.features.Audio(file_format="wav", sample_rate=8_000),
        "audio/filename": tfds.features.Text(),
        "label": tfds.features.ClassLabel(num_classes=10),
    })  # fmt: skip
    rows = [(f"{d}_{s}_{t}.wav", d, t) for d in range(10) for s in ("zoe", "ann") for t in (10, 2)]
    clips = [(name, {"audio": np.full(900 + take, 100 + 10 * digit), "audio/filename": name,
                     "label": digit}) for name, digit, take in rows]  # fmt: skip
    tfds.dataset_builders.store_as_tfds_dataset(
        name="spoken_digit", version="1.0.0", features=features,
        split_datasets={"train": clips}, data_dir=tmp_path,
    )  # fmt: skip
    digits = load_spoken_digits()
    assert "spoken_digit: prepared, TFDS_DATA_DIR" in capsys.readouterr().out
    assert len(digits) == 40 and not digits.is_stand_in and digits.speaker[0] == "ann"
    assert digits.take.tolist() == [2, 10] * 20 and digits.y[:4].tolist() == [0, 0, 1, 1]
    assert len(load_spoken_digits(takes=3)) == 20 and load_spoken_digits(1, True).is_stand_in
    next(tmp_path.glob("spoken_digit/*/*tfrecord*")).write_bytes(b"no")
    with pytest.raises(ValueError, match="spoken_digit must be whole"):
        load_spoken_digits()
