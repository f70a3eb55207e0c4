"""Compare ways to train over seeds and cases, and say which differences stand out from luck."""

import json
import math
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tlhelpers.checks.seeds import check_seed
from tlhelpers.checks.words import check_choice, check_number, did_you_mean
from tlhelpers.reading.figures import carry_description
from tlhelpers.reading.plots import GREY, new_axes

import numpy as np


class Difference(NamedTuple):
    """The mean of paired differences, and the t interval that holds it."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:+.3f} ({self.low:+.3f} to {self.high:+.3f})"


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """What `compare` returns: a score of each arm in each case with each seed.

    `str()` and a notebook show it as a table. Higher is better. An arm that is called without a
    case is looked at in the only one, or in the first.
    """

    arms: tuple[str, ...]
    cases: tuple
    seeds: tuple[int, ...]
    measures: Mapping[str, np.ndarray]  # name -> (arms, cases, seeds); the first one is compared
    confidence: float = 0.95

    def values(self, arm: str, case: Hashable = None, what: str | None = None) -> np.ndarray:
        """Return the scores of an arm in a case, one for each seed."""
        what = next(iter(self.measures)) if what is None else what
        check_choice("what", what, self.measures)
        check_choice("arm", arm, self.arms)
        return self.measures[what][self.arms.index(arm), self._place(case)].copy()

    def mean(self, arm: str, case: Hashable = None, what: str | None = None) -> float:
        """Return the mean over the seeds."""
        return float(self.values(arm, case, what).mean())

    def spread(self, arm: str, case: Hashable = None, what: str | None = None) -> float:
        """Return the standard deviation over the seeds, with n - 1; NaN for one seed."""
        return (
            float(np.std(self.values(arm, case, what), ddof=1)) if len(self.seeds) > 1 else np.nan
        )

    def difference(self, a: str, b: str, case: Hashable = None) -> Difference:
        """Return how far `a` lies above `b`, seed by seed, with Student's t interval.

        With one seed the interval has no end.
        """
        from scipy import stats

        gaps = self.values(a, case) - self.values(b, case)
        if len(gaps) < 2:
            return Difference(float(gaps[0]), -math.inf, math.inf)
        t = stats.t.ppf((1 + self.confidence) / 2, len(gaps) - 1)
        half = t * gaps.std(ddof=1) / math.sqrt(len(gaps))
        return Difference(float(gaps.mean()), float(gaps.mean() - half), float(gaps.mean() + half))

    def clearly_above(self, a: str, b: str, case: Hashable = None) -> bool:
        """Whether the whole interval of the difference lies above zero."""
        return self.difference(a, b, case).low > 0

    def best(self, case: Hashable = None) -> str:
        """Return the arm with the highest mean."""
        return max(self.arms, key=lambda arm: self.mean(arm, case))

    def not_below_best(self, case: Hashable = None) -> tuple[str, ...]:
        """Return the best arm and all that aren't clearly below it, in the order of the arms."""
        best = self.best(case)
        return tuple(arm for arm in self.arms if not self.clearly_above(best, arm, case))

    def to_json(self) -> str:
        """Return everything as JSON: arms, cases, seeds, and all measures."""
        lists = {name: array.tolist() for name, array in self.measures.items()}
        cases = [case if isinstance(case, int | float | str) else str(case) for case in self.cases]
        about = {"arms": self.arms, "cases": cases, "seeds": self.seeds}
        return json.dumps({**about, "measures": lists}, indent=1)

    def to_markdown(self) -> str:
        """Return the table in Markdown."""
        header, *rows = self._table(lambda text, good: f"**{text}**" if good else text)
        lines = ["| " + " | ".join(row) + " |" for row in [header, ["---"] * len(header), *rows]]
        return "\n".join(lines) + f"\n\n{self._caption('bold')}"

    _repr_markdown_ = to_markdown

    def __str__(self) -> str:
        table = self._table(lambda text, good: f"{text} {'*' if good else ' '}")
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in table]
        return "\n".join([*lines, self._caption("*")])

    __repr__ = __str__

    def plot(self, reference: str | None = None, arms: Sequence[str] | None = None):
        """Plot scores of arms (mean, spread, a point for each seed), a colour for each case.

        Beside them stand the paired differences from an arm, with their intervals: from
        `reference`, by default the first arm. Where zero is outside, the difference is clear.
        """
        reference = self.arms[0] if reference is None else reference
        check_choice("reference", reference, self.arms)
        shown = self.arms if arms is None else tuple(arms)
        figure, (left, right) = new_axes(8.4, 1.1 + 0.32 * len(shown), 1, 2)
        from matplotlib import colormaps

        for number, case in enumerate(self.cases):
            colour = colormaps["viridis"](0.85 * number / max(len(self.cases) - 1, 1))
            below = 0.6 * (number + 0.5) / len(self.cases) - 0.3
            for row, arm in enumerate(shown):
                y, scores, label = row + below, self.values(arm, case), None if row else str(case)
                left.scatter(scores, [y] * len(scores), s=5, color=GREY, linewidths=0)
                spread = np.nan_to_num(self.spread(arm, case))
                left.errorbar(scores.mean(), y, xerr=spread, fmt="o", ms=4, color=colour,
                              label=label)  # fmt: skip
                gap = self.difference(arm, reference, case)
                ends = [[gap.mean - gap.low], [gap.high - gap.mean]]
                bars = ends if math.isfinite(gap.low) and arm != reference else None
                right.errorbar(gap.mean, y, xerr=bars, fmt="o", ms=4, color=colour)
        right.axvline(0, color=GREY, linewidth=1)
        for ax in (left, right):
            ax.set_yticks(range(len(shown)), shown if ax is left else [])
            ax.set_ylim(len(shown) - 0.5, -0.5)
            ax.spines[["top", "right"]].set_visible(False)
        left.set_xlabel(next(iter(self.measures)))
        right.set_xlabel(f"above {reference}, {self.confidence:.0%} interval".replace("%", " %"))
        if len(self.cases) > 1:
            figure.legend(loc="outside upper center", ncols=len(self.cases), frameon=False)
        return carry_description(figure, self._in_words(reference, shown))  # not every point

    def _in_words(self, reference: str, arms: Sequence[str]) -> str:
        said = [f"{next(iter(self.measures))}, and differences from {reference} with intervals."]
        for case in self.cases:
            each = (f"{a} {self.mean(a, case):.3f}, {self.difference(a, reference, case)}"
                    for a in arms)  # fmt: skip
            said.append(f"{'' if case is None else f'{case}: '}{'; '.join(each)}.")
        return " ".join(said)

    def _place(self, case: Hashable) -> int:
        if case is None and case not in self.cases:
            return 0
        if case not in self.cases:
            near = did_you_mean(str(case), map(str, self.cases))
            raise ValueError(
                f"`case` must be one of the comparison's. Received: case={case!r}.{near}"
            )
        return self.cases.index(case)

    def _table(self, mark: Callable[[str, bool], str]) -> list[list[str]]:
        what = next(iter(self.measures))
        rows = [["", *(what if self.cases == (None,) else str(case) for case in self.cases)]]
        good = {case: self.not_below_best(case) for case in self.cases}
        for arm in self.arms:
            shown = [f"{self.mean(arm, c):.3f}" for c in self.cases]
            if len(self.seeds) > 1:
                shown = [
                    f"{t} ± {self.spread(arm, c):.3f}"
                    for t, c in zip(shown, self.cases, strict=True)
                ]
            cells = zip(shown, self.cases, strict=True)
            rows.append([arm, *(mark(text, arm in good[case]) for text, case in cells)])
        return rows

    def _caption(self, mark: str) -> str:
        what, n = next(iter(self.measures)), len(self.seeds)
        if n == 1:
            return f"{what} of one seed: no difference can be told from luck"
        return (
            f"{what}: mean ± standard deviation (n - 1) over {n} seeds; {mark}: not clearly below "
            f"the best (paired t interval, {100 * self.confidence:g} %)"
        )


