import csv
import logging

from tlhelpers.sources import origins
from tlhelpers.sources.datasets import load_dataset
from tlhelpers.sources.network import NotHere

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def nothing_prepared(tmp_path, monkeypatch):
    monkeypatch.setenv("TL_OFFLINE", "1")
    monkeypatch.setenv("TL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))


def prepare(data_dir, folder, key, feature, train, test=None):
    """Write a small set with TFDS itself, in two versions, the way a user's own would be."""
    import tensorflow_datasets as tfds

    logging.getLogger("absl").setLevel("ERROR")
    name, _, config = folder.partition("/")
    label = tfds.features.ClassLabel(num_classes=10)
    examples = {
        split: list(enumerate({key: x, "label": i % 2} for i, x in enumerate(samples)))
        for split, samples in {"train": train, "test": train if test is None else test}.items()
    }
    for version in ("3.0.2", "3.0.10"):
        tfds.dataset_builders.store_as_tfds_dataset(
            name=name,
            config=config or None,
            version=version,
            features=tfds.features.FeaturesDict({key: feature, "label": label}),
            split_datasets=examples,
            data_dir=data_dir,
        )


@pytest.fixture
def prepared(tmp_path):
    """A prepared CIFAR-10 of forty pictures, whose labels tell odd from even."""
    from tensorflow_datasets.core.features import Image

    images = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3)).astype("uint8")
    prepare(tmp_path / "tfds", "cifar10", "image", Image(shape=(32, 32, 3)), images)
    return images


def test_prepared_images_are_read_from_the_newest_version(prepared, monkeypatch, capfd):
    read, folders = origins._read_tfds, []
    monkeypatch.setattr(
        origins, "_read_tfds", lambda name, at, why: folders.append(at.name) or read(name, at, why)
    )
    capfd.readouterr()
    data = load_dataset("cifar10")
    assert capfd.readouterr() == ("cifar10: prepared, TFDS_DATA_DIR\n", "")
    assert folders == ["3.0.10"] and not data.is_stand_in
    assert data.class_names[0] == "airplane"
    assert {x.tobytes() for x in data.x_train} == {x.tobytes() for x in prepared}
    order = [next(i for i, x in enumerate(prepared) if (x == a).all()) for a in data.x_train]
    np.testing.assert_array_equal(np.array(order) % 2, data.y_train)


def test_prepared_texts(tmp_path):
    from tensorflow_datasets.core.features import Text

    splits = {
        "train": ["dull", "schön \u2013 fine", "slow", "great", "dull", "good"],
        "test": ["bad", "good", "bad", "fine"],
    }
    prepare(tmp_path / "tfds", "imdb_reviews/plain_text", "text", Text(), **splits)
    data = load_dataset("imdb")
    assert data.x_train.dtype == object
    assert sorted(data.x_train) == ["dull", "great", "schön \u2013 fine", "slow"]
    assert sorted(data.x_test) == ["bad", "fine", "good"]  # each text once, and on one side
    good = {"schön \u2013 fine", "great", "good", "fine"}
    for x, y in ((data.x_train, data.y_train), (data.x_test, data.y_test)):
        assert [text in good for text in x] == list(y)
    assert data.class_names == ("negative", "positive")


def test_damaged_folder_names_folder_and_cure(prepared, tmp_path):
    (file,) = (tmp_path / "tfds/cifar10/3.0.10").glob("*train*")
    file.write_bytes(file.read_bytes()[:-2000])
    with pytest.raises(
        ValueError, match=r"is whole. Received: name='cifar10', .*3\.0\.10.*Remove the folder"
    ):
        load_dataset("cifar10")


def test_without_the_variable_the_default_folder_is_named(monkeypatch, tmp_path):
    monkeypatch.delenv("TFDS_DATA_DIR")
    assert origins.tfds_folder().name == "tensorflow_datasets"


@pytest.mark.parametrize("works", [True, False])
def test_official_source_is_used_where_it_answers(prepared, tmp_path, monkeypatch, works):
    import tensorflow_datasets as tfds

    ready = tmp_path / "tfds/cifar10/3.0.10"
    asked = []

    class Builder:
        data_path = ready

        def download_and_prepare(self):
            if not works:
                raise OSError("checksum")

    def builder(name, data_dir):
        asked.append(name)
        return Builder()

    def not_here(name):
        raise NotHere("not prepared")

    monkeypatch.setattr(origins, "is_reachable", lambda url: url.startswith("https://www.cs.tor"))
    monkeypatch.setattr(origins, "_read_prepared", not_here)
    monkeypatch.setattr(tfds, "builder", builder)
    data = load_dataset("cifar10", 20, 20)
    assert asked == ["cifar10"]
    assert data.is_stand_in is not works
    assert data.origin == "official, TFDS" if works else "(OSError)" in data.origin


@pytest.fixture
def reviews(tmp_path, monkeypatch):
    """A small CSV in the mirror's form, in which some texts occur twice."""
    path = tmp_path / "reviews.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", "source"])
        for source, n in (("imdb", 60), ("rotten_tomatoes", 100)):
            for i in range(n):
                writer.writerow([f"{source} number {i},\nit was so-so", i % 2, source])
            for i in range(0, n, 7):
                writer.writerow([f"{source} number {i},\nit was so-so", i % 2, source])
    monkeypatch.setattr(origins, "fetch", lambda asset: path)
    return path


@pytest.mark.parametrize(("name", "n"), [("rotten_tomatoes", 100), ("imdb", 60)])
def test_reviews_are_split_without_a_text_on_both_sides(reviews, name, n):
    data = load_dataset(name)
    assert len(data.x_train) == n * 0.8 and len(data.x_test) == n * 0.2
    texts = [*data.x_train, *data.x_test]
    assert len(set(texts)) == n and all(text.startswith(name) for text in texts)
    for x, y in ((data.x_train, data.y_train), (data.x_test, data.y_test)):
        assert [int(text.split()[2][:-1]) % 2 for text in x] == list(y)
        assert y.mean() == 0.5
    assert data.origin.startswith("mirror") and not data.is_stand_in and "texts" in repr(data)


def test_test_pool_of_the_reviews_never_changes(reviews):
    first, other = (load_dataset("imdb", seed=seed) for seed in (0, 1))
    assert set(first.x_test) == set(other.x_test)
    assert list(first.x_test) != list(other.x_test)


def test_reviews_without_an_index_say_so(monkeypatch):
    def no_index(asset):
        raise ValueError("no package index here")

    monkeypatch.setattr(origins, "fetch", no_index)
    with pytest.raises(ValueError, match=r"Received: name='imdb'.*official.*no package index here"):
        load_dataset("imdb")


@pytest.mark.network
def test_real_reviews():
    data = load_dataset("rotten_tomatoes")
    assert len(data.x_train) + len(data.x_test) == 8530
    assert abs(data.y_train.mean() - 0.5) < 0.001
