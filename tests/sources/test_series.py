"""The series of the competitions: how their file is read, and what a series can do."""

import json
from dataclasses import replace

import tlhelpers as tl
from tlhelpers.sources.series import month_after, read_series

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st


def entry(period, **more):
    return {"x": [1, 2.5, 3], "xx": [4], "period": [period], **more}


def test_monthly_series_are_read_with_their_test_and_others_left(tmp_path):
    path = tmp_path / "some.json"
    content = {"M1": entry("MONTHLY"), "Y1": entry("YEARLY"), "X": entry("MONTHLY", xreg={})}
    path.write_text(json.dumps(content))
    (one,) = read_series(path)
    assert one.name == "M1" and one.history.tolist() == [1, 2.5, 3] and one.future.tolist() == [4]
    assert one.history.dtype == one.future.dtype == np.float64


@pytest.mark.parametrize("text", ["{", "[1]", '{"M1": {"x": [1]}}', '{"M1": 3}'])
def test_a_damaged_file_is_named(tmp_path, text):
    (tmp_path / "some.json").write_text(text)
    with pytest.raises(ValueError, match=r"some\.json must hold series"):
        read_series(tmp_path / "some.json")


@given(st.integers(1000, 3000), st.integers(1, 12), st.integers(-400, 400))
def test_months_are_counted_over_the_years(year, month, count):
    later = month_after(f"{year:04d}-{month:02d}", count)
    gone = 12 * (int(later[:4]) - year) + int(later[5:]) - month
    assert gone == count and month_after(later, -count) == f"{year:04d}-{month:02d}"


def test_a_series_can_be_cut_on_both_sides():
    one = tl.Series("tea", np.arange(1.0, 31), np.zeros(0), "2024-11")
    held = one.hold_out(6)
    assert held.future.tolist() == list(range(25, 31)) and len(held) == 24
    assert one.last(5).start == "2026-12" and one.last(5).history.tolist() == [26, 27, 28, 29, 30]
    assert one.last(99).history.tolist() == one.history.tolist()
    assert held.months_ahead(2) == ["2026-11", "2026-12"] and one.months_ahead(1) == ["2027-05"]
    assert repr(held) == "Series(tea, 24 months from 2024-11, 6 ahead)"
    for bad, says in [(0, "1 or above"), (30, "leave a month.* tea has 30 months")]:
        with pytest.raises(ValueError, match=f"`months` must .*{says}"):
            one.hold_out(bad)
    with pytest.raises(ValueError, match=r"tea has 1 months\. .* take the series out"):
        one.last(1).hold_out(1)
    with pytest.raises(ValueError, match="`start` must be the first month"):
        replace(one, start="").months_ahead()


@pytest.mark.parametrize("start", ["Jan 2015", "2015", "2015-1", "2015-13", "2015-01-31", None])
def test_a_start_that_is_no_month_is_refused(start):
    with pytest.raises(ValueError, match="`start` must be a month, written as 2015-01"):
        tl.Series("tea", np.arange(3.0), np.zeros(0), start)


def test_another_name_is_refused():
    with pytest.raises(ValueError, match="'tourism'"):
        tl.load_series("turism")


def test_the_competitions_have_their_sizes():
    sizes = {"tourism": (366, 24), "m1": (617, 18), "m3": (1428, 18), "air-passengers": (1, 12)}
    for name, (count, ahead) in sizes.items():
        series = tl.load_series(name)
        assert len(series) == count and {len(one.future) for one in series} == {ahead}
    assert series[0].months_ahead(1) == ["1960-01"] and series[0].history[0] == 112
