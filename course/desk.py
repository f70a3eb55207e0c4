"""A learner's desk: `work/` holds copies of the lessons to write in; the lessons stay clean."""

import itertools
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from nbformat import read, write

_RESET = ("", "exercises")  # folders of what can be given back


def lay_out(notebooks: Path, work: Path) -> list[str]:
    """Copy each lesson, and each of its exercises, that isn't on the desk yet.

    What is there stays as the learner left it.

    Args:
        notebooks: folder of the lessons, `[0-9]*.ipynb`, with their pictures in `images/` and
            their `exercises/`.
        work: the desk, beside `notebooks` so that links in the lessons lead where they did; made
            when missing.

    Returns:
        The new copies, as paths from the desk.

    Raises:
        ValueError: `notebooks` holds no lesson.
    """
    lessons = sorted(notebooks.glob("[0-9]*.ipynb"))
    if not lessons:
        raise ValueError(
            f"`notebooks` must be a folder with lessons. Received: notebooks={str(notebooks)!r}. "
            "Run this where README.md is."
        )
    work.mkdir(parents=True, exist_ok=True)
    if (notebooks / "images").is_dir():
        shutil.copytree(notebooks / "images", work / "images", dirs_exist_ok=True)
    lessons += sorted(notebooks.glob("exercises/[0-9]*.ipynb"))
    names = [str(path.relative_to(notebooks)) for path in lessons]
    new = [name for name in names if not (work / name).exists()]
    for name in new:
        (work / name).parent.mkdir(exist_ok=True)
        _copy(notebooks / name, work / name)
    return new


def put_back(lesson: str, notebooks: Path, work: Path) -> tuple[Path, Path | None]:
    """Lay a fresh copy of one lesson on the desk, and keep the learner's beside it.

    Args:
        lesson: its number or name: "02", "01b", "02_strategies"; "exercises/02" for its exercises.
        notebooks, work: as in `lay_out`.

    Returns:
        The fresh copy, and where the learner's went; None where there was none.

    Raises:
        ValueError: no lesson has this number or name.
    """
    folder, _, name = lesson.removesuffix(".ipynb").rpartition("/")
    there = sorted((notebooks / folder).glob("[0-9]*.ipynb")) if folder in _RESET else []
    found = [path for path in there if name in (path.stem, path.stem.partition("_")[0])]
    if len(found) != 1:
        lessons = sorted(notebooks.glob("[0-9]*.ipynb"))
        numbers = ", ".join(path.stem.partition("_")[0] for path in lessons)
        raise ValueError(
            f"`lesson` must be the number of a lesson: {numbers}. Received: lesson={lesson!r}. "
            "For instance: make reset LESSON=02, or LESSON=exercises/02"
        )
    (work / folder).mkdir(parents=True, exist_ok=True)
    mine, kept = work / folder / found[0].name, None
    if mine.exists():
        names = (mine.with_suffix(f".before-{number}.ipynb") for number in itertools.count(1))
        kept = next(path for path in names if not path.exists())
        mine.rename(kept)
    _copy(found[0], mine)
    return mine, kept


def open_lab(work: Path) -> int:
    """Open the desk in JupyterLab, with this Python as its kernel; return its exit code."""
    command = [sys.executable, "-m", "jupyterlab", f"--FileContentsManager.preferred_dir={work}",
               "--ServerApp.log_level=WARN"]  # fmt: skip
    if hasattr(os, "geteuid") and os.geteuid() == 0:  # in a container
        command.append("--allow-root")
    print("JupyterLab opens in your browser (else: the address below). Ctrl-C twice ends it.",
          flush=True)  # fmt: skip
    signal.signal(signal.SIGINT, lambda *_: None)  # the server has it, too, and asks what to do
    tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = {**os.environ, "PATH": tools, "JUPYTER_PREFER_ENV_PATH": "1"}
    with subprocess.Popen(command, env=environment) as server:
        signal.signal(signal.SIGTERM, lambda *_: server.terminate())
        return server.wait()


def _copy(lesson: Path, copy: Path) -> None:
    """Copy a lesson without its outputs: who runs it sees what is new."""
    nb = read(lesson, as_version=4)
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            cell.metadata.pop("execution", None)
    part = copy.with_suffix(".part")
    write(nb, part)
    part.replace(copy)
