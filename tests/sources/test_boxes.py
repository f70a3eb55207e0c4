"""Folders of Pascal VOC XML and COCO JSON: what is read, and what is refused by name."""

import json

from tlhelpers.sources.boxes import load_boxes
from tlhelpers.sources.crops import WAYS, cut_crops, turn

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

OBJECT = (
    "<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax>"
    "<ymax>{}</ymax></bndbox></object>"
)


def picture(path, height=40, width=60, value=100):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((height, width, 3), value, "uint8")).save(path)


def voc(path, *rows, size=(60, 40), head="", named="x.png"):
    path.parent.mkdir(parents=True, exist_ok=True)
    things = "".join(OBJECT.format(*row) for row in rows)
    size = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>" if size else ""
    path.write_text(f"{head}<annotation><filename>{named}</filename>{size}{things}</annotation>")


def coco(path, **change):
    told = {
        "images": [
            {"id": 7, "file_name": "b.png", "width": 60, "height": 40},
            {"id": 3, "file_name": "a.png", "width": 60, "height": 40},
        ],
        "categories": [{"id": 4, "name": "oak"}, {"id": 2, "name": "elm"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 4, "bbox": [5, 6, 10, 20]},
            {"id": 2, "image_id": 7, "category_id": 2, "bbox": [0, 0, 60, 40], "iscrowd": 1},
        ],
        **change,
    }
    path.write_text(json.dumps(told))


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "trees"
    for name in ("a", "deep/b"):
        picture(folder / f"{name}.png")
    voc(folder / "a.xml", ("oak", 1, 2, 30, 20), ("elm", 5.5, 5, 9, 12))
    voc(folder / "deep/b.xml")
    return folder


def test_pascal_voc_is_read(folder, capsys):
    data = load_boxes(folder)
    assert data.class_names == ("elm", "oak") and len(data) == 2
    assert data.boxes[0].tolist() == [[1, 2, 30, 20], [5.5, 5, 9, 12]]
    assert data.labels[0].tolist() == [1, 0] and data.boxes[1].shape == (0, 4)
    assert data.pictures[0].shape == (40, 60, 3) and (data.pictures[0] == 100).all()
    assert "2 pictures with 2 boxes (elm 1, oak 1); 1 without a box" in capsys.readouterr().out
    assert [file.name for file in data.part([1]).files] == ["b.png"]


def test_coco_is_read_as_the_same(folder, tmp_path):
    for name in ("a", "b"):
        picture(tmp_path / f"coco/images/{name}.png")
    coco(tmp_path / "coco/annotations.json")
    for place in (tmp_path / "coco", tmp_path / "coco/annotations.json"):
        data = load_boxes(place)
        assert [file.name for file in data.files] == ["a.png", "b.png"]
        assert data.class_names == ("elm", "oak") and data.labels[1].tolist() == [1]
        assert data.boxes[1].tolist() == [[5, 6, 15, 26]] and not len(data.boxes[0])


def test_names_give_the_order_and_an_unknown_one_is_refused(folder):
    assert load_boxes(folder, class_names=["oak", "elm"]).labels[0].tolist() == [0, 1]
    with pytest.raises(
        ValueError, match=r"a\.xml must name classes among 'oaks'.*Did you mean 'oaks'"
    ):
        load_boxes(folder, class_names=["oaks", "elm"][:1])


def test_a_box_outside_is_refused_or_cut_off(folder):
    voc(folder / "a.xml", ("oak", 50, 2, 66, 20))
    with pytest.raises(ValueError, match=r"a\.xml must have boxes inside a\.png, 60 x 40.*clip"):
        load_boxes(folder)
    assert load_boxes(folder, outside="clip").boxes[0].tolist() == [[50, 2, 60, 20]]
    voc(folder / "a.xml", ("oak", 50, 2, 61, 20))  # one pixel, by a program that counts from 1
    assert load_boxes(folder).boxes[0].tolist() == [[50, 2, 60, 20]]
    voc(folder / "a.xml", ("oak", 70, 2, 90, 20))
    with pytest.raises(ValueError, match=r"a\.xml must have boxes inside"):
        load_boxes(folder, outside="clip")


def write(name, text):
    return lambda folder: (folder / name).write_text(text)


BOMB = '<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;&b;">]>'
BAD_VOC = {
    "an empty file": (write("a.xml", ""), r"a\.xml must be an XML file.*an empty file"),
    "no XML": (write("a.xml", "<annotation>"), r"a\.xml must be an XML file.*no element found"),
    "another form": (write("a.xml", "<svg/>"), r"a\.xml must be.*<svg> at its beginning"),
    "a bomb": (lambda f: voc(f / "a.xml", ("&c;", 1, 1, 9, 9), head=BOMB), r"a\.xml.*DOCTYPE"),
    "no number": (
        lambda f: voc(f / "a.xml", ("oak", "x", 1, 2, 3)),
        r"a\.xml.*bndbox.*'xmin': 'x'",
    ),
    "no name": (lambda f: voc(f / "a.xml", ("", 1, 1, 2, 3)), r"a\.xml.*without a <name>"),
    "no area": (lambda f: voc(f / "a.xml", ("oak", 5, 5, 5, 9)), r"a\.xml: `boxes` must have left"),
    "not finite": (lambda f: voc(f / "a.xml", ("oak", 5, 5, "nan", 9)), r"a\.xml.*finite"),
    "another size": (lambda f: voc(f / "a.xml", size=(99, 40)), r"a\.xml.*99 x 40.*60 x 40"),
    "no picture": (
        lambda f: (f / "a.png").unlink(),
        r"a\.xml must have its picture beside it.*a\.png",
    ),
    "half a picture": (write("a.png", "no"), r"a\.png must be a whole picture"),
    "no XML file": (lambda f: (f / "a.xml").unlink(), r"must have an XML file.*a\.png without one"),
    "nothing anywhere": (lambda f: voc(f / "a.xml"), "must hold a box at least"),
    "both forms": (write("a.json", "{}"), "2 XML and 1 JSON files"),
}


