"""The command line: `python -m tlhelpers VERB`."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from tlhelpers import assets, doctor
from tlhelpers.names import did_you_mean


def main(argv: list[str] | None = None) -> int:
    """Run one verb and return the exit code: 0, 1 when it failed, 2 when it was asked wrongly."""
    parser = argparse.ArgumentParser(prog="tlhelpers", description="Helpers of the course.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for add in (add_doctor, add_fetch, add_course):
        add(verbs)
    options = parser.parse_args(argv)
    return options.run(options)


def add_verb(verbs, name: str, run: Callable[[argparse.Namespace], int], text: str):
    """Add a verb: `run` gets the options and returns the exit code."""
    parser = verbs.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run, parser=parser)
    return parser


def add_doctor(verbs) -> None:
    """Add `doctor`."""
    text = "say what this computer has, what answers, what is missing and what to do about it"
    add_verb(verbs, "doctor", _run_doctor, text)


def add_fetch(verbs) -> None:
    """Add `fetch`."""
    parser = add_verb(
        verbs, "fetch", _run_fetch, "download weights and data before they are needed"
    )
    parser.add_argument("assets", nargs="*", metavar="ASSET", help=", ".join(assets.catalog()))
    parser.add_argument("--all", action="store_true", help="every asset of data/catalog.toml")


def add_course(verbs) -> None:
    """Add `course`; its tools are imported only when it is asked for."""
    parser = add_verb(verbs, "course", _run_course, "execute the notebooks into pages")
    parser.add_argument("--notebooks", type=Path, default=Path("notebooks"), help="the lessons")
    parser.add_argument("--build", type=Path, default=Path("build"), help="where the pages go")


def _run_course(options: argparse.Namespace) -> int:
    from tlhelpers.course import run_course

    try:
        return run_course(options.notebooks, options.build)
    except ValueError as error:
        options.parser.error(str(error))


def _run_doctor(options: argparse.Namespace) -> int:
    print(doctor.examine())
    return 0


def _run_fetch(options: argparse.Namespace) -> int:
    if bool(options.assets) == options.all:
        options.parser.error("name one or more assets, or --all")
    for asset in options.assets:
        if asset not in assets.catalog():
            hint = did_you_mean(asset, assets.catalog())
            options.parser.error(f"unknown asset {asset!r}.{hint}")
    try:
        assets.fetch_each(options.assets or assets.catalog())
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: nothing half is left behind", file=sys.stderr)
        return 130
    return 0
