"""What to try first: a strategy, why, how to run it, and how sure that is."""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass, replace
from numbers import Integral, Real

from tlhelpers.checks.words import did_you_mean
from tlhelpers.choosing.playbook import (
    CAN_WAIT,
    CHECK,
    CHECK_ADAPTATION,
    CODE,
    MACHINES,
    MEASURE,
    PAPERS,
    RECIPES,
    STRATEGIES,
    TABLES,
    reasons_for,
)
from tlhelpers.scores.probes import Probe

FEW, MANY = 50, 1000  # samples per class: below and from here on
SIMILAR = 0.5  # on the scale of `similarity`, from here on
MINUTES = 10  # of a laptop: below it, the network runs over the data once and no more

_WORDS = {"similar": 1.0, "different": 0.0}
_MARGIN, _OFF = 1.5, 0.15  # how far off the borders may well be
_LEAST_UNLABELLED = 200


@dataclass(frozen=True)
class Advice:
    """What `advise` returns; print it.

    `strategy` completes "I would begin with ...". `reasons` end with the paper they lean on, such
    as `[Yosinski 2014]`, whose title is in `papers`. `recipe` is a script of the repository, `code`
    the same in a few lines. `sure` is False where `doubts` say what would change the advice.
    `check` says how to find out whether it was right.
    """

    strategy: str
    situation: str
    reasons: tuple[str, ...]
    papers: tuple[str, ...]
    recipe: str
    code: str
    doubts: tuple[str, ...]
    check: str

    @property
    def sure(self) -> bool:
        """Whether the strategy stays the same for somewhat other numbers."""
        return not self.doubts

    def __str__(self) -> str:
        certainty = "I am fairly sure of that." if self.sure else "I am not sure, though."
        parts = [f"{self.situation} I would begin with {self.strategy}. {certainty}"]
        parts += ["- " + line for line in self.reasons]
        parts += ["What would change my mind:"] if self.doubts else []
        parts += ["- " + line for line in self.doubts]
        lines = [_wrap(part, part.startswith("- ")) for part in parts]
        lines += ["", f"Start from {self.recipe}; the lines that matter:", ""]
        lines += [textwrap.indent(self.code, "    "), "", _wrap(self.check), ""]
        lines += [_wrap(f"Read {paper}", True) for paper in self.papers]
        return "\n".join(lines)

    __repr__ = __str__


def advise(
    *,
    samples: int,
    classes: int,
    similarity: str | float | Probe | None = None,
    budget: str | float = "laptop",
    task: str = "image",
    unlabelled: int = 0,
) -> Advice:
    """Recommend how to use a pre-trained network, from what is known before any training.

    The skeleton is the classic table, few or many samples x similar to the source or different,
    with a row between them and a column for what the machine can bear. The borders (50 and 1,000
    samples per class, similarity 0.5) are rules of thumb: where the advice changes for a third
    fewer samples, half as many again, or a similarity 0.15 off, it says so and is not `sure`.

    Args:
        samples: labelled samples of the target task, all classes together; at least one per class,
            or 0 beside `unlabelled`.
        classes: classes of the target task, at least 2.
        similarity: how much of what the network knows is of use here. A number in 0..1 (0 another
            world, 1 the same kind of data); "similar" or "different"; or measured, which is best:
            what `linear_probe` says of the frozen network's features, which counts from chance (0)
            to without error (1), with its interval. A proxy A-distance d becomes 1 - d / 2. None
            for not known.
        budget: "laptop", "gpu", or minutes of a laptop.
        task: "image" or "text".
        unlabelled: further target samples without labels, to be learned from with labelled data of
            the same classes from another domain (drawings, another scanner, other shops' photos).
            Then `similarity` is that of the two domains.

    Returns:
        An `Advice` with `strategy, reasons, recipe, sure`, `code`, `doubts`, `check`.

    Raises:
        ValueError: counts that are no whole numbers or too small, a similarity out of 0..1, an
            unknown word.

    Example:
        >>> features, labels = tl.extract_features(base, x, y)
        >>> probe = tl.linear_probe(features=features.mean(axis=(1, 2)), labels=labels)
        >>> print(tl.advise(samples=len(x), classes=10, similarity=probe))

    Reference:
        The papers in `Advice.papers`, above all Yosinski et al., "How transferable are features in
        deep neural networks?", NeurIPS 2014, and Kornblith et al., CVPR 2019.
    """
    _check_counts(samples, classes, unlabelled)
    machine = _machine(budget)
    _check_word("task", task, TABLES)
    case = _Case(samples / classes, *_similarity(similarity, classes), machine, task, unlabelled)
    choice = case.choose()
    reasons = reasons_for(choice, task, case.size, case.similar, machine)
    cited = [reason.rsplit("[", 1)[1].rstrip("]") for reason in reasons]
    return Advice(
        strategy=STRATEGIES[choice],
        situation=_describe(samples, classes, similarity, case),
        reasons=reasons,
        papers=tuple(PAPERS[name] for name in dict.fromkeys(cited)),
        recipe=f"recipes/{RECIPES[task][choice]}.py",
        code=CODE[task][choice].format(classes=classes).strip(),
        doubts=_doubts(case, similarity),
        check=_check_by(case),
    )


