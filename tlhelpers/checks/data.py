"""Checks of what goes into a model: arrays, images, tokens, labels."""

import math

import keras
import numpy as np

_MOST_VALUES = 2**28  # values looked at by check_images; above, evenly spaced images


def check_images(x, input_shape: tuple = (None, None, 3)) -> None:
    """Refuse images that a model with built-in preprocessing would misread.

    The commonest silent mistake of transfer learning is to scale images that the model scales too.

    Args:
        x: images `(n, height, width, channels)`, uint8 or float, 0..255.
        input_shape: what the model takes, `(height, width, channels)` with None for any size,
            or with the leading None of `model.input_shape`.

    Raises:
        ValueError: no images; not four dimensions; another size or number of channels; NaN or
            infinity; floats in 0..1; values below 0 or above 255; not numbers.
    """
    expected = tuple(input_shape)[-3:]
    x = x if keras.ops.is_tensor(x) else np.asarray(x)
    shape = tuple(x.shape)
    if len(shape) == 4 and 0 in shape:
        raise ValueError(f"Images must be one or more. Received: shape={shape}. Check the source.")
    if not fits(shape, (None, *expected)):
        cure = ""
        if len(shape) == 3:
            cure = " Add the first axis with x[None]."
        elif len(shape) == 4 and expected[-1] == 3 and shape[-1] == 1:
            cure = " Repeat the grey channel: np.repeat(x, 3, axis=-1)."
        elif len(shape) == 4 and expected[-1] in (None, shape[-1]):
            cure = f" Resize them: keras.ops.image.resize(x, {expected[:2]})."
        raise ValueError(
            f"Images must have shape {shown(expected)}. Received: shape={shape}.{cure}"
        )
    _check_range(x, shape)


def fits(shape: tuple, expected: tuple) -> bool:
    """Whether a shape is the expected one, where None stands for any size."""
    sizes = zip(expected, shape, strict=False)
    return len(shape) == len(expected) and all(e in (None, s) for e, s in sizes)


def shown(expected: tuple) -> str:
    """Return the shape of a batch as an error shows it: (n, 32, any)."""
    return f"({', '.join(['n', *('any' if e is None else str(e) for e in expected)])})"


def _check_range(x, shape) -> None:
    x = x[:: math.ceil(math.prod(shape) / _MOST_VALUES)]
    x = np.asarray(keras.ops.convert_to_numpy(x) if keras.ops.is_tensor(x) else x)
    if x.dtype == np.uint8:
        return
    if x.dtype.kind not in "iuf":
        raise ValueError(f"Images must be uint8 or float, 0..255. Received: dtype={x.dtype}.")
    low, high = float(x.min()), float(x.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(
            f"Images must be finite. Received: NaN or infinity in shape={shape}. "
            "Find them with np.argwhere(~np.isfinite(x))."
        )
    received = f"Received: values in [{low:.4g}, {high:.4g}], dtype={x.dtype}."
    if low < 0 or high > 255:
        raise ValueError(
            f"Images must be 0..255 RGB: the model preprocesses them itself. {received} "
            "Pass the images as they were before preprocess_input or any standardisation."
        )
    if 0 < high <= 1 and x.dtype.kind == "f":
        raise ValueError(
            f"Images must be 0..255 RGB: the model scales them itself. {received} "
            "Multiply by 255, or leave out the division."
        )


def count_samples(x) -> int:
    """Return how many samples an array, or a list or dictionary of arrays, has."""
    return len(keras.tree.flatten(x)[0])


def to_array(x, name: str = "x"):
    """Return something with a shape and rows: arrays and tensors as they are, all else converted.

    Raises:
        ValueError: sparse or ragged data; rows of several lengths; a single value.
    """
    kind = type(x).__name__
    if hasattr(x, "toarray") or kind in ("SparseTensor", "RaggedTensor"):
        cure = f"{name}.toarray()" if hasattr(x, "toarray") else f"{name}.to_tensor()"
        raise ValueError(f"`{name}` must be dense. Received: {kind}. Make it so: {cure}.")
    if hasattr(x, "to_numpy"):  # a table or one column of it
        x = x.to_numpy()
    if not hasattr(x, "shape"):
        x = _converted(x, name)
    if not len(x.shape):
        raise ValueError(
            f"`{name}` must hold samples, one in each row. Received: a single {kind}. Use a list "
            "or an array."
        )
    return x


def _converted(x, name: str) -> np.ndarray:
    try:
        rows = [np.asarray(row) for row in x] if isinstance(x, list | tuple) else x
        return np.asarray(rows)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"`{name}` must be an array, or rows of one shape. Received: {type(x).__name__} "
            f"({error}). Pad or resize the rows, then np.stack them."
        ) from None


