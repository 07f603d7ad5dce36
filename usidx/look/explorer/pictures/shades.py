"""What a user chose of the colours to Bokeh's colour mapper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from usidx.look.draw.colours import Colours, Shades, choose_colours
from usidx.look.draw.extras import require
from usidx.look.draw.numbers import find_finite_range

__all__ = ["COLORMAPS", "Taste", "choose_mapper"]

_PURPOSE = "`usidx view`"
#: What the page offers.
COLORMAPS = ("automatic", "viridis", "magma", "cividis", "gray", "afmhot", "RdBu_r", "twilight")
_HOLE = "#d9d9d9"
_STEPS = 256


@dataclass(frozen=True, slots=True)
class Taste:
    """What of the colours is chosen by hand.

    Attributes
    ----------
    colormap : str
        One of matplotlib's, or "automatic".
    low, high : float
        Which part of the values, in percent, gets colours of its own; 0 and 100 leave it to the values.
    is_log : bool
        Whether colours follow the logarithm.
    gamma : float
        Of the colour map.
    limits : (low, high) or None
        Of the colours, in the unit of the values; they hold before the percentiles.
    """

    colormap: str = "automatic"
    low: float = 0.0
    high: float = 100.0
    is_log: bool = False
    gamma: float = 1.0
    limits: tuple[float, float] | None = None


def choose_mapper(array: xr.DataArray, numbers: NDArray[np.float64], taste: Taste) -> tuple[Colours, Any]:
    """Choose the colours of values that were read, and make the mapper that gives them."""
    models = require("bokeh.models", _PURPOSE)
    colours = choose_colours(array, numbers, _choose_shades(array, numbers, taste))
    low, high = colours.low, colours.high
    palette = _list_shades(colours, taste.gamma)
    positive = numbers[numbers > 0] * colours.factor
    if taste.is_log and not colours.categories and positive.size:
        low = max(low, float(positive.min()))
        return colours, models.LogColorMapper(palette=palette, low=low, high=max(high, 1.001 * low), nan_color=_HOLE)
    return colours, models.LinearColorMapper(palette=palette, low=low, high=high, nan_color=_HOLE)


def _choose_shades(array: xr.DataArray, numbers: NDArray[np.float64], taste: Taste) -> Shades:
    cmap = None if taste.colormap == "automatic" else taste.colormap
    if taste.limits is not None:
        return Shades(cmap=cmap, vmin=taste.limits[0], vmax=taste.limits[1])
    if (taste.low, taste.high) == (0.0, 100.0) or find_finite_range(numbers) is None:
        return Shades(cmap=cmap)
    # Groups and phases keep their colours: percentiles of them say nothing.
    chosen = choose_colours(array, numbers)
    if chosen.categories or chosen.ticks is not None:
        return Shades(cmap=cmap)
    low, high = (float(v) for v in np.nanpercentile(numbers, [taste.low, taste.high]))
    return Shades(cmap=cmap, vmin=low, vmax=high if high > low else low + abs(low) * 1e-6 + 1e-300)


def _list_shades(colours: Colours, gamma: float) -> list[str]:
    to_hex = require("matplotlib.colors", _PURPOSE).to_hex
    listed = getattr(colours.colormap, "colors", None) if colours.categories else None
    if listed is not None:
        return [to_hex(c) for c in listed]
    return [to_hex(colours.colormap((n / (_STEPS - 1)) ** gamma)) for n in range(_STEPS)]