def _wrap(line: str, hanging: bool = False) -> str:
    return textwrap.fill(line, 92, subsequent_indent="  " * hanging, break_on_hyphens=False)


@dataclass(frozen=True)
class _Case:
    per_class: float
    low: float  # the similarity may be as low,
    similarity: float  # is most likely this,
    high: float  # and may be as high
    machine: str
    task: str
    unlabelled: int

    @property
    def size(self) -> str:
        return "few" if self.per_class < FEW else "some" if self.per_class < MANY else "many"

    @property
    def similar(self) -> bool:
        return self.similarity >= SIMILAR

    def choose(self) -> str:
        if self.unlabelled and self.size == "few":
            return "adapt"
        return TABLES[self.task][self.size, self.similar][MACHINES.index(self.machine)]


def _doubts(case: _Case, given) -> tuple[str, ...]:
    """Return what would change the advice: the same choice in the neighbourhood of the case."""
    near = {
        "With a third fewer samples": replace(case, per_class=case.per_class / _MARGIN),
        "With half as many samples again": replace(case, per_class=case.per_class * _MARGIN),
        "Should the data be further from the source": replace(case, similarity=case.low),
        "Should the data be nearer to the source": replace(case, similarity=case.high),
    }
    choice = case.choose()
    others = {when: other.choose() for when, other in near.items()}
    lines = [f"{when}, I would try {STRATEGIES[o]}." for when, o in others.items() if o != choice]
    if given is None and any("source" in line for line in lines):
        lines.append(f"Measure it: {MEASURE[case.task]}, then similarity=tl.linear_probe(...).")
    if choice == "adapt" and case.unlabelled < _LEAST_UNLABELLED:
        lines.append("Two domains are hardly matched by so few samples: collect more of them.")
    return tuple(lines)


def _check_by(case: _Case) -> str:
    if case.choose() == "adapt":
        return CHECK_ADAPTATION
    return f"{CHECK} {CAN_WAIT}" if case.unlabelled else CHECK


def _describe(samples: int, classes: int, similarity, case: _Case) -> str:
    what = "images" if case.task == "image" else "texts"
    count = f"about {case.per_class:,.0f}" if case.per_class >= 1 else "less than one"
    have = f"{count if samples else 'no'} labelled {what} for each of {classes:,} classes"
    have += f" and {case.unlabelled:,} without labels" if case.unlabelled else ""
    source = "the labelled domain" if case.choose() == "adapt" else "what the network has seen"
    where = f"They are {'near to' if case.similar else 'far from'} {source}"
    if similarity is None:
        where = f"How near they are to {source}, you do not say"
    if isinstance(similarity, Probe):
        where += (
            f": a linear classifier on its features gets {similarity.accuracy:.2f} of them right"
        )
    machine = {"minutes": "a few minutes", "laptop": "a laptop", "gpu": "a GPU"}[case.machine]
    return f"You have {have}, and {machine}. {where}."


def _similarity(value, classes: int) -> tuple[float, float, float]:
    """Return the lowest, the most likely and the highest similarity, in 0..1."""
    if value is None:
        return 0.0, 1.0, 1.0
    if isinstance(value, Probe):
        chance = 1 / classes
        numbers = (value.interval[0], value.accuracy, value.interval[1])
        return tuple(max((number - chance) / (1 - chance), 0.0) for number in numbers)
    if isinstance(value, str):
        _check_word("similarity", value, _WORDS)
        return (_WORDS[value],) * 3
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= value <= 1:
        raise ValueError(
            "similarity must be a number in 0..1, 'similar', 'different', or what linear_probe "
            f"returns. Received: similarity={value!r}. A proxy A-distance d becomes 1 - d / 2."
        )
    return max(value - _OFF, 0.0), float(value), min(value + _OFF, 1.0)


def _machine(budget) -> str:
    if isinstance(budget, str):
        _check_word("budget", budget, ("laptop", "gpu"))
        return budget
    if isinstance(budget, bool) or not isinstance(budget, Real) or not 0 < budget < math.inf:
        raise ValueError(
            "budget must be 'laptop', 'gpu', or minutes above 0. "
            f"Received: budget={budget!r}. Leave it out for a laptop."
        )
    return "laptop" if budget >= MINUTES else "minutes"


def _check_counts(samples, classes, unlabelled) -> None:
    for name, value, least in [
        ("samples", samples, 0),
        ("classes", classes, 2),
        ("unlabelled", unlabelled, 0),
    ]:
        if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
            raise ValueError(
                f"{name} must be a whole number, at least {least}. Received: {name}={value!r}. "
                "Count them: len(y), len(np.unique(y))."
            )
    if samples < classes and not unlabelled:
        raise ValueError(
            "At least one labelled sample of each class is required. Received: "
            f"samples={samples}, classes={classes}. samples= counts all classes together; with "
            "labels from another domain alone, say how many target samples there are: unlabelled=."
        )


def _check_word(name: str, word, known) -> None:
    if not isinstance(word, str) or word not in known:
        raise ValueError(
            f"A known {name} is required. Received: {name}={word!r}.{did_you_mean(word, known)}"
        )
