"""The book: lessons, recipes and reference as pages that need no network.

notebooks, docs/, recipes/, docstrings -> sources -> [ Sphinx ] -> pages
"""

import ast
import inspect
import re
import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from benchmarks.report import write_how_fast
from course.costs import MARK, read_measured, say_costs
from course.slides import make_slides
from course.teaching import add_quiz, read_notes, read_plans, write_teaching

import nbformat
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parent.parent
SHELVES = {"The course": range(10), "Vision": range(10, 20), "Language": range(20, 30),
           "Signals and sequences": range(30, 40)}  # fmt: skip
STEPS = {"sources": "Get data and weights", "models": "Put a head on a base",
         "tuning": "Choose what learns, and train", "scores": "Numbers from features and answers",
         "adaptation": "Adapt to a domain without labels", "choosing": "Choose a network and a way",
         "reading": "Look at a trained model, keep it", "checks": "Seeds"}  # fmt: skip


def duration(seconds: float) -> str:
    """Return a time as people say it: "48 s", "3 min 5 s"."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def title_and_goal(nb: NotebookNode) -> tuple[str, str]:
    """Return the heading of a notebook's first cell and the paragraph that follows it."""
    source = nb.cells[0].source if nb.cells else ""
    heading = re.search(r"^# +(.+)$", source, re.MULTILINE)
    rest = source[heading.end() :] if heading else source
    paragraphs = [" ".join(p.split()) for p in re.split(r"\n\s*\n", rest)]
    goal = next((p for p in paragraphs if p and not p.startswith(("#", "[!", "!["))), "")
    return re.sub(r"[*`]", "", heading[1]).strip() if heading else "", goal


def facts_of(nb: NotebookNode) -> str:
    """Say from a notebook's own cells whether and for how long it was executed."""
    said = [cell.metadata.get("execution", {}).values() for cell in nb.cells]
    stamps = [datetime.fromisoformat(stamp) for each in said for stamp in each]
    if not stamps:
        return "not executed yet"
    return f"passed · {duration((max(stamps) - min(stamps)).total_seconds())}"


def build_book(lessons: Path, pages: Path, facts: Mapping[str, str] | None = None) -> Path:
    """Build the book from executed notebooks.

    Args:
        lessons: folder of the notebooks, `[0-9]*.ipynb`; their pictures are in `images/` beside
            them or in `notebooks/` of this checkout.
        pages: folder to write to, emptied first.
        facts: a line about each notebook by its name, e.g. "passed · 48 s"; from its own cells
            where it has none.

    Returns:
        The first page.

    Raises:
        ValueError: no notebook in `lessons`; `pages` is a folder with other files.
        RuntimeError: Sphinx ended with an error, which it has printed.
    """
    from sphinx.cmd.build import build_main

    if not any(lessons.glob("[0-9]*.ipynb")):
        raise ValueError(
            f"`lessons` must be a folder with notebooks named like 01_name.ipynb. Received: "
            f"lessons={str(lessons)!r}. Run this where README.md is, or name the folder."
        )
    if pages.is_dir() and any(pages.iterdir()) and not (pages / ".buildinfo").exists():
        raise ValueError(
            f"`pages` must be a new or empty folder, or an earlier book. Received: "
            f"pages={str(pages)!r}, which holds other files. Name another one."
        )
    sources = pages.with_name(pages.name + "-sources")
    for folder in (pages, sources):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "docs", sources, ignore=shutil.ignore_patterns("room", "measured"))
    _write_costs(sources / "past_one_machine.md")
    write_how_fast(ROOT / "docs" / "measured" / "bench.json", sources / "how_fast.md")
    listed = _lay_out_lessons(lessons, sources, facts or {})
    listed += _lay_out_exercises(sources / "exercises")
    _write_recipes(sources / "recipes")
    _write_reference(sources / "reference")
    with (sources / "index.md").open("a", encoding="utf-8") as index:
        index.write(listed)
    quiet = ["-q", "-E", "-d", str(sources / ".doctrees"), "-c", str(sources)]
    if build_main([*quiet, str(sources), str(pages)]):
        raise RuntimeError(f"The book could not be built from {sources}: the reason is above.")
    _write_slides(lessons, pages / "slides")
    shutil.rmtree(pages.with_name("jupyter_execute"), ignore_errors=True)  # myst-nb's leftovers
    return pages / "index.html"


