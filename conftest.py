"""What pytest needs to know about this repository; its options are in pyproject.toml."""

import os
from pathlib import Path

from course.run import INLINE, anchor_folders

import nbformat
import pytest
from hypothesis import settings
from nbval.plugin import IPyNbCell

LESSONS = Path(__file__).parent / "notebooks"
SLOW = ("notebooks/", "tests/test_recipes.py")
OUTPUT_SECONDS = 60  # nbval waits 5 s for a cell's output: too short on a busy machine

collect_ignore = ["notebooks/exercises"]  # they are unfinished on purpose

settings.register_profile("house", deadline=None, derandomize=True)
settings.load_profile("house")


def pytest_configure():
    """Settle the environment before any test module is imported."""
    anchor_folders()  # a notebook's kernel starts in another folder
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))
    if workers > 1:  # threads of one worker wait for those of another otherwise
        share = str(max(1, (os.cpu_count() or 1) // workers))
        for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
            os.environ.setdefault(name, share)
    os.environ["MPLBACKEND"] = "Agg"


def pytest_collection_modifyitems(items):
    """Begin with what is slow, so that no worker ends with it alone."""
    items.sort(key=lambda item: not item.nodeid.startswith(SLOW))


def pytest_collection_finish(session):
    """Give each cell time to print."""
    for item in session.items:
        if isinstance(item, IPyNbCell):
            item.output_timeout = OUTPUT_SECONDS


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Draw into the notebook in notebooks, and nowhere in tests: never on the user's display."""
    os.environ["MPLBACKEND"] = INLINE if isinstance(item, IPyNbCell) else "Agg"


def pytest_terminal_summary(terminalreporter):
    """Say how many lessons ran to their last cell; .ci/run insists on all of them."""
    reports = [r for some in terminalreporter.stats.values() for r in some]
    done = {r.nodeid for r in reports if getattr(r, "when", "") == "call"}
    if any(".ipynb::" in nodeid for nodeid in done):
        lessons = list(LESSONS.glob("[0-9]*.ipynb"))
        whole = sum(cells_of(lesson) <= done for lesson in lessons)
        terminalreporter.write_line(f"notebooks run: {whole} of {len(lessons)}")


def cells_of(lesson: Path) -> set[str]:
    """Name the tests that nbval makes of a lesson: one of each code cell."""
    cells = nbformat.read(lesson, as_version=4).cells
    name = lesson.relative_to(LESSONS.parent).as_posix()
    return {f"{name}::Cell {n}" for n in range(sum(c.cell_type == "code" for c in cells))}
