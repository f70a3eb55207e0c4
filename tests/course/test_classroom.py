"""The classroom: complete, checked, and used without asking for a network."""

import hashlib
import zipfile
from types import SimpleNamespace

from course import classroom
from course.__main__ import main
from tlhelpers._start import use_what_was_brought

import pytest


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A classroom made of a tiny course; nothing is downloaded."""
    root, cache, tfds = (tmp_path / name for name in ("course", "cache", "tfds"))
    for path, text in {
        root / "notebooks/01_a.ipynb": "{}", root / "requirements.txt": "# all\nnumpy==2\n",
        root / ".venv/bin/python": "no", root / "work/mine.ipynb": "no", root / ".git/HEAD": "no",
        cache / "net/weights.bin": "w", tfds / "mnist/3.0.1/dataset_info.json": "{}",
    }.items():  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setenv("TL_OFFLINE", "1")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tfds))
    monkeypatch.setenv("TL_CACHE", str(cache))
    entries = {"net": {"kind": "mirror"}, "ours": {"kind": "stand-in"}}
    monkeypatch.setattr(classroom, "catalog", lambda: entries)
    monkeypatch.setattr(classroom, "fetch_all", lambda: None)
    asked = []

    def wheels(lines, folder, kind, python):
        asked.append((lines, kind, python))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "numpy.whl").write_text(kind)
        return [folder / "numpy.whl"]

    def book(lessons, pages):
        for folder in (pages, pages.with_name("book-sources")):
            folder.mkdir(parents=True)
        (pages / "index.html").write_text("book")

    monkeypatch.setattr(classroom, "download_wheels", wheels)
    monkeypatch.setattr(classroom, "build_book", book)
    target = tmp_path / "out/room.zip"
    classroom.make_classroom(target, ["linux", "windows"], ["3.11", "3.12"], root=root)
    return SimpleNamespace(target=target, asked=asked, folder=tmp_path)


def test_all_is_in_it_and_nothing_of_the_teachers_own(made):
    assert [path.name for path in made.target.parent.iterdir()] == ["room.zip"]
    names = set(zipfile.ZipFile(made.target).namelist())
    files = {name.removeprefix("room/") for name in names if not name.endswith("/")}
    assert files == {
        "notebooks/01_a.ipynb", "requirements.txt", "START_HERE.md", "classroom/SHA256SUMS",
        "classroom/wheels/numpy.whl", "classroom/cache/net/weights.bin",
        "classroom/tfds/mnist/3.0.1/dataset_info.json", "classroom/book/index.html",
        "classroom/pythons",
    }  # fmt: skip
    pairs = [(kind, python) for kind in ("linux", "windows") for python in ("3.11", "3.12")]
    assert made.asked == [(["numpy==2"], *pair) for pair in pairs]


def test_its_page_says_what_it_is_for_and_what_is_not_in_it(made):
    page = zipfile.ZipFile(made.target).read("room/START_HERE.md").decode()
    assert "3.11 or 3.12" in page and "for linux, windows" in page
    assert "| | Linux, macOS | Windows |" in page and page.count("\n| ") == 6
    assert r"`.venv\Scripts\python -m course run`" in page and "{" not in page
    assert "Not in it: cifar10." in page and "Not in it: mnist." not in page


@pytest.mark.parametrize(
    ("kinds", "heads"), [(["linux-arm"], "| | Linux, macOS |"), (["windows"], "| | Windows |")]
)
def test_its_page_has_no_column_for_computers_that_cannot_use_it(made, kinds, heads):
    classroom.make_classroom(made.target, kinds, root=made.folder / "course")
    page = zipfile.ZipFile(made.target).read("room/START_HERE.md").decode()
    assert f"{heads}\n" in page


@pytest.fixture
def unpacked(made):
    zipfile.ZipFile(made.target).extractall(made.folder)
    return made.folder / "room"


def test_it_names_the_pythons_that_it_has_wheels_for(unpacked):
    assert (unpacked / "classroom/pythons").read_text() == "python3.11 python3.12\n"


def test_what_was_read_only_can_be_mended_and_removed(made):
    source = made.folder / "tfds/mnist/3.0.1"
    (source / "dataset_info.json").chmod(0o444)
    source.chmod(0o555)
    classroom.make_classroom(made.target, root=made.folder / "course")
    source.chmod(0o755)
    modes = {
        info.filename: info.external_attr >> 16
        for info in zipfile.ZipFile(made.target).infolist() if "3.0.1" in info.filename
    }  # fmt: skip
    assert len(modes) == 2 and all(mode & 0o200 for mode in modes.values())


def test_what_differs_from_the_archive_is_named(unpacked):
    brought = unpacked / "classroom"
    assert classroom.altered(brought) == [] == classroom.altered(unpacked)
    (brought / "cache/net/weights.bin").write_text("v")
    (brought / "wheels/numpy.whl").unlink()
    (unpacked / "notebooks/01_a.ipynb").write_text("a learner's")
    names = ["classroom/cache/net/weights.bin", "classroom/wheels/numpy.whl"]
    assert classroom.altered(brought) == names


def test_the_sums_are_those_of_its_files(made):
    with zipfile.ZipFile(made.target) as archive:
        lines = archive.read("room/classroom/SHA256SUMS").decode().splitlines()
        sums = dict(line.split("  ")[::-1] for line in lines)
        for name in archive.namelist():
            short = name.removeprefix("room/")
            if not name.endswith("/") and short != "classroom/SHA256SUMS":
                assert hashlib.sha256(archive.read(name)).hexdigest() == sums.pop(short)
    assert sums == {}


def test_what_fails_leaves_the_archive_before_it(made, monkeypatch):
    before = made.target.read_bytes()

    def refuse(*how):
        raise ValueError("no index")

    monkeypatch.setattr(classroom, "download_wheels", refuse)
    with pytest.raises(ValueError, match="no index"):
        classroom.make_classroom(made.target, root=made.folder / "course")
    assert made.target.read_bytes() == before
    assert [path.name for path in made.target.parent.iterdir()] == ["room.zip"]


@pytest.mark.parametrize(
    ("argv", "said"),
    [(["--out", "room.tgz"], "must end in .zip"), (["--kinds", "amiga"], "must be of linux")],
)
def test_wrong_use_is_said_before_anything_is_fetched(argv, said, capsys, monkeypatch):
    monkeypatch.setattr(classroom, "fetch_all", pytest.fail)
    with pytest.raises(SystemExit):
        main(["classroom", *argv])
    assert said in capsys.readouterr().err


def test_what_was_brought_is_used_unless_something_else_is_set(tmp_path):
    environment = {}
    use_what_was_brought(tmp_path, environment)
    assert environment == {}
    (tmp_path / "classroom").mkdir()
    (tmp_path / "classroom/SHA256SUMS").touch()
    environment = {"TL_CACHE": "mine"}
    use_what_was_brought(tmp_path, environment)
    tfds = str(tmp_path / "classroom/tfds")
    assert environment == {"TL_CACHE": "mine", "TFDS_DATA_DIR": tfds, "TL_OFFLINE": "1"}
