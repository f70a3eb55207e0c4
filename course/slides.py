"""Slides from a lesson's own cells: those that are tagged "slide".

a text: each of its sections is a slide; code: what it printed and drew, under its heading
"""

import base64
import html
import re
from pathlib import Path

from course.mathml import formula

from markdown_it import MarkdownIt
from nbformat import NotebookNode
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

SLIDE, WITH_CODE = "slide", "slide-code"  # the second shows the code, too
_NOT_SHOWN = ("Set-up", "Words", "Exercises", "References")  # sections that are no slides
_MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable("table")
_HEADING = re.compile(r"^#{1,2} +(.+?)\s*$", re.MULTILINE)
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
html {{ scroll-snap-type: y proximity; font: 1.35rem/1.45 system-ui, sans-serif; color-scheme: light dark }}
body {{ margin: 0; background: #fff }}
section {{ min-height: 100vh; box-sizing: border-box; padding: 4vh 6vw; scroll-snap-align: start; border-bottom: 1px solid #8886 }}
h2 {{ font-size: 1.7em; margin: 0 0 .6em; line-height: 1.2 }}
img {{ display: block; max-width: 100%; max-height: 68vh; background: #fff; margin: .5rem auto }}
pre {{ font-size: .72em; line-height: 1.35; overflow-x: auto }}
table {{ border-collapse: collapse; display: block; overflow-x: auto }} td, th {{ padding: .2em .6em; border-bottom: 1px solid #8886; text-align: left }}
footer {{ font-size: .6em; opacity: .7; margin-top: 1rem }}
@media (prefers-color-scheme: dark) {{ body {{ background: #131416; color: #ddd }} a {{ color: #8ab4f8 }} }}
@media print {{ section {{ page-break-after: always; min-height: 0 }} }}
{style}
</style></head><body>
{slides}
<script>
const all = [...document.querySelectorAll("section")];
const here = () => all.findIndex(one => one.getBoundingClientRect().bottom > innerHeight / 2);
addEventListener("keydown", press => {{
  const step = {{ArrowRight: 1, PageDown: 1, " ": 1, ArrowLeft: -1, PageUp: -1}}[press.key];
  if (!step || press.ctrlKey || press.metaKey) return;
  press.preventDefault();
  const box = all[here()].getBoundingClientRect(), rest = step > 0 ? box.bottom - innerHeight : box.top;
  if (step * rest > 8) return scrollBy(0, step * Math.min(step * rest, innerHeight * .85));  // a tall slide
  all[Math.min(all.length - 1, Math.max(0, here() + step))].scrollIntoView();
}});
</script></body></html>
"""  # noqa: E501


def make_slides(nb: NotebookNode, folder: Path) -> str:
    """Return the slides of a lesson as one page, with its pictures inside: arrow keys turn them.

    Args:
        nb: an executed lesson.
        folder: where its pictures lie, `images/...` from there.

    Returns:
        HTML; "" where no cell is tagged "slide".
    """
    slides: list[tuple[str, str]] = []
    title = heading = before = ""
    for cell in nb.cells:
        tags, text = cell.metadata.get("tags", []), cell.source
        if cell.cell_type == "markdown":
            if SLIDE in tags:
                slides += [(head, _render(body, folder)) for head, body in _sections(text, heading)]
            headings = _HEADING.findall(text)
            title = title or re.sub(r"[*`]", "", headings[0] if headings else "")
            heading = (headings or [heading])[-1]
            before = _HEADING.sub("", text).strip().split("\n\n")[0]
        elif SLIDE in tags or WITH_CODE in tags:
            said = _render(before, folder) if before else ""
            code = highlight(text, PythonLexer(), HtmlFormatter()) if WITH_CODE in tags else ""
            slides.append((heading, said + code + _outputs(cell)))
            before = ""
    shown = "\n".join(
        f"<section><h2>{_MARKDOWN.renderInline(head)}</h2>\n{body}"
        f"<footer>{html.escape(title)} · {number} of {len(slides)}</footer></section>"
        for number, (head, body) in enumerate(slides, 1)
    )
    style = HtmlFormatter().get_style_defs(".highlight") + ".highlight { background: none }"
    return _PAGE.format(title=html.escape(title), slides=shown, style=style) if slides else ""


def _sections(text: str, heading: str) -> list[tuple[str, str]]:
    """Return the sections of a text that have a body, each with its heading."""
    parts = _HEADING.split(text)
    pairs = [(heading, parts[0]), *zip(parts[1::2], parts[2::2], strict=True)]
    return [(head, body) for head, body in pairs if body.strip() and head not in _NOT_SHOWN]


def _render(text: str, folder: Path) -> str:
    """Return Markdown as HTML; formulas as MathML, pictures inside, links as their text."""
    text = re.sub(r"\$\$(.+?)\$\$", lambda it: formula(it[1], "block"), text, flags=re.DOTALL)
    text = re.sub(r"(?<![\\$])\$([^$\n]+)\$", lambda it: formula(it[1]), text)
    text = re.sub(r"(?<!!)\[([^\]]+)\]\([^)]*\)", r"\1", text)
    page = _MARKDOWN.render(text)
    return re.sub(r'src="(images/[^"]+)"', lambda it: f'src="{_inside(folder / it[1])}"', page)


def _inside(picture: Path) -> str:
    kind = {".svg": "svg+xml", ".png": "png"}[picture.suffix]
    return f"data:image/{kind};base64,{base64.b64encode(picture.read_bytes()).decode()}"


def _outputs(cell: NotebookNode) -> str:
    """Return what a cell printed and drew."""
    said = []
    for output in cell.outputs:
        data = output.get("data", {})
        if "image/png" in data:
            told = html.escape(output.metadata.get("image/png", {}).get("alt", ""))
            source = "".join(data["image/png"]).replace("\n", "")
            said.append(f'<img alt="{told}" src="data:image/png;base64,{source}">')
        elif text := output.get("text") or data.get("text/plain"):
            said.append(f"<pre>{html.escape(text)}</pre>")
    return "\n".join(said)
