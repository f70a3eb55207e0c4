import os
import subprocess
import sys
from types import SimpleNamespace

from course import doctor, run

import nbformat
import pytest


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """No network, no package index, nothing cached, a requirements.txt of the test."""
    monkeypatch.setenv("TL_OFFLINE", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("TL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    (tmp_path / "requirements.txt").touch()
    monkeypatch.setattr(doctor, "PINS", tmp_path / "requirements.txt")
    return tmp_path


def test_report_has_every_part_and_changes_nothing(alone):
    report = doctor.examine()
    for part in ("Packages", "Machine", "Sources", "Here already"):
        assert f"{part}\n" in report
    assert [path.name for path in alone.iterdir()] == ["requirements.txt"]


def test_pinned_versions_are_compared(alone):
    numpy = __import__("numpy").__version__
    (alone / "requirements.txt").write_text(
        f"# a comment\nnumpy=={numpy}  # who needs it\nkeras==0.1\nno-such-package==1.0\n"
        "pywin32==1 ; sys_platform == 'nowhere'\n"
    )
    lines = list(doctor.check_packages())
    assert "ok    1 of 3 as pinned in requirements.txt" in lines
    assert any(line.startswith("note  keras 3") and "==0.1" in line for line in lines)
    assert "note  no-such-package not installed, pinned ==1.0" in lines
    assert "pip install -r requirements.txt" in lines[-1]


def test_missing_assets_come_with_their_command(alone):
    lines = list(doctor.check_cache())
    assert any(
        "vgg16 is missing; do: " in x and "tlhelpers fetch vgg16 (65.5 MB)" in x for x in lines
    )
    folder = alone / "cache" / "vgg16"
    folder.mkdir(parents=True)
    (folder / "vgg16.onnx").write_bytes(b"cut short")
    assert any("vgg16 is missing" in line for line in doctor.check_cache())
    with (folder / "vgg16.onnx").open("wb") as file:
        file.truncate(65_465_382)
    (alone / "tfds/cifar10/3.0.2").mkdir(parents=True)
    (alone / "tfds/cifar10/3.0.2/features.json").write_text("{}")
    lines = list(doctor.check_cache())
    assert "ok    vgg16, 65.5 MB" in lines
    assert any(line.endswith("prepared for TFDS: cifar10") for line in lines)


def test_sources_that_do_not_answer():
    lines = list(doctor.check_sources())
    assert lines[0].startswith("note  package index: no answer; do: ")
    assert len(lines) == 1 + len(doctor.HOSTS)
    assert all("TL_OFFLINE is set" in line for line in lines[1:])


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (SimpleNamespace(returncode=0, stderr=""), "ok    package index"),
        (SimpleNamespace(returncode=1, stderr="No module named pip"), "ensurepip"),
        (subprocess.TimeoutExpired("pip", 20), "no answer within 20 seconds"),
    ],
)
def test_package_index(behaviour, said, monkeypatch):
    def run(command, **kwargs):
        assert command[:4] == [sys.executable, "-m", "pip", "download"]
        if isinstance(behaviour, Exception):
            raise behaviour
        return behaviour

    monkeypatch.setattr(doctor.subprocess, "run", run)
    assert said in next(doctor.check_sources())


def test_small_machine_is_told_what_to_do(monkeypatch):
    monkeypatch.setattr(doctor.psutil, "cpu_count", lambda: 1)
    monkeypatch.setattr(
        doctor.psutil, "virtual_memory", lambda: SimpleNamespace(available=1e9, total=4e9)
    )
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: SimpleNamespace(free=5e6))
    lines = list(doctor.check_machine())
    assert lines[0].startswith("note  one core")
    assert lines[1] == (
        "note  memory: 1.0 GB of 4.0 GB free, 6.0 GB is comfortable; do: close programs"
    )
    assert lines[2].startswith("note  disk: 5.0 MB free") and "TL_CACHE" in lines[2]


def test_in_a_classroom_the_cure_is_its_archive(alone, monkeypatch):
    monkeypatch.setattr(doctor, "BROUGHT", alone)
    (alone / "SHA256SUMS").touch()
    assert list(doctor.check_sources()) == [
        "ok    none is asked: weights and data were brought in classroom/"
    ]
    lines = [*doctor.check_cache(), *doctor.check_machine()]
    assert any("vgg16 is missing; do: unpack the archive again" in line for line in lines)
    assert not any("TL_CACHE" in line or "fetch" in line for line in lines)


@pytest.fixture
def well(monkeypatch):
    """A computer with everything, but what a test takes away."""
    for name in ("check_packages", "check_machine", "check_cache"):
        monkeypatch.setattr(doctor, name, lambda: iter(["ok    all of it"]))
    monkeypatch.setattr(doctor, "is_prepared", lambda name: True)
    monkeypatch.setattr(run, "execute", lambda nb, folder: ("", 0))


def test_a_computer_with_everything_will_do(well):
    assert doctor.judge() == (True, "Yes, this computer will do without a network: all is here.")


def test_an_altered_file_of_a_classroom_means_no(well, alone, monkeypatch):
    (alone / "classroom").mkdir()
    (alone / "classroom/SHA256SUMS").write_text("0  classroom/cache/vgg16/vgg16.onnx\n")
    monkeypatch.setattr(doctor, "BROUGHT", alone / "classroom")
    good, said = doctor.judge()
    assert not good and said.splitlines()[1:] == [
        "  classroom/cache/vgg16/vgg16.onnx is missing or altered; do: unpack the archive again"
    ]


def test_stand_ins_are_told_but_no_reason_to_say_no(well, monkeypatch):
    monkeypatch.setattr(doctor, "is_prepared", lambda name: name != "cifar10")
    good, said = doctor.judge()
    assert good and said.splitlines() == [
        "Yes, this computer will do without a network. But:",
        "  cifar10 is not here. Lessons 00, 01, 02, 05, 06, 07 take Fashion-MNIST in its shape, so "
        "their numbers differ",
    ]


def test_what_is_missing_means_no_and_comes_with_what_to_do(well, monkeypatch):
    missing = "note  vgg16 is missing; do: python -m tlhelpers fetch vgg16 (65.5 MB)"
    monkeypatch.setattr(doctor, "check_cache", lambda: iter(["ok    minilm", missing]))
    monkeypatch.setattr(run, "execute", lambda nb, folder: ("cell 1 of 1: no kernel\n  x", 0))
    good, said = doctor.judge()
    assert not good and said.splitlines() == [
        "Not yet. Before the workshop:",
        "  vgg16 is missing; do: python -m tlhelpers fetch vgg16 (65.5 MB)",
        "  a notebook does not run: cell 1 of 1: no kernel",
    ]


def test_the_notebook_that_is_tried_runs_in_a_kernel(tmp_path):
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(doctor.TRIED)])
    assert run.execute(nb, tmp_path)[0] == ""
    nb.cells[0].source = doctor.TRIED.replace("Dense(2)", "Dense(3)")
    assert "ValueError" in run.execute(nb, tmp_path)[0], "a training that fails is a failure"
