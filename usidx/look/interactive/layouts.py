"""Pictures of several parts by HoloViews; what is lazy is read when a part is shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from usidx.look.draw.canvas import choose_grid_shape
from usidx.look.draw.colours import AUTOMATIC, Colours, Shades
from usidx.look.draw.downsample import make_ruler
from usidx.look.draw.lines import Stroke
from usidx.look.draw.maps import read_map, split_complex
from usidx.look.draw.numbers import choose_scale, find_unit, make_printable
from usidx.look.draw.wishes import Wishes
from usidx.look.interactive.curves import Layer, make_lines, make_series
from usidx.look.interactive.elements import load_holoviews, make_map, set_title

__all__ = [
    "Branches",
    "Series",
    "lay_out_branches",
    "lay_out_clusters",
    "lay_out_curves",
    "lay_out_lines",
    "lay_out_maps",
    "lay_out_panels",
    "lay_out_series",
]

#: Quantity, values, and whether they are shown by their powers of ten.
Series = tuple[str, NDArray[np.float64], bool]
# Width of the only picture of a figure, and of one among several, in pixels.
_WIDE, _NARROW = 420, 260


@dataclass(frozen=True)
class Branches:
    """A tree of clusters: its branches, and its leaves from left to right."""

    branches: list[tuple[Any, Any]]
    leaves: list[str]
    colors: list[str]
    across: str
    upwards: str

    @property
    def places(self) -> NDArray[np.float64]:
        """Where the leaves stand, as SciPy sets them."""
        return np.linspace(5.0, 10.0 * len(self.leaves) - 5.0, len(self.leaves))


def lay_out_maps(named: Sequence[tuple[str, xr.DataArray]], wishes: Wishes) -> Any:
    """Draw maps side by side; an array of more than two dims gets sliders for the others."""
    parts = [(name, array.squeeze(drop=True) if array.ndim > 2 else array) for name, array in named]
    panels = [
        (", ".join(filter(None, (name, part))), partial(_pick_part, array, number), array, part)
        for name, array in parts
        for number, part in enumerate(("magnitude", "phase") if array.dtype.kind == "c" else ("",))
    ]
    width = _WIDE if len(panels) == 1 else _NARROW
    made = []
    for name, read, array, part in panels:
        title = wishes.name_panel(name) if len(panels) > 1 else ""
        shades = AUTOMATIC if part == "phase" else wishes.shades
        draw = partial(_draw_map, read, shades, title, wishes.scalebar, width)
        made.append(_show_sliding(array, draw) if array.ndim > 2 else _show_lazily(array, draw))
    return _lay_out(made, wishes, 1.0)


def _pick_part(array: xr.DataArray, number: int, at: Mapping[str, int]) -> xr.DataArray:
    """Read what is shown of the map at some steps: of a complex one magnitude or phase."""
    return split_complex(read_map(array.isel(at))[0])[number][1]


def _draw_map(
    read: Callable[..., xr.DataArray], shades: Shades, title: str, scalebar: bool | float, width: int, at: Any
) -> Any:
    return make_map(read(at), shades, title, scalebar, width)


def _show_lazily(array: xr.DataArray, draw: Callable[[Any], Any]) -> Any:
    """Draw at once what is in memory, and what is lazy when it is shown."""
    return draw({}) if array.chunks is None else load_holoviews().DynamicMap(lambda: draw({}))


def _show_sliding(array: xr.DataArray, draw: Callable[[Any], Any]) -> Any:
    """Draw the map at the steps that sliders choose."""
    hv = load_holoviews()
    sliding = [str(d) for d in array.dims[:-2]]
    steps = {dim: _list_steps(array, dim) for dim in sliding}

    def draw_step(*values: float) -> Any:
        return draw({dim: steps[dim].index(value) for dim, value in zip(sliding, values, strict=True)})

    dims = []
    for dim in sliding:
        unit = choose_scale(_find_most(array, dim), find_unit(array[dim])).unit if dim in array.coords else ""
        dims.append(hv.Dimension(make_printable(dim), values=steps[dim], unit=unit or None))
    return hv.DynamicMap(draw_step, kdims=dims)


def _find_most(array: xr.DataArray, dim: str) -> float:
    return float(np.abs(make_ruler(array, dim).values).max(initial=0.0))


def _list_steps(array: xr.DataArray, dim: str) -> list[float]:
    """Return the values along a dim as a slider shows them; where some come twice, the index."""
    values = [float(v) for v in make_ruler(array, dim).scale_values()[0]]
    return values if len(set(values)) == len(values) else [float(n) for n in range(len(values))]


def lay_out_panels(panels: Sequence[tuple[str, xr.DataArray, Shades | Colours]], wishes: Wishes) -> Any:
    """Draw maps that were read, in colours that were chosen for all."""
    made = [
        make_map(array, shades, wishes.name_panel(name), wishes.scalebar, _NARROW) for name, array, shades in panels
    ]
    return _lay_out(made, wishes, 1.0)


def _lay_out(made: list[Any], wishes: Wishes, aspect: float, columns: int | None = None) -> Any:
    hv = load_holoviews()
    size = {} if wishes.figsize is None else dict(zip(("width", "height"), _as_pixels(wishes, made), strict=True))
    sized = [one.opts(frame_width=None, frame_height=None, **size, backend="bokeh") if size else one for one in made]
    title = make_printable(wishes.title or "")
    if len(sized) == 1:
        return sized[0].opts(title=title, backend="bokeh") if title else sized[0]
    layout = hv.Layout(sized).cols(columns or choose_grid_shape(len(sized), aspect)[1])
    return layout.opts(title=title, backend="bokeh") if title else layout


def _as_pixels(wishes: Wishes, made: list[Any]) -> tuple[int, int]:
    """Share the size of a figure, in inches, among its parts."""
    assert wishes.figsize is not None
    rows, columns = choose_grid_shape(len(made))
    return int(100 * wishes.figsize[0] / columns), int(100 * wishes.figsize[1] / rows)


def lay_out_lines(lines: xr.DataArray, dim: str, stroke: Stroke, wishes: Wishes) -> Any:
    """Draw lines of dims (cell, `dim`), complex ones as magnitude and phase."""
    read = cache(lines.compute)

    def draw(part: int, _: Any = None) -> Any:
        name, real = split_complex(read())[part]
        overlay = make_lines([(real, stroke)], dim, {}, AUTOMATIC if name == "phase" else wishes.shades)
        return set_title(overlay, wishes.name_panel(name), _WIDE, 0.7 if not part else 0.4)

    count = 2 if lines.dtype.kind == "c" else 1
    return _lay_out([_show_lazily(lines, partial(draw, part)) for part in range(count)], wishes, 1.0, 1)


def lay_out_curves(
    layers: Sequence[Layer],
    dim: str,
    names: Sequence[str],
    scales: dict[str, float],
    wishes: Wishes,
) -> Any:
    """Draw a panel for each cell, or two where the curves are complex, with all layers over one another."""
    parts = ("magnitude", "phase") if layers[0][0].dtype.kind == "c" else ("",)
    made = []
    for number, place in enumerate(names):
        cut = [(lines.isel(cell=[number]), stroke) for lines, stroke in layers]
        for part, name in enumerate(parts):
            drawn = [(split_complex(one)[part][1], stroke) for one, stroke in cut]
            overlay = make_lines(drawn, dim, scales, AUTOMATIC if name == "phase" else wishes.shades)
            title = ", ".join(filter(None, (place, name)))
            made.append(set_title(overlay, wishes.name_panel(title), _NARROW, 0.7))
    hidden = {"show_legend": False, "backend": "bokeh"}  # one legend says it for all
    made[1:] = [one.opts(**hidden) for one in made[1:]]
    return _lay_out(made, wishes, 0.8, None if len(parts) == 1 else min(4, len(made)))


def lay_out_clusters(labels: xr.DataArray, means: xr.DataArray, dim: str, stroke: Stroke, wishes: Wishes) -> Any:
    """Draw the map of clusters beside their mean responses."""
    made = [make_map(labels, Shades(wishes.shades.cmap), "", wishes.scalebar, _NARROW)]
    for name, real in split_complex(means):
        overlay = make_lines([(real, stroke)], dim, {}, AUTOMATIC if name == "phase" else wishes.shades)
        made.append(set_title(overlay, wishes.name_panel(name), _NARROW, 0.8))
    return _lay_out(made, wishes, 1.0)


def lay_out_series(across: str, series: Sequence[Series], wishes: Wishes) -> Any:
    """Draw what is counted from zero, each quantity beside the other."""
    made = [
        set_title(make_series(across, quantity, values, is_log=is_log), "", _NARROW, 0.8)
        for quantity, values, is_log in series
    ]
    return _lay_out(made, wishes, 1.0)


def lay_out_branches(tree: Branches, wishes: Wishes) -> Any:
    """Draw a tree of clusters."""
    hv = load_holoviews()
    path = hv.Path([np.stack(branch, axis=1) for branch in tree.branches], ["across", "upwards"])
    leaves = hv.Points(
        (tree.places, np.zeros(len(tree.leaves)), tree.colors, [leaf.replace("\n", ": ") for leaf in tree.leaves]),
        ["across", "upwards"],
        ["color", "cluster"],
    ).opts(color="color", size=9, tools=["hover"], backend="bokeh")
    ticks = list(zip(tree.places, tree.leaves, strict=True))
    looks = {"xticks": ticks, "xlabel": tree.across, "ylabel": tree.upwards}
    drawn = (path.opts(color="#222222", backend="bokeh") * leaves).opts(**looks, backend="bokeh")
    return _lay_out([set_title(drawn, "", _WIDE, 0.7)], wishes, 1.0)
