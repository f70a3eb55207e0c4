"""`python -m course`."""

import subprocess
import sys

from course import desk, doctor
from course.__main__ import main

import pytest


def test_doctor_prints_its_report(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "examine", lambda: "all well")
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out == "all well\n"


@pytest.mark.parametrize(("well", "code"), [(True, 0), (False, 1)])
def test_the_doctor_answers_for_a_workshop_with_its_exit_code(well, code, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "judge", lambda: (well, "said"))
    assert main(["doctor", "--workshop"]) == code and capsys.readouterr().out == "said\n"


def test_the_lab_opens_the_desk_with_this_python(tmp_path, monkeypatch):
    called = []
    monkeypatch.setattr(desk, "lay_out", lambda *places: [])
    monkeypatch.setattr(subprocess, "call", lambda *how, **more: called.append((how, more)) or 3)
    assert main(["lab"]) == 3
    ((command,), more) = called[0]
    assert command[:4] == [sys.executable, "-m", "jupyterlab", "--preferred-dir=work"]
    assert more["env"]["JUPYTER_PREFER_ENV_PATH"] == "1"


@pytest.mark.parametrize(
    "argv", [[], ["fletch"], ["run", "--notebooks", "nowhere"], ["pages", "--notebooks", "nowhere"]]
)
def test_wrong_use_exits_with_two(argv, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(argv)
    assert stopped.value.code == 2 and "usage:" in capsys.readouterr().err
