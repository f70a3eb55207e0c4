"""Folders of pictures as people have them: what is on which side, and what is refused."""

from tlhelpers.sources import class_parts, folders
from tlhelpers.sources.folders import load_folder, nearly_equal

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from toys import write_pictures

PARTS = ("train", "validation", "test")


@pytest.fixture
def pets(tmp_path):
    return write_pictures(tmp_path / "pets", {"dog": 20, "cat": 20})


def sides(data):
    return {path: part for part in PARTS for path in data.files[part]}


def test_every_picture_is_in_one_part_with_its_label_and_its_file(pets, capsys):
    data = load_folder(pets, (24, 24), validation=0.2, test=0.3)
    assert data.class_names == ("cat", "dog") and len(sides(data)) == 40
    assert [len(getattr(data, f"x_{part}")) for part in PARTS] == [20, 8, 12]
    for part in PARTS:
        x, y, files = (*(getattr(data, f"{a}_{part}") for a in "xy"), data.files[part])
        assert x.dtype == np.uint8 and x.shape[1:] == (24, 24, 3)
        assert [data.class_names[label] for label in y] == [path.parent.name for path in files]
        assert len(set(np.bincount(y))) == 1  # the share of each class
        for image, path in zip(x, files, strict=True):
            np.testing.assert_array_equal(image, np.asarray(Image.open(path)))
    assert capsys.readouterr().out.startswith("40 pictures (cat 20, dog 20): 20 train, 8 valid")


def test_the_seed_alone_decides(pets):
    first, again, other = (load_folder(pets, (24, 24), seed=seed) for seed in (0, 0, 1))
    assert first.files == again.files != other.files


def test_copies_stay_on_one_side_whatever_was_done_to_them(pets):
    rng = np.random.default_rng(1)
    for number in range(6):
        image = Image.open(pets / "cat" / f"{number}.png")
        changed = {
            "smaller.png": image.resize((17, 17)), "jpeg.jpg": image,
            "brighter.png": ImageEnhance.Brightness(image).enhance(1.01),
            "noisy.png": Image.fromarray(np.clip(
                np.asarray(image) + rng.normal(0, 2, (24, 24, 3)), 0, 255).astype("uint8")),
        }  # fmt: skip
        for end, copy in changed.items():
            copy.save(pets / "cat" / f"{number}_{end}")
    data = load_folder(pets, (24, 24), validation=0.3, test=0.3)
    side = sides(data)
    for number in range(6):
        paths = [p for p in side if p.stem.split("_")[0] == str(number) and p.parent.name == "cat"]
        assert len(paths) == 5 and len({side[path] for path in paths}) == 1
    assert data.held_together == 30 and "nearly equal to another, and on its side: 30" in repr(data)


def test_other_pictures_of_one_kind_are_not_held_together():
    wave = np.sin(np.linspace(0, 9, 48))
    cells = np.array([128 + 60 * np.outer(np.roll(wave, k), wave) for k in range(12)])
    assert len(nearly_equal(np.repeat(cells.round().astype("uint8")[..., None], 3, -1))) == 0


def test_flat_pictures_are_equal_only_if_they_are():
    flat = np.stack([np.full((8, 8, 3), level, "uint8") for level in (0, 0, 1, 255)])
    assert nearly_equal(flat).tolist() == [[0, 1]]


