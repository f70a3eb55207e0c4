import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from course import run
from course.__main__ import main
from course.run import anchor_folders, execute_all, run_course

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output


def write(path: Path, *cells) -> Path:
    made = [new_markdown_cell(c[3:]) if c.startswith("md:") else new_code_cell(c) for c in cells]
    kernelspec = {"name": "not-installed", "display_name": "?", "language": "python"}
    nbformat.write(new_notebook(cells=made, metadata={"kernelspec": kernelspec}), path)
    return path


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course of two notebooks, the first of which fails; executed once, without the book."""
    folder = tmp_path_factory.mktemp("a course")  # a space in the name is allowed
    lessons, build = folder / "notebooks", folder / "build"
    lessons.mkdir()
    failing = write(
        lessons / "00_failing.ipynb", "md:# Failing", "a = 1", "b = a\nb / 0\n", "print('later')"
    )
    nb = nbformat.read(failing, 4)
    nb.cells[3].outputs = [new_output("stream", text="an output from long ago")]
    nbformat.write(nb, failing)
    write(
        lessons / "01_good.ipynb",
        "md:# A good one",
        "import os, sys\nprint(os.path.basename(os.getcwd()), sys.executable)\n"
        "print(os.environ['TFDS_DATA_DIR'])",
        "import time\nfor dot in '...':\n    print(dot, end='', flush=True)\n    time.sleep(0.5)",
    )
    before = {p.name: p.read_bytes() for p in lessons.iterdir()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TFDS_DATA_DIR", "some/tfds")
        patch.setenv("MPLBACKEND", "Agg")
        booked = []
        patch.setattr(run, "build_book", lambda *asked: booked.append(asked))
        code = run_course(lessons, build)
    assert {p.name: p.read_bytes() for p in lessons.iterdir()} == before
    return code, build, *booked


def outputs(build: Path, name: str) -> list:
    return [c.get("outputs") for c in nbformat.read(build / name, 4).cells]


def test_a_failing_notebook_fails_the_course_but_not_the_others(course):
    code, build, booked = course
    assert code == 1
    assert outputs(build, "01_good.ipynb")[1]
    assert booked[:2] == (build, build / "book")
    assert booked[2]["00_failing"].startswith("failed · ")
    assert (
        booked[2]["01_good"].startswith("passed · ") and " MB · Python 3." in booked[2]["01_good"]
    )


def test_a_failing_notebook_stops_at_its_cell_and_shows_no_old_output(course):
    cells = outputs(course[1], "00_failing.ipynb")
    assert cells[2][0].ename == "ZeroDivisionError"
    assert cells[3] == []


def test_what_failed_is_said_with_its_cell(tmp_path, capsys):
    write(tmp_path / "00_a.ipynb", "md:# A", "a = 1", "b = a\nb / 0\n")
    (entry,) = execute_all(tmp_path, tmp_path / "build")
    said = "cell 3 of 3: ZeroDivisionError: division by zero\n    b = a\n    b / 0"
    assert entry.failure == said and said in capsys.readouterr().out


def test_kernels_run_this_python_in_the_notebooks_folder(course):
    text = outputs(course[1], "01_good.ipynb")[1][0].text
    assert text.splitlines()[0] == f"notebooks {sys.executable}"
    assert text.splitlines()[1] == os.path.abspath("some/tfds")


def test_what_a_cell_prints_bit_by_bit_is_one_output(course):
    (said,) = outputs(course[1], "01_good.ipynb")[-1]
    assert said["text"] == "..."


def test_a_kernel_that_dies_is_named(tmp_path, capsys):
    write(tmp_path / "00_dies.ipynb", "import os\nos._exit(1)")
    (entry,) = execute_all(tmp_path, tmp_path / "build")
    assert "cell 1 of 1: DeadKernelError" in entry.failure
    assert outputs(tmp_path / "build", "00_dies.ipynb")[0][0].ename == "DeadKernelError"


def test_ctrl_c_ends_the_kernel_and_says_130(tmp_path):
    write(
        tmp_path / "00_slow.ipynb",
        "import os, time\nopen('part', 'w').write(str(os.getpid()))\n"
        "os.rename('part', 'pid')\ntime.sleep(600)",
    )
    command = [sys.executable, "-m", "course", "run", "--notebooks", ".", "--build", "build"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, text=True, stdout=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # jobs may ignore it
    )  # fmt: skip
    while not (tmp_path / "pid").exists() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Stopped after 0 of 1 notebooks." in out
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_folder_without_lessons_is_an_error_that_names_it(tmp_path, capsys):
    with pytest.raises(ValueError, match="Received: notebooks="):
        run_course(tmp_path, tmp_path / "build")
    with pytest.raises(SystemExit):
        main(["run", "--notebooks", str(tmp_path)])
    assert "01_name.ipynb" in capsys.readouterr().err


def test_relative_folders_become_absolute_and_addresses_stay():
    environ = {"TFDS_DATA_DIR": "../x", "TL_CACHE": "gs://b/c", "KERAS_HOME": "", "OTHER": "y"}
    anchor_folders(environ)
    assert environ["TFDS_DATA_DIR"] == str(Path.cwd().parent / "x")
    assert environ["TL_CACHE"] == "gs://b/c"
    assert environ["KERAS_HOME"] == "" and environ["OTHER"] == "y"
