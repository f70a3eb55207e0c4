"""What the README says is so: its links, its numbers, its map of the helpers."""

import inspect
import re
from datetime import datetime
from pathlib import Path

import tlhelpers as tl

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "data/README.md")
README = (ROOT / "README.md").read_text(encoding="utf-8")
SCORE = re.compile(r"(?<![\w.])[+-]?\d\.\d{2,3}(?![\w.]*\.\d)")


def printed(lesson: Path) -> str:
    """Return all that the cells of a lesson print, or show as a table."""
    cells = nbformat.read(lesson, as_version=4).cells
    outputs = [o for c in cells for o in c.get("outputs", [])]
    return "\n".join(o.get("text") or o.get("data", {}).get("text/plain", "") for o in outputs)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)", (ROOT / page).read_text(encoding="utf-8")):
        if not re.match(r"[a-z]+:", target):
            assert (ROOT / page).parent.joinpath(target).exists(), f"{page}: no file {target}"


def test_a_number_is_what_its_lesson_printed():
    said = README[README.index("## What it reaches") : README.index("## Two commands")]
    lines = [line for line in said.splitlines() if "(notebooks/" in line]
    assert len(lines) >= 7
    for line in lines:
        lesson = re.search(r"\((notebooks/\w+\.ipynb)\)", line)[1]
        lacking = set(SCORE.findall(line)) - set(SCORE.findall(printed(ROOT / lesson)))
        assert not lacking, f"{lesson} doesn't print {sorted(lacking)}: mend the README's table"


def test_the_picture_shows_what_the_lesson_printed():
    picture = (ROOT / "notebooks/images/transfer.svg").read_text(encoding="utf-8")
    shown = set(re.findall(r">(?:[^<]* )?(0\.\d{3})<", picture))
    lesson = printed(ROOT / "notebooks/01_vgg16_cifar10.ipynb")
    assert len(shown) == 4 and shown <= set(SCORE.findall(lesson))


def test_each_helper_is_in_the_file_that_the_map_names():
    places = {
        name: path
        for path, names in re.findall(r"\]\((tlhelpers/[\w/]+\.py)\):((?: `\w+`,?)+)", README)
        for name in re.findall(r"\w+", names)
    }
    public = {name: getattr(tl, name) for name in tl.__all__}
    homes = {
        name: thing.__name__ if inspect.ismodule(thing) else thing.__module__
        for name, thing in public.items()
    }
    assert places == {name: f"{home.replace('.', '/')}.py" for name, home in homes.items()}


def test_a_time_is_that_of_the_executed_lesson():
    told = re.findall(r"\((notebooks/\w+\.ipynb)\) \|[^|]*\| (\d+) min \|", README)
    assert len(told) == len(list(ROOT.glob("notebooks/[0-9]*.ipynb")))
    for lesson, minutes in told:
        cells = nbformat.read(ROOT / lesson, as_version=4).cells
        stamps = [stamp for cell in cells for stamp in cell.metadata.get("execution", {}).values()]
        first, last = (datetime.fromisoformat(stamp) for stamp in (min(stamps), max(stamps)))
        assert int(minutes) == max(1, round((last - first).total_seconds() / 60)), lesson
