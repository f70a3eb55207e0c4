"""Run a frozen model over data once, and keep what comes out."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from tlhelpers.blocks import Step, walk
from tlhelpers.preprocessing import check_images, images_of, preprocessing

import keras
import numpy as np

_ROWS_BETWEEN_SAVES = 2048


def extract_features(model, x, y=None, batch_size: int = 64, cache=None):
    """Run a model over data once, in order, and return its outputs with the labels beside them.

    A bare backbone gets its preprocessing here; any other model is run as it is. Everything runs in
    inference mode: no dropout, no augmentation, no change of BatchNormalization statistics.

    Args:
        model: a Keras model with one output, such as a base, or the prefix of `split_at`.
        x: array of inputs `(n, ...)`, or a finite `tf.data.Dataset` of batches `x` or `(x, y)`.
        y: array of labels `(n, ...)`, beside an array `x`. A dataset brings its own.
        batch_size: inputs per step, for an array.
        cache: a folder. Features are kept in it under a key of weights, architecture (hence
            preprocessing) and data: the same call again reads them, a change of any computes them
            anew, and a run that was killed goes on where it stopped. For arrays only.

    Returns:
        Features, a float array `(n, ...)` (with `cache`, memory-mapped and read-only); with labels
        a pair `(features, labels)`, both from the same pass, so that row i belongs to row i even
        when the dataset shuffles.

    Raises:
        ValueError: images out of 0..255 or of another shape, unequal numbers of inputs and labels,
            labels beside a dataset, an endless dataset or one with sample weights, a cache for a
            dataset, a model with several outputs, no data.

    Example:
        >>> features, labels = tl.extract_features(base, x_train, y_train, cache="build/features")
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"batch_size must be at least 1. Received: batch_size={batch_size!r}.")
    prepared = _with_preprocessing(model)
    if len(prepared.outputs) != 1:
        raise ValueError(
            f"A model with one output is required. Received: {len(prepared.outputs)} outputs of "
            f"{model.name!r}. Choose one: keras.Model(model.input, model.output[...])."
        )
    if hasattr(x, "element_spec"):
        return _from_dataset(prepared, x, y, cache)
    x = x if hasattr(x, "shape") else np.asarray(x)
    if y is not None and len(y) != len(x):
        raise ValueError(
            f"One label for each input is required. Received: {len(x)} inputs, {len(y)} labels."
        )
    if not len(x):
        raise ValueError("At least one input is required. Received: an empty array.")
    if (images := images_of(prepared)) is not None:
        check_images(x, images)
    features = _from_array(prepared, x, batch_size, cache)
    return features if y is None else (features, np.asarray(y))


def _with_preprocessing(model: keras.Model) -> keras.Model:
    """Put the preprocessing in front of a bare backbone; return any other model unchanged."""
    if images_of(model) is not None or len(model.inputs) != 1:
        return model
    if len(model.input_shape) != 4 or model.input_shape[-1] != 3:
        return model
    try:
        prepare = preprocessing(model)
    except ValueError:
        return model
    images = keras.Input(model.input_shape[1:], name="images")
    return keras.Model(images, model(prepare(images)), name=model.name)


def _from_dataset(model: keras.Model, dataset, y, cache):
    if y is not None:
        raise ValueError(
            "A dataset brings its own labels. Received: y beside a dataset, whose order need not "
            "be the dataset's. Zip them: tf.data.Dataset.zip(dataset, labels)."
        )
    if cache is not None:
        raise ValueError(
            "cache needs arrays, whose content names the cached file. Received: a dataset. "
            "Collect it into arrays first, or leave out cache."
        )
    if int(dataset.cardinality()) == -1:
        raise ValueError("A finite dataset is required. Received: an endless one. Use .take(n).")
    features, labels = [], []
    images = images_of(model)
    for batch in _progress(dataset, f"features of {model.name}"):
        inputs, *rest = batch if isinstance(batch, tuple) else (batch,)
        if len(rest) > 1:
            raise ValueError(
                "A dataset of x or (x, y) is required. Received: a third part, sample weights, "
                "which features would lose. Train without a cache: cache_prefix=False."
            )
        if images is not None:
            check_images(np.asarray(inputs), images)
        features.append(model.predict_on_batch(inputs))
        labels += [np.asarray(rest[0])] if rest else []
    if not features:
        raise ValueError("At least one batch is required. Received: an empty dataset.")
    joined = np.concatenate(features)
    return (joined, np.concatenate(labels)) if labels else joined


