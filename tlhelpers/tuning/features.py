"""Run a frozen model over data once, and keep what comes out."""

import hashlib
import json
import mmap
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from operator import methodcaller
from pathlib import Path
from typing import Any

from tlhelpers.checks.data import count_samples
from tlhelpers.checks.devices import count_devices, scope_of
from tlhelpers.checks.features import to_numpy
from tlhelpers.checks.files import write_atomically
from tlhelpers.checks.words import check_whole
from tlhelpers.models.graph import Step, walk
from tlhelpers.models.inputs import read_inputs
from tlhelpers.models.preprocessing import images_of, preprocessing
from tlhelpers.tuning.batches import Batches, is_dataset

import keras
import numpy as np
from numpy.lib.format import open_memmap

_ROWS_BETWEEN_SAVES = 2048


def extract_features(model, x, y=None, batch_size: int = 64, cache=None):
    """Run a model over data once, in order, and return its outputs with the labels beside them.

    A bare backbone gets its preprocessing here; any other model is run as it is. Everything runs in
    inference mode: no dropout, no augmentation, no change of BatchNormalization statistics.

    Args:
        model: a Keras model with one output or a dictionary of them, such as a base, a text
            encoder, or the prefix of `split_at`.
        x: array of inputs `(n, ...)`, or a list or dictionary of arrays for such a model (text);
            or a finite `tf.data.Dataset` or `PyDataset` of batches `x`, `(x, y)` or
            `(x, y, weights)`.
        y: array of labels `(n, ...)`, beside arrays `x`. A dataset brings its own.
        batch_size: inputs per step, for an array.
        cache: a folder. Features are kept in it under a key of weights, architecture (hence
            preprocessing) and data: the same call reads them again, any change computes new ones,
            and a run over arrays that was killed goes on where it stopped. A dataset is gone
            through once more for its key, and must give the same batches each time.

    Returns:
        Features, a float array `(n, ...)` (with `cache`, memory-mapped and read-only; bfloat16
        becomes float32), or a dictionary of arrays for such a model. With labels, a pair
        `(features, labels)` from one pass: row i belongs to row i even when the dataset shuffles;
        with weights, three.

    Raises:
        ValueError: images out of 0..255 or of another shape; not one label for each input; labels
            beside a dataset; a dataset that is endless, or gives features of several lengths; with
            a cache, one that shuffles; a model with several outputs without names; no data; a model
            of a strategy of several machines.

    Example:
        >>> features, labels = tl.extract_features(base, x_train, y_train, cache="build/features")
        >>> features.shape, labels.shape
        ((12, 8, 8, 5), (12,))
    """
    batch_size = check_whole("batch_size", batch_size, 1)
    with scope_of(model):
        model = with_preprocessing(model)
    if len(model.outputs) != 1 and not isinstance(model.output, dict):
        raise ValueError(
            f"`model` must have one output, or a dictionary. Received: model={model.name!r} with "
            f"{len(model.outputs)}. Choose one: keras.Model(model.input, model.outputs[0])."
        )
    if is_dataset(x):
        if y is not None:
            raise ValueError(
                "`y` must be None beside a dataset, which brings its own labels. Received: an "
                "array. Zip them in the same order: tf.data.Dataset.zip(dataset, labels)."
            )
        parts = run_batches(model, Batches(x, "x", partial(_check_batch, model)), cache)
        return parts if len(parts) > 1 else parts[0]
    x = read_inputs(model, x)
    samples = count_samples(x)
    if y is not None and len(y) != samples:
        raise ValueError(
            f"`y` must have one label for each input. Received: {samples} inputs, {len(y)} labels. "
            "Take both from the same rows."
        )
    features = run_arrays(model, x, batch_size, cache)
    return features if y is None else (features, np.asarray(y))


