"""`python -m course`."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from course import desk, doctor
from course.__main__ import main

import pytest

ROOT = Path(__file__).parents[2]


def test_doctor_prints_its_report(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "examine", lambda: "all well")
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out == "all well\n"


@pytest.mark.parametrize(("well", "code"), [(True, 0), (False, 1)])
def test_the_doctor_answers_for_a_workshop_with_its_exit_code(well, code, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "judge", lambda: (well, "said"))
    assert main(["doctor", "--workshop"]) == code and capsys.readouterr().out == "said\n"


def test_the_lab_opens_the_desk_with_this_python(monkeypatch):
    opened = []
    monkeypatch.setattr(desk, "lay_out", lambda *places: [])
    monkeypatch.setattr(desk, "open_lab", lambda work: opened.append(work) or 3)
    assert main(["lab"]) == 3 and opened == [Path("work")]


LAB = """
import os, signal, sys

signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
print(sys.argv[1:], os.environ["JUPYTER_PREFER_ENV_PATH"], flush=True)
for _ in range(2):  # the first Ctrl-C is a question
    signal.sigwait([signal.SIGINT])
    print("asked", flush=True)
sys.exit(5)
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 5), (signal.SIGTERM, -signal.SIGTERM)])
def test_what_ends_the_lab_reaches_the_server(sent, code, tmp_path):
    (tmp_path / "jupyterlab.py").write_text(LAB)
    program = "from course.desk import open_lab; print(open_lab('work'))"
    lab = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"}, cwd=tmp_path, process_group=0,
    )  # fmt: skip
    assert "Ctrl-C" in lab.stdout.readline()
    assert "FileContentsManager.preferred_dir=work" in (up := lab.stdout.readline()), up
    assert up.endswith("1\n")
    if sent == signal.SIGINT:  # a terminal sends it to both
        for _ in range(2):
            os.killpg(lab.pid, sent)
            assert lab.stdout.readline() == "asked\n"
    else:
        lab.send_signal(sent)
    assert (lab.stdout.read(), lab.stderr.read()) == (f"{code}\n", "")
    assert lab.wait() == 0


@pytest.mark.parametrize(
    "argv", [[], ["fletch"], ["run", "--notebooks", "nowhere"], ["pages", "--notebooks", "nowhere"]]
)
def test_wrong_use_exits_with_two(argv, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(argv)
    assert stopped.value.code == 2 and "usage:" in capsys.readouterr().err
