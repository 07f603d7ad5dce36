"""How these pages become a site: ``pip install ".[docs]" && sphinx-build -W docs docs/_build``."""

import re
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

import usidx
from usidx.public import MODULES

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


# The lists of the reference, and the modules whose public names each holds; `errors` lists its own.
_LISTS = {
    "Open": ("usidx.io.read", "usidx.io.disk", "usidx.example"),
    "Label": ("usidx.label",),
    "Decompose, unmix, cluster": ("usidx.learn",),
    "Fit": ("usidx.fitting",),
    "Measurement modes": ("usidx.modes",),
    "Compute, write": ("usidx.tasks", "usidx.mapping", "usidx.io.write", "usidx.results"),
    "Look": ("usidx.look",),
    "Exchange": ("usidx.instruments",),
    "Recipes": ("usidx.recipes",),
}
_WHOLE = ("diffraction", "image", "models", "modes", "signal", "simulate")


def reference_lists() -> dict[str, tuple[str, list[str]]]:
    """Return title -> (module, its public names) of each list of the reference."""
    found = {
        title: ("usidx", [n for n, m in MODULES.items() if n not in _WHOLE and f"{m}.".startswith(_ended(modules))])
        for title, modules in _LISTS.items()
    }
    whole = {name.title(): (f"usidx.{name}", list(getattr(usidx, name).__all__)) for name in _WHOLE}
    return found | whole


def _ended(modules: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{module}." for module in modules)


def _write_names(app: Any) -> None:
    """Write the page that api.md shows first: every public name, so that none has to be listed by hand."""
    lines = ["Names", "=====", ""]
    for title, (module, names) in reference_lists().items():
        lines += [title, "-" * len(title), "", f".. currentmodule:: {module}", ""]
        lines += [".. autosummary::", "   :toctree: _api", "", *(f"   {name}" for name in names), ""]
    lines += ["Errors", "------", "", ".. automodule:: usidx.errors", "   :members:", ""]
    Path(app.srcdir, "names.rst").write_text("\n".join(lines), encoding="utf-8")


def setup(app: Any) -> None:
    """Have the names listed before files are looked for, and shapes escaped before numpydoc reads the docstrings."""
    app.connect("config-inited", lambda app, _config: _write_names(app))
    app.connect("autodoc-process-docstring", _with_shapes, priority=400)
