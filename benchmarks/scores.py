"""What the transferability scores take, next to the formulae as they are published."""

import tlhelpers as tl
from benchmarks.frame import Measured, Promise, Row, take_turns

import numpy as np


def published_logme(features: np.ndarray, labels: np.ndarray) -> float:
    """Return LogME by the fixed-point iteration of You et al., a class at a time (JMLR 23, 2022).

    As in the authors' default code: features in float64, for more rows than columns U by the
    eigenvalues of F'F, at most 11 steps from alpha = beta = 1, and a sum over the singular values
    that leaves out (D - n)/2 log alpha where there are more columns than rows.
    """
    f = features.astype("float64")
    n, dimensions = f.shape
    if n > dimensions:
        _, s, vt = np.linalg.svd(f.T @ f)
        s = np.sqrt(s)
        u = f @ vt.T / s
    else:
        u, s, _ = np.linalg.svd(f, full_matrices=False)
    s2, each = s**2, []
    for label in range(labels.max() + 1):
        y = (labels == label).astype("float64")
        u2 = (u.T @ y) ** 2
        outside = y @ y - u2.sum()
        alpha = beta = 1.0
        for _ in range(11):
            r = alpha / beta
            gamma = (s2 / (s2 + r)).sum()
            size = (s2 * u2 / (s2 + r) ** 2).sum()
            residual = (u2 / (1 + s2 / r) ** 2).sum() + outside
            alpha, beta = gamma / (size + 1e-5), (n - gamma) / (residual + 1e-5)
            if abs(alpha / beta - r) / r <= 1e-3:
                break
        evidence = dimensions * np.log(alpha) + n * np.log(beta) - n * np.log(2 * np.pi)
        evidence -= np.log(alpha + beta * s2).sum() + beta * residual + alpha * size
        each.append(evidence / 2 / n)
    return float(np.mean(each))


def exact_logme(features: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean over classes of the largest log-density of y under N(0, F F'/alpha + 1/beta).

    Nelder and Mead search both precisions; nothing is decomposed but the covariance.
    """
    from scipy.optimize import minimize
    from scipy.stats import multivariate_normal

    n, kernel = len(features), features @ features.T
    each = []
    for label in range(labels.max() + 1):
        y = (labels == label).astype("float64")

        def minus(logs, y=y):
            covariance = kernel * np.exp(logs[0]) + np.eye(n) * np.exp(logs[1])
            return -multivariate_normal(cov=covariance).logpdf(y)

        options = {"xatol": 1e-7, "fatol": 1e-10, "maxiter": 600}
        starts = ((0, 0), (-4, -2), (-8, -1))
        found = [minimize(minus, at, method="Nelder-Mead", options=options).fun for at in starts]
        each.append(-min(found) / n)
    return float(np.mean(each))


def numpy_leep(theta: np.ndarray, labels: np.ndarray) -> float:
    """Return LEEP as its formula reads, in the type of the probabilities."""
    joint = np.eye(labels.max() + 1, dtype=theta.dtype)[labels].T @ theta
    given_source = joint / joint.sum(axis=0)
    expected = theta @ given_source.T
    return float(np.log(expected[np.arange(len(labels)), labels]).mean())


def drawn(n: int, dimensions: int = 512, classes: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """Return float32 features of overlapping classes, and the labels."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(n) % classes)
    means = rng.normal(size=(classes, dimensions))
    features = rng.normal(size=(n, dimensions)) + means[labels]
    return features.astype("float32"), labels


def logme_of(n: int, turns: int) -> Measured:
    features, labels = drawn(n)
    values: dict[str, float] = {}

    def ours():
        values["ours"] = tl.logme(features=features, labels=labels)

    def published():
        values["published"] = published_logme(features, labels)

    ratios = take_turns(ours, published, turns)
    return Measured(ratios, {"samples": n, "features": 512, "classes": 100, **values})


def logme(quick: bool) -> Measured:
    return logme_of(50_000, 2 if quick else 9)


def logme_5000(quick: bool) -> Measured:
    return logme_of(5000, 5 if quick else 15)


def logme_exact(quick: bool) -> Measured:
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    ratios, facts = [], {}
    for n in (30, 40) if quick else (30, 40, 50):
        features, labels = x[:n] / 16, y[:n]
        exact = exact_logme(features, labels)
        ours = abs(tl.logme(features=features, labels=labels) - exact)
        published = abs(published_logme(features, labels) - exact)
        ratios.append(published / max(ours, 1e-9))  # the search itself is no better
        facts[f"n={n}"] = f"exact {exact:.6f}, ours off by {ours:.1e}, published by {published:.1e}"
    return Measured(ratios, facts)


def leep(quick: bool) -> Measured:
    rng = np.random.default_rng(0)
    theta = rng.random((50_000, 1000), dtype="float32")
    theta /= theta.sum(axis=1, keepdims=True)
    labels = rng.integers(0, 100, len(theta))
    values: dict[str, float] = {}

    def ours():
        values["ours"] = tl.leep(source_probabilities=theta, labels=labels)

    def formula():
        values["NumPy"] = numpy_leep(theta, labels)

    ratios = take_turns(ours, formula, 7 if quick else 21)
    return Measured(ratios, {"target classes": 100, **values})


ROWS = (
    Row(
        "logme",
        "LogME of 50,000 x 512 features, 100 classes: tl.logme against the "
        "published fixed-point iteration, on one thread",
        logme,
        Promise(5),
        threads=1,
        why="Seven tenths of our time are X'X in float64, at the full rate of the processor. The "
        "published code computes it too, then U = F V (twice as much), and reads U once for each "
        "class. With fewer samples the decompositions of 512 x 512 weigh more.",
    ),
    Row(
        "logme-5000",
        "LogME of 5,000 x 512 features, 100 classes: tl.logme against the published iteration, "
        "on one thread",
        logme_5000,
        threads=1,
        full_only=True,
    ),
    Row(
        "logme-exact",
        "LogME of fewer samples than features (digits, 64): the published code's error over ours, "
        "both against the exact evidence",
        logme_exact,
        Promise(1000),
    ),
    Row(
        "leep",
        "LEEP of 50,000 x 1,000 probabilities: tl.leep (sums in float64) against the formula in "
        "NumPy (float32), on one thread",
        leep,
        Promise(1),
        threads=1,
    ),
)
