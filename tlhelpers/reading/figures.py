"""What a figure shows, in words, for those who don't see it."""

from collections.abc import Iterable
from functools import partial

import numpy as np

MOST = 12  # names in a list, values of a line: of longer ones a part is told


def describe_figure(figure) -> str:
    """Return the alternative text of a matplotlib figure: what it shows, in words.

    The figure's own label comes first (`figure.set_label("...")`), then each panel: its title, its
    axes, and the values of its lines, bars, points and pictures. A figure of `new_axes`, and so of
    every `plot_...`, carries this text into the notebook and its page.

    Example:
        >>> tl.describe_figure(tl.plot_history({"loss": [1.1, 0.9, 0.7]}))
        'Training curves. loss over epoch: training 1.1, 0.9, 0.7 at 1, 2, 3.'
    """
    drawn = [ax for ax in figure.axes if ax.has_data() and ax.get_label() != "<colorbar>"]
    parts = [figure.get_label(), figure.get_suptitle()]
    parts += [_panel(ax) for ax in drawn if ax.axison]
    pictures = [ax for ax in drawn if not ax.axison]
    if pictures:
        count = f"{len(pictures)} picture{'s' * (len(pictures) > 1)}"
        parts.append(_headed(count, _listed(ax.get_title() for ax in pictures)))
    return " ".join(f"{part}." for part in (_one_line(part).rstrip(".") for part in parts) if part)


def carry_description(figure, text: str | None = None):
    """Let a notebook keep an alternative text beside the figure's picture; return the figure.

    The text is that of `describe_figure` at the time when it is shown, unless one is given.
    """
    figure._repr_mimebundle_ = partial(_metadata, figure, text)
    return figure


def _metadata(figure, text: str | None, **asked) -> tuple[dict, dict]:
    """Return what IPython adds to the picture, which it draws itself."""
    alt = {"alt": text or describe_figure(figure)}
    return {}, {"image/png": alt, "image/svg+xml": alt}


def _panel(ax) -> str:
    """Return title, axes and content of one panel."""
    from matplotlib.collections import PathCollection

    errors = [c for c in ax.containers if hasattr(c, "has_yerr")]
    owned = [part for c in errors for part in (c.lines[0], *c.lines[1])]
    lines = [(line.get_label(), line) for line in ax.get_lines() if line not in owned]
    lines += [(c.get_label(), c.lines[0]) for c in errors if c.lines[0] is not None]
    content = [_line(ax, *line) for line in lines if line[1].get_transform() == ax.transData]
    content += [_bars(ax, c) for c in ax.containers if hasattr(c, "orientation")]
    content += [_points(ax, c) for c in ax.collections if isinstance(c, PathCollection)]
    content += [_grid(image) for image in ax.images]
    if ax.texts and not ax.images:
        content.append(f"marked {_listed(map(_mark, ax.texts))}")
    title = " ".join(filter(None, (ax.get_title("left"), ax.get_title())))
    axes = " over ".join(filter(None, (ax.get_ylabel(), ax.get_xlabel())))
    return _headed(", ".join(filter(None, (title, axes))), "; ".join(filter(None, content)))


def _line(ax, label: str, line) -> str:
    """Return the values of a short line, ends and range of a long one."""
    x, y = (np.asarray(values, dtype=float) for values in line.get_data(orig=False))
    name = "line" if label.startswith("_") else label
    if not len(y):
        return ""
    if len(y) <= MOST:
        return f"{name} {', '.join(map(_short, y))} at {', '.join(_places(ax.xaxis, x))}"
    text = f"{name} from {y[0]:.3g} to {y[-1]:.3g}"
    low, high = np.nanmin(y), np.nanmax(y)
    return text if {low, high} <= {y[0], y[-1]} else f"{text}, between {low:.3g} and {high:.3g}"


def _bars(ax, container) -> str:
    """Return the length of each bar, with the name at its foot."""
    if container.orientation == "vertical":
        axis, feet = ax.xaxis, [bar.get_x() + bar.get_width() / 2 for bar in container]
        lengths = [bar.get_height() for bar in container]
    else:
        axis, feet = ax.yaxis, [bar.get_y() + bar.get_height() / 2 for bar in container]
        lengths = [bar.get_width() for bar in container]
    names = _places(axis, feet, within=0.5)  # bars stand beside each other around a name
    label = "bars" if container.get_label().startswith("_") else container.get_label()
    each = [f"{name} {_short(length)}" for name, length in zip(names, lengths, strict=True)]
    return _headed(label, _listed(each))


def _points(ax, collection) -> str:
    """Return how many points there are, and where, on axes that have numbers."""
    points = np.asarray(collection.get_offsets(), dtype=float)
    label = collection.get_label()
    named = "" if label.startswith("_") else f"{label}: "
    if len(points) < 2:
        return f"{named}1 point" if named else ""
    (left, low), (right, high) = np.nanmin(points, axis=0), np.nanmax(points, axis=0)
    where = f", {low:.3g} to {high:.3g} over {left:.3g} to {right:.3g}"
    return f"{named}{len(points)} points{where if ax.get_xticks().size else ''}"


def _grid(image) -> str:
    """Return shape and range of a coloured grid."""
    values = np.asarray(image.get_array(), dtype=float)
    low, high = np.nanmin(values), np.nanmax(values)
    return f"grid of {values.shape[0]} by {values.shape[1]}, from {low:.3g} to {high:.3g}"


def _mark(text) -> str:
    """Return a text in the figure, with its place if it points at one."""
    words = _one_line(text.get_text())
    place = getattr(text, "xy", None)  # an annotation's
    return words if place is None or not words else f"{words} at {', '.join(map(_short, place))}"


def _places(axis, positions: Iterable[float], within: float = 1e-6) -> list[str]:
    """Return the name on the axis at each position, else the number itself."""
    from matplotlib.category import StrCategoryLocator
    from matplotlib.ticker import FixedLocator

    named = isinstance(axis.get_major_locator(), FixedLocator | StrCategoryLocator)
    ticks = zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=False) if named else ()
    names = [(float(at), _one_line(label.get_text())) for at, label in ticks]
    found = []
    for position in positions:
        near = [(abs(at - position), name) for at, name in names if abs(at - position) <= within]
        found.append(min(near)[1] if near else _short(position))
    return found


def _short(value) -> str:
    return value if isinstance(value, str) else f"{float(value):.3g}"


def _listed(names: Iterable[str]) -> str:
    kept = [name for name in map(_one_line, names) if name]
    return ", ".join(kept[:MOST] + [f"and {len(kept) - MOST} more"] * (len(kept) > MOST))


def _headed(head: str, rest: str) -> str:
    return ": ".join(filter(None, (head, rest)))


def _one_line(text: str) -> str:
    return " ".join(str(text).split())