def run_arrays(model: keras.Model, x, batch_size: int = 64, cache=None):
    """Return the features of arrays that `read_inputs` has read; see `extract_features`."""
    if cache is None:
        parts: list = []
        for _ in _fill(parts, [], model, x, batch_size):
            pass  # the parts are filled in passing
        return _like_output(model, parts)
    samples = count_samples(x)
    digest = digest_model(model)
    for begin in range(0, samples, _ROWS_BETWEEN_SAVES):
        _add(digest, _rows(x, begin, begin + _ROWS_BETWEEN_SAVES))
    files = _Files(Path(cache), digest.hexdigest(), len(model.outputs))
    return _like_output(model, files.get(samples, partial(_fill_files, model, x, batch_size)))


def run_batches(model: keras.Model, batches: Iterable[tuple], cache=None) -> tuple:
    """Return the features of batches, and what stands beside them: labels, weights.

    With a cache, `Batches` are gone through twice: once for the key, which names the file.
    """
    if cache is not None:
        return _kept_batches(model, batches, cache)
    rows = _Rows(getattr(batches, "steps", None))
    for inputs, *rest in _progress(batches, model):
        rows.add([*_predict(model, inputs), *rest])
    return _apart(model, rows.done())


def _check_batch(model: keras.Model, batch: tuple) -> tuple:
    if len(batch) > 3:
        raise ValueError(
            "`x` must be a dataset of x, (x, y) or (x, y, weights). Received: batches of "
            f"{len(batch)} parts. Map it to these first."
        )
    return (read_inputs(model, batch[0]), *(part for part in batch[1:] if part is not None))


def with_preprocessing(model: keras.Model) -> keras.Model:
    """Put the preprocessing in front of a bare backbone; return any other model unchanged."""
    rgb = len(model.inputs) == 1 and len(model.input_shape) == 4 and model.input_shape[-1] == 3
    if not rgb or images_of(model) is not None:
        return model
    try:
        prepare = preprocessing(model)
    except ValueError:
        return model
    images = keras.Input(model.input_shape[1:], name="images")
    return keras.Model(images, model(prepare(images)), name=model.name)


