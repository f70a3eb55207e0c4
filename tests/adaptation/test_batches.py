import inspect
import pickle

import tlhelpers as tl

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st


def rows(n, start=0):
    """Samples that carry their own number."""
    return (start + np.arange(n, dtype="float32"))[:, None]


def make(n, m, batch_size, **kwargs):
    return tl.paired_batches(rows(n), np.arange(n), rows(m, 10_000), batch_size, **kwargs)


def pairs():
    sizes = st.tuples(st.integers(1, 120), st.integers(1, 120), st.integers(1, 30))
    return sizes.filter(lambda s: 2 * min(s[:2]) >= s[2] <= max(s[:2]))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(pairs(), st.integers(0, 2**32 - 1))
def test_an_epoch_passes_the_larger_set_once_and_the_smaller_evenly(sizes, seed):
    n, m, batch_size = sizes
    batches = make(n, m, batch_size, seed=seed)
    assert len(batches) == max(n, m) // batch_size
    for _ in range(2):
        seen = list(batches)
        assert len(seen) == len(batches)
        for x, y in seen:
            assert len(x["source"]) == len(x["target"]) == len(y) == batch_size
            np.testing.assert_array_equal(x["source"][:, 0], y)  # labels go with their samples
        for size, name, start in ((n, "source", 0), (m, "target", 10_000)):
            drawn = np.concatenate([x[name][:, 0] for x, _ in seen]) - start
            counts = np.bincount(drawn.astype(int), minlength=size)
            assert len(counts) == size and np.ptp(counts) <= 1
            if size == max(n, m):
                assert counts.max() == 1


@pytest.mark.parametrize(("n", "m"), [(500, 10), (10, 500)])
def test_fifty_to_one(n, m):
    batches = make(n, m, 10)
    assert len(list(batches)) == len(batches) == 50


def test_each_pass_of_the_smaller_set_has_a_new_order():
    drawn = [x["target"][:, 0].tolist() for x, _ in make(100, 20, 20)]
    assert len({tuple(order) for order in drawn}) == 5
    assert all(sorted(order) == sorted(drawn[0]) for order in drawn)


def orders(batches, epochs):
    return [
        [(x["source"].tolist(), x["target"].tolist()) for x, _ in batches] for _ in range(epochs)
    ]


def test_seed_and_epoch_give_the_order_and_nothing_else():
    first = orders(make(50, 30, 10, seed=4), 2)
    np.random.seed(1)
    assert orders(make(50, 30, 10, seed=4), 2) == first
    assert first[0] != first[1]
    assert orders(make(50, 30, 10, seed=5), 1)[0] != first[0]


def test_an_epoch_can_be_started_at():
    batches = make(50, 30, 10)
    first, second, third = orders(batches, 3)
    batches.start_at(1)
    assert orders(batches, 2) == [second, third]
    batches.start_at(0)
    assert orders(batches, 1) == [first]


def test_the_order_of_the_source_does_not_depend_on_the_target():
    source = [[x["source"].tolist() for x, _ in make(50, m, 10)] for m in (20, 50)]
    assert source[0] == source[1]


def test_the_arrays_are_not_changed():
    x, y, target = rows(20), np.arange(20), rows(20)
    kept = [a.copy() for a in (x, y, target)]
    list(tl.paired_batches(x, y, target, 5, augment=lambda images, rng: images * 2))
    for a, b in zip((x, y, target), kept, strict=True):
        np.testing.assert_array_equal(a, b)


def test_augment_changes_the_source_only_and_by_the_seed():
    def shift(images, rng):
        return images + rng.integers(1000, 2000, (len(images), 1))

    plain = list(make(20, 20, 10))
    once, again = list(make(20, 20, 10, augment=shift)), list(make(20, 20, 10, augment=shift))
    for (x, _), (a, _), (b, _) in zip(plain, once, again, strict=True):
        assert (a["source"] - x["source"] >= 1000).all()
        np.testing.assert_array_equal(a["source"], b["source"])
        np.testing.assert_array_equal(a["target"], x["target"])


