"""What is done with one shard, wherever that happens: its features into a file, once."""

import hashlib
import os
import socket
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path

from tlhelpers.models.inputs import read_inputs
from tlhelpers.sources.shards import column_to_array, read_shard
from tlhelpers.tuning.features import run_arrays

import keras
import numpy as np

FORMATS = ("npy", "parquet")
_ROWS_OF_A_GROUP = 1024


@dataclass(frozen=True)
class ShardWork:
    """What every shard goes through. `model` is the digest of architecture and weights."""

    model: str
    out: Path
    batch_size: int
    format: str
    size: tuple[int, int] | None
    fit: str

    def run(self, model: keras.Model, path: Path) -> dict:
        """Write the features of one shard, unless they are there; return what the manifest says.

        The file's name carries a key of model, settings and the shard's content. It appears when
        it is whole.
        """
        file = self.out / f"{path.name}.{self._key(path)}.{self.format}"
        made = not file.exists()
        if made:
            x, y = read_shard(path, self.size, self.fit)
            try:
                x = read_inputs(model, x)
            except ValueError as error:
                raise ValueError(f"{error} It is in {path}.") from error
            write_features(file, run_arrays(model, x, self.batch_size), y)
        rows, labelled = count_features(file)
        worker = f"{socket.gethostname()}:{os.getpid()}"
        return {"shard": str(path), "file": file.name, "rows": rows, "labelled": labelled,
                "made": made, "worker": worker}  # fmt: skip

    def _key(self, path: Path) -> str:
        try:
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "blake2b").hexdigest()
        except OSError as error:
            raise ValueError(
                f"`shards` must be files that every worker can read. Received: {path}: {error}. "
                "Put them where all of them see it under this path."
            ) from error
        settings = (self.model, content, self.batch_size, self.size, self.fit)
        return hashlib.blake2b(repr(settings).encode(), digest_size=16).hexdigest()


def write_features(file: Path, features: np.ndarray, labels: np.ndarray | None) -> None:
    """Write features and labels; a kill leaves no half file under that name.

    `.npy` holds the features alone, with the labels in a file beside it that is written before.
    """
    if file.suffix == ".npy":
        if labels is not None:
            _write_whole(_beside(file), lambda part: np.save(part, labels))
        _write_whole(file, lambda part: np.save(part, features))
        return
    import pyarrow as pa
    from pyarrow import parquet

    columns = {"features": features} | ({} if labels is None else {"label": labels})
    table = pa.table({name: _column(array) for name, array in columns.items()})
    _write_whole(
        file, lambda part: parquet.write_table(table, part, row_group_size=_ROWS_OF_A_GROUP)
    )


def read_features(file: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Return features (of a `.npy` file memory-mapped) and labels of one shard."""
    if file.suffix == ".npy":
        labels = np.load(_beside(file)) if _beside(file).exists() else None
        return np.load(file, mmap_mode="r"), labels
    from pyarrow import parquet

    features, *rest = map(column_to_array, parquet.read_table(file).columns)
    return features, rest[0] if rest else None


def count_features(file: Path) -> tuple[int, bool]:
    """Return the rows of a file, and whether it has labels, without reading them."""
    if file.suffix == ".npy":
        return len(np.load(file, mmap_mode="r")), _beside(file).exists()
    from pyarrow import parquet

    metadata = parquet.read_metadata(file)
    return metadata.num_rows, metadata.num_columns > 1


def pack_model(model: keras.Model) -> bytes:
    """Return a model as the bytes of a .keras file, which another process can open."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.keras"
        model.save(file)
        return file.read_bytes()


def unpack_model(packed: bytes, threads: int) -> keras.Model:
    """Open a packed model in a fresh process, which then computes on so many threads."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.keras"
        file.write_bytes(packed)
        return keras.saving.load_model(file, compile=False, safe_mode=False)  # it is the caller's


def _beside(file: Path) -> Path:
    return file.with_suffix(".labels.npy")


def _write_whole(file: Path, write) -> None:
    """Write under a name of this process: a worker that is given up may still be writing."""
    part = file.with_name(f"{file.name}.{uuid.uuid4().hex}.part")
    with part.open("wb") as stream:
        write(stream)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(part, file)


def _column(array: np.ndarray):
    import pyarrow as pa

    if array.ndim == 1:
        return pa.array(array)
    return pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(array))
