"""What a teacher needs beside the lessons: notes, plans, quizzes; `docs/room/` holds them.

docs/room/NN_topic.toml, times of the executed cells -> a page of notes, a quiz below the lesson
"""

import html
import re
import tomllib
from datetime import datetime
from pathlib import Path

from course.exercises import ROOT

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

_BEFORE = """The lessons need no network in the room, if all was fetched before.

1. **A week before.** `make classroom` packs the course, all packages, weights, data and this book into one file. `--kinds linux macos windows --pythons 3.11 3.12` names the computers that will be there. Put it on a stick or a server in the room. `START_HERE.md` in it says what to type.
2. **The day before.** On one computer of each kind: unpack it, and run `python -m course doctor --workshop` in its environment. It answers yes, or what to do.
3. **In the room.** `make lab` opens each learner's own copy. The lessons stay clean. `make reset LESSON=02` gives one back and keeps theirs beside it.

Numbers differ between computers, in the second or third digit. Without CIFAR-10 on the teacher's computer they differ more: Fashion-MNIST stands in, and a line says so. `tlhelpers fetch --all` says which data could not be had.

"""  # noqa: E501


def read_notes(folder: Path) -> dict[str, dict]:
    """Return the notes of each lesson by its name, in order."""
    return {path.stem: tomllib.loads(path.read_text("utf-8"))
            for path in sorted(folder.glob("[0-9]*.toml"))}  # fmt: skip


def read_plans(folder: Path) -> list[dict]:
    """Return the plans for half a day and more."""
    return tomllib.loads((folder / "plans.toml").read_text("utf-8"))["plan"]


def seconds_by_heading(nb: NotebookNode) -> dict[str, float]:
    """Return how long the cells below each `## heading` ran when they were executed last."""
    found, heading = {"": 0.0}, ""
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            for heading in re.findall(r"^## +(.+?)\s*$", cell.source, re.MULTILINE):
                found.setdefault(heading, 0.0)
            continue
        stamps = [datetime.fromisoformat(it) for it in cell.metadata.get("execution", {}).values()]
        if stamps:
            found[heading] += (max(stamps) - min(stamps)).total_seconds()
    return found


def add_quiz(nb: NotebookNode, notes: dict) -> None:
    """Put the quiz of a lesson before its exercises, else at its end: no network, no script."""
    lines = ["## Quiz", "", "Click an answer: it says whether it is right, and why."]
    for number, one in enumerate(notes.get("quiz", []), 1):
        lines += ["", f'<div class="quiz"><p>{number}. {_inline(one["question"])}</p>']
        for option in one["options"]:
            kind, word = ("right", "Right. ") if option.get("right") else ("wrong", "No. ")
            lines.append(
                f"<details><summary>{_inline(option['text'])}</summary>"
                f'<p class="{kind}">{word}{_inline(option["why"])}</p></details>'
            )
        lines.append("</div>")
    quiz = new_markdown_cell("\n".join(lines), id="quiz")
    for number, cell in enumerate(nb.cells):
        before, heading, after = f"\n{cell.source}\n".partition("\n## Exercises\n")
        if cell.cell_type == "markdown" and heading:
            parts = [(before, cell.id), (heading + after, "exercises")]
            nb.cells[number : number + 1] = [
                new_markdown_cell(text.strip("\n"), id=name, metadata=cell.metadata)
                for text, name in parts if text.strip()
            ]  # fmt: skip
            nb.cells.insert(number + bool(before.strip()), quiz)
            return
    nb.cells.append(quiz)


def write_teaching(
    folder: Path, plans: list[dict], lessons: dict[str, tuple[str, NotebookNode, dict]]
) -> None:
    """Write a page of notes for each lesson, name -> (title, notebook, notes), and the plans."""
    folder.mkdir()
    minutes = {name: minutes_of(nb, notes)[0] for name, (_, nb, notes) in lessons.items()}
    titles = {name: title for name, (title, _, _) in lessons.items()}
    for name, (title, nb, notes) in lessons.items():
        (folder / f"{name}.md").write_text(notes_page(name, title, nb, notes), "utf-8")
    text = "# For the teacher\n\n" + _BEFORE
    shown = [plan for plan in plans
             if {block["lesson"] for day in plan["days"] for block in day if "lesson" in block}
             <= lessons.keys()]  # fmt: skip
    text += "\n".join(plan_page(plan, minutes, titles) for plan in shown)
    listed = "\n".join(lessons)
    text += f"\n## Notes for each lesson\n\n```{{toctree}}\n:maxdepth: 1\n\n{listed}\n```\n"
    (folder / "index.md").write_text(text, "utf-8")


