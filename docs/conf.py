"""How these pages become a site: ``pip install ".[docs]" && sphinx-build -W docs docs/_build``."""

import re
from importlib.metadata import version as version_of
from typing import Any

project = "usidx"
author = "The usidx developers"
release = version = version_of("usidx")
extensions = ["myst_parser", "numpydoc", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.intersphinx"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "usidx"
html_show_copyright = False
myst_heading_anchors = 3
autosummary_generate = True
numpydoc_show_class_members = False
autodoc_typehints = "none"  # the docstrings say what is taken, with dims and units


# Shapes are written by dims, "(*position, component)", where a lone asterisk would begin emphasis.
_SHAPE = re.compile(r"(?<=[(, ])\*(?=\w+[,) ])")


def _with_shapes(_app: Any, _what: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    lines[:] = [_SHAPE.sub(r"\\*", line) for line in lines]


def setup(app: Any) -> None:
    """Have shapes escaped before numpydoc reads the docstrings."""
    app.connect("autodoc-process-docstring", _with_shapes, priority=400)
