"""What is looked at to HoloViews elements: the map, its marker, the spectrum and the line in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from usidx.look.draw.colours import Colours, choose_colours
from usidx.look.draw.downsample import as_floats, compute_envelope, make_ruler
from usidx.look.draw.extras import require
from usidx.look.draw.numbers import (
    choose_scale,
    escape_formulas,
    find_finite_range,
    find_quantity,
    find_unit,
    write_label,
)
from usidx.look.explorer.scene import Scene

__all__ = [
    "add_margins",
    "choose_map_size",
    "choose_spectrum_size",
    "find_step",
    "make_curve",
    "make_map_element",
    "make_marker",
    "make_step_line",
]

_PURPOSE = "Exploring"
_MOST = 20_000
_FONTS = {"title": 10, "labels": 10}
_BLUE, _RED = "#0072b2", "#d55e00"


def choose_map_size(scene: Scene) -> dict[str, Any]:
    """Return the size of the map's plot; lengths are equal both ways where the image keeps its aspect."""
    if scene.kind == "line":
        return {"frame_width": 420, "frame_height": 330, "show_legend": False}
    aspect = scene.grid.aspect if scene.grid is not None and scene.grid.keeps_aspect else 1.0
    width = float(np.clip(330 / aspect, 40, 440 if aspect > 0.25 else 880))
    width, height = int(width), int(width * aspect)
    return {"frame_width": width, "frame_height": height, "show_legend": False}


def choose_spectrum_size() -> dict[str, Any]:
    """Return the size of the spectrum's plot."""
    return {"frame_width": 440, "frame_height": 330, "show_legend": False}


def add_margins(inner: Mapping[str, Any], *, has_bar: bool) -> dict[str, int]:
    """Return the size of a plot with its axes, colour bar and tools."""
    beside = 175 if has_bar else 105
    return {"width": inner["frame_width"] + beside, "height": inner["frame_height"] + 85}


def make_map_element(scene: Scene, values: xr.DataArray, title: str) -> Any:
    """Draw a map that was read: an image, points, or a line."""
    numbers = as_floats(values.values)
    colours = choose_colours(values, numbers)
    said = escape_formulas(write_label(find_quantity(values), colours.unit))
    make = {"image": _make_image, "points": _make_points, "line": _make_line}[scene.kind]
    return make(scene, values, numbers * colours.factor, colours, said).opts(
        title=title, fontsize=_FONTS, backend="bokeh"
    )


def _make_image(scene: Scene, values: xr.DataArray, numbers: Any, colours: Colours, said: str) -> Any:
    hv = require("holoviews", _PURPOSE)
    y, x = (
        scene.y[:: _measure_step(scene.y.size, numbers.shape[0])],
        scene.x[:: _measure_step(scene.x.size, numbers.shape[1])],
    )
    if y.size > 1 and y[0] > y[-1]:
        y, numbers = y[::-1], numbers[::-1]
    if x.size > 1 and x[0] > x[-1]:
        x, numbers = x[::-1], numbers[:, ::-1]
    dims = {"kdims": ["x", "y"], "vdims": [_make_ranged_dimension("value", colours.low, colours.high)]}
    if scene.grid is not None and scene.grid.is_uniform:
        element = hv.Image(numbers[::-1], bounds=_find_bounds(x, y), **dims)
    else:
        element = hv.QuadMesh((x, y, numbers), **dims)
    looks = _make_colour_options(colours, said) | {"invert_yaxis": scene.grid is not None and scene.grid.from_top}
    return element.opts(
        xlabel=escape_formulas(scene.x_label), ylabel=escape_formulas(scene.y_label), **looks, backend="bokeh"
    )


def _make_ranged_dimension(name: str, low: float, high: float) -> Any:
    """Name a dimension whose range is known, so that it is not sought among values that may all be missing."""
    return require("holoviews", _PURPOSE).Dimension(name, range=(low, high))


def _make_drawable_dimension(name: str, numbers: Any) -> Any:
    """Name a dimension, with a range of its own where there is no finite value to take one from."""
    return name if np.isfinite(numbers).any() else _make_ranged_dimension(name, 0.0, 1.0)


