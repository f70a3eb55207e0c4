"""How far apart are two domains, and how alike two representations?

Distances (`proxy_a_distance`, `mmd`) are 0 for the same distribution and grow; `linear_cka` is 1
for the same representation and falls. All measure what the *features* show: raw pixels, and the
features of different layers, give different answers.
"""

from tlhelpers.checks.features import check_features, check_varied, to_matrix
from tlhelpers.checks.words import check_number, check_seed
from tlhelpers.scores.probes import linear_classifier

import numpy as np


def proxy_a_distance(*, source, target, seed: int = 0) -> float:
    """Measure how well a linear classifier tells two domains apart, on samples it has not seen.

    PAD = 2 (1 - 2 eps), eps = mean error of both domains on the held-out half, at most one half.
    The classifier, its scaling and its strength come from the other half alone: choosing them on
    the half that is tested would make any two domains look different. Sets of the same size are cut
    at the same rows, so that a pair (an image and its rotated copy) never stands on both sides.

    Args:
        source, target: features `(n, D)` and `(m, D)`, at least 10 rows each; the domains weigh
            the same for any n and m.
        seed: of the cut into halves.

    Returns:
        In 0..2: 0 cannot be told apart, 2 always can. Two sets of n from one distribution give some
        0.8 / sqrt(n) by chance; few samples of many features may hide a difference.

    Raises:
        ValueError: no finite matrices of the same columns, fewer than 10 rows, all rows the same,
            no seed in 0..2**32-1.

    Example:
        >>> tl.proxy_a_distance(source=features, target=features + 20)
        2.0

    Reference:
        Ben-David et al., "Analysis of Representations for Domain Adaptation", NIPS 2007; Ganin et
        al., "Domain-Adversarial Training of Neural Networks", JMLR 17, 2016, section 3.2.
    """
    source, target = _two_domains(10, source=source, target=target)
    order = np.random.default_rng(check_seed(seed)).permutation(max(len(source), len(target)))
    halves = [np.array_split(order[order < len(x)], 2) for x in (source, target)]
    (train_s, test_s), (train_t, test_t) = halves
    domain = np.repeat([0, 1], [len(train_s), len(train_t)])
    classifier = linear_classifier().fit(np.vstack([source[train_s], target[train_t]]), domain)
    wrong = [(classifier.predict(source[test_s]) == 1).mean()]
    wrong += [(classifier.predict(target[test_t]) == 0).mean()]
    return float(2 * (1 - 2 * min(np.mean(wrong), 0.5)))


def mmd(a, b, *, bandwidth: float | None = None) -> float:
    """Measure how far apart two sets of features lie: the unbiased squared MMD of a Gauss kernel.

    `MMD^2 = mean_{i != j} k(a_i, a_j) + mean_{i != j} k(b_i, b_j) - 2 mean k(a_i, b_j)` with
    `k(x, y) = exp(-|x - y|^2 / (2 h^2))`, summed in blocks to save memory. It sees any difference
    of distributions, not only one that a line can cut.

    Args:
        a, b: features `(n, D)` and `(m, D)`, at least 2 rows each.
        bandwidth: h, above 0. Left out it is the median distance of different points of both sets
            together (of 1,000 rows of each at most). Give the same h to compare several pairs.

    Returns:
        At most 2, around 0 for the same distribution, as often below it as above.

    Raises:
        ValueError: no finite matrices of the same columns, fewer than 2 rows, all rows the same,
            a bandwidth that is not above 0.

    Example:
        >>> tl.mmd(features, features + 20) > tl.mmd(features, features + 1)
        True

    Reference:
        Gretton et al., "A Kernel Two-Sample Test", JMLR 13, 2012, equation 3; median: section 8.
    """
    from sklearn.metrics.pairwise import euclidean_distances

    a, b = _two_domains(2, a=a, b=b)
    middle = (a.mean(axis=0) + b.mean(axis=0)) / 2  # far from 0 squares would lose their digits
    a, b = a - middle, b - middle
    if bandwidth is None:
        unit = max(np.abs(a).max(), np.abs(b).max())
        a, b = a / unit, b / unit
        rng = np.random.default_rng(0)
        some = np.vstack([x[rng.permutation(len(x))[:1000]] for x in (a, b)])
        distances = euclidean_distances(some)[np.triu_indices(len(some), k=1)]
        bandwidth = float(np.median(distances[distances > 1e-6 * distances.max()]))
    else:
        bandwidth = check_number("bandwidth", bandwidth, "(0, inf)", "Leave it out for a median.")
    within = [(_kernel_sum(x, x, bandwidth) - len(x)) / (len(x) * (len(x) - 1)) for x in (a, b)]
    return float(sum(within) - 2 * _kernel_sum(a, b, bandwidth) / (len(a) * len(b)))


