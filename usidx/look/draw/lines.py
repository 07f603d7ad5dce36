"""Draw values along a swept dim: a few lines, complex ones as magnitude and phase."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from usidx.look.draw.canvas import (
    INK,
    SMALL,
    escape_text,
    label_axes,
    points,
    set_whole_ticks,
    style_axes,
    write_plain_numbers,
)
from usidx.look.draw.colours import AUTOMATIC, Shades
from usidx.look.draw.downsample import as_floats, break_phase, compute_envelope, make_ruler
from usidx.look.draw.maps import limit_height, split_complex
from usidx.look.draw.numbers import choose_scale, find_finite_range, find_quantity, find_unit, write_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Stroke", "add_legend", "count_panels", "draw_lines", "stack_panels"]

_MOST = 4000


@dataclass(frozen=True)
class Stroke:
    """How one set of lines is drawn."""

    colors: list[str]
    names: list[str]
    points: bool = False
    width: float = 1.2
    dashed: bool = False
    alpha: float = 1.0


def count_panels(lines: xr.DataArray) -> int:
    """Return how many panels the lines need: two where they are complex."""
    return 2 if lines.dtype.kind == "c" else 1


def draw_lines(
    axes: list[Axes],
    lines: xr.DataArray,
    dim: str,
    stroke: Stroke,
    scales: dict[str, float],
    shades: Shades = AUTOMATIC,
) -> str:
    """Draw lines of dims (cell, `dim`) into one panel, or two where they are complex; return what was left out.

    `scales` remembers the largest value of each panel, so that what is drawn later shares the prefix.
    """
    said = ""
    for panel, (part, real) in zip(axes, split_complex(lines), strict=True):
        if part == "phase":
            _draw_phases(panel, real, dim, stroke)
        else:
            said = _draw_reals(panel, real, dim, stroke, scales, shades) or said
    return said


def _draw_reals(
    axes: Axes, lines: xr.DataArray, dim: str, stroke: Stroke, scales: dict[str, float], shades: Shades
) -> str:
    values = as_floats(lines.values)
    found = find_finite_range(values)
    largest = scales.setdefault("largest", max(map(abs, found)) if found else 0.0)
    scale = choose_scale(largest, find_unit(lines))
    said = ""
    for number, line in enumerate(values):
        along, x_label = _find_course(lines, dim, number)
        x, y = compute_envelope(along, line, _MOST // 2)
        if y.size < line.size:
            said = f"lines of {line.size} points drawn as the envelope of {y.size // 2} bins"
        axes.plot(x, y * scale.factor, **_choose_strokes(stroke, number))
    limit_height(axes, shades, scale.factor)
    style_axes(axes)
    label_axes(axes, x_label, write_label(find_quantity(lines), scale.unit), room=24)
    for axis in (axes.xaxis, axes.yaxis):
        write_plain_numbers(axis)
    if make_ruler(lines.isel(cell=0), dim).is_count:
        set_whole_ticks(axes.xaxis)
    return said


def _draw_phases(axes: Axes, lines: xr.DataArray, dim: str, stroke: Stroke) -> None:
    for number, line in enumerate(as_floats(lines.values)):
        along, x_label = _find_course(lines, dim, number)
        x, y = (along, line) if stroke.points else break_phase(along, line)
        axes.plot(x, y, **_choose_strokes(stroke, number))
    style_axes(axes)
    axes.set_ylim(-1.1 * math.pi, 1.1 * math.pi)
    axes.set_yticks([-math.pi, 0, math.pi], labels=["-π", "0", "π"])
    axes.set_yticks([-math.pi / 2, math.pi / 2], minor=True)
    label_axes(axes, x_label, "Phase (rad)")
    write_plain_numbers(axes.xaxis)


def _find_course(lines: xr.DataArray, dim: str, number: int) -> tuple[NDArray[np.float64], str]:
    """Return where a line runs; a dependent coordinate differs from line to line."""
    return make_ruler(lines.isel(cell=number), dim).scale_values()


def _choose_strokes(stroke: Stroke, number: int) -> dict[str, Any]:
    color = stroke.colors[number % len(stroke.colors)]
    name = escape_text(stroke.names[number]) if number < len(stroke.names) else "_"
    if stroke.points:
        return {"color": color, "ls": "", "marker": ".", "ms": points(4), "alpha": stroke.alpha, "label": name}
    dashes = (0, (4, 2)) if stroke.dashed else "-"
    return {"color": color, "lw": points(stroke.width), "ls": dashes, "alpha": stroke.alpha, "label": name}


def add_legend(figure: Any, axes: Axes, *, title: str = "") -> None:
    """Write the legend beside the panels, where it hides nothing, or into it where the figure is a user's."""
    handles, names = axes.get_legend_handles_labels()
    if handles:
        (axes if figure is None else figure).legend(
            handles,
            names,
            loc="best" if figure is None else "outside right upper",
            fontsize=points(SMALL),
            frameon=False,
            title=escape_text(title),
            title_fontsize=points(SMALL),
            labelcolor=INK,
            handlelength=1.4,
        )


def stack_panels(figure: Any, count: int) -> list[Axes]:
    """Make panels over one another that share what runs to the right."""
    made = figure.subplots(count, 1, sharex=True, squeeze=False, height_ratios=[2, 1][:count]).ravel()
    for axes in made[:-1]:
        axes.xaxis.label.set_visible(False)
    return list(made)
