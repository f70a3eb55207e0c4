import tlhelpers as tl
from tlhelpers.sources import entities
from tlhelpers.sources.assets import catalog
from tlhelpers.sources.conll import Tagged, write_conll
from tlhelpers.sources.network import NotHere

import pytest


def sentences(count, kind="PER", begin=0):
    numbers = range(begin, begin + count)
    return Tagged([[f"Ada{n}", "smiled"] for n in numbers], [[f"B-{kind}", "O"]] * count)


@pytest.fixture
def folder(tmp_path):
    for n, part in enumerate(("train", "dev", "test")):
        write_conll(tmp_path / f"{part}.conll", sentences(20, begin=100 * n))
    return tmp_path


def test_parts_of_a_folder_are_drawn_nested_and_by_seed(folder):
    data = tl.load_entities(folder, train=10, validation=5)
    assert [len(part.words) for part in (data.train, data.validation, data.test)] == [10, 5, 20]
    assert data.tags == ("O", "B-PER", "I-PER")
    more = tl.load_entities(folder, train=15)
    assert more.train.words[:10] == data.train.words
    assert tl.load_entities(folder, train=10, seed=1).train.words != data.train.words


def test_one_file_is_split_and_equal_sentences_stay_together(tmp_path):
    some = sentences(40)
    write_conll(tmp_path / "all.txt", Tagged(some.words * 3, some.tags * 3))
    data = tl.load_entities(tmp_path / "all.txt")
    parts = [{tuple(w) for w in part.words} for part in (data.train, data.validation, data.test)]
    assert list(map(len, parts)) == [28, 6, 6] and len(set.union(*parts)) == 40


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: (f / "dev.conll").unlink(), "for validation"),
        (lambda f: write_conll(f / "testb.txt", sentences(2)), "several, for test"),
        (lambda f: write_conll(f / "test.conll", sentences(2, "ART")), "'ART' in test alone"),
        (lambda f: write_conll(f / "train.conll", Tagged([["a"]], [["O"]])), "a name at least"),
    ],
)
def test_a_folder_that_does_not_fit(folder, change, says):
    change(folder)
    with pytest.raises(ValueError, match=says):
        tl.load_entities(folder)


def test_numbers_and_names_that_do_not_fit(folder, tmp_path):
    with pytest.raises(ValueError, match="`train` must be a whole number between 1 and 20"):
        tl.load_entities(folder, train=21)
    with pytest.raises(ValueError, match="which does not exist"):
        tl.load_entities(tmp_path / "no")
    write_conll(tmp_path / "few.txt", sentences(3))
    with pytest.raises(ValueError, match="seven different sentences"):
        tl.load_entities(tmp_path / "few.txt")


def test_sources_of_conll2003_come_in_order(monkeypatch, capsys):
    def not_here(why):
        def source():
            raise NotHere(why)

        return source

    parts = {"train": sentences(3), "validation": sentences(2), "test": sentences(2)}
    monkeypatch.setattr(entities, "find_asset", lambda asset: None)
    monkeypatch.setattr(entities, "_prepared", not_here("not prepared"))
    monkeypatch.setattr(entities, "_official", not_here("no answer"))
    monkeypatch.setattr(entities, "_mirror", lambda: (parts, "mirror"))
    assert tl.load_entities("conll2003", train=2).origin == "mirror"
    assert "NOT free" in capsys.readouterr().out and "NIST" in catalog()["conll2003"]["licence"]
    monkeypatch.setattr(entities, "_mirror", not_here("no index"))
    with pytest.raises(ValueError, match="not prepared; no answer; no index"):
        tl.load_entities("conll2003")


def test_a_folder_prepared_by_tfds_is_read(tmp_path, monkeypatch):
    tfds = pytest.importorskip("tensorflow_datasets")
    names = ["O", "B-PER", "I-PER"]
    rows = [{"tokens": ["Ada", "smiled"], "ner": [1, 0]}, {"tokens": [], "ner": []}]
    tfds.dataset_builders.store_as_tfds_dataset(
        name="conll2003", version="1.0.0", data_dir=tmp_path,
        features=tfds.features.FeaturesDict({
            "tokens": tfds.features.Sequence(tfds.features.Text()),
            "ner": tfds.features.Sequence(tfds.features.ClassLabel(names=names)),
        }),
        split_datasets={split: list(enumerate(rows)) for split in ("train", "dev", "test")},
        disable_shuffling=True,
    )  # fmt: skip
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    data = tl.load_entities("conll2003")
    assert data.train == Tagged([["Ada", "smiled"]], [["B-PER", "O"]])
    assert data.origin == "prepared, TFDS" and data.tags == tuple(names)
