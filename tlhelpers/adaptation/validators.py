"""Scores of a model on an unlabelled target: the higher, the better.

No function here has a place for a target label. Predictions are logits or probabilities, `(n,
classes)`: rows from 0 on that sum to 1 are probabilities, anything else is taken for logits.
What is no finite matrix of two columns or more raises a ValueError.

None is always right. On over a million checkpoints source accuracy was rarely beaten (Musgrave et
al. 2022, Three New Validators and a Large-Scale Benchmark Ranking for Unsupervised Domain
Adaptation, arXiv 2208.07360). All others are blind to a model that is sure of the wrong classes.
"""

from tlhelpers.checks.data import check_labels
from tlhelpers.checks.features import to_matrix
from tlhelpers.checks.words import check_number
from tlhelpers.scores.classification import to_probabilities
from tlhelpers.scores.probes import linear_classifier

import numpy as np

BLOCK = 1024  # rows of the matrix of similarities that are in memory at a time


def entropy(predictions) -> float:
    r"""Return the negative mean entropy, $\frac1n \sum_i \sum_k p_{ik} \log p_{ik}$.

    It lies between $-\log classes$ (undecided everywhere) and 0 (sure everywhere). The
    predictions, `(n, classes)`, are logits or probabilities on the target.

    Example:
        >>> tl.validators.entropy([[0.5, 0.5]])  # -log 2
        -0.693...

    Reference:
        Morerio et al. 2018, Minimal-Entropy Correlation Alignment for Unsupervised Deep Domain
        Adaptation (arXiv 1711.10288), which chooses hyperparameters by it.
    """
    return float(_plogp(_probabilities(predictions)).sum(axis=1).mean())


def diversity(predictions) -> float:
    r"""Return the entropy of the mean prediction, $-\sum_k \bar p_k \log \bar p_k$.

    It lies between 0 (one class for everything) and $\log classes$ (all classes equally often). If
    the target lacks classes, the best model is not the most diverse one. The predictions,
    `(n, classes)`, are logits or probabilities on the target.

    Example:
        >>> tl.validators.diversity([[1.0, 0.0], [0.0, 1.0]])  # log 2
        0.693...

    Reference:
        The second term of Krause et al. 2010, equation 2: see `information_maximization`.
    """
    return float(-_plogp(_probabilities(predictions).mean(axis=0)).sum())


def information_maximization(predictions) -> float:
    r"""Return the mutual information of sample and class, $H(\bar p) - \frac1n \sum_i H(p_i)$.

    The sum of `entropy` and `diversity`, whose predictions it takes: sure of each sample, but not
    of the same class each time. It lies between 0 and $\log classes$.

    Example:
        >>> tl.validators.information_maximization([[1.0, 0.0], [0.0, 1.0]])  # log 2
        0.693...

    Reference:
        Krause et al. 2010, Discriminative Clustering by Regularized Information Maximization, NIPS,
        equation 2; as a validator in Musgrave et al. 2022 (arXiv 2208.07360).
    """
    return entropy(predictions) + diversity(predictions)


def soft_neighborhood_density(predictions, temperature: float = 0.05) -> float:
    r"""Return the mean entropy of each sample's similarities to all the others.

    With rows $f_i = p_i / \|p_i\|$ and $P_{ij} \propto \exp(f_i^\top f_j / \tau)$ over $j \ne i$,
    it is $-\frac1n \sum_i \sum_j P_{ij} \log P_{ij}$: many equally near neighbours are a dense
    cluster. It lies between 0 and $\log(n - 1)$; compare it on the same samples only. A model with
    one class for everything reaches the maximum too: look at `diversity`.

    Args:
        predictions: on the target, `(n, classes)`, logits or probabilities, three rows or more.
        temperature: $\tau$, above 0; the paper takes 0.05.

    Raises:
        ValueError: fewer than three rows, a temperature that is not above 0.

    Example:
        >>> tl.validators.soft_neighborhood_density(np.full((6, 2), 0.5))  # all alike: log 5
        1.609...

    Reference:
        Saito et al. 2021, Tune it the Right Way: Unsupervised Validation of Domain Adaptation via
        Soft Neighborhood Density (arXiv 2108.10860), equations 2 to 4.
    """
    from scipy.special import softmax

    temperature = check_number("temperature", temperature, "(0, inf)", "Use 0.05.")
    p = _probabilities(predictions, rows=3)
    f = p / np.linalg.norm(p, axis=1, keepdims=True)
    total = 0.0
    for start in range(0, len(f), BLOCK):
        similar = f[start : start + BLOCK] @ f.T / temperature
        rows = np.arange(len(similar))
        similar[rows, start + rows] = -np.inf
        total -= _plogp(softmax(similar, axis=1)).sum()
    return float(total / len(f))


