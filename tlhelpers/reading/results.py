"""The folder of one run: what came out, how it was made, and what is left to do.

result.unfinished -> ( all is written here ) -> result: whole, or not there
"""

import json
import os
import platform
import shutil
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tlhelpers.checks.files import write_atomically
from tlhelpers.reading.figures import describe_figure
from tlhelpers.reading.reports import Printed, plain

_ABOUT = "run.json"
_PACKAGES = ("tlhelpers", "keras", "tensorflow", "keras-hub", "numpy")
_CURE = "Name another folder with --out, or delete this one."


class Results:
    """A folder that is filled beside its place, and moved there when the run is complete.

    Args:
        folder: the place, new or empty.
        about: what was asked, for JSON; a run that was ended is gone on with by the same alone.
        command: as it was typed.
        resume: go on with a run that was ended; without one, begin.

    Attributes:
        path: where to write: `folder` with ".unfinished" at its end.
        state: a folder in it for `fine_tune` and `GradualUnfreezing`; a finished run has none.

    Raises:
        ValueError: a place that is taken; a run that was ended there, without `resume`, or one
            that was asked for something else.

    Example:
        >>> results = Results("result", {"seed": 0}, "python train.py")
        >>> results.compare({"frozen": 0.6, "always the largest class": 0.1})
        frozen                      0.600
        always the largest class    0.100
        >>> results.finish("A classifier of pets")
        PosixPath('result')
        >>> sorted(path.name for path in results.folder.iterdir())
        ['MODEL_CARD.md', 'report.json', 'report.md', 'run.json']
    """

    def __init__(
        self, folder: str | os.PathLike, about: Mapping, command: str, resume: bool = False
    ):
        self.folder, self.about = Path(folder), json.loads(json.dumps(about))
        self.path = self.folder.with_name(f"{self.folder.name}.unfinished")
        self.state = self.path / "state"
        self.clock = time.perf_counter()
        self.content: dict[str, object] = {}
        self.sections: list[tuple[str, str]] = []
        _check_place(self.folder)
        _check_place(self.path, ours=True)
        if self.begun_before:
            self._check_same(resume)
        else:
            self.discard()
        self.path.mkdir(parents=True, exist_ok=True)
        packages = {name: found for name in _PACKAGES if (found := _version(name))}
        versions = {"python": platform.python_version(), **packages}
        run = {"command": command, "asked": self.about, "versions": versions}
        self._write(_ABOUT, json.dumps(run, indent=1) + "\n")

    @property
    def begun_before(self) -> bool:
        """Whether a training has left a state here, with which it can go on."""
        return self.state.is_dir() and any(self.state.iterdir())

    def discard(self) -> None:
        """Remove what a run has written that never came to a training."""
        if not self.begun_before and (self.path / _ABOUT).is_file():
            shutil.rmtree(self.path)

    def note(self, name: str, text: str, show: bool = False) -> None:
        """Keep what a part of the run says of itself: its data, its training; `show` prints it."""
        if show:
            print(text)
        self.content[name] = text
        self.sections.append((name, text.replace("\n", "  \n")))

    def compare(self, scores: Mapping[str, float]) -> None:
        """Keep and print the scores of a model and its controls, the model first.

        Where a control is as good, a sentence says so, on the screen and in the model card.
        """
        self.content["comparison"] = plain(dict(scores))
        (model, score), *controls = scores.items()
        better = ", ".join(name for name, control in controls if control >= score)
        verdict = f"\n{model.capitalize()}: no better here than {better}.\n" if better else ""
        rows = "".join(f"| {name} | {value:.3f} |\n" for name, value in scores.items())
        self.sections.append(("comparison", f"| | score |\n|---|---|\n{rows}{verdict}"))
        width = max(map(len, scores)) + 3
        print("\n".join(f"{name:<{width}} {value:.3f}" for name, value in scores.items()) + verdict)

    def report(self, report: Printed) -> None:
        """Keep and print what `evaluate` returned."""
        self.content["report"] = json.loads(report.to_json())
        self.sections.append(("report", report.to_markdown()))
        print(report)

    def figure(self, name: str, figure) -> None:
        """Keep a figure, with its alternative text, as `figures/NAME.png`."""
        file = f"figures/{name}.png"
        (self.path / "figures").mkdir(exist_ok=True)
        figure.savefig(self.path / file, dpi=100)
        alt = describe_figure(figure).replace("]", ")").replace("[", "(")
        self.sections.append((name, f"![{alt}]({file})"))

    def finish(self, title: str, limits: str = "") -> Path:
        """Write reports and model card, and move all to its place, which is returned."""
        self.content["seconds"] = round(time.perf_counter() - self.clock, 1)
        self._write("report.json", json.dumps(self.content, indent=1) + "\n")
        told = [f"## {name.capitalize()}\n\n{text.strip()}\n" for name, text in self.sections]
        self._write("report.md", "\n".join([f"# {title}: report\n", *told]))
        self._write("MODEL_CARD.md", self._card(title, limits))
        if self.folder.is_dir():
            self.folder.rmdir()  # it is empty
        os.replace(self.path, self.folder)
        shutil.rmtree(self.folder / self.state.name, ignore_errors=True)
        return self.folder

    def _card(self, title: str, limits: str) -> str:
        run = json.loads((self.path / _ABOUT).read_text(encoding="utf8"))
        short = [f"## {name.capitalize()}\n\n{text.strip()}\n" for name, text in self.sections
                 if not text.startswith("![")]  # fmt: skip
        versions = ", ".join(f"{name} {number}" for name, number in run["versions"].items())
        made = f"## How it was made\n\n    {run['command']}\n\nWith {versions}.\n"
        return "\n".join([f"# {title}\n", *short, f"## Limits\n\n{limits.strip()}\n", made])

    def _check_same(self, resume: bool) -> None:
        if not resume:
            raise ValueError(
                f"`--out` must be new. Received: --out {self.folder}, where a run was ended before "
                f"its end: {self.path}. Add --resume to go on with it, or delete that folder."
            )
        try:
            asked = json.loads((self.path / _ABOUT).read_text(encoding="utf8"))["asked"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"`--resume` needs a run that was begun here. Received: {self.path} without a "
                f"whole {_ABOUT}. Delete that folder, and start without --resume."
            ) from error
        if other := [name for name in self.about if asked.get(name) != self.about[name]]:
            was = ", ".join(f"{name}={asked.get(name)!r}" for name in other)
            now = ", ".join(f"{name}={self.about[name]!r}" for name in other)
            raise ValueError(
                f"`--resume` needs the options that the run began with. Received: {now}, and it "
                f"began with {was}. Give the same, or delete {self.path}."
            )

    def _write(self, name: str, text: str) -> None:
        write_atomically(self.path / name, lambda file: file.write(text.encode()))


def _check_place(folder: Path, ours: bool = False) -> None:
    """Refuse a place that is taken; `ours` may hold a run."""
    if folder.is_file():
        raise ValueError(f"`--out` must be a folder. Received: {folder}, a file. {_CURE}")
    if ours and (folder / _ABOUT).is_file():
        return
    if folder.is_dir() and any(folder.iterdir()):
        what = "a finished run" if (folder / _ABOUT).is_file() else "something else"
        raise ValueError(
            f"`--out` must be new or empty. Received: --out {folder}, which holds {what}. {_CURE}"
        )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
