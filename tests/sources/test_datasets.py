from tlhelpers.sources import datasets
from tlhelpers.sources.datasets import choose_stratified, load_dataset
from tlhelpers.sources.mnist_m import make_mnist_m
from tlhelpers.sources.origins import Pool

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.fixture(autouse=True)
def nothing_prepared(tmp_path, monkeypatch):
    monkeypatch.setenv("TL_OFFLINE", "1")
    monkeypatch.setenv("TL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))


def keys(x):
    return {sample.tobytes() for sample in x}


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("cifar10", (32, 32, 3)),
        ("fashion_mnist", (28, 28, 1)),
        ("mnist", (28, 28, 1)),
        ("mnist_m", (28, 28, 3)),
    ],
)
def test_images(name, shape, capsys):
    data = load_dataset(name, train=200, test=50)
    assert data.x_train.shape == (200, *shape) and data.x_test.shape == (50, *shape)
    assert data.x_train.dtype == np.uint8 and data.y_train.dtype == np.int64
    np.testing.assert_array_equal(np.bincount(data.y_train), [20] * 10)
    np.testing.assert_array_equal(np.bincount(data.y_test), [5] * 10)
    assert len(data.class_names) == 10 and data.is_stand_in and data.name == name
    assert data.origin.startswith("stand-in") and "not prepared" in data.origin
    said = capsys.readouterr().out
    assert said == f"{name}: {data.origin}\n" and "/" not in said.replace("data/", "")
    assert "200 train, 50 test" in repr(data) and len(repr(data)) < 120
    assert not keys(data.x_train) & keys(data.x_test)


def test_cifar_stand_in_is_padded_fashion_mnist():
    fashion = load_dataset("fashion_mnist", 100, 50, seed=2)
    cifar = load_dataset("cifar10", 100, 50, seed=2)
    assert cifar.class_names == fashion.class_names
    np.testing.assert_array_equal(cifar.y_test, fashion.y_test)
    for channel in range(3):
        inner = cifar.x_train[:, 2:30, 2:30, channel]
        np.testing.assert_array_equal(inner, fashion.x_train[..., 0])
    frame = cifar.x_train.astype(int).sum() - 3 * fashion.x_train.astype(int).sum()
    assert frame == 0


def test_everything_there_is():
    data = load_dataset("mnist")
    assert len(data.y_train) == 12_000 and len(data.y_test) == 3_000
    assert not keys(data.x_train) & keys(data.x_test)


def test_data_set_is_frozen():
    data = load_dataset("mnist", 10, 10)
    with pytest.raises(AttributeError):
        data.x_train = None


def test_subset_depends_on_the_seed_alone():
    first, again, other = (load_dataset("mnist", 60, 20, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first.x_train, again.x_train)
    np.testing.assert_array_equal(first.y_test, again.y_test)
    assert keys(first.x_train) != keys(other.x_train)


def test_larger_subset_contains_the_smaller():
    small, large = (load_dataset("mnist", n, n // 2, seed=4) for n in (57, 230))
    assert keys(small.x_train) < keys(large.x_train)
    assert keys(small.x_test) < keys(large.x_test)


def test_mnist_m_takes_other_digits_and_separate_backgrounds(monkeypatch):
    taken = {}

    def remember(x, ids, seed, region):
        taken[region] = keys(x)
        return np.zeros((len(x), 28, 28, 3), "uint8")

    monkeypatch.setattr(datasets, "blend", remember)
    load_dataset("mnist_m", 6000, 1500)
    source = load_dataset("mnist", 6000, 1500)
    assert not taken[0.0, 0.7] & keys(source.x_train)
    assert not taken[0.7, 1.0] & keys(source.x_test)
    assert len(taken[0.0, 0.7]) == 6000


def test_mnist_m_is_what_make_mnist_m_makes(monkeypatch):
    digits = np.random.default_rng(0).integers(0, 256, (30, 28, 28, 1)).astype("uint8")
    y = np.arange(30) % 10
    pool = Pool((digits, y), (digits, y), tuple("0123456789"), "here")
    monkeypatch.setattr(datasets, "find_pool", lambda name: pool)
    data = load_dataset("mnist_m", seed=5)
    assert keys(data.x_train) == keys(make_mnist_m(digits, 5, (0.0, 0.7)))
    assert keys(data.x_test) == keys(make_mnist_m(digits, 5, (0.7, 1.0)))


@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=6),
    st.floats(0, 1),
    st.integers(0, 2**32 - 1),
    st.booleans(),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_choice_keeps_every_share_within_one(counts, fraction, seed, last):
    y = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    size = round(fraction * len(y))
    chosen = choose_stratified(y, size, seed, last)
    assert len(set(chosen)) == len(chosen) == size
    shares = np.bincount(y[chosen], minlength=len(counts))
    assert (np.abs(shares - size * np.array(counts) / len(y)) < 1 + 1e-9).all()
    more = choose_stratified(y, min(len(y), size + 3), seed, last)
    assert set(chosen) <= set(more)


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize("size", [0, -1, 9, 12_001, 1e3, "10", True])
def test_bad_sizes(part, size):
    with pytest.raises(
        ValueError, match=rf"`{part}` must .* between 10 and \d+\. Received.*{part}=None"
    ):
        load_dataset("mnist", **{part: size})


def test_bad_name_and_seed():
    with pytest.raises(ValueError, match=r"Received: name='cifar'\. Did you mean 'cifar10'"):
        load_dataset("cifar")
    with pytest.raises(ValueError, match=r"Received: seed=-1"):
        load_dataset("mnist", seed=-1)
