"""What all reports have in common: a text, a Markdown table, JSON."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import is_dataclass
from pathlib import Path

import numpy as np


class Printed:
    """A report that a notebook shows as a table; `rows` gives its cells, head first.

    `to_json` leaves out single predictions: the fields `probabilities`, `predicted` and `labels`.
    """

    def rows(self) -> list[list[str]]:
        """Return the cells of the table, the head first."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return str(self)

    def to_markdown(self) -> str:
        """Return the report as a Markdown table, and its text below."""
        head, *rows = (f"| {' | '.join(row)} |" for row in self.rows())
        line = "|" + "---|" * len(self.rows()[0])
        return "\n".join([head, line, *rows, "", str(self).replace("\n", "  \n")])

    def _repr_markdown_(self) -> str:
        return self.to_markdown()

    def to_json(self, path: str | Path | None = None) -> str:
        """Return the report as JSON, without the single predictions; write it where `path` says.

        A score that these samples leave undefined is null.
        """
        single = ("probabilities", "predicted", "labels")
        content = {name: plain(value) for name, value in vars(self).items() if name not in single}
        text = json.dumps(content, indent=1)
        if path is not None:
            Path(path).write_text(text + "\n", encoding="utf8")
        return text


def cells(name: str, scores: Iterable[float], samples: float) -> list[str]:
    """Return a row of a table: a name, scores, and a count.

    Example:
        >>> cells("cat", [0.5, float("nan")], 3)
        ['cat', '0.500', '-', '3']
    """
    shown = ["-" if math.isnan(score) else f"{score:.3f}" for score in scores]
    return [name, *shown, f"{samples:.0f}"]


def plain(value):
    """Return a value as JSON has it: lists for arrays, null for what is no number."""
    if is_dataclass(value):
        value = vars(value)
    if isinstance(value, Mapping):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return plain(value.tolist()) if isinstance(value, np.ndarray) else value
