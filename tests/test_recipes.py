"""Recipes work on their own, in a new process."""

import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from statistics import fmean

import tlhelpers as tl

import numpy as np
import pytest
from PIL import Image
from scipy.io import wavfile

ROOT = Path(__file__).parents[1]
RECIPES = sorted((ROOT / "recipes").glob("*.py"))
TRAINED = [path for path in RECIPES if not path.stem.startswith("serve_")]
ELSEWHERE = {"language_model"}  # tests/test_language_recipe.py: the real network takes a minute
SECONDS = 1200
MOST_LINES = 80

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


@pytest.mark.parametrize(
    "recipe", [path for path in TRAINED if path.stem not in ELSEWHERE], ids=lambda path: path.stem
)
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


def predict_boxes(recipe, folder):
    files = sorted((folder / "result0/example").glob("*.png"))[:2]
    lines = run(recipe, "--out", "result0", "--predict", *files, folder=folder).splitlines()
    told = list(map(json.loads, lines))
    assert [each["file"] for each in told] == [str(file) for file in files]
    assert sum(len(each["boxes"]) for each in told) > 0
    for file, each in zip(files, told, strict=True):
        assert (folder / f"result0/{file.stem}.boxes.png").is_file()
        for box in each["boxes"]:
            left, top, right, bottom = box["box"]
            assert 0 <= left < right <= 128 and 0 <= top < bottom <= 128
            assert box["class"] in "01" and 0 <= box["score"] <= 1


def boxed(folder: Path, count: int = 6) -> Path:
    tl.make_example("boxes", folder / "boxed", size=count)
    return folder / "boxed"


def without(name: str):
    def write(folder: Path) -> Path:
        (boxed(folder) / name).unlink()
        return folder / "boxed"

    return write


def with_text(name: str, text: str):
    def write(folder: Path) -> Path:
        (boxed(folder) / name).write_text(text)
        return folder / "boxed"

    return write


def predict_masks(recipe, folder):
    files = sorted((folder / "result0/example/pictures").glob("*.png"))[:3]
    lines = run(recipe, "--out", "result0", "--predict", *files, folder=folder).splitlines()
    assert [line.rpartition(": ")[0] for line in lines] == [str(file) for file in files]
    for file in files:
        mask = np.asarray(Image.open(folder / "result0/masks" / file.name))
        true = np.asarray(Image.open(file.parents[1] / "masks" / file.name))
        assert mask.shape == true.shape and np.mean(mask == true) > 0.9


def masked(file: str, image: Image.Image | None = None):
    """Return what writes the example, and then another file, or none, in the place of one."""

    def write(folder: Path) -> Path:
        folder = tl.make_example("masks", folder / "masked", size=12)
        (folder / file).unlink()
        if image is not None:
            image.save(folder / file)
        return folder

    return write


def predict_names(recipe, folder):
    texts = ["Yesterday we compared Lisbon with Toyota.", "", "日本"]
    (folder / "texts.txt").write_text("\n".join(texts), encoding="utf8")
    lines = run(recipe, "--out", "result0", "--predict", texts[0], "texts.txt", folder=folder)
    first, *again = map(json.loads, lines.splitlines())
    assert [each["text"] for each in again] == texts and again[0] == first
    assert not again[1]["names"]
    found = {each["text"]: each["kind"] for each in first["names"]}
    assert found and set(found) <= set(tl.split_words(texts[0])), found
    assert all(0 < each["confidence"] <= 1 for each in first["names"])


def predict_intents(recipe, folder):
    texts = ["stell den Timer auf 5 Minuten", "включи музыку"]
    (folder / "texts.txt").write_text("\n".join(texts), encoding="utf8")
    lines = run(recipe, "--out", "result0", "--predict", *texts, "texts.txt", folder=folder)
    said, first, second, *again = lines.splitlines()
    assert said.startswith("use-multilingual: ") and [first, second] == again
    for text, line in zip(texts, again, strict=True):
        assert re.fullmatch(rf"{text}: [a-z ]+ \([01]\.\d\d\)", line)


def predict_sounds(recipe, folder):
    files = sorted((folder / "result0/example").glob("*/*.wav"))[::40]
    lines = run(recipe, "--out", "result0", "--predict", *files, folder=folder).splitlines()
    assert [line.rpartition(": ")[0] for line in lines] == [str(file) for file in files]
    right = [f": {file.parent.name} (" in line for file, line in zip(files, lines, strict=True)]
    assert sum(right) >= len(right) - 1, lines


def recorded(low: bytes | None = None, count: int = 8):
    """Return what writes noise for two classes, and a file of other bytes."""

    def write(folder: Path) -> Path:
        rng = np.random.default_rng(0)
        for name in ("high", "low"):
            (folder / "mine" / name).mkdir(parents=True)
            for number in range(count):
                wave = rng.normal(0, 0.1, 900).astype("float32")
                wavfile.write(folder / f"mine/{name}/{number}.wav", 8_000, wave)
        if low is not None:
            (folder / "mine/low/3.wav").write_bytes(low)
        return folder / "mine"

    return write


