"""`python -m course`."""

from course import doctor
from course.__main__ import main

import pytest


def test_doctor_prints_its_report(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "examine", lambda: "all well")
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out == "all well\n"


@pytest.mark.parametrize(
    "argv", [[], ["fletch"], ["run", "--notebooks", "nowhere"], ["pages", "--notebooks", "nowhere"]]
)
def test_wrong_use_exits_with_two(argv, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(argv)
    assert stopped.value.code == 2 and "usage:" in capsys.readouterr().err
