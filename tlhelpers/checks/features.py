"""What every score asks of its arrays: a finite matrix, a label per row, more than one class."""

from tlhelpers.checks.data import check_labels

import keras
import numpy as np

_AT_ONCE = 2**20  # numbers


def to_numpy(x) -> np.ndarray:
    """Return an array or a Keras tensor as a numpy array; bfloat16, unknown to it, as float32."""
    x = np.asarray(keras.ops.convert_to_numpy(x) if keras.ops.is_tensor(x) else x)
    return x.astype("float32") if x.dtype.name == "bfloat16" else x


def is_finite(x) -> bool:
    """Say whether `check_samples` would call these real numbers finite."""
    return not _bad_rows(np.atleast_1d(to_numpy(x))).any()


def _bad_rows(x: np.ndarray) -> np.ndarray:
    """Return which rows hold a number that is not finite; a copy of some rows is made at a time."""
    bad = np.zeros(len(x), bool)
    for rows in _some_rows(x):
        with np.errstate(over="ignore"):  # 1e100 is infinity in float32
            fine = np.abs(x[rows]) < 1e100
        bad[rows] = ~fine.reshape(len(fine), -1).all(axis=1)
    return bad


def _some_rows(x: np.ndarray) -> list[slice]:
    step = max(_AT_ONCE * len(x) // max(x.size, 1), 1)
    return [slice(start, start + step) for start in range(0, len(x), step)]


def check_samples(x, name: str, rows: int = 1) -> np.ndarray:
    """Return samples `(n, ...)` as a numpy array, or refuse them.

    Refused are too few rows, no column, and what is not real and finite, such as numbers beyond
    1e100: their squares would be infinite.
    """
    x = to_numpy(x)
    if x.ndim < 2 or x.dtype.kind not in "iufb":
        raise ValueError(
            f"`{name}` must be an array of real numbers, one sample per row. Received: {name} of "
            f"shape {x.shape} and dtype {x.dtype}. Pass the samples alone, as the model takes them."
        )
    if len(x) < rows or 0 in x.shape[1:]:
        raise ValueError(
            f"`{name}` must have at least {rows} rows and a column. Received: {name} of shape "
            f"{x.shape}. Take more samples."
        )
    bad = _bad_rows(x)
    if bad.any():
        raise ValueError(
            f"`{name}` must be finite. Received: {name} with NaN, infinity or values over 1e100 in "
            f"{bad.sum():,} of {len(x):,} rows, first in row {bad.argmax()}. Look there or drop it."
        )
    return x


def check_features(x, name: str = "features", rows: int = 2) -> np.ndarray:
    """Return a float64 copy of a finite matrix `(n, D)`; see `to_matrix` and `check_varied`.

    Columns may be constant or equal to each other, as units of a ReLU network often are.
    """
    x = to_matrix(x, name, rows)
    check_varied(**{name: x})
    return x


def to_matrix(x, name: str, rows: int) -> np.ndarray:
    """Return a float64 copy of a finite matrix `(n, D)`, or refuse it; see `check_samples`."""
    return check_matrix(x, name, rows).astype("float64")


def check_matrix(x, name: str, rows: int) -> np.ndarray:
    """Return a finite matrix `(n, D)` as it is, of any real type, or refuse it."""
    x = to_numpy(x)
    if x.ndim != 2:
        cure = "Flatten them: x.reshape(len(x), -1), or pool feature maps: x.mean(axis=(1, 2))."
        cure = cure if x.ndim > 2 else "Are these labels? Name the arguments."
        raise ValueError(
            f"`{name}` must have shape (n, D). Received: {name} of shape {x.shape}. {cure}"
        )
    return check_samples(x, name, rows)


def check_varied(**matrices: np.ndarray) -> None:
    """Refuse matrices, given by name, of which all rows, over all of them, are the same."""
    first = next(iter(matrices.values()))[0]
    if all((x[rows] == first).all() for x in matrices.values() for rows in _some_rows(x)):
        names = " and ".join(f"`{name}`" for name in matrices)
        raise ValueError(
            f"{names} must differ between samples. Received: {sum(map(len, matrices.values())):,} "
            "rows, all the same. Look at the inputs and their scale: the network sees nothing."
        )


def check_classes(labels, n: int) -> np.ndarray:
    """Return integer labels `(n,)` as 0, 1, 2, ... without gaps; refuse a single class.

    Example:
        >>> check_classes([7, 3, 7], n=3)
        array([1, 0, 1])
    """
    classes, labels = np.unique(check_labels(to_numpy(labels), n=n), return_inverse=True)
    if len(classes) < 2:
        raise ValueError(
            f"`labels` must have at least two classes. Received: labels={classes[0]}, {n} times. "
            "Draw the subset from the whole set: it may be sorted by class."
        )
    return labels