def source_accuracy(predictions, labels) -> float:
    """Return the share of source samples, kept out of the training, that are classified rightly.

    Args:
        predictions: on the *source*, `(n, classes)`, logits or probabilities.
        labels: of the source, integers `(n,)`; a ValueError where they do not fit the predictions.

    Example:
        >>> tl.validators.source_accuracy([[2.0, -1.0], [0.5, 0.1]], [0, 1])
        0.5

    Reference:
        The control of Musgrave et al. 2022 (arXiv 2208.07360), section 3.
    """
    p = _probabilities(predictions)
    labels = check_labels(labels, num_classes=p.shape[1], n=len(p))
    return float((p.argmax(axis=1) == labels).mean())


def reverse_validation(*, source_features, source_labels, target_features, predictions) -> float:
    """Return how well a classifier learnt from the target's *predicted* labels does on the source.

    If the predictions on the target are right, and the features mean the same in both domains, the
    way back ends at the labels that are known. The paper trains the whole network again for the
    way back; here a ridge classifier on the features of the encoder does, in a second or so.

    Args:
        source_features, source_labels: `(n, d)` and integers `(n,)`, kept out of the training.
        target_features, predictions: `(m, d)` and `(m, classes)`, of the same target samples; the
            predictions are logits or probabilities.

    Returns:
        Accuracy on the source, in 0..1; where one class is predicted for the whole target, or the
        features of a domain are all the same, the share in the source of the class predicted most.

    Raises:
        ValueError: matrices or labels that do not fit each other.

    Example:
        >>> domain = np.eye(3)[y] + features[:, :3] / 10  # classes that lie apart
        >>> tl.validators.reverse_validation(source_features=domain, source_labels=y,
        ...     target_features=domain + 0.1, predictions=np.eye(3)[y])
        1.0

    Reference:
        Zhong et al. 2010, Cross Validation Framework to Choose amongst Models and Datasets for
        Transfer Learning, ECML PKDD; Ganin et al. 2016, JMLR 17(59), section 5.1.1.
    """
    source = to_matrix(source_features, "source_features", rows=2)
    target = to_matrix(target_features, "target_features", rows=2)
    p = _probabilities(predictions)
    if len(p) != len(target) or source.shape[1] != target.shape[1]:
        raise ValueError(
            "`source_features` and `target_features` must have the same columns, `predictions` a "
            f"row per target sample. Received: source_features of shape {source.shape}, "
            f"target_features of {target.shape}, predictions of {p.shape}. Take features of one "
            "encoder, and predictions on the same target samples."
        )
    labels = check_labels(source_labels, num_classes=p.shape[1], n=len(source))
    pseudo = p.argmax(axis=1)
    if any((x == x[0]).all() for x in (pseudo, source, target)):  # nothing to learn from
        return float((labels == np.bincount(pseudo).argmax()).mean())
    back = linear_classifier().fit(target, pseudo)
    return float((back.predict(source) == labels).mean())


def _probabilities(predictions, rows: int = 1) -> np.ndarray:
    x = to_matrix(predictions, "predictions", rows)
    if x.shape[1] < 2:
        raise ValueError(
            "`predictions` must have a column per class, two or more. Received: predictions of "
            f"shape {x.shape}. Give logits or probabilities, not classes."
        )
    return to_probabilities(x)[0]


def _plogp(p: np.ndarray) -> np.ndarray:
    return p * np.log(np.where(p > 0, p, 1.0))
