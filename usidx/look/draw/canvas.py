"""Figures of one style, made without touching matplotlib's global state."""

from __future__ import annotations

import io
import re
import textwrap
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from usidx.errors import UsidError
from usidx.look.draw.extras import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "FAINT",
    "INK",
    "SMALL",
    "TEXT",
    "Sheet",
    "choose_grid_shape",
    "escape_text",
    "finish_figure",
    "keep_layout",
    "label_axes",
    "make_figure",
    "open_sheet",
    "points",
    "render_png",
    "render_svg",
    "set_whole_ticks",
    "style_axes",
    "wrap_words",
    "write_letters",
    "write_plain_numbers",
]

TEXT, SMALL = 9, 8
_USUAL = 10.0  # matplotlib's size of letters, for which sizes are given here
INK, FAINT = "#222222", "#666666"
_SVG = {"svg.fonttype": "none", "svg.hashsalt": "usidx"}
_HOLDS = "\N{NO-BREAK SPACE}"


def points(size: float) -> float:
    """Return a size of letters, lines or marks as the style in use has it: all grow with its ``font.size``.

    Examples
    --------
    >>> points(9)
    9.0
    """
    return float(size * require("matplotlib", "Drawing").rcParams["font.size"] / _USUAL)


def make_figure(width: float, height: float) -> Figure:
    """Make an empty figure of the given size in inches; no window, no entry in pyplot."""
    figure: Figure = require("matplotlib.figure", "Drawing").Figure(
        figsize=(width, height), layout="constrained", facecolor="white"
    )
    figure.set_dpi(max(120, figure.dpi))
    require("matplotlib.backends.backend_agg", "Drawing").FigureCanvasAgg(figure)
    # Notebooks know figures only after pyplot was imported; this one shows itself.
    figure._repr_png_ = partial(render_png, figure)  # type: ignore[attr-defined]
    return figure


@dataclass(frozen=True)
class Sheet:
    """What a picture is drawn on: a figure of its own, or a place that the user gave.

    Attributes
    ----------
    figure : Figure or SubFigure
        Holds the panels.
    panels : list of Axes
        One for each panel, where the user gave them; else empty, and the picture makes its own.
    is_own : bool
        Whether the figure is this picture's alone.
    """

    figure: Any
    panels: list[Any]
    is_own: bool

    def finish(self, title: str | Literal[False] | None, *said: str) -> Figure:
        """Write title and notes, and return the figure."""
        if self.is_own:
            return finish_figure(self.figure, title, *said)
        words = _join_notes(*said)
        if not self.panels:
            _draw_head(self.figure, title)
            _note(self.figure, *said)
            return self._find_whole()
        if title:
            self.panels[0].set_title(escape_text(title), fontsize=points(TEXT), color=INK)
        if words:
            self.panels[-1].set_title(escape_text(words), fontsize=points(SMALL - 1), color=FAINT, loc="right")
        return self._find_whole()

    def _find_whole(self) -> Figure:
        whole: Figure = self.figure.canvas.figure
        return whole


def open_sheet(ax: Any, count: int, size: tuple[float, float], figsize: tuple[float, float] | None = None) -> Sheet:
    """Return what a picture of `count` panels is drawn on.

    Parameters
    ----------
    ax : Axes, iterable of Axes or None
        As many as there are panels, or one, in whose place several panels are put.
    count : int
        Panels of the picture.
    size : tuple of float
        Width and height of a figure of its own, in inches.
    figsize : tuple of float, optional
        The same as the user wants it.

    Raises
    ------
    UsidError
        `ax` is no axes, or too few, or `figsize` is given beside it.
    """
    if ax is None:
        return Sheet(make_figure(*(figsize or map(points, size))), [], is_own=True)
    if figsize is not None:
        raise UsidError("figsize is the size of a new figure; the axes in ax have one already. Give one of the two.")
    given = list(np.ravel(np.array(list(ax) if isinstance(ax, Iterable) else ax, dtype=object)))
    if not all(hasattr(axes, "get_subplotspec") for axes in given):
        raise UsidError(f"ax is {type(ax).__name__}, and not the axes that matplotlib's subplots() makes.")
    if len(given) >= count > 0:
        return Sheet(given[0].figure, given[:count], is_own=False)
    if len(given) != 1 or given[0].get_subplotspec() is None:
        raise UsidError(f"This picture has {count} panels and ax {len(given)}: give ax=figure.subplots({count}).")
    place, figure = given[0].get_subplotspec(), given[0].figure
    given[0].remove()
    return Sheet(figure.add_subfigure(place), [], is_own=False)


