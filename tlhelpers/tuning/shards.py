"""The features of a data set in many files: file by file, on many cores or a Ray cluster."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from operator import methodcaller
from pathlib import Path

from tlhelpers.checks.files import write_atomically
from tlhelpers.checks.words import check_choice, check_whole
from tlhelpers.sources.pictures import FITS, check_size
from tlhelpers.sources.shards import list_shards
from tlhelpers.tuning.features import digest_model, with_preprocessing
from tlhelpers.tuning.on_cores import run_on_cores
from tlhelpers.tuning.shard_work import FORMATS, ShardWork, read_features

import keras
import numpy as np
from numpy.lib.format import open_memmap


@dataclass(frozen=True)
class FeatureShards:
    """Features in files, in the order of their shards: what `extract_shards` returns.

    `len` counts the rows. Going through it gives `(features, labels)` of one shard at a time, or
    `features` alone where there are no labels.

    Attributes:
        folder: where the files lie, with `manifest.json`.
        files: their names, in the order of the shards.
        rows: how many each has.
        labelled: whether they have labels.
        made: how many of them this call computed; the others were there.

    Example:
        >>> np.savez("train-0.npz", x=x_train, y=y_train)
        >>> shards = tl.extract_shards(base, ["train-0.npz"], "features")
        >>> for features, labels in shards:
        ...     print(features.shape, labels.shape)
        (12, 8, 8, 5) (12,)
        >>> len(shards), shards.rows, shards.made
        (12, (12,), 1)
    """

    folder: Path
    files: tuple[str, ...]
    rows: tuple[int, ...]
    labelled: bool
    made: int

    def __len__(self) -> int:
        return sum(self.rows)

    def __iter__(self) -> Iterator:
        for file in self.files:
            features, labels = read_features(self.folder / file)
            yield (features, labels) if self.labelled else features

    def load(self):
        """Return all features as one array `(n, ...)`, with the labels beside them if there are.

        The array is a file in `folder`, memory-mapped and read-only, written a shard at a time: it
        may be larger than the memory. A second call opens it.

        Raises:
            ValueError: shards whose features have several shapes.

        Example:
            >>> np.savez("train-0.npz", x=x_train, y=y_train)
            >>> features, labels = tl.extract_shards(base, ["train-0.npz"], "features").load()
            >>> features.shape, labels.shape
            ((12, 8, 8, 5), (12,))
        """
        key = hashlib.blake2b(repr(self.files).encode(), digest_size=16).hexdigest()
        whole = self.folder / f"all.{key}.npy"
        labels = [labels for _, labels in self] if self.labelled else []
        if not whole.exists():
            part = whole.with_suffix(".part")
            self._join(part)
            os.replace(part, whole)
        features = open_memmap(whole, "r")
        return (features, np.concatenate(labels)) if self.labelled else features

    def _join(self, part: Path) -> None:
        begin = 0
        for file in self.files:
            features, _ = read_features(self.folder / file)
            if begin == 0:
                joined = open_memmap(part, "w+", features.dtype, (len(self), *features.shape[1:]))
            if features.shape[1:] != joined.shape[1:]:
                raise ValueError(
                    "`shards` must give features of one shape. Received: "
                    f"{joined.shape[1:]}, then {features.shape[1:]} in {file}. Say to which size "
                    "pictures are brought, size=(160, 160), or go through them shard by shard."
                )
            joined[begin : begin + len(features)] = features
            begin += len(features)
        joined.flush()


def extract_shards(
    model,
    shards,
    out: str | os.PathLike,
    *,
    batch_size: int = 64,
    format: str = "npy",
    workers: int = 1,
    cluster: str | None = None,
    size: tuple[int, int] | None = None,
    fit: str = "crop",
) -> FeatureShards:
    """Run a model over a data set in many files, and write the features of each into a file.

    Each file goes through `extract_features`, so its features are bit for bit what that returns,
    with one worker or many, here or on a cluster of processors of one kind. A worker holds the
    model and one shard in memory.

    A file of features carries a key of architecture, weights, settings and the shard's content. So
    the same call again computes what is missing, and nothing twice: after a kill, after new shards,
    after one has changed. Another model writes other files. `manifest.json` lists those of the last
    call.

    Args:
        model: a Keras model with one output; a bare backbone gets its preprocessing.
        shards: a folder, a file, or a list of files: .npy (inputs), .npz (`x`, and `y` if there are
            labels), .parquet, .tar (WebDataset) or .tfrecord. Pictures may be encoded in the last
            three, with a label beside each.
        out: a folder for the features.
        batch_size: inputs per step.
        format: "npy", which can be memory-mapped, with labels in a file beside; or "parquet", with
            columns `features` and `label`.
        workers: processes, each with its own model. On a cluster each takes one core.
        cluster: None for the cores of this computer. For Ray (`pip install 'tlhelpers[cluster]'`):
            "auto" for the cluster that this computer belongs to, its address, or "local" for one of
            this computer alone. Every node needs tlhelpers, and `shards` and `out` under the same
            path. A node that is lost loses nothing: its shards go to the others.
        size, fit: of encoded pictures, as for `load_picture`; None for the size of the model's
            input. Arrays stay as they are.

    Returns:
        A `FeatureShards`: go through it, or `load()` it as one array.

    Raises:
        ImportError: `cluster` without Ray.
        ValueError: no shards; one that is damaged or does not fit the model, by its name; labels in
            some shards only; a model with several outputs; a cluster with fewer cores than workers.

    Example:
        >>> np.savez("train-0.npz", x=x_train, y=y_train)
        >>> np.savez("train-1.npz", x=x_test, y=y_test)
        >>> shards = tl.extract_shards(base, ["train-0.npz", "train-1.npz"], "features")
        >>> len(shards), [features.shape for features, labels in shards]
        (18, [(12, 8, 8, 5), (6, 8, 8, 5)])
        >>> tl.extract_shards(base, ["train-0.npz", "train-1.npz"], "features").made
        0
    """
    from filelock import FileLock

    batch_size = check_whole("batch_size", batch_size, 1)
    workers = check_whole("workers", workers, 1)
    check_choice("format", format, FORMATS)
    check_choice("fit", fit, FITS)
    files = [file.absolute() for file in list_shards(shards)]
    model = with_preprocessing(model)
    if len(model.outputs) != 1:
        raise ValueError(
            f"`model` must have one output. Received: model={model.name!r} with "
            f"{len(model.outputs)}. Choose one: keras.Model(model.input, model.outputs[0])."
        )
    folder = _make_folder(out, files)
    size = _input_size(model) if size is None else check_size(size)
    digest = digest_model(model).hexdigest()
    work = ShardWork(digest, folder, batch_size, format, size, fit)
    with FileLock(folder / ".lock"):  # another call waits, and then finds what this one made
        for left in folder.glob("*.part"):  # by one that was killed
            left.unlink()
        rows = _run(work, model, files, workers, cluster)
        place = {str(file): number for number, file in enumerate(files)}
        rows.sort(key=lambda row: place[row["shard"]])
        manifest = json.dumps({"model": model.name, "shards": rows}, indent=1)
        write_atomically(folder / "manifest.json", methodcaller("write", manifest.encode()))
    return _as_shards(folder, rows)


def _make_folder(out, files: list[Path]) -> Path:
    folder = Path(out).absolute()
    if folder in {file.parent for file in files}:
        raise ValueError(
            f"`out` must be another folder than that of the shards. Received: out={str(out)!r}. "
            "Name a new one."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"`out` must be a folder to write in. Received: out={str(out)!r} ({error}). Name "
            "another one."
        ) from error
    return folder


def _input_size(model: keras.Model) -> tuple[int, int] | None:
    """Return the size of the images that a model takes, if it takes images of one size."""
    shape = model.inputs[0].shape
    return tuple(shape[1:3]) if len(shape) == 4 and None not in shape[1:3] else None


def _run(work: ShardWork, model: keras.Model, files: list[Path], workers: int, cluster) -> list:
    from tqdm import tqdm

    if cluster is None:
        done = run_on_cores(work, model, files, min(workers, len(files)))
    else:
        from tlhelpers.tuning.on_ray import run_on_ray

        done = run_on_ray(work, model, files, workers, cluster)
    with closing(done):  # ends the workers, whatever happens here
        bar = tqdm(done, f"shards through {model.name}", len(files), unit="shard", leave=False,
                   disable=None)  # fmt: skip
        return list(bar)


def _as_shards(folder: Path, rows: list[dict]) -> FeatureShards:
    with_labels = [row["shard"] for row in rows if row["labelled"]]
    if with_labels and len(with_labels) < len(rows):
        without = next(row["shard"] for row in rows if not row["labelled"])
        raise ValueError(
            f"`shards` must have labels in all files, or in none. Received: {with_labels[0]} with "
            f"labels, {without} without. Name those with labels in a call of their own."
        )
    return FeatureShards(
        folder,
        tuple(row["file"] for row in rows),
        tuple(row["rows"] for row in rows),
        bool(with_labels),
        sum(row["made"] for row in rows),
    )
