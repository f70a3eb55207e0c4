"""Images, labels and tokens that a model would misread are refused with a cure."""

from tlhelpers.checks import data

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp


@given(
    hnp.arrays("uint8", st.tuples(*[st.integers(1, 4)] * 3, st.just(3))),
    st.sampled_from(["uint8", "float32", "int64"]),
)
@settings(max_examples=30, deadline=None, derandomize=True)
def test_bytes_are_always_accepted_unless_scaled(x, dtype):
    """Whatever a camera gives passes; the float copy does too, unless it looks like 0..1."""
    if dtype != "float32" or x.max() > 1 or x.max() == 0:
        data.check_images(x.astype(dtype))
    if x.max() > 0:
        with pytest.raises(ValueError, match=r"values in \[.*Multiply by 255"):
            data.check_images((x / 255).astype("float32"))
        with pytest.raises(ValueError, match="before preprocess_input"):
            data.check_images(x / 127.5 - 1 - 1e-3)


def test_dark_bytes_are_not_refused():
    data.check_images(np.full((2, 4, 4, 3), 1, "uint8"))
    data.check_images(keras.ops.ones((2, 4, 4, 3), "uint8"))


@pytest.mark.parametrize(
    ("x", "kwargs", "message"),
    [
        (np.zeros((0, 4, 4, 3), "uint8"), {}, r"one or more.*shape=\(0, 4, 4, 3\)"),
        (np.zeros((4, 4, 3), "uint8"), {}, r"shape \(n, any, any, 3\).*x\[None\]"),
        (np.zeros((2, 4, 4, 1), "uint8"), {}, "np.repeat"),
        (np.zeros((2, 4, 4, 3), "uint8"), {"input_shape": (8, 8, 3)}, "Resize"),
        (np.zeros((2, 4, 4, 3), "uint8"), {"input_shape": (None, None, 8, 3)}, "any, 8, 3"),
        (np.full((1, 4, 4, 3), np.nan), {}, "NaN"),
        (np.array([[[[0, 3, np.inf]]]]), {}, "infinity"),
        (np.full((1, 4, 4, 3), 256), {}, r"values in \[256, 256\]"),
        (np.full((1, 4, 4, 3), "a"), {}, "dtype=<U1"),
        (keras.ops.ones((1, 4, 4, 3)) / 2, {}, r"\[0.5, 0.5\].*Multiply by 255"),
    ],
)
def test_bad_images_are_refused(x, kwargs, message):
    with pytest.raises(ValueError, match=message):
        data.check_images(x, **kwargs)


def test_large_arrays_are_sampled_evenly(monkeypatch):
    monkeypatch.setattr(data, "_MOST_VALUES", 480)
    x = np.full((10, 4, 4, 3), 9.0)
    x[5] = -1
    with pytest.raises(ValueError, match=r"\[-1, 9\]"):
        data.check_images(np.repeat(x, 3, axis=0))


@pytest.mark.parametrize(
    ("y", "kwargs", "message"),
    [
        (np.eye(3), {}, "argmax"),
        (np.zeros((4, 1), int), {}, "np.ravel"),
        ([], {}, "empty"),
        ([0, 1], {"n": 3}, "3 samples, 2 labels"),
        ([0.0, 1.0], {}, "astype"),
        (["cat", "dog"], {}, "return_inverse"),
        ([0, 3], {"num_classes": 3}, r"in 0\.\.2. Received: labels in 0\.\.3"),
        ([-1, 0], {}, "from 0 on"),
    ],
)
def test_bad_labels_are_refused(y, kwargs, message):
    with pytest.raises(ValueError, match=message):
        data.check_labels(y, **kwargs)


def test_good_labels_come_back_as_an_array():
    y = data.check_labels(keras.ops.convert_to_tensor([2, 0, 1]), num_classes=3, n=3)
    np.testing.assert_array_equal(y, [2, 0, 1])


def of_tokens(length):
    inputs = {n: keras.Input((length,), dtype="int32", name=n) for n in ("mask", "token_ids")}
    embedded = keras.layers.Embedding(9, 2)(inputs["token_ids"] * inputs["mask"])
    return keras.Model(inputs, keras.layers.GlobalAveragePooling1D()(embedded))


def test_tokens_of_another_length_are_refused():
    def tokens(length, other=None):
        return {"mask": np.ones((2, other or length), int), "token_ids": np.ones((2, length), int)}

    data.check_tokens(of_tokens(16), tokens(16))
    data.check_tokens(of_tokens(16), {k: v.tolist() for k, v in tokens(16).items()})
    for length in (3, 24):
        data.check_tokens(of_tokens(None), tokens(length))
    for x in (tokens(24), tokens(16, 24), {k: keras.ops.array(v) for k, v in tokens(24).items()}):
        with pytest.raises(ValueError, match=r"mask of shape \(n, 16\) is.*\(2, 24\).*Turn"):
            data.check_tokens(of_tokens(16), x)