def linear_cka(a, b, *, debiased: bool = False) -> float:
    """Compare two representations of the same samples, up to rotation and scale.

    `CKA = |Y'X|_F^2 / (|X'X|_F |Y'Y|_F)` with centred columns. It is biased upwards when samples
    are not many more than features (of two random representations with n < D it may well be .9);
    `debiased` takes the unbiased estimate of each of the three terms instead.

    Args:
        a, b: features `(n, D)` and `(n, E)` of the same samples in the same order.
        debiased: take it for fewer than some ten samples per feature; needs 4 rows.

    Returns:
        In 0..1, 1 for the same representation; debiased in -1..1, around 0 for unrelated ones (and
        0 where four samples leave nothing to compare).

    Raises:
        ValueError: no finite matrices of as many rows, 2 (debiased: 4) or more, that differ.

    Example:
        >>> round(tl.linear_cka(features, 3 * features[:, ::-1]), 6)  # the same, turned and scaled
        1.0

    Reference:
        Kornblith et al., "Similarity of Neural Network Representations Revisited", ICML 2019,
        section 3; Song et al., "Feature Selection via Dependence Maximization", JMLR 13, 2012,
        equation 5 (unbiased HSIC).
    """
    a, b = (check_features(x, name, rows=4 if debiased else 2) for x, name in ((a, "a"), (b, "b")))
    if len(a) != len(b):
        raise ValueError(
            f"`a` and `b` must hold the same samples, row by row. Received: a of {len(a)} and b of "
            f"{len(b)} rows. For two different sets of samples take proxy_a_distance or mmd."
        )
    a, b = ((x - x.mean(axis=0)) / np.abs(x - x.mean(axis=0)).max() for x in (a, b))
    product = _unbiased_product if debiased else _product
    own = [product(x, x) for x in (a, b)]
    if debiased and any(o < 1e-12 * _product(x, x) for o, x in zip(own, (a, b), strict=True)):
        return 0.0  # nothing but rounding is left
    return float(np.clip(product(a, b) / np.sqrt(own[0] * own[1]), -1, 1))


def _product(a: np.ndarray, b: np.ndarray) -> float:
    """Return |B'A|_F^2 = <AA', BB'>, by whichever of the two is smaller."""
    if len(a) < max(a.shape[1], b.shape[1]):
        return float(((a @ a.T) * (b @ b.T)).sum())
    return float(((b.T @ a) ** 2).sum())


def _unbiased_product(a: np.ndarray, b: np.ndarray) -> float:
    """Return n (n - 3) times the unbiased HSIC of AA' and BB', whose diagonals count as 0."""
    n = len(a)
    diagonals = [(x**2).sum(axis=1) for x in (a, b)]
    rows = [x @ x.sum(axis=0) - d for x, d in zip((a, b), diagonals, strict=True)]
    together = _product(a, b) - diagonals[0] @ diagonals[1]
    sums = rows[0].sum() * rows[1].sum() / ((n - 1) * (n - 2))
    return float(together + sums - 2 / (n - 2) * rows[0] @ rows[1])


def _two_domains(rows: int, **domains) -> list[np.ndarray]:
    """Return two sets of features that have the same columns; one of them may be constant."""
    (first, second), (a, b) = domains, [to_matrix(x, name, rows) for name, x in domains.items()]
    if a.shape[1] != b.shape[1]:
        raise ValueError(
            f"`{first}` and `{second}` must have the same columns. Received: {first} of "
            f"{a.shape[1]} and {second} of {b.shape[1]}. Take features of the same layer."
        )
    check_varied(**{first: a, second: b})
    return [a, b]


def _kernel_sum(a: np.ndarray, b: np.ndarray, bandwidth: float) -> float:
    from sklearn.metrics.pairwise import rbf_kernel

    blocks = np.array_split(a, max(len(a) * len(b) // 2**22, 1))
    return sum(rbf_kernel(x, b, gamma=1 / (2 * bandwidth**2)).sum() for x in blocks)
