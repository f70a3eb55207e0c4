"""Compare pretrained networks on your own images before any of them is trained."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from tlhelpers.checks.features import check_classes
from tlhelpers.checks.words import check_choice
from tlhelpers.choosing.candidates import Candidate, assess, name_candidates, source_head
from tlhelpers.reading.plots import BLUE, GREY, ORANGE, new_axes
from tlhelpers.reading.reports import Printed
from tlhelpers.sources.backbones import load_backbone

import keras
import numpy as np


@dataclass(frozen=True, repr=False)
class Ranking(Printed):
    """What `rank_backbones` returns: candidates, the most promising one first.

    `str()` and a notebook show it as a table; `ranking[name]` is one row, `scores(what)` a column.
    """

    candidates: tuple[Candidate, ...]
    by: str
    samples: int
    classes: int
    image_shape: tuple[int, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names in order, the most promising one first."""
        return tuple(candidate.name for candidate in self.candidates)

    def __getitem__(self, name: str) -> Candidate:
        """Return the row of that name."""
        return self.candidates[self.names.index(check_choice("name", name, self.names))]

    def scores(self, what: str) -> dict[str, float]:
        """Return one column by name: any number of `Candidate`, such as "logme" or "weights"."""
        known = [f.name for f in fields(Candidate) if f.name not in ("name", "input")]
        check_choice("what", what, known)
        return {candidate.name: getattr(candidate, what) for candidate in self.candidates}

    def pareto(self, cost: str = "multiply_adds") -> tuple[str, ...]:
        """Return the names that no other candidate beats in both cost and promise.

        They come in order of their cost: each promises more than those before it. Candidates of
        unknown cost (NaN, such as the multiply-adds of attention) are left out.

        Raises:
            ValueError: an unknown cost.
        """
        check_choice("cost", cost, ("weights", "multiply_adds", "activations", "milliseconds"))
        best, front = -math.inf, []
        known = [row for row in self.candidates if not math.isnan(getattr(row, cost))]
        for row in sorted(known, key=lambda c: (getattr(c, cost), -getattr(c, self.by))):
            if getattr(row, self.by) > best:
                best = getattr(row, self.by)
                front.append(row.name)
        return tuple(front)

    def to_markdown(self) -> str:
        """Return the table in Markdown."""
        header, *rows = _table(self)
        lines = [header, ["---"] * len(header), *rows]
        table = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
        return f"{table}\n\n{_caption(self)}"

    def __str__(self) -> str:
        table = _table(self)
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = []
        for name, *cells in table:
            lines.append("  ".join([name.ljust(widths[0]), *map(str.rjust, cells, widths[1:])]))
        return "\n".join([*lines, _caption(self)])


def _table(ranking: Ranking) -> list[list[str]]:
    """Return the header and the rows as text; LEEP and NCE only if a candidate has them."""
    columns = [[title, *map(show, ranking.candidates)] for title, show in _COLUMNS.items()]
    known = [column for column in columns if set(column[1:]) != {"-"}]
    return [list(row) for row in zip(*known, strict=True)]


def _caption(ranking: Ranking) -> str:
    size = "x".join(map(str, ranking.image_shape))
    return (
        f"sorted by {ranking.by}, higher is better; {ranking.samples:,} images of {size}, "
        f"{ranking.classes} classes; nothing was trained but the linear probe"
    )


def _short(number: float) -> str:
    if math.isnan(number):
        return "?"
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.0f}"


def _or_dash(number: float) -> str:
    return "-" if math.isnan(number) else f"{number:.3f}"


_COLUMNS: dict[str, Callable[[Candidate], str]] = {
    "candidate": lambda row: row.name,
    "input": lambda row: row.input,
    "features": lambda row: str(row.features),
    "weights": lambda row: _short(row.weights),
    "multiply-adds": lambda row: _short(row.multiply_adds),
    "activations": lambda row: _short(row.activations),
    "ms/image": lambda row: f"{row.milliseconds:.2f}",
    "LogME": lambda row: f"{row.logme:.3f}",
    "H-score": lambda row: f"{row.h_score:.2f}",
    "linear probe": lambda row: "{:.3f} ({:.3f} to {:.3f})".format(row.probe, *row.probe_interval),
    "LEEP": lambda row: _or_dash(row.leep),
    "NCE": lambda row: _or_dash(row.nce),
}


