"""What is drawn on a map to the places that are meant: a box, a lasso, a line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from usidx.look.draw.extras import require
from usidx.look.draw.numbers import write_label
from usidx.look.explorer.reading.reads import Region
from usidx.look.explorer.reading.scene import Scene

__all__ = ["find_border", "make_disk", "make_profile", "make_region"]

_PURPOSE = "`usidx view`"
# Samples along a line over the map.
_SAMPLES = 256


def find_border(geometry: Mapping[str, Any]) -> tuple[list[float], list[float]]:
    """Return the border of what was drawn, closed."""
    if geometry["type"] == "rect":
        x0, x1, y0, y1 = (float(geometry[k]) for k in ("x0", "x1", "y0", "y1"))
        return [x0, x1, x1, x0, x0], [y0, y0, y1, y1, y0]
    x, y = ([float(v) for v in geometry[k]] for k in ("x", "y"))
    return [*x, *x[:1]], [*y, *y[:1]]


def make_region(scene: Scene, geometry: Mapping[str, Any]) -> Region | None:
    """Return the places inside a box or a lasso; None where there are none."""
    border_x, border_y = (np.array(v) for v in find_border(geometry))
    if border_x.size < 3:
        return None
    columns = _find_span(scene.x, border_x)
    if scene.kind == "line":
        return _close({scene.places[0]: columns}, np.ones(columns[1] - columns[0], bool)) if columns else None
    if scene.kind == "points":
        inside = _find_inside(scene.x, scene.y, border_x, border_y)
        return _close({scene.places[0]: (0, scene.x.size)}, inside)
    rows = _find_span(scene.y, border_y)
    if rows is None or columns is None:
        return None
    y, x = np.meshgrid(scene.y[slice(*rows)], scene.x[slice(*columns)], indexing="ij")
    inside = np.ones(x.shape, bool)
    if geometry["type"] != "rect":
        inside = _find_inside(x.ravel(), y.ravel(), border_x, border_y).reshape(x.shape)
    return _close({scene.places[0]: rows, scene.places[1]: columns}, inside)


def _find_span(values: NDArray[np.float64], border: NDArray[np.float64]) -> tuple[int, int] | None:
    found = np.flatnonzero((values >= border.min()) & (values <= border.max()))
    return (int(found[0]), int(found[-1]) + 1) if found.size else None


def _find_inside(x: Any, y: Any, border_x: Any, border_y: Any) -> NDArray[np.bool_]:
    path = require("matplotlib.path", _PURPOSE).Path(np.column_stack([border_x, border_y]))
    found: NDArray[np.bool_] = path.contains_points(np.column_stack([x, y]))
    return found


def _close(box: dict[str, tuple[int, int] | None], cells: NDArray[np.bool_]) -> Region | None:
    spans = {dim: span for dim, span in box.items() if span is not None}
    return Region(spans, cells) if len(spans) == len(box) and cells.any() else None


def make_disk(scene: Scene, at: tuple[float, float], inner: float, outer: float) -> Region | None:
    """Return the cells of a pattern between two radii about a place, as (x, y)."""
    far = np.hypot(*np.meshgrid(scene.y - at[1], scene.x - at[0], indexing="ij"))
    inside = (far >= inner) & (far < outer)
    box = {dim: (0, v.size) for dim, v in zip(scene.places, (scene.y, scene.x), strict=True)}
    return Region(box, inside) if inside.any() else None


def make_profile(
    scene: Scene, values: xr.DataArray, start: tuple[float, float], end: tuple[float, float]
) -> xr.DataArray:
    """Return what lies under a line over a map that was read, over the distance from its start; points as (x, y).

    Between cells it is interpolated. Off the map it is NaN.
    """
    from scipy.interpolate import RegularGridInterpolator

    y, x = (v[:: -(-v.size // n)] for v, n in zip((scene.y, scene.x), values.shape, strict=True))
    order = [slice(None, None, -1 if v.size > 1 and v[0] > v[-1] else 1) for v in (y, x)]
    numbers = values.values.astype(np.float64)[order[0], order[1]]
    sample = RegularGridInterpolator((y[order[0]], x[order[1]]), numbers, bounds_error=False)
    along = np.linspace(0, 1, _SAMPLES)
    points = np.column_stack([start[n] + (end[n] - start[n]) * along for n in (1, 0)])
    same = scene.grid is not None and scene.grid.same_unit
    unit = scene.x_label.rpartition("(")[2].rstrip(")") if same and "(" in scene.x_label else ""
    far = np.hypot(end[0] - start[0], end[1] - start[1]) * along if same else along
    coord = xr.Variable("distance", far, {"long_name": "Distance" if same else "Part of the line", "units": unit})
    attrs = {"long_name": write_label(str(values.attrs.get("long_name") or values.name or ""), "")}
    attrs["units"] = str(values.attrs.get("units", ""))
    return xr.DataArray(sample(points), {"distance": coord}, ("distance",), name="profile", attrs=attrs)