def _write_costs(page: Path) -> None:
    """Put what was measured, and what follows from it, into the page about many machines."""
    said = say_costs(read_measured(ROOT / "docs" / "measured" / "shards.json"))
    page.write_text(page.read_text("utf-8").replace(MARK, said), "utf-8")


def _write_slides(lessons: Path, folder: Path) -> None:
    """Write the slides of each lesson that a teacher's page leads to."""
    folder.mkdir()
    for path in sorted(lessons.glob("[0-9]*.ipynb")):
        if page := make_slides(nbformat.read(path, as_version=4), ROOT / "notebooks"):
            (folder / f"{path.stem}.html").write_text(page, "utf-8")


def _lay_out_lessons(lessons: Path, sources: Path, facts: Mapping[str, str]) -> str:
    """Copy the notebooks as the book needs them, and return the list of them as Markdown."""
    folder, found, taken = sources / "lessons", [], []
    notes, taught = read_notes(ROOT / "docs" / "room"), {}
    shutil.copytree(ROOT / "notebooks" / "images", folder / "images")
    if (lessons / "images").is_dir():
        shutil.copytree(lessons / "images", folder / "images", dirs_exist_ok=True)
    for path in sorted(lessons.glob("[0-9]*.ipynb")):
        nb = nbformat.read(path, as_version=4)
        said = facts.get(path.stem) or facts_of(nb)
        found.append((path.stem, *title_and_goal(nb), said))
        taken.append(f"## {found[-1][1]}\n\n[The lesson](lessons/{path.name})\n\n{_to_copy(nb)}")
        if path.stem in notes:
            add_quiz(nb, notes[path.stem])
            taught[path.stem] = found[-1][1], nb, notes[path.stem]
        nbformat.write(_for_the_book(nb, said), folder / path.name)
    write_teaching(sources / "teaching", read_plans(ROOT / "docs" / "room"), taught)
    (sources / "glossary.md").write_text(_words(), "utf-8")
    sheet = "# Cheat sheet\n\nFrom each lesson the lines to copy into your own project.\n\n"
    (sources / "cheat_sheet.md").write_text(sheet + "\n\n".join(taken) + "\n", "utf-8")
    rows = "".join(f"| [{title or name}](lessons/{name}.ipynb) | {goal} | {said} |\n"
                   for name, title, goal, said in found)  # fmt: skip
    trees = [_tree(shelf, [f"lessons/{name}" for name, *_ in found
                           if int(re.findall(r"^\d+", name)[0]) in numbers])
             for shelf, numbers in SHELVES.items()]  # fmt: skip
    trees.append(_tree("To teach", ["teaching/index"]))
    behind = ["cheat_sheet", "what_goes_wrong", "how_fast", "past_one_machine", "glossary"]
    behind += ["recipes/index", "reference/index"]
    trees.append(_tree("To look things up", behind))
    return f"\n| lesson | what it does | last run |\n|---|---|---|\n{rows}\n{''.join(trees)}"


def _lay_out_exercises(folder: Path) -> str:
    """Copy the exercises, whose links lead to the lessons of the book, and list them."""
    folder.mkdir()
    names = []
    for path in sorted((ROOT / "notebooks" / "exercises").glob("[0-9]*.ipynb")):
        nb = nbformat.read(path, as_version=4)
        for cell in nb.cells:
            cell.source = cell.source.replace("](../", "](../lessons/")
        nbformat.write(nb, folder / path.name)
        names.append(f"exercises/{path.stem}")
    return _tree("Exercises", names)


