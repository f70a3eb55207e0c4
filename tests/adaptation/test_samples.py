"""Samples as arrays or dictionaries; labels and weights in every form that readers give them."""

from tlhelpers.adaptation.samples import (
    Watch,
    check_domain,
    check_pair,
    each,
    is_pair,
    to_weights,
)
from tlhelpers.checks.data import check_labels

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

TOKENS = {"ids": np.arange(12).reshape(4, 3), "length": np.array([3, 1, 2, 3])}


def test_each_goes_into_a_dictionary_and_no_further():
    assert each(len, TOKENS) == {"ids": 4, "length": 4}
    assert each(lambda a, b: a + b, [1], [2]) == [1, 2]


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({"source": 0, "target": 0}, True),
        ({"source": TOKENS, "target": TOKENS}, True),
        (TOKENS, False),
        ({"source": 0}, False),
        (TOKENS["ids"], False),
    ],
)
def test_a_pair_is_a_dictionary_of_both_domains(inputs, expected):
    assert is_pair(inputs) == expected


def test_parts_keep_their_types_and_may_be_one_number_per_sample():
    mask = np.ones((4, 3), bool)
    found = check_domain({**TOKENS, "mask": mask}, "x")
    assert [part.shape for part in found.values()] == [(4, 3), (4,), (4, 3)]
    assert found["mask"].dtype == bool and found["ids"].dtype == TOKENS["ids"].dtype


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ({}, r"`x` must have arrays of one length, one or more. Received: \{\}. Take"),
        ({**TOKENS, "mask": np.ones((3, 3))}, "one length.*'ids': 4, 'length': 4, 'mask': 3"),
        ({"ids": np.array(["a", "b"])}, r"`x\['ids'\]` must be an array of real numbers"),
        ({"ids": np.full((3, 2), np.nan)}, r"`x\['ids'\]` must be finite"),
        ({"ids": TOKENS["ids"][:0]}, r"`x\['ids'\]` must have at least 1 rows"),
    ],
)
def test_bad_dictionaries(x, message):
    with pytest.raises(ValueError, match=message):
        check_domain(x, "x")


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (TOKENS, TOKENS["ids"], "x_source of ids, length; x_target of one array. Make both alike"),
        (TOKENS, {"ids": TOKENS["ids"]}, "x_source of ids, length; x_target of ids"),
        (TOKENS, each(lambda part: part[:2], TOKENS), "Received: source=4, target=2. Use"),
        (TOKENS["ids"], TOKENS["ids"][:3], "Received: source=4, target=3. Use"),
    ],
)
def test_halves_must_be_alike(source, target, message):
    with pytest.raises(ValueError, match=message):
        check_pair({"source": source, "target": target})


def test_halves_of_unknown_size_may_be_alike():
    specs = [tf.TensorSpec((None, 3)), tf.TensorSpec(None), tf.TensorSpec((5, 3))]
    for spec in specs:
        check_pair({"source": spec, "target": specs[-1]})


@given(st.lists(st.integers(0, 4), min_size=1), st.booleans(), st.sampled_from(["i8", "u1", "f4"]))
def test_weights_mean_the_same_in_every_form(values, column, kind):
    given = np.array(values, kind)
    weights = to_weights(given[:, None] if column else given, len(values))
    assert weights.dtype == np.float32 and weights.tolist() == values


@pytest.mark.parametrize("shape", [(), (3,), (4, 2), (1, 4), (4, 1, 1)])
def test_weights_that_do_not_fit_are_refused(shape):
    with pytest.raises(ValueError, match=r"`sample_weight` must have shape \(n,\) or \(n, 1\)"):
        to_weights(np.ones(shape), 4)


def test_weights_must_be_numbers():
    with pytest.raises(ValueError, match=r"`sample_weight` must be numbers. Received: .*dtype"):
        to_weights(np.array(["a"] * 4), 4)


def dataset(y, *others):
    x = {"source": np.zeros((len(y), 2)), "target": np.ones((len(y), 2))}
    return tf.data.Dataset.from_tensor_slices((x, y, *others)).batch(2)


def test_a_watched_dataset_is_the_same_with_labels_and_weights_as_read():
    seen = []

    def read(x, y, weights, first):
        seen.append((is_pair(x), first))
        return y.ravel(), weights.ravel().astype("float32")

    watched = Watch(read, "int32").over(dataset([[0.0], [2.0], [1.0]], [[1], [2], [3]]))
    assert int(watched.cardinality()) == 2
    (pair, y, w), (_, last, _) = watched.as_numpy_iterator()
    assert pair["target"].shape == (2, 2) and seen == [(True, True), (True, False)]
    assert y.tolist() == [0, 2] and last.tolist() == [1] and w.tolist() == [1.0, 2.0]
    assert y.dtype == np.int32 and w.dtype == np.float32


def test_a_bad_batch_ends_it_with_the_error_that_was_meant():
    def read(x, y, weights, first):
        return check_labels(y, num_classes=2), weights

    good, seen = dataset([0, 1, 2, 1]), []
    refused = pytest.raises(ValueError, match=r"^Labels must be in 0\.\.1\. .* labels in 1\.\.2")
    with refused, Watch(read, "int32") as watch:
        seen += [y for _, y in watch.over(good)]
    with pytest.raises(KeyError), Watch(read, "int32"):
        raise KeyError  # of others: goes its way


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (tf.data.Dataset.range(3), "A dataset must give .x, y. or .*Received: elements TensorSpec"),
        (tf.data.Dataset.from_tensor_slices(([1], {"a": [1]})), "y and weights one array each"),
        (dataset([0, 1]).unbatch(), r"must give batches. Received: single samples.*\.batch\(64"),
    ],
)
def test_other_elements_are_refused(data, message):
    with pytest.raises(ValueError, match=message):
        Watch(print, "int32").over(data)
