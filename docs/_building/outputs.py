"""A page -> the same page, with what each of its Python blocks prints, returns and draws below the block."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import logging
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask.config
import matplotlib as mpl
import xarray as xr
from matplotlib.figure import Figure

import usidx
from _building.examples import FOLDER
from _building.figures import describe, noting, save
from tests.kit.blocks import Block, python_blocks

#: Where the pictures go, below the folder of the pages.
PICTURES = "_outputs"
#: More lines than this are cut, as a notebook would.
MOST_LINES = 40
_PICTURE = re.compile(r"^!\[(?P<says>[^\]]*)\]\([\w-]+\.png\)$")
_TEMPORARY = re.compile(rf"{re.escape(tempfile.gettempdir())}/[\w.-]+/")


def show_outputs(app: Any, page: str, source: list[str]) -> None:
    """Run the blocks of a page in order, as the tests do, and put below each what it gives."""
    file = Path(app.env.doc2path(page))
    if file.suffix != ".md":
        source[0] = source[0].replace(
            f"{Path(app.srcdir, FOLDER)}{os.sep}", ""
        )  # where an example ran is nobody's concern
        return
    folder = Path(app.srcdir, PICTURES)
    folder.mkdir(exist_ok=True)
    lines = source[0].splitlines()
    shown = []
    with _a_place_to_run(), noting() as take:
        names: dict[str, object] = {"__name__": "__docs__"}
        for block in python_blocks(source[0]):
            if block.reason_not_to_run is None:
                printed, value = _run(block, names, str(file))
                figures = take()
                if isinstance(value, Figure) and value not in figures:
                    figures.append(value)
                names_of_files = (f"{page.replace('/', '-')}-{block.line}-{n}.png" for n in range(len(figures)))
                pictures = [_draw(f, folder, name) for f, name in zip(figures, names_of_files, strict=True)]
                shown.append((block, [*_as_text(printed), *_as_value(value)], pictures))
    for block, texts, pictures in reversed(shown):
        _insert(lines, block, texts, pictures)
    source[0] = "\n".join([*lines, ""])


def _insert(lines: list[str], block: Block, texts: list[str], pictures: list[tuple[str, str]]) -> None:
    """Put outputs below a block; a picture that the page shows there already is the one that was drawn just now."""
    after = next((n for n in range(block.last_line, len(lines)) if lines[n].strip()), len(lines))
    shown_already = _PICTURE.match(lines[after]) if after < len(lines) else None
    if shown_already and pictures:
        lines[after] = ""
        pictures[0] = (pictures[0][0], shown_already["says"])
    images = [
        f"```{{image}} /{PICTURES}/{name}\n:alt: {json.dumps(says, ensure_ascii=False)}\n:class: output\n```"
        for name, says in pictures
    ]
    lines[block.last_line : block.last_line] = [
        " " * block.indent + line for output in [*texts, *images] for line in ["", *output.splitlines()]
    ]


@contextlib.contextmanager
def _a_place_to_run() -> Iterator[None]:
    """Work in a folder that holds nothing but the example, and leave no option changed."""
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.chdir(folder),
        xr.set_options(keep_attrs=True),
        dask.config.set({}),
        mpl.rc_context({"backend": "agg"}),
    ):
        usidx.example_file("scan.h5")
        environment, handlers, level = dict(os.environ), logging.root.handlers[:], logging.root.level
        yield
        logging.root.handlers[:] = handlers
        logging.root.setLevel(level)
        os.environ.clear()
        os.environ.update(environment)


def _run(block: Block, names: dict[str, object], file: str) -> tuple[str, object]:
    """Run a block; return what it prints, and the value of its last line if that is an expression."""
    parsed = ast.parse("\n" * block.line + block.code, file)
    last = parsed.body.pop() if parsed.body and isinstance(parsed.body[-1], ast.Expr) else None
    printed = io.StringIO()
    # Progress is told to those who wait, not to those who read.
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
        exec(compile(parsed, file, "exec", dont_inherit=True), names)
        value = (
            None if last is None else eval(compile(ast.Expression(last.value), file, "eval", dont_inherit=True), names)
        )
    return printed.getvalue(), value


def _draw(figure: Figure, folder: Path, name: str) -> tuple[str, str]:
    save(figure, folder / name)
    return name, describe(figure)


def _as_text(text: str) -> list[str]:
    lines = _TEMPORARY.sub("", text).rstrip().splitlines()
    if not lines:
        return []
    kept = lines if len(lines) <= MOST_LINES else [*lines[:MOST_LINES], "..."]
    return ["\n".join(["```{code-block} text", ":class: output", "", *kept, "```"])]


def _as_value(value: object) -> list[str]:
    """Show a value as a notebook would; what is interactive is not, since nothing answers in a page."""
    if value is None or isinstance(value, Figure) or _is_interactive(value):
        return []
    if type(value).__module__.startswith(("xarray.", "usidx.")) and hasattr(value, "_repr_html_"):
        html = _TEMPORARY.sub("", value._repr_html_())
        return [f'```{{raw}} html\n<div class="output">{" ".join(html.splitlines())}</div>\n```']
    return _as_text(repr(value))


def _is_interactive(value: object) -> bool:
    return any(kind.__module__.startswith(("panel.", "holoviews.")) for kind in type(value).__mro__)


def setup(app: Any) -> dict[str, Any]:
    """Run the blocks when a page is read."""
    app.connect("source-read", show_outputs)
    return {"parallel_read_safe": False}