class _Rows:
    """Rows that come in parts, kept in one array for each column of them."""

    def __init__(self, batches: int | None):
        self.batches, self.count = batches or 1, 0
        self.form: Any = None
        self.columns: list[np.ndarray] = []

    def add(self, parts: list) -> None:
        """Add the same rows to each column; labels may be a dictionary of arrays."""
        arrays = [to_numpy(part) for part in keras.tree.flatten(parts)]
        n = len(arrays[0])
        if not self.columns:
            self.form = parts
            self.columns = [np.empty((n * self.batches, *a.shape[1:]), a.dtype) for a in arrays]
        shapes = [[a.shape[1:] for a in both] for both in (arrays, self.columns)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"`x` must give features of one shape. Received: {shapes}, from batches of "
                "different lengths. Cut behind the pooling, or train without: cache_prefix=False."
            )
        if self.count + n > len(self.columns[0]):  # half as much again, or what is needed
            length = max(self.count + n, self.count * 3 // 2)
            for column in self.columns:
                column.resize((length, *column.shape[1:]), refcheck=False)
        for column, array in zip(self.columns, arrays, strict=True):
            column[self.count : self.count + n] = array
        self.count += n

    def done(self) -> list:
        """Return the columns in the form of what was added."""
        whole = [column[: self.count] for column in self.columns]
        return keras.tree.pack_sequence_as(self.form, whole)


def _apart(model: keras.Model, columns: list) -> tuple:
    outputs = len(model.outputs)
    return (_like_output(model, columns[:outputs]), *columns[outputs:])


def _kept_batches(model: keras.Model, batches: Iterable[tuple], cache) -> tuple:
    """Return what `run_batches` does, with the features in files named after what made them."""
    seen: list[str] = []
    labels = _Rows(getattr(batches, "steps", None))
    for inputs, *rest in batches:
        seen.append(_digest_of_batch(inputs))
        labels.add([np.arange(count_samples(inputs)), *rest])
    positions, *beside = labels.done()

    def fill(partials: list[Path], progress: Path) -> None:
        features: list = []
        done, again = 0, iter(seen)
        for inputs, *_ in _progress(batches, model):
            if next(again, "") != _digest_of_batch(inputs):
                raise _other_batches()
            done = _put(features, partials, _predict(model, inputs), done, len(positions))
        if done < len(positions):
            raise _other_batches()

    digest = digest_model(model)
    digest.update("".join(seen).encode())
    files = _Files(Path(cache), digest.hexdigest(), len(model.outputs))
    return (_like_output(model, files.get(len(positions), fill)), *beside)


def _other_batches() -> ValueError:
    return ValueError(
        "`cache` needs a dataset with the same batches in every pass. Received: one that shuffles "
        "or augments. Leave that out, shuffle with reshuffle_each_iteration=False, or keep no "
        "files: cache=None, cache_prefix=True."
    )


def _put(features: list, files: list, parts: list, begin: int, samples: int) -> int:
    """Put rows into the features, made as files or in memory where they are missing."""
    for i, part in enumerate(parts):
        if i == len(features):
            kind, shape = part.dtype, (samples, *part.shape[1:])
            features.append(
                open_memmap(files[i], "w+", kind, shape) if files else np.empty(shape, kind)
            )
        features[i][begin : begin + len(part)] = part
    return begin + len(parts[0])


def _predict(model: keras.Model, inputs) -> list[np.ndarray]:
    return [to_numpy(part) for part in keras.tree.flatten(predict_batch(model, inputs))]


def predict_batch(model: keras.Model, inputs):
    """Return what a model predicts for one batch; several devices share it, as in `predict`."""
    devices = count_devices(model)
    if devices == 1:
        return model.predict_on_batch(inputs)  # which would give each of them the whole batch
    n = count_samples(inputs)
    rows = np.arange(n + -n % devices) % n  # none may have nothing: convolutions fail there
    shared = keras.tree.map_structure(lambda part: to_numpy(part)[rows], inputs)
    outputs = model.predict(shared, batch_size=len(rows), verbose=0)
    return keras.tree.map_structure(lambda part: part[:n], outputs)


def _like_output(model: keras.Model, parts: list):
    """Return features in the form of the model's outputs: an array, or a dictionary of them."""
    return keras.tree.pack_sequence_as(model.output, parts) if len(parts) > 1 else parts[0]


def _rows(x, start: int, stop: int):
    return keras.tree.map_structure(lambda part: np.asarray(part[start:stop]), x)


def _progress(items, model: keras.Model):
    from tqdm import tqdm

    return tqdm(items, f"features of {model.name}", unit="batch", leave=False, disable=None)


def _fill(features: list, files: list, model, x, batch_size: int, start=0) -> Iterator[int]:
    """Put features into files, or into memory without; yield after each batch the rows so far."""
    samples = count_samples(x)
    for begin in _progress(range(start, samples, batch_size), model):
        first = max(0, min(begin, samples - batch_size))  # the last reaches back: one size for all
        end = min(first + batch_size, samples)
        parts = [part[begin - first :] for part in _predict(model, _rows(x, first, end))]
        yield _put(features, files, parts, begin, samples)


@dataclass(frozen=True)
class _Files:
    """The files of one set of features, in a folder, under a key of what made them."""

    folder: Path
    key: str
    count: int

    def get(self, samples: int, fill: Callable[[list[Path], Path], None]) -> list[np.memmap]:
        """Return the features from the files; where these are missing, `fill` makes them."""
        from filelock import FileLock

        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(
                f"`cache` must be a folder to write in. Received: cache={str(self.folder)!r} "
                f"({error}). Name another folder."
            ) from error
        ends = [f".{i}.npy" for i in range(self.count)] if self.count > 1 else [".npy"]
        files = [self.folder / (self.key + end) for end in ends]
        with FileLock(self.folder / f"{self.key}.lock"):
            if not all(file.exists() for file in files):
                partials = [file.with_suffix(".partial.npy") for file in files]
                progress = self.folder / f"{self.key}.rows"
                fill(partials, progress)
                for part, file in zip(partials, files, strict=True):
                    os.replace(part, file)
                progress.unlink(missing_ok=True)
        return [_open(file, samples) for file in files]


def _fill_files(
    model: keras.Model, x, batch_size: int, partials: list[Path], progress: Path
) -> None:
    """Write features into files, from the row on at which an earlier run has stopped."""
    samples = count_samples(x)
    begun = progress.exists() and all(part.exists() for part in partials)
    saved = int(progress.read_text()) if begun else 0
    features = [_open(part, samples, "r+") for part in partials] if saved else []
    for done in _fill(features, partials, model, x, batch_size, saved):
        if done - saved >= _ROWS_BETWEEN_SAVES or done == samples:
            for whole in features:
                _write_out(whole)
            saved = done
            write_atomically(progress, methodcaller("write", str(saved).encode()))


def _write_out(features: np.memmap) -> None:
    """Write the rows of a file to the disk, and give back the memory that they took."""
    features.flush()
    if hasattr(mmap, "MADV_DONTNEED"):  # not on Windows
        file: mmap.mmap = features._mmap  # type: ignore[attr-defined]
        file.madvise(mmap.MADV_DONTNEED)  # they are read again when asked for


def _open(path: Path, samples: int, mode: str = "r") -> np.memmap:
    try:
        features = open_memmap(path, mode)
    except (ValueError, EOFError, OSError):
        features = None
    if features is None or features.shape[:1] != (samples,):
        raise ValueError(
            f"A cached file must be whole. Received: a damaged {path}. Remove it and call again."
        )
    return features


def digest_model(model: keras.Model):
    """Return the begin of a name for features: of architecture and weights; data come behind."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps(_architecture(model), sort_keys=True, default=str).encode())
    for weight in model.weights:
        digest.update(weight.numpy().tobytes())
    return digest


def _add(digest, x) -> None:
    """Add rows of data, an array or a list or dictionary of arrays, to a digest."""
    named = sorted(x.items()) if isinstance(x, dict) else enumerate(keras.tree.flatten(x))
    for name, part in named:
        rows = to_numpy(part)
        digest.update(f"{name} {rows.dtype} {rows.shape}".encode())
        text = rows.dtype.kind in "OSU"
        digest.update(json.dumps(rows.tolist(), default=str).encode() if text else rows.tobytes())


def _digest_of_batch(x) -> str:
    digest = hashlib.blake2b(digest_size=16)
    _add(digest, x)
    return digest.hexdigest()


def _architecture(model: keras.Model) -> list:
    """Return each call's class, settings and inputs, without the names that Keras counts up."""
    rows: list = []
    for step in walk(model):
        layer = step.layer
        if isinstance(layer, keras.Model):
            rows.append([_architecture(layer), step.inputs])
            continue
        config = layer.get_config() if isinstance(layer, keras.Layer) else _settings(step)
        config = {k: v for k, v in config.items() if k not in ("name", "trainable")}
        rows.append([type(layer).__name__, config, step.inputs])
    return rows


def _settings(step: Step) -> dict:
    """Return what a bare operation, such as `x / 255`, does besides its name."""

    def plain(value):
        if isinstance(value, keras.KerasTensor):
            return None
        array = np.asarray(value)
        return repr(value) if array.dtype == object else [str(array.dtype), array.tolist()]

    arguments = keras.tree.map_structure(plain, (step.arguments.args, step.arguments.kwargs))
    own = {k: repr(v) for k, v in vars(step.layer).items() if not k.startswith("_") and k != "name"}
    return {"arguments": arguments, "own": own}
