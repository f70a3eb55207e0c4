"""Recipes, and the closing cell of each lesson, work on their own: copied, in a new process."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
RECIPES = sorted((ROOT / "recipes").glob("*.py"))
LESSONS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
SECONDS = 1200
MAX_LINES = 25


def run(script: Path, folder: Path) -> None:
    """Run a script in a folder of its own, with no prepared data: it brings what it needs."""
    prepared = ("TL_", "TFDS_DATA_DIR", "PYTEST_")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(prepared)}
    environment["MPLBACKEND"] = "Agg"
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_runs(recipe, tmp_path):
    run(recipe, tmp_path)


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_the_closing_cell_works_when_copied(lesson, tmp_path):
    nb = nbformat.read(lesson, as_version=4)
    cells = [
        c.source
        for c in nb.cells
        if c.cell_type == "code" and "copy-me" in c.metadata.get("tags", [])
    ]
    assert len(cells) == 1, f"tag one closing cell `copy-me`; there are {len(cells)}"
    assert len(cells[0].splitlines()) <= MAX_LINES
    (tmp_path / "project.py").write_text(cells[0])
    run(tmp_path / "project.py", tmp_path)
