"""What the benchmark measured, as a table and as a picture: for the README and for the book."""

import json
from collections.abc import Mapping
from pathlib import Path

from benchmarks.frame import Promise

PLACE = "<!-- measured -->"  # in docs/how_fast.md
_EDGE = 20  # of the picture: what lies beyond it is written there
_COLOURS = {"kept": "#1b7837", "falls short": "#c51b7d", "no promise": "#555555"}


def write_how_fast(measured: Path, page: Path) -> None:
    """Put table, picture and explanations into a page of the book, in place of its mark."""
    report = json.loads(measured.read_text("utf-8"))
    figure, told = draw(report)
    figure.savefig(page.with_suffix(".svg"))
    parts = [to_markdown(report), f"![{told}]({page.stem}.svg)", _explain(report["rows"])]
    text = page.read_text("utf-8").replace(PLACE, "\n\n".join(filter(None, parts)))
    page.write_text(text, "utf-8")


def to_markdown(report: Mapping) -> str:
    """Return the ratios as a table, and under it the machine that gave them."""
    lines = ["| compared | ratio: median (quartiles) | promise | |", "|---|---|---|---|"]
    for row in report["rows"]:
        low, high = row["quartiles"]
        promise = Promise(**row["promise"]) if row["promise"] else ""
        verdict = "**falls short**" if row["verdict"] == "falls short" else row["verdict"]
        ratio = f"**{number(row['median'])}** ({number(low)} to {number(high)})"
        lines.append(f"| {row['title']} | {ratio} | {promise} | {verdict} |")
    machine = report["machine"]
    versions = [f"{name} {said}" for name, said in machine["versions"].items()]
    place = [machine["processor"], f"{machine['cores']} cores", machine["system"]]
    told = ", ".join([*place, f"Python {machine['python']}", *versions])
    lines += ["", f"{told}; {report['form']} form, {report['date']}."]
    return "\n".join(lines)


def number(ratio: float) -> str:
    """Return a ratio with three digits: "0.974", "1.03", "14.2", "130", "1.8e+09"."""
    if ratio >= 1e5:
        return f"{ratio:.1e}"
    if ratio >= 99.95:
        return f"{ratio:.0f}"
    return f"{ratio:.{3 if ratio < 0.9995 else 2 if ratio < 9.995 else 1}f}"


def draw(report: Mapping):
    """Return a figure of all ratios on one logarithmic axis, and its alternative text."""
    import tlhelpers as tl

    rows = report["rows"]
    figure, (ax,) = tl.new_axes(9, 1.2 + 0.38 * len(rows))
    for place, row in enumerate(rows):
        low, high = row["quartiles"]
        colour = _COLOURS[row["verdict"]]
        ax.plot([low, high], [place, place], color=colour, linewidth=6, alpha=0.35)
        ax.plot(min(row["median"], _EDGE), place, "o", color=colour)
        if row["median"] > _EDGE:
            ax.text(_EDGE * 0.9, place, number(row["median"]), ha="right", va="center")
        if row["promise"]:
            mark = ">" if row["promise"]["least"] else "<"
            ax.plot(row["promise"]["bound"], place, mark, color="#2b6cb0", fillstyle="none")
    ax.axvline(1, color="#999999", linewidth=0.8)
    ax.set_xscale("log")
    ax.set_xlim(0.3, _EDGE * 1.2)
    for set_formatter in (ax.xaxis.set_major_formatter, ax.xaxis.set_minor_formatter):
        set_formatter(lambda value, _: f"{value:g}")
    ax.set_yticks(range(len(rows)), [row["name"] for row in rows])
    ax.invert_yaxis()
    ax.set_xlabel("ratio: median and quartiles; a triangle points to where the promise is kept")
    told = [f"{row['name']} {number(row['median'])} ({row['verdict']})" for row in rows]
    return figure, f"Ratio of each row of the table: {', '.join(told)}."


def _explain(rows) -> str:
    short = [row for row in rows if row["verdict"] == "falls short"]
    lines = [f"- **{row['title']}** falls short. {row['why'] or 'No profile explains it yet.'}"
             for row in short]  # fmt: skip
    return "\n".join(["## What falls short, and why\n", *lines]) if lines else ""
