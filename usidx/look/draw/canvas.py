"""Figures of one style, made without touching matplotlib's global state."""

from __future__ import annotations

import io
import textwrap
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

from usidx.look.draw.extras import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "FAINT",
    "INK",
    "SMALL",
    "TEXT",
    "finished",
    "grid_shape",
    "label_axes",
    "new_figure",
    "plain_numbers",
    "png_of",
    "style",
    "text",
    "whole_numbers",
    "wrapped",
]

TEXT, SMALL = 9, 8
INK, FAINT = "#222222", "#666666"
_HOLDS = "\N{NO-BREAK SPACE}"


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure of the given size in inches; no window, no entry in pyplot."""
    figure: Figure = require("matplotlib.figure", "Drawing").Figure(
        figsize=(width, height), layout="constrained", facecolor="white", dpi=120
    )
    require("matplotlib.backends.backend_agg", "Drawing").FigureCanvasAgg(figure)
    # Notebooks know figures only after pyplot was imported; this one shows itself.
    figure._repr_png_ = partial(png_of, figure)  # type: ignore[attr-defined]
    return figure


def png_of(figure: Any, dpi: float | None = None) -> bytes:
    """Draw a figure into the bytes of a PNG file."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # A name in a script that the font lacks shows boxes; captions and reprs show the name.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(buffer, format="png", dpi=figure.dpi if dpi is None else dpi)
    return buffer.getvalue()


def text(words: str) -> str:
    """Keep a name from a file from being read as a formula."""
    return words.replace("$", r"\$")


def style(axes: Axes, *, box: bool = False) -> None:
    """Give axes the look of the house: small ink labels, no box around lines."""
    axes.tick_params(which="both", labelsize=SMALL, colors=INK, width=0.6)
    axes.tick_params(which="major", length=3)
    for side, spine in axes.spines.items():
        spine.set_linewidth(0.6)
        spine.set_color(INK)
        spine.set_visible(box or side in ("left", "bottom"))
    axes.xaxis.offsetText.set_fontsize(SMALL)
    axes.yaxis.offsetText.set_fontsize(SMALL)


def label_axes(axes: Axes, horizontal: str, vertical: str, title: str = "", *, room: int = 30) -> None:
    """Write what runs along each side; `room` is how many characters the vertical side holds."""
    axes.set_xlabel(text(horizontal), fontsize=TEXT, color=INK)
    axes.set_ylabel(text(wrapped(vertical, room)), fontsize=TEXT, color=INK)
    if title:
        axes.set_title(text(wrapped(title, 40)), fontsize=TEXT, color=INK)


def wrapped(words: str, room: int) -> str:
    """Break a label into lines that fit beside its panel: after a comma where that will do, never before a unit."""
    if len(words) <= room:
        return words
    # A no-break space holds "DC offset -3 V" together.
    pieces = [p.replace(" ", _HOLDS) if len(p) < room else p for p in words.split(", ")]
    return textwrap.fill(", ".join(pieces), max(room, 8), break_long_words=True).replace(_HOLDS, " ")


def plain_numbers(axis: Any) -> None:
    """Write ticks as they are, with one common power of ten where they are very large or small."""
    formatter = require("matplotlib.ticker", "Drawing").ScalarFormatter(useMathText=True)
    formatter.set_useOffset(False)
    formatter.set_powerlimits((-3, 5))
    axis.set_major_formatter(formatter)


def whole_numbers(axis: Any) -> None:
    """Put ticks at whole numbers only, for what is counted."""
    axis.set_major_locator(require("matplotlib.ticker", "Drawing").MaxNLocator(integer=True, steps=[1, 2, 5, 10]))


def _note(figure: Figure, *said: str) -> None:
    """Write what the reader must know below the figure, once."""
    words = "; ".join(dict.fromkeys(s for s in said if s))
    if words:
        figure.supxlabel(text(words), fontsize=SMALL - 1, color=FAINT, x=0.99, ha="right")


def _head(figure: Figure, title: str | None) -> None:
    """Write a title over the whole figure."""
    if title:
        figure.suptitle(text(title), fontsize=TEXT + 1, color=INK)


def finished(figure: Figure, title: str | None, *said: str) -> Figure:
    """Write title and notes, then settle the layout: it closes in on images of fixed aspect in a few passes."""
    _head(figure, title)
    _note(figure, *said)
    engine: Any = figure.get_layout_engine()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        for _ in range(2):
            engine.execute(figure)
    return figure


def grid_shape(count: int, aspect: float = 1.0) -> tuple[int, int]:
    """Return (rows, columns) that show `count` panels of height/width `aspect` in a page-like rectangle."""
    if aspect < 0.35:
        columns = min(count, 2)
    elif count in (2, 4):
        columns = 2
    else:
        columns = min(count, 3 if count <= 9 else 4)
    return -(-count // columns), columns
