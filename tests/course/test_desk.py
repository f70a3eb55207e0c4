from course.__main__ import main
from course.desk import lay_out, put_back

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

LESSONS = ["01_a.ipynb", "01b_c.ipynb", "02_strategies.ipynb"]


@pytest.fixture
def places(tmp_path):
    """A course of three lessons with outputs, and where the desk is to be."""
    notebooks = tmp_path / "notebooks"
    (notebooks / "images").mkdir(parents=True)
    (notebooks / "images" / "a.svg").write_text("<svg/>")
    (notebooks / "exercises").mkdir()
    for name in ("01_a", "01b_c", "02_strategies", "exercises/01_a"):
        cell = new_code_cell("1", outputs=[new_output("stream", text="1")], execution_count=3)
        nbformat.write(new_notebook(cells=[cell]), notebooks / f"{name}.ipynb")
    return notebooks, tmp_path / "work"


def test_a_desk_has_every_lesson_without_outputs_and_its_pictures(places):
    notebooks, work = places
    assert lay_out(*places) == [*LESSONS, "exercises/01_a.ipynb"]
    (cell,) = nbformat.read(work / "01_a.ipynb", 4).cells
    assert cell.source == "1" and not cell.outputs and cell.execution_count is None
    assert nbformat.read(notebooks / "01_a.ipynb", 4).cells[0].outputs
    assert (work / "images" / "a.svg").exists()
    assert not list(work.glob("*.part"))


def test_what_a_learner_wrote_stays(places):
    _, work = places
    lay_out(*places)
    (work / "01_a.ipynb").write_text("mine")
    (work / "02_strategies.ipynb").unlink()
    assert lay_out(*places) == ["02_strategies.ipynb"]
    assert (work / "01_a.ipynb").read_text() == "mine"
    assert lay_out(*places) == []


def test_a_lesson_is_given_back_and_the_learners_is_kept(places):
    _, work = places
    lay_out(*places)
    for number, text in enumerate(["first", "second"], start=1):
        (work / "01_a.ipynb").write_text(text)
        fresh, kept = put_back("01", *places)
        assert kept.name == f"01_a.before-{number}.ipynb" and kept.read_text() == text
        assert nbformat.read(fresh, 4).cells[0].source == "1"
    assert (work / "01_a.before-1.ipynb").read_text() == "first"


def test_a_lesson_that_is_not_on_the_desk_is_laid_there(places):
    assert put_back("01b", *places) == (places[1] / "01b_c.ipynb", None)


def test_exercises_are_given_back_too(places):
    _, work = places
    lay_out(*places)
    (work / "exercises" / "01_a.ipynb").write_text("mine")
    fresh, kept = put_back("exercises/01", *places)
    assert fresh == work / "exercises" / "01_a.ipynb" and kept.read_text() == "mine"
    assert kept.name == "01_a.before-1.ipynb" and nbformat.read(fresh, 4).cells


@pytest.mark.parametrize("lesson", ["", "0", "3", "strategies", "../02", "exercises/02"])
def test_an_unknown_lesson_is_an_error_that_names_those_there_are(places, lesson):
    with pytest.raises(ValueError, match="01, 01b, 02"):
        put_back(lesson, *places)
    assert not places[1].exists()


def test_a_folder_without_lessons_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"README\.md"):
        lay_out(tmp_path, tmp_path / "work")


def test_the_command_line(places, monkeypatch, capsys):
    monkeypatch.chdir(places[0].parent)
    assert main(["desk"]) == 0 and "4 notebooks are new" in capsys.readouterr().out
    assert main(["reset", "02"]) == 0
    assert "02_strategies.before-1.ipynb" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stopped:
        main(["reset", "9"])
    assert stopped.value.code == 2 and "make reset LESSON=02" in capsys.readouterr().err
