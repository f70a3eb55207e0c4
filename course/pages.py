"""Write executed notebooks as pages that need no network, and an index over them.

nbconvert's own templates load scripts from other hosts, for formulas, widgets and diagrams. Here
its bare template gives the body. Formulas become MathML, which browsers draw themselves, and the
style is in the page.
"""

import html
import logging
import re
from dataclasses import dataclass
from pathlib import Path

from jinja2 import pass_context
from jinja2.runtime import Context
from latex2mathml.converter import convert
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode
from pygments.formatters import HtmlFormatter

STYLE = """
body { max-width: 54rem; margin: 0 auto; padding: 1rem; color: #222; line-height: 1.55;
  font-family: system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; overflow-wrap: break-word }
h1, h2, h3 { line-height: 1.25; margin: 1.6em 0 .5em }
h1 { font-size: 1.7rem } h2 { font-size: 1.3rem } h3 { font-size: 1.1rem }
a { color: #0b5cad } a.anchor-link, div.prompt { display: none }
img, svg { max-width: 100%; height: auto }
pre, code { font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace }
pre { margin: 0; padding: .6rem .8rem; overflow-x: auto; font-size: .85rem; line-height: 1.4 }
:not(pre) > code { background: #f2f4f6; padding: .1em .3em; border-radius: 3px; font-size: .9em }
div.input_area, div.text_cell_render pre { background: #f6f8fa; border-left: 3px solid #7aa7d6 }
div.cell { margin: .9rem 0 }
div.output_area { margin: .3rem 0; overflow-x: auto }
div.output_stderr pre, div.output_error pre { background: #fdf1f0; border-left: 3px solid #c0392b }
table { border-collapse: collapse; margin: .6rem 0; font-size: .9rem }
th, td { border-bottom: 1px solid #ddd; padding: .3rem .7rem; text-align: left }
blockquote { margin: .8rem 0; padding: .1rem 1rem; border-left: 3px solid #e0a800; color: #444 }
math[display=block] { margin: .8rem 0; overflow: auto hidden; padding: .2rem 0 }
.ansi-red-fg, .ansi-red-intense-fg { color: #b3261e } .ansi-green-fg { color: #1b6e3c }
.ansi-blue-fg { color: #0b5cad } .ansi-cyan-fg { color: #00707a } .ansi-bold { font-weight: bold }
ol.lessons { list-style: none; padding: 0 }
ol.lessons li { border: 1px solid #dfe3e8; border-radius: 8px; padding: .8rem; margin: .8rem 0 }
ol.lessons h2 { margin: 0; font-size: 1.1rem } ol.lessons p { margin: .35rem 0 }
.facts { color: #666; font-size: .9rem } .failed { border-left: 5px solid #c0392b !important }
.passed { border-left: 5px solid #2e8b57 !important }
"""


@dataclass(frozen=True)
class Entry:
    """What the index says about one executed notebook."""

    name: str
    title: str
    goal: str
    seconds: float
    peak_bytes: int
    failure: str = ""

    @property
    def facts(self) -> str:
        """Status, time and peak memory in one line."""
        status = "failed" if self.failure else "passed"
        return f"{status} · {duration(self.seconds)} · peak memory {self.peak_bytes / 2**20:.0f} MB"


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


def formula(tex: str, display: str = "inline") -> str:
    """Return a TeX formula as MathML, or its text in `<code>` where it has no translation."""
    tex = tex.strip()
    try:
        mathml = convert(re.sub(r"(begin|end)\{aligned\}", r"\1{align*}", tex), display=display)
    except Exception:  # the translator raises errors of any class
        mathml = "\\"
    if "\\" in mathml or "&</" in mathml:  # a command or a column mark left over
        return f"<code>{html.escape(tex)}</code>"
    return mathml


class _Renderer(IPythonRenderer):
    """Writes formulas as MathML, and leaves HTML that shows no picture as it was written."""

    def inline_math(self, body: str) -> str:
        return formula(body)

    def block_math(self, body: str) -> str:
        return formula(body, "block")

    def latex_environment(self, name: str, body: str) -> str:
        return formula(rf"\begin{{{name}}}{body}\end{{{name}}}", "block")

    def _html_embed_images(self, html: str) -> str:
        # The parser closes what a block leaves open: an answer would stand behind its <details>.
        return super()._html_embed_images(html) if "<img" in html else html


def _to_html(markdown: str, path: str = "", attachments: dict | None = None) -> str:
    """Return Markdown as HTML; its pictures are embedded from `path` or the attachments."""
    renderer = _Renderer(
        escape=False, embed_images=True, anchor_link_text="", path=path, attachments=attachments
    )
    return MarkdownWithMath(renderer=renderer).render(markdown)


class _Exporter(HTMLExporter):
    """Hands markdown cells to `_to_html`."""

    @pass_context
    def markdown2html(self, context: Context, source: str) -> str:
        path = context["resources"]["metadata"]["path"]
        cell = context.get("cell") or {}
        return _to_html(source, path=path, attachments=cell.get("attachments"))


def _page(title: str, body: str) -> str:
    body = re.sub(r'href="(\d[^"/:#]*)\.ipynb', r'href="\1.html', body)
    style = STYLE + HtmlFormatter(style="default").get_style_defs("div.highlight")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{style}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def write_page(nb: NotebookNode, target: Path, folder: Path) -> None:
    """Write an executed notebook as one self-contained page.

    Args:
        nb: the notebook.
        target: the page to write, `<name>.html`. Links to other lessons become links to their
            pages beside it.
        folder: the notebook's folder; pictures that its text names are embedded from there.
    """
    silent = logging.getLogger("course.pages")  # your own figure may have no alternative text
    silent.setLevel(logging.CRITICAL)
    exporter = _Exporter(template_name="basic", log=silent)
    resources = {"metadata": {"path": str(folder), "name": target.stem}}
    body, _ = exporter.from_notebook_node(nb, resources=resources)
    back = '<p class="facts"><a href="index.html">All notebooks</a></p>'
    target.write_text(_page(title_and_goal(nb)[0] or target.stem, back + body + back), "utf-8")


def write_index(entries: list[Entry], target: Path, note: str = "") -> None:
    """Write the page that lists the executed notebooks: title, goal, status, time, memory."""
    failed = sum(bool(e.failure) for e in entries)
    total = duration(sum(e.seconds for e in entries))
    summary = f"{len(entries)} notebooks executed, {failed or 'none'} failed, {total}. {note}"
    rows = [
        f'<li class="{"failed" if e.failure else "passed"}">'
        f'<h2><a href="{e.name}.html">{html.escape(e.title or e.name)}</a></h2>'
        f'{_to_html(e.goal)}<p class="facts">{e.name}.ipynb · {e.facts}</p>'
        + (f"<pre>{html.escape(e.failure)}</pre></li>" if e.failure else "</li>")
        for e in entries
    ]
    body = (
        f'<h1>Transfer learning with Keras: the course</h1>\n<p class="facts">{summary}</p>\n'
        f'<ol class="lessons">\n{chr(10).join(rows)}\n</ol>'
    )
    target.write_text(_page("Transfer learning with Keras", body), "utf-8")
