"""Sphinx's settings for the book. What it is made of is laid out by `course/book.py`."""

project = "Transfer learning with Keras"
author = "its contributors"
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "course.mathml",
]
default_role = "code"  # as in Markdown: `name`
exclude_patterns = [".doctrees"]
nb_execution_mode = "off"  # `make course` executes; the book shows
nb_merge_streams = True
nb_render_markdown_format = "gfm"  # with tables, which CommonMark has not
nb_mime_priority_overrides = [("html", "image/png", 1), ("html", "text/html", 2)]
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
suppress_warnings = [
    "myst.xref_missing"
]  # a part of the lessons can be a book; a test follows links
autodoc_typehints = "none"  # the signature has them
napoleon_google_docstring = True
napoleon_numpy_docstring = False
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True
html_theme = "furo"
html_title = project
html_math_renderer = "mathml"
html_static_path = ["_static"]
html_css_files = ["book.css"]
html_show_sphinx = html_show_copyright = html_copy_source = html_show_sourcelink = False
