import inspect

import tlhelpers as tl

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

v = tl.validators
few = settings(max_examples=25, deadline=None, derandomize=True)
ON_TARGET = [v.entropy, v.diversity, v.information_maximization, v.soft_neighborhood_density]


def softmax(x):
    p = np.exp(x - x.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


def logits(n=30, classes=4, seed=0, scale=3.0):
    return np.random.default_rng(seed).normal(size=(n, classes)) * scale


UNIFORM, SURE = np.full((6, 3), 1 / 3), np.eye(3)[[0, 1, 2, 0, 1, 2]]


def test_entropy_and_diversity_closed_forms():
    assert v.entropy(UNIFORM) == pytest.approx(-np.log(3))
    assert v.entropy(SURE) == 0
    assert v.diversity(SURE) == pytest.approx(np.log(3))
    assert v.diversity(SURE[:1]) == 0
    assert v.entropy([[0.5, 0.5, 0.0]]) == pytest.approx(-np.log(2))


def test_information_maximization_wants_sure_and_different_predictions():
    assert v.information_maximization(SURE) == pytest.approx(np.log(3))
    assert v.information_maximization(UNIFORM) == pytest.approx(0)
    assert v.information_maximization(np.eye(3)[[1] * 6]) == pytest.approx(0)


@few
@given(st.integers(3, 40), st.integers(2, 6), st.integers(0, 99))
def test_against_scipy_and_logits_as_probabilities(n, classes, seed):
    from scipy.stats import entropy

    z = logits(n, classes, seed)
    p = softmax(z)
    assert v.entropy(z) == pytest.approx(-entropy(p, axis=1).mean())
    assert v.diversity(z) == pytest.approx(entropy(p.mean(0)))
    for score in ON_TARGET:
        assert score(z) == pytest.approx(score(p), abs=1e-9)
        assert score(z[::-1]) == pytest.approx(score(z))  # the order of samples is nothing
        assert score(z[:, ::-1]) == pytest.approx(score(z))  # nor that of classes


@few
@given(st.integers(3, 30), st.integers(0, 99))
def test_soft_neighborhood_density_against_a_loop(n, seed):
    p = softmax(logits(n, 4, seed))
    f = p / np.sqrt((p**2).sum(1, keepdims=True))
    total = 0
    for i in range(n):
        weights = np.array([np.exp(f[i] @ f[j] / 0.05) for j in range(n) if j != i])
        weights /= weights.sum()
        total -= (weights * np.log(np.where(weights > 0, weights, 1))).sum()
    assert v.soft_neighborhood_density(p) == pytest.approx(total / n)


def test_soft_neighborhood_density_in_blocks_and_at_its_maximum(monkeypatch):
    p = softmax(logits(50))
    whole = v.soft_neighborhood_density(p)
    monkeypatch.setattr(v, "BLOCK", 7)
    assert v.soft_neighborhood_density(p) == pytest.approx(whole)
    assert v.soft_neighborhood_density(UNIFORM) == pytest.approx(np.log(5))
    pairs = np.eye(3)[[0, 0, 1, 1, 2, 2]]  # one near neighbour each: log 1
    assert v.soft_neighborhood_density(pairs) == pytest.approx(0, abs=1e-5)


def test_source_accuracy_counts():
    assert v.source_accuracy(SURE, [0, 1, 2, 0, 1, 1]) == pytest.approx(5 / 6)


def blobs(seed, shift=0.0, n=60):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    return np.eye(3)[y] * 4 + rng.normal(size=(n, 3)) * 0.3 + shift, y


def test_reverse_validation_rewards_right_predictions():
    (source, labels), (target, truth) = blobs(0), blobs(1)
    arguments = {"source_features": source, "source_labels": labels, "target_features": target}
    assert v.reverse_validation(**arguments, predictions=np.eye(3)[truth]) == 1
    assert v.reverse_validation(**arguments, predictions=np.eye(3)[(truth + 1) % 3]) == 0
    assert v.reverse_validation(**arguments, predictions=np.eye(3)[[2] * 60]) == 1 / 3


@pytest.mark.parametrize("constant", ["source_features", "target_features"])
def test_reverse_validation_of_constant_features_is_the_share_of_the_class_predicted_most(constant):
    (source, labels), (target, _) = blobs(0), blobs(1)
    arguments = {"source_features": source, "source_labels": labels, "target_features": target}
    arguments[constant] = np.ones_like(arguments[constant])
    labels[:] = np.arange(len(labels)) % 4 == 0  # 1 for a quarter
    predictions = np.eye(3)[(np.arange(len(target)) % 3 > 0).astype(int)]  # mostly 1
    assert v.reverse_validation(**arguments, predictions=predictions) == labels.mean()


def test_probabilities_in_bfloat16_are_no_logits():
    p = np.random.default_rng(0).dirichlet(np.ones(3), 200)
    rounded = keras.ops.cast(p, "bfloat16")
    sums = keras.ops.convert_to_numpy(rounded).astype("float64").sum(axis=1)
    assert np.abs(sums - 1).max() > 1e-3
    assert v.entropy(rounded) == pytest.approx(v.entropy(p), abs=2e-3)


@pytest.mark.parametrize("score", ON_TARGET)
def test_higher_is_better_as_predictions_grow_sure(score):
    if score is v.diversity:
        scores = [score(softmax(logits()) * a + np.eye(4)[0] * (1 - a)) for a in (0.2, 0.6, 1)]
    elif score is v.soft_neighborhood_density:
        centres = np.eye(4)[np.arange(40) % 4]
        scores = [score(softmax(centres * 9 + logits(40, scale=s))) for s in (6, 3, 0.5)]
    else:
        scores = [score(logits(scale=s)) for s in (0.1, 1, 10)]
    assert scores == sorted(scores) and scores[0] < scores[-1]


@pytest.mark.parametrize("score", [*ON_TARGET, v.source_accuracy, v.reverse_validation])
def test_no_target_label_has_a_place(score):
    names = set(inspect.signature(score).parameters)
    allowed = {"predictions", "temperature", "labels"}
    assert names <= allowed | {"source_features", "source_labels", "target_features"}
    assert ("labels" in names) == (score is v.source_accuracy)


@pytest.mark.parametrize("score", ON_TARGET)
@pytest.mark.parametrize(
    ("predictions", "message"),
    [
        (np.zeros(5), r"`predictions` must have shape \(n, D\)\. Received.*Name"),
        (np.zeros((5, 1)), "`predictions` must have a column per class, two or more. Received"),
        (np.zeros((0, 3)), "at least"),
        (np.full((5, 2), np.nan), "finite"),
        ([["a", "b"]] * 3, "real numbers"),
    ],
)
def test_bad_predictions(score, predictions, message):
    with pytest.raises(ValueError, match=message):
        score(predictions)


def test_other_bad_arguments():
    with pytest.raises(ValueError, match=r"`temperature` must be.*Received: temperature=0"):
        v.soft_neighborhood_density(SURE, temperature=0)
    with pytest.raises(ValueError, match="at least 3 rows"):
        v.soft_neighborhood_density(SURE[:2])
    with pytest.raises(ValueError, match="5"):
        v.source_accuracy(SURE, [0, 1, 2, 0, 1])
    source, labels = blobs(0)
    good = {"source_features": source, "source_labels": labels, "target_features": source}
    for bad in ({"target_features": source[:, :2]}, {"predictions": SURE}):
        with pytest.raises(ValueError, match=r"must have the same columns.*Received.*one encoder"):
            v.reverse_validation(**{**good, "predictions": np.eye(3)[labels], **bad})
    with pytest.raises(ValueError, match="label"):
        v.reverse_validation(**good | {"source_labels": labels + 1}, predictions=np.eye(3)[labels])
