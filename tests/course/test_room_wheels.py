"""Wheels for other computers: what each kind needs, from an index of three dozen bytes each."""

import os
import zipfile

from course.room_wheels import KINDS, download_wheels

import pytest

EXTRA = 'colours; extra == "shiny"'


@pytest.fixture
def index(tmp_path, monkeypatch):
    """Return a function that puts a wheel into the only index that pip may ask."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))

    def put(name, version="1.0", tags="py3-none-any", needs=()):
        about = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
        about += [f"Requires-Dist: {need}" for need in needs]
        inside = f"{name}-{version}.dist-info"
        with zipfile.ZipFile(folder / f"{name}-{version}-{tags}.whl", "w") as wheel:
            wheel.writestr(f"{inside}/METADATA", "\n".join(about) + "\n")
            wheel.writestr(f"{inside}/WHEEL", f"Wheel-Version: 1.0\nTag: {tags}\n")
            wheel.writestr(f"{inside}/RECORD", "")

    return put


def names(wheels):
    return {wheel.name.split("-")[0] for wheel in wheels}


def test_what_is_needed_there_comes_along_and_what_is_needed_here_does_not(index, tmp_path):
    here = 'forlinux; sys_platform == "linux"'
    there = 'forwindows; sys_platform == "win32"'
    index("lesson", needs=["middle>=1"])
    index("middle", needs=[here, there])
    for name in ("forlinux", "forwindows"):
        index(name)
    found = {kind: names(download_wheels(["lesson"], tmp_path / "out", kind, "3.12"))
             for kind in ("linux", "windows")}  # fmt: skip
    assert found["linux"] == {"lesson", "middle", "forlinux"}
    assert found["windows"] == {"lesson", "middle", "forwindows"}


def test_a_line_for_another_system_is_left_out_and_an_extra_brings_its_own(index, tmp_path):
    index("lesson", needs=[EXTRA])
    index("colours")
    index("apples")
    lines = ["lesson[shiny]==1.0", 'apples; sys_platform == "darwin"']
    assert names(download_wheels(lines, tmp_path, "linux", "3.12")) == {"lesson", "colours"}
    plain = ["lesson", lines[1]]
    assert names(download_wheels(plain, tmp_path, "macos", "3.12")) == {"lesson", "apples"}


@pytest.mark.parametrize(
    ("kind", "tags"),
    [
        ("linux", "cp312-cp312-manylinux_2_17_x86_64"),
        ("linux", "py2.py3-none-manylinux2010_x86_64"),
        ("linux-arm", "cp39-abi3-manylinux_2_28_aarch64"),
        ("macos", "cp312-cp312-macosx_11_0_arm64"),
        ("macos", "cp312-cp312-macosx_10_13_universal2"),
        ("windows", "cp312-cp312-win_amd64"),
    ],
)
def test_each_kind_takes_its_own_wheels_alone(kind, tags, index, tmp_path):
    index("net", tags=tags)
    (wheel,) = download_wheels(["net"], tmp_path / "right", kind, "3.12")
    assert wheel.name == f"net-1.0-{tags}.whl"
    for other in KINDS.keys() - {kind}:
        with pytest.raises(ValueError, match="must give every wheel"):
            download_wheels(["net"], tmp_path / other, other, "3.12")
    if tags.startswith("cp312"):
        with pytest.raises(ValueError, match="must give every wheel"):
            download_wheels(["net"], tmp_path / "older", kind, "3.11")


def test_circles_end_and_an_installed_package_keeps_its_version(index, tmp_path):
    here = __import__("packaging").__version__
    for version in (here, "9999.0"):
        index("packaging", version, needs=["other"])
    index("other", needs=["packaging>=1"])
    wheels = download_wheels(["other"], tmp_path, "linux", "3.12")
    assert [wheel.name for wheel in wheels] == [
        "other-1.0-py3-none-any.whl", f"packaging-{here}-py3-none-any.whl"
    ]  # fmt: skip
