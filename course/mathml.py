"""Formulas of lessons and docstrings as MathML, which browsers draw themselves: no network."""

import html
import re

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx


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


def _write(display: str):
    def visit(translator, node: nodes.Node) -> None:
        translator.body.append(formula(node.astext(), display))
        raise nodes.SkipNode

    return visit


def _mark(app, what, name, found, options, lines: list[str]) -> None:
    """Mark the formulas of a docstring, which stand between dollars as they do in a lesson."""
    text = re.sub(r"\$\$([^$]+)\$\$", _block, "\n".join(lines))
    lines[:] = re.sub(r"\$([^$]+)\$", r":math:`\1`", text).split("\n")


def _block(found: re.Match) -> str:
    return f".. math:: {' '.join(found[1].split())}\n"


def setup(app: Sphinx) -> dict[str, bool]:
    """Give Sphinx the renderer "mathml"."""
    app.add_html_math_renderer("mathml", (_write("inline"), None), (_write("block"), None))
    app.connect("autodoc-process-docstring", _mark)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