def check_tokens(model: keras.Model, x) -> None:
    """Refuse texts, and parts of other shapes, for a model that takes a dictionary.

    Raises:
        ValueError: not a dictionary with exactly the model's inputs (Keras would take them in the
            wrong order), of one number of samples, each of the shape that the model takes.
    """
    wanted = getattr(model, "input", None) if getattr(model, "inputs", None) else None
    if not isinstance(wanted, dict):
        return
    if not isinstance(x, dict) or set(wanted) != set(x):
        received = ", ".join(x) if isinstance(x, dict) else f"type {type(x).__name__}"
        raise ValueError(
            f"A dictionary of {', '.join(wanted)} is required. Received: {received}. "
            "Turn texts into it: bert.preprocessor(sequence_length)(texts)."
        )
    lengths = {name: len(part) for name, part in x.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"Arrays of one length are required. Received: {lengths}.")
    for name, tensor in wanted.items():
        shape, given = (None, *tensor.shape[1:]), tuple(np.shape(x[name]))
        if len(shape) == len(given) and not fits(given, shape):
            raise ValueError(
                f"{name} of shape {shown(shape[1:])} is required. Received: shape={given}. Turn "
                "texts into as many tokens with bert.preprocessor(sequence_length), or build the "
                "model for any length, with sequence_length=None."
            )


def check_labels(y, num_classes: int | None = None, n: int | None = None) -> np.ndarray:
    """Return one integer class label per sample as an array `(n,)`, and refuse anything else.

    Args:
        y: labels, shape `(n,)`, integers from 0.
        num_classes, n: above every label, and how many labels there must be, when given.

    Raises:
        ValueError: no labels; one-hot or column labels; not integers; below 0 or not below
            `num_classes`; another number than `n`.
    """
    y = np.asarray(keras.ops.convert_to_numpy(y) if keras.ops.is_tensor(y) else y)
    required = "Labels must be integers of shape (n,)."
    if y.ndim != 1:
        cure = " Flatten them: np.ravel(y)." if y.ndim == 2 else ""
        if y.ndim == 2 and y.shape[1] > 1:
            cure = " If they are one-hot, turn them into integers: np.argmax(y, axis=-1)."
        raise ValueError(f"{required} Received: shape={y.shape}.{cure}")
    if n is not None and len(y) != n:
        raise ValueError(f"One label per sample is needed. Received: {n} samples, {len(y)} labels.")
    if not len(y):
        raise ValueError("At least one label is needed. Received: an empty array.")
    if y.dtype.kind not in "iu":
        raise ValueError(
            f"{required} Received: dtype={y.dtype}. Convert them: y.astype('int64') for whole "
            "numbers, np.unique(y, return_inverse=True)[1] for names."
        )
    low, high = int(y.min()), int(y.max())
    if low < 0 or (num_classes is not None and high >= num_classes):
        top = "from 0 on" if num_classes is None else f"in 0..{num_classes - 1}"
        raise ValueError(
            f"Labels must be {top}. Received: labels in {low}..{high}. "
            "Number the classes from 0: np.unique(y, return_inverse=True)[1]."
        )
    return y


def as_classes(y: np.ndarray) -> np.ndarray:
    """Return a column as `(n,)`, and whole floats and booleans as integers; else `y` as it is."""
    y = np.ravel(y) if y.ndim == 2 and y.shape[1] == 1 else y
    whole = y.dtype.kind == "f" and np.isfinite(y).all() and np.array_equal(y, np.round(y))
    return y.astype("int64") if whole or y.dtype.kind == "b" else y
