"""The benchmark: pairs of turns, verdicts, exit status, and what it publishes."""

import json
import sys
from itertools import count
from pathlib import Path

import benchmarks.__main__ as command
from benchmarks.frame import Measured, Promise, Row, take_turns
from benchmarks.report import draw, number, to_markdown, write_how_fast
from benchmarks.running import judge, run_row

import pytest

ROOT = Path(__file__).parents[1]
TOYS = """
import os, sys
from benchmarks.frame import Measured, Promise, Row

def crash(quick):
    raise RuntimeError("the peer is broken")

def look(quick):
    pinned = {name: os.environ[name] for name in ("OMP_NUM_THREADS", "TF_NUM_INTEROP_THREADS")}
    return Measured([2.0, 3.0, 4.0], {**pinned, "process": os.getpid(), "quick": quick})

ROWS = (
    Row("good", "a good one", look, Promise(2.5), threads=1),
    Row("short", "a slow one", look, Promise(5), why="It waits."),
    Row("crash", "a broken one", crash, Promise(1)),
    Row("absent", "one without its peer", look, needs=("no_such_module",)),
    Row("large", "a large one", look, full_only=True),
)
"""


@pytest.fixture
def toys(tmp_path, monkeypatch):
    """A module of rows that a fresh process finds, too."""
    (tmp_path / "toy_rows.py").write_text(TOYS, "utf-8")
    (tmp_path / "README.md").write_text(
        f"# Title\n\nbefore\n\n{command.BEGIN}\n{command.END}\n\nafter\n", "utf-8"
    )
    (tmp_path / "docs").mkdir()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "toy_rows", raising=False)
    return tmp_path


def run(toys, *arguments):
    return command.main([*arguments], modules=["toy_rows"], root=toys)


def test_turns_are_paired_and_their_order_changes():
    ran, now, ticks = [], [0.0], count(1)

    def ours():
        ran.append("A")
        now[0] += 1

    def peer():
        ran.append("B")
        now[0] += 2 * next(ticks)

    ratios = take_turns(ours, peer, turns=3, warm_ups=2, clock=lambda: now[0])
    assert "".join(ran) == "ABAB" + "ABBAAB"
    assert ratios == [6, 8, 10]


@pytest.mark.parametrize("bound, least, ratio, kept", [
    (3, True, 3, True), (3, True, 2.99, False), (1.1, False, 1.1, True), (1.1, False, 1.11, False),
])  # fmt: skip
def test_a_promise_is_kept_or_not(bound, least, ratio, kept):
    promise = Promise(bound, least)
    assert promise.kept(ratio) is kept
    assert str(promise) == f"at {'least' if least else 'most'} {bound}"


def test_the_verdict_is_that_of_the_median():
    def verdict(ratios, promise):
        row = Row("name", "title", lambda quick: Measured([]), promise, why="It waits.")
        return judge(row, Measured(ratios))

    told = verdict([9.0, 1.0, 4.0, 2.0, 3.0], Promise(3))
    assert told["median"] == 3 and told["quartiles"] == [2, 4] and told["turns"] == 5
    assert told["verdict"] == "kept" and told["why"] == ""
    told = verdict([1.0, 9.0, 2.0], Promise(3))
    assert told["verdict"] == "falls short" and told["why"] == "It waits."
    told = verdict([1.0], None)
    assert told["verdict"] == "no promise" and told["quartiles"] == [1, 1]


def test_a_row_runs_in_a_process_of_its_own_with_its_threads(toys):
    import toy_rows

    first, second = (run_row("toy_rows", toy_rows.ROWS[0], quick) for quick in (True, False))
    assert first["facts"]["process"] != second["facts"]["process"]
    assert (first["facts"]["quick"], second["facts"]["quick"]) == (True, False)
    assert first["facts"]["OMP_NUM_THREADS"] == first["facts"]["TF_NUM_INTEROP_THREADS"] == "1"
    assert first["threads"] == 1 and first["median"] == 3


def test_the_exit_status_says_whether_all_promises_are_kept(toys, capsys):
    assert run(toys, "good") == 0
    assert run(toys, "good", "short") == 1
    assert "falls short" in capsys.readouterr().out
    assert run(toys, "crash") == 1
    told = capsys.readouterr().out
    assert "failed: exit status 1" in told and "RuntimeError: the peer is broken" in told
    assert run(toys, "absent") == 0
    assert "left out: no no_such_module" in capsys.readouterr().out


