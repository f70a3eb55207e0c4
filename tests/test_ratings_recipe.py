"""The recipe of ratings on tables of one's own: few people, a scale, times."""

import runpy
from pathlib import Path

import tlhelpers as tl

import pytest

RECIPE = Path(__file__).parents[1] / "recipes/ratings.py"


def write(path, users, rate):
    """Write a rating of each of eight items by each user, as `rate(user, item)` says."""
    rows = [f"{path.stem}{u},item {i},{rate(u, i)},{i}" for u in range(users) for i in range(8)]
    path.write_text("\n".join(["user,item,rating,when", *rows]))
    return str(path)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run it on five others and three of one's own; what is learnt is what was drawn."""

    def fit(data, rows=None, dimensions=2, **how):
        return tl.build_recommender(len(data.user_names), len(data.item_names), dimensions, 3.0)

    monkeypatch.setattr(tl, "fit_recommender", fit)
    recipe = runpy.run_path(str(RECIPE))
    source = write(tmp_path / "many.csv", 5, lambda user, item: 2 + (user + item) % 4)
    table = write(tmp_path / "mine.csv", 3, lambda user, item: 1 + (user + item) % 5)

    def run(*argv):
        argv = [table, "--source", source, "--out", str(tmp_path / "out"), "--held", "2", *argv]
        return tl.run_recipe(recipe["parser"], recipe["train"], recipe["predict"], argv)

    return run


def test_a_rating_that_the_source_does_not_have_asks_for_a_scale(run, capsys):
    assert run() == 1
    said = capsys.readouterr().err
    assert "from 2 to 5. Received: 1 to 5" in said and "another `scale`" in said


def test_with_a_scale_five_others_are_enough_and_times_part_both_tables(run, tmp_path, monkeypatch):
    drawn, given = tl.draw_known, []

    def draw(users, known, held, seed=0, times=None):
        given.append(times)
        return drawn(users, known, held, seed=seed, times=times)

    monkeypatch.setattr(tl, "draw_known", draw)
    assert run("--scale", "1", "5", "--seed", "7", "--time", "when") == 0
    assert [times.tolist() for times in given] == [3 * [*range(8)], [*range(8)]]
    rows = (tmp_path / "out/recommendations.csv").read_text().splitlines()
    assert rows == ["user,item,predicted"]  # all is rated
