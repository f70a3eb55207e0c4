"""What to try first: a strategy, why, how to run it, and how sure that is."""

import functools
import textwrap
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tlhelpers.checks.files import PACKAGE, folder_beside
from tlhelpers.checks.words import check_choice, check_number, check_whole
from tlhelpers.scores.probes import Probe

FEW, MANY = 50, 1000  # samples per class: below and from here on
SIMILAR = 0.5  # on the scale of `similarity`, from here on
MINUTES = 10  # of a laptop: below it, the network runs over the data once and no more

_WORDS = {"similar": (1.0, 1.0, 1.0), "different": (0.0, 0.0, 0.0)}
_MARGIN, _OFF = 1.5, 0.15  # how far off the borders may well be
_LEAST_UNLABELLED = 200
_FROZEN = ("early", "features")  # which of them, probes at several places tell


@functools.cache
def playbook() -> dict:
    """Return what `advise` knows: strategies, tables, recipes, reasons, papers and checks."""
    return tomllib.loads(Path(__file__).with_name("playbook.toml").read_text(encoding="utf8"))


@dataclass(frozen=True)
class Advice:
    """What `advise` returns; print it.

    `strategy` completes "I would begin with ...". `reasons` end with the paper they lean on, such
    as `[Yosinski 2014]`, whose title is in `papers`. `recipe` is a program of the repository to
    start from, `change` what the strategy changes in it, or "". `sure` is False where `doubts` say
    what would change the advice. `check` says how to find out whether it was right.
    """

    strategy: str
    situation: str
    reasons: tuple[str, ...]
    papers: tuple[str, ...]
    recipe: str
    change: str
    doubts: tuple[str, ...]
    check: str

    @property
    def sure(self) -> bool:
        """Whether the strategy stays the same for somewhat other numbers."""
        return not self.doubts

    @property
    def path(self) -> Path:
        """Where the recipe lies on this machine: in a checkout, or in the installed package."""
        return folder_beside("recipes") / Path(self.recipe).name

    @property
    def code(self) -> str:
        """The recipe, read from its file."""
        return self.path.read_text(encoding="utf8")

    def __str__(self) -> str:
        certainty = "I am fairly sure of that." if self.sure else "I am not sure, though."
        parts = [f"{self.situation} I would begin with {self.strategy}. {certainty}"]
        parts += ["- " + line for line in self.reasons]
        parts += ["What would change my mind:"] if self.doubts else []
        parts += ["- " + line for line in self.doubts]
        lines = [_wrap(part, part.startswith("- ")) for part in parts]
        lines += ["", f"Start from {self.recipe}."]
        lines += [f"It lies at {self.path}"] if PACKAGE in self.path.parents else []
        lines += [self.change] if self.change else []
        lines += ["", _wrap(self.check), ""]
        lines += [_wrap(f"Read {paper}", True) for paper in self.papers]
        return "\n".join(lines)

    __repr__ = __str__


