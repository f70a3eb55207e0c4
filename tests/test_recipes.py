"""Recipes, and the closing cell of each lesson, work on their own: in a new process."""

import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from statistics import fmean

import tlhelpers as tl

import nbformat
import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
RECIPES = sorted((ROOT / "recipes").glob("*.py"))
TRAINED = [path for path in RECIPES if not path.stem.startswith("serve_")]
LESSONS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
SECONDS = 1200
MOST_LINES = {"recipe": 80, "cell": 25}

# Three seeds in one process: what a recipe imports and traces is paid for once.
SEEDS = """
import runpy, sys
import tlhelpers as tl
recipe = runpy.run_path(sys.argv[1])
for seed in "012":
    argv = ["--quick", "--seed", seed, "--out", f"result{seed}"]
    if code := tl.run_recipe(recipe["parser"], recipe["train"], recipe.get("predict"), argv):
        sys.exit(code)
"""
BARE = """
import runpy, sys
sys.modules["tlhelpers"] = None  # to import it is an error
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run(*command, folder: Path) -> str:
    """Run Python in a folder of its own, with no prepared data: a program brings what it needs."""
    prepared = ("TL_", "TFDS_DATA_DIR", "PYTEST_")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(prepared)}
    environment["MPLBACKEND"] = "Agg"
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@pytest.mark.parametrize("recipe", TRAINED, ids=lambda path: path.stem)
def test_a_recipe_beats_its_control_over_three_seeds(recipe, tmp_path):
    (tmp_path / "seeds.py").write_text(SEEDS)
    run("seeds.py", recipe, folder=tmp_path)
    scores = []
    for seed in range(3):
        result = tmp_path / f"result{seed}"
        scores.append(json.loads((result / "report.json").read_text())["comparison"])
        assert {"MODEL_CARD.md", "report.md", "run.json", "figures"} <= set(os.listdir(result))
        assert not (tmp_path / f"result{seed}.unfinished").exists()
    model, *controls = [fmean(column) for column in zip(*map(dict.values, scores), strict=True)]
    assert controls and model > max(controls), scores

    use = USES.get(recipe.stem)
    if use is not None:
        use(recipe, tmp_path)


def predict_pictures(recipe, folder):
    files = sorted(folder.glob("result0/example/**/*.png"))[::97][:3]
    lines = run(recipe, "--out", "result0", "--predict", *files, folder=folder).splitlines()
    assert [line.rpartition(": ")[0] for line in lines] == [str(file) for file in files]
    return files, lines


def serve_pictures(recipe, folder):
    (folder / "bare.py").write_text(BARE)
    files, lines = predict_pictures(recipe, folder)
    serve = ROOT / "recipes/serve_pictures.py"
    served = run("bare.py", serve, "result0/served", *files, folder=folder).splitlines()
    for line, answer in zip(lines, map(json.loads, served), strict=True):
        assert line == f"{answer['file']}: {answer['class']} ({answer['probability']:.2f})"


def serve_texts(recipe, folder):
    (folder / "bare.py").write_text(BARE)
    texts = ["A warm and funny film, one of the best of the year.", "Dull, long and badly acted."]
    (folder / "texts.txt").write_text("\n".join(texts))
    lines = run(recipe, "--out", "result0", "--predict", *texts, "texts.txt", folder=folder)
    first, second, *again = lines.splitlines()
    assert first.startswith(f"{texts[0]}: positive (") and [first, second] == again
    assert second.startswith(f"{texts[1]}: negative (")
    serve = ROOT / "recipes/serve_texts.py"
    served = run("bare.py", serve, "result0", *texts, folder=folder).splitlines()
    for line, answer in zip(again, map(json.loads, served), strict=True):
        assert line == f"{answer['text']}: {answer['class']} ({answer['probability']:.2f})"


USES = {
    "domain_adaptation": predict_pictures,
    "feature_extraction": predict_pictures,
    "fine_tuning": serve_pictures,
    "gradual_unfreezing": predict_pictures,
    "text_classification": serve_texts,
    "weight_initialization": predict_pictures,
}


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_fits_on_a_page_and_says_how_to_use_it(recipe, monkeypatch, capsys):
    assert len(recipe.read_text(encoding="utf8").splitlines()) <= MOST_LINES["recipe"]
    monkeypatch.setattr(sys, "argv", [str(recipe), "--help"])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(recipe), run_name="__main__")
    said = capsys.readouterr().out
    assert stopped.value.code == 0 and f"    python {recipe.name} " in said
    for word in ("--out", "--seed", "--quick", "--resume") if recipe in TRAINED else ():
        assert word in said


def write_pictures(folder: Path, classes: dict[str, int]) -> Path:
    rng = np.random.default_rng(0)
    folder.mkdir()
    for name, count in classes.items():
        (folder / name).mkdir()
        for number in range(count):
            pixels = rng.integers(0, 256, (40, 40, 3)).astype("uint8")
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def pets(folder: Path, cats: int = 8, dogs: int = 8) -> Path:
    return write_pictures(folder / "pets", {"cat": cats, "dog": dogs})


def broken(folder: Path) -> Path:
    (pets(folder) / "dog/3.png").write_text("no picture")
    return folder / "pets"


def table(text: str, encoding: str = "utf8"):
    def write(folder: Path) -> Path:
        (folder / "mine.csv").write_text(text, encoding=encoding)
        return folder / "mine.csv"

    return write


ROWS = "".join(f"film {n} café,{('bad', 'good')[n % 2]}\n" for n in range(40))
NO_PICTURES = "`folder` must hold a folder of pictures for each class"
BAD_PICTURES = {
    "missing": (lambda folder: folder / "no", f"{NO_PICTURES}.*/no', which does not exist"),
    "empty": (lambda folder: write_pictures(folder / "pets", {}), f"{NO_PICTURES}.*no pictures"),
    "one class": (lambda folder: pets(folder, dogs=0), f"{NO_PICTURES}.*no picture .*in 'dog'"),
    "two pictures": (lambda folder: pets(folder, 1, 1), "Each class must be in each part.*'cat'"),
    "a small class": (lambda folder: pets(folder, dogs=2), "2 pictures of 'dog'.*is left for"),
    "no picture": (broken, r"a whole picture.*dog/3\.png.*give --skip-unreadable"),
}
BAD_TABLES = {
    "missing": (lambda folder: folder / "no.csv", "no.csv"),
    "a folder": (lambda folder: folder, "file"),
    "empty": (table(""), "mine.csv"),
    "only a head": (table("text,label\n"), "rows below the first"),
    "another column": (table(f"review,label\n{ROWS}"), "'text'.*review"),
    "another encoding": (table(f"text,label\n{ROWS}", "cp1252"), "line 2.*cp1252"),
    "an empty text": (table(f"text,label\n{ROWS},good\n"), "line 42.*give --skip-empty"),
    "one class": (table("text,label\na,good\nb,good\n"), "one class, 'good'"),
    "two texts": (table("text,label\na,good\nb,bad\n"), "Each class must be in each part"),
}
BAD = [
    *(("fine_tuning", *case) for case in BAD_PICTURES.values()),
    *((name, *BAD_PICTURES["empty"]) for name in ("gradual_unfreezing", "weight_initialization")),
    *(
        (name, *BAD_PICTURES["no picture"])
        for name in ("feature_extraction", "choosing_a_backbone")
    ),
    ("domain_adaptation", pets, "must hold pictures.*the second folder"),
    *(("text_classification", *case) for case in BAD_TABLES.values()),
    ("lora", *BAD_TABLES["another column"]),
]


@pytest.mark.parametrize(("name", "write", "says"), BAD)
def test_bad_input_is_one_sentence_and_leaves_nothing(name, write, says, tmp_path, capsys):
    recipe = runpy.run_path(str(ROOT / f"recipes/{name}.py"))
    out = tmp_path / "result"
    argv = [str(write(tmp_path)), "--quick", "--out", str(out)]
    code = tl.run_recipe(recipe["parser"], recipe["train"], argv=argv)
    said = capsys.readouterr().err
    assert code == 1 and re.search(says, said) and said.count("\n") == 1, said
    assert not out.exists() and not (tmp_path / "result.unfinished").exists()


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_the_closing_cell_works_when_copied(lesson, tmp_path):
    nb = nbformat.read(lesson, as_version=4)
    cells = [
        c.source
        for c in nb.cells
        if c.cell_type == "code" and "copy-me" in c.metadata.get("tags", [])
    ]
    assert len(cells) == 1, f"tag one closing cell `copy-me`; there are {len(cells)}"
    assert len(cells[0].splitlines()) <= MOST_LINES["cell"]
    (tmp_path / "project.py").write_text(cells[0])
    run("project.py", folder=tmp_path)
