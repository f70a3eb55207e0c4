"""The exercises: made from `notebooks/solutions/` by leaving the answers out.

solutions/00_start_here.ipynb -> [ cells tagged "answer" go ] -> exercises/00_start_here.ipynb

The check of a task is one cell there: no part of it can be left out, or be of an earlier answer.
"""

from pathlib import Path

import nbformat
from nbformat import NotebookNode

ROOT = Path(__file__).parents[1]
ANSWER, CHECK = "answer", "check"
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


def without_answers(nb: NotebookNode, name: str = "") -> NotebookNode:
    """Return a notebook of solutions as one of exercises, without answers and without outputs.

    Args:
        nb: the solutions.
        name: of their file; the last cell says where they are.

    Raises:
        ValueError: a notebook without any cell tagged "answer".
    """
    kept = [cell for cell in nb.cells if ANSWER not in cell.metadata.get("tags", [])]
    if len(kept) == len(nb.cells):
        raise ValueError(
            'A notebook of solutions must have cells tagged "answer". Received: none among '
            f"{len(nb.cells)} cells. Tag what a learner is to write."
        )
    cells: list[NotebookNode] = []
    for cell in kept:
        one = nbformat.from_dict(cell)
        if one.cell_type == "code":
            one.outputs, one.execution_count = [], None
            one.metadata.pop("execution", None)
        if cells and all(CHECK in each.metadata.get("tags", []) for each in (one, cells[-1])):
            cells[-1].source += f"\n\n\n{one.source}"
        else:
            cells.append(one)
    if name:
        text = f"## Answers\n\nThey are in `notebooks/solutions/{name}`, with the reasons."
        cells.append(nbformat.v4.new_markdown_cell(text, id="answers"))
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": KERNEL})


def write_exercises(solutions: Path, exercises: Path) -> list[Path]:
    """Write the exercises of every notebook of solutions; one that is up to date isn't touched.

    Returns:
        The notebooks that were written.
    """
    exercises.mkdir(parents=True, exist_ok=True)
    written = []
    for path in sorted(solutions.glob("[0-9]*.ipynb")):
        nb = without_answers(nbformat.read(path, as_version=4), path.name)
        text = nbformat.writes(nb) + "\n"
        target = exercises / path.name
        if not target.exists() or target.read_text("utf-8") != text:
            target.write_text(text, "utf-8")
            written.append(target)
    return written
