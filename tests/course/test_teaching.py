import re
from pathlib import Path

from course import teaching
from course.book import ROOT

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

LESSONS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
NOTES = teaching.read_notes(ROOT / "docs" / "room")
QUIZ = [{"question": "Is `a < b`?", "options": [
    {"text": "No", "why": "Look at `b`."}, {"text": "Yes", "right": True, "why": "It *is*."},
]}]  # fmt: skip


def ran(seconds, source="1"):
    stamp = "2026-01-01T00:00:{:09.6f}Z"
    said = {"a": stamp.format(0), "b": stamp.format(seconds)}
    return new_code_cell(source, metadata={"execution": said})


@pytest.fixture
def nb():
    cells = [new_markdown_cell("# T"), ran(2.5), new_markdown_cell("## Data\n\n### Small"),
             ran(30), ran(0.5), new_markdown_cell("## Exercises"), new_code_cell("2")]  # fmt: skip
    return new_notebook(cells=cells)


def test_seconds_are_those_of_the_cells_below_each_heading(nb):
    assert teaching.seconds_by_heading(nb) == {"": 2.5, "Data": 30.5, "Exercises": 0.0}


def test_a_quiz_stands_before_the_exercises_and_says_why_for_each_answer(nb):
    teaching.add_quiz(nb, {"quiz": QUIZ})
    assert [cell.source.splitlines()[0] for cell in nb.cells[-3:]] == [
        "## Quiz",
        "## Exercises",
        "2",
    ]
    page = nb.cells[-3].source
    assert "<p>1. Is <code>a &lt; b</code>?</p>" in page
    assert '<summary>No</summary><p class="wrong">No. Look at <code>b</code>.</p>' in page
    assert '<summary>Yes</summary><p class="right">Right. It *is*.</p>' in page
    assert "<script" not in page
    both = new_markdown_cell("## Summary\n\nSo.\n\n## Exercises\n\n1. Try.")
    mixed = new_notebook(cells=[new_markdown_cell("# T"), both])
    teaching.add_quiz(mixed, {"quiz": QUIZ})
    shown = ["# T", "## Summary\n\nSo.", page, "## Exercises\n\n1. Try."]
    assert [cell.source for cell in mixed.cells] == shown
    assert len({cell.id for cell in mixed.cells}) == 4
    bare = new_notebook(cells=[new_markdown_cell("# T")])
    teaching.add_quiz(bare, {"quiz": QUIZ})
    assert bare.cells[-1].source == page


def test_the_page_of_notes_has_the_measured_time_of_each_part(nb):
    notes = {"aims": ["See."], "parts": [{"heading": "Data", "minutes": 7, "say": "Look."}],
             "ask": [{"before": "Data", "question": "Why?", "expect": "So."}],
             "wrong": [{"sign": "red", "cure": "green"}]}  # fmt: skip
    page = teaching.notes_page("01_a", "A lesson", nb, notes)
    assert "- **Data**, 7 min (its cells compute for 30 s). Look.\n" in page and "- See." in page
    assert "7 minutes in the room; its cells compute for 0.6 minutes" in page
    assert "- Before *Data*: **Why?** So." in page and "| red | green |" in page


def test_a_page_of_notes_leads_to_the_exercises_and_their_answers():
    path = LESSONS[1]
    page = teaching.notes_page(path.stem, "T", nbformat.read(path, 4), NOTES[path.stem])
    assert f"[Exercises](../exercises/{path.name}): 3 tasks" in page
    assert "\n- Predict: " in page and f"`notebooks/solutions/{path.name}`" in page


def test_a_plan_adds_up_its_blocks_and_begins_again_each_day():
    plan = {"title": "Two days", "for": "All.", "begins": 9,
            "days": [[{"lesson": "a"}, {"minutes": 20, "what": "Break"}],
                     [{"lesson": "b", "minutes": 90, "what": "slowly"}]]}  # fmt: skip
    page = teaching.plan_page(plan, {"a": 45, "b": 50}, {"a": "A", "b": "B"})
    times = re.findall(r"^\| (\d+:\d\d) ", page, re.MULTILINE)
    assert times == ["9:00", "9:45", "10:05", "9:00", "10:30"]
    assert "| 9:00 | 45 | [A](a.md) |" in page and "| 9:45 | 20 | Break |" in page
    assert "| 9:00 | 90 | [B](b.md). slowly |" in page and "| 10:30 | | The end |" in page


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_each_lesson_has_notes_that_fit_it(path):
    notes = NOTES[path.stem]
    headings = teaching.seconds_by_heading(nbformat.read(path, 4))
    assert set(notes) == {"aims", "parts", "ask", "wrong", "quiz"}
    assert [it["heading"] for it in notes["parts"] if it["heading"] not in headings] == []
    assert [it["before"] for it in notes["ask"] if it["before"] not in headings] == []
    order = [list(headings).index(it["heading"]) for it in notes["parts"]]
    assert order == sorted(order) and len(set(order)) == len(order)
    assert 30 <= sum(part["minutes"] for part in notes["parts"]) <= 75
    assert len(notes["aims"]) >= 2 <= len(notes["ask"]) and len(notes["wrong"]) >= 2
    assert len(notes["quiz"]) == 3
    for one in notes["quiz"]:
        options = one["options"]
        assert sum(option.get("right", False) for option in options) == 1, one["question"]
        assert len(options) >= 3 and all(option["why"] for option in options)


def test_the_right_answer_stands_everywhere():
    places = [[option.get("right", False) for option in one["options"]].index(True)
              for notes in NOTES.values() for one in notes["quiz"]]  # fmt: skip
    assert all(places.count(place) >= len(places) / 6 for place in range(3)), places


def test_plans_name_lessons_that_are_there_and_fit_into_their_time():
    minutes = {path.stem: teaching.minutes_of(nbformat.read(path, 4), NOTES[path.stem])[0]
               for path in LESSONS}  # fmt: skip
    for plan in teaching.read_plans(ROOT / "docs" / "room"):
        most = 4.5 * 60 if len(plan["days"]) == 1 else 8.5 * 60
        for day in plan["days"]:
            lasts = [block.get("minutes") or minutes[block["lesson"]] for block in day]
            assert sum(lasts) <= most, (plan["title"], sum(lasts))


def test_no_file_of_notes_is_without_its_lesson():
    assert set(NOTES) == {path.stem for path in LESSONS}
    assert not [path for path in Path(ROOT / "docs/room").iterdir() if path.suffix != ".toml"]
