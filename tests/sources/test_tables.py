"""Tables of texts: what is on which side, which rows are drawn, what is refused as labels."""

from tlhelpers.sources.tables import load_table

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

PARTS = ("train", "validation", "test")


@pytest.fixture
def reviews(tmp_path):
    return write(tmp_path, [(f"film {i}", "good" if i % 4 else "bad") for i in range(80)])


def write(folder, rows, header=("text", "label")):
    lines = [",".join(map(str, row)) for row in (header, *rows)]
    (folder / "t.csv").write_text("\n".join(lines) + "\n", "utf-8")
    return folder / "t.csv"


def sides(data):
    return {row: part for part in PARTS for row in data.rows[part].tolist()}


def test_every_text_is_in_one_part_with_its_label_and_its_line(reviews, capsys):
    data = load_table(reviews, validation=0.2, test=0.3)
    lines = reviews.read_text().splitlines()
    assert data.class_names == ("bad", "good") and sorted(sides(data)) == list(range(2, 82))
    for part, bad, good in zip(PARTS, (10, 4, 6), (30, 12, 18), strict=True):
        x, y, rows = (*(getattr(data, f"{a}_{part}") for a in "xy"), data.rows[part])
        assert x.dtype == object and y.dtype == rows.dtype == np.int64
        assert np.bincount(y).tolist() == [bad, good]  # the share of each class
        for text, label, row in zip(x, y, rows, strict=True):
            assert f"{text},{data.class_names[label]}" == lines[row - 1]
    assert capsys.readouterr().out == (
        "80 texts (bad 20, good 60): 40 train, 16 validation, 24 test\n"
    )


def test_the_seed_alone_decides(reviews):
    first, again, other = (sides(load_table(reviews, seed=seed)) for seed in (0, 0, 1))
    assert first == again != other


@given(
    kinds=st.lists(st.integers(0, 14), min_size=40, max_size=60),
    forms=st.randoms(use_true_random=False),
)
def test_nearly_equal_texts_are_never_on_two_sides(tmp_path_factory, kinds, forms):
    def changed(kind):
        text = f"Größe {kind} of a film"
        text = forms.choice([text, text.upper(), text.lower(), f" ¡{text}! ", f"«{text}»…"])
        return text.replace(" ", forms.choice([" ", "  ", " - ", "_", "\u00a0"]))

    rows = [(changed(kind), kind % 2) for kind in [*range(15), *kinds]]
    data = load_table(write(tmp_path_factory.mktemp("t"), rows))
    side = sides(data)
    for kind in range(15):
        mine = [row for row, k in enumerate([*range(15), *kinds], 2) if k == kind]
        assert len({side[row] for row in mine}) == 1
    counts = np.bincount([*range(15), *kinds])
    assert data.held_together == counts[counts > 1].sum()


def test_texts_without_letters_are_equal_only_if_they_are(tmp_path):
    rows = [(text, n % 2) for n, text in enumerate([":)", ":(", ": )", "👍", "👎", *"abcdefg"])]
    assert load_table(write(tmp_path, rows)).held_together == 2


def test_one_text_in_two_classes_is_told(tmp_path, capsys):
    rows = [(f"film {i}", "ab"[i % 2]) for i in range(20)] + [("film 4", "b"), ("Film 6", "b")]
    data = load_table(write(tmp_path, rows))
    assert data.in_two_classes == ((6, 22),) and data.held_together == 4
    assert "on its side: 4; in two classes: 1\n" in capsys.readouterr().out


def test_a_group_is_not_on_two_sides_and_a_row_without_one_stands_alone(tmp_path):
    rows = [(f"film {i}", i % 2, f"author {i // 4}" if i < 60 else " ") for i in range(90)]
    file = write(tmp_path, rows, ("text", "label", "author"))
    side = sides(load_table(file, group="author"))
    for author in range(15):
        assert len({side[row] for row in range(2 + 4 * author, 6 + 4 * author)}) == 1
    assert {side[row] for row in range(62, 92)} == set(PARTS)


def test_most_keeps_the_share_of_each_class_and_three_rows_of_it(tmp_path):
    counts = {"a": 600, "b": 300, "c": 5, "d": 3}
    rows = [(f"{name} {i}", name) for name, count in counts.items() for i in range(count)]
    file = write(tmp_path, rows)
    data, other = (load_table(file, most=100, seed=seed) for seed in (0, 1))
    found = np.bincount(np.concatenate([getattr(data, f"y_{part}") for part in PARTS]))
    assert found.sum() == 100 and found[2:].tolist() == [3, 3]
    assert abs(found[0] - 2 * found[1]) <= 2
    assert repr(data).endswith("; 808 more not taken") and data.not_taken == 808
    assert set(sides(data)) == set(sides(load_table(file, most=100))) != set(sides(other))
    assert set(sides(data)) < set(sides(load_table(file, most=200)))
    assert sides(load_table(file, most=908)) == sides(load_table(file))
    with pytest.raises(ValueError, match=r"`most` must be .* 12 or above.*Each of 4 classes"):
        load_table(file, most=11)


def test_an_empty_text_or_label_stops_or_is_named(tmp_path):
    rows = [(f"film {i}", i % 2) for i in range(20)] + [("  ", 1), ("film", ""), ("", "")]
    file = write(tmp_path, rows)
    told = r"Received: 3 without: line 22 \(no text\), line 23 \(no label\), line 24 .*skip_empty"
    with pytest.raises(ValueError, match=told):
        load_table(file)
    data = load_table(file, skip_empty=True)
    assert data.skipped == {22: "no text", 23: "no label", 24: "no label"}
    assert sorted(sides(data)) == list(range(2, 22)) and repr(data).endswith("; empty: 3")
    with pytest.raises(ValueError, match="must have rows below the first"):
        load_table(write(tmp_path, [("", 1), ("x", "")]), skip_empty=True)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([], "must have rows below the first"),
        ([("a", "x"), ("b", " x")], "label='label' with one class, 'x'"),
        ([(i, i) for i in range(99)], "99 classes in 99 rows: '0', '1', .* and 91 more.*an id"),
        ([(i, i % 60) for i in range(99)], "60 classes in 99 rows"),
        ([(i, i % 50) for i in range(60)], "1 texts of '10', 1 if what stays together"),
        ([(i, i > 1) for i in range(9)], r"2 texts of 'False'.*Add texts, or set validation=0"),
    ],
)
def test_labels_that_are_no_classes_are_refused(tmp_path, rows, told):
    with pytest.raises(ValueError, match=told):
        load_table(write(tmp_path, rows))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"validation": 0.6, "test": 0.5}, "must leave something to train on"),
        ({"test": 1.0}, "`test` must be a number"),
        ({"seed": -1}, "`seed`"),
        ({"most": 0}, "`most` must be a whole number"),
        ({"most": 2.5}, "`most` must be a whole number"),
    ],
)
def test_bad_settings_are_refused_before_the_file_is_looked_at(settings, told):
    with pytest.raises(ValueError, match=told):
        load_table("nowhere.csv", **settings)


def test_many_classes_stay_one_line(tmp_path):
    rows = [(f"text {i}", f"class {i % 20:02}") for i in range(200)]
    line = repr(load_table(write(tmp_path, rows)))
    assert "class 07 10 and 12 more): 140 train" in line and "class 08" not in line
