"""What features of much data cost: hours, memory and disk, reckoned from what was measured.

docs/measured/shards.json -> costs -> the table in docs/past_one_machine.md, at the book's build
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MARK = "<!-- costs -->"  # where the page has what `say_costs` returns
COURSE = 2000  # images of a lesson
TIMES, WORKERS = (10, 1_000, 1_000_000), (1, 8, 100)


@dataclass(frozen=True)
class Cost:
    """What the features of some images take: hours, and GB of memory (all workers) and disk."""

    hours: float
    memory: float
    disk: float


def read_measured(path: Path) -> dict:
    """Return what was measured."""
    return json.loads(path.read_text("utf-8"))


def efficiency(measured: Mapping) -> float:
    """Return what a worker, on one core, does beside another of what it does alone; 1 at most."""
    rates = measured["ray_workers"]
    return min(1.0, rates["2"] / (2 * rates["1"]))


def images_per_second(measured: Mapping, workers: int) -> float:
    """Return the rate of so many workers: measured, or that of one times number and efficiency."""
    rates = measured["ray_workers"]
    if str(workers) in rates:
        return rates[str(workers)]
    return rates["1"] * workers * efficiency(measured)


def cost(measured: Mapping, images: int, workers: int) -> Cost:
    """Return what the features of so many images cost with so many workers."""
    seconds = measured["start_seconds"] + images / images_per_second(measured, workers)
    memory, disk = workers * measured["peak_mb"]["1"] / 1e3, images * measured["bytes_per_image"]
    return Cost(seconds / 3600, memory, disk / 1e9)


def say_costs(measured: Mapping) -> str:
    """Return what was measured, and the table of what follows from it, as Markdown."""
    rates = measured["ray_workers"].items()
    told = ", ".join(f"{rate:,.0f} images a second with {n}" for n, rate in rates)
    share = f"{efficiency(measured):.0%}".replace("%", " %")
    heads = " | ".join(f"{n} worker{'s' * (n > 1)}" for n in WORKERS)
    lines = [
        f"Measured on {measured['machine']}: {measured['backbone']}, {measured['images']:,} images "
        f"of {measured['image_size']} pixels, {measured['features_per_image']:,} features each. "
        f"{told}, a core each. A second beside the first leaves each {share} of its speed. "
        f"A worker takes {measured['peak_mb']['1'] / 1e3:.1f} GB and "
        f"{measured['start_seconds']:.0f} s to start.",
        "",
        f"| the course's data, times | images | disk, GB | {heads} |",
        "|--:" * (3 + len(WORKERS)) + "|",
    ]
    for times in TIMES:
        images = times * COURSE
        costs = [cost(measured, images, n) for n in WORKERS]
        hours = " | ".join(f"{_round(one.hours)} h" for one in costs)
        lines.append(f"| {times:,} | {images:,} | {_round(costs[0].disk)} | {hours} |")
    memory = " | ".join(f"{_round(cost(measured, 0, n).memory)} GB" for n in WORKERS)
    return "\n".join([*lines, f"| memory, all workers | | | {memory} |"])


def _round(number: float) -> str:
    """Return two digits that count: 0.43, 4.3, 43,000."""
    if number >= 10:
        return f"{float(f'{number:.1e}'):,.0f}"
    return f"{float(f'{number:.1e}'):.10g}"
