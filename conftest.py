"""What pytest needs to know about this repository; its options are in pyproject.toml."""

import os
from pathlib import Path

from tlhelpers.course import INLINE, anchor_folders

import pytest
from hypothesis import settings
from nbval.plugin import IPyNbCell

LESSONS = Path(__file__).parent / "notebooks"
OUTPUT_SECONDS = 60  # nbval waits 5 s for a cell's output: too short on a busy machine

collect_ignore = ["notebooks/exercises"]  # they are unfinished on purpose
collected, run = pytest.StashKey[dict](), pytest.StashKey[set]()

settings.register_profile("house", deadline=None, derandomize=True)
settings.load_profile("house")


def pytest_configure(config):
    """Settle the environment before any test module is imported."""
    anchor_folders()  # a notebook's kernel starts in another folder
    os.environ["MPLBACKEND"] = "Agg"
    config.stash[collected], config.stash[run] = {}, set()


def pytest_collection_finish(session):
    """Give each cell time to print, and note the cells of each lesson."""
    for item in session.items:
        if isinstance(item, IPyNbCell):
            item.output_timeout = OUTPUT_SECONDS
            session.config.stash[collected].setdefault(item.path, set()).add(item.nodeid)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Draw into the notebook in notebooks, and nowhere in tests: never on the user's display."""
    os.environ["MPLBACKEND"] = INLINE if isinstance(item, IPyNbCell) else "Agg"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Note that a test ran, however it ended."""
    report = yield
    if report.when == "call":
        item.config.stash[run].add(report.nodeid)
    return report


def pytest_terminal_summary(terminalreporter, config):
    """Say how many lessons ran to their last cell; .ci/run insists on all of them."""
    cells, done = config.stash[collected], config.stash[run]
    if cells:
        lessons = list(LESSONS.glob("[0-9]*.ipynb"))
        whole = sum(bool(cells.get(path)) and cells[path] <= done for path in lessons)
        terminalreporter.write_line(f"notebooks run: {whole} of {len(lessons)}")
