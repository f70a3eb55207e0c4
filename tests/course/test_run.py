import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from course.__main__ import main
from course.pages import duration, formula, title_and_goal, write_page
from course.run import anchor_folders, run_course

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
    """A course of two notebooks, the first of which fails; executed once."""
    folder = tmp_path_factory.mktemp("a course")  # a space in the name is allowed
    lessons, build = folder / "notebooks", folder / "build"
    lessons.mkdir()
    (lessons / "picture.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    failing = write(
        lessons / "00_failing.ipynb", "md:# Failing", "a = 1", "b = a\nb / 0\n", "print('later')"
    )
    nb = nbformat.read(failing, 4)
    nb.cells[3].outputs = [new_output("stream", text="an output from long ago")]
    nbformat.write(nb, failing)
    write(
        lessons / "01_good.ipynb",
        "md:# A *good* one\n\nIts goal,\nin `one` line.\n\n## Goal\n\n- see",
        "md:$\\frac{1}{2}$ of ![p](picture.svg), see [it](00_failing.ipynb#Goal)",
        "import os, sys\nprint(os.path.basename(os.getcwd()), sys.executable)\n"
        "print(os.environ['TFDS_DATA_DIR'])",
        "import matplotlib.pyplot as plt\nplt.plot([1, 2]);",
        "import time\nfor dot in '...':\n    print(dot, end='', flush=True)\n    time.sleep(0.5)",
    )
    before = {p.name: p.read_bytes() for p in lessons.iterdir()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TFDS_DATA_DIR", "some/tfds")
        patch.setenv("MPLBACKEND", "Agg")
        code = run_course(lessons, build)
    assert {p.name: p.read_bytes() for p in lessons.iterdir()} == before
    return code, build


def outputs(build: Path, name: str) -> list:
    return [c.get("outputs") for c in nbformat.read(build / name, 4).cells]


def test_a_failing_notebook_fails_the_course_but_not_the_others(course):
    code, build = course
    assert code == 1
    assert outputs(build, "01_good.ipynb")[2]
    assert "ZeroDivisionError" in (build / "00_failing.html").read_text()


def test_a_failing_notebook_stops_at_its_cell_and_shows_no_old_output(course):
    _, build = course
    cells = outputs(build, "00_failing.ipynb")
    assert cells[2][0].ename == "ZeroDivisionError"
    assert cells[3] == []
    assert "long ago" not in (build / "00_failing.html").read_text()


def test_kernels_run_this_python_in_the_notebooks_folder(course):
    _, build = course
    text = outputs(build, "01_good.ipynb")[2][0].text
    assert text.splitlines()[0] == f"notebooks {sys.executable}"
    assert text.splitlines()[1] == os.path.abspath("some/tfds")


def test_what_a_cell_prints_bit_by_bit_is_one_output(course):
    (said,) = outputs(course[1], "01_good.ipynb")[-1]
    assert said["text"] == "..."


def test_figures_are_in_the_page(course):
    _, build = course
    assert "data:image/png;base64" in (build / "01_good.html").read_text()


def test_a_figure_says_in_the_page_what_it_shows(tmp_path):
    said = {"image/png": {"alt": "a < b"}}
    figure = new_output("display_data", data={"image/png": "aGk="}, metadata=said)
    nb = new_notebook(cells=[new_code_cell("figure", outputs=[figure])])
    write_page(nb, tmp_path / "00_a.html", tmp_path)
    assert 'alt="a &lt; b"' in (tmp_path / "00_a.html").read_text()


def test_pages_need_no_network_and_no_script(course):
    _, build = course
    for page in build.glob("*.html"):
        text = page.read_text().replace("http://www.w3.org", "")
        assert "<script" not in text
        assert "http://" not in text and "https://" not in text


def test_formulas_pictures_and_links_work_in_the_page(course):
    text = (course[1] / "01_good.html").read_text()
    assert "<mfrac>" in text
    assert 'src="data:image/svg+xml;base64' in text
    assert 'href="00_failing.html#Goal"' in text


def test_an_answer_is_folded_away_until_it_is_asked_for(tmp_path):
    text = "Why?\n\n<details><summary>Answer</summary>\n\nBe*cause*.\n\n</details>\n\nOn."
    nb = new_notebook(cells=[new_markdown_cell("# A"), new_markdown_cell(text)])
    write_page(nb, tmp_path / "00_a.html", tmp_path)
    page = (tmp_path / "00_a.html").read_text()
    _, inside = page.split("<details><summary>Answer</summary>")
    inside, behind = inside.split("</details>")
    assert "<p>Be<em>cause</em>.</p>" in inside and "<p>On.</p>" in behind


def test_every_answer_of_the_lessons_is_folded(tmp_path):
    for lesson in (Path(__file__).parents[2] / "notebooks").glob("[0-9]*.ipynb"):
        nb = nbformat.read(lesson, 4)
        told = [c for c in nb.cells if c.cell_type == "markdown" and "<details>" in c.source]
        write_page(new_notebook(cells=told), tmp_path / "00_a.html", lesson.parent)
        answers = re.findall(
            "<details><summary>.*?</summary>(.*?)</details>",
            (tmp_path / "00_a.html").read_text(),
            re.S,
        )
        assert len(answers) == sum(cell.source.count("<details>") for cell in told)
        assert all(answer.strip() for answer in answers), lesson.name


def test_the_index_says_title_goal_and_what_failed(course):
    text = (course[1] / "index.html").read_text()
    assert 'href="01_good.html">A good one</a>' in text
    assert "Its goal, in <code>one</code> line." in text
    assert "cell 3 of 4: ZeroDivisionError: division by zero\n    b = a\n    b / 0" in text
    assert text.count("peak memory") == 2


def test_a_kernel_that_dies_is_named(tmp_path, capsys):
    write(tmp_path / "00_dies.ipynb", "import os\nos._exit(1)")
    assert run_course(tmp_path, tmp_path / "build") == 1
    assert "cell 1 of 1: DeadKernelError" in capsys.readouterr().out
    assert "DeadKernelError" in (tmp_path / "build" / "00_dies.html").read_text()


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


@pytest.mark.parametrize(
    ("tex", "holds"),
    [
        (r"\frac{a}{b}", "<mfrac>"),
        (r"\begin{aligned} a &= b \\ c &= d \end{aligned}", "<mtable"),
        (r"\unknown{x} < y", r"<code>\unknown{x} &lt; y</code>"),
        ("a & b", "<code>a &amp; b</code>"),
    ],
)
def test_formula(tex, holds):
    assert holds in formula(tex)


@pytest.mark.parametrize(
    ("source", "title", "goal"),
    [
        ("# T\n\nGoal.", "T", "Goal."),
        ("# T\nGoal\nhere.\n\nMore.", "T", "Goal here."),
        ("# `T`\n\n[![badge](x)](y)\n\n## Goal\n\nReal.", "T", "Real."),
        ("No heading.", "", "No heading."),
        ("", "", ""),
    ],
)
def test_title_and_goal(source, title, goal):
    assert title_and_goal(new_notebook(cells=[new_markdown_cell(source)])) == (title, goal)


def test_duration():
    assert [duration(s) for s in (0.4, 59.4, 59.6, 185)] == [
        "0 s",
        "59 s",
        "1 min 0 s",
        "3 min 5 s",
    ]
