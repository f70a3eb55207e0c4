"""What goes wrong in a recipe is one sentence, an exit code, and nothing half written."""

import errno
import re
import subprocess
import sys

import tlhelpers as tl

import keras
import numpy as np
import pytest
from PIL import Image


def parser():
    return tl.recipe_parser("Tell pets apart.\n\n    python pets.py pets/", predicts="PICTURE")


def ran(train, *argv, predict=None):
    return tl.run_recipe(parser(), train, predict, list(argv))


def test_help_tells_what_there_is(capsys):
    with pytest.raises(SystemExit) as stopped:
        ran(None, "--help")
    assert stopped.value.code == 0
    said = capsys.readouterr().out
    assert "\n    python pets.py pets/\n" in said
    for option in ("--out", "--seed", "--quick", "--resume", "--predict PICTURE"):
        assert option in said
    words = " ".join(said.split())
    assert "(default: result)" in words and "(default: 0)" in words
    assert "None" not in words and "False" not in words
    assert "--predict" not in tl.recipe_parser("Rank.").format_help()


def test_a_run_fills_its_folder(tmp_path, capsys):
    out = tmp_path / "result"
    assert ran(lambda options, results: results.finish("Done"), "--out", str(out)) == 0
    assert f"done: {out}" in capsys.readouterr().out and (out / "report.json").is_file()


def test_the_seed_draws_the_first_weights(tmp_path):
    def train(options, results):
        drawn.append(keras.random.normal((3,)).numpy().tolist())
        results.finish("Drawn")

    drawn = []
    for number, seed in enumerate("010"):
        ran(train, "--seed", seed, "--out", str(tmp_path / str(number)))
    assert drawn[0] == drawn[2] != drawn[1]


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (ValueError("`x` must be. Received:\n y. Cure."), 1, "error: `x` must be. Received: y."),
        (OSError(errno.ENOSPC, "No space left on device", "f.npz"), 1, "No space left.*f.npz"),
        (OSError(errno.EROFS, "Read-only file system", "f"), 1, "Read-only.*: f. Make room, or"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "device. Make room, or choose"),
        (re.error("missing )", "(a"), 1, r"regular expression.*Received: '\(a': missing \)"),
        (MemoryError(), 1, "The memory is full. Take smaller pictures"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"), 1, "must be UTF-8"),
        (KeyboardInterrupt(), 130, "stopped."),
    ],
)
@pytest.mark.parametrize("begun", [False, True])
def test_an_error_is_a_sentence_and_nothing_half_is_left(
    tmp_path, capsys, error, code, says, begun
):
    def train(options, results):
        if begun:
            results.state.mkdir()
            (results.state / "fine_tune.npz").touch()
        raise error

    out = tmp_path / "result"
    assert ran(train, "--out", str(out)) == code
    said = capsys.readouterr().err

    assert re.search(says, said) and said.count("\n") == 1 and "Traceback" not in said
    assert not out.exists()
    assert ("--resume" in said) == begun == (tmp_path / "result.unfinished").exists()


def test_another_mistake_of_the_program_is_not_hidden(tmp_path):
    def train(options, results):
        raise TypeError("a mistake")

    with pytest.raises(TypeError, match="a mistake"):
        ran(train, "--out", str(tmp_path / "result"))


def test_a_place_that_cannot_be_written_is_told_before_any_work(tmp_path, capsys):
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "result"
    assert ran(lambda *_: pytest.fail("no work"), "--out", str(out)) == 1
    assert "Not a directory" in capsys.readouterr().err


def test_predictions_come_a_line_each(tmp_path, capsys):
    model = tl.build_classifier(tl.load_backbone("vgg16", (32, 32, 3), weights=None), 2)
    tl.save_classifier(tmp_path / "pets.keras", model, ["cat", "dog"])
    picture = tmp_path / "a large one.png"
    Image.fromarray(np.full((50, 40, 3), 9, "uint8")).save(picture)
    capsys.readouterr()

    def predict(options):
        tl.classify_pictures(options.out, options.predict)

    asked = ("--out", str(tmp_path / "pets.keras"), "--predict")
    assert ran(None, *asked, str(picture), predict=predict) == 0
    line = capsys.readouterr().out
    assert line.startswith(f"{picture}: ") and line.rstrip().endswith(")")
    (tmp_path / "no.png").write_text("no picture")
    assert ran(None, *asked, str(tmp_path / "no.png"), predict=predict) == 1
    assert f"must be a whole picture. Received: {tmp_path / 'no.png'}" in capsys.readouterr().err


SLOW = """
import sys, time
import tlhelpers as tl

def train(options, results):
    results.state.mkdir(exist_ok=True)
    (results.state / "kept").touch()
    if options.resume:
        results.finish("Done")
    else:
        print("trains", flush=True)
        time.sleep(600)

sys.exit(tl.run_recipe(tl.recipe_parser("Sleep."), train))
"""


def test_a_run_that_was_killed_goes_on(tmp_path):
    (tmp_path / "slow.py").write_text(SLOW)
    command = [sys.executable, "slow.py"]
    run = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert run.stdout.readline() == "trains\n"
    run.kill()
    run.wait()
    run.stdout.close()
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert again.returncode == 1 and "Add --resume" in again.stderr
    done = subprocess.run([*command, "--resume"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and (tmp_path / "result" / "run.json").is_file()
