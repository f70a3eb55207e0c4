"""The examples lie as a reader's own data should, and the readers of the package take them."""

import tlhelpers as tl
from tlhelpers.sources import examples
from tlhelpers.sources.datasets import Dataset

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def reviews(monkeypatch):
    """Take made-up reviews: the true ones need a network."""
    y = np.arange(40) % 2
    x = np.array([f'film {n}, "{("bad", "good")[n % 2]}"\nand more' for n in range(40)], object)

    def load(name, train, test, seed):
        assert name == "rotten_tomatoes"
        return Dataset(x[:train], y[:train], x[:test], y[:test], ("no", "yes"), name, "here", False)

    monkeypatch.setattr(examples, "load_dataset", load)
    return x


def test_pictures_lie_in_a_folder_for_each_class(tmp_path):
    folder = tl.make_example("pictures", tmp_path / "pictures", size=60)
    data = tl.load_folder(folder, size=(32, 32), validation=0, test=0)
    known = tl.load_dataset("cifar10", train=60, test=10)
    assert len(data.class_names) == 10 and len(data.x_train) == 60
    ours = {image.tobytes() for image in data.x_train}
    assert ours == {image.tobytes() for image in known.x_train}


def test_domains_hold_other_digits(tmp_path):
    folder = tl.make_example("domains", tmp_path / "digits", size=60)
    source = tl.load_folder(folder / "source", size=(28, 28), validation=0, test=0)
    target, _ = tl.load_pictures(folder / "target", size=(28, 28))
    test = tl.load_folder(folder / "test", size=(28, 28), validation=0, test=0)
    assert source.x_train.shape == target.shape == (60, 28, 28, 3)
    assert source.class_names == test.class_names == tuple("0123456789")
    assert (source.x_train[..., 0] == source.x_train[..., 1]).all()  # on black
    assert (target[..., 0] != target[..., 1]).any()  # on a photograph


def test_texts_come_back_as_they_were(tmp_path, reviews):
    table = tl.make_example("texts", tmp_path / "texts", size=40)
    data = tl.load_table(table, validation=0, test=0)
    assert data.class_names == ("no", "yes") and set(data.x_train) == set(reviews)


def test_an_example_is_written_once_and_a_halted_one_again(tmp_path, reviews):
    folder = tmp_path / "texts"
    table = tl.make_example("texts", folder, size=40)
    table.write_text("mine")
    assert tl.make_example("texts", folder, size=40).read_text() == "mine"
    (folder / ".complete").unlink()
    assert tl.make_example("texts", folder, size=40).read_text() != "mine"


def test_another_kind_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match="`kind` must be one of 'pictures', 'domains', 'texts'"):
        tl.make_example("videos", tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_pictures_without_classes(tmp_path):
    folder = tl.make_example("pictures", tmp_path / "pictures", size=20)
    (folder / "notes.txt").write_text("no picture by its name")
    images, files = tl.load_pictures(folder, size=(24, 16))
    assert images.shape == (20, 24, 16, 3) and images.dtype == np.uint8
    assert files == sorted(files) and len(files) == 20
    np.testing.assert_array_equal(images[7], tl.load_picture(files[7], (24, 16)))
    for wrong, says in ((tmp_path / "no", "which is no folder"), (files[0], "which is no folder")):
        with pytest.raises(ValueError, match=f"`folder` must hold pictures .*{says}"):
            tl.load_pictures(wrong)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="without any"):
        tl.load_pictures(tmp_path / "empty")


def test_it_is_said_where_there_are_fewer_than_asked_for(tmp_path, monkeypatch, capsys):
    series = [tl.Series(f"t{n}", np.ones(84), np.ones(24)) for n in range(5)]
    monkeypatch.setattr(examples, "part_tourism", lambda: (None, series))
    tl.make_example("series", tmp_path / "few", size=5)
    assert "no more" not in capsys.readouterr().out
    tl.make_example("series", tmp_path / "many", size=2_000)
    assert "5 series: there are no more, and 2,000 were asked for" in capsys.readouterr().out


def test_masks_say_where_the_ink_is_and_some_pictures_have_none(tmp_path):
    folder = tl.make_example("masks", tmp_path / "digits", size=30)
    files = sorted((folder / "pictures").iterdir())
    assert [f.name for f in files] == [f.name for f in sorted((folder / "masks").iterdir())]
    masks = np.stack([np.asarray(Image.open(folder / "masks" / f.name)) for f in files])
    assert masks.shape == (30, 64, 64) and np.array_equal(np.unique(masks), [0, 1, 2])
    empty = (masks == 0).all(axis=(1, 2))
    assert 0 < empty.sum() < 15
    again = tl.make_example("masks", tmp_path / "again", size=30)
    assert all(f.read_bytes() == (again / "pictures" / f.name).read_bytes() for f in files)


def test_groups_are_cameras_with_colours_of_their_own(tmp_path):
    folder = tl.make_example("groups", tmp_path / "cameras", size=100)
    files = sorted(folder.glob("*/*.png"))
    camera, classes = [f.name[:8] for f in files], [f.parent.name for f in files]
    assert len(set(camera)) > 15 and sorted(map(classes.count, set(classes))) == [30, 70]
    colours = np.array([tl.load_picture(f, (32, 32)).min(axis=(0, 1)) for f in files], float)
    within = [colours[np.array(camera) == one].std(axis=0) for one in set(camera)]
    assert np.mean(within) < 0.5 * colours.std(axis=0).mean()
    data = tl.load_folder(folder, (32, 32), group=tl.group_by(r"camera\d+"))
    parts = {part: [file.name[:8] for file in names] for part, names in data.files.items()}
    assert tl.check_groups(**parts) is None
