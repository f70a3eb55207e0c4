import base64
import re

from course.book import ROOT
from course.slides import make_slides

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

LESSONS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))


@pytest.fixture
def page(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.svg").write_text("<svg/>")
    figure = new_output("display_data", data={"image/png": "aGk="},
                        metadata={"image/png": {"alt": "a < b"}})  # fmt: skip
    printed = new_output("stream", text="x < 1\n")
    slide = {"tags": ["slide"]}
    cells = [
        new_markdown_cell("# T *one*\n\nGoal.\n\n## Idea\n\n![it](images/a.svg)\n\n## Set-up",
                          metadata=slide),
        new_markdown_cell("Not shown."),
        new_markdown_cell("## Result\n\nWhat it is, see [01](01_a.ipynb).\n\nMore of it."),
        new_code_cell("hidden = 1", metadata=slide, outputs=[figure]),
        new_code_cell("shown = 1", metadata={"tags": ["slide-code"]}, outputs=[printed]),
        new_code_cell("left_out"),
        new_markdown_cell("## Summary\n\nIt holds: $\\frac{1}{2}$\n\n## References\n\n- [A](b)",
                          metadata=slide),
    ]  # fmt: skip
    return make_slides(new_notebook(cells=cells), tmp_path)


def test_each_tagged_cell_is_a_slide_and_no_other(page):
    assert page.count("<section>") == 5
    for text in ("<h2>T <em>one</em></h2>", "<h2>Idea</h2>", "<h2>Summary</h2>", "1 of 5"):
        assert text in page
    assert page.count("<h2>Result</h2>") == 2
    for text in ("Not shown", "hidden", "left_out", "References", "Set-up", "More of it"):
        assert text not in page


def test_a_code_cell_shows_its_output_below_the_sentence_before_it(page):
    assert page.index("What it is, see 01.") < page.index('alt="a &lt; b"')
    assert page.index('class="n">shown') < page.index("<pre>x &lt; 1\n</pre>")


def test_pictures_are_inside_and_nothing_is_loaded(page):
    inside = base64.b64encode(b"<svg/>").decode()
    assert f'src="data:image/svg+xml;base64,{inside}"' in page and "<mfrac>" in page
    assert (
        '="http' not in page.replace('xmlns="http', "")
        and "<link" not in page
        and ' src="images' not in page
    )


def test_a_lesson_without_tags_has_no_slides(tmp_path):
    assert make_slides(new_notebook(cells=[new_markdown_cell("# T")]), tmp_path) == ""


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_has_slides_for_half_an_hour(path):
    page = make_slides(nbformat.read(path, 4), path.parent)
    assert 6 <= page.count("<section>") <= 20
    for heading in ("Goal", "The idea in one picture", "Summary"):
        assert f"<h2>{heading}</h2>" in page
    pictures = re.findall(r"<img [^>]*>", page)
    assert pictures and all(re.search(r'alt="[^"]', it) for it in pictures)
