"""One reader for what people bring as inputs and labels of a model."""

from collections.abc import Mapping

from tlhelpers.checks.data import (
    as_classes,
    check_labels,
    check_tokens,
    count_samples,
    fits,
    shown,
    to_array,
)
from tlhelpers.checks.features import to_numpy
from tlhelpers.models.ends import End
from tlhelpers.models.preprocessing import check_inputs

import keras
import numpy as np


def read_inputs(model: keras.Model, x, name: str = "x"):
    """Return inputs in the form of the model's own: an array, or a list or dictionary of arrays.

    Lists and tuples of rows become arrays, as do tables (by their rows, not their column names).

    Raises:
        ValueError: another number of inputs, or of samples in each; another shape; sparse or ragged
            data; texts for a model of numbers; images or tokens that the model would misread; NaN
            or infinity that the model hands on.
    """
    wanted = _form_of(model)
    check_tokens(model, x)
    if isinstance(wanted, list):
        x = _several(wanted, x, name)
    elif isinstance(x, Mapping):
        x = {key: to_array(part, f"{name}[{key!r}]") for key, part in x.items()}
    else:
        x = to_array(x, name)
        if isinstance(wanted, keras.KerasTensor):
            _refuse_texts(x, wanted, name)
    if not count_samples(x):
        raise ValueError(
            f"`{name}` must have at least one sample. Received: none. Check its source."
        )
    check_inputs(model, x)
    x = _shaped(wanted, x, name)
    _check_finite(model, x, name)
    return x


def _shaped(wanted, x, name: str):
    """Return what is given for each input of the model, a column with the axis that it lacks."""
    if isinstance(wanted, Mapping):
        return {**x, **{k: _of_shape(wanted[k], x[k], f"{name}[{k!r}]") for k in wanted}}
    if isinstance(wanted, list):
        pairs = enumerate(zip(wanted, x, strict=True))
        return [_of_shape(*pair, f"{name}[{number}]") for number, pair in pairs]
    return x if wanted is None or isinstance(x, Mapping) else _of_shape(wanted, x, name)


def _of_shape(wanted: keras.KerasTensor, x, name: str):
    shape, given = tuple(wanted.shape[1:]), tuple(x.shape)
    if shape[-1:] == (1,) and fits(given[1:], shape[:-1]):
        return x[..., None]
    if fits(given[1:], shape) or (given[-1] == 1 and fits(given[1:-1], shape)):
        return x  # of an axis too many Keras makes none
    cure = "Resize, reshape or pad it as the model was built."
    if fits(given, shape):
        cure = f"One sample? Add the axis of samples: {name}[None], or dataset.batch(32)."
    raise ValueError(f"`{name}` must have shape {shown(shape)}. Received: shape={given}. {cure}")


def _check_finite(model: keras.Model, x, name: str) -> None:
    """Refuse a sample with NaN or infinity, unless the model is made to cope with it."""
    parts = [part for part in map(to_numpy, keras.tree.flatten(x)) if part.dtype.kind == "f"]
    if all(np.isfinite(part.sum(dtype="float64")) for part in parts):
        return
    flat = [~np.isfinite(part.reshape(len(part), -1)).all(axis=1) for part in parts]
    rows = np.flatnonzero(np.any(flat, axis=0))[:256]
    samples = keras.tree.map_structure(lambda part: to_numpy(part)[rows], x)
    outputs = [to_numpy(output) for output in keras.tree.flatten(model(samples, training=False))]
    handed_on = [~np.isfinite(output.reshape(len(rows), -1)).all(axis=1) for output in outputs]
    if np.any(handed_on):
        row = rows[np.argmax(np.any(handed_on, axis=0))]
        raise ValueError(
            f"`{name}` must be finite. Received: NaN or infinity in sample {row}, and then in what "
            f"{model.name!r} makes of it. Drop such samples, or fill the gaps: np.nan_to_num."
        )


def _form_of(model: keras.Model):
    """Return the model's input, or a list or dictionary of several; None where it has no graph."""
    inputs = list(getattr(model, "inputs", None) or [])
    named = getattr(model, "input", None) if inputs else None  # a Sequential may have none yet
    if isinstance(named, Mapping):
        return named
    return inputs[0] if len(inputs) == 1 else inputs or None


def _several(wanted, x, name: str) -> list:
    if not isinstance(x, list | tuple) or len(x) != len(wanted):
        kind = f"type {type(x).__name__}" if hasattr(x, "shape") else f"{len(x)} of them"
        raise ValueError(
            f"`{name}` must be a list of {len(wanted)} inputs, "
            f"{[tensor.name for tensor in wanted]}. Received: {kind}. Pass one array for each."
        )
    parts = [to_array(part, f"{name}[{number}]") for number, part in enumerate(x)]
    lengths = [len(part) for part in parts]
    if len(set(lengths)) > 1:
        raise ValueError(
            f"`{name}` must have as many samples in each input. Received: {lengths}. Take all "
            "from the same rows."
        )
    return parts


def _refuse_texts(x, wanted: keras.KerasTensor, name: str) -> None:
    texts = np.dtype(getattr(x.dtype, "as_numpy_dtype", x.dtype)).kind in "OSU"
    if texts and wanted.dtype != "string":
        raise ValueError(
            f"`{name}` must be numbers. Received: texts, or objects, of shape {tuple(x.shape)}. "
            "Turn texts into tokens: bert.preprocessor(sequence_length)(texts); read images from "
            "their files first."
        )


def read_labels(y, end: End, n: int | None = None, name: str = "y"):
    """Return labels as the end of a model takes them.

    Classes may be whole floats, booleans or a column `(n, 1)`, as readers of folders and tables
    make them; they become integers `(n,)`. Several labels are 0 or 1, `(n, labels)`; the targets of
    a regression are finite numbers, `(n,)` or `(n, targets)`.

    Raises:
        ValueError: anything else; another number than `n`.
    """
    y = to_numpy(to_array(y, name))
    if end.task in ("multiclass", "binary"):
        return check_labels(as_classes(y), num_classes=end.classes, n=n)
    shape = (len(y), end.width)
    fits = y.shape == shape or (end.width == 1 and y.ndim == 1)
    if not fits or y.dtype.kind not in "iufb" or (n or len(y)) != len(y):
        raise ValueError(
            f"`{name}` must be numbers of shape ({n or 'n'}, {end.width}) for a {end.task} model. "
            f"Received: shape={y.shape}, dtype={y.dtype}. {_CURES[end.task]}"
        )
    if not np.isfinite(y).all() or (end.task == "multilabel" and not np.isin(y, (0, 1)).all()):
        allowed = "0 or 1" if end.task == "multilabel" else "finite"
        raise ValueError(
            f"`{name}` must be {allowed} for a {end.task} model. Received: values in "
            f"[{y.min():.4g}, {y.max():.4g}]. {_CURES[end.task]}"
        )
    return y


_CURES = {
    "multilabel": "One column for each label; for one class per sample end the model in logits, "
    "build_head(num_classes), or in a softmax.",
    "regression": "One column for each target.",
}
