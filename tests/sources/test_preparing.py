import re
from pathlib import Path

from tlhelpers.sources import origins, preparing
from tlhelpers.sources.network import NotHere

import nbformat
import pytest

LESSONS = sorted((Path(__file__).parents[2] / "notebooks").glob("[0-9]*.ipynb"))
USED_BY = {"mnist_m": "mnist"}  # its digits lie on photographs


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("TL_OFFLINE", "1")
    return tmp_path


def test_what_is_prepared_is_ready_and_the_rest_says_what_changes(folder, capsys):
    (folder / "mnist/3.0.1").mkdir(parents=True)
    (folder / "mnist/3.0.1/dataset_info.json").write_text("{}")
    assert preparing.prepare_all() == ["cifar10", "fashion_mnist", "spoken_digit"]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        "cifar10: not here (official host does not answer). Lessons 00, 01, 02, 05, 06, 07 take "
        "Fashion-MNIST in its shape, so numbers differ"
    )
    assert lines[2] == "mnist: ready (prepared, TFDS_DATA_DIR)"


def test_what_is_not_prepared_is_asked_of_its_host(folder, monkeypatch):
    asked = []
    monkeypatch.setattr(
        preparing, "official_folder", lambda *of: asked.append(of) or (folder, "official, TFDS")
    )
    assert preparing.prepare("spoken_digit") == "official, TFDS"
    assert asked[0][0] == "spoken_digit" and asked[0][1].startswith("https://github.com/")


def test_the_lessons_named_are_those_that_use_the_set():
    used = {name: set() for name in preparing.SETS}
    for path in LESSONS:
        number = path.stem.partition("_")[0]
        for cell in nbformat.read(path, 4).cells:
            for text in (o.text for o in cell.get("outputs", []) if o.output_type == "stream"):
                for name in re.findall(r"^(\w+): (?=.*(?:prepared|official))", text, re.MULTILINE):
                    name = USED_BY.get(name, name)
                    used.get(name, set()).add(number)
    named = {name: set(said.split(", ")) for name, (_, said) in preparing.INSTEAD.items()}
    assert used == named


@pytest.mark.parametrize("name", preparing.SETS)
def test_each_has_what_takes_its_place(name, folder):
    with pytest.raises(NotHere):
        preparing.prepare(name)
    if name in origins.OFFICIAL:
        assert origins.find_pool(name).is_stand_in
