"""The recipe of forecasts on tables of one's own: what it leaves, and what it refuses."""

import csv
import json
import re
import runpy
from pathlib import Path

import tlhelpers as tl
from tlhelpers.sources.series import month_after

import numpy as np
import pytest

RECIPE = Path(__file__).parents[1] / "recipes/forecasts.py"
SEASON = np.sin(np.arange(84) * np.pi / 6)


def write(path, lengths, change=lambda months: months):
    """Write series of such lengths, one below the other, as `change` makes them."""
    random = np.random.default_rng(0)
    rows = [["date", "id", "value"]]
    for number, length in enumerate(lengths):
        values = 100 + np.arange(length) + 30 * SEASON[:length] + random.normal(0, 3, length)
        months = [month_after("2019-03", n) for n in range(length)]
        rows += change(
            [[m, f"s{number}", round(v, 2)] for m, v in zip(months, values, strict=True)]
        )
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return str(path)


def run(*argv):
    recipe = runpy.run_path(str(RECIPE))
    return tl.run_recipe(recipe["parser"], recipe["train"], recipe["predict"], list(argv))


def test_it_forecasts_learns_is_saved_and_says_the_same_again(tmp_path, capsys):
    table, out = write(tmp_path / "sales.csv", [84, 80, 50]), tmp_path / "out"
    assert run(table, "--series", "id", "--quick", "--out", str(out)) == 0
    told = json.loads((out / "report.json").read_text())
    assert told["report"]["mase"] < 0.8 * told["report"]["naive_mase"]
    assert next(iter(told["comparison"].values())) > 20 and "fine-tuning" in told["training"]
    rows = list(csv.reader((out / "forecasts.csv").open()))
    assert rows[0] == ["id", "month", "quantile 0.1", "quantile 0.5", "quantile 0.9"]
    assert len(rows) == 1 + 3 * 12 and rows[1][:2] == ["s0", "2026-03"]
    assert rows[25][:2] == ["s2", "2023-05"]  # each series goes on behind its own end
    assert all(0 < float(low) <= float(mid) <= float(high) for _, _, low, mid, high in rows[1:])
    capsys.readouterr()
    assert run("--series", "id", "--out", str(out), "--predict", table) == 0
    said = [line.split(" ") for line in capsys.readouterr().out.splitlines()]
    assert rows[1:] == [line for line in said if len(line) == 5 and line[0] in ("s0", "s1", "s2")]


def test_short_series_are_forecast_without_learning(tmp_path):
    table = write(tmp_path / "sales.csv", [48, 50])
    assert run(table, "--series", "id", "--out", str(tmp_path / "out")) == 0
    assert "training" not in json.loads((tmp_path / "out/report.json").read_text())


def flat(rows):
    return [[month, name, 7] for month, name, _ in rows]


@pytest.mark.parametrize(
    ("lengths", "change", "says"),
    [
        ([60, 47], list, r"48 months or more\. Received: .*sales\.csv with s1 \(47\)"),
        ([60], lambda rows: rows[:9] + rows[11:], "'s0' without 2019-12, 2020-01"),
        ([60], flat, "Received: s0, which repeats itself exactly"),
        ([60], lambda rows: [*rows[:5], [rows[5][0], "s0", -1], *rows[6:]], "line 7: '-1' is no"),
    ],
)
def test_bad_series_are_one_sentence_and_leave_nothing(lengths, change, says, tmp_path, capsys):
    table, out = write(tmp_path / "sales.csv", lengths, change), tmp_path / "out"
    assert run(table, "--series", "id", "--out", str(out)) == 1
    said = capsys.readouterr().err
    assert re.search(says, said) and said.count("\n") == 1, said
    assert not out.exists() and not out.with_name("out.unfinished").exists()
