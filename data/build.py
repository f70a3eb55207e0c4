"""Build the small data sets of this folder from their sources, or check them.

    python data/build.py --fashion-mnist FOLDER   # the four idx .gz files (Debian package
                                                  # dataset-fashion-mnist, or the official ones)
    python data/build.py --mnist FOLDER           # a prepared TFDS folder: .../mnist/3.0.1
    python data/build.py --spoken-digits          # with Debian's package espeak-ng
    python data/build.py --spoken-sentences       # the same
    python data/build.py --check                  # the committed files against catalog.toml

The same source gives the same bytes.
"""

import argparse
import gzip
import hashlib
import io
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from itertools import product
from math import gcd
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
SIZES = {"fashion_mnist": (8_000, 2_000), "mnist": (12_000, 3_000)}
RATE = 8_000  # samples a second, as in the Free Spoken Digit Dataset
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SPEAKERS = ("f1", "f2", "f3", "f4", "f5", "m1", "m2", "m3", "m4", "m5", "m6", "m7")  # of espeak-ng
ACCENTS = (  # each with a pace (words a minute) and a pitch (0..99) of its own
    ("en", 150, 50), ("en-us", 165, 44), ("en-gb-scotland", 180, 56), ("en-gb-x-gbclan", 170, 38),
    ("en-gb-x-rp", 160, 62), ("en-gb-x-gbcwmd", 190, 47), ("en-029", 175, 53),
    ("en-us-nyc", 155, 41),
)  # fmt: skip
VOICES = (("f2", "en-us", 150, 50), ("m3", "en-gb-x-rp", 150, 45))  # of the sentences, in turn
SENTENCES = (
    "The old woman opened the door and looked out into the garden.",
    "Please bring me a cup of tea and some bread.",
    "We walked along the river until it was dark.",
    "My brother works in a small hospital near the sea.",
    "The train to the city leaves early in the morning.",
    "She put the letter on the table and went to bed.",
    "There is a big tree behind the house of my parents.",
    "Can you tell me the way to the next station?",
    "He has read this book many times since last winter.",
    "The children are playing football in the street.",
    "I would like to see the doctor on Monday.",
    "It was raining all day, so we stayed at home.",
    "Turn left at the church and follow the road.",
    "The dog is sleeping under the kitchen table.",
    "They have sold their car and bought two bicycles.",
    "Our teacher asked us to write a short story.",
    "The market is open every day but Sunday.",
    "A young man was waiting for her in front of the school.",
    "You must close all windows before you leave.",
    "The moon is very bright tonight.",
    "I have forgotten where I put my keys.",
    "Her father told us about the war and the long winter.",
    "The farmer gave the horses water and fresh grass.",
    "In summer we often eat fish by the lake.",
)


def read_idx(path: Path) -> np.ndarray:
    """Read one gzipped idx file: two zero bytes, type 8, number of axes, the axes, the bytes."""
    with gzip.open(path) as file:
        zero, kind, axes = file.read(2), file.read(1), file.read(1)[0]
        if zero != b"\0\0" or kind != b"\x08":
            raise ValueError(f"`path` must be an idx file of bytes. Received: path={path.name}.")
        shape = np.frombuffer(file.read(4 * axes), ">u4")
        return np.frombuffer(file.read(), "uint8").reshape(shape)


def read_idx_folder(folder: Path) -> dict[str, np.ndarray]:
    """Read the official train and test split."""
    names = {"train": "train", "test": "t10k"}
    return {
        f"{axis}_{split}": read_idx(folder / f"{name}-{what}-ubyte.gz")
        for split, name in names.items()
        for axis, what in (("x", "images-idx3"), ("y", "labels-idx1"))
    }


def read_tfds_folder(folder: Path) -> dict[str, np.ndarray]:
    """Read both splits of a prepared TFDS folder of pictures."""
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(str(folder))
    arrays = {}
    for split in ("train", "test"):
        part = tfds.as_numpy(builder.as_dataset(split=split, batch_size=-1))
        arrays[f"x_{split}"] = part["image"]
        arrays[f"y_{split}"] = part["label"].astype("uint8")
    return arrays