def predict_ratings(recipe, folder):
    lines = run(recipe, "--out", "result0", "--predict", "mine 0001", folder=folder).splitlines()
    written = (folder / "result0/recommendations.csv").read_text("utf8").splitlines()
    assert lines == [written[0], *(line for line in written if line.startswith("mine 0001,"))]
    assert len(lines) == 11 and all(
        re.fullmatch(r"mine \d+,book \d+,-?\d\.\d\d", x) for x in lines[1:]
    )


USES = {
    "detection": predict_boxes,
    "entities": predict_names,
    "domain_adaptation": predict_pictures,
    "feature_extraction": predict_pictures,
    "fine_tuning": serve_pictures,
    "gradual_unfreezing": predict_pictures,
    "intents": predict_intents,
    "ratings": predict_ratings,
    "segmentation": predict_masks,
    "screening": predict_pictures,
    "sounds": predict_sounds,
    "text_classification": serve_texts,
    "weight_initialization": predict_pictures,
}


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_fits_on_a_page_and_says_how_to_use_it(recipe, monkeypatch, capsys):
    assert len(recipe.read_text(encoding="utf8").splitlines()) <= MOST_LINES
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
OUTSIDE = (
    "<annotation><object><name>1</name><bndbox><xmin>90</xmin><ymin>5</ymin>"
    "<xmax>140</xmax><ymax>50</ymax></bndbox></object></annotation>"
)
BAD_BOXES = {
    "missing": (lambda folder: folder / "no", "which does not exist"),
    "neither form": (lambda folder: pets(folder), "0 XML and 0 JSON files"),
    "few": (lambda folder: boxed(folder, 3), "five pictures at least"),
    "empty annotations": (with_text("0001.xml", ""), r"0001\.xml must be.*an empty file"),
    "a box outside": (with_text("0001.xml", OUTSIDE), r"0001\.xml must have boxes inside 0001"),
    "no XML file": (without("0001.xml"), r"must have an XML file.*0001\.png"),
    "no picture": (without("0001.png"), r"0001\.xml must have its picture"),
}
BAD_MASKS = {
    "missing": (lambda folder: folder / "no", r"no folder at .*no/pictures"),
    "a mask gone": (masked("masks/0003.png"), r"pictures/0003\.png alone"),
    "another size": (masked("masks/0003.png", Image.new("L", (9, 9))), r"0003\.png of 9 x 9"),
    "colours": (masked("masks/0003.png", Image.new("RGB", (64, 64))), r"masks/0003\.png with RGB"),
}
BAD_ENTITIES = {
    "missing": (lambda folder: folder / "no", "which does not exist"),
    "no part": (lambda folder: pets(folder), "one file for each part.*for train"),
    "empty": (table(""), r"mine\.csv must hold a sentence"),
    "one column": (table("Ada\n"), r"1 columns in line 1"),
    "another scheme": (table("Ada B-PER\nsmiles O\nOslo S-LOC\n"), "'S-LOC' in line 3"),
    "few": (table("Ada B-PER\n\nOslo B-LOC\n"), "seven different sentences"),
    "another encoding": (table("Ada B-PER\ncafé O\n", "cp1252"), "UTF-8.*line 2"),
}
NO_SOUNDS = "`folder` must hold a folder of sounds for each class"
BAD_SOUNDS = {
    "missing": (lambda folder: folder / "no", f"{NO_SOUNDS}.*/no', which does not exist"),
    "pictures": (lambda folder: pets(folder), f"{NO_SOUNDS}.*no sounds"),
    "no sound": (recorded(b"no sound"), r"a .*low/3\.wav.*give --skip-unreadable"),
    "few": (recorded(count=2), "Each class must be in each part.*2 sounds of 'high'"),
}
BAD_RATINGS = {
    "missing": (lambda folder: folder / "no.csv", r"no\.csv', which does not exist"),
    "no number": (table("user,item,rating\nann,Heat (1995),good\n"), "a number as its rating"),
    "another column": (table("who,item,rating\nann,Heat (1995),5\n"), "`user` must be a column"),
}
BAD = [
    *(("ratings", *case) for case in BAD_RATINGS.values()),
    *(("sounds", *case) for case in BAD_SOUNDS.values()),
    *(("entities", *case) for case in BAD_ENTITIES.values()),
    *(("segmentation", *case) for case in BAD_MASKS.values()),
    *(("detection", *case) for case in BAD_BOXES.values()),
    *(("fine_tuning", *case) for case in BAD_PICTURES.values()),
    *((name, *BAD_PICTURES["empty"]) for name in ("gradual_unfreezing", "weight_initialization")),
    *(
        (name, *BAD_PICTURES["no picture"])
        for name in ("feature_extraction", "choosing_a_backbone")
    ),
    ("domain_adaptation", pets, "must hold pictures.*the second folder"),
    ("screening", pets, r"`group` must be a regular expression.*group=None. Give 'patient"),
    *(("text_classification", *case) for case in BAD_TABLES.values()),
    ("lora", *BAD_TABLES["another column"]),
    *(
        ("intents", *BAD_TABLES[case])
        for case in ("missing", "another column", "another encoding", "an empty text", "two texts")
    ),
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
