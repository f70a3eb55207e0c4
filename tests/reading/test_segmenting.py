"""New pictures get masks as files, of their own size."""

from tlhelpers.reading.saved_models import save_classifier
from tlhelpers.reading.segmenting import segment_pictures

import keras
import numpy as np
import pytest
from PIL import Image


def bright_or_dark():
    """A segmenter whose class of a pixel is 1 where it is bright."""
    images = keras.Input((8, 8, 3))
    grey = keras.layers.Conv2D(2, 1, kernel_initializer="zeros", name="logits")
    model = keras.Model(images, grey(images))
    grey.set_weights([np.full((1, 1, 3, 2), [-1, 1]) / 3, np.array([128.0, -128.0])])
    return model


def test_masks_are_written_and_told(tmp_path, capsys):
    save_classifier(tmp_path / "model.keras", bright_or_dark(), ["dark", "bright"])
    pixels = np.zeros((16, 24, 3), "uint8")
    pixels[:, 12:] = 255
    Image.fromarray(pixels).save(tmp_path / "half.png")
    segment_pictures(tmp_path / "model.keras", [tmp_path / "half.png"], tmp_path / "masks")
    mask = np.asarray(Image.open(tmp_path / "masks/half.png"))
    assert np.array_equal(mask, pixels[..., 0] // 255)
    assert capsys.readouterr().out == f"{tmp_path}/half.png: dark 50.0 %, bright 50.0 %\n"


def test_what_is_refused(tmp_path):
    save_classifier(tmp_path / "model.keras", bright_or_dark(), ["dark", "bright"])
    with pytest.raises(ValueError, match=r"names of their own.*two of 'x'"):
        segment_pictures(tmp_path / "model.keras", ["a/x.jpg", "b/x.png"], tmp_path)
    with pytest.raises(ValueError, match=r"x\.jpg, which is no file"):
        segment_pictures(tmp_path / "model.keras", ["x.jpg"], tmp_path)
    flat = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    save_classifier(tmp_path / "flat.keras", flat)
    with pytest.raises(ValueError, match=r"a class to each pixel.*classify_pictures"):
        segment_pictures(tmp_path / "flat.keras", ["x.jpg"], tmp_path)
