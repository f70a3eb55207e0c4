"""What every committed notebook keeps to; each message says what to do."""

import re
import subprocess
import sys
from pathlib import Path
from statistics import median

from course.mathml import formula

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
PATHS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))

MAX_CELLS = 90
MAX_LINES = 25  # of a code cell
STEP, MEDIAN = 12, 6  # lines of a cell in the course, 00 to 09, but for the one to copy
MAX_BYTES = 1_000_000  # advice: 300 KB
MACHINE_PATH = re.compile(r"/(?:home|root|Users|work)/|\b[A-Z]:\\")
SHELL = re.compile(r"^\s*[!%]|\bpip install\b", re.MULTILINE)
WORD = r"(?:accura|score|\bF1\b|\bauc\b)"
NUMBER = r"(?:(?<![\w.])[01]?\.\d{2,}(?!\w|\.\d)|\b(?!95)\d+(?:\.\d+)?\s?%)"
TYPED_SCORE = re.compile(rf"{WORD}.{{0,30}}?{NUMBER}|{NUMBER}.{{0,30}}?{WORD}", re.IGNORECASE)
FORMULA = re.compile(r"\$\$(.+?)\$\$|(?<![$\\])\$([^$]+?)\$", re.DOTALL)
PICTURE = re.compile(r"!\[([^\]]*)\]\(")
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)|(?:src|href)=\"([^\"#]+)")


def test_there_are_notebooks():
    assert len(PATHS) >= 2, "notebooks/ must hold at least the first two lessons"


