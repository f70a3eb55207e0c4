"""Run a frozen model over data once, and keep what comes out."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from tlhelpers.checks.data import check_images, check_tokens, count_samples
from tlhelpers.checks.features import to_numpy
from tlhelpers.models.graph import Step, walk
from tlhelpers.models.preprocessing import images_of, preprocessing

import keras
import numpy as np

_ROWS_BETWEEN_SAVES = 2048


def extract_features(model, x, y=None, batch_size: int = 64, cache=None):
    """Run a model over data once, in order, and return its outputs with the labels beside them.

    A bare backbone gets its preprocessing here; any other model is run as it is. Everything runs in
    inference mode: no dropout, no augmentation, no change of BatchNormalization statistics.

    Args:
        model: a Keras model with one output or a dictionary of them, such as a base, a text
            encoder, or the prefix of `split_at`.
        x: array of inputs `(n, ...)`, a dictionary of arrays (text), or a finite
            `tf.data.Dataset` of batches `x` or `(x, y)`.
        y: array of labels `(n, ...)`, beside arrays `x`. A dataset brings its own.
        batch_size: inputs per step, for an array.
        cache: a folder. Features are kept in it under a key of weights, architecture (hence
            preprocessing) and data: the same call again reads them, a change of any computes them
            anew, and a run that was killed goes on where it stopped. For arrays only.

    Returns:
        Features, a float array `(n, ...)` (with `cache`, memory-mapped and read-only; bfloat16
        becomes float32), or a dictionary of arrays for such a model; with labels a pair
        `(features, labels)`, both from the same pass, so that row i belongs to row i even when the
        dataset shuffles.

    Raises:
        ValueError: images out of 0..255 or of another shape, unequal numbers of inputs and labels,
            labels beside a dataset, an endless dataset or one with sample weights, a cache for a
            dataset, a model with several outputs without names, batches whose features differ
            in length, no data.

    Example:
        >>> features, labels = tl.extract_features(base, x_train, y_train, cache="build/features")
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"batch_size must be at least 1. Received: batch_size={batch_size!r}.")
    prepared = _with_preprocessing(model)
    if len(prepared.outputs) != 1 and not isinstance(prepared.output, dict):
        raise ValueError(
            "A model with one output, or a dictionary of them, is required. Received: "
            f"{len(prepared.outputs)} outputs of {model.name!r}. Choose one: "
            "keras.Model(model.input, model.output[...])."
        )
    if hasattr(x, "element_spec"):
        return _from_dataset(prepared, x, y, cache)
    check_tokens(prepared, x)
    x = x if hasattr(x, "shape") or isinstance(x, dict) else np.asarray(x)
    samples = count_samples(x)
    if y is not None and len(y) != samples:
        raise ValueError(
            f"One label for each input is required. Received: {samples} inputs, {len(y)} labels."
        )
    if not samples:
        raise ValueError("At least one input is required. Received: an empty array.")
    if (images := images_of(prepared)) is not None:
        check_images(x, images)
    features = _from_arrays(prepared, x, batch_size, cache)
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
        features.append(keras.tree.map_structure(to_numpy, model.predict_on_batch(inputs)))
        labels += [np.asarray(rest[0])] if rest else []
    if not features:
        raise ValueError("At least one batch is required. Received: an empty dataset.")
    shapes = {part.shape[1:] for batch in features for part in _parts(batch)[:1]}
    if len(shapes) > 1:
        raise ValueError(
            f"Features of one shape are required. Received: {sorted(shapes)}, from batches of "
            "different lengths. Cut behind the pooling, or train without: cache_prefix=False."
        )
    joined = keras.tree.map_structure(lambda *parts: np.concatenate(parts), *features)
    return (joined, np.concatenate(labels)) if labels else joined


def _parts(outputs) -> list[np.ndarray]:
    return keras.tree.flatten(outputs)


