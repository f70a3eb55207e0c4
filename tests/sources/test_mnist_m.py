from tlhelpers.sources.mnist_m import make_mnist_m

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st


def digits(n, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.integers(1, 256, (n, 28, 28)) * (rng.random((n, 28, 28)) < 0.2)
    return x.astype("uint8")


def test_ink_inverts_the_background_without_wrapping():
    """|p - 0| = p off the stroke and |p - 255| = 255 - p on it, for any grey of the ink."""
    ink = digits(20)
    blended = make_mnist_m(ink, seed=3)
    paper = make_mnist_m(np.zeros_like(ink), seed=3)
    np.testing.assert_array_equal(blended, np.where(ink[..., None] > 0, 255 - paper, paper))
    assert blended.dtype == np.uint8 and blended.shape == (20, 28, 28, 3)


def test_background_is_a_piece_of_a_photograph():
    from sklearn.datasets import load_sample_images

    photos = np.stack(load_sample_images().images)
    paper = make_mnist_m(np.zeros((3, 28, 28), "uint8"), seed=1)
    windows = np.lib.stride_tricks.sliding_window_view(photos, (28, 28), axis=(1, 2))
    for piece in paper:
        corners = (windows[:, :, :, :, 0, 0] == piece[0, 0]).all(-1)
        found = windows[corners].transpose(0, 2, 3, 1)
        assert (found == piece).all((1, 2, 3)).any()


@given(st.integers(1, 6), st.integers(0, 6), st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_first_results_do_not_depend_on_what_follows(n, more, seed):
    x = digits(n + more, seed=1)
    np.testing.assert_array_equal(make_mnist_m(x, seed)[:n], make_mnist_m(x[:n], seed))


def test_seed_alone_decides():
    x = digits(5)
    first = make_mnist_m(x, seed=7)
    np.random.seed(9)
    np.testing.assert_array_equal(first, make_mnist_m(x[..., None], seed=7))
    assert (first != make_mnist_m(x, seed=8)).mean() > 0.5
    assert make_mnist_m(x[:0]).shape == (0, 28, 28, 3)


def test_argument_is_not_changed():
    x = digits(4)
    before = x.copy()
    make_mnist_m(x)
    np.testing.assert_array_equal(x, before)


def test_regions_share_no_background():
    blank = np.zeros((300, 28, 28), "uint8")
    left = make_mnist_m(blank, 0, region=(0.0, 0.5))
    right = make_mnist_m(blank, 0, region=(0.5, 1.0))
    columns = [{x[:, i].tobytes() for x in part for i in range(28)} for part in (left, right)]
    assert len(columns[0]) > 1000 and not columns[0] & columns[1]


@pytest.mark.parametrize(
    ("x", "kwargs", "message"),
    [
        (np.zeros((2, 28, 28)), {}, "dtype=float64"),
        (np.zeros((2, 32, 32), "uint8"), {}, r"shape=\(2, 32, 32\)"),
        (np.zeros((28, 28), "uint8"), {}, r"shape=\(28, 28\)"),
        (np.zeros((2, 28, 28, 3), "uint8"), {}, "or \\(n, 28, 28, 1\\)"),
        (np.zeros((1, 28, 28), "uint8"), {"seed": -1}, "Received: seed=-1"),
        (np.zeros((1, 28, 28), "uint8"), {"region": (0.5, 0.52)}, "region="),
        (np.zeros((1, 28, 28), "uint8"), {"region": (0.5, 1.5)}, "region="),
    ],
)
def test_bad_arguments(x, kwargs, message):
    with pytest.raises(ValueError, match=message):
        make_mnist_m(x, **kwargs)
