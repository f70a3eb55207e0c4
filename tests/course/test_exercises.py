import re
from pathlib import Path

from course.exercises import without_answers, write_exercises

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

ROOT = Path(__file__).parents[2]
SOLUTIONS = sorted((ROOT / "notebooks" / "solutions").glob("*.ipynb"))
each = pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)


def solution():
    answer = new_code_cell("a = 2", metadata={"tags": ["answer"]})
    check = new_code_cell("a", outputs=[new_output("stream", text="2")], execution_count=3)
    return new_notebook(cells=[new_markdown_cell("How many?"), answer, check])


def test_an_exercise_has_neither_answers_nor_outputs():
    nb = solution()
    made = without_answers(nb)
    assert [cell.source for cell in made.cells] == ["How many?", "a"]
    assert made.cells[1].outputs == [] and made.cells[1].execution_count is None
    assert nb.cells[2].outputs, "the solution itself stays"


def test_the_check_of_a_task_is_one_cell():
    tags = {"tags": ["check"]}
    checks = [new_code_cell(text, metadata=tags) for text in ("a = 1", "b = a", "c = b")]
    cells = [*solution().cells, *checks[:2], new_markdown_cell("next"), checks[2]]
    made = without_answers(new_notebook(cells=cells), "00_a.ipynb").cells
    assert [cell.source for cell in made[2:5]] == ["a = 1\n\n\nb = a", "next", "c = b"]
    assert made[2].metadata == tags and "`notebooks/solutions/00_a.ipynb`" in made[5].source


def test_a_solution_without_answers_is_an_error():
    with pytest.raises(ValueError, match="none among 1 cells"):
        without_answers(new_notebook(cells=[new_code_cell("1")]))


def test_made_twice_changes_nothing(tmp_path):
    (tmp_path / "solutions").mkdir()
    nbformat.write(solution(), tmp_path / "solutions" / "00_a.ipynb")
    places = tmp_path / "solutions", tmp_path / "exercises"
    (made,) = write_exercises(*places)
    assert made == tmp_path / "exercises" / "00_a.ipynb"
    before = made.read_bytes(), made.stat().st_mtime_ns
    assert write_exercises(*places) == []
    assert (made.read_bytes(), made.stat().st_mtime_ns) == before


@each
def test_the_committed_exercises_are_those_of_the_solutions(path):
    made = nbformat.writes(without_answers(nbformat.read(path, 4), path.name)) + "\n"
    there = ROOT / "notebooks" / "exercises" / path.name
    assert there.read_text("utf-8") == made, "run: python -m course exercises"


def test_no_exercise_is_without_its_solution():
    there = (ROOT / "notebooks" / "exercises").glob("*.ipynb")
    assert {path.name for path in there} == {path.name for path in SOLUTIONS}


@each
def test_a_solution_belongs_to_a_lesson_and_its_tasks_are_whole(path):
    assert (ROOT / "notebooks" / path.name).exists()
    nb, task, kinds = nbformat.read(path, 4), None, {}
    for cell in nb.cells:
        heading = re.match(r"## \d (Predict|Modify|Design)\b", cell.source)
        if heading:
            task = heading[1]
            kinds[task] = [("hint", "<summary>Hint</summary>" in cell.source)]
        elif task and cell.cell_type == "code":
            answer = "answer" in cell.metadata.get("tags", [])
            kinds[task].append(("answer" if answer else "given", cell))
    vision = int(path.name[:2]) >= 10
    assert set(kinds) == {"Predict", "Modify", "Design"} or (vision and kinds)
    for task, parts in kinds.items():
        assert parts[0] == ("hint", True), task
        (first, _), (second, _), *checks = parts[1:]
        assert (first, second) == ("given", "answer") and checks, task
        for _, check in checks:
            hidden = {"check", "hide-input"} <= set(check.metadata.tags)
            assert hidden and check.metadata.jupyter.source_hidden, task
        assert "No answer yet" in check.source, task
        said = "".join(o.text for o in check.outputs if o.output_type == "stream")
        assert re.match(r"Right[.:]", said.splitlines()[-1]), f"{task}: {said}"
