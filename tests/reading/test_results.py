"""A run's folder is whole or not there, and a run that was ended can go on."""

import json

import tlhelpers as tl
from tlhelpers.reading.reports import Printed
from tlhelpers.reading.results import Results

import pytest

ASKED = {"seed": 0, "folder": "pets"}


class Said(Printed):
    def __init__(self):
        self.accuracy = 0.75

    def rows(self):
        return [["class", "recall"], ["cat", "0.500"]]

    def __str__(self):
        return "accuracy 0.750"


def begun(folder, asked=ASKED, **settings):
    return Results(folder, asked, "python pets.py --seed 0", **settings)


def with_state(folder):
    results = begun(folder)
    results.state.mkdir()
    (results.state / "fine_tune.npz").write_bytes(b"state")
    return results


def test_all_is_in_its_place_at_the_end_and_nothing_before(tmp_path, capsys):
    place = tmp_path / "deep" / "result"
    results = begun(place)
    results.note("data", "24 pictures\n16 to train on")
    results.report(Said())
    results.figure("history", tl.plot_history({"loss": [1.1, 0.9]}))
    results.compare({"tuned": 0.75, "largest class": 0.5})
    assert not place.exists() and results.path.name == "result.unfinished"
    assert results.finish("A classifier of pets", "It knows cats.") == place
    assert not results.path.exists()
    names = {path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()}
    assert names == {
        "run.json", "report.json", "report.md", "MODEL_CARD.md", "figures/history.png"
    }  # fmt: skip
    said = capsys.readouterr().out
    assert said.startswith("accuracy 0.750\ntuned") and "no better" not in said
    report = json.loads((place / "report.json").read_text())
    assert report["report"] == {"accuracy": 0.75} and report["data"].startswith("24 pictures")
    assert report["comparison"] == {"tuned": 0.75, "largest class": 0.5}
    run = json.loads((place / "run.json").read_text())
    assert run["asked"] == ASKED and run["command"] == "python pets.py --seed 0"
    assert run["versions"]["tlhelpers"] == tl.__version__ and "keras" in run["versions"]
    told = (place / "report.md").read_text()
    assert "| cat | 0.500 |" in told and "![Training curves" in told
    card = (place / "MODEL_CARD.md").read_text()
    for part in ("# A classifier of pets", "It knows cats.", "| tuned | 0.750 |", "pets.py --seed"):
        assert part in card
    assert "![" not in card


def test_a_control_that_is_as_good_is_named(tmp_path, capsys):
    results = begun(tmp_path / "result")
    results.compare({"tuned": 0.5, "counted words": 0.5, "linear": 0.6, "largest class": 0.1})
    verdict = "Tuned: no better here than counted words, linear."
    assert verdict in capsys.readouterr().out
    assert verdict in (results.finish("Texts") / "MODEL_CARD.md").read_text()


@pytest.mark.parametrize("taken", ["finished", "other", "file", "unfinished"])
def test_a_place_that_is_taken_is_refused_and_left_alone(tmp_path, taken):
    place = tmp_path / "result"
    if taken == "unfinished":  # a folder of the reader's that has this name
        (tmp_path / "result.unfinished").mkdir()
        (tmp_path / "result.unfinished" / "thesis.txt").write_text("years")
    elif taken == "finished":
        begun(place).finish("First")
    elif taken == "other":
        place.mkdir()
        (place / "thesis.txt").write_text("years")
    else:
        place.write_text("years")
    before = sorted(tmp_path.rglob("*"))
    says = {"finished": "a finished run", "file": "a file"}.get(taken, "something else")
    with pytest.raises(ValueError, match=f"`--out` must be .* {says}.*Name another folder"):
        begun(place)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_empty_folder_is_a_place(tmp_path):
    (tmp_path / "result").mkdir()
    assert (begun(tmp_path / "result").finish("Here") / "run.json").is_file()


def test_a_run_with_a_state_goes_on_by_the_same_alone(tmp_path):
    place = tmp_path / "result"
    with_state(place)
    with pytest.raises(ValueError, match="Add --resume to go on"):
        begun(place)
    with pytest.raises(ValueError, match="Received: seed=1, and it began with seed=0"):
        begun(place, ASKED | {"seed": 1}, resume=True)
    again = begun(place, resume=True)
    assert (again.state / "fine_tune.npz").read_bytes() == b"state"
    again.discard()  # there is something to go on with
    assert again.begun_before
    assert not (again.finish("Done") / "state").exists() and not again.path.exists()


@pytest.mark.parametrize("damage", ["", "{", "[1]", "{}"])
def test_a_damaged_run_is_told(tmp_path, damage):
    results = with_state(tmp_path / "result")
    (results.path / "run.json").write_text(damage)
    with pytest.raises(ValueError, match=r"without a whole run\.json. Delete that folder"):
        begun(tmp_path / "result", resume=True)


def test_a_run_without_a_state_is_begun_again(tmp_path):
    begun(tmp_path / "result")
    (tmp_path / "result.unfinished" / "half").touch()
    results = begun(tmp_path / "result", ASKED | {"seed": 1})
    assert [path.name for path in results.path.iterdir()] == ["run.json"]
    results.discard()
    assert list(tmp_path.iterdir()) == []
