"""How these pages become a site: ``pip install ".[docs]" && sphinx-build -W docs docs/_build``."""

import os
import re
import sys
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

import usidx
from usidx.public import MODULES

REPOSITORY = Path(__file__).parent.parent
# `_building` lies here, and what it shares with the tests there.
sys.path[:0] = [str(REPOSITORY / "docs"), str(REPOSITORY)]

from _building import examples  # noqa: E402

project = "usidx"
author = "The usidx developers"
release = version = version_of("usidx")
extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx_gallery.gen_gallery",
    "_building.inventories",
    "_building.outputs",
]
exclude_patterns = ["_build", "_building", "_examples"]
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme = "furo"
html_title = "usidx"
html_show_copyright = False
templates_path = ["_templates"]
# "Edit this page" leads to the source on the web where it is said who has it, else to how a page is edited.
html_context = {"repository": os.environ.get("USIDX_REPOSITORY_URL", "").rstrip("/")}
myst_heading_anchors = 3
autosummary_generate = True
numpydoc_show_class_members = False
autodoc_typehints = "none"  # the docstrings say what is taken, with dims and units

numpydoc_xref_param_type = True
numpydoc_xref_ignore = "all"  # most words are plain words
numpydoc_xref_aliases = {
    **{name: f"xarray.{name}" for name in ("DataArray", "Dataset", "DataTree")},
    **{name: f"numpy.{name}" for name in ("dtype", "ndarray")},
    **{name.lower(): f"collections.abc.{name}" for name in ("Callable", "Iterable", "Mapping", "Sequence")},
    "Axes": "matplotlib.axes.Axes",
    "Colormap": "matplotlib.colors.Colormap",
    "Normalize": "matplotlib.colors.Normalize",
    "Path": "pathlib.Path",
    "bool": "bool",
    "array-like": ":class:`array-like <numpy.ndarray>`",
    "Reader": "usidx.Reader",
}

# The gallery is laid out by docs/gallery.md, which names files and never asks what uses a function.
suppress_warnings = ["sphinx_gallery.config"]
# Those that start clusters are not run.
sphinx_gallery_conf = {
    "examples_dirs": [examples.FOLDER],
    "gallery_dirs": ["gallery"],
    "filename_pattern": "",
    "ignore_pattern": r"(slurm|mpi)\.py",
    "image_scrapers": ["_building.figures.scrape"],
    "reset_modules": ["_building.figures.begin_anew"],
    "reset_modules_order": "both",
    "capture_repr": (),
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "abort_on_example_error": True,
    "backreferences_dir": None,
}

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
    app.connect("config-inited", lambda app, _config: examples.copy_examples(app))
    app.connect("autodoc-process-docstring", _with_shapes, priority=400)