def test_bytes_stay_bytes():
    x = np.zeros((20, 4, 4, 3), "uint8")
    batch = tl.paired_batches(x, np.arange(20), x, 10)[0][0]
    assert batch["source"].dtype == batch["target"].dtype == np.uint8


def test_they_pickle_before_and_after_use():
    def drawn(batches):
        return [[x["source"].tolist(), x["target"].tolist(), y.tolist()] for x, y in batches]

    batches = make(50, 30, 10, seed=4)
    for _ in range(2):
        copy = pickle.loads(pickle.dumps(batches))
        assert drawn(copy) == drawn(batches)  # and both go on to the next epoch


def test_target_labels_have_a_place_of_their_own():
    assert list(inspect.signature(tl.paired_batches).parameters)[:4] == [
        "x_source", "y_source", "x_target", "batch_size",
    ]  # fmt: skip
    x, y = rows(20), np.arange(20)
    with pytest.raises(
        ValueError, match=r"`x_target` must be one array.*target labels play no part"
    ):
        tl.paired_batches(x, y, (x, y), 5)


X, Y = np.zeros((20, 4, 4, 1), "float32"), np.arange(20)
BROKEN = X.copy()
BROKEN[17, 1, 2, 0] = np.nan


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((X, Y, X[:0], 5), r"x_target`? must have at least 1 row.*Received: x_target of .*\(0, 4"),
        ((X[:0], Y[:0], X, 5), r"x_source`? must have at least 1 row.*Received: .*Take"),
        ((X, Y, X[:, :3], 5), r"one shape. Received: x_source \(4, 4, 1\), x_target \(3, 4, 1\)"),
        ((X, Y, BROKEN, 5), "x_target`? must be finite.*NaN, infinity .* in 1 of 20 .*row 17"),
        ((BROKEN, Y, X, 5), "x_source`? must be finite.*first in row 17. Look there or drop it"),
        ((X, Y[:19], X, 5), "19"),
        ((X, Y, Y, 5), r"x_target.*Received: shape=\(20,\), which looks like labels"),
        ((X, X, X, 5), "Labels must be integers"),
        ((X, np.eye(20), X, 5), "Labels must be integers"),
        ((X, Y, X.astype("uint8"), 5), "one type. Received: x_source float32, x_target uint8"),
        ((X, Y, X[:2], 5), "between 1 and 4. .*batch_size=5. There are 20 source and 2 target"),
        ((X[:2], Y[:2], X, 5), "between 1 and 4. Received: batch_size=5. There are 2 source"),
        ((X[:4], Y[:4], X[:3], 5), "between 1 and 4. .*the larger domain must fill a batch"),
        ((X, Y, X, 0), "`batch_size` must be .* between 1 and 20. .*batch_size=0"),
        ((X, Y, X, 2.5), "batch_size=2.5"),
        ((X, Y, X, True), "batch_size=True"),
        ((X.astype(str), Y, X, 5), "x_source`? must be an array of real numbers.*Received:"),
        ((X, Y, X, 5, -1), "seed"),
        ((X, Y, X, 5, 0, "flip"), "`augment` must be a function.*Received: augment='flip'. Use"),
    ],
)  # fmt: skip
def test_bad_input(arguments, message):
    with pytest.raises(ValueError, match=message):
        tl.paired_batches(*arguments)


def test_numpys_whole_numbers_are_welcome():
    assert len(tl.paired_batches(X, Y, X, np.int64(5), seed=np.uint8(3))) == 4


def test_augment_must_keep_the_range():
    images = np.full((20, 4, 4, 3), 200, "uint8")
    batches = tl.paired_batches(images, Y, images, 5, augment=lambda images, rng: images / 255)
    with pytest.raises(ValueError, match=r"range that it gets. Received: values up to 0.78.* 200"):
        batches[0]
    dark = tl.paired_batches(images // 200, Y, images, 5, augment=lambda images, rng: images * 1.0)
    assert dark[0][0]["source"].dtype == np.uint8


def test_augment_must_keep_the_shape():
    batches = tl.paired_batches(X, Y, X, 5, augment=lambda images, rng: images[:, :2])
    with pytest.raises(ValueError, match=r"same shape, \(5, 4, 4, 1\). Received: shape=\(5, 2"):
        batches[0]