def _tree(caption: str, pages: list[str]) -> str:
    listed = "\n".join(pages)
    return f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{listed}\n```\n" if pages else ""


def _for_the_book(nb: NotebookNode, facts: str) -> NotebookNode:
    """Return a notebook with a line about its execution, and what each figure shows beside it."""
    nb.metadata.setdefault("language_info", {"name": "python", "pygments_lexer": "ipython3"})
    for cell in nb.cells:
        cell.source = cell.source.replace("](exercises/", "](../exercises/")
        kinds = [kind for output in cell.get("outputs", []) for kind in _metadata(output)]
        told = [kind["alt"] for kind in kinds if kind.get("alt")]
        if told:
            cell.metadata["mystnb"] = {"image": {"alt": told[0]}}
    if nb.cells and nb.cells[0].cell_type == "markdown":
        line = f'\n\n<p class="facts">{facts}</p>\n'
        nb.cells[0].source = re.sub(r"^# .+$", r"\g<0>" + line, nb.cells[0].source, count=1,
                                    flags=re.MULTILINE)  # fmt: skip
    return nb


def _metadata(output: NotebookNode) -> list[Mapping]:
    """Return what an output says about each of its forms."""
    return [kind for kind in output.get("metadata", {}).values() if isinstance(kind, Mapping)]


def _to_copy(nb: NotebookNode) -> str:
    """Return the cell to copy as Markdown."""
    cells = [c.source for c in nb.cells if "copy-me" in c.metadata.get("tags", [])]
    return "\n\n".join(f"```python\n{source}\n```" for source in cells)


def _words() -> str:
    """Return the table of words of the first lesson as a glossary."""
    nb = nbformat.read(ROOT / "notebooks" / "00_start_here.ipynb", as_version=4)
    rows = re.findall(r"^\| (\*\*.+?) \| (.+?) \|$", "\n".join(c.source for c in nb.cells), re.M)
    text = "# Glossary\n\n```{glossary}\n"
    for words, meaning in sorted(rows, key=lambda row: row[0].lower()):
        text += "\n".join(w.strip(" *") for w in words.split(",")) + f"\n  {meaning}\n\n"
    return text + "```\n"


def _write_recipes(folder: Path) -> None:
    """Write a page for each recipe: what it says of itself, and its code."""
    folder.mkdir()
    names = sorted(path.stem for path in (ROOT / "recipes").glob("*.py"))
    for name in names:
        path = ROOT / "recipes" / f"{name}.py"
        said = inspect.cleandoc(ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "")
        first, _, rest = said.partition("\n")
        rest = re.sub(r"(?m)^ {4}.+(?:\n {4}.+)*", _as_code, rest)
        code = f"```python\n{path.read_text('utf-8')}\n```"
        (folder / f"{name}.md").write_text(f"# {name}\n\n{first}\n{rest}\n\n{code}\n", "utf-8")
    text = ("# Recipes\n\nOne file for each task, made for your own pictures, texts and tables. "
            "`tlhelpers recipe NAME > NAME.py` writes it where you are.\n")  # fmt: skip
    listed = "\n".join(names)
    text += f"\n```{{toctree}}\n:maxdepth: 1\n\n{listed}\n```\n"
    (folder / "index.md").write_text(text, "utf-8")


def _as_code(lines: re.Match) -> str:
    return f"```\n{inspect.cleandoc(lines[0])}\n```"


def _write_reference(folder: Path) -> None:
    """Write a page for each step of the work with all public names of its folder."""
    import tlhelpers as tl

    folder.mkdir()
    steps: dict[str, list[str]] = {step: [] for step in STEPS}
    for name in sorted(tl.__all__, key=str.lower):
        found = getattr(tl, name)
        module = getattr(found, "__module__", None) or found.__name__
        steps[module.split(".")[1]].append(name)
    for step, names in steps.items():
        text = f"# {STEPS[step]}\n\n`tlhelpers.{step}`\n\n```{{eval-rst}}\n"
        for name in names:
            found = getattr(tl, name)
            kind = "class" if inspect.isclass(found) else "function"
            if inspect.ismodule(found):
                text += f".. automodule:: {found.__name__}\n   :members:\n\n"
                continue
            text += f".. auto{kind}:: {found.__module__}.{found.__qualname__}\n"
            text += "   :members:\n\n" if kind == "class" else "\n"
        (folder / f"{step}.md").write_text(text + "```\n", "utf-8")
    listed = "\n".join(step for step, names in steps.items() if names)
    text = "# Reference\n\nAll public names, by the step of the work: `import tlhelpers as tl`.\n"
    text += f"\n```{{toctree}}\n:maxdepth: 2\n\n{listed}\n```\n"
    (folder / "index.md").write_text(text, "utf-8")
