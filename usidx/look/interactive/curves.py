"""Lines along a swept dim, by HoloViews."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from usidx.look.draw.colours import Shades
from usidx.look.draw.downsample import as_floats, break_phase, compute_envelope, make_ruler
from usidx.look.draw.lines import Stroke
from usidx.look.draw.numbers import (
    choose_scale,
    escape_formulas,
    find_finite_range,
    find_quantity,
    find_unit,
    write_label,
)
from usidx.look.interactive.elements import BLUE, load_holoviews, name_value

__all__ = ["Layer", "make_lines", "make_series"]

#: Lines of dims (cell, the dim that runs to the right), and how they are drawn.
Layer = tuple[xr.DataArray, Stroke]
_MOST = 20_000


def make_lines(layers: Sequence[Layer], dim: str, scales: dict[str, float], shades: Shades) -> Any:
    """Draw real lines of dims (cell, `dim`) over one another; `scales` has the largest value, for the prefix."""
    first = layers[0][0]
    is_phase = find_unit(first) == "rad" and find_quantity(first) == "Phase"
    found = find_finite_range(as_floats(first.values))
    largest = 1.0 if is_phase else scales.get("largest", max(map(abs, found)) if found else 0.0)
    scale = choose_scale(largest, find_unit(first))
    drawn = [
        _make_line(lines.isel(cell=number), dim, scale.factor, stroke, number, is_phase=is_phase)
        for lines, stroke in layers
        for number in range(lines.sizes["cell"])
    ]
    x_label = make_ruler(first.isel(cell=0), dim).scale_values()[1]
    said = write_label(find_quantity(first), scale.unit)
    looks: dict[str, Any] = {"xlabel": escape_formulas(x_label), "ylabel": escape_formulas(said)}
    looks |= {"show_legend": any(stroke.names for _, stroke in layers), "legend_position": "right"}
    if is_phase:
        looks |= {"ylim": (-1.1 * math.pi, 1.1 * math.pi)}
    elif shades.has_limits:
        looks |= {"ylim": tuple(None if end is None else end * scale.factor for end in (shades.vmin, shades.vmax))}
    overlay = load_holoviews().Overlay(drawn)
    return name_value(overlay, {"along": x_label, "response": said}).opts(**looks, backend="bokeh")


def _make_line(line: xr.DataArray, dim: str, factor: float, stroke: Stroke, number: int, *, is_phase: bool) -> Any:
    along, _ = make_ruler(line, dim).scale_values()
    values = as_floats(line.values) * factor
    part = is_phase and not stroke.points
    x, y = break_phase(along, values) if part else compute_envelope(along, values, _MOST // 2)
    return _make_stroke(x, y, stroke, number)


def _make_stroke(x: NDArray[np.float64], y: NDArray[np.float64], stroke: Stroke, number: int) -> Any:
    hv = load_holoviews()
    label = escape_formulas(stroke.names[number]) if number < len(stroke.names) else ""
    color = stroke.colors[number % len(stroke.colors)]
    response = "response" if np.isfinite(y).any() else hv.Dimension("response", range=(0.0, 1.0))
    if stroke.points:
        made = hv.Scatter((x, y), "along", response, label=label).opts(color=color, size=4, backend="bokeh")
    else:
        made = hv.Curve((x, y), "along", response, label=label).opts(
            color=color, line_width=stroke.width, backend="bokeh"
        )
    return made.opts(tools=["hover"], backend="bokeh")


def make_series(across: str, quantity: str, values: NDArray[np.float64], *, is_log: bool) -> Any:
    """Draw values that are counted from zero, as points on a line."""
    hv = load_holoviews()
    data = (np.arange(values.size), values)
    looks = {"xlabel": across, "ylabel": quantity, "logy": is_log, "show_grid": True}
    line = hv.Curve(data, "count", quantity).opts(color=BLUE, backend="bokeh")
    dots = hv.Scatter(data, "count", quantity).opts(color=BLUE, size=6, tools=["hover"], backend="bokeh")
    return (line * dots).opts(**looks, backend="bokeh")
