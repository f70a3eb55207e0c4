"""What a row of the benchmark is: two sides that take turns, their ratios, and a promise."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Promise:
    """What the median ratio must be: at least `bound`, or at most where `least` is False."""

    bound: float
    least: bool = True

    def kept(self, ratio: float) -> bool:
        return ratio >= self.bound if self.least else ratio <= self.bound

    def __str__(self) -> str:
        return f"at {'least' if self.least else 'most'} {self.bound:g}"


@dataclass(frozen=True)
class Measured:
    """One ratio for each paired turn, and what else a reader wants to know, by name."""

    ratios: list[float]
    facts: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """A line of the table. `python -m benchmarks NAME` measures it in a process of its own.

    Args:
        name: What to type, such as "head".
        title: What is compared, for a reader: "ours against the peer".
        measure: Called with True for the quick form, False for the full one.
        promise: What the ratio must be, or None where it is only reported.
        needs: Modules of the peers, such as "torch"; they are in .venv-bench.
        threads: How many threads both sides may use, and as many cores. None: all cores.
        full_only: Whether the quick form leaves the row out.
        why: What a profile says where the row falls short.
    """

    name: str
    title: str
    measure: Callable[[bool], Measured]
    promise: Promise | None = None
    needs: tuple[str, ...] = ()
    threads: int | None = None
    full_only: bool = False
    why: str = ""


def take_turns(
    ours: Callable[[], object],
    peer: Callable[[], object],
    turns: int,
    warm_ups: int = 1,
    clock: Callable = time.perf_counter,
) -> list:
    """Return how many times faster `ours` is than `peer`, one ratio for each pair of turns.

    Both run `warm_ups` times before the clock does. The order changes from pair to pair, so that
    a machine that slows down or speeds up favours neither. A clock may tell several times at once,
    as an array: so do the ratios.
    """

    def seconds(side: Callable[[], object]) -> float:
        begin = clock()
        side()
        return clock() - begin

    for _ in range(warm_ups):
        ours(), peer()
    ratios = []
    for turn in range(turns):
        order = (ours, peer) if turn % 2 == 0 else (peer, ours)
        spent = {side: seconds(side) for side in order}
        ratios.append(spent[peer] / spent[ours])
    return ratios
