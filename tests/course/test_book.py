"""The book: built once from the committed lessons and two of our own."""

import html
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlparse

import tlhelpers as tl
from course.book import build_book, duration, title_and_goal
from course.mathml import formula
from course.teaching import read_notes

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """The pages by their names, and what Sphinx said."""
    folder = tmp_path_factory.mktemp("a book")  # a space in the name is allowed
    lessons = folder / "lessons"
    lessons.mkdir()
    for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"):
        shutil.copy(path, lessons)
    figure = new_output("display_data", data={"image/png": "aGk="},
                        metadata={"image/png": {"alt": "a < b"}})  # fmt: skip
    table = new_output("execute_result", data={"text/markdown": "| a | b |\n|---|---|\n| 1 | 2 |",
                                               "text/plain": "a b"})  # fmt: skip
    failed = new_output("error", ename="ValueError", evalue="no", traceback=["ValueError: no"])
    text = "Why?\n\n<details><summary>Answer</summary>\n\nBe*cause*.\n\n</details>\n\nOn."
    cells = [
        new_markdown_cell("# A *good* one\n\nIts goal,\nin `one` line.\n\n## Goal\n\n- see"),
        new_markdown_cell("$\\frac{1}{2}$, see [it](01_vgg16_cifar10.ipynb)"),
        new_code_cell("figure", outputs=[figure], execution_count=1),
        new_code_cell("1 / 0", outputs=[failed], execution_count=2),
        new_code_cell("table", outputs=[table], execution_count=3),
        new_markdown_cell(text),
    ]
    nbformat.write(new_notebook(cells=cells), lessons / "39_own.ipynb")
    command = [sys.executable, "-m", "course", "pages", "--notebooks", str(lessons)]
    done = subprocess.run(
        [*command, "--build", str(folder / "build")], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    root = folder / "build" / "book"
    assert done.stdout.strip().endswith(str(root / "index.html"))
    pages = {str(p.relative_to(root)): p.read_text("utf-8") for p in root.rglob("*.html")}
    return pages, done.stderr, root


def test_sphinx_has_nothing_to_complain_of(book):
    told = [line for line in book[1].splitlines() if "WARNING" in line or "ERROR" in line]
    assert not told, "\n".join(told)


def test_every_lesson_recipe_and_public_name_has_its_place(book):
    pages, _, _ = book
    for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"):
        assert f'href="lessons/{path.stem}.html"' in pages["index.html"]
    for path in (ROOT / "notebooks" / "exercises").glob("[0-9]*.ipynb"):
        assert f'href="../lessons/{path.stem}.html"' in pages[f"exercises/{path.stem}.html"]
    for path in (ROOT / "recipes").glob("*.py"):
        assert f"recipes/{path.stem}.html" in pages
    said = "".join(text for name, text in pages.items() if name.startswith("reference/"))
    missing = [name for name in tl.__all__ if f'.{name}"' not in said]
    assert not missing


def test_nothing_is_asked_of_another_host(book):
    for name, text in book[0].items():
        loaded = re.findall(r'<(?:script|img|link|iframe)[^>]*(?:src|href)="([^"]+)"', text)
        assert not [it for it in loaded if urlparse(it).scheme not in ("", "data")], name
        assert "@import" not in text


def test_the_page_about_many_machines_says_what_was_measured(book):
    measured = json.loads((ROOT / "docs" / "measured" / "shards.json").read_text("utf-8"))
    page = book[0]["past_one_machine.html"]
    assert measured["machine"] in page and "<!-- costs -->" not in page
    assert page.count("<td") == 4 * 6
    assert 'href="past_one_machine.html"' in book[0]["index.html"]


def test_a_folder_of_other_files_is_not_emptied(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="holds other files"):
        build_book(ROOT / "notebooks", tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_every_link_leads_somewhere(book):
    pages, _, root = book
    ids = {name: set(re.findall(r'\bid="([^"]+)"', text)) for name, text in pages.items()}
    for name, text in pages.items():
        for link in re.findall(r'<a [^>]*href="([^"]+)"', text):
            target = urlparse(html.unescape(link))
            if target.scheme or target.netloc:
                continue
            there = (
                ((root / name).parent / unquote(target.path)).resolve()
                if target.path
                else root / name
            )
            assert there.exists(), f"{name}: {link}"
            page = str(there.relative_to(root))
            if target.fragment and page in ids:
                assert unquote(target.fragment) in ids[page] | {""}, f"{name}: {link}"


def test_every_picture_says_what_it_shows(book):
    for name, text in book[0].items():
        for picture in re.findall(r"<img [^>]*>", text):
            assert re.search(r'alt="[^"]+"', picture), f"{name}: {picture[:80]}"
    assert 'alt="a &lt; b"' in book[0]["lessons/39_own.html"]


def test_an_output_in_markdown_shows_its_table(book):
    assert re.search(r"<td>\s*(<p>)?2", book[0]["lessons/39_own.html"])
    assert not [name for name, text in book[0].items() if re.search(r"\|\s*(---|—)\s*\|", text)]


def test_formulas_are_mathml_and_links_lead_to_pages(book):
    page = book[0]["lessons/39_own.html"]
    assert "<mfrac>" in page and 'href="01_vgg16_cifar10.html"' in page
    assert "<math" in book[0]["reference/adaptation.html"]


def test_the_first_page_says_title_goal_and_whether_it_was_executed(book):
    linked = re.search(r'href="lessons/39_own.html">(.*?)</a>', book[0]["index.html"])
    assert re.sub("<[^>]+>", "", linked[1]) == "A good one"
    assert re.search(r"Its goal, in <code[^>]*>.*one.*</code> line", book[0]["index.html"])
    assert "not executed yet" in book[0]["lessons/39_own.html"]
    assert "ValueError" in book[0]["lessons/39_own.html"]
    assert re.search(r'class="facts">passed · \d+ min', book[0]["lessons/01_vgg16_cifar10.html"])


def test_every_answer_is_folded_until_it_is_asked_for(book):
    folded = re.compile(r"<details>\s*<summary>.*?</summary>(.*?)</details>", re.S)
    (answer,) = folded.findall(book[0]["lessons/39_own.html"])
    assert "<p>Be<em>cause</em>.</p>" in answer and "On." not in answer
    notes = read_notes(ROOT / "docs" / "room")
    for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"):
        nb = nbformat.read(path, 4)
        asked = sum(c.source.count("<details>") for c in nb.cells if c.cell_type == "markdown")
        asked += sum(len(one["options"]) for one in notes[path.stem]["quiz"])
        answers = folded.findall(book[0][f"lessons/{path.stem}.html"])
        assert len(answers) == asked and all(answer.strip() for answer in answers), path.name


def test_words_and_lines_to_copy_are_there(book):
    assert book[0]["glossary.html"].count("<dt ") > 30
    assert (
        book[0]["cheat_sheet.html"].count("The lesson</span>")
        or "fine_tune" in book[0]["cheat_sheet.html"]
    )


@pytest.mark.parametrize(
    ("tex", "holds"),
    [
        (r"\frac{a}{b}", "<mfrac>"),
        (r"\begin{aligned} a &= b \\ c &= d \end{aligned}", "<mtable"),
        (r"\unknown{x} < y", r"<code>\unknown{x} &lt; y</code>"),
        ("a & b", "<code>a &amp; b</code>"),
    ],
)
def test_formula(tex, holds):
    assert holds in formula(tex)


@pytest.mark.parametrize(
    ("source", "title", "goal"),
    [
        ("# T\n\nGoal.", "T", "Goal."),
        ("# T\nGoal\nhere.\n\nMore.", "T", "Goal here."),
        ("# `T`\n\n[![badge](x)](y)\n\n## Goal\n\nReal.", "T", "Real."),
        ("No heading.", "", "No heading."),
        ("", "", ""),
    ],
)
def test_title_and_goal(source, title, goal):
    assert title_and_goal(new_notebook(cells=[new_markdown_cell(source)])) == (title, goal)


def test_duration():
    assert [duration(s) for s in (0.4, 59.4, 59.6, 185)] == [
        "0 s",
        "59 s",
        "1 min 0 s",
        "3 min 5 s",
    ]


def test_a_teacher_finds_notes_slides_and_plans(book):
    pages, _, _ = book
    assert "Half a day" in pages["teaching/index.html"]
    for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"):
        assert f'href="../slides/{path.stem}.html"' in pages[f"teaching/{path.stem}.html"]
        assert "<section>" in pages[f"slides/{path.stem}.html"]
        assert pages[f"lessons/{path.stem}.html"].count('class="quiz"') == 3
    assert "slides/39_own.html" not in pages, "no cell of it is tagged"