def _from_array(model: keras.Model, x, batch_size: int, cache) -> np.ndarray:
    shape = (len(x), *model.compute_output_shape((1, *x.shape[1:]))[1:])
    dtype = model.predict_on_batch(np.asarray(x[:1])).dtype
    dtype = dtype if dtype.kind == "f" else np.dtype("float32")  # bfloat16 is no type of a file
    if cache is None:
        features = np.empty(shape, dtype)
        for start, rows in _run(model, x, batch_size, 0):
            features[start : start + len(rows)] = rows
        return features
    from filelock import FileLock

    folder = Path(cache)
    folder.mkdir(parents=True, exist_ok=True)
    final = folder / f"{_key(model, x)}.npy"
    with FileLock(final.with_suffix(".lock")):
        if not final.exists():
            _fill(final, model, x, batch_size, shape, dtype)
    return np.load(final, mmap_mode="r")


def _fill(final: Path, model: keras.Model, x, batch_size: int, shape: tuple, dtype) -> None:
    """Write features beside their final name, from where an earlier run has stopped."""
    partial, progress = final.with_suffix(".partial.npy"), final.with_suffix(".rows")
    done = int(progress.read_text()) if progress.exists() and partial.exists() else 0
    mode = "r+" if done else "w+"
    features = np.lib.format.open_memmap(partial, mode, dtype, shape if mode == "w+" else None)
    saved = done
    for start, rows in _run(model, x, batch_size, done):
        features[start : start + len(rows)] = rows
        done = start + len(rows)
        if done - saved >= _ROWS_BETWEEN_SAVES:
            features.flush()
            _write_atomically(progress, str(done))
            saved = done
    features.flush()
    del features
    os.replace(partial, final)
    progress.unlink(missing_ok=True)


def _write_atomically(path: Path, text: str) -> None:
    beside = path.with_suffix(".new")
    beside.write_text(text)
    os.replace(beside, path)


def _run(model: keras.Model, x, batch_size: int, start: int) -> Iterator[tuple[int, np.ndarray]]:
    starts = range(start, len(x), batch_size)
    for begin in _progress(starts, f"features of {model.name}"):
        yield begin, model.predict_on_batch(np.asarray(x[begin : begin + batch_size]))


def _progress(items, what: str):
    from tqdm import tqdm

    return tqdm(items, desc=what, unit="batch", leave=False, disable=None)


def _key(model: keras.Model, x) -> str:
    """Return a name for these features: weights, architecture and data, nothing else."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps(_architecture(model), sort_keys=True, default=str).encode())
    for weight in model.weights:
        digest.update(np.ascontiguousarray(weight.numpy()))
    digest.update(f"{x.dtype} {x.shape}".encode())
    for begin in range(0, len(x), _ROWS_BETWEEN_SAVES):
        rows = np.asarray(x[begin : begin + _ROWS_BETWEEN_SAVES])
        text = rows.dtype.kind in "OSU"
        digest.update(json.dumps(rows.tolist()).encode() if text else np.ascontiguousarray(rows))
    return digest.hexdigest()


def _architecture(model: keras.Model) -> list:
    """Return each call's class, settings and inputs, without the names that Keras numbers anew."""
    rows = []
    for step in walk(model):
        if isinstance(step.layer, keras.Model):
            rows.append([_architecture(step.layer), step.inputs])
            continue
        layer = step.layer
        config = layer.get_config() if isinstance(layer, keras.Layer) else _settings(step)
        config = {k: v for k, v in config.items() if k not in ("name", "trainable")}
        rows.append([type(step.layer).__name__, config, step.inputs])
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
