"""Series from tables: three forms, and what is wrong by its line or by its month."""

import tlhelpers as tl

import pytest

LONG = "date,id,value\n2024-12-31,a,3\n2025-02-28,a,5\n2025-01-31,a,4\n2025-01-01,b,1.5e3\n"


@pytest.fixture
def write(tmp_path):
    def write(text, name="sold.csv"):
        (tmp_path / name).write_text(text, encoding="utf8")
        return tmp_path / name

    return write


def test_a_long_table_in_any_order(write):
    a, b = tl.load_series_file(write(LONG), series="id")
    assert (a.name, a.start, a.history.tolist()) == ("a", "2024-12", [3, 4, 5])
    assert (b.name, b.start, b.history.tolist()) == ("b", "2025-01", [1500])
    assert not len(a.future)


def test_a_wide_table_and_one_series_alone(write):
    path = write("month;north;south\n2025/1;1;4\n2025/02;2;5\n")
    north, south = tl.load_series_file(path, date="month", value=["north", "south"])
    assert (north.name, south.name, south.history.tolist()) == ("north", "south", [4, 5])
    (one,) = tl.load_series_file(path, date="month", value="north")
    assert (one.name, one.start, one.history.tolist()) == ("sold", "2025-01", [1, 2])


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("2025-01,a,1\n2025-04,a,1\n", "'a' without 2025-02, 2025-03"),
        ("2025-01,a,1\n2025-01-31,a,1\n", "2025-01 twice in the series 'a'"),
        ("2025-01,a,1\n2025-02,a,\n", r"line 3 \(no value\)"),
        (",a,1\n", r"line 2 \(no date\)"),
        ("2025-01,,1\n", "line 2: no id"),
        ("2025-01,a,0\n", "line 2: '0' is no number above 0"),
        ("2025-01,a,-3\n", "'-3' is no number above 0"),
        ('2025-01,a,"1,5"\n', "'1,5' is no number"),
        ("2025-01,a,nan\n", "'nan' is no number"),
        ("2025-01,a,inf\n", "'inf' is no number"),
        ("2025-13,a,1\n", "'2025-13' is no month such as 2025-03"),
        ("01/02/2025,a,1\n", "is no month"),
        ("", "rows below the first"),
    ],
)
def test_what_is_wrong_is_named_with_the_file(write, rows, says):
    with pytest.raises(ValueError, match=says) as raised:
        tl.load_series_file(write("date,id,value\n" + rows), series="id")
    assert "sold.csv" in str(raised.value)


def test_columns_and_files_that_are_none(write):
    with pytest.raises(ValueError, match="`series` must be a column"):
        tl.load_series_file(write(LONG), series="shop")
    with pytest.raises(ValueError, match="`value` must be one column where `series`"):
        tl.load_series_file(write(LONG), value=["a", "b"], series="id")
    with pytest.raises(ValueError, match="does not exist"):
        tl.load_series_file("none.csv")
