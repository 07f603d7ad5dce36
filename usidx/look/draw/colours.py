"""What is measured to the colours that show it: categories, phases, signed values, all others."""

from __future__ import annotations

import math
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from usidx.errors import UsidError
from usidx.look.draw.extras import require
from usidx.look.draw.numbers import choose_scale, find_base_unit, find_finite_range, find_unit

__all__ = ["AUTOMATIC", "Colours", "Shades", "choose_colours", "is_categorical", "list_category_colours"]

_LABEL_NAMES = ("labels", "label", "cluster")
_CODE_NAMES = (*_LABEL_NAMES, "domain", "status", "converged", "measured")
_FULL_TURN = {"rad": 2 * math.pi, "deg": 360.0, "°": 360.0}
# Blue, orange, green, pink, sky, red, grey, yellow: told apart with any colour vision (Okabe and Ito).
_FEW = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#7f7f7f", "#f0e442")
_HOLE = "#d9d9d9"
# Values that are closer, by their size, differ in nothing but the rounding of single precision.
_ROUNDING = 1e-7
# Of fewer cells none is stray.
_FEWEST = 30
# Percentiles of limits that are asked to be robust, as xarray takes them.
_ROBUST = (2.0, 98.0)


@dataclass(frozen=True)
class Colours:
    """How to colour an array: the map, the limits, the ticks, and the unit after scaling."""

    colormap: Any
    low: float
    high: float
    factor: float
    unit: str
    extend: str = "neither"
    ticks: tuple[float, ...] | None = None
    tick_labels: tuple[str, ...] | None = None
    remark: str = ""
    categories: tuple[int, ...] = ()
    norm: Any = None

    @property
    def scaling(self) -> dict[str, Any]:
        """What matplotlib is told of how values become colours."""
        limits = {"norm": self.norm} if self.norm is not None else {"vmin": self.low, "vmax": self.high}
        return {"cmap": self.colormap, **limits}


@dataclass(frozen=True, slots=True)
class Shades:
    """What a user wants of the colours; what is None is chosen by what the values are.

    Attributes
    ----------
    cmap : str or Colormap
        The colour map.
    vmin, vmax : float
        Limits, in the unit of the array.
    norm : str or Normalize
        How values become colours, in the unit of the array.
    robust : bool
        Whether limits are percentiles of the values (True) or their ends (False).
    """

    cmap: Any = None
    vmin: float | None = None
    vmax: float | None = None
    norm: Any = None
    robust: bool | None = None

    def __post_init__(self) -> None:
        if self.norm is not None and not isinstance(self.norm, str) and (self.has_limits or self.robust):
            raise UsidError("Give the limits in norm, or give vmin, vmax and robust without it.")

    @property
    def has_limits(self) -> bool:
        """Whether one end, or both, are given."""
        return self.vmin is not None or self.vmax is not None

    def find_colormap(self) -> Any:
        """Return the colour map that was named."""
        if not isinstance(self.cmap, str):
            return self.cmap
        known = require("matplotlib", "Drawing").colormaps
        if self.cmap not in known:
            raise UsidError(f"matplotlib has no colour map {self.cmap!r}; 'viridis', 'gray' and 'RdBu_r' are some.")
        return known[self.cmap]

    def list_colours(self, count: int) -> list[str]:
        """Return colours of lines: of the given map from end to end, else those that differ most."""
        if self.cmap is None:
            return list_category_colours(count)
        to_hex, colormap = require("matplotlib.colors", "Drawing").to_hex, self.find_colormap()
        return [to_hex(colormap(n / max(count - 1, 1))) for n in range(count)]


AUTOMATIC = Shades()


def list_category_colours(count: int) -> list[str]:
    """Return `count` colours that differ: eight for any eye, then twenty, then steps of a rainbow."""
    if count <= len(_FEW):
        return list(_FEW[:count])
    colormaps = require("matplotlib", "Drawing").colormaps
    to_hex = require("matplotlib.colors", "Drawing").to_hex
    if count <= 20:
        return [to_hex(c) for c in colormaps["tab20"].colors[:count]]
    return [to_hex(colormaps["turbo"](n / (count - 1))) for n in range(count)]


def is_categorical(array: xr.DataArray) -> bool:
    """Say whether the values are names of groups rather than amounts."""
    if array.dtype.kind == "b":
        return True
    return array.dtype.kind in "iu" and str(array.name).lower() in _CODE_NAMES