def rank_backbones(
    candidates: Sequence[str | keras.Model] | Mapping[str, str | keras.Model],
    x,
    y,
    *,
    input_shape: tuple[int, int, int] | None = None,
    source_heads: Mapping[str, Callable] | None = None,
    by: str = "logme",
    batch_size: int = 64,
    cache: str | Path | None = None,
    seed: int = 0,
) -> Ranking:
    """Rank pretrained networks by what their features promise for your images, and their cost.

    Every candidate runs over the images once. Its maps are averaged over all places, as a head
    with average pooling sees them, and scored. Nothing of it is trained.

    Args:
        candidates: at least two of: names of `load_backbone`; Keras models with one input and one
            output (a base, one of `cut_at_blocks`, your own). A dict gives them names of your own.
            A base of keras.applications gets its preprocessing; any other model sees the images as
            they are. The table records which.
        x: images `(n, height, width, channels)`, 0..255.
        y: labels, integers `(n,)`, two classes at least, two images of each.
        input_shape: what candidates given by name are loaded for; the images' shape by default.
            Images of another size than a candidate's are resized for it (bilinear), and the
            table says so. A score depends on that size: compare it as one more candidate.
        source_heads: name of a candidate to the classifier it was trained with, a function (or a
            layer, such as `model.get_layer("logits")`) from its pooled features `(n, features)` to
            logits or probabilities of the source classes. It gives LEEP and NCE. The name
            "mobilenetv2-dogs" brings its own.
        by: what to sort by: "logme", "h_score" or "probe".
        batch_size: images per step.
        cache: a folder for the features, see `extract_features`.
        seed: for the splits of the linear probe.

    Returns:
        A `Ranking`.

    Raises:
        ValueError: a single candidate, the same name twice, an unknown name (before anything is
            loaded), images or labels that don't fit, features that aren't finite.

    Example:
        >>> ranking = tl.rank_backbones(tl.cut_at_blocks(base), x, y, by="probe")
        >>> print(ranking)
        candidate     input          features  weights  multiply-adds ...
        >>> ranking[ranking.names[0]].input
        '12x12x3, caffe'

    Reference:
        You et al., "LogME: Practical Assessment of Pre-trained Models for Transfer Learning",
        ICML 2021; Kornblith et al., "Do Better ImageNet Models Transfer Better?", CVPR 2019 (the
        linear probe).
    """
    named = name_candidates(candidates)
    heads = source_heads or {}
    for name in heads:
        check_choice("source_heads", name, named)
    check_choice("by", by, ("logme", "h_score", "probe"))
    x = x if hasattr(x, "shape") else np.asarray(x)
    if len(x.shape) != 4:
        raise ValueError(
            "`x` must be images of shape (n, height, width, channels). Received: "
            f"shape={x.shape}. For a single image: x[None]."
        )
    labels = check_classes(y, n=len(x))
    rows, shape = [], tuple(input_shape or x.shape[1:])
    for name, given in named.items():
        model = load_backbone(given, shape) if isinstance(given, str) else given
        head = heads[name] if name in heads else source_head(given)
        rows.append(assess(name, model, head, x, labels, batch_size, cache, seed))
    rows.sort(key=lambda row: -getattr(row, by))
    return Ranking(tuple(rows), by, len(x), int(labels.max()) + 1, tuple(x.shape[1:]))


def plot_ranking(ranking: Ranking, cost: str = "multiply_adds"):
    """Plot promise over cost. The line joins the candidates that no other one beats in both.

    Args:
        ranking: what `rank_backbones` returned; what it is sorted by goes upwards.
        cost: "weights", "multiply_adds", "activations" or "milliseconds", on a logarithmic axis.
            Candidates of unknown cost (NaN) are left out; the title names them.

    Raises:
        ValueError: an unknown cost; one that is known of no candidate.

    Example:
        >>> ranking = tl.rank_backbones(tl.cut_at_blocks(base), x, y)
        >>> tl.plot_ranking(ranking, cost="weights").savefig("ranking.png")
    """
    from matplotlib.ticker import LogLocator, MaxNLocator

    front = ranking.pareto(cost)
    costs, promises = ranking.scores(cost), ranking.scores(ranking.by)
    unknown = [name for name, value in costs.items() if math.isnan(value)]
    if not front:
        raise ValueError(
            f"`cost` must be known of a candidate. Received: cost={cost!r}, which is NaN for "
            f"{', '.join(map(repr, unknown))}. Use cost='milliseconds', which is measured."
        )
    figure, (ax,) = new_axes(6.4, 3.8)
    if unknown:
        title = f"{cost.replace('_', '-')} unknown, not shown: {', '.join(unknown)}"
        ax.set_title(title, fontsize=8, color=GREY, loc="left", wrap=True)
    ax.plot([costs[n] for n in front], [promises[n] for n in front], color=ORANGE, linewidth=1)
    names = []
    for name in (name for name in ranking.names if name not in unknown):
        point = costs[name], promises[name]
        ax.scatter(*point, color=BLUE if name in front else GREY, zorder=2)
        names.append(ax.annotate(name, point, (5, 4), textcoords="offset points", fontsize=8))
    ax.set(xscale="log", xlabel=f"{cost.replace('_', '-')} per image", ylabel=ranking.by)
    low, high = ax.get_xlim()
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)) if high > 8 * low else MaxNLocator(5))
    ax.xaxis.set_major_formatter(lambda value, _: _short(value) if value >= 1e3 else f"{value:g}")
    ax.minorticks_off()
    ax.margins(x=0.18, y=0.1)
    ax.spines[["top", "right"]].set_visible(False)
    figure.set_label(f"{len(costs) - len(unknown)} candidates: promise over cost")
    _spread(ax, names)
    return figure


def _spread(ax, names) -> None:
    """Move each name to the nearest place beside its point, in the axes and over no other name."""
    ax.figure.draw_without_rendering()  # now the places on the canvas are known
    inside = ax.get_window_extent()
    taken: list = []
    places = list(itertools.product((4, -9, 14, -19, 24, -29), ("left", "right")))
    for name in names:
        boxes = [_put(name, *place) for place in places]
        outside = [not all(inside.contains(*corner) for corner in (b.min, b.max)) for b in boxes]
        crowding = [
            box.count_overlaps(taken) + far for box, far in zip(boxes, outside, strict=True)
        ]
        best = crowding.index(min(crowding))
        taken.append(_put(name, *places[best]))


def _put(name, up: int, side: str):
    name.set(ha=side, position=(5 if side == "left" else -5, up))
    return name.get_window_extent().padded(1)
