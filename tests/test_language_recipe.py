"""The recipe of a language model, on a network of two blocks with random weights."""

import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import tlhelpers as tl

import pytest
from gguf_files import write_language_model

pytest.importorskip("keras_hub", reason="pip install 'tlhelpers[text]'")
RECIPE = Path(__file__).parents[1] / "recipes/language_model.py"
LINES = ["The wind turned at noon.", "We reefed the sails, again.", "Rain fell on the deck."]


@pytest.fixture(scope="module")
def diary(tmp_path_factory):
    folder = tmp_path_factory.mktemp("diary")
    lines = [f"Day {n}. {LINES[n % 3]}\nThen {LINES[n % 2]}" for n in range(40)]
    (folder / "diary.txt").write_text("\n\n".join(lines), encoding="utf8")
    write_language_model(folder / "tiny.gguf")
    return folder


def run(folder, out, *more, text="diary.txt"):
    recipe = runpy.run_path(str(RECIPE))
    argv = [str(folder / text), "--model", str(folder / "tiny.gguf"), "--out", str(out)]
    argv += ["--quick", "--layers", "1", "--length", "16", *more]
    return tl.run_recipe(recipe["parser"], recipe["train"], recipe["predict"], argv)


def test_it_saves_bits_in_each_of_three_seeds_and_writes_in_a_fresh_process(diary, tmp_path):
    for seed in "012":
        assert run(diary, tmp_path / seed, "--seed", seed) == 0
        told = json.loads((tmp_path / seed / "report.json").read_text())
        adapted, before, zipped = told["comparison"].values()
        assert adapted > 1.02 * before and zipped > 0
        assert told["report"]["bits_per_character"] == pytest.approx(1 / adapted)
        assert "It writes" in told["after"] and "diary.txt" in told["data"]
        names = {"MODEL_CARD.md", "report.md", "run.json", "adapters.lora.npz"}
        assert (
            names <= set(os.listdir(tmp_path / seed)) and not (tmp_path / seed / "state").exists()
        )
    done = subprocess.run(
        [sys.executable, RECIPE, "--out", tmp_path / "0", "--predict", "Day 3.", "Rain"],
        capture_output=True, text=True, check=True, cwd=RECIPE.parents[1],
    )  # fmt: skip
    assert "\nDay 3." in f"\n{done.stdout}" and "\nRain" in done.stdout


def test_a_run_that_was_ended_goes_on(diary, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        patch.setattr("tlhelpers.reading.results.Results.report", stop)
        assert run(diary, tmp_path / "out") == 130
    assert "--resume goes on" in capsys.readouterr().err
    assert run(diary, tmp_path / "out", "--resume") == 0
    assert (tmp_path / "out/adapters.lora.npz").is_file()


def stop(*_):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("text", "more", "says"),
    [
        ("no.txt", [], r"no\.txt', which does not exist"),
        ("empty", [], r"a folder without a \.txt file"),
        ("latin.txt", [], r"latin\.txt', which is not UTF-8 in line 1"),
        ("diary.txt", ["--layers", "2"], "`--layers` must be from 1 to 1"),
        ("diary.txt", ["--length", "4000"], "must fill a row"),
        ("diary.txt", ["--model", "smolm2-135m"], "Did you mean 'smollm2-135m'"),
        ("diary.txt", ["--model", "latin.txt"], "`name` must be"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(text, more, says, diary, tmp_path, capsys):
    (diary / "empty").mkdir(exist_ok=True)
    (diary / "latin.txt").write_bytes("Zwölf".encode("cp1252"))
    assert run(diary, tmp_path / "out", *more, text=text) == 1
    said = capsys.readouterr().err
    assert re.search(says, said) and said.count("\n") == 1, said
    assert not (tmp_path / "out").exists() and not (tmp_path / "out.unfinished").exists()


@pytest.mark.network
def test_the_real_one_beats_what_it_came_as_and_zlib(tmp_path):
    recipe = runpy.run_path(str(RECIPE))
    argv = ["--quick", "--length", "32", "--out", str(tmp_path / "out")]
    assert tl.run_recipe(recipe["parser"], recipe["train"], argv=argv) == 0
    scores = json.loads((tmp_path / "out/report.json").read_text())["comparison"]
    adapted, *controls = scores.values()
    assert adapted > max(controls), scores