def compare(
    arms: Mapping[str, Callable],
    *,
    seeds: int | Sequence[int] = 3,
    cases: Sequence[Hashable] | None = None,
    what: str = "score",
    confidence: float = 0.95,
    verbose: bool = True,
) -> Comparison:
    """Run every arm in every case with every seed, and return the scores as one table.

    The arms run in their order, each with all cases and seeds before the next. So an arm may use
    what an earlier one left (the heads that it trained), and a line says when it is done. Seeds
    are paired: with one seed all arms should see the same data.

    Args:
        arms: at least two, name to `function(seed, case)`, or `function(seed)` without cases. It
            returns a score, higher is better, or a dict of numbers whose first one is the score.
        seeds: how many (0, 1, ...), or which.
        cases: what else changes, such as numbers of images or names of targets.
        what: the name of the score, such as "test accuracy", where the arms return numbers.
        confidence: of the intervals, in (0, 1).
        verbose: whether to print a line for each arm.

    Returns:
        A `Comparison`: `mean`, `spread`, `difference`, `clearly_above`, `not_below_best`, `plot`,
        `to_json`.

    Raises:
        ValueError: fewer than two arms; a case or seed twice; an arm that returns no finite score,
            or other names than before.

    Example:
        >>> noise = {seed: np.random.default_rng(seed).normal(0, 0.01) for seed in range(5)}
        >>> table = tl.compare(
        ...     {"frozen": lambda seed, n: 0.7 + noise[seed],
        ...      "tuned": lambda seed, n: 0.7 + noise[seed] ** 2 + n / 1000},
        ...     seeds=5, cases=(10, 100), verbose=False,
        ... )
        >>> table.clearly_above("tuned", "frozen", 100), table.not_below_best(10)
        (True, ('frozen', 'tuned'))
        >>> print(table.difference("tuned", "frozen", 100))
        +0.096 (+0.084 to +0.108)
        >>> table.plot(reference="frozen").savefig("comparison.png")

    Reference:
        Student, "The Probable Error of a Mean", Biometrika 6, 1908 (the paired interval);
        Bouthillier et al., "Accounting for Variance in Machine Learning Benchmarks", MLSys 2021.
    """
    if not isinstance(arms, Mapping) or len(arms) < 2 or not all(map(callable, arms.values())):
        raise ValueError(
            "`arms` must be a dict of at least two functions. Received: "
            f"arms={list(arms) if isinstance(arms, Mapping) else arms!r}. Write {{'frozen': f, "
            "'tuned': g}, with f(seed, case)."
        )
    chosen = range(seeds) if isinstance(seeds, int | np.integer) else seeds
    numbers = tuple(check_seed(seed) for seed in chosen)
    kinds = (None,) if cases is None else tuple(cases)
    for name, given in (("seeds", numbers), ("cases", kinds)):
        if not given or len(set(given)) < len(given):
            raise ValueError(
                f"`{name}` must be at least one, none of them twice. Received: {name}={given}. "
                "Every run is then another one."
            )
    check_number("confidence", confidence, "(0, 1)")
    found: dict[str, np.ndarray] = {}
    for row, (name, function) in enumerate(arms.items()):
        begun = time.perf_counter()
        for column, case in enumerate(kinds):
            for place, seed in enumerate(numbers):
                given = function(seed) if cases is None else function(seed, case)
                scores = _read(given, what, found, (name, case, seed))
                for key, value in scores.items():
                    shape = len(arms), len(kinds), len(numbers)
                    found.setdefault(key, np.full(shape, np.nan))[row, column, place] = value
        if verbose:
            runs, seconds = len(kinds) * len(numbers), time.perf_counter() - begun
            print(f"{name}: {runs} runs in {seconds:.0f} s")
    for array in found.values():
        array.flags.writeable = False
    return Comparison(tuple(arms), kinds, numbers, found, confidence)


def _read(given, what: str, found: Mapping, run: tuple) -> dict[str, float]:
    """Return the numbers of one run by name, or say which run gave something else."""
    scores = dict(given) if isinstance(given, Mapping) else {what: given}
    fine = bool(scores) and all(map(_is_score, scores.values()))
    if not fine or (found and list(scores) != list(found)):
        raise ValueError(
            "An arm must return a finite number, or a dict of these with the same names in each "
            f"run. Received: {given!r} from {run[0]!r}, case {run[1]!r}, seed {run[2]}. Return "
            "float(accuracy)."
        )
    return {name: float(value) for name, value in scores.items()}


def _is_score(value) -> bool:
    try:
        return np.ndim(value) == 0 and math.isfinite(value)
    except TypeError:  # None, of an arm without a return; a text
        return False