def render_png(figure: Any, dpi: float | None = None) -> bytes:
    """Draw a figure into the bytes of a PNG file."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # A name in a script that the font lacks shows boxes; captions and reprs show the name.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(buffer, format="png", dpi=figure.dpi if dpi is None else dpi)
    return buffer.getvalue()


@contextmanager
def keep_layout(figure: Any) -> Iterator[None]:
    """Leave a figure that is finished as it is laid out, which drawing it would find anew each time."""
    engine = figure.get_layout_engine()
    figure.set_layout_engine("none")
    try:
        yield
    finally:
        figure.set_layout_engine(engine)


def render_svg(figure: Any) -> bytes:
    """Draw a figure into the bytes of an SVG file whose letters stay letters, the same each time."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), require("matplotlib", "Drawing").rc_context(_SVG):
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def escape_text(words: str) -> str:
    """Keep a name from a file from being read as a formula."""
    return words.replace("$", r"\$")


def style_axes(axes: Axes, *, box: bool = False) -> None:
    """Give axes the look of the house: small ink labels, no box around lines."""
    axes.tick_params(which="both", labelsize=points(SMALL), colors=INK, width=points(0.6))
    axes.tick_params(which="major", length=points(3))
    for side, spine in axes.spines.items():
        spine.set_linewidth(points(0.6))
        spine.set_color(INK)
        spine.set_visible(box or side in ("left", "bottom"))
    axes.xaxis.offsetText.set_fontsize(points(SMALL))
    axes.yaxis.offsetText.set_fontsize(points(SMALL))


def label_axes(axes: Axes, horizontal: str, vertical: str, title: str = "", *, room: int = 30) -> None:
    """Write what runs along each side; `room` is how many characters the vertical side holds."""
    axes.set_xlabel(escape_text(horizontal), fontsize=points(TEXT), color=INK)
    axes.set_ylabel(escape_text(wrap_words(vertical, room)), fontsize=points(TEXT), color=INK)
    if title:
        axes.set_title(escape_text(wrap_words(title, 40)), fontsize=points(TEXT), color=INK)


def write_letters(panels: Iterable[Axes], letters: bool | str) -> None:
    """Name panels by letters, in bold at the upper left: a, b, c, or as the first is written, such as ``"(a)"``."""
    first = "a" if letters is True else letters
    if not first:
        return
    found = re.fullmatch(r"([^A-Za-z]*)([A-Za-z])([^A-Za-z]*)", first)
    if found is None:
        raise UsidError(f"letters={letters!r}; write the first of the panels' letters, such as 'a', '(a)' or 'A'.")
    for number, axes in enumerate(panels):
        letter = found[1] + chr(ord(found[2]) + number) + found[3]
        axes.set_title(letter, loc="left", fontsize=points(TEXT + 1), fontweight="bold", color=INK)


def wrap_words(words: str, room: int) -> str:
    """Break a label into lines that fit beside its panel: after a comma where that will do, never before a unit."""
    if len(words) <= room:
        return words
    # A no-break space holds "DC offset -3 V" together.
    pieces = [p.replace(" ", _HOLDS) if len(p) < room else p for p in words.split(", ")]
    return textwrap.fill(", ".join(pieces), max(room, 8), break_long_words=True).replace(_HOLDS, " ")


def write_plain_numbers(axis: Any) -> None:
    """Write ticks as they are, with one common power of ten where they are very large or small."""
    formatter = require("matplotlib.ticker", "Drawing").ScalarFormatter(useMathText=True)
    formatter.set_useOffset(False)
    formatter.set_powerlimits((-3, 5))
    axis.set_major_formatter(formatter)


def set_whole_ticks(axis: Any) -> None:
    """Put ticks at whole numbers only, for what is counted."""
    axis.set_major_locator(require("matplotlib.ticker", "Drawing").MaxNLocator(integer=True, steps=[1, 2, 5, 10]))


def _join_notes(*said: str) -> str:
    """Say each thing once."""
    return "; ".join(dict.fromkeys(s for s in said if s))


def _note(figure: Figure, *said: str) -> None:
    """Write what the reader must know below the figure."""
    words = _join_notes(*said)
    if words:
        figure.supxlabel(escape_text(words), fontsize=points(SMALL - 1), color=FAINT, x=0.99, ha="right")


def _draw_head(figure: Figure, title: str | Literal[False] | None) -> None:
    """Write a title over the whole figure."""
    if title:
        figure.suptitle(escape_text(title), fontsize=points(TEXT + 1), color=INK)


def finish_figure(figure: Figure, title: str | Literal[False] | None, *said: str) -> Figure:
    """Write title and notes, then settle the layout: it closes in on images of fixed aspect in a few passes."""
    _draw_head(figure, title)
    _note(figure, *said)
    engine: Any = figure.get_layout_engine()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        for _ in range(2):
            engine.execute(figure)
    return figure


def choose_grid_shape(count: int, aspect: float = 1.0) -> tuple[int, int]:
    """Return (rows, columns) that show `count` panels of height/width `aspect` in a page-like rectangle."""
    if aspect < 0.35:
        columns = min(count, 2)
    elif count in (2, 4):
        columns = 2
    else:
        columns = min(count, 3 if count <= 9 else 4)
    return -(-count // columns), columns
