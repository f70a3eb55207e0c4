"""Doors to the lessons for Colab, Kaggle and Binder: a first cell that gets the course, and links.

notebooks, the address of a public copy -> notebooks that begin with that cell, a page of links
"""

import re
from pathlib import Path

from course.exercises import KERNEL

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

BRANCH = "doors"  # of the public copy, where these notebooks lie
MORE = ("statsmodels", "threadpoolctl")  # what lessons import beside the package's own needs
_FIRST = '''"""Run this cell once. It gets the course with its exact versions, in some minutes."""

import os
import subprocess
import sys

clone = ["git", "clone", "-q", "--depth=1", "{address}", "transfer-learning"]
if not os.path.isdir("transfer-learning"):
    subprocess.run(clone, check=True)
pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
pins = ["-c", "transfer-learning/requirements.txt"]
subprocess.run([*pip, *pins, "./transfer-learning[text]", {more}], check=True)
print("Now restart the session (its packages are others now), and go on with the cell below.")'''
_ADDRESS = re.compile(r"https://github\.com/([\w.-]+)/([\w.-]+?)(?:\.git)?/?")


def first_cell(address: str) -> str:
    """Return the code that gets the course from an address that git can clone."""
    return _FIRST.format(address=address, more=", ".join(f'"{name}"' for name in MORE))


def write_doors(address: str, notebooks: Path, target: Path) -> list[Path]:
    """Write each lesson with its first cell, and `README.md` with the links to all of them.

    Args:
        address: of the public copy, `https://github.com/OWNER/NAME`.
        notebooks: folder of the lessons.
        target: where; its files are to be the branch "doors" of the public copy.

    Returns:
        The notebooks.

    Raises:
        ValueError: another kind of address.
    """
    found = _ADDRESS.fullmatch(address)
    if not found:
        raise ValueError(
            "`address` must be https://github.com/OWNER/NAME, which Colab and Binder open. "
            f"Received: {address!r}."
        )
    place = "/".join(found.groups())
    target.mkdir(parents=True, exist_ok=True)
    written, rows = [], []
    for path in sorted(notebooks.glob("[0-9]*.ipynb")):
        nb = nbformat.read(path, as_version=4)
        title, *cells = nb.cells
        for cell in cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
                cell.metadata.pop("execution", None)
        here = [
            new_markdown_cell(f"# {title.source.splitlines()[0].strip('# ')}\n\n[Read it with its "
                              f"pictures and outputs](https://github.com/{place}).", id="door"),
            new_code_cell(first_cell(f"https://github.com/{place}"), id="get-the-course"),
        ]  # fmt: skip
        nbformat.write(
            new_notebook(cells=[*here, title, *cells], metadata={"kernelspec": KERNEL}),
            target / path.name,
        )
        written.append(target / path.name)
        raw = f"https://raw.githubusercontent.com/{place}/{BRANCH}/{path.name}"
        rows.append(
            f"| {path.stem} | [Colab](https://colab.research.google.com/github/{place}/blob/{BRANCH}"
            f"/{path.name}) | [Kaggle](https://kaggle.com/kernels/welcome?src={raw}) | [Binder]"
            f"(https://mybinder.org/v2/gh/{place}/{BRANCH}?labpath={path.name}) |\n"
        )
    text = "# Doors\n\nThe lessons, to run on other people's computers.\n\n"
    text += "| lesson | | | |\n|---|---|---|---|\n"
    (target / "README.md").write_text(text + "".join(rows), encoding="utf-8")
    (target / "runtime.txt").write_text("python-3.11\n", encoding="utf-8")  # Binder's
    return written