@pytest.fixture(params=PATHS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def nb(path):
    return nbformat.read(path, as_version=4)


def code_cells(nb):
    return [(n, c) for n, c in enumerate(nb.cells, 1) if c.cell_type == "code"]


def markdown_cells(nb):
    return [(n, c) for n, c in enumerate(nb.cells, 1) if c.cell_type == "markdown"]


def tags(cell):
    return cell.metadata.get("tags", [])


def prose(cell):
    """Return the text of a markdown cell without its code blocks."""
    return re.sub(r"```.*?```", "", cell.source, flags=re.DOTALL)


def test_is_valid_and_asks_for_the_plain_python_kernel(nb):
    nbformat.validate(nb)
    name = nb.metadata.get("kernelspec", {}).get("name")
    assert name == "python3", f"kernel {name!r}: choose 'Python 3' in JupyterLab and save"


def test_was_executed_from_top_to_bottom(nb):
    counts = [c.execution_count for _, c in code_cells(nb)]
    assert counts == list(range(1, len(counts) + 1)), (
        f"execution counts {counts}: use 'Restart Kernel and Run All Cells', then save"
    )


def test_has_no_unexpected_error_and_nothing_on_stderr(nb):
    for number, cell in code_cells(nb):
        for output in cell.outputs:
            if output.output_type == "error":
                assert "raises-exception" in tags(cell), (
                    f"cell {number} fails: repair it, or tag it raises-exception if it is meant to"
                )
            assert output.get("name") != "stderr", (
                f"cell {number} prints to stderr: {output.text[:200]!r}; remove the cause"
            )


def test_a_cell_that_fails_on_purpose_is_checked(nb):
    for number, cell in code_cells(nb):
        if "raises-exception" in tags(cell):
            assert "nbval-check-output" in tags(cell), (
                f"cell {number}: tag it nbval-check-output too, or nobody notices when it "
                "stops raising"
            )
            assert any(o.output_type == "error" for o in cell.outputs), (
                f"cell {number} is tagged raises-exception but raises nothing"
            )


def test_is_short(path, nb):
    size = path.stat().st_size
    assert size <= MAX_BYTES, f"{size:,} bytes: use smaller figures or a lower dpi (300 KB is good)"
    assert len(nb.cells) <= MAX_CELLS, f"{len(nb.cells)} cells: split the lesson"
    for number, cell in code_cells(nb):
        lines = len(cell.source.splitlines())
        assert lines <= MAX_LINES, f"cell {number} has {lines} lines: move code into tlhelpers"


@pytest.mark.parametrize("lesson", [p for p in PATHS if p.name < "10"], ids=lambda p: p.stem)
def test_the_course_goes_in_small_steps(lesson):
    cells = code_cells(nbformat.read(lesson, as_version=4))
    cells = [(n, c) for n, c in cells if "copy-me" not in tags(c)]
    lines = {n: len([line for line in c.source.splitlines() if line.strip()]) for n, c in cells}
    long = [number for number, count in lines.items() if count > STEP]
    assert not long, f"cells {long} have more than {STEP} lines: one idea a cell"
    assert median(lines.values()) <= MEDIAN, "cut cells where one idea ends"


def test_begins_with_a_title_and_has_goal_and_summary(nb):
    first = nb.cells[0]
    assert first.cell_type == "markdown" and first.source.startswith("# "), (
        "the first cell must begin with '# Title'"
    )
    headings = re.findall(
        r"^## +(.+?)\s*$", "\n".join(c.source for _, c in markdown_cells(nb)), re.M
    )
    for wanted in ("Goal", "Summary"):
        assert wanted in headings, f"add a section '## {wanted}'; there are {headings}"


def test_names_no_folder_of_a_machine(nb):
    for number, cell in enumerate(nb.cells, 1):
        text = cell.source + "".join(
            str(o.get("text", "")) + str(o.get("evalue", "")) + str(o.get("traceback", ""))
            + "".join(str(v) for k, v in o.get("data", {}).items() if k.startswith("text/"))
            for o in cell.get("outputs", [])
        )  # fmt: skip
        found = MACHINE_PATH.search(text)
        around = found and text[max(0, found.start() - 40) : found.end() + 40]
        assert not found, f"cell {number} shows a path of a machine: ...{around}..."


def test_code_is_python_and_installs_nothing(nb):
    for number, cell in code_cells(nb):
        found = SHELL.search(cell.source)
        assert not found, (
            f"cell {number}: no '!', '%' or pip; put what it needs into requirements.txt"
        )
        assert "plt.show" not in cell.source, f"cell {number}: drop plt.show(), the figure is shown"


def test_no_score_is_typed_by_hand(nb):
    """A score in prose goes stale: it is computed and printed by a code cell.

    The rule is simple: no decimal (.53, 0.53) and no percentage (but the 95 % of an interval)
    within 30 characters of a word like "accuracy" or "score". Words ("about half") are fine.
    """
    for number, cell in markdown_cells(nb):
        found = TYPED_SCORE.search(FORMULA.sub("", prose(cell)))
        assert not found, f"cell {number} types a score: {found[0]!r}; print it in a code cell"


def test_every_figure_has_an_alternative_text(nb):
    """Who doesn't see a figure reads what it shows: `tl.describe_figure`, in the page too."""
    for number, cell in enumerate(nb.cells, 1):
        for output in cell.get("outputs", []):
            for mime in [m for m in output.get("data", {}) if m.startswith("image/")]:
                said = output.metadata.get(mime, {}).get("alt", "")
                assert len(said) >= 20, (
                    f"cell {number} shows a figure whose alternative text is {said!r}: draw it on "
                    "tl.new_axes, and give it a title, axis labels or figure.set_label"
                )
        if cell.cell_type == "markdown":
            for said in PICTURE.findall(prose(cell)):
                assert len(said) >= 20, f"cell {number}: say in ![...] what the picture shows"


def test_links_to_files_lead_somewhere(path, nb):
    for number, cell in markdown_cells(nb):
        for match in LINK.finditer(prose(cell)):
            target = match[1] or match[2]
            if not re.match(r"[a-z]+:", target):
                assert (path.parent / target).exists(), f"cell {number}: no such file {target!r}"


def test_formulas_can_be_shown_without_a_network(nb):
    for number, cell in markdown_cells(nb):
        for match in FORMULA.finditer(re.sub(r"`[^`]*`", "", prose(cell))):
            tex = match[1] or match[2]
            assert "<math" in formula(tex), (
                f"cell {number}: `make course` cannot translate {tex!r}; write it more simply"
            )


def test_the_closing_cell_stands_alone(nb):
    """Its lesson runs it; here every name in it is one that it makes or imports itself."""
    cells = [c.source for _, c in code_cells(nb) if "copy-me" in tags(c)]
    assert len(cells) == 1, f"tag one closing cell `copy-me`; there are {len(cells)}"
    missing = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--isolated", "--ignore-noqa", "--select=F", "-"],
        input=cells[0], capture_output=True, text=True,
    )  # fmt: skip
    assert missing.returncode == 0, missing.stdout
