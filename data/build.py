"""Build the small image sets of this folder from their sources, or check them.

    python data/build.py --fashion-mnist FOLDER   # the four idx .gz files (Debian package
                                                  # dataset-fashion-mnist, or the official ones)
    python data/build.py --mnist FOLDER           # a prepared TFDS folder: .../mnist/3.0.1
    python data/build.py --check                  # the committed files against catalog.toml

The same source gives the same bytes.
"""

import argparse
import gzip
import hashlib
import io
import sys
import tomllib
import zipfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
SIZES = {"fashion_mnist": (8_000, 2_000), "mnist": (12_000, 3_000)}


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
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    if args.fashion_mnist:
        build("fashion_mnist", read_idx_folder(args.fashion_mnist))
    if args.mnist:
        digits = read_tfds_folder(args.mnist)
        build("mnist", {name: a[..., 0] if a.ndim == 4 else a for name, a in digits.items()})
    return 0 if not args.check or check() else 1


if __name__ == "__main__":
    sys.exit(main())
