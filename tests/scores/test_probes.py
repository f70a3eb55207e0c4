"""Probes against brute force, and against data on which they must be at chance."""

from tlhelpers.scores.classification import wilson_interval
from tlhelpers.scores.probes import knn_probe, linear_probe

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

PROBES = [knn_probe, linear_probe]
each_probe = pytest.mark.parametrize("probe", PROBES, ids=lambda p: p.__name__)


def blobs(seed=0, n=60, d=3, apart=0.0):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % 3)
    return rng.normal(size=(n, d)) + apart * np.eye(3, d)[labels], labels


@each_probe
def test_separate_classes_are_told_apart_and_noise_is_not(probe):
    x, y = blobs(n=90, apart=20)
    assert probe(features=x, labels=y).accuracy == 1
    x, y = blobs(n=150, d=300)  # a line through the training part would fit it without a mistake
    noise = probe(features=x, labels=y)
    assert noise.interval[0] < 1 / 3 < noise.interval[1]


@each_probe
@settings(deadline=None, max_examples=15, derandomize=True)
@given(st.integers(0, 10**6))
def test_a_probe_is_an_accuracy_with_its_wilson_interval(probe, seed):
    x, y = blobs(seed, apart=1.5)
    found = probe(features=x, labels=y)
    assert float(found) == found.accuracy == pytest.approx(round(found.accuracy * 60) / 60)
    assert found.interval == wilson_interval(round(found.accuracy * 60), 60)
    assert found == probe(features=x, labels=y)
    assert str(found).startswith(f"{found.accuracy:.3f} (95 %") and "60 samples" in str(found)


@settings(deadline=None, max_examples=15, derandomize=True)
@given(st.integers(0, 10**6), st.integers(1, 59))
def test_the_nearest_neighbours_vote(seed, neighbors):
    x, y = blobs(seed, apart=1.5)
    right = 0
    for i in range(len(x)):
        order = np.argsort(np.linalg.norm(x - x[i], axis=1))
        voters = [y[j] for j in order if j != i][:neighbors]
        most = max(voters.count(c) for c in set(voters))
        tied = {c for c in set(voters) if voters.count(c) == most}
        if len(tied) == 1:
            right += tied == {y[i]}
        else:  # the class whose votes come, on average, from nearer places
            places = {c: sum(p for p, v in enumerate(voters) if v == c) for c in tied}
            right += min(sorted(places), key=places.get) == y[i]
    assert knn_probe(features=x, labels=y, neighbors=neighbors).accuracy == pytest.approx(
        right / 60
    )


def test_copies_of_a_sample_do_not_stop_the_neighbours():
    x, y = blobs(apart=20)
    assert knn_probe(features=np.repeat(x, 3, axis=0), labels=np.repeat(y, 3)).accuracy == 1


def test_a_rare_class_gets_as_many_folds_as_it_has_samples():
    x, y = blobs(n=31, apart=20)
    rare = np.where(y == 2, 1, y)
    rare[np.flatnonzero(y == 2)[:2]] = 2
    assert 0 < linear_probe(features=x, labels=rare).accuracy <= 1
    rare[np.flatnonzero(rare == 2)[0]] = 1
    with pytest.raises(
        ValueError, match=r"`labels` must have at least 2 samples of each class.*Received"
    ):
        linear_probe(features=x, labels=rare)


@each_probe
def test_dead_units_and_more_features_than_samples_are_fine(probe):
    x, y = blobs(n=30, d=80)
    x += 20 * np.random.default_rng(1).normal(size=(3, 80))[y]
    x[:, 5:9], x[:, 10] = 0, x[:, 11]
    assert probe(features=x, labels=y).accuracy == 1


@each_probe
def test_bad_input_says_what_to_do(probe):
    x, y = blobs()
    for features, labels, says in [
        (y, x, "Name the arguments"),
        (x * np.nan, y, "NaN"),
        (x * 0, y, "all the same"),
        (x, y * 0, "two classes"),
        (x, y[1:], "60 samples, 59 labels"),
        (x[:1], y[:1], "at least 2 rows"),
    ]:
        with pytest.raises(ValueError, match=says):
            probe(features=features, labels=labels)


@settings(deadline=None, max_examples=5, derandomize=True)
@given(st.integers(2, 9))
def test_counts_may_be_numbers_of_numpy(count):
    x, y = blobs(apart=1.5)
    for probe, name in ((knn_probe, "neighbors"), (linear_probe, "folds")):
        found = probe(features=x, labels=y, **{name: np.int32(count)})
        assert found == probe(features=x, labels=y, **{name: count})


@pytest.mark.parametrize("value", [0, -1, 2.5, True, "5", 61])
def test_counts_are_integers_in_range(value):
    x, y = blobs()
    with pytest.raises(
        ValueError, match=r"`neighbors` must be a whole number between 1 and 59. Received"
    ):
        knn_probe(features=x, labels=y, neighbors=value)
    with pytest.raises(
        ValueError, match=r"`folds` must be a whole number between 2 and 60. Received"
    ):
        linear_probe(features=x, labels=y, folds=value)
