"""A data set in many files: which they are, and one of them as arrays."""

import io
import os
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tlhelpers.sources.class_folders import is_visible
from tlhelpers.sources.pictures import SUFFIXES, decode_picture

import numpy as np

_IMAGES = ("image", "x", "img", "jpg", "png", "image/encoded", "features")
_TAR_END = 1024  # bytes, all zero
_LABELS = ("label", "y", "labels", "cls", "image/class/label")


def list_shards(shards: str | os.PathLike | Iterable) -> list[Path]:
    """Return the files of a data set in order: those in a folder by name, or a list as it is.

    Hidden files, and files of another kind, are left out of a folder.

    Args:
        shards: a folder, a file, or a list of files: .npy, .npz, .parquet, .tar (WebDataset), or
            .tfrecord (also `name.tfrecord-00000-of-00010`).

    Raises:
        ValueError: no such file in the folder; a file that is none, is named twice, or is of
            another kind.

    Example:
        >>> np.save("train-0.npy", x_train)
        >>> [file.name for file in list_shards(".")]
        ['train-0.npy']
    """
    required = f"`shards` must be a folder or a list of files ({' '.join(_READERS)})."
    if isinstance(shards, str | os.PathLike):
        folder = Path(shards)
        files = [folder]
        if not folder.is_file():
            inside = sorted(folder.iterdir()) if folder.is_dir() else []
            files = [file for file in inside if is_visible(file.name) and _kind(file) in _READERS]
    else:
        files = [Path(file) for file in shards]
    wrong = [file for file in files if not file.is_file() or _kind(file) not in _READERS]
    twice = [file for file, count in Counter(files).items() if count > 1]
    if not files or wrong or twice:
        received = str((wrong + twice)[0]) if files else f"{shards}, without any"
        received += ", twice" if twice and not wrong else ""
        raise ValueError(f"{required} Received: {received}. Name each file that is there once.")
    return files


def read_shard(
    path: Path, size: tuple[int, int] | None = None, fit: str = "crop"
) -> tuple[np.ndarray, np.ndarray | None]:
    """Read one file of a data set.

    - .npy: inputs `(n, ...)`, read from the disk as they are used.
    - .npz: inputs `x`, and labels `y` if it has them.
    - .parquet: a column of pictures (their bytes, alone or as Hugging Face's `{bytes, path}`),
      of tensors or of lists of numbers, called image, img, jpg, png, x or features; labels in
      label, labels, y or cls.
    - .tar: a WebDataset: a picture `KEY.jpg` (or another kind) and its label `KEY.cls`.
    - .tfrecord: `tf.train.Example`s, as TensorFlow Datasets writes them: the names of Parquet, or
      image/encoded and image/class/label.

    Args:
        path: of the file.
        size, fit: of pictures, as for `load_picture`. Arrays stay as they are.

    Returns:
        Inputs `(n, ...)` and labels `(n, ...)`, or None where the file has none.

    Raises:
        ValueError: a damaged file; pictures of several sizes without `size`; a picture without a
            label beside others with one; no inputs under a known name.

    Example:
        >>> np.savez("train-0.npz", x=x_train, y=y_train)
        >>> images, labels = read_shard(Path("train-0.npz"))
        >>> images.shape, labels.shape
        ((12, 12, 12, 3), (12,))
    """
    import tensorflow as tf

    broken = (OSError, EOFError, ValueError, KeyError, tarfile.TarError, zipfile.BadZipFile)
    try:
        x, y = _READERS[_kind(path)](path, size, fit)
        if y is not None and len(y) != len(x):
            raise ValueError(f"{len(x)} inputs, {len(y)} labels")
        return x, y
    except (*broken, tf.errors.OpError) as error:  # pyarrow's errors are ValueError or OSError
        reason = str(error).rstrip(".")
        raise ValueError(
            f"`shards` must be whole files of inputs. Received: {path}: {reason}. Write it again, "
            "or take it away."
        ) from error


def _kind(path: Path) -> str:
    return ".tfrecord" if ".tfrecord" in path.name else path.suffix.lower()


def _read_npy(path: Path, size, fit):
    return np.load(path, mmap_mode="r", allow_pickle=False), None


def _read_npz(path: Path, size, fit):
    with np.load(path, allow_pickle=False) as arrays:
        return arrays[_first(_IMAGES, arrays)], _labels(arrays)