def take(x: np.ndarray, y: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Take the first `size` samples that leave every class equally often, in their order."""
    per_class = size // len(np.unique(y))
    chosen = np.sort(np.concatenate([np.flatnonzero(y == c)[:per_class] for c in np.unique(y)]))
    return x[chosen], y[chosen]


def write_npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write a compressed .npz without the clock in it."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.ascontiguousarray(array), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, buffer.getvalue(), zipfile.ZIP_DEFLATED, compresslevel=9)


def build(name: str, arrays: dict[str, np.ndarray]) -> None:
    """Write one file and print what belongs into catalog.toml."""
    small = {}
    for split, size in zip(("train", "test"), SIZES[name], strict=True):
        small[f"x_{split}"], small[f"y_{split}"] = take(
            arrays[f"x_{split}"], arrays[f"y_{split}"], size
        )
    path = HERE / f"{name}.npz"
    write_npz(path, small)
    print(f"{path.name}: size = {path.stat().st_size}, sha256 = {sha256(path)!r}")


def speak(word: str, speaker: str, accent: str, pace: int, pitch: int) -> np.ndarray:
    """Let espeak-ng speak a word; return it at 8,000 Hz, peak 1, without silence at its ends."""
    from scipy.io import wavfile
    from scipy.signal import resample_poly

    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/word.wav"
        voice = ["-v", f"{accent}+{speaker}", "-s", str(pace), "-p", str(pitch)]
        subprocess.run(["espeak-ng", *voice, "-w", file, word], check=True)
        rate, wave = wavfile.read(file)
    wave = resample_poly(wave.astype("float64"), RATE // gcd(RATE, rate), rate // gcd(RATE, rate))
    wave /= np.abs(wave).max()
    heard = np.flatnonzero(np.abs(wave) > 0.01)
    return wave[heard[0] : heard[-1] + 1]


def mu_law(wave: np.ndarray) -> np.ndarray:
    """Return a wave in -1..1 as uint8, in finer steps where it is quiet (ITU-T G.711, mu = 255)."""
    pressed = np.sign(wave) * np.log1p(255 * np.abs(wave)) / np.log(256)
    return np.round(127.5 * (pressed + 1)).astype("uint8")


def build_spoken_digits() -> None:
    """Write ten digits in 96 voices: twelve speakers, each in eight accents."""
    rows = list(product(range(len(SPEAKERS)), range(len(ACCENTS)), range(len(WORDS))))
    waves = [mu_law(speak(WORDS[word], SPEAKERS[s], *ACCENTS[a])) for s, a, word in rows]
    speaker, take, label = np.array(rows, "uint8").T
    lengths = np.array([len(wave) for wave in waves], "uint16")
    path = HERE / "spoken_digits.npz"
    write_npz(path, {
        "waves": np.concatenate(waves), "lengths": lengths, "y": label, "take": take,
        "speaker": np.array(SPEAKERS)[speaker],
    })  # fmt: skip
    print(f"{path.name}: size = {path.stat().st_size}, sha256 = {sha256(path)!r}")


def build_spoken_sentences() -> None:
    """Write our sentences, spoken by two voices in turn, with their texts."""
    waves = [mu_law(speak(text, *VOICES[n % 2])) for n, text in enumerate(SENTENCES)]
    path = HERE / "spoken_sentences.npz"
    lengths = np.array([len(wave) for wave in waves], "uint16")
    write_npz(path, {
        "waves": np.concatenate(waves), "lengths": lengths, "texts": np.array(SENTENCES),
    })  # fmt: skip
    print(f"{path.name}: size = {path.stat().st_size}, sha256 = {sha256(path)!r}")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check() -> bool:
    """Compare the committed files with the catalog."""
    catalog = tomllib.loads((HERE / "catalog.toml").read_text(encoding="utf-8"))
    good = True
    for name, entry in catalog.items():
        for file in entry["files"] if entry["kind"] == "stand-in" else ():
            same = sha256(HERE / file["name"]) == file["sha256"]
            good &= same
            print(f"{name}: {file['name']} {'as in the catalog' if same else 'DIFFERS'}")
    return good


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fashion-mnist", type=Path, metavar="FOLDER")
    parser.add_argument("--mnist", type=Path, metavar="FOLDER")
    parser.add_argument("--spoken-digits", action="store_true")
    parser.add_argument("--spoken-sentences", action="store_true")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    if args.fashion_mnist:
        build("fashion_mnist", read_idx_folder(args.fashion_mnist))
    if args.mnist:
        digits = read_tfds_folder(args.mnist)
        build("mnist", {name: a[..., 0] if a.ndim == 4 else a for name, a in digits.items()})
    if args.spoken_digits:
        build_spoken_digits()
    if args.spoken_sentences:
        build_spoken_sentences()
    return 0 if not args.check or check() else 1


if __name__ == "__main__":
    sys.exit(main())
