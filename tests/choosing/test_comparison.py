"""The table of a comparison, against scipy's own paired interval."""

import json
from itertools import pairwise

from tlhelpers.choosing.comparison import compare

import numpy as np
import pytest
from scipy import stats

RNG = np.random.default_rng(0)
SCORES = {
    (arm, case): RNG.normal(mean, 0.02, 5)
    for arm, means in {"a": (0.5, 0.6), "b": (0.55, 0.605), "c": (0.7, 0.5)}.items()
    for case, mean in zip((10, 100), means, strict=True)
}


def arm(name):
    return lambda seed, case: SCORES[name, case][seed]


@pytest.fixture
def table():
    arms = {name: arm(name) for name in "abc"}
    return compare(arms, seeds=5, cases=(10, 100), what="test accuracy", verbose=False)


def test_a_case_may_be_none():
    """None is a case as any other where it is given, such as "all images"."""
    arms = {"a": lambda seed, case: 1.0 if case else 0.0, "b": lambda seed, case: 0.5}
    table = compare(arms, seeds=np.int64(2), cases=(10, None), verbose=False)
    assert (table.mean("a", 10), table.mean("a", None)) == (1.0, 0.0)
    assert table.best(10) == "a" and table.best(None) == "b"


def test_an_arm_without_a_return_is_named():
    with pytest.raises(ValueError, match="None from 'b'"):
        compare({"a": lambda seed: 1.0, "b": lambda seed: None}, verbose=False)


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_the_interval_is_scipys(confidence):
    arms = {name: arm(name) for name in "abc"}
    table = compare(arms, seeds=5, cases=(10, 100), confidence=confidence, verbose=False)
    for case in (10, 100):
        for one, other in [("a", "b"), ("b", "a"), ("c", "a")]:
            found = table.difference(one, other, case)
            test = stats.ttest_rel(SCORES[one, case], SCORES[other, case])
            wanted = test.confidence_interval(confidence)
            np.testing.assert_allclose(found[1:], wanted, rtol=1e-10)
            assert found.mean == pytest.approx(np.mean(SCORES[one, case] - SCORES[other, case]))
            clear = test.pvalue < 1 - confidence and test.statistic > 0
            assert table.clearly_above(one, other, case) == clear


def test_mean_spread_and_the_best(table):
    np.testing.assert_array_equal(table.values("b", 100), SCORES["b", 100])
    assert table.mean("a", 10) == pytest.approx(np.mean(SCORES["a", 10]))
    assert table.spread("a", 10) == pytest.approx(np.sqrt(np.var(SCORES["a", 10]) * 5 / 4))
    assert table.best(10) == "c" and table.not_below_best(10) == ("c",)
    assert table.not_below_best(100) == ("a", "b")
    assert table.mean("a") == table.mean("a", 10)


def test_it_cannot_be_changed(table):
    table.values("a", 10)[:] = 0
    assert table.mean("a", 10) > 0.4
    with pytest.raises(ValueError, match="read-only"):
        table.measures["test accuracy"][0] = 0
    with pytest.raises(AttributeError):
        table.seeds = (1,)


def test_the_table_marks_what_is_not_clearly_below(table):
    lines = str(table).splitlines()
    assert lines[0].split() == ["10", "100"] and len(lines) == 5
    assert [line.count("*") for line in lines[1:4]] == [1, 1, 1]
    assert lines[3].split()[0] == "c" and lines[3].split()[4] == "*"
    assert "mean ± standard deviation (n - 1) over 5 seeds" in lines[4]
    bold = table._repr_markdown_().splitlines()
    assert bold[1] == "| --- | --- | --- |" and bold[4].startswith("| c | **0.7")
    assert "**" not in bold[4].split("|")[3]


def test_json_holds_everything(table):
    about = json.loads(table.to_json())
    assert about["arms"] == ["a", "b", "c"] and about["cases"] == [10, 100]
    np.testing.assert_array_equal(about["measures"]["test accuracy"][1][1], SCORES["b", 100])


def test_the_plot_shows_every_arm_with_its_interval(table):
    figure = table.plot(reference="b")
    left, right = figure.axes
    assert [text.get_text() for text in left.get_yticklabels()] == ["a", "b", "c"]
    assert "above b, 95 % interval" in right.get_xlabel()
    alt = figure._repr_mimebundle_()[1]["image/png"]["alt"]
    assert alt.startswith("test accuracy, and differences from b with intervals. 10: a 0.")
    assert f"c {table.mean('c', 100):.3f}, {table.difference('c', 'b', 100)}" in alt
    low, high = table.difference("c", "b", 10)[1:]
    bars = [line.get_segments()[0][:, 0] for line in right.collections]
    assert any(np.allclose(bar, (low, high)) for bar in bars)
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in left.get_yticklabels()]
    assert not any(a.overlaps(b) for a, b in pairwise(boxes))


def test_runs_arms_in_order_with_all_seeds_and_says_when_one_is_done(capsys):
    seen = []

    def run(name):
        return lambda seed: seen.append((name, seed)) or {"accuracy": 0.5 + seed, "seconds": 2.0}

    table = compare({"x": run("x"), "y": run("y")}, seeds=(4, 2))
    assert seen == [("x", 4), ("x", 2), ("y", 4), ("y", 2)]
    assert capsys.readouterr().out == "x: 2 runs in 0 s\ny: 2 runs in 0 s\n"
    assert table.mean("x") == 3.5 and table.mean("x", what="seconds") == 2.0
    assert "accuracy" in str(table).splitlines()[0]


def test_one_seed_tells_nothing_from_luck():
    table = compare({"a": lambda seed: 0.9, "b": lambda seed: 0.1}, seeds=1, verbose=False)
    assert not table.clearly_above("a", "b") and table.not_below_best() == ("a", "b")
    assert np.isnan(table.spread("a")) and "±" not in str(table)
    assert "one seed" in str(table)
    table.plot()


def test_equal_scores_are_no_difference():
    table = compare({"a": lambda s: 0.5, "b": lambda s: 0.5}, verbose=False)
    assert table.difference("a", "b") == (0, 0, 0) and not table.clearly_above("a", "b")


def good(seed):
    return 0.5


@pytest.mark.parametrize(
    ("arms", "settings", "message"),
    [
        ({"a": good}, {}, "`arms` must be a dict of at least two functions"),
        ({"a": good, "b": 0.5}, {}, "`arms` must be"),
        ([good, good], {}, "`arms` must be"),
        ({"a": good, "b": good}, {"seeds": (1, 1)}, "`seeds` must be at least one, none"),
        ({"a": good, "b": good}, {"seeds": 0}, "`seeds` must be at least one"),
        ({"a": good, "b": good}, {"cases": ()}, "`cases` must be at least one"),
        ({"a": good, "b": good}, {"confidence": 95}, "`confidence` must be"),
        ({"a": good, "b": lambda seed: np.nan}, {}, "finite number.* from 'b', .*seed 0"),
        ({"a": good, "b": lambda seed: "high"}, {}, "must return a finite number"),
        ({"a": good, "b": lambda seed: {"f1": 1}}, {}, "with the same names"),
    ],
)
def test_refuses(arms, settings, message):
    with pytest.raises(ValueError, match=message):
        compare(arms, **settings, verbose=False)


def test_unknown_names_are_refused(table):
    with pytest.raises(ValueError, match="`case` must be one of the comparison's"):
        table.mean("a", 1000)
    with pytest.raises(ValueError, match="`arm` must be one of 'a', 'b', 'c'"):
        table.mean("d", 10)
    with pytest.raises(ValueError, match="`reference` must be"):
        table.plot(reference="d")