def _from_arrays(model: keras.Model, x, batch_size: int, cache):
    first = model.outputs[0] if len(model.outputs) == 1 else model.output
    if any(None in part.shape[1:] for part in _parts(first)):  # as long as the texts are
        first = model.predict_on_batch(_rows(x, 0, 1))
    like = [(_file_type(part.dtype), (count_samples(x), *part.shape[1:])) for part in _parts(first)]
    if cache is None:
        features = [np.empty(shape, dtype) for dtype, shape in like]
        for start, batch in _run(model, x, batch_size, 0):
            _store(features, start, batch)
        return keras.tree.pack_sequence_as(first, features)
    from filelock import FileLock

    folder = Path(cache)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"cache must be a folder that can be written. Received: cache={str(cache)!r} ({error})."
        ) from error
    key = _key(model, x)
    several = len(like) > 1
    finals = [folder / (f"{key}.{i}.npy" if several else f"{key}.npy") for i in range(len(like))]
    with FileLock(folder / f"{key}.lock"):
        if not all(final.exists() for final in finals):
            _fill(finals, folder / f"{key}.rows", model, x, batch_size, like)
    features = [_open(final, shape) for final, (_, shape) in zip(finals, like, strict=True)]
    return keras.tree.pack_sequence_as(first, features)


def _open(path: Path, shape: tuple, mode: str = "r") -> np.ndarray:
    try:
        features = np.lib.format.open_memmap(path, mode)
    except (ValueError, EOFError, OSError):
        features = None
    if features is None or features.shape != shape:
        raise ValueError(
            f"A cached file must be whole. Received: a damaged {path}. Remove it, and it is "
            "computed anew."
        )
    return features


def _file_type(dtype: np.dtype | str) -> np.dtype:
    dtype = np.dtype(dtype)
    return dtype if dtype.kind in "fiub" else np.dtype("float32")  # bfloat16 is no type of a file


def _rows(x, start: int, stop: int):
    if isinstance(x, dict):
        return {name: np.asarray(part[start:stop]) for name, part in x.items()}
    return np.asarray(x[start:stop])


def _store(features: list[np.ndarray], start: int, batch) -> int:
    parts = _parts(batch)
    for whole, part in zip(features, parts, strict=True):
        whole[start : start + len(part)] = part
    return start + len(parts[0])


def _fill(
    finals: list[Path], progress: Path, model: keras.Model, x, batch_size: int, like: list
) -> None:
    """Write features beside their final names, from where an earlier run has stopped."""
    partials = [final.with_suffix(".partial.npy") for final in finals]
    begun = progress.exists() and all(partial.exists() for partial in partials)
    done = int(progress.read_text()) if begun else 0
    features = [
        _open(partial, shape, "r+")
        if done
        else np.lib.format.open_memmap(partial, "w+", dtype, shape)
        for partial, (dtype, shape) in zip(partials, like, strict=True)
    ]
    saved = done
    for start, batch in _run(model, x, batch_size, done):
        done = _store(features, start, batch)
        if done - saved >= _ROWS_BETWEEN_SAVES:
            for part in features:
                part.flush()
            _write_atomically(progress, str(done))
            saved = done
    for part in features:
        part.flush()
    del features, part
    for partial, final in zip(partials, finals, strict=True):
        os.replace(partial, final)
    progress.unlink(missing_ok=True)


def _write_atomically(path: Path, text: str) -> None:
    beside = path.with_suffix(".new")
    beside.write_text(text)
    os.replace(beside, path)


def _run(model: keras.Model, x, batch_size: int, start: int) -> Iterator[tuple[int, object]]:
    """Yield where a batch begins, and its features; batches of one size, so that one trace does."""
    samples = count_samples(x)
    for begin in _progress(range(start, samples, batch_size), f"features of {model.name}"):
        first = max(0, min(begin, samples - batch_size))  # the last batch reaches back
        outputs = model.predict_on_batch(_rows(x, first, first + batch_size))
        yield begin, keras.tree.map_structure(lambda part, cut=begin - first: part[cut:], outputs)


def _progress(items, what: str):
    from tqdm import tqdm

    return tqdm(items, desc=what, unit="batch", leave=False, disable=None)


def _key(model: keras.Model, x) -> str:
    """Return a name for these features: weights, architecture and data, nothing else."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps(_architecture(model), sort_keys=True, default=str).encode())
    for weight in model.weights:
        digest.update(np.ascontiguousarray(weight.numpy()))
    for name, part in sorted(x.items()) if isinstance(x, dict) else [("", x)]:
        digest.update(f"{name} {part.dtype} {part.shape}".encode())
        for begin in range(0, len(part), _ROWS_BETWEEN_SAVES):
            rows = np.ascontiguousarray(part[begin : begin + _ROWS_BETWEEN_SAVES])
            text = rows.dtype.kind in "OSU"
            digest.update(json.dumps(rows.tolist()).encode() if text else rows)
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
