"""TFDS's medical pictures: read where they are prepared, and a sentence where they are not."""

import logging

import tlhelpers as tl
from tlhelpers.sources import medical

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def nothing_prepared(tmp_path, monkeypatch):
    monkeypatch.setenv("TL_OFFLINE", "1")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))


def test_prepared_pictures_of_all_shapes_are_read(tmp_path, capsys):
    import tensorflow_datasets as tfds

    logging.getLogger("absl").setLevel("ERROR")
    colours = np.arange(12, dtype="uint8") * 20
    features = tfds.features.FeaturesDict({
        "image": tfds.features.Image(shape=(None, None, 3)),
        "label": tfds.features.ClassLabel(names=["parasitized", "uninfected"]),
    })  # fmt: skip
    rows = [
        (i, {"image": np.full((30 + i, 40 - i, 3), colour, "uint8"), "label": i % 2})
        for i, colour in enumerate(colours)
    ]
    tfds.dataset_builders.store_as_tfds_dataset(
        name="malaria", version="1.0.0", features=features,
        split_datasets={"train": rows}, data_dir=tmp_path,
    )  # fmt: skip
    capsys.readouterr()
    x, y, names = tl.load_medical("malaria", 12, size=(16, 24))
    assert capsys.readouterr().out == "malaria: prepared, TFDS\n"
    assert x.shape == (12, 16, 24, 3) and x.dtype == np.uint8 and y.dtype == np.int64
    assert names == ("parasitized", "uninfected")
    assert sorted(x[:, 0, 0, 0]) == colours.tolist()
    assert np.array_equal(x[:, 3, 5, 1] // 20 % 2, y)
    assert len(tl.load_medical("malaria", 5)[0]) == 5


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"name": "malria"}, "must be one of 'malaria', .*Did you mean 'malaria'"),
        ({"name": "malaria"}, "which is not. Pass download=True: 353 MB"),
        ({"name": "patch_camelyon", "download": True}, "zenodo.org, does not answer.*8,028 MB"),
        ({"name": "malaria", "count": 0}, "`count` must be a whole number"),
        ({"name": "malaria", "size": 96}, "`size`"),
    ],
)
def test_what_is_not_there_is_said_at_once(options, says, monkeypatch):
    asked = []
    monkeypatch.setattr(medical, "is_reachable", lambda url: asked.append(url))
    with pytest.raises(ValueError, match=says):
        tl.load_medical(**options)
    assert bool(asked) == options.get("download", False)
