"""Say in words what a domain accuracy means now: a fresh probe on held-out samples decides."""

from dataclasses import dataclass

from tlhelpers.adaptation.parts import check_tells_classes
from tlhelpers.adaptation.samples import check_domain, each
from tlhelpers.adaptation.trainer import QUIET, Adaptation
from tlhelpers.checks.data import check_labels, count_samples
from tlhelpers.checks.features import is_finite
from tlhelpers.checks.words import check_seed, check_whole
from tlhelpers.scores.similarity import proxy_a_distance

import keras
import numpy as np

GUESSES, SURE = 0.6, 0.8  # an accuracy on two equally large domains below or above these
LEAST_ROWS = 10  # per domain: `proxy_a_distance` cuts them into halves


@dataclass(frozen=True)
class DomainReport:
    """What `check_domains` returns; `str` gives it in words.

    `probe_accuracy`: of a new linear classifier, trained to tell the domains apart, on samples that
    it did not see; one half is chance. `a_distance`: the same as a distance in 0..2.
    `domain_accuracy`: of the model's own discriminator; None without one. `source_accuracy`: on the
    source. `label_shift`: total variation distance, in 0..1, between the classes predicted for the
    target and the labels of the source. `collapsed`: the features are the same for all samples.
    `diverged`: features or logits are not finite; no number is known then.
    """

    probe_accuracy: float
    a_distance: float
    domain_accuracy: float | None
    source_accuracy: float
    label_shift: float
    collapsed: bool
    diverged: bool = False

    @property
    def verdict(self) -> str:
        """What the accuracies of discriminator and probe mean together."""
        if self.diverged:
            return (
                "The model gives NaN or infinity: diverged. Lower the learning rate, and begin "
                "again with the weights of an earlier epoch: tl.SelectEpoch keeps them."
            )
        if self.collapsed:
            return (
                "The encoder gives the same features for everything: collapsed, not aligned. Lower "
                "the learning rate or the weight of the alignment."
            )
        own, probe = _level(self.domain_accuracy), _level(self.probe_accuracy)
        return _VERDICTS.get((own, probe), _VERDICTS["", probe])

    @property
    def warning(self) -> str:
        """What the predicted classes give reason to fear; empty if nothing."""
        if self.diverged or self.label_shift < 0.25:
            return ""
        return (
            "The classes predicted for the target differ from those of the source by "
            f"{self.label_shift:.0%}. If the target lacks classes, alignment forces the others "
            "into their places: compare with source-only."
        )

    def __str__(self) -> str:
        if self.diverged:
            return self.verdict
        own = "" if self.domain_accuracy is None else f"discriminator {self.domain_accuracy:.0%}, "
        numbers = (
            f"Domains told apart: {own}fresh probe {self.probe_accuracy:.0%} (chance 50%); "
            f"source accuracy {self.source_accuracy:.0%}."
        )
        return " ".join(filter(None, (numbers, self.verdict, self.warning)))


def check_domains(model: Adaptation, x_source, y_source, x_target, seed: int = 0) -> DomainReport:
    """Find out whether the features of two domains are alike; the discriminator may be wrong.

    A discriminator at 50 % may mean that the domains are aligned, that it is too weak, or that the
    encoder has run ahead of it; one at 100 % that nothing is aligned, or that it knows its training
    samples by heart. A new linear classifier on features of samples kept out of the training tells.

    Args:
        model: a trained `DANN`, or another adaptation.
        x_source, y_source: labelled source samples, kept out of the training; arrays, or
            dictionaries of arrays (texts).
        x_target: unlabelled target samples, kept out of the training. Of the larger of the two sets
            as many samples are drawn as the smaller has.
        seed: of that draw, and of the halves on which the probe is trained and tested.

    Returns:
        A `DomainReport`; print it.

    Raises:
        ValueError: no adaptation, or not one of classes; labels that do not fit samples or model,
            fewer than 10 samples in a domain, samples that are not finite, a seed out of range.

    Example:
        >>> model = tl.DANN(encoder, classifier)
        >>> report = tl.check_domains(model, x_source, y_source, x_target)
        >>> print(report)
        Domains told apart: discriminator ...%, fresh probe ...% (chance 50%); source accuracy ...

    Reference:
        The probe: Ben-David et al. 2007, Analysis of Representations for Domain Adaptation, NIPS,
        as in Ganin et al. 2016, JMLR 17(59), section 5.2.5.
    """
    if not isinstance(model, Adaptation):
        raise ValueError(
            "`model` must be a DANN or another adaptation. Received: model of type "
            f"{type(model).__name__}. For any two sets of features take tl.proxy_a_distance."
        )
    check_tells_classes(model, "check_domains")
    x_source, y_source, x_target = _check_data(x_source, y_source, x_target)
    classes = model.predict(_take(x_source, slice(1)), **QUIET).shape[1]
    check_labels(y_source, num_classes=classes)
    sizes, seed = [count_samples(x) for x in (x_source, x_target)], check_seed(seed)
    n = min(sizes)
    draws = [np.random.default_rng(seed).permutation(size)[:n] for size in sizes]
    rows, others = map(np.sort, draws)
    x_source, y_source, x_target = _take(x_source, rows), y_source[rows], _take(x_target, others)
    with model.on_domain("source"):
        source, source_logits = model.features_of(x_source), model.predict(x_source, **QUIET)
    target, target_logits = model.features_of(x_target), model.predict(x_target, **QUIET)
    if not all(map(is_finite, (source, source_logits, target, target_logits))):
        return DomainReport(np.nan, np.nan, None, np.nan, np.nan, False, diverged=True)
    both = np.concatenate([source, target])
    collapsed = bool(np.ptp(both, axis=0).max() <= 1e-6 * max(np.abs(both).max(), 1e-6))
    distance = 0.0 if collapsed else proxy_a_distance(source=source, target=target, seed=seed)
    own = _domain_accuracy(model, x_source, x_target)
    accuracy = float((source_logits.argmax(axis=1) == y_source).mean())
    seen = y_source, target_logits.argmax(axis=1)
    shares = [np.bincount(labels, minlength=classes) / n for labels in seen]
    shift = float(np.abs(shares[0] - shares[1]).sum() / 2)
    return DomainReport(0.5 + distance / 4, distance, own, accuracy, shift, collapsed)


