"""One shard of each kind gives the arrays that were put into it; a bad one is named."""

import io
import tarfile

from tlhelpers.sources.pictures import load_picture
from tlhelpers.sources.shards import list_shards, read_shard

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from PIL import Image
from pyarrow import parquet

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (5, 12, 10, 3)).astype("uint8")
LABELS = np.array([2, 0, 1, 1, 0])


def encoded(image, kind="PNG"):
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind)
    return file.getvalue()


PICTURES = [encoded(image) for image in IMAGES]


def write_npz(path, labels=True):
    np.savez(path, x=IMAGES, **({"y": LABELS} if labels else {}))


def write_pictures(path, labels=True):
    columns = {"image": PICTURES} | ({"label": LABELS} if labels else {})
    parquet.write_table(pa.table(columns), path)


def write_hugging_face(path, labels=True):
    images = [{"bytes": picture, "path": None} for picture in PICTURES]
    columns = {"img": images} | ({"labels": LABELS} if labels else {})
    parquet.write_table(pa.table(columns), path, row_group_size=2)


def write_tensors(path, labels=True):
    columns = {"x": pa.FixedShapeTensorArray.from_numpy_ndarray(IMAGES)}
    columns |= {"y": LABELS} if labels else {}
    parquet.write_table(pa.table(columns), path, row_group_size=2)


def add(archive, name, content):
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def write_tar(path, labels=True):
    with tarfile.open(path, "w") as archive:
        for number, picture in enumerate(PICTURES):
            if labels:  # before its picture, which is allowed
                add(archive, f"train/{number:03}.cls", b"%d\n" % LABELS[number])
            add(archive, f"train/{number:03}.PNG", picture)
            add(archive, f"train/{number:03}.json", b"{}")


def write_tfrecord(path, labels=True, image="image", label="label"):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for number, picture in enumerate(PICTURES):
            feature = {image: tf.train.Feature(bytes_list=tf.train.BytesList(value=[picture]))}
            if labels:
                numbers = tf.train.Int64List(value=[LABELS[number]])
                feature[label] = tf.train.Feature(int64_list=numbers)
            features = tf.train.Features(feature=feature)
            writer.write(tf.train.Example(features=features).SerializeToString())


def write_slim(path, labels=True):
    write_tfrecord(path, labels, "image/encoded", "image/class/label")


KINDS = [
    ("a.npz", write_npz),
    ("a.parquet", write_pictures),
    ("b.parquet", write_hugging_face),
    ("c.parquet", write_tensors),
    ("a.tar", write_tar),
    ("a.tfrecord", write_tfrecord),
    ("a-train.tfrecord-00000-of-00001", write_slim),
]


@pytest.mark.parametrize("labels", [True, False])
@pytest.mark.parametrize(("name", "write"), KINDS, ids=[name for name, _ in KINDS])
def test_what_was_written_is_read(name, write, labels, tmp_path):
    write(tmp_path / name, labels)
    x, y = read_shard(tmp_path / name)
    assert x.dtype == np.uint8 and np.array_equal(x, IMAGES)
    assert np.array_equal(y, LABELS) if labels else y is None


def test_npy_stays_on_the_disk(tmp_path):
    np.save(tmp_path / "a.npy", IMAGES)
    x, y = read_shard(tmp_path / "a.npy")
    assert isinstance(x, np.memmap) and np.array_equal(x, IMAGES) and y is None


def test_numbers_that_are_no_pictures(tmp_path):
    rows = [[1.5, 2.0], [3.0, 4.0]]
    parquet.write_table(pa.table({"x": rows, "label": ["cat", "dog"]}), tmp_path / "a.parquet")
    x, y = read_shard(tmp_path / "a.parquet")
    assert x.tolist() == rows and y.tolist() == ["cat", "dog"]


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_pictures_are_brought_to_a_size_as_load_picture_does(fit, tmp_path):
    sizes = [(30, 20), (16, 50)]
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for number, size in enumerate(sizes):
            picture = encoded(RNG.integers(0, 256, (*size, 3)).astype("uint8"), "JPEG")
            (tmp_path / f"{number}.jpg").write_bytes(picture)
            add(archive, f"{number}.jpg", picture)
    x, _ = read_shard(tmp_path / "a.tar", (14, 18), fit)
    alone = [load_picture(tmp_path / f"{number}.jpg", (14, 18), fit) for number in range(2)]
    assert np.array_equal(x, alone)
    with pytest.raises(ValueError, match=r"a\.tar.*several sizes.*size=\(160, 160\)"):
        read_shard(tmp_path / "a.tar")


@pytest.mark.parametrize(("name", "write"), KINDS, ids=[name for name, _ in KINDS])
def test_a_damaged_shard_is_named(name, write, tmp_path):
    path = tmp_path / name
    write(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(ValueError, match=rf"Received: .*{name}: .*Write it again"):
        read_shard(path)


def test_what_lacks_is_said(tmp_path):
    parquet.write_table(pa.table({"pixels": PICTURES}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"nothing called image, .*, but pixels"):
        read_shard(tmp_path / "a.parquet")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        add(archive, "0.png", PICTURES[0])
        add(archive, "0.cls", b"1")
        add(archive, "1.png", PICTURES[1])
    with pytest.raises(ValueError, match=r"1\.png without its label"):
        read_shard(tmp_path / "a.tar")
    np.savez(tmp_path / "a.npz", x=IMAGES, y=LABELS[:3])
    with pytest.raises(ValueError, match="5 inputs, 3 labels"):
        read_shard(tmp_path / "a.npz")


def test_no_code_of_a_file_is_run(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.array([{}, {}], object))
    with pytest.raises(ValueError, match="allow_pickle"):
        read_shard(tmp_path / "a.npz")


def test_a_folder_is_listed_in_order_without_other_files(tmp_path):
    names = ["b.npz", "a.tfrecord-00001-of-00002", "a.tfrecord-00000-of-00002", "c.tar"]
    for name in [*names, ".hidden.npz", "dataset_info.json"]:
        (tmp_path / name).touch()
    assert [file.name for file in list_shards(tmp_path)] == sorted(names)
    files = [tmp_path / "c.tar", str(tmp_path / "b.npz")]
    assert list_shards(files) == [tmp_path / "c.tar", tmp_path / "b.npz"]
    assert list_shards(tmp_path / "c.tar") == [tmp_path / "c.tar"]


@pytest.mark.parametrize("wrong", ["nowhere", "other", "twice", "empty"])
def test_what_is_no_list_of_shards_is_refused(wrong, tmp_path):
    (tmp_path / "a.json").touch()
    (tmp_path / "a.npz").touch()
    (tmp_path / "empty").mkdir()
    given = {
        "nowhere": [tmp_path / "b.npz"],
        "other": [tmp_path / "a.json"],
        "twice": [tmp_path / "a.npz"] * 2,
        "empty": tmp_path / "empty",
    }
    with pytest.raises(ValueError, match=r"`shards` must be a folder or a list of files .*npz"):
        list_shards(given[wrong])
