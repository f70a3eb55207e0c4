"""The command line of the course: `python -m course VERB`, from the root of a checkout."""

import argparse
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

LESSONS, DESK = Path("notebooks"), Path("work")


def main(argv: list[str] | None = None) -> int:
    """Run one verb and return the exit code: 0, 1 when it failed, 2 when it was asked wrongly."""
    parser = argparse.ArgumentParser(prog="python -m course", description="Tools of the course.")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")

    def verb(does: Callable[[Namespace], int | None]) -> Callable:
        text = (does.__doc__ or "").rstrip(".")
        one = verbs.add_parser(does.__name__, help=text, description=text)
        one.set_defaults(does=does, parser=one)
        return one.add_argument

    for does in (run, pages):
        add = verb(does)
        add("--notebooks", type=Path, default=LESSONS, help="the lessons")
        add("--build", type=Path, default=Path("build"), help="where it goes")
    for does in (exercises, desk, lab):
        verb(does)
    verb(reset)("lesson", help="its number: 02, or exercises/02")
    text = "only this: will it do for a workshop without a network?"
    verb(doctor)("--workshop", action="store_true", help=text)
    add = verb(doors)
    add("address", help="of your public copy: https://github.com/OWNER/NAME")
    add("--out", type=Path, default=Path("build/doors"), help="where they go")
    add = verb(classroom)
    add("--out", type=Path, default=Path("build/classroom.zip"), help="the archive")
    text = "the computers there: linux, linux-arm, macos, windows; else like this one"
    add("--kinds", nargs="+", default=[], metavar="KIND", help=text)
    add("--pythons", nargs="+", default=[], metavar="VERSION", help="theirs: 3.12; else this one")

    options = parser.parse_args(argv)
    if options.verb is None:
        parser.print_help(sys.stderr)
        parser.exit(2)
    try:
        return options.does(options) or 0
    except ValueError as error:
        return options.parser.error(str(error))  # which ends the program


def run(options: Namespace) -> int:
    """Execute the notebooks, and build the book from them."""
    from course.run import run_course

    return run_course(options.notebooks, options.build)


def pages(options: Namespace) -> None:
    """Build the book from the notebooks as they are."""
    from course.book import build_book

    print(f"Look at {build_book(options.notebooks, options.build / 'book')}")


def exercises(options: Namespace) -> None:
    """Make notebooks/exercises from notebooks/solutions."""
    from course.exercises import write_exercises

    for path in write_exercises(LESSONS / "solutions", LESSONS / "exercises"):
        print(f"written: {path}")


def desk(options: Namespace) -> None:
    """Lay your own copy of each lesson into work/, where none is yet."""
    from course.desk import lay_out

    new = lay_out(LESSONS, DESK)
    print(f"{len(new)} notebooks are new in {DESK}/; yours stay as they are")


def lab(options: Namespace) -> int:
    """Lay your own copy of each lesson into work/, and open it in JupyterLab."""
    from course.desk import open_lab

    desk(options)
    return open_lab(DESK)


def reset(options: Namespace) -> None:
    """Lay a fresh copy of one lesson into work/, and keep yours beside it."""
    from course.desk import put_back

    fresh, kept = put_back(options.lesson, LESSONS, DESK)
    print(f"{fresh} is fresh" + (f"; yours is {kept} now" if kept else ""))


def doctor(options: Namespace) -> int:
    """Say what this computer has, what is missing and what to do about it."""
    from course.doctor import examine, judge

    well, said = judge() if options.workshop else (True, examine())
    print(said)
    return 0 if well else 1


def classroom(options: Namespace) -> None:
    """Pack the course with wheels, weights, data and book, for a room without a network."""
    from course.classroom import make_classroom

    made = make_classroom(options.out, options.kinds, options.pythons)
    print(f"{made}: {made.stat().st_size / 1e6:,.0f} MB. In it, START_HERE.md says what to do.")


def doors(options: Namespace) -> None:
    """Write the lessons as Colab, Kaggle and Binder can open them, with a page of links."""
    from course.doors import BRANCH, write_doors

    made = write_doors(options.address, LESSONS, options.out)
    print(f"{len(made)} notebooks in {options.out}: push them as branch {BRANCH!r} of your copy.")


if __name__ == "__main__":
    sys.exit(main())
