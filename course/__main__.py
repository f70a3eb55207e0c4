"""The command line of the course: `python -m course VERB`, from the root of a checkout."""

import argparse
import sys
from pathlib import Path


def main(argv: list[str] | None = None) -> int:
    """Run one verb and return the exit code: 0, 1 when it failed, 2 when it was asked wrongly."""
    parser = argparse.ArgumentParser(prog="python -m course", description="Tools of the course.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    text = "execute the notebooks, and build the book from them"
    run = verbs.add_parser("run", help=text, description=text)
    run.add_argument("--notebooks", type=Path, default=Path("notebooks"), help="the lessons")
    run.add_argument("--build", type=Path, default=Path("build"), help="where it goes")
    text = "build the book from the notebooks as they are"
    pages = verbs.add_parser("pages", help=text, description=text)
    pages.add_argument("--notebooks", type=Path, default=Path("notebooks"), help="the lessons")
    pages.add_argument("--build", type=Path, default=Path("build"), help="where it goes")
    text = "make notebooks/exercises from notebooks/solutions"
    verbs.add_parser("exercises", help=text, description=text)
    text = "lay your own copy of each lesson into work/, where none is yet"
    desk = verbs.add_parser("desk", help=text, description=text)
    text = "lay a fresh copy of one lesson into work/, and keep yours beside it"
    reset = verbs.add_parser("reset", help=text, description=text)
    reset.add_argument("lesson", help="its number: 02")
    text = "say what this computer has, what is missing and what to do about it"
    verbs.add_parser("doctor", help=text, description=text)
    options = parser.parse_args(argv)
    if options.verb == "doctor":
        from course.doctor import examine

        print(examine())
        return 0
    if options.verb == "exercises":
        from course.exercises import write_exercises

        for path in write_exercises(Path("notebooks/solutions"), Path("notebooks/exercises")):
            print(f"written: {path}")
        return 0
    if options.verb in ("desk", "reset"):
        from course.desk import lay_out, put_back

        places = Path("notebooks"), Path("work")
        try:
            if options.verb == "desk":
                print(f"{len(lay_out(*places))} notebooks are new in work/; yours stay as they are")
                return 0
            fresh, kept = put_back(options.lesson, *places)
        except ValueError as error:
            (desk if options.verb == "desk" else reset).error(str(error))
        print(f"{fresh} is fresh" + (f"; yours is {kept} now" if kept else ""))
        return 0
    if options.verb == "pages":
        from course.book import build_book

        try:
            print(f"Look at {build_book(options.notebooks, options.build / 'book')}")
        except ValueError as error:
            pages.error(str(error))
        return 0
    from course.run import run_course

    try:
        return run_course(options.notebooks, options.build)
    except ValueError as error:
        run.error(str(error))


if __name__ == "__main__":
    sys.exit(main())