def choose_colours(array: xr.DataArray, values: NDArray[np.float64], wanted: Shades | Colours = AUTOMATIC) -> Colours:
    """Choose the colours for the values of an array (already read, as floats).

    Parameters
    ----------
    array : DataArray
        Says the quantity, the unit and the dtype.
    values : ndarray
        What will be shown; NaN where there is nothing.
    wanted : Shades or Colours
        What is asked for, and therefore not chosen; colours that were chosen stay.

    Returns
    -------
    Colours
        Categorical for labels and booleans, cyclic for phases, diverging for values of both signs, sequential else.
    """
    if isinstance(wanted, Colours):
        return wanted
    found = find_finite_range(values)
    if found is None:
        chosen = _make_sequential("viridis", 0.0, 1.0, 1.0, find_unit(array), remark="no finite values")
    elif wanted.has_limits or wanted.norm is not None:
        chosen = _choose_within(array, *_cut_as_wanted(values, *found, wanted), wanted)
    elif is_categorical(array):
        chosen = _choose_categorical(array, values)
    elif (turn := _find_full_turn(array, *found)) is not None:
        chosen = _choose_cyclic(array, *found, turn)
    else:
        chosen = _choose_continuous(array, values, *found, wanted.robust)
    return chosen if wanted.cmap is None else _recolour(chosen, wanted)


def _choose_within(
    array: xr.DataArray, low: float, high: float, inner_low: float, inner_high: float, wanted: Shades
) -> Colours:
    """Choose colours between the limits that are asked for; a norm is in the unit as found, so nothing is scaled."""
    signed = low < 0 < high
    bottom = wanted.vmin if wanted.vmin is not None else (-wanted.vmax if signed and wanted.vmax else inner_low)
    top = wanted.vmax if wanted.vmax is not None else (-wanted.vmin if signed and wanted.vmin else inner_high)
    bottom, top = (bottom, top) if bottom <= top else (top, bottom)
    extend = _name_extension(low < bottom, high > top)
    scale = choose_scale(max(abs(bottom), abs(top)), find_unit(array))
    factor, unit = (scale.factor, scale.unit) if wanted.norm is None else (1.0, find_unit(array))
    name = "RdBu_r" if bottom == -top else "viridis"
    chosen = _make_sequential(name, bottom, top, factor, unit, extend="neither" if wanted.norm is not None else extend)
    limits = (bottom, top) if wanted.robust else (wanted.vmin, wanted.vmax)
    return replace(chosen, norm=_make_norm(wanted.norm, *limits))


def _make_norm(wanted: Any, low: float | None, high: float | None) -> Any:
    """Return a norm of this picture's own: matplotlib fills in the limits of the one that it is given."""
    if not isinstance(wanted, str):
        return None if wanted is None else copy(wanted)
    kinds = {
        "linear": "Normalize",
        "log": "LogNorm",
        "power": "PowerNorm",
        "symlog": "SymLogNorm",
        "asinh": "AsinhNorm",
    }
    if wanted not in kinds:
        raise UsidError(
            f"Unknown norm {wanted!r}: give one of {', '.join(map(repr, kinds))}, or one of matplotlib.colors."
        )
    options: dict[str, float] = {}
    if wanted == "symlog":
        options["linthresh"] = 1e-3 * max(abs(low or 0), abs(high or 1))
    if wanted == "power":
        options["gamma"] = 0.5
    return getattr(require("matplotlib.colors", "Drawing"), kinds[wanted])(vmin=low, vmax=high, **options)


def _recolour(chosen: Colours, wanted: Shades) -> Colours:
    colormap = wanted.find_colormap()
    if chosen.categories:
        listed = require("matplotlib.colors", "Drawing").ListedColormap(wanted.list_colours(len(chosen.categories)))
        return replace(chosen, colormap=listed)
    return replace(chosen, colormap=_grey_holes(colormap))