def _measure_step(whole: int, kept: int) -> int:
    """Find again which rows were read: every n-th."""
    return -(-whole // kept)


def _find_bounds(x: Any, y: Any) -> tuple[float, float, float, float]:
    half = [(v[-1] - v[0]) / (v.size - 1) / 2 if v.size > 1 else 0.5 for v in (x, y)]
    return float(x[0] - half[0]), float(y[0] - half[1]), float(x[-1] + half[0]), float(y[-1] + half[1])


def _make_points(scene: Scene, values: xr.DataArray, numbers: Any, colours: Colours, said: str) -> Any:
    hv = require("holoviews", _PURPOSE)
    step = _measure_step(scene.x.size, numbers.size)
    element = hv.Points(
        (scene.x[::step], scene.y[::step], numbers),
        kdims=["x", "y"],
        vdims=[_make_ranged_dimension("value", colours.low, colours.high)],
    )
    size = float(np.clip(400 / np.sqrt(max(numbers.size, 1)), 3, 14))
    looks = _make_colour_options(colours, said) | {"color": "value", "size": size}
    return element.opts(
        xlabel=escape_formulas(scene.x_label), ylabel=escape_formulas(scene.y_label), **looks, backend="bokeh"
    )


def _make_line(scene: Scene, values: xr.DataArray, numbers: Any, colours: Colours, said: str) -> Any:
    hv = require("holoviews", _PURPOSE)
    x = scene.x[:: _measure_step(scene.x.size, numbers.size)]
    element = hv.Curve((x, numbers), kdims=["x"], vdims=[_make_drawable_dimension("value", numbers)])
    looks = {"xlabel": escape_formulas(scene.x_label), "ylabel": said, "color": _BLUE, "framewise": True}
    return element.opts(**looks, tools=["hover"], backend="bokeh")


def _make_colour_options(colours: Colours, said: str) -> dict[str, Any]:
    to_hex = require("matplotlib.colors", _PURPOSE).to_hex
    shades = getattr(colours.colormap, "colors", None) if colours.categories else None
    palette = list(shades) if shades is not None else [to_hex(colours.colormap(n / 255)) for n in range(256)]
    return {
        "cmap": palette,
        "clim": (colours.low, colours.high),
        "colorbar": True,
        "clabel": said,
        "colorbar_opts": {"title_standoff": 14, "title_text_font_style": "normal"},
        "tools": ["hover"],
        "framewise": True,
    }


def make_marker(scene: Scene, index: Mapping[str, int]) -> Any:
    """Draw where one looks."""
    hv = require("holoviews", _PURPOSE)
    if not scene.swept:
        return hv.Points([], kdims=["x", "y"])
    at = [index[d] for d in scene.places]
    x = scene.x[at[-1]]
    if scene.kind == "line":
        return hv.VLine(float(x)).opts(color=_RED, line_width=1, backend="bokeh")
    spot = [(x, scene.y[at[0]])]
    rings = [("white", 4.0), ("black", 1.5)]
    looks = {"marker": "circle", "size": 13, "fill_alpha": 0}
    # White under black is seen on any colour.
    drawn = [
        hv.Points(spot, kdims=["x", "y"]).opts(**looks, line_color=c, line_width=w, backend="bokeh") for c, w in rings
    ]
    return hv.Overlay(drawn)


def make_curve(values: xr.DataArray, along: str, title: str) -> Any:
    """Draw a spectrum that was read; of very many points the envelope."""
    hv = require("holoviews", _PURPOSE)
    numbers = as_floats(values.values)
    found = find_finite_range(numbers)
    scale = choose_scale(max(map(abs, found)) if found else 0.0, find_unit(values))
    where, x_label = make_ruler(values, along).scale_values()
    x, y = compute_envelope(where, numbers * scale.factor, _MOST // 2)
    element = hv.Curve((x, y), kdims=["along"], vdims=[_make_drawable_dimension("response", y)])
    said = write_label(find_quantity(values), scale.unit)
    looks = {"xlabel": escape_formulas(x_label), "ylabel": escape_formulas(said), "title": title, "color": _BLUE}
    return element.opts(**looks, framewise=True, tools=["hover"], fontsize=_FONTS, backend="bokeh")


def make_step_line(scene: Scene, index: Mapping[str, int], along: str) -> Any:
    """Draw the step that the map shows."""
    hv = require("holoviews", _PURPOSE)
    where = _find_positions(scene, along)
    return hv.VLine(float(where[index[along]])).opts(color=_RED, line_width=1, backend="bokeh")


def find_step(scene: Scene, along: str, x: float) -> int:
    """Return the step nearest to a point of the spectrum."""
    return int(np.abs(_find_positions(scene, along) - x).argmin())


def _find_positions(scene: Scene, along: str) -> Any:
    return make_ruler(scene.array, along).scale_values()[0]
