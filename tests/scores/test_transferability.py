"""Scores against brute force, closed forms and the values of other code."""

import inspect
import tracemalloc

from tlhelpers.scores.transferability import h_score, leep, logme, nce

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import multivariate_normal
from sklearn.covariance import LedoitWolf
from sklearn.datasets import load_digits

few = settings(deadline=None, max_examples=40, derandomize=True)
seeds = st.integers(0, 10**6)


@pytest.fixture(scope="module")
def digits():
    x, y = load_digits(return_X_y=True)
    x = x / 16
    return x, y, softmax(x @ np.sin(np.arange(448)).reshape(64, 7))


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def draw(seed, n=None, classes=None, d=None):
    """Features, labels with every class, and probabilities over some source classes."""
    rng = np.random.default_rng(seed)
    n, classes, d = n or rng.integers(6, 40), classes or rng.integers(2, 5), d or rng.integers(1, 8)
    labels = rng.permutation(np.arange(n) % classes)
    means = rng.normal(size=(classes, d)) * rng.uniform(0, 3)
    return means[labels] + rng.normal(size=(n, d)), labels, softmax(rng.normal(size=(n, 6)) * 2)


def entropy(labels):
    share = np.bincount(labels) / len(labels)
    return -(share[share > 0] * np.log(share[share > 0])).sum()


# LEEP and NCE


def leep_by_hand(theta, y):
    joint = {}
    for row, label in zip(theta, y, strict=True):
        for z, p in enumerate(row):
            joint[label, z] = joint.get((label, z), 0) + p / len(y)
    source = [sum(joint[label, z] for label in set(y)) for z in range(theta.shape[1])]
    total = 0
    for row, label in zip(theta, y, strict=True):
        total += np.log(sum(joint[label, z] / source[z] * p for z, p in enumerate(row) if p))
    return total / len(y)


def nce_by_hand(z, y):
    pairs = list(zip(z.tolist(), y.tolist(), strict=True))
    return sum(np.log(pairs.count(p) / (z == p[0]).sum()) for p in pairs) / len(y)


def test_leep_and_nce_of_the_digits(digits):
    _, y, theta = digits
    assert leep(source_probabilities=theta, labels=y) == pytest.approx(
        -1.978181466431894, abs=1e-12
    )
    assert nce(source_labels=theta.argmax(1), labels=y) == pytest.approx(
        -1.950414433781103, abs=1e-12
    )


@few
@given(seeds)
def test_leep_and_nce_are_what_their_formulas_say(seed):
    _, y, theta = draw(seed)
    z = theta.argmax(1)
    assert leep(source_probabilities=theta, labels=y) == pytest.approx(
        leep_by_hand(theta, y), rel=1e-9
    )
    assert nce(source_labels=z, labels=y) == pytest.approx(nce_by_hand(z, y), rel=1e-9, abs=1e-12)


@few
@given(seeds)
def test_leep_equals_nce_for_predictions_without_doubt(seed):
    _, y, theta = draw(seed)
    z = theta.argmax(1)
    assert leep(source_probabilities=np.eye(6)[z], labels=y) == pytest.approx(
        nce(source_labels=z, labels=y), rel=1e-12, abs=1e-12
    )


@few
@given(seeds)
def test_leep_and_nce_lie_between_knowing_nothing_and_everything(seed):
    _, y, theta = draw(seed)
    same = np.full_like(theta, 1 / 6)
    assert leep(source_probabilities=same, labels=y) == pytest.approx(-entropy(y))
    assert nce(source_labels=np.zeros_like(y), labels=y) == pytest.approx(-entropy(y))
    assert (
        leep(source_probabilities=np.eye(6)[5 - y], labels=y) == 0 == nce(source_labels=y, labels=y)
    )
    assert -entropy(y) - 1e-12 <= nce(source_labels=theta.argmax(1), labels=y) <= 0
    joint = np.stack([theta[y == c].sum(0) for c in range(y.max() + 1)])
    given_source, z, i = joint / joint.sum(0), theta.argmax(1), np.arange(len(y))
    bound = np.log(given_source[y, z]).mean() + np.log(theta[i, z]).mean()
    assert bound - 1e-12 <= leep(source_probabilities=theta, labels=y) <= 0


@few
@given(seeds)
def test_order_and_numbering_change_no_score(seed):
    x, y, theta = draw(seed, n=30, d=4)
    order = np.random.default_rng(seed).permutation(30)
    renamed = np.array([7, 3, 90, 0])[y]
    for score, on in [
        (leep, {"source_probabilities": theta}), (nce, {"source_labels": theta.argmax(1)}),
        (h_score, {"features": x}), (logme, {"features": x}),
    ]:  # fmt: skip
        shuffled = {name: value[order] for name, value in on.items()}
        assert score(**shuffled, labels=renamed[order]) == pytest.approx(
            score(**on, labels=y), rel=1e-8
        )


