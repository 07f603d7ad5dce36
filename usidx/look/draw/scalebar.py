"""A length drawn in the picture, in place of its axes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from usidx.errors import UsidError
from usidx.look.draw.canvas import SMALL, points
from usidx.look.draw.extras import require
from usidx.look.draw.numbers import choose_scale, write_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["NO_UNIT", "choose_bar_length", "draw_scalebar"]

NO_UNIT = "A scale bar needs two axes with one unit. Set the attribute units of both coordinates."
_SHARE = 0.3  # of the width of the picture, which a bar stays below


def choose_bar_length(width: float) -> float:
    """Return the longest of 1, 2 or 5 times a power of ten that is less than a third of a width.

    Examples
    --------
    >>> choose_bar_length(5.0), choose_bar_length(80.0)
    (1.0, 20.0)
    """
    power = 10.0 ** math.floor(math.log10(_SHARE * width))
    return max(n * power for n in (1, 2, 5) if n * power <= _SHARE * width * (1 + 1e-9))


def draw_scalebar(axes: Axes, wanted: bool | float, unit: str, factor: float) -> None:
    """Draw a bar of a round length, or of a length in the unit as found, and take the axes away.

    Parameters
    ----------
    axes : Axes
        Holds the picture.
    wanted : bool or float
        True chooses the length.
    unit : str
        That the axes show; empty where there is none that both share.
    factor : float
        From the unit as found to the one that the axes show.

    Raises
    ------
    UsidError
        The axes have no unit in common, or the length is none.
    """
    if not unit:
        raise UsidError(NO_UNIT)
    left, right = sorted(axes.get_xlim())
    length = choose_bar_length(right - left) if wanted is True else float(wanted) * factor
    if not 0 < length <= right - left:
        raise UsidError(f"scalebar={wanted!r} does not fit into the picture: give a length in the unit of the axes.")
    scale = choose_scale(length, unit)
    bar = require("mpl_toolkits.axes_grid1.anchored_artists", "Drawing").AnchoredSizeBar(
        axes.transData,
        length,
        f"{write_number(length * scale.factor)} {scale.unit}",
        "lower right",
        pad=0.4,
        borderpad=0.5,
        sep=points(3),
        color="white",
        size_vertical=0.015 * min(right - left, abs(float(np.diff(axes.get_ylim())[0]))),
        fontproperties=require("matplotlib.font_manager", "Drawing").FontProperties(size=points(SMALL)),
    )
    # Dark behind it, so that it is seen on any colour.
    bar.patch.set(facecolor="black", alpha=0.55, linewidth=0)
    axes.add_artist(bar)
    axes.set(xticks=[], yticks=[], xlabel="", ylabel="")
