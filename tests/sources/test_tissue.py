"""Two pictures of tissue are read from files of the form that the wheel has them in."""

import struct

from tlhelpers.checks import words
from tlhelpers.sources import tissue

import numpy as np
import pytest
from PIL import Image


def polygon(points):
    ring = [*points, points[0]]
    flat = [value for point in ring for value in point]
    return struct.pack(f"<BIII{len(flat)}d", 1, 3, 1, len(ring), *flat)


@pytest.fixture
def files(tmp_path, monkeypatch):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rng = np.random.default_rng(0)
    for name in ("hgsc_nest.jpg", "hgsc_stromal_he.jpg"):
        pixels = rng.integers(0, 256, (20, 20, 3)).astype("uint8")
        Image.fromarray(pixels).save(tmp_path / name)
    instances = np.zeros((20, 20), "int32")
    instances[2:5, 3:6], instances[10:12, 10:16] = 4, 9
    np.savez(tmp_path / "hgsc_nest_inst_mask.npz", nuc_raster=instances)
    types = np.where(instances == 4, 2, np.where(instances == 9, 3, 0))
    np.savez(tmp_path / "hgsc_nest_type_mask.npz", nuc_raster=types.astype("int32"))
    outlines = [[(2, 4), (5, 4), (5, 9), (2, 9)], [(12, 1), (14, 1), (14, 3), (12, 3)]]
    columns = {"geometry": list(map(polygon, outlines)), "class_name": ["connective", "neoplastic"]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "hgsc_stromal_cells.parquet")
    monkeypatch.setattr(tissue, "fetch", lambda asset: tmp_path)
    monkeypatch.setattr(words, "_SAID", set())
    return tmp_path


def test_masks_and_nuclei_of_both_pictures(files, capsys):
    nest, stroma = tissue.load_tissue()
    assert capsys.readouterr().out.startswith("tissue: mirror, histolytics==0.3.0")
    assert nest.picture.shape == stroma.picture.shape == (20, 20, 3)
    assert nest.nuclei.tolist() == [(3.0, 4.0, 2), (10.5, 12.5, 3)]
    assert np.array_equal(np.unique(nest.mask), [0, 2, 3]) and nest.mask.dtype == np.uint8
    drawn = np.zeros((20, 20), int)
    drawn[4:10, 2:6], drawn[1:4, 12:15] = 1, 3  # Pillow draws the outline too; x is the column
    assert np.array_equal(stroma.mask, drawn)
    assert stroma.nuclei.tolist() == [(6.5, 3.5, 1), (2.0, 13.0, 3)]
    assert nest.class_names[nest.nuclei["type"][0]] == "inflammatory"


def test_no_nucleus_is_an_empty_table():
    empty = np.zeros((4, 4), int)
    assert tissue.nuclei_of(empty, empty).shape == (0,)


def test_another_geometry_is_refused():
    with pytest.raises(ValueError, match=r"must be a polygon.*Received: type 6"):
        tissue.outline_of(struct.pack("<BII", 1, 6, 2))


@pytest.mark.network
def test_the_real_pictures():
    nest, stroma = tissue.load_tissue()
    assert nest.picture.shape == stroma.picture.shape == (1500, 1500, 3)
    assert (len(nest.nuclei), len(stroma.nuclei)) == (1294, 423)
    shares = np.bincount(nest.mask.ravel(), minlength=4) / nest.mask.size
    assert np.allclose(shares, [0.815, 0.045, 0.060, 0.080], atol=0.001)