@pytest.mark.parametrize("case", BAD_VOC)
def test_a_bad_voc_folder_is_refused_by_the_name_of_the_file(folder, case):
    change, says = BAD_VOC[case]
    change(folder)
    with pytest.raises(ValueError, match=f"(?s){says}"):
        load_boxes(folder)


BAD_COCO = {
    "no JSON": (None, r"all\.json must be a JSON file of COCO"),
    "no categories": ({"categories": None}, r"all\.json must be"),
    "no image": ({"images": []}, r"all\.json"),
    "an unknown image": (
        {"annotations": [{"image_id": 1, "category_id": 4, "bbox": [1, 1, 2, 2]}]}, r"all\.json.*1",
    ),
    "an unknown class": (
        {"annotations": [{"image_id": 7, "category_id": 9, "bbox": [1, 1, 2, 2]}]}, r"all\.json.*9",
    ),
    "three numbers": (
        {"annotations": [{"image_id": 7, "category_id": 4, "bbox": [1, 1, 2]}]}, r"all\.json",
    ),
    "below zero": (
        {"annotations": [{"image_id": 7, "category_id": 4, "bbox": [1, 1, -2, 2]}]},
        r"all\.json: `boxes`",
    ),
    "no picture": ({"images": [{"id": 7, "file_name": "c.png"}]}, r"all\.json.*'c\.png'"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_COCO)
def test_a_bad_coco_file_is_refused_by_its_name(tmp_path, case):
    change, says = BAD_COCO[case]
    for name in ("a", "b"):
        picture(tmp_path / f"{name}.png")
    coco(tmp_path / "all.json", **(change or {}))
    if change is None:
        (tmp_path / "all.json").write_text("{")
    with pytest.raises(ValueError, match=f"(?s){says}"):
        load_boxes(tmp_path)


def test_a_folder_that_is_none_or_empty_is_refused(tmp_path):
    with pytest.raises(ValueError, match="which does not exist"):
        load_boxes(tmp_path / "no")
    with pytest.raises(ValueError, match="0 XML and 0 JSON"):
        load_boxes(tmp_path)
    with pytest.raises(ValueError, match="`outside` must be"):
        load_boxes(tmp_path, outside="cut")


@given(st.integers(0, WAYS - 1), st.integers(0, 20), st.integers(0, 20), st.integers(1, 9))
def test_a_box_turns_with_its_picture(way, left, top, wide):
    image, high = np.zeros((32, 32), "uint8"), wide + 2
    image[top : top + high, left : left + wide] = 1
    turned, ((a, b, c, d),) = turn(image, np.array([[left, top, left + wide, top + high]]), way)
    assert turned[b:d, a:c].all() and turned.sum() == image.sum() == (d - b) * (c - a)


def test_crops_hold_the_boxes_they_say(tmp_path):
    page, boxes = np.zeros((200, 150, 3), "uint8"), []
    for n, (y, x) in enumerate([(10, 20), (90, 60), (150, 100), (30, 110)]):
        page[y : y + 24, x : x + 16] = 60 * (n + 1)
        boxes.append([x, y, x + 16, y + 24])
    crops = cut_crops([page], [boxes], [[0, 1, 2, 3]], side=64, count=40, zoom=1.0, seed=3)
    seen = np.zeros(4)
    for x, some, labels, whole in zip(crops.x, crops.boxes, crops.labels, crops.whole, strict=True):
        for (left, top, right, bottom), label, all_of_it in zip(some, labels, whole, strict=True):
            inside = x[int(top) : int(bottom), int(left) : int(right), 0]
            assert (inside == 60 * (label + 1)).all()
            assert ((right - left) * (bottom - top) > 0.95 * 16 * 24) == all_of_it
            assert (right - left) * (bottom - top) >= 0.5 * 16 * 24
            seen[label] += 1
    assert seen.min() > seen.max() / 3
    again = cut_crops([page], [boxes], side=64, count=40, zoom=1.0, seed=3)
    assert np.array_equal(again.x, crops.x)
    assert not np.array_equal(cut_crops([page], [boxes], side=64, count=40, seed=4).x, crops.x)


def test_zoomed_crops_keep_their_boxes_in_place():
    page = np.zeros((300, 300, 3), "uint8")
    page[100:140, 120:180] = 200
    crops = cut_crops([page], [[[120, 100, 180, 140]]], side=96, count=12, zoom=1.5, seed=0)
    for x, boxes in zip(crops.x, crops.boxes, strict=True):
        rows, columns = (np.flatnonzero((x[..., 0] > 100).any(axis=axis)) for axis in (1, 0))
        if len(boxes):
            edges = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
            assert boxes[0] == pytest.approx(np.array(edges, float), abs=1.0)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"side": 0}, "`side`"), ({"count": 0}, "`count`"), ({"zoom": 0.9}, "`zoom`"),
        ({"visible": 2}, "`visible`"), ({"seed": -1}, "`seed`"), ({"boxes": [[]]}, "a box at"),
        ({"side": 90}, r"at least 90 pixels.*pictures\[0\]"),
        ({"boxes": [[[0, 0, 0, 4]]]}, "`boxes`"),
    ],
)  # fmt: skip
def test_bad_crops_are_refused(change, says):
    page = np.zeros((80, 80, 3), "uint8")
    arguments = {"pictures": [page], "boxes": [[[0, 0, 9, 9]]], "side": 32, "zoom": 1, **change}
    with pytest.raises(ValueError, match=says):
        cut_crops(**arguments)