def test_a_group_is_not_on_two_sides(pets):
    data = load_folder(pets, (24, 24), group=lambda path: int(path.stem) // 4)
    side = sides(data)
    for key in range(5):
        assert len({side[path] for path in side if int(path.stem) // 4 == key}) == 1
    assert {len(data.files[part]) for part in PARTS} != {0}


def test_a_group_of_none_stands_alone(pets):
    alone = load_folder(pets, (24, 24), group=lambda path: None)
    assert alone.files == load_folder(pets, (24, 24)).files


def test_one_picture_in_two_classes_is_told(pets, capsys):
    (pets / "dog" / "twin.png").write_bytes((pets / "cat" / "3.png").read_bytes())
    data = load_folder(pets, (24, 24))
    assert [p.name for p in data.in_two_classes[0]] in (
        ["3.png", "twin.png"],
        ["twin.png", "3.png"],
    )
    assert "in two classes: 1" in capsys.readouterr().out


def test_hidden_files_and_other_files_are_left_out(pets):
    (pets / "cat" / ".DS_Store").write_bytes(b"x")
    (pets / "cat" / "notes.txt").write_text("x")
    (pets / "__MACOSX" / "cat").mkdir(parents=True)
    (pets / "__MACOSX" / "cat" / "._0.png").write_bytes(b"x")
    (pets / "cat" / "._1.png").write_bytes(b"x")
    (pets / "cat" / "more" / "deep").mkdir(parents=True)
    Image.open(pets / "cat" / "0.png").rotate(90).save(pets / "cat" / "more" / "deep" / "x.PNG")
    assert len(sides(load_folder(pets, (24, 24)))) == 41


def test_a_broken_file_stops_or_is_named(pets):
    (pets / "cat" / "0.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"whole picture.*0\.png.*Or pass skip_unreadable=True"):
        load_folder(pets, (24, 24))
    data = load_folder(pets, (24, 24), skip_unreadable=True)
    assert [path.name for path in data.skipped] == ["0.png"] and len(sides(data)) == 39
    assert repr(data).endswith("not readable: 1")


def test_a_class_of_broken_files_alone_is_refused(pets):
    for path in (pets / "cat").iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(ValueError, match="None of 'cat' could be read"):
        load_folder(pets, (24, 24), skip_unreadable=True)


def test_what_is_no_folder_of_classes_is_refused(tmp_path):
    def told(folder, words):
        with pytest.raises(ValueError, match=words):
            load_folder(folder)

    told(tmp_path / "nowhere", "which does not exist")
    (tmp_path / "file").write_text("x")
    told(tmp_path / "file", "a file")
    told(tmp_path, r"with no pictures \(.*\.jpg.*\)\. Put")
    flat = write_pictures(tmp_path / "flat", {"": 3})
    told(flat, r"3 pictures without such folders.*flat/cat/1\.jpg")
    one = write_pictures(tmp_path / "one", {"cat": 3})
    told(one, "one class, 'cat'")
    (one / "dog").mkdir()
    told(one, r"no picture \(.*\.png.*\) in 'dog'")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"validation": 0.6, "test": 0.5}, "must leave something to train on"),
        ({"validation": -0.1}, "`validation` must be a number"),
        ({"test": 1.0}, "`test` must be a number"),
        ({"fit": "cut"}, "`fit` must be one of"),
        ({"size": 24}, "`size` must be"),
        ({"seed": -1}, "`seed`"),
        ({"group": lambda path: path.parent.name}, r"20 pictures of 'cat', 1 if what stays tog"),
    ],
)
def test_bad_settings_are_refused(pets, settings, told):
    with pytest.raises(ValueError, match=told):
        load_folder(pets, **{"size": (24, 24), **settings})


def test_too_few_pictures_for_three_parts(tmp_path):
    few = write_pictures(tmp_path / "few", {"cat": 2, "dog": 9})
    with pytest.raises(ValueError, match=r"2 pictures of 'cat'.*set validation=0 or test=0"):
        load_folder(few, (24, 24))
    assert len(load_folder(few, (24, 24), validation=0.3, test=0).x_train) > 5


def test_pictures_that_do_not_fit_into_memory_are_refused_before_they_are_read(pets, monkeypatch):
    free = type("Memory", (), {"available": 40 * 24 * 24 * 3})
    monkeypatch.setattr(class_parts.psutil, "virtual_memory", lambda: free)
    monkeypatch.setattr(folders, "load_picture", None)
    with pytest.raises(ValueError, match=r"a third of the free memory.*Take a smaller `size`"):
        load_folder(pets, (24, 24))