def _labels(arrays):
    name = next((name for name in _LABELS if name in arrays), None)
    return None if name is None else arrays[name]


def _read_parquet(path: Path, size, fit):
    from pyarrow import parquet

    names = parquet.read_schema(path).names
    wanted = [_first(_IMAGES, names), *[name for name in _LABELS if name in names][:1]]
    x, *rest = map(column_to_array, parquet.read_table(path, columns=wanted).columns)
    if x.dtype == object:
        pictures = [one["bytes"] if isinstance(one, dict) else one for one in x]
        x = _stack(pictures, [f"row {n}" for n in range(len(x))], size, fit)
    return x, rest[0] if rest else None


def column_to_array(column) -> np.ndarray:
    """Return a column of an Arrow table: tensors or lists as `(n, ...)`, bytes as objects."""
    import pyarrow as pa

    if isinstance(column.type, pa.FixedShapeTensorType):
        chunks = [chunk.to_numpy_ndarray() for chunk in column.chunks]
        return np.concatenate(chunks) if chunks else np.empty((0, *column.type.shape))
    if pa.types.is_struct(column.type) or pa.types.is_binary(column.type):
        return np.array([*column.to_pylist(), None], object)[:-1]  # never taken for a table
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return column.to_numpy()
    return np.array(column.to_pylist())


def _read_tar(path: Path, size, fit):
    pictures: dict[str, tuple[str, bytes]] = {}
    labels: dict[str, str] = {}
    with path.open("rb") as file:
        file.seek(-min(_TAR_END, path.stat().st_size), os.SEEK_END)
        if file.read().strip(b"\0"):  # tarfile takes what is left of it for the whole
            raise ValueError("cut off: no two empty blocks at its end.")
    with tarfile.open(path) as archive:
        for member in archive:
            folder, _, name = member.name.rpartition("/")
            stem, _, ending = name.partition(".")
            content = archive.extractfile(member)
            if content is None or not is_visible(name):
                continue
            key = f"{folder}/{stem}"
            if f".{ending.lower()}" in SUFFIXES:
                pictures[key] = member.name, content.read()
            elif ending == "cls":
                labels[key] = content.read().decode().strip()
    names, contents = zip(*pictures.values(), strict=True) if pictures else ((), ())
    lacking = [name for key, (name, _) in pictures.items() if labels and key not in labels]
    if lacking:
        raise ValueError(f"{lacking[0]} without its label")
    x = _stack(contents, names, size, fit)
    return x, _numbers([labels[key] for key in pictures]) if labels else None


def _numbers(texts: list[str]) -> np.ndarray:
    try:
        return np.array([int(text) for text in texts])
    except ValueError:
        return np.array(texts)


def _read_tfrecord(path: Path, size, fit):
    import tensorflow as tf

    inputs, labels = [], []
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        fields = tf.train.Example.FromString(record).features.feature
        inputs.append(_values(fields[_first(_IMAGES, fields)]))
        label = _labels(fields)
        labels += [] if label is None else [_values(label)]
    y = np.array([label.decode() if isinstance(label, bytes) else label for label in labels])
    if inputs and isinstance(inputs[0], bytes):
        return _stack(inputs, [f"record {n}" for n in range(len(inputs))], size, fit), _or_none(y)
    return np.array(inputs), _or_none(y)


def _or_none(labels: np.ndarray) -> np.ndarray | None:
    return labels if len(labels) else None


def _values(feature):
    """Return what one field of an Example holds: bytes, a number, or several numbers."""
    values = getattr(feature, feature.WhichOneof("kind")).value
    return values[0] if len(values) == 1 else list(values)


def _stack(pictures, names, size, fit) -> np.ndarray:
    if not len(pictures):
        raise ValueError("no pictures.")
    images = [
        decode_picture(io.BytesIO(picture), size, fit, name)
        for picture, name in zip(pictures, names, strict=True)
    ]
    if len({image.shape for image in images}) > 1:
        raise ValueError("pictures of several sizes. Say which one they get: size=(160, 160).")
    return np.stack(images)


def _first(names, known) -> str:
    for name in names:
        if name in known:
            return name
    raise ValueError(f"nothing called {', '.join(names)}, but {', '.join(known) or 'nothing'}.")


_READERS = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".parquet": _read_parquet,
    ".tar": _read_tar,
    ".tfrecord": _read_tfrecord,
}