def test_leep_holds_little_memory_beyond_its_input():
    rng = np.random.default_rng(0)
    theta = rng.dirichlet(np.ones(100), size=40_000).astype("float32")
    y = rng.integers(0, 200, 40_000)
    tracemalloc.start()
    leep(source_probabilities=theta, labels=y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < theta.nbytes


def test_source_classes_that_are_never_predicted_count_for_nothing():
    theta = np.array([[1.0, 0, 0], [0.5, 0.5, 0], [0, 1, 0]])
    y = [0, 1, 1]
    assert leep(source_probabilities=theta, labels=y) == pytest.approx(
        leep(source_probabilities=theta[:, :2], labels=y)
    )


# H-score


def h_by_hand(x, y, shrunk=False):
    means = np.stack([x[y == c].mean(0) for c in range(y.max() + 1)])[y]
    between = np.atleast_2d(np.cov(means, rowvar=False))
    if shrunk:
        estimate = LedoitWolf().fit(x)
        return (1 - estimate.shrinkage_) * np.trace(np.linalg.pinv(estimate.covariance_) @ between)
    spread = np.atleast_2d(np.cov(x, rowvar=False))
    return np.trace(np.linalg.pinv(spread, rcond=1e-12) @ between)


def test_h_score_of_the_digits(digits):
    x, y, _ = digits
    assert h_score(features=x, labels=y) == pytest.approx(5.917909336695526, abs=1e-9)
    shrunk = h_score(features=x, labels=y, shrinkage=True)
    assert shrunk == pytest.approx(5.851432997953625, abs=1e-9)


@few
@given(seeds, st.booleans())
def test_h_score_is_what_its_formula_says(seed, shrinkage):
    x, y, _ = draw(seed, d=5 + seed % 30)
    x[:, 4] = x[:, 0]  # a covariance without an inverse
    by_hand = h_by_hand(x, y, shrinkage)
    assert h_score(features=x, labels=y, shrinkage=shrinkage) == pytest.approx(by_hand, rel=1e-6)


@few
@given(seeds)
def test_h_score_is_bounded_and_sees_no_linear_map(seed):
    x, y, _ = draw(seed, n=30, d=4)
    score = h_score(features=x, labels=y)
    mixed = x @ (np.random.default_rng(seed).normal(size=(4, 4)) + 3 * np.eye(4)) + 5
    assert 0 <= score <= min(4, y.max()) + 1e-9
    assert h_score(features=mixed, labels=y) == pytest.approx(score, rel=1e-6)
    shrunk = h_score(features=x, labels=y, shrinkage=True)
    assert h_score(features=x * 1e-3, labels=y, shrinkage=True) == pytest.approx(shrunk)


def test_h_score_in_closed_form():
    y = np.repeat([0, 1, 2], [5, 7, 9])
    assert h_score(features=np.eye(3)[y], labels=y) == pytest.approx(2)  # classes - 1
    x = np.array([0.0, 1, 2, 5, 7])  # two classes, one feature: between / all
    y = np.array([0, 0, 0, 1, 1])
    between = 3 * (1 - 3) ** 2 + 2 * (6 - 3) ** 2
    assert h_score(features=x[:, None], labels=y) == pytest.approx(between / ((x - 3) ** 2).sum())


def test_more_features_than_samples_need_shrinkage():
    rng = np.random.default_rng(0)
    noise, y = rng.normal(size=(20, 50)), np.arange(20) % 4
    assert h_score(features=noise, labels=y) == pytest.approx(3)
    assert h_score(features=noise, labels=y, shrinkage=True) < 1


# LogME


def evidence_by_hand(x, y):
    """Maximise the normal log-density of y, whose covariance is x x' / alpha + 1 / beta."""
    kernel, best = x @ x.T, -np.inf

    def minus(logs):
        cov = kernel * np.exp(logs[0]) + np.eye(len(y)) * np.exp(logs[1])
        return -multivariate_normal(cov=cov, allow_singular=False).logpdf(y)

    for start in [(0, 0), (-4, -2), (-8, -1)]:
        options = {"xatol": 1e-7, "fatol": 1e-10, "maxiter": 600}
        found = minimize(minus, start, method="Nelder-Mead", options=options)
        best = max(best, -found.fun)
    return best / len(y)


@pytest.mark.parametrize(
    "n, value", [(1797, 0.27027762738), (300, 0.311320717709), (40, -0.013088140390)]
)
def test_logme_of_the_digits(digits, n, value):
    x, y, _ = digits
    assert logme(features=x[:n], labels=y[:n]) == pytest.approx(value, abs=1e-10)


def test_logme_is_the_exact_evidence_for_fewer_images_than_features(digits):
    x, y, _ = digits
    x, y = x[:40], y[:40]
    each = [evidence_by_hand(x, (y == c).astype(float)) for c in range(10)]
    assert logme(features=x, labels=y) == pytest.approx(np.mean(each), abs=1e-6)


@settings(deadline=None, max_examples=8, derandomize=True)
@given(seeds)
def test_logme_is_the_exact_evidence(seed):
    x, y, _ = draw(seed, n=14, classes=2, d=1 + seed % 20)
    each = [evidence_by_hand(x, (y == c).astype(float)) for c in range(2)]
    assert logme(features=x, labels=y) == pytest.approx(np.mean(each), rel=1e-6, abs=1e-7)


@few
@given(seeds)
def test_logme_in_closed_form(seed):
    """Orthogonal columns of equal length: two variances, along them and beside them."""
    rng = np.random.default_rng(seed)
    x = 3 * np.linalg.qr(rng.normal(size=(20, 5)))[0]
    y = x @ rng.normal(size=5) * rng.uniform(0, 2) + rng.normal(size=20)
    along, all_of_it = ((x.T @ y / 3) ** 2).sum(), (y**2).sum()
    a, b = along / 5, (all_of_it - along) / 15
    a, b = (a, b) if a > b else (all_of_it / 20,) * 2  # nothing but noise
    by_hand = -(20 * np.log(2 * np.pi) + 20 + 5 * np.log(a) + 15 * np.log(b)) / 2 / 20
    assert logme(features=x, targets=y) == pytest.approx(by_hand, rel=1e-8)


@few
@given(seeds)
def test_logme_sees_no_scale_no_rotation_and_no_copies(seed):
    x, y, _ = draw(seed, n=25, d=1 + seed % 40)
    score = logme(features=x, labels=y)
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(x.shape[1],) * 2))[0]
    assert logme(features=x * 10.0 ** (seed % 150 - 75), labels=y) == pytest.approx(
        score, rel=1e-7, abs=1e-9
    )
    assert logme(features=x @ turn, labels=y) == pytest.approx(score, rel=1e-7, abs=1e-9)
    assert logme(features=np.hstack([x, x, 0 * x]), labels=y) == pytest.approx(
        score, rel=1e-7, abs=1e-9
    )