def test_all_rows_run_without_names_and_the_large_ones_in_the_full_form_alone(toys):
    def names():
        told = json.loads((toys / "build/bench.json").read_text("utf-8"))
        return [row["name"] for row in told["rows"]]

    run(toys)
    assert names() == ["good", "short", "crash", "absent"]
    table = (toys / "build/bench.md").read_text("utf-8")
    assert "| a good one | **3.00** (2.50 to 3.50) | at least 2.5 | kept |" in table
    assert "the peer is broken" in table
    run(toys, "--full", "large")
    assert names() == ["large"]


def test_an_unknown_row_is_refused(toys, capsys):
    with pytest.raises(SystemExit):
        run(toys, "goood")
    assert "no row goood. There are: good, short" in capsys.readouterr().err


def test_publishing_leaves_the_rest_of_the_readme(toys):
    kept = "\nROWS = ROWS[:2]\n"
    (toys / "toy_rows.py").write_text(TOYS + kept, "utf-8")
    assert run(toys, "--publish") == 1  # one falls short, and is published as such
    text = (toys / "README.md").read_text("utf-8")
    told = json.loads((toys / "docs/measured/bench.json").read_text("utf-8"))
    before, after = f"# Title\n\nbefore\n\n{command.BEGIN}\n\n", f"\n\n{command.END}\n\nafter\n"
    assert text == before + to_markdown(told) + after
    run(toys, "--publish")
    assert (toys / "README.md").read_text("utf-8") == text


def test_a_broken_run_is_not_published(toys, capsys):
    text = (toys / "README.md").read_text("utf-8")
    assert run(toys, "--publish") == 1
    assert "every row must have run" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run(toys, "--publish", "good")
    assert (toys / "README.md").read_text("utf-8") == text
    assert not (toys / "docs/measured").exists()


def test_the_page_explains_what_falls_short(toys):
    (toys / "toy_rows.py").write_text(TOYS + "\nROWS = ROWS[:2]\n", "utf-8")
    run(toys, "--publish")
    numbers, page = toys / "docs/measured/bench.json", toys / "how_fast.md"
    page.write_text("# How fast?\n\n<!-- measured -->\n", "utf-8")
    write_how_fast(numbers, page)
    text = page.read_text("utf-8")
    assert to_markdown(json.loads(numbers.read_text("utf-8"))) in text
    assert "![Ratio of each row of the table: good 3.00 (kept), short 3.00 (falls short).]" in text
    assert "- **a slow one** falls short. It waits." in text
    assert (toys / "how_fast.svg").stat().st_size > 1000


def test_the_picture_marks_median_quartiles_and_promise():
    row = {"name": "good", "title": "", "promise": {"bound": 2.0, "least": False}}
    row |= {"median": 1.5, "quartiles": [1.2, 1.8], "verdict": "kept"}
    figure, _ = draw({"rows": [row]})
    drawn = [list(line.get_xdata()) for line in figure.axes[0].get_lines()]
    assert drawn[:3] == [[1.2, 1.8], [1.5], [2.0]]
    assert figure.axes[0].get_lines()[2].get_marker() == "<"


def test_a_ratio_has_three_digits():
    told = [number(ratio) for ratio in (0.9741, 1.0296, 9.996, 14.23, 130.4)]
    assert told == ["0.974", "1.03", "10.0", "14.2", "130"]


def test_each_row_has_a_name_of_its_own():
    names = [row.name for _, row in command.rows_of(command.MODULES)]
    assert len(names) == len(set(names)) >= 10


def test_the_readme_has_the_table_of_the_numbers_that_the_book_draws():
    readme = (ROOT / "README.md").read_text("utf-8")
    told = json.loads((ROOT / "docs/measured/bench.json").read_text("utf-8"))
    assert f"{command.BEGIN}\n\n{to_markdown(told)}\n\n{command.END}" in readme
    known = {row.name for _, row in command.rows_of(command.MODULES)}
    assert {row["name"] for row in told["rows"]} <= known
