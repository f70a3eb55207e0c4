"""Probes: how well a classifier does that needs no choosing, on features as they are."""

from dataclasses import dataclass

from tlhelpers.checks.features import (
    check_classes,
    check_features,
    check_matrix,
    check_varied,
)
from tlhelpers.checks.words import check_whole
from tlhelpers.scores.classification import wilson_interval
from tlhelpers.scores.ridge import STRENGTHS, predict_tall

import numpy as np


@dataclass(frozen=True)
class Probe:
    """What a probe returns: the share of samples that it got right without having seen them.

    The higher the better. `interval` is the 95 % Wilson interval of `accuracy` over `samples` (for
    these samples as the test set: another training run or another draw of few samples moves more
    than that). `float(probe)` is the accuracy.
    """

    accuracy: float
    interval: tuple[float, float]
    samples: int

    def __float__(self) -> float:
        return self.accuracy

    def __str__(self) -> str:
        interval = "{:.3f} to {:.3f}".format(*self.interval)
        return f"{self.accuracy:.3f} (95 % interval {interval}, {self.samples:,} samples)"


def linear_probe(*, features, labels, folds: int = 5, seed: int = 0) -> Probe:
    """Return the cross-validated accuracy of a linear classifier on standardised features.

    Every sample is predicted once, by a ridge classifier that did not see it and whose strength was
    chosen inside its own training part. It costs one decomposition of the features per fold, and is
    the control that every score has to beat. Classes count equally in training. For more samples
    than features a block of rows and D x D numbers are held besides them.

    Args:
        features: `(n, D)`, such as `tl.extract_features` gives.
        labels: integers `(n,)`, at least two samples of each class.
        folds: parts of the data, each predicted from the others, in 2..n; as many as the smallest
            class has samples where that is less. `seed` draws them.

    Raises:
        ValueError: features that are no finite matrix or all the same, fewer than two classes or
            than two samples in one, folds out of range.

    Example:
        >>> print(tl.linear_probe(features=np.eye(3)[y], labels=y))
        1.000 (95 % interval 0.862 to 1.000, 24 samples)

    Reference:
        Kornblith, Shlens, Le, "Do Better ImageNet Models Transfer Better?", CVPR 2019, section 3
        (the protocol of fixed features); Wilson, 1927 (the interval).
    """
    from sklearn.model_selection import StratifiedKFold

    features = check_matrix(features, "features", rows=2)
    check_varied(features=features)
    labels = check_classes(labels, n=len(features))
    smallest = int(np.bincount(labels).min())
    if smallest < 2:
        raise ValueError(
            "`labels` must have at least 2 samples of each class, to train on and to test on. "
            "Received: labels with 1 of a class. Leave that class out, or take more samples."
        )
    check_whole("folds", folds, 2, len(features), "Take fewer folds, or more samples.")
    parts = StratifiedKFold(min(folds, smallest), shuffle=True, random_state=seed)
    predicted = np.empty_like(labels)
    for train, test in parts.split(labels, labels):
        if len(train) > features.shape[1]:
            predicted[test] = predict_tall(features, labels, train, test)
        else:
            fitted = linear_classifier().fit(features[train].astype("float64"), labels[train])
            predicted[test] = fitted.predict(features[test].astype("float64"))
    return _probe(predicted == labels)


def knn_probe(*, features, labels, neighbors: int = 5) -> Probe:
    """Return the leave-one-out accuracy of a vote among the nearest samples (Euclidean distance).

    Nothing is trained: it says whether samples of a class lie together already. A tie goes to the
    class whose neighbours are nearer.

    Args:
        features, labels: `(n, D)`, such as `tl.extract_features` gives, and integers `(n,)`.
        neighbors: how many vote, in 1..n - 1.

    Raises:
        ValueError: no finite features that differ, fewer than two classes, neighbors out of range.

    Example:
        >>> print(tl.knn_probe(features=np.eye(3)[y], labels=y))
        1.000 (95 % interval 0.862 to 1.000, 24 samples)

    Reference:
        Wu et al., "Unsupervised Feature Learning via Non-Parametric Instance Discrimination",
        CVPR 2018, section 3.4 (features judged by their neighbours).
    """
    from sklearn.neighbors import NearestNeighbors

    features = check_features(features)
    labels = check_classes(labels, n=len(features))
    check_whole("neighbors", neighbors, 1, len(features) - 1, "Let fewer of them vote.")
    nearest = NearestNeighbors(n_neighbors=neighbors).fit(features).kneighbors()[1]
    votes = np.zeros((len(features), labels.max() + 1))
    for place in range(neighbors):  # a vote counts 1, and a little more from nearby
        vote = 1 + (neighbors - place) / neighbors**3
        votes[np.arange(len(votes)), labels[nearest[:, place]]] += vote
    return _probe(votes.argmax(axis=1) == labels)


def linear_classifier():
    """Return an untrained scikit-learn pipeline: standardise, then a ridge classifier.

    Classes count equally. The strength is chosen by the leave-one-out error of what it is fitted
    to, which ridge regression gives at the price of one decomposition.
    """
    from sklearn.linear_model import RidgeClassifierCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), RidgeClassifierCV(STRENGTHS, class_weight="balanced"))


def _probe(right: np.ndarray) -> Probe:
    return Probe(float(right.mean()), wilson_interval(int(right.sum()), len(right)), len(right))