def test_logme_of_labels_that_the_features_reproduce_is_finite_and_the_best():
    y = np.arange(30) % 3
    perfect = logme(features=np.eye(3)[y], labels=y)
    noisy = np.eye(3)[y] + np.random.default_rng(0).normal(size=(30, 3)) * 1e-3
    assert np.isfinite(perfect) and perfect > logme(features=noisy, labels=y) > 1


def test_logme_of_regression_targets_is_the_mean_over_columns(digits):
    x, y, _ = digits
    x, targets = x[:60], np.random.default_rng(0).normal(size=(60, 2)) + x[:60, 20:22]
    each = [evidence_by_hand(x, column) for column in targets.T]
    assert logme(features=x, targets=targets) == pytest.approx(np.mean(each), rel=1e-6)
    onehot = np.eye(10)[y[:60]]
    assert logme(features=x, targets=onehot) == pytest.approx(logme(features=x, labels=y[:60]))


# All of them


@pytest.mark.parametrize("score", [h_score, logme], ids=lambda s: s.__name__)
def test_higher_is_better(score):
    rng = np.random.default_rng(0)
    y = np.arange(200) % 4
    scores = [
        score(features=np.eye(4)[y] * signal + rng.normal(size=(200, 4)), labels=y)
        for signal in (0, 1, 2, 4)
    ]
    assert scores == sorted(scores)


def test_higher_is_better_for_predictions():
    y = np.arange(200) % 4
    noise = np.random.default_rng(0).normal(size=(200, 4))
    thetas = [softmax(np.eye(4)[y] * signal + noise) for signal in (0, 1, 2, 4)]
    scores = [leep(source_probabilities=t, labels=y) for t in thetas]
    assert scores == sorted(scores)
    scores = [nce(source_labels=t.argmax(1), labels=y) for t in thetas]
    assert scores == sorted(scores)


def test_tensors_lists_and_halves_are_taken_and_nothing_is_changed():
    x, y, theta = draw(3, n=20, d=4)
    x32, theta16 = x.astype("float32"), theta.astype("float16")
    before = x32.copy(), theta16.copy(), y.copy()
    for score in (h_score, logme):
        tensor = score(features=keras.ops.convert_to_tensor(x32), labels=y.tolist())
        assert tensor == score(features=x32, labels=y)
    assert leep(source_probabilities=theta16, labels=y) == pytest.approx(
        leep(source_probabilities=theta, labels=y), abs=1e-3
    )
    assert all((a == b).all() for a, b in zip(before, (x32, theta16, y), strict=True))