def notes_page(name: str, title: str, nb: NotebookNode, notes: dict) -> str:
    """Return a lesson's page for the teacher as Markdown."""
    seconds = seconds_by_heading(nb)
    taught, computed = minutes_of(nb, notes)
    parts = "".join(
        f"- **{part['heading']}**, {part['minutes']} min{_time(seconds.get(part['heading'], 0))}. "
        f"{part['say']}\n"
        for part in notes["parts"]
    )
    aims = "".join(f"- {aim}\n" for aim in notes["aims"])
    ask = "".join(f"- Before *{one['before']}*: **{one['question']}** {one['expect']}\n"
                  for one in notes["ask"])  # fmt: skip
    wrong = "".join(f"| {one['sign']} | {one['cure']} |\n" for one in notes["wrong"])
    return (
        f"# Notes: {title}\n\n[The lesson](../lessons/{name}.ipynb), with the outputs that you"
        f' should see, and <a href="../slides/{name}.html">its slides</a>.'
        f" {taught} minutes in the room; its cells compute for {computed:.1f} minutes on two "
        f"cores, while you talk.\n\n{_exercises(name)}## Aims\n\n{aims}\n"
        f"## Part by part\n\n{parts}\n## Questions to ask\n\n{ask}\n## What goes wrong\n\n"
        f"| you see or hear | do or say |\n|---|---|\n{wrong}"
    )


def minutes_of(nb: NotebookNode, notes: dict) -> tuple[int, float]:
    """Return the minutes of a lesson in the room, and those that its cells compute."""
    return (sum(part["minutes"] for part in notes["parts"]),
            sum(seconds_by_heading(nb).values()) / 60)  # fmt: skip


def plan_page(plan: dict, minutes: dict[str, int], titles: dict[str, str]) -> str:
    """Return a plan as Markdown: when each block begins, on each day.

    A block is a lesson by its name, with its own minutes or those given, or anything else.
    """
    text = f"## {plan['title']}\n\n{plan['for']}\n"
    for number, day in enumerate(plan["days"], 1):
        text += f"\n| {f'day {number}' if len(plan['days']) > 1 else 'from'} | minutes | what |\n"
        text += "|---|---|---|\n"
        clock = 60 * plan["begins"]
        for block in day:
            name = block.get("lesson", "")
            lasts = block.get("minutes") or minutes[name]
            what = f"[{titles[name]}]({name}.md)" if name else ""
            what = ". ".join(filter(None, [what, block.get("what", "")]))
            text += f"| {clock // 60}:{clock % 60:02} | {lasts} | {what} |\n"
            clock += lasts
        text += f"| {clock // 60}:{clock % 60:02} | | The end |\n"
    return text


def _exercises(name: str) -> str:
    """Return what a teacher has to know about the exercises of a lesson; "" where it has none."""
    path = ROOT / "notebooks" / "solutions" / f"{name}.ipynb"
    if not path.is_file():
        return ""
    nb = nbformat.read(path, as_version=4)
    tasks = [found[1] for cell in nb.cells if (found := re.match(r"## \d (.+)", cell.source))]
    minutes = sum(seconds_by_heading(nb).values()) / 60
    listed = "".join(f"- {task}\n" for task in tasks)
    return (
        f"[Exercises](../exercises/{name}.ipynb): {len(tasks)} tasks, not counted above; "
        f"the answers compute for {minutes:.1f} minutes. They are in "
        f"`notebooks/solutions/{name}.ipynb`, with reasons.\n\n{listed}\n"
    )


def _time(seconds: float) -> str:
    return "" if seconds < 1 else f" (its cells compute for {seconds:.0f} s)"


def _inline(text: str) -> str:
    """Return a line as HTML; what stands in backticks is code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text, quote=False))
