"""What matplotlib would show of a map, by hvplot: the same cells, colours, units and labels."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from importlib.util import find_spec
from typing import Any

import numpy as np
import xarray as xr

from usidx.errors import UsidError
from usidx.look.draw.colours import Colours, Shades, choose_colours
from usidx.look.draw.downsample import as_floats, find_scattered, make_ruler
from usidx.look.draw.extras import require
from usidx.look.draw.maps import (
    find_common_scale,
    find_grid,
    find_places,
    measure_map_aspect,
    scale_apart,
    scale_together,
)
from usidx.look.draw.numbers import escape_formulas, find_base_unit, find_quantity, write_label
from usidx.look.draw.scalebar import NO_UNIT

__all__ = ["BLUE", "list_palette", "load_holoviews", "make_map", "name_value", "set_title"]

_PURPOSE = "Drawing with hvplot"
# More points than this a browser draws slowly; datashader, where it is there, makes an image of them.
_MOST_POINTS = 20_000
_FONTS = {"title": 10, "labels": 10, "ticks": 9}
BLUE = "#0072b2"


def load_holoviews() -> Any:
    """Return HoloViews, with what draws by bokeh: it takes no options before that is loaded."""
    require("holoviews.plotting.bokeh", _PURPOSE)
    return require("holoviews", _PURPOSE)


def make_map(array: xr.DataArray, shades: Shades | Colours, title: str, scalebar: bool | float, width: int) -> Any:
    """Draw a map that was read by `read_map` and is real."""
    colours = choose_colours(array, as_floats(array.values), shades)
    said = write_label(find_quantity(array), colours.unit)
    if array.ndim == 2:
        made = _make_image(array, colours, said, scalebar)
    elif (placed := find_scattered(array, str(array.dims[0]))) is not None:
        made = _make_points(array, placed, colours, said, scalebar)
    else:
        return set_title(_make_line(array, colours, said), title, width, 0.6)
    # Else the range is sought among values that may all be missing.
    made = made.redim.range(value=(colours.low, colours.high)).opts(**_choose_looks(colours, said), backend="bokeh")
    return set_title(made, title, width, measure_map_aspect(array))


def set_title(element: Any, title: str, width: int, aspect: float) -> Any:
    """Write a title over a picture of this size."""
    width = min(width, int(1.5 * width / aspect)) if aspect > 0 else width
    size = {"frame_width": max(width, 60), "frame_height": max(int(width * aspect), 60)}
    return element.opts(title=escape_formulas(title), fontsize=_FONTS, **size, backend="bokeh")


def name_value(element: Any, labels: Mapping[str, str]) -> Any:
    """Name the sides and what is shown, on the axes and under the pointer."""
    return element.redim.label(**{name: escape_formulas(words) or " " for name, words in labels.items()})


def _make_image(array: xr.DataArray, colours: Colours, said: str, scalebar: bool | float) -> Any:
    require("hvplot.xarray", _PURPOSE)
    grid = find_grid(array)
    values = as_floats(array.values) * colours.factor
    frame = xr.DataArray(values, dims=("y", "x"), coords={"y": grid.y, "x": grid.x}, name="value")
    frame = frame.sortby(["y", "x"])
    kind = "image" if grid.is_uniform and min(values.shape) > 1 else "quadmesh"
    made = getattr(frame.hvplot, kind)(x="x", y="y", symmetric=False, dynamic=False)
    looks: dict[str, Any] = {"xlabel": grid.x_label, "ylabel": grid.y_label, "invert_yaxis": grid.from_top}
    looks |= _choose_scalebar(scalebar, grid.unit if grid.keeps_aspect else "", grid.factor)
    return name_value(made, {"x": grid.x_label, "y": grid.y_label, "value": said}).opts(**looks, backend="bokeh")


def _make_points(
    array: xr.DataArray, placed: tuple[str, str], colours: Colours, said: str, scalebar: bool | float
) -> Any:
    require("hvplot.pandas", _PURPOSE)
    vertical, horizontal = (find_places(array, name) for name in placed)
    same = vertical.unit == horizontal.unit
    y, x, y_label, x_label = scale_together(vertical, horizontal) if same else scale_apart(vertical, horizontal)
    values = as_floats(array.values) * colours.factor
    frame = require("pandas", _PURPOSE).DataFrame({"x": x, "y": y, "value": values})
    shaded: dict[str, Any] = {}
    if values.size > _MOST_POINTS and find_spec("datashader") is not None:
        shaded = {"rasterize": True, "aggregator": "mean"}
    made = frame.hvplot.points(x="x", y="y", c="value", hover_cols=["value"], **shaded)
    size = float(np.clip(400 / np.sqrt(max(values.size, 1)), 2, 14))
    looks: dict[str, Any] = {} if shaded else {"size": size, "color": "value", "line_alpha": 0}
    looks |= {"xlabel": x_label, "ylabel": y_label}
    factor, unit = find_common_scale(vertical, horizontal) if same else (1.0, "")
    looks |= _choose_scalebar(scalebar, unit, factor)
    return name_value(made, {"x": x_label, "y": y_label, "value": said}).opts(**looks, backend="bokeh")


def _make_line(array: xr.DataArray, colours: Colours, said: str) -> Any:
    x, x_label = make_ruler(array, str(array.dims[0])).scale_values()
    curve = load_holoviews().Curve((x, as_floats(array.values) * colours.factor), "along", "value")
    looks = {"xlabel": escape_formulas(x_label), "ylabel": escape_formulas(said), "color": BLUE, "tools": ["hover"]}
    return name_value(curve, {"along": x_label, "value": said}).opts(**looks, backend="bokeh")


def _choose_looks(colours: Colours, said: str) -> dict[str, Any]:
    looks: dict[str, Any] = {
        "cmap": list_palette(colours),
        "clim": (colours.low, colours.high),
        "colorbar": True,
        "clabel": escape_formulas(said),
        "tools": ["hover"],
    }
    if colours.categories and colours.ticks is not None:
        from bokeh.models import FixedTicker

        texts = colours.tick_labels or tuple(map(str, colours.ticks))
        overrides = dict(zip(colours.ticks, texts, strict=True))
        looks["colorbar_opts"] = {"ticker": FixedTicker(ticks=list(colours.ticks)), "major_label_overrides": overrides}
    return looks


def list_palette(colours: Colours) -> list[str]:
    """Return the colours from the lower to the upper limit, as the norm spreads them."""
    to_hex = require("matplotlib.colors", _PURPOSE).to_hex
    if colours.categories:
        return [to_hex(c) for c in colours.colormap.colors]
    shares = np.linspace(0, 1, 256)
    if colours.norm is not None:
        norm = copy(colours.norm)
        norm.autoscale_None([colours.low, colours.high])
        shares = np.ma.filled(np.ma.clip(norm(np.linspace(colours.low, colours.high, 256)), 0, 1), 0)
    return [to_hex(colours.colormap(float(share))) for share in shares]


def _choose_scalebar(wanted: bool | float, unit: str, factor: float) -> dict[str, Any]:
    """Have a bar drawn whose length follows the zoom, or is the one that is wanted."""
    if not wanted:
        return {}
    if not unit:
        raise UsidError(NO_UNIT)
    base = find_base_unit(unit)[1]
    looks: dict[str, Any] = {"scalebar_unit": unit if base == unit else (unit, base)}
    if wanted is not True:
        looks["scalebar_opts"] = {"bar_length": wanted * factor, "bar_length_units": "data"}
    return looks | {"scalebar": True, "xaxis": None, "yaxis": None}
