"""Pictures and their masks from two folders: read, split, and refused by the name of a file."""

from tlhelpers.sources.masks import load_masks

import numpy as np
import pytest
from PIL import Image


def write(folder, masks, suffix=".png", size=(24, 16), mode="L"):
    """Write a smooth picture for each mask, `{name: values}`, and the mask."""
    rng = np.random.default_rng(0)
    for name, mask in masks.items():
        for kind in ("pictures", "masks"):
            (folder / kind / name).parent.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3)).astype("uint8"))
        coarse.resize(size).save(folder / "pictures" / f"{name}.png")
        image = Image.fromarray(np.asarray(mask, "uint8")).convert(mode)
        image.save(folder / "masks" / f"{name}{suffix}")
    return folder


def halves(value=1, count=12):
    """Masks of 16 x 24 whose right half is an object."""
    mask = np.zeros((16, 24), int)
    mask[:, 12:] = value
    return {f"{number:02d}": mask for number in range(count)}


def test_what_lies_together_is_read_together(tmp_path):
    masks = halves(200)
    masks["00"] = np.zeros((16, 24))  # no object at all
    data = load_masks(write(tmp_path, masks), (32, 32), ["ground", "thing"])
    assert data.values == (0, 200) and data.class_names == ("ground", "thing")
    assert [len(data.files[part]) for part in data.files] == [8, 2, 2]
    assert not set(data.files["train"]) & set(data.files["test"])
    for part, files in data.files.items():
        for x, y, file in zip(
            getattr(data, f"x_{part}"), getattr(data, f"y_{part}"), files, strict=True
        ):
            picture = np.asarray(Image.open(file).resize((32, 32), Image.Resampling.BICUBIC))
            assert np.array_equal(x, picture)
            expected = np.zeros((32, 32), int)
            expected[:, 16:] = file.stem != "00"
            assert np.array_equal(y, expected)  # stretched without new values
    assert "12 pictures with masks (ground 54.2%" in repr(data)


def test_values_may_be_said_and_groups_stay_together(tmp_path):
    masks = {f"{'ab'[n % 2]}/{name}": mask for n, (name, mask) in enumerate(halves(2).items())}
    folder = write(tmp_path, masks, ".tif")
    data = load_masks(
        folder, (16, 16), "xyz", (0, 1, 2), test=0.4, validation=0, group=lambda path: path.parent
    )
    assert data.y_test.max() == 2 and data.class_names == ("x", "y", "z")
    assert len({file.parent for file in data.files["test"]}) == 1


def unlink(name):
    return lambda folder: (folder / name).unlink()


def put(name, image):
    return lambda folder: image.save(folder / name)


SMALL = Image.fromarray(np.zeros((8, 8), "uint8"))
COLOUR = Image.new("RGB", (24, 16))
NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 24)).astype("uint8"))


@pytest.mark.parametrize(
    ("action", "options", "says"),
    [
        (unlink("masks/03.png"), {}, r"pictures/03\.png alone, 1 such"),
        (unlink("pictures/04.png"), {}, r"masks/04\.png alone"),
        (put("masks/03.png", SMALL), {}, r"masks/03\.png of 8 x 8 .*pictures/03\.png of 24 x 16"),
        (put("masks/03.png", COLOUR), {}, r"one channel.*masks/03\.png with RGB"),
        (put("masks/03.png", NOISE), {}, r"a few values.*most in .*masks/03\.png"),
        (put("masks/07.png", NOISE), {"values": (0, 1)}, r"\(0, 1\) alone.*\[2, .*masks/07\.png"),
        (lambda folder: (folder / "masks/03.png").write_text("no"), {}, r"whole.*masks/03\.png"),
        (lambda folder: None, {"class_names": "abc"}, r"each value in the masks, \(0, 1\)"),
        (lambda folder: None, {"size": (16, 0)}, "`size`"),
        (lambda folder: None, {"validation": 0.5, "test": 0.5}, "leave something to train"),
    ],
)
def test_what_is_wrong_is_said_with_its_file(tmp_path, action, options, says):
    action(write(tmp_path, halves()))
    with pytest.raises(ValueError, match=says):
        load_masks(tmp_path, **{"size": (16, 16), **options})


def test_folders_that_are_empty_or_too_small(tmp_path):
    with pytest.raises(ValueError, match=r"no folder at .*pictures"):
        load_masks(tmp_path)
    (tmp_path / "pictures").mkdir()
    with pytest.raises(ValueError, match=r"no picture at .*pictures"):
        load_masks(tmp_path)
    write(tmp_path, {"1": np.zeros((16, 24))})
    with pytest.raises(ValueError, match=r"two values or more.*\(0,\) in 1 masks, first .*1\.png"):
        load_masks(tmp_path)
    write(tmp_path, halves(count=2))
    with pytest.raises(ValueError, match="in each part"):
        load_masks(tmp_path, test=0.3)


def test_palette_and_black_and_white_masks(tmp_path):
    for mode, values in (("P", (0, 1)), ("1", (0, 1))):
        masks = halves(1 if mode == "P" else 255, 10)
        folder = write(tmp_path / mode, {}, mode=mode)
        write(folder, masks, mode="L")
        for file in sorted((folder / "masks").iterdir()):
            grey = np.asarray(Image.open(file))
            image = Image.fromarray(grey)
            if mode == "P":
                image.putpalette([255, 0, 0, 0, 0, 255])
            (image if mode == "P" else image.convert("1")).save(file)
        assert load_masks(folder, (16, 16)).values == values