def test_bfloat16_is_taken():
    x, y, theta = draw(3, n=200, classes=3, d=4)
    x16, theta16 = (keras.ops.cast(a, "bfloat16") for a in (x, theta))
    sums = keras.ops.convert_to_numpy(theta16).astype("float64").sum(axis=1)
    assert np.abs(sums - 1).max() > 1e-3  # what the rounding costs
    expected = leep(source_probabilities=theta, labels=y)
    for probabilities in (theta16, keras.ops.convert_to_numpy(theta16)):
        found = leep(source_probabilities=probabilities, labels=y)
        assert found == pytest.approx(expected, abs=5e-3)
    for score in (h_score, logme):
        expected = score(features=x, labels=y)
        assert score(features=x16, labels=y) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("score", [leep, nce, h_score, logme], ids=lambda s: s.__name__)
def test_arguments_have_names(score):
    assert all(p.kind == p.KEYWORD_ONLY for p in inspect.signature(score).parameters.values())


THETA = np.array([[0.5, 0.5], [0.2, 0.8], [0.9, 0.1]])
Y = np.array([0, 1, 1])
X = np.array([[0.0, 1], [1, 0], [2, 2]])
NAN = np.array([[0.0, 1], [np.nan, 0], [2, 2]])


@pytest.mark.parametrize(
    "score, arguments, says",
    [
        (leep, {"source_probabilities": Y, "labels": THETA}, "target labels to labels="),
        (leep, {"source_probabilities": THETA, "labels": THETA}, "argmax"),
        (
            leep,
            {"source_probabilities": THETA * 2, "labels": Y},
            "sum to 1.*sum to 2 to 2.*softmax",
        ),
        (leep, {"source_probabilities": THETA - 0.5, "labels": Y}, "softmax"),
        (leep, {"source_probabilities": THETA + np.array([0.5, -0.5]), "labels": Y}, "at least 0"),
        (leep, {"source_probabilities": THETA * np.nan, "labels": Y}, "finite.*from nan"),
        (leep, {"source_probabilities": THETA.T, "labels": [0, 1]}, "sum to 1"),
        (leep, {"source_probabilities": THETA, "labels": Y[:2]}, "3 samples, 2 labels"),
        (leep, {"source_probabilities": THETA, "labels": [1, 1, 1]}, "two classes"),
        (leep, {"source_probabilities": THETA[:1], "labels": Y[:1]}, "two classes"),
        (leep, {"source_probabilities": np.empty((0, 2)), "labels": []}, "source classes"),
        (leep, {"source_probabilities": [["a", "b"]], "labels": [0]}, "must be numbers"),
        (nce, {"source_labels": THETA, "labels": Y}, "argmax"),
        (nce, {"source_labels": Y, "labels": Y[:2]}, "3 samples, 2 labels"),
        (nce, {"source_labels": Y / 2, "labels": Y}, "integers"),
        (nce, {"source_labels": Y, "labels": [0, 0, 0]}, "two classes"),
        (nce, {"source_labels": [0], "labels": [0]}, "two classes"),
        (logme, {"features": X}, "neither"),
        (logme, {"features": X, "labels": Y, "targets": Y}, "both"),
        (logme, {"features": X, "targets": [0.0, 0, 0]}, "zeros"),
        (logme, {"features": X, "targets": [0.0, 1]}, "2 rows for 3 samples"),
        (logme, {"features": X, "targets": [1e-200, 0, 0]}, "zeros"),
        (logme, {"features": X * 1e101, "labels": Y}, "finite"),
        (logme, {"features": X, "targets": [0, np.inf, 0]}, "finite"),
    ],
)
def test_bad_input_says_what_to_do(score, arguments, says):
    with pytest.raises(ValueError, match=f"(?s){says}") as error:
        score(**arguments)
    assert "Received: " in str(error.value)


@pytest.mark.parametrize("score", [h_score, logme], ids=lambda s: s.__name__)
@pytest.mark.parametrize(
    "features, labels, says",
    [
        (Y, X, "Name the arguments"),
        (X, X, "argmax"),
        (NAN, Y, "NaN"),
        (np.ones((3, 2)), Y, "all the same"),
        (X, [0, 0, 0], "two classes"),
        (X, [0.0, 1, 1], "integers"),
        (X, [-1, 0, 1], "from 0"),
        (X, Y[:2], "3 samples, 2 labels"),
        (X[:1], Y[:1], "at least 2 rows"),
        (np.zeros((3, 2, 2, 1)), Y, "Flatten"),
        (np.zeros((3, 0)), Y, "a column"),
        (X.astype(str), Y, "real numbers"),
        (X * 1j, Y, "real numbers"),
    ],
)
def test_bad_features_and_labels_say_what_to_do(score, features, labels, says):
    with pytest.raises(ValueError, match=says) as error:
        score(features=features, labels=labels)
    assert "Received: " in str(error.value)
