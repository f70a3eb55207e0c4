"""Run a frozen model over data once, and keep what comes out."""

import hashlib
import json
import os
from collections.abc import Iterator
from operator import methodcaller
from pathlib import Path

from tlhelpers.checks.data import check_images, check_tokens, count_samples
from tlhelpers.checks.features import to_numpy
from tlhelpers.checks.files import write_atomically
from tlhelpers.checks.words import check_whole
from tlhelpers.models.graph import Step, walk
from tlhelpers.models.preprocessing import images_of, preprocessing
from tlhelpers.tuning.batches import is_dataset

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
        x: array of inputs `(n, ...)`, a dictionary of arrays (text), or a finite
            `tf.data.Dataset` of batches `x` or `(x, y)`.
        y: array of labels `(n, ...)`, beside arrays `x`. A dataset brings its own.
        batch_size: inputs per step, for an array.
        cache: a folder, for arrays only. Features are kept in it under a key of weights,
            architecture (hence preprocessing) and data: the same call reads them again, any change
            computes new ones, and a run that was killed goes on where it stopped.

    Returns:
        Features, a float array `(n, ...)` (with `cache`, memory-mapped and read-only; bfloat16
        becomes float32), or a dictionary of arrays for such a model. With labels, a pair
        `(features, labels)` from one pass: row i belongs to row i even when the dataset shuffles.

    Raises:
        ValueError: images out of 0..255 or of another shape; not one label for each input; labels
            or a cache beside a dataset; a dataset that is endless, has sample weights, or gives
            features of several lengths; a model with several outputs without names; no data.

    Example:
        >>> features, labels = tl.extract_features(base, x_train, y_train, cache="build/features")
        >>> features.shape, labels.shape
        ((12, 8, 8, 5), (12,))
    """
    batch_size = check_whole("batch_size", batch_size, 1)
    model = _with_preprocessing(model)
    if len(model.outputs) != 1 and not isinstance(model.output, dict):
        raise ValueError(
            f"`model` must have one output, or a dictionary. Received: model={model.name!r} with "
            f"{len(model.outputs)}. Choose one: keras.Model(model.input, model.outputs[0])."
        )
    if is_dataset(x):
        _check_dataset(x, y, cache)
        return _from_dataset(model, x)
    check_tokens(model, x)
    x = x if hasattr(x, "shape") or isinstance(x, dict) else np.asarray(x)
    samples = count_samples(x)
    if y is not None and len(y) != samples:
        raise ValueError(
            f"`y` must have one label for each input. Received: {samples} inputs, {len(y)} labels. "
            "Take both from the same rows."
        )
    if not samples:
        raise ValueError("`x` must have at least one input. Received: none. Check its source.")
    if (images := images_of(model)) is not None:
        check_images(x, images)
    parts: list = [] if cache is None else _in_files(model, x, batch_size, cache)
    if cache is None:
        for _ in _fill(parts, [], model, x, batch_size):
            pass  # the parts are filled in passing
    features = _like_output(model, parts)
    return features if y is None else (features, np.asarray(y))


def _with_preprocessing(model: keras.Model) -> keras.Model:
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


def _check_dataset(dataset, y, cache) -> None:
    if y is not None:
        raise ValueError(
            "`y` must be None beside a dataset, which brings its own labels. Received: an array. "
            "Zip them in the same order: tf.data.Dataset.zip(dataset, labels)."
        )
    if cache is not None:
        raise ValueError(
            f"`cache` needs arrays, whose content names the cached file. Received: cache={cache!r} "
            "and a dataset. Collect it into arrays first, or leave out cache."
        )
    if int(dataset.cardinality()) == -1:
        raise ValueError("`x` must be finite. Received: an endless dataset. Use .take(n).")
    if isinstance(dataset.element_spec, tuple) and len(dataset.element_spec) > 2:
        raise ValueError(
            "`x` must be a dataset of x or (x, y). Received: a third part, sample weights, which "
            "features would lose. Train without a cache: cache_prefix=False."
        )


def _from_dataset(model: keras.Model, dataset):
    batches: list[list[np.ndarray]] = []
    labels: list[np.ndarray] = []
    images = images_of(model)
    for batch in _progress(dataset, model):
        inputs, *rest = batch if isinstance(batch, tuple) else (batch,)
        if images is not None:
            check_images(np.asarray(inputs), images)
        batches.append(_predict(model, inputs))
        labels += map(np.asarray, rest)
    if not batches:
        raise ValueError("`x` must have at least one batch. Received: none. Check its source.")
    shapes = {first.shape[1:] for first, *_ in batches}
    if len(shapes) > 1:
        raise ValueError(
            f"`x` must give features of one shape. Received: {sorted(shapes)}, from batches of "
            "different lengths. Cut behind the pooling, or train without: cache_prefix=False."
        )
    features = _like_output(model, [np.concatenate(parts) for parts in zip(*batches, strict=True)])
    return (features, np.concatenate(labels)) if labels else features


def _predict(model: keras.Model, inputs) -> list[np.ndarray]:
    return [to_numpy(part) for part in keras.tree.flatten(model.predict_on_batch(inputs))]


def _like_output(model: keras.Model, parts: list):
    """Return features in the form of the model's outputs: an array, or a dictionary of them."""
    return keras.tree.pack_sequence_as(model.output, parts) if len(parts) > 1 else parts[0]


