"""Pictures of every kind that a camera, a scanner or the web makes, and files that are none."""

from tlhelpers.sources.pictures import load_picture

import numpy as np
import pytest
from PIL import Image

RNG = np.random.default_rng(0)
SMOOTH = np.stack(np.meshgrid(np.linspace(20, 230, 24), np.linspace(20, 230, 32)), -1)
RGB = np.dstack([SMOOTH, np.full((32, 24), 90)]).astype("uint8")


def save(path, mode, **settings):
    Image.fromarray(RGB).convert(mode).save(path, **settings)
    return path


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.PNG"])
def test_a_lossless_picture_of_its_own_size_comes_back_as_it_is(name, tmp_path):
    found = load_picture(save(tmp_path / name, "RGB"), (32, 24))
    np.testing.assert_array_equal(found, RGB)
    assert found.dtype == np.uint8


@pytest.mark.parametrize("name", ["a.jpg", "a.webp", "a.gif"])
def test_a_lossy_one_comes_close(name, tmp_path):
    found = load_picture(save(tmp_path / name, "RGB"), (32, 24)).astype(int)
    assert abs(found - RGB).mean() < 8


def test_grey_becomes_three_equal_channels(tmp_path):
    found = load_picture(save(tmp_path / "a.png", "L"), (32, 24))
    expected = np.asarray(Image.fromarray(RGB).convert("L"))
    np.testing.assert_array_equal(found, np.dstack([expected] * 3))


def test_sixteen_bits_are_scaled_and_not_cut_off(tmp_path):
    values = np.linspace(0, 65535, 32 * 24).reshape(32, 24)
    Image.fromarray(values.astype("uint16")).save(tmp_path / "a.png")
    found = load_picture(tmp_path / "a.png", (32, 24))[..., 0]
    np.testing.assert_array_equal(found, (values.astype("uint16") / 257).round())


def test_cmyk_is_read_as_colours(tmp_path):
    found = load_picture(save(tmp_path / "a.jpg", "CMYK", quality=95), (32, 24)).astype(int)
    assert abs(found - RGB).mean() < 8


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_white(mode, tmp_path):
    clear = Image.fromarray(np.dstack([RGB, np.zeros((32, 24), "uint8")]), "RGBA")
    if mode == "P":
        clear = Image.new("P", (24, 32), 3)
        clear.putpalette([7, 7, 7] * 256)
        clear.save(tmp_path / "a.png", transparency=3)
    else:
        clear.convert(mode).save(tmp_path / "a.png")
    assert load_picture(tmp_path / "a.png", (32, 24)).min() == 255


@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_is_turned_upright(orientation, tmp_path):
    back = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]  # Transpose, inverted
    image = Image.fromarray(RGB)
    held = image if back is None else image.transpose(Image.Transpose(back))
    exif = Image.Exif()
    exif[0x0112] = orientation
    held.save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(load_picture(tmp_path / "a.png", (32, 24)), RGB)


def test_the_first_frame_of_an_animation_counts(tmp_path):
    first, second = (Image.new("RGB", (8, 8), colour) for colour in ("red", "blue"))
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    assert load_picture(tmp_path / "a.gif", (8, 8))[0, 0].tolist() == [255, 0, 0]


def test_how_other_proportions_fit(tmp_path):
    wide = np.full((20, 60, 3), 200, "uint8")
    wide[:, :20], wide[:, 40:] = 0, 0  # black, light, black
    Image.fromarray(wide).save(tmp_path / "a.png")
    crop, pad, stretch = (
        load_picture(tmp_path / "a.png", (40, 40), fit) for fit in ("crop", "pad", "stretch")
    )
    assert crop[:, 2:38].min() > 190  # the middle alone
    assert pad[:12].max() == 0 and pad[20, 20, 0] > 190 and pad[20, 5, 0] < 10
    assert stretch[2, 20, 0] > 190 and stretch[:, :10].max() < 10


def test_a_large_jpeg_is_the_same_as_when_it_is_decoded_whole(tmp_path):
    large = Image.fromarray(RGB).resize((1200, 1600), Image.Resampling.BICUBIC)
    large.save(tmp_path / "a.jpg", quality=95)
    large.save(tmp_path / "a.png")
    found = [load_picture(tmp_path / name, (40, 30)).astype(int) for name in ("a.jpg", "a.png")]
    assert abs(found[0] - found[1]).max() <= 6


def write_cut(path):
    save(path, "RGB")
    path.write_bytes(path.read_bytes()[:-60])


@pytest.mark.parametrize(
    ("write", "told"),
    [
        (write_cut, r"must be a whole picture\. Received: .*a\.png: .*Save it again"),
        (lambda path: path.write_bytes(b""), "must be a whole picture"),
        (lambda path: path.write_text("<html>not found</html>"), "must be a whole picture"),
        (lambda path: Image.fromarray(np.ones((4, 4), "float32")).save(path, "TIFF"), "32 bits"),
        (lambda path: None, "which is no file"),
        (lambda path: path.mkdir(), "which is no file"),
    ],
)
def test_what_is_no_picture_is_told_with_its_path(write, told, tmp_path):
    write(tmp_path / "a.png")
    with pytest.raises(ValueError, match=told):
        load_picture(tmp_path / "a.png")


@pytest.mark.parametrize("size", [160, (160,), (0, 5), (1.5, 2), "ab", (3, 4, 5)])
def test_a_bad_size_is_refused(size, tmp_path):
    with pytest.raises(ValueError, match="`size` must be"):
        load_picture(save(tmp_path / "a.png", "RGB"), size)
