"""What a score's arrays must be: which are taken, as what, and what is said of the others."""

import warnings

from tlhelpers.checks.features import check_features, check_samples, is_finite, to_matrix

import keras
import numpy as np
import pytest

TYPES = ["float16", "float32", "float64", "int64", "uint8", "bool"]


@pytest.mark.parametrize("dtype", TYPES)
def test_finite_samples_of_any_real_type_stay_as_they_are(dtype):
    x = np.arange(12).reshape(3, 2, 2).astype(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert check_samples(x, "x") is x and is_finite(x)


@pytest.mark.parametrize("dtype", TYPES[:3])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_counted_and_their_row_is_named(dtype, bad):
    x = np.ones((5, 2, 2), dtype)
    x[[2, 4], 0, 1] = bad
    assert not is_finite(x)
    with pytest.raises(
        ValueError, match=r"`x` must be finite\. Received: x .* 2 of 5 .* row 2\. L"
    ):
        check_samples(x, "x")


def test_numbers_whose_squares_would_overflow_are_not_finite():
    for x, fine in (([[9e99, 1.0]], True), ([[-2e100, 1.0]], False)):
        assert is_finite(x) == fine
    with pytest.raises(ValueError, match="1 of 1 rows"):
        to_matrix(x, "x", rows=1)


def test_a_matrix_is_a_float64_copy():
    x = np.array([[0.5, 1], [1, 2]])
    taken = check_features(x)
    taken += 1
    assert x[0, 0] == 0.5
    halves = check_features(keras.ops.cast(x, "bfloat16"))
    assert halves.dtype == "float64" and np.array_equal(halves, x)


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (
            np.zeros((0, 3)),
            r"`x` must have at least 2 rows and a column\. Received: x of .*\. Take",
        ),
        (
            np.zeros((4, 0)),
            r"`x` must have at least 2 rows and a column\. Received: x of .*\. Take",
        ),
        (np.zeros((4, 2, 2)), r"`x` must have shape \(n, D\)\. Received: x of .*\. Flatten"),
        (np.zeros(4), r"`x` must have shape \(n, D\)\. Received: x of .*\. .*Name the arguments"),
        ([["a"], ["b"]], r"`x` must be an array of real numbers.*Received: x of .*\. Pass"),
        (np.ones((4, 2)), r"`x` must differ between samples\. Received: 4 rows.*\. Look"),
    ],
)
def test_what_is_no_matrix_is_told_what_to_be(x, says):
    with pytest.raises(ValueError, match=says):
        check_features(x, "x")
