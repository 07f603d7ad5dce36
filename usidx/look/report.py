"""Sections of text, tables and pictures to one HTML file that needs nothing but itself.

Titles, names and values come from files, so every one of them is escaped; the page loads nothing and runs nothing.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from usidx.errors import UsidError
from usidx.look.draw.canvas import keep_layout, render_png, render_svg
from usidx.look.draw.extras import require
from usidx.look.draw.numbers import make_printable
from usidx.look.lineage import Lineage
from usidx.look.summary.steps import tell
from usidx.results.provenance import Step
from usidx.version import usidx_version

__all__ = [
    "Block",
    "Figure",
    "History",
    "Lineage",
    "Section",
    "Table",
    "check_writable",
    "make_pairs_table",
    "write_report",
]

_DPI = 150
_CSS_PIXELS_PER_INCH = 96


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


Block = str | Table | Figure | History | Lineage


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


def write_report(
    path: str | os.PathLike[str],
    title: str,
    sections: Iterable[Section],
    *,
    subtitle: str = "",
    beside: bool = True,
) -> Path:
    """Write a report as one HTML file, in which figures can be saved as SVG.

    A report of the same name is replaced, and so are its pictures.

    Parameters
    ----------
    path : str or path
        The HTML file.
    title : str
        Heading of the page.
    sections : iterable of Section
        What the report says, in order.
    subtitle : str, optional
        A line below the heading.
    beside : bool
        Write the pictures once more as PNG files, to the folder ``<stem>_files``, made if there is a picture.

    Returns
    -------
    Path
        The HTML file.

    Raises
    ------
    MissingExtraError
        jinja2 is not installed.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = write_report(f"{folder}/scan.html", "Scan", [Section("Size", [make_pairs_table({"Positions": 16})])])
    ...     "Positions" in page.read_text(encoding="utf-8")
    True
    """
    page = Path(path)
    album = _Album(page.with_name(f"{page.stem}_files") if beside else None)
    parts = [{"title": one.title, "blocks": [_prepare(block, album) for block in one.blocks]} for one in sections]
    written = _load_template().render(title=title, subtitle=subtitle, sections=parts, version=usidx_version())
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(written, encoding="utf-8")
    return page


def check_writable(page: Path) -> Path:
    """Refuse a place where no report can be written before there is anything to report."""
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=page.parent):
            pass
    except OSError as err:
        raise UsidError(
            f"The report cannot be written to {str(page)!r}: {err.strerror}. Name another place (report=, --report)."
        ) from err
    return page


def _load_template() -> Any:
    """Load the page, in which every value is escaped where it is put in, and none that is missing is passed over."""
    jinja2 = require("jinja2", "Writing reports")
    pages = jinja2.Environment(
        loader=jinja2.PackageLoader("usidx.look", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters |= {"words": _shorten, "tell": tell}
    return pages.get_template("page.html")


def _prepare(block: Block, album: _Album) -> tuple[str, Any]:
    """Name the part of the page that shows a block, and give what it shows."""
    if isinstance(block, Figure):
        return "figure", album.add(block)
    kinds: dict[type, str] = {str: "text", Table: "table", History: "history", Lineage: "lineage"}
    return kinds[type(block)], block


class _Album:
    """Numbers the pictures of one report, and writes each to its folder where there is one."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.count = 0

    def add(self, figure: Figure) -> dict[str, Any]:
        png, svg = (figure.picture, b"") if isinstance(figure.picture, bytes) else _render(figure.picture)
        self.count += 1
        slug = f"{self.count:02d}-{_make_slug(figure.name or figure.caption)}"
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / f"{slug}.png").write_bytes(png)
        return {
            "number": self.count,
            "slug": slug,
            "caption": _shorten(figure.caption, 2000),
            "width": round(_read_png_width(png) / _DPI * _CSS_PIXELS_PER_INCH),
            "png": _encode(png),
            "svg": _encode(svg),
        }


def _render(figure: Any) -> tuple[bytes, bytes]:
    with keep_layout(figure):
        return render_png(figure, _DPI), render_svg(figure)


def _make_slug(name: str) -> str:
    """Turn a caption into a file name that every system takes."""
    return re.sub(r"[^a-z0-9]+", "-", name[:200].lower()).strip("-")[:40].strip("-") or "figure"


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _read_png_width(png: bytes) -> int:
    """Read the width in pixels where every PNG file has it: the first field of the header chunk."""
    return int.from_bytes(png[16:20], "big")


def _shorten(value: Any, limit: int = 200) -> str:
    """Turn a value of any origin into text of bounded length."""
    return make_printable(value, limit)
