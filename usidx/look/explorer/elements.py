"""What is looked at to HoloViews elements: the map, its marker, the spectrum and the line in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from usidx.look.draw.colours import Colours, colours_for
from usidx.look.draw.downsample import as_floats, envelope, ruler
from usidx.look.draw.extras import require
from usidx.look.draw.numbers import finite_range, label, plain, quantity_of, scale_for, unit_of
from usidx.look.explorer.scene import Scene

__all__ = ["curve", "frame", "map_element", "marker", "outer", "spectrum_frame", "step_at", "step_line"]

_PURPOSE = "Exploring"
_MOST = 20_000
_FONTS = {"title": 10, "labels": 10}
_BLUE, _RED = "#0072b2", "#d55e00"


def frame(scene: Scene) -> dict[str, Any]:
    """Return the size of the map's plot; lengths are equal both ways where the image keeps its aspect."""
    if scene.kind == "line":
        return {"frame_width": 420, "frame_height": 330, "show_legend": False}
    aspect = scene.grid.aspect if scene.grid is not None and scene.grid.keeps_aspect else 1.0
    width = int(np.clip(330 / aspect, 160, 440))
    height = int(np.clip(width * aspect, 120, 480))
    return {"frame_width": width, "frame_height": height, "show_legend": False}


def spectrum_frame() -> dict[str, Any]:
    """Return the size of the spectrum's plot."""
    return {"frame_width": 440, "frame_height": 330, "show_legend": False}


def outer(inner: Mapping[str, Any], *, has_bar: bool) -> dict[str, int]:
    """Return the size of a plot with its axes, colour bar and tools."""
    beside = 175 if has_bar else 105
    return {"width": inner["frame_width"] + beside, "height": inner["frame_height"] + 85}


def map_element(scene: Scene, values: xr.DataArray, title: str) -> Any:
    """Draw a map that was read: an image, points, or a line."""
    numbers = as_floats(values.values)
    colours = colours_for(values, numbers)
    said = _plain(label(quantity_of(values), colours.unit))
    make = {"image": _image, "points": _points, "line": _line}[scene.kind]
    return make(scene, values, numbers * colours.factor, colours, said).opts(
        title=title, fontsize=_FONTS, backend="bokeh"
    )


def _image(scene: Scene, values: xr.DataArray, numbers: Any, colours: Colours, said: str) -> Any:
    hv = require("holoviews", _PURPOSE)
    y, x = scene.y[:: _step(scene.y.size, numbers.shape[0])], scene.x[:: _step(scene.x.size, numbers.shape[1])]
    if y.size > 1 and y[0] > y[-1]:
        y, numbers = y[::-1], numbers[::-1]
    if x.size > 1 and x[0] > x[-1]:
        x, numbers = x[::-1], numbers[:, ::-1]
    dims = {"kdims": ["x", "y"], "vdims": [_ranged("value", colours.low, colours.high)]}
    if scene.grid is not None and scene.grid.is_uniform:
        element = hv.Image(numbers[::-1], bounds=_bounds(x, y), **dims)
    else:
        element = hv.QuadMesh((x, y, numbers), **dims)
    looks = _coloured(colours, said) | {"invert_yaxis": scene.grid is not None and scene.grid.from_top}
    return element.opts(xlabel=_plain(scene.x_label), ylabel=_plain(scene.y_label), **looks, backend="bokeh")


def _ranged(name: str, low: float, high: float) -> Any:
    """Name a dimension whose range is known, so that it is not sought among values that may all be missing."""
    return require("holoviews", _PURPOSE).Dimension(name, range=(low, high))


def _drawable(name: str, numbers: Any) -> Any:
    """Name a dimension, with a range of its own where there is no finite value to take one from."""
    return name if np.isfinite(numbers).any() else _ranged(name, 0.0, 1.0)


def _step(whole: int, kept: int) -> int:
    """Find again which rows were read: every n-th."""
    return -(-whole // kept)


def _bounds(x: Any, y: Any) -> tuple[float, float, float, float]:
    half = [(v[-1] - v[0]) / (v.size - 1) / 2 if v.size > 1 else 0.5 for v in (x, y)]
    return float(x[0] - half[0]), float(y[0] - half[1]), float(x[-1] + half[0]), float(y[-1] + half[1])


def _points(scene: Scene, values: xr.DataArray, numbers: Any, colours: Colours, said: str) -> Any:
    hv = require("holoviews", _PURPOSE)
    step = _step(scene.x.size, numbers.size)
    element = hv.Points(
        (scene.x[::step], scene.y[::step], numbers),
        kdims=["x", "y"],
        vdims=[_ranged("value", colours.low, colours.high)],
    )
    size = float(np.clip(400 / np.sqrt(max(numbers.size, 1)), 3, 14))
    looks = _coloured(colours, said) | {"color": "value", "size": size}
    return element.opts(xlabel=_plain(scene.x_label), ylabel=_plain(scene.y_label), **looks, backend="bokeh")


def _line(scene: Scene, values: xr.DataArray, numbers: Any, colours: Colours, said: str) -> Any:
    hv = require("holoviews", _PURPOSE)
    x = scene.x[:: _step(scene.x.size, numbers.size)]
    element = hv.Curve((x, numbers), kdims=["x"], vdims=[_drawable("value", numbers)])
    looks = {"xlabel": _plain(scene.x_label), "ylabel": said, "color": _BLUE, "framewise": True}
    return element.opts(**looks, tools=["hover"], backend="bokeh")


def _coloured(colours: Colours, said: str) -> dict[str, Any]:
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


def marker(scene: Scene, index: Mapping[str, int]) -> Any:
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


def curve(values: xr.DataArray, along: str, title: str) -> Any:
    """Draw a spectrum that was read; of very many points the envelope."""
    hv = require("holoviews", _PURPOSE)
    numbers = as_floats(values.values)
    found = finite_range(numbers)
    scale = scale_for(max(map(abs, found)) if found else 0.0, unit_of(values))
    where, x_label = ruler(values, along).shown()
    x, y = envelope(where, numbers * scale.factor, _MOST // 2)
    element = hv.Curve((x, y), kdims=["along"], vdims=[_drawable("response", y)])
    said = label(quantity_of(values), scale.unit)
    looks = {"xlabel": _plain(x_label), "ylabel": _plain(said), "title": title, "color": _BLUE}
    return element.opts(**looks, framewise=True, tools=["hover"], fontsize=_FONTS, backend="bokeh")


def step_line(scene: Scene, index: Mapping[str, int], along: str) -> Any:
    """Draw the step that the map shows."""
    hv = require("holoviews", _PURPOSE)
    where = _where(scene, along)
    return hv.VLine(float(where[index[along]])).opts(color=_RED, line_width=1, backend="bokeh")


def step_at(scene: Scene, along: str, x: float) -> int:
    """Return the step nearest to a point of the spectrum."""
    return int(np.abs(_where(scene, along) - x).argmin())


def _where(scene: Scene, along: str) -> Any:
    return ruler(scene.array, along).shown()[0]


def _plain(words: str) -> str:
    """Keep a name from a file from being read as a formula."""
    return plain(words).replace("$$", "$")
