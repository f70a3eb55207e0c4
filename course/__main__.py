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
    text = "say what this computer has, what is missing and what to do about it"
    verbs.add_parser("doctor", help=text, description=text)
    options = parser.parse_args(argv)
    if options.verb == "doctor":
        from course.doctor import examine

        print(examine())
        return 0
    if options.verb == "pages":
        from course.book import build_book

        print(f"Look at {build_book(options.notebooks, options.build / 'book')}")
        return 0
    from course.run import run_course

    try:
        return run_course(options.notebooks, options.build)
    except ValueError as error:
        run.error(str(error))


if __name__ == "__main__":
    sys.exit(main())