def advise(
    *,
    samples: int,
    classes: int,
    similarity: str | float | Probe | Mapping[str, Probe] | None = None,
    budget: str | float = "laptop",
    task: str = "image",
    unlabelled: int = 0,
) -> Advice:
    """Recommend how to use a pretrained network, from what you know before any training.

    The skeleton is the classic table: few or many samples, similar to the source or different. It
    has a row between few and many, and a column for what the machine can do in time. The borders
    (50 and 1,000 samples per class, similarity 0.5) are rules of thumb. The advice is not `sure`
    where a third fewer samples, half as many again, or a similarity 0.15 off would change it, or
    where two places read nearly alike.

    Take it as a place to begin. In lesson 06, on a small network, it is right in 7 to 9 of 12
    cases; on VGG16 at 32 pixels (`benchmarks/accuracy/adviser.py`) in 4 of 6, and always
    fine-tuning the whole network lost less there.

    Args:
        samples: labelled samples of the target task, all classes together; at least one per class,
            or 0 beside `unlabelled`.
        classes: classes of the target task, at least 2.
        similarity: how much of what the network knows is of use here. A number in 0..1 (0 another
            world, 1 the same kind of data); "similar" or "different"; None if unknown; or, better,
            what `linear_probe` returns for the frozen network's features: it counts from chance
            (0) to no error (1), with its interval. Best of all, a dictionary of such probes by
            place, from the input to the end: whether an earlier layer reads your data better is
            then measured, not guessed. A proxy A-distance d gives 1 - d / 2.
        budget: "laptop", "gpu", or minutes of a laptop.
        task: "image" or "text".
        unlabelled: target samples without labels, for a model that also learns from labelled data
            of the same classes in another domain (drawings, another scanner, other shops' photos).
            Then `similarity` is that of the two domains.

    Returns:
        An `Advice` with `strategy, reasons, recipe, change, sure, doubts, check`, and `code`, the
        text of the recipe.

    Raises:
        ValueError: a count too small or not whole, a similarity outside 0..1, an unknown word, a
            dictionary without probes.

    Example:
        >>> advice = tl.advise(samples=500, classes=10, similarity="similar", budget="gpu")
        >>> advice.strategy, advice.recipe, advice.sure
        ('fine-tuning of the last block', 'recipes/fine_tuning.py', False)
        >>> maps, labels = tl.extract_features(base, x, y)
        >>> probe = tl.linear_probe(features=maps.mean(axis=(1, 2)), labels=labels)
        >>> print(tl.advise(samples=len(x), classes=3, similarity=probe))
        You have about 8 labelled images for each of 3 classes, and a laptop. ...

    Reference:
        The papers in `Advice.papers`, above all Yosinski et al., "How transferable are features in
        deep neural networks?", NeurIPS 2014, and Kornblith et al., CVPR 2019.
    """
    cure = "Count them: len(y), len(np.unique(y))."
    check_whole("samples", samples, 0, cure=cure)
    check_whole("classes", classes, 2, cure=cure)
    check_whole("unlabelled", unlabelled, 0, cure=cure)
    if samples < classes and not unlabelled:
        raise ValueError(
            "`samples` must be at least one for each class. Received: "
            f"samples={samples}, classes={classes}. Count all classes together. If you have labels "
            "from another domain alone, say how many target samples there are: unlabelled=."
        )
    machine, book = _machine(budget), playbook()
    known = book["tasks"][check_choice("task", task, book["tasks"])]
    similarity, places = _by_places(similarity)
    near = _similarity(similarity, classes)
    earlier = _earlier(places) if "early" in known["recipes"] else None
    case = _Case(samples / classes, *near, machine, task, unlabelled, earlier)
    choice = case.choose()
    words = {"strategy": choice, "task": task, "size": case.size, "machine": machine}
    words["similarity"] = case.nearness
    reasons = [
        reason for reason in book["reasons"]
        if all(word in reason.get(field, [word]) for field, word in words.items())
    ]  # fmt: skip
    check = "adapt" if choice == "adapt" else "usual"
    waiting = f" {book['checks']['can_wait']}" if unlabelled and choice != "adapt" else ""
    return Advice(
        strategy=book["strategies"][choice],
        situation=_describe(samples, classes, similarity, case) + _describe_places(places),
        reasons=tuple(f"{reason['text']} [{reason['paper']}]" for reason in reasons),
        papers=tuple(dict.fromkeys(book["papers"][reason["paper"]] for reason in reasons)),
        recipe=f"recipes/{known['recipes'][choice]}.py",
        change=known["changes"].get(choice, ""),
        doubts=_doubts(case, similarity) + (_alike(places) if choice in _FROZEN else ()),
        check=book["checks"][check] + waiting,
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
    earlier: bool | None  # whether an earlier layer reads the data better, where measured

    @property
    def size(self) -> str:
        return "few" if self.per_class < FEW else "some" if self.per_class < MANY else "many"

    @property
    def nearness(self) -> str:
        return "similar" if self.similarity >= SIMILAR else "different"

    def choose(self) -> str:
        if self.unlabelled and self.size == "few":
            return "adapt"
        row = playbook()["tasks"][self.task]["table"][self.size][self.nearness]
        choice = row[list(playbook()["machines"]).index(self.machine)]
        if self.earlier is None or choice not in _FROZEN:
            return choice
        return _FROZEN[0] if self.earlier else _FROZEN[1]


def _doubts(case: _Case, given) -> tuple[str, ...]:
    """Return what would change the advice: other choices for somewhat other numbers."""
    near = {
        "With a third fewer samples": replace(case, per_class=case.per_class / _MARGIN),
        "With half as many samples again": replace(case, per_class=case.per_class * _MARGIN),
        "Should the data be further from the source": replace(case, similarity=case.low),
        "Should the data be nearer to the source": replace(case, similarity=case.high),
    }
    choice, named = case.choose(), playbook()["strategies"]
    others = {when: other.choose() for when, other in near.items()}
    lines = [f"{when}, I would try {named[o]}." for when, o in others.items() if o != choice]
    if given is None and any("source" in line for line in lines):
        measure = playbook()["tasks"][case.task]["measure"]
        lines.append(f"Measure it: {measure}, then similarity=tl.linear_probe(...).")
    if choice == "adapt" and case.unlabelled < _LEAST_UNLABELLED:
        lines.append("So few unlabelled samples hardly show a domain: collect more of them.")
    return tuple(lines)


def _describe(samples: int, classes: int, similarity, case: _Case) -> str:
    count = f"about {case.per_class:,.0f}" if case.per_class >= 1 else "less than one"
    have = f"{count if samples else 'no'} labelled {case.task}s for each of {classes:,} classes"
    have += f" and {case.unlabelled:,} without labels" if case.unlabelled else ""
    source = "the labelled domain" if case.choose() == "adapt" else "what the network has seen"
    where = f"They are {'near to' if case.nearness == 'similar' else 'far from'} {source}"
    if similarity is None:
        where = f"You do not say how near they are to {source}"
    if isinstance(similarity, Probe):
        right = f"{similarity.accuracy:.2f} of them right"
        where += f": a linear classifier on its features gets {right}"
    return f"You have {have}, and {playbook()['machines'][case.machine]}. {where}."


def _similarity(value, classes: int) -> tuple[float, float, float]:
    """Return the lowest, the most likely and the highest similarity, in 0..1."""
    if value is None:
        return 0.0, 1.0, 1.0
    if isinstance(value, Probe):  # from an accuracy by chance, 0, to one without error, 1
        chance, (low, high) = 1 / classes, value.interval
        above = [max((a - chance) / (1 - chance), 0.0) for a in (low, value.accuracy, high)]
        return above[0], above[1], above[2]
    if isinstance(value, str):
        return _WORDS[check_choice("similarity", value, _WORDS)]
    cure = "It may also be 'similar', 'different', or what linear_probe returns. A proxy A-distance"
    value = check_number("similarity", value, "[0, 1]", f"{cure} d becomes 1 - d / 2.")
    return max(value - _OFF, 0.0), value, min(value + _OFF, 1.0)


def _by_places(value) -> tuple:
    """Return the similarity at the end, and the probes from input to end, where several are given.

    Other similarities come back as they are, with no probes.
    """
    if not isinstance(value, Mapping):
        return value, []
    if not value or not all(isinstance(probe, Probe) for probe in value.values()):
        types = {name: type(probe).__name__ for name, probe in value.items()}
        raise ValueError(
            "`similarity` must hold what linear_probe returns, for each place. Received: "
            f"similarity={types}. Write {{name: tl.linear_probe(features=..., labels=y), ...}}."
        )
    places = list(value.items())
    return places[-1][1], places if len(places) > 1 else []


def _earlier(places) -> bool | None:
    return _best_before_the_end(places)[1].accuracy > places[-1][1].accuracy if places else None


def _best_before_the_end(places) -> tuple[str, Probe]:
    return max(places[:-1], key=lambda place: place[1].accuracy)


def _describe_places(places) -> str:
    if not places:
        return ""
    name, probe = _best_before_the_end(places)
    return f" On the earlier features of {name}, it gets {probe.accuracy:.2f} right."


def _alike(places) -> tuple[str, ...]:
    if not places:
        return ()
    (name, before), (end, last) = _best_before_the_end(places), places[-1]
    better, other = sorted((before, last), key=float, reverse=True)
    if better.interval[0] > other.accuracy:
        return ()
    return (f"The features of {name} and of {end} read your data nearly alike: try both.",)


def _machine(budget) -> str:
    if isinstance(budget, str):
        return check_choice("budget", budget, ("laptop", "gpu"))
    cure = "Give the minutes that a laptop may take, 'laptop', or 'gpu'."
    return "laptop" if check_number("budget", budget, "(0, inf)", cure) >= MINUTES else "minutes"
