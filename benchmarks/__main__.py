"""Measure what the package takes, relative to its peers.

    python -m benchmarks                   # the quick form of all rows
    python -m benchmarks head dann-torch   # these rows
    python -m benchmarks --full            # larger data, more turns
    python -m benchmarks --full --publish  # and put the table into README.md and the book

Each row runs in a process of its own. `build/bench.md` and `build/bench.json` have the table. The
exit status is 1 where a row falls short of its promise or fails.
"""

import argparse
import datetime
import json
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from benchmarks.frame import Promise, Row
from benchmarks.machine import describe_machine
from benchmarks.report import number, to_markdown
from benchmarks.running import FAILED, LEFT_OUT, ROOT, SHORT, available_cores, run_row

NAMES = ("fitting", "growing", "dann", "scores", "peak", "texts", "files", "processes")
MODULES = tuple(f"benchmarks.{name}" for name in NAMES)
BEGIN, END = "<!-- measured: make bench -->", "<!-- end of what was measured -->"


def main(arguments: list[str] | None = None, modules=MODULES, root: Path = ROOT) -> int:
    """Run the rows that are named, or all; return the exit status."""
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", help="names of rows; all by default")
    parser.add_argument("--full", action="store_true", help="larger data, more turns")
    parser.add_argument("--publish", action="store_true", help="into README.md and the book")
    asked = parser.parse_args(arguments)
    found = choose(list(rows_of(modules)), asked.rows, asked.full, parser)
    if asked.publish and asked.rows:
        parser.error("--publish needs all rows. Leave out their names.")
    report = {
        "form": "full" if asked.full else "quick",
        "date": datetime.date.today().isoformat(),
        "machine": describe_machine(len(available_cores())),
        "rows": [],
    }
    for module, row in found:
        report["rows"].append(run_row(module, row, not asked.full))
        print(line_of(report["rows"][-1]), flush=True)
        write(report, root / "build")
    print("Look at build/bench.md")
    verdicts = {row["verdict"] for row in report["rows"]}
    if asked.publish:
        if verdicts & {FAILED, LEFT_OUT}:
            print("Not published: every row must have run.", file=sys.stderr)
            return 1
        publish(report, root)
    return int(bool(verdicts & {SHORT, FAILED}))


def rows_of(modules) -> Iterator[tuple[str, Row]]:
    for module in modules:
        for row in import_module(module).ROWS:
            yield module, row


def choose(rows: list, names: list[str], full: bool, parser) -> list:
    """Return the rows of these names, or all that this form has."""
    known = [row.name for _, row in rows]
    if unknown := [name for name in names if name not in known]:
        parser.error(f"no row {', '.join(unknown)}. There are: {', '.join(known)}.")
    if names:
        return [(module, row) for module, row in rows if row.name in names]
    return [(module, row) for module, row in rows if full or not row.full_only]


def line_of(row: dict) -> str:
    """Return what is printed as soon as a row ends."""
    if "median" not in row:
        return f"{row['name']:15}{row['verdict']}: {row['reason']}"
    low, high = map(number, row["quartiles"])
    promise = f", {Promise(**row['promise'])}" if row["promise"] else ""
    facts = "; ".join(f"{name} {fact}" for name, fact in row["facts"].items())
    spread = f"{low} to {high}, {row['turns']} turns{promise}"
    said = f"{row['name']:15}{number(row['median'])} ({spread}): {row['verdict']}"
    return f"{said}\n{'':15}{facts}" if facts else said


def write(report: dict, folder: Path) -> None:
    """Write the table as Markdown, and all that was measured as JSON."""
    folder.mkdir(exist_ok=True)
    (folder / "bench.json").write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    ran = [row for row in report["rows"] if "median" in row]
    lines = [to_markdown(report | {"rows": ran}), ""]
    lines += [line_of(row) for row in report["rows"] if row not in ran]
    (folder / "bench.md").write_text("\n".join(lines), "utf-8")


def publish(report: dict, root: Path) -> None:
    """Put the table between the marks in README.md, and the numbers where the book finds them."""
    readme, numbers = root / "README.md", root / "docs" / "measured" / "bench.json"
    text, between = readme.read_text("utf-8"), f"{BEGIN}\n\n{to_markdown(report)}\n\n{END}"
    marks = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    if not marks.search(text):
        raise ValueError(
            f"README.md must have a place for the table. Received: no {BEGIN!r} before {END!r}. "
            "Put both back, each in a line of its own."
        )
    readme.write_text(marks.sub(lambda _: between, text), "utf-8")
    numbers.parent.mkdir(exist_ok=True)
    numbers.write_text(json.dumps(report, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