def _choose_categorical(array: xr.DataArray, values: NDArray[np.float64]) -> Colours:
    present = np.unique(values[np.isfinite(values)]).astype(int)
    low, high = (0, 1) if array.dtype.kind == "b" else (int(present[0]), int(present[-1]))
    if high - low > 255:
        return _make_sequential("viridis", float(low), float(high), 1.0, "")
    groups = range(low, high + 1)
    # A label below zero means "in no cluster"; any other code means what it says.
    in_none = [g < 0 and str(array.name).lower() in _LABEL_NAMES for g in groups]
    named = iter(list_category_colours(in_none.count(False)))
    colors = [_HOLE if none else next(named) for none in in_none]
    texts = tuple("none" if none else str(g) for g, none in zip(groups, in_none, strict=True))
    if array.dtype.kind == "b":
        colors, texts = [_HOLE, _FEW[0]], ("no", "yes")
    every = -(-len(groups) // 12)
    return Colours(
        require("matplotlib.colors", "Drawing").ListedColormap(colors),
        low - 0.5,
        high + 0.5,
        1.0,
        "",
        ticks=tuple(float(g) for g in groups)[::every],
        tick_labels=texts[::every],
        categories=tuple(groups),
    )


def _find_full_turn(array: xr.DataArray, low: float, high: float) -> float | None:
    """Return the period of a phase in its own unit, None where the values do not come round."""
    said = f"{array.name} {array.attrs.get('long_name', '')}".lower()
    says_phase = any(w in said for w in ("phase", "angle")) and not any(w in said for w in ("stderr", "error"))
    turn = _FULL_TURN.get(find_unit(array))
    if turn is None:
        # Instruments write phases in degrees under any unit; a span of most of a turn tells. Only the colours follow.
        turn = 360.0 if says_phase and 180 < high - low <= 400 else None
    return turn if says_phase and turn is not None and high - low <= 1.15 * turn else None


def _choose_cyclic(array: xr.DataArray, low: float, high: float, turn: float) -> Colours:
    unit = find_unit(array)
    start = -turn / 2 if low >= -0.51 * turn and high <= 0.51 * turn else (0.0 if low >= 0 else (low + high - turn) / 2)
    ticks, texts = None, None
    if turn == 2 * math.pi:
        ticks = tuple(start + n * turn / 4 for n in range(5))
        texts = ("-π", "-π/2", "0", "π/2", "π") if start < 0 else ("0", "π/2", "π", "3π/2", "2π")
        texts = texts if start in (-math.pi, 0.0) else None
    elif start in (-180.0, 0.0):
        ticks = tuple(start + n * 90 for n in range(5))
    known = require("matplotlib", "Drawing").colormaps["twilight"]
    return Colours(_grey_holes(known), start, start + turn, 1.0, unit, ticks=ticks, tick_labels=texts)


def _choose_continuous(
    array: xr.DataArray, values: NDArray[np.float64], low: float, high: float, robust: bool | None
) -> Colours:
    unit = find_unit(array)
    is_constant = high - low <= _ROUNDING * max(abs(low), abs(high))
    remark = "constant" if is_constant else ""
    low, high, extend = _cut(values, low, high, robust)
    scale = choose_scale(max(abs(low), abs(high)), unit)
    if low < 0 < high and min(-low, high) > 0.1 * max(-low, high) and find_base_unit(unit)[1] != "m":
        most = max(-low, high)
        return _make_sequential("RdBu_r", -most, most, scale.factor, scale.unit, extend=extend)
    if is_constant:
        low, high = low - 0.05 * abs(low or 1.0), high + 0.05 * abs(high or 1.0)
    # Cameras and detectors write bytes; their pictures are grey everywhere else too.
    name = "gray" if array.dtype == np.uint8 else "viridis"
    return _make_sequential(name, low, high, scale.factor, scale.unit, extend=extend, remark=remark)


def _cut_as_wanted(
    values: NDArray[np.float64], low: float, high: float, wanted: Shades
) -> tuple[float, float, float, float]:
    """Return the ends of the values, and the ends between which colours run where neither is given."""
    inner_low, inner_high = _cut(values, low, high, robust=bool(wanted.robust))[:2]
    return low, high, inner_low, inner_high


def _cut(values: NDArray[np.float64], low: float, high: float, robust: bool | None) -> tuple[float, float, str]:
    """Cut limits at percentiles, not at all, or only where a few stray cells have blown them up."""
    if robust is None:
        return _cut_outliers(values, low, high)
    if not robust:
        return low, high, "neither"
    inner_low, inner_high = (float(v) for v in np.nanpercentile(values, _ROBUST))
    return inner_low, inner_high, _name_extension(low < inner_low, high > inner_high)


def _name_extension(below: bool, above: bool) -> str:
    """Name the ends of the colour bar beyond which there are values."""
    return {(True, True): "both", (True, False): "min", (False, True): "max", (False, False): "neither"}[below, above]


def _cut_outliers(values: NDArray[np.float64], low: float, high: float) -> tuple[float, float, str]:
    """Cut limits that a few stray cells have blown up, so that the rest is seen."""
    known = values[np.isfinite(values)]
    if known.size < _FEWEST:
        return low, high, "neither"
    # Two cells at the least: a percentile of a small map lies half way to its outlier.
    stray = max(2, known.size // 200)
    ends = [stray, known.size - 1 - stray]
    inner_low, inner_high = (float(v) for v in np.partition(known, ends)[ends])
    room = inner_high - inner_low
    cut_low, cut_high = low < inner_low - room, high > inner_high + room
    if room == 0 or not (cut_low or cut_high):
        return low, high, "neither"
    extend = _name_extension(cut_low, cut_high)
    return inner_low if cut_low else low, inner_high if cut_high else high, extend


def _make_sequential(
    name: str, low: float, high: float, factor: float, unit: str, *, extend: str = "neither", remark: str = ""
) -> Colours:
    known = require("matplotlib", "Drawing").colormaps[name]
    return Colours(_grey_holes(known), low * factor, high * factor, factor, unit, extend=extend, remark=remark)


def _grey_holes(colormap: Any) -> Any:
    """Show cells without a value in grey."""
    return colormap.with_extremes(bad=_HOLE)