def _rows(x, start: int, stop: int):
    if isinstance(x, dict):
        return {name: np.asarray(part[start:stop]) for name, part in x.items()}
    return np.asarray(x[start:stop])


def _progress(items, model: keras.Model):
    from tqdm import tqdm

    return tqdm(items, f"features of {model.name}", unit="batch", leave=False, disable=None)


def _fill(features: list, files: list, model, x, batch_size: int, start=0) -> Iterator[int]:
    """Put features into files, or into memory without; yield after each batch the rows so far."""
    samples = count_samples(x)
    for begin in _progress(range(start, samples, batch_size), model):
        first = max(0, min(begin, samples - batch_size))  # the last reaches back: one size for all
        end = min(first + batch_size, samples)
        for i, part in enumerate(_predict(model, _rows(x, first, end))):
            if i == len(features):
                kind, shape = part.dtype, (samples, *part.shape[1:])
                new = open_memmap(files[i], "w+", kind, shape) if files else np.empty(shape, kind)
                features.append(new)
            features[i][begin:end] = part[begin - first :]
        yield end


def _in_files(model: keras.Model, x, batch_size: int, cache) -> list[np.memmap]:
    """Return the features from files that are named after what made them, or make the files."""
    from filelock import FileLock

    folder = Path(cache)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"`cache` must be a folder to write in. Received: cache={str(cache)!r} ({error}). "
            "Name another folder."
        ) from error
    key, count = _key(model, x), len(model.outputs)
    files = [folder / (f"{key}.{i}.npy" if count > 1 else f"{key}.npy") for i in range(count)]
    with FileLock(folder / f"{key}.lock"):
        if not all(file.exists() for file in files):
            partials = [file.with_suffix(".partial.npy") for file in files]
            progress = folder / f"{key}.rows"
            _fill_files(partials, progress, model, x, batch_size)
            for partial, file in zip(partials, files, strict=True):
                os.replace(partial, file)
            progress.unlink(missing_ok=True)
    return [_open(file, count_samples(x)) for file in files]


def _fill_files(partials: list[Path], progress: Path, model, x, batch_size: int) -> None:
    """Write features into files, from the row on at which an earlier run has stopped."""
    samples = count_samples(x)
    begun = progress.exists() and all(partial.exists() for partial in partials)
    saved = int(progress.read_text()) if begun else 0
    features = [_open(partial, samples, "r+") for partial in partials] if saved else []
    for done in _fill(features, partials, model, x, batch_size, saved):
        if done - saved >= _ROWS_BETWEEN_SAVES or done == samples:
            for whole in features:
                whole.flush()
            saved = done
            write_atomically(progress, methodcaller("write", str(saved).encode()))


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


def _key(model: keras.Model, x) -> str:
    """Return a name for these features: weights, architecture and data, nothing else."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps(_architecture(model), sort_keys=True, default=str).encode())
    for weight in model.weights:
        digest.update(weight.numpy().tobytes())
    for name, part in sorted(x.items()) if isinstance(x, dict) else [("", x)]:
        digest.update(f"{name} {part.dtype} {part.shape}".encode())
        for begin in range(0, len(part), _ROWS_BETWEEN_SAVES):
            rows = np.asarray(part[begin : begin + _ROWS_BETWEEN_SAVES])
            text = rows.dtype.kind in "OSU"
            digest.update(json.dumps(rows.tolist()).encode() if text else rows.tobytes())
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