class DomainMonitor(keras.callbacks.Callback):
    """Print after every epoch, in words, whether the domains are aligned; see `check_domains`.

    Args:
        x_source, y_source, x_target: as in `check_domains`.
        every: epochs between two reports.

    Attributes:
        reports: one `DomainReport` per epoch that was looked at, by its number from 0.

    Raises:
        ValueError: samples or labels that `check_domains` refuses, `every` below 1.

    Example:
        >>> model = tl.DANN(encoder, classifier)
        >>> model.compile("adam")
        >>> batches = tl.paired_batches(x_source, y_source, x_target, batch_size=6)
        >>> monitor = tl.DomainMonitor(x_source, y_source, x_target, every=2)
        >>> history = model.fit(batches, epochs=2, callbacks=[monitor], verbose=0)
        Epoch 2: Domains told apart: ...
    """

    def __init__(self, x_source, y_source, x_target, every: int = 1):
        super().__init__()
        self.every: int = check_whole("every", every, 1, cure="1 reports on every epoch.")
        self.data: tuple = _check_data(x_source, y_source, x_target)
        self.reports: dict[int, DomainReport] = {}

    def on_train_begin(self, logs=None):
        check_tells_classes(self.model, "DomainMonitor")
        check_labels(self.data[1], num_classes=getattr(self.model, "classes", None))

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every == 0:
            self.reports[epoch] = check_domains(self.model, *self.data)
            print(f"Epoch {epoch + 1}: {self.reports[epoch]}")


def _check_data(x_source, y_source, x_target) -> tuple:
    x_source = check_domain(x_source, "x_source", LEAST_ROWS)
    y_source = check_labels(y_source, n=count_samples(x_source))
    return x_source, y_source, check_domain(x_target, "x_target", LEAST_ROWS)


def _take(x, rows):
    return each(lambda part: part[rows], x)


def _domain_accuracy(model: Adaptation, x_source, x_target, batch_size: int = 256) -> float | None:
    right = []
    for start in range(0, count_samples(x_source), batch_size):
        part = slice(start, start + batch_size)
        pair = {"source": _take(x_source, part), "target": _take(x_target, part)}
        outputs = model(pair, training=False)
        if "domain_logits" not in outputs:
            return None
        says_target = keras.ops.convert_to_numpy(outputs["domain_logits"])[:, 0] > 0
        right.append(says_target == np.repeat([False, True], len(says_target) // 2))
    return float(np.concatenate(right).mean())


def _level(accuracy: float | None) -> str:
    if accuracy is None:
        return ""
    return "guesses" if accuracy < GUESSES else "sure" if accuracy > SURE else "between"


_VERDICTS = {  # by discriminator, "" where it adds nothing to what the probe says, and probe
    ("", "guesses"): (
        "The features of the two domains overlap. That is what alignment means; it does not say "
        "that class meets class."
    ),
    ("", "between"): "The domains overlap in part: alignment is on its way.",
    ("", "sure"): "The domains still lie apart: more weight, or more epochs.",
    ("guesses", "between"): (
        "The discriminator guesses, a fresh probe does better: it lags behind the encoder. Its 50% "
        "proves nothing yet."
    ),
    ("guesses", "sure"): (
        "The discriminator guesses, but a fresh probe tells the domains apart: nothing is aligned, "
        "the discriminator is too weak. Give it a higher rate or more units, or raise the weight "
        "of the reversal more slowly."
    ),
    ("sure", "guesses"): (
        "The discriminator sees a difference that no line through the features shows: aligned for "
        "a linear classifier only."
    ),
    ("sure", "sure"): (
        "Discriminator and probe agree that the domains lie apart: the encoder hides nothing yet. "
        "Raise the weight of the reversal, or give the discriminator a lower rate."
    ),
}
