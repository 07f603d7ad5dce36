"""Sections of text, tables and pictures to one HTML file that needs nothing but itself.

Titles, names and values come from files, so every one of them is escaped; the page loads nothing and runs nothing.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from usidx.look.draw.canvas import render_png
from usidx.look.draw.numbers import make_printable
from usidx.look.summary.steps import tell
from usidx.results.provenance import Step
from usidx.version import usidx_version

__all__ = ["Block", "Figure", "History", "Section", "Table", "make_pairs_table", "write_report"]

_DPI = 150
_CSS_PIXELS_PER_INCH = 96
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture with a caption: a matplotlib figure, or the bytes of a PNG file."""

    picture: Any
    caption: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells, with or without heads; the first cell of a row names it."""

    rows: Sequence[Sequence[Any]]
    columns: Sequence[str] = ()
    caption: str = ""


@dataclass(frozen=True, slots=True)
class History:
    """Provenance steps, oldest first."""

    steps: Sequence[Step]


Block = str | Table | Figure | History


@dataclass(frozen=True, slots=True)
class Section:
    """A titled part of a report; a block of text is one paragraph."""

    title: str
    blocks: Sequence[Block] = ()


def make_pairs_table(values: Mapping[str, Any], caption: str = "") -> Table:
    """Make a table of keys and values.

    Examples
    --------
    >>> make_pairs_table({"Positions": 16}).rows
    (('Positions', 16),)
    """
    return Table(tuple((key, value) for key, value in values.items()), caption=caption)


def write_report(path: str | os.PathLike[str], title: str, sections: Iterable[Section], *, subtitle: str = "") -> Path:
    """Write a report as one HTML file, and its pictures once more as PNG files beside it.

    A report of the same name is replaced, and so are its pictures.

    Parameters
    ----------
    path : str or path
        The HTML file; pictures go to the folder ``<stem>_files``, made if there is a picture.
    title : str
        Heading of the page.
    sections : iterable of Section
        What the report says, in order.
    subtitle : str, optional
        A line below the heading.

    Returns
    -------
    Path
        The HTML file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = write_report(f"{folder}/scan.html", "Scan", [Section("Size", [make_pairs_table({"Positions": 16})])])
    ...     "Positions" in page.read_text(encoding="utf-8")
    True
    """
    page = Path(path)
    parts = list(sections)
    album = _Album(page.with_name(f"{page.stem}_files"))
    body = "\n".join(_write_section(number, part, album) for number, part in enumerate(parts, 1))
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(_write_page(title, subtitle, parts, body), encoding="utf-8")
    return page


class _Album:
    """Numbers the pictures of one report and writes each to its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0

    def add(self, figure: Figure) -> tuple[int, bytes]:
        png = figure.picture if isinstance(figure.picture, bytes) else render_png(figure.picture, _DPI)
        self.count += 1
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / f"{self.count:02d}-{_make_slug(figure.name or figure.caption)}.png").write_bytes(png)
        return self.count, png


def _make_slug(name: str) -> str:
    """Turn a caption into a file name that every system takes."""
    return re.sub(r"[^a-z0-9]+", "-", name[:200].lower()).strip("-")[:40].strip("-") or "figure"


def _write_page(title: str, subtitle: str, sections: Sequence[Section], body: str) -> str:
    style = files("usidx.look").joinpath("report.css").read_text(encoding="utf-8")
    under = f"\n<p>{_escape_text(subtitle)}</p>" if subtitle else ""
    links = "".join(f'<li><a href="#s{n}">{_escape_text(s.title)}</a></li>' for n, s in enumerate(sections, 1))
    nav = f"<nav><ul>{links}</ul></nav>" if len(sections) > 1 else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_escape_text(title)}</title>
<style>
{style}</style>
</head>
<body>
<header>
<h1>{_escape_text(title)}</h1>{under}
</header>
{nav}
<main>
{body}
</main>
<footer>Written by usidx {_escape_text(usidx_version())}</footer>
</body>
</html>
"""


def _write_section(number: int, section: Section, album: _Album) -> str:
    blocks = "\n".join(_write_block(block, album) for block in section.blocks)
    return f'<section id="s{number}">\n<h2>{_escape_text(section.title)}</h2>\n{blocks}\n</section>'


def _write_block(block: Block, album: _Album) -> str:
    if isinstance(block, Figure):
        return _write_figure(block, album)
    write: dict[type, Callable[[Any], str]] = {str: _write_paragraph, Table: _write_table, History: _write_history}
    return write[type(block)](block)


def _write_paragraph(block: str) -> str:
    return f"<p>{_escape_text(block, 20_000)}</p>"


def _write_figure(figure: Figure, album: _Album) -> str:
    number, png = album.add(figure)
    width = round(_read_png_width(png) / _DPI * _CSS_PIXELS_PER_INCH)
    caption = _escape_text(figure.caption, 2000)
    source = base64.b64encode(png).decode("ascii")
    return (
        f'<figure><img width="{width}" alt="{caption}" src="data:image/png;base64,{source}">'
        f'<figcaption><b class="number">Figure {number}.</b> {caption}</figcaption></figure>'
    )


def _read_png_width(png: bytes) -> int:
    """Read the width in pixels where every PNG file has it: the first field of the header chunk."""
    return int.from_bytes(png[16:20], "big")


def _write_table(table: Table) -> str:
    caption = f"<caption>{_escape_text(table.caption, 2000)}</caption>" if table.caption else ""
    heads = "".join(f'<th scope="col">{_escape_text(c)}</th>' for c in table.columns)
    head = f"<thead><tr>{heads}</tr></thead>" if table.columns else ""
    rows = "\n".join(_write_row(row) for row in table.rows)
    kind = "" if table.columns else ' class="pairs"'
    return f'<div class="scroll"><table{kind}>{caption}{head}<tbody>\n{rows}\n</tbody></table></div>'


def _write_row(row: Sequence[Any]) -> str:
    first, *rest = row
    return (
        f'<tr><th scope="row">{_escape_text(first)}</th>'
        + "".join(f"<td>{_escape_text(c, 2000)}</td>" for c in rest)
        + "</tr>"
    )


def _write_history(history: History) -> str:
    if not history.steps:
        return "<p>No steps are recorded.</p>"
    return f'<ol class="steps">{"".join(_write_step(step) for step in history.steps)}</ol>'


def _write_step(step: Step) -> str:
    told = tell(step)
    details = f"<small>{_escape_text(told.details, 1000)}</small>" if told.details else ""
    return f"<li><code><b>{_escape_text(told.tool)}</b>({_escape_text(told.arguments, 1000)})</code>{details}</li>"


def _escape_text(value: Any, limit: int = 200) -> str:
    """Escape a value of any origin into text of bounded length."""
    return escape(make_printable(value, limit))
