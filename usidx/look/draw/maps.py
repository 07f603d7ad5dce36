"""Draw values over positions: an image on physical axes, points where there is no grid, a line along one dim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from usidx.errors import RoleError
from usidx.label.roles import SPECTROSCOPIC, find_role
from usidx.look.draw.canvas import (
    INK,
    SMALL,
    TEXT,
    escape_text,
    label_axes,
    points,
    set_whole_ticks,
    style_axes,
    wrap_words,
    write_plain_numbers,
)
from usidx.look.draw.colours import AUTOMATIC, Colours, Shades, choose_colours
from usidx.look.draw.downsample import (
    Ruler,
    as_floats,
    find_common_unit,
    find_scattered,
    is_detector,
    make_index_ruler,
    make_ruler,
    thin,
)
from usidx.look.draw.numbers import choose_scale, find_base_unit, find_quantity, write_label, write_number
from usidx.look.draw.scalebar import draw_scalebar

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "Drawn",
    "Grid",
    "choose_map_size",
    "draw_bar",
    "draw_map",
    "find_common_scale",
    "find_grid",
    "find_places",
    "limit_height",
    "measure_map_aspect",
    "read_map",
    "scale_apart",
    "scale_together",
    "split_complex",
]

_LONGEST = 1200
_MOST_POINTS = 200_000
# Beyond this the picture would be a thread; the axes still say the truth.
_EXTREME = 25.0
# What such a picture, and any whose sides cannot be compared, is high over its width.
_UNREAL = 0.75
# A strip flatter than this has its colour bar below, where there is room for numbers.
_FLAT = 0.25


@dataclass(frozen=True)
class Grid:
    """Where the two dims of an image run: values as shown, labels, and whether lengths compare."""

    y: NDArray[np.float64]
    x: NDArray[np.float64]
    y_label: str
    x_label: str
    is_uniform: bool
    counts: tuple[bool, bool]
    same_unit: bool
    from_top: bool
    unit: str = ""
    factor: float = 1.0

    @property
    def aspect(self) -> float:
        """Height over width in the unit of the axes."""
        height, width = (_measure_width(v) for v in (self.y, self.x))
        return height / width if self.same_unit and width > 0 else 1.0

    @property
    def keeps_aspect(self) -> bool:
        """Whether a length is drawn equally long both ways."""
        return self.same_unit and 1 / _EXTREME < self.aspect < _EXTREME

    @property
    def remark(self) -> str:
        """What the reader must know where lengths are not equally long both ways."""
        if not self.same_unit or self.keeps_aspect:
            return ""
        by = self.aspect / _UNREAL  # the picture has the height that `measure_map_aspect` gives it
        return f"not to scale: {'width' if by > 1 else 'height'} stretched {write_number(max(by, 1 / by), 2)} times"


@dataclass(frozen=True)
class Drawn:
    """What a map became: what a colour bar needs, None for a line, and what the reader must know.

    Attributes
    ----------
    mappable : ScalarMappable
        Has the colours.
    colours : Colours
        The limits and unit.
    quantity : str
        What is shown.
    said : str
        A remark for below the figure.
    """

    mappable: Any
    colours: Colours | None
    quantity: str
    said: str = ""


def _measure_width(values: NDArray[np.float64]) -> float:
    """Length from edge to edge: half a cell stands out at either end."""
    if values.size < 2:
        return 1.0
    return float(abs(values[-1] - values[0])) * values.size / (values.size - 1)


def read_map(array: xr.DataArray) -> tuple[xr.DataArray, str]:
    """Read what a map of an array shows, at most 1200 cells a side; return it with what was left out.

    Raises
    ------
    RoleError
        More than two dims are longer than one, or none is.
    """
    flat = array.squeeze(drop=True) if array.ndim > 2 or 1 in array.shape else array
    if flat.ndim == 0 and array.ndim:
        flat = array.isel(dict.fromkeys(array.dims[1:], 0))
    if not 1 <= flat.ndim <= 2:
        raise RoleError(
            f"A map shows one or two dims, array {array.name!r} has {array.ndim}: {tuple(array.dims)}. "
            f"Pick one index of the others with isel(...), or draw several maps with plot_maps(..., dim=...)."
        )
    limit = _LONGEST if flat.ndim == 2 else _MOST_POINTS
    cut, said = thin(flat, (str(d) for d in flat.dims), limit)
    return cut.compute(), said


def split_complex(array: xr.DataArray) -> list[tuple[str, xr.DataArray]]:
    """Split a complex array into magnitude and phase; a real one stays one."""
    if array.dtype.kind != "c":
        return [("", array)]
    magnitude = array.copy(data=np.abs(array.data)).assign_attrs(long_name=f"|{find_quantity(array)}|")
    phase = array.copy(data=np.angle(array.data)).assign_attrs(long_name="Phase", units="rad")
    return [("magnitude", magnitude), ("phase", phase)]


def measure_map_aspect(array: xr.DataArray) -> float:
    """Return the height of a map over its width, within what a page bears."""
    if array.ndim != 2:
        return 0.8 if array.ndim == 1 and find_scattered(array, str(array.dims[0])) else 0.6
    grid = find_grid(array)
    return grid.aspect if grid.keeps_aspect else _UNREAL


def choose_map_size(aspect: float, columns: int) -> tuple[float, float]:
    """Return width and height in inches of a map with its labels and its bar, where `columns` are side by side."""
    width = {1: 4.6, 2: 3.9, 3: 3.2}.get(columns, 2.7)
    if aspect > 2:  # a tall strip gets height instead of width
        return min(5.0 / aspect, width) + 1.4, 5.8
    if aspect < _FLAT:
        width = max(width, 7.5 / columns)
        return width, aspect * (width - 0.8) + 1.5
    return width, aspect * (width - 1.3) + 0.8


def draw_map(
    figure: Figure,
    axes: Axes,
    array: xr.DataArray,
    *,
    title: str = "",
    bar: bool = True,
    shades: Shades | Colours = AUTOMATIC,
    scalebar: bool | float = False,
) -> Drawn:
    """Draw a map that was read by :func:`read_map` and is real."""
    style_axes(axes, box=True)
    if array.ndim == 2:
        drawn = _draw_image(axes, array, title, shades, scalebar)
    else:
        dim = str(array.dims[0])
        placed = find_scattered(array, dim)
        if placed is None:
            _draw_line(axes, array, dim, title, shades)
            return Drawn(None, None, find_quantity(array))
        drawn = _draw_points(axes, array, placed, title, shades, scalebar)
    if bar:
        draw_bar(figure, [axes], drawn, measure_map_aspect(array))
    return drawn


def find_grid(array: xr.DataArray) -> Grid:
    """Lay out the two dims of an image; a coordinate that turns back gives way to its index."""
    rulers = [make_ruler(array, str(d)) for d in array.dims]
    rulers = [r if r.is_monotonic else make_index_ruler(array, str(d)) for r, d in zip(rulers, array.dims, strict=True)]
    vertical, horizontal = rulers
    swept = any(find_role(array, d) == SPECTROSCOPIC for d in array.dims)
    sides = str(array.dims[0]), str(array.dims[1])
    same = find_common_unit(vertical, horizontal) is not None and (not swept or is_detector(*sides))
    y, x, y_label, x_label = scale_together(vertical, horizontal) if same else scale_apart(vertical, horizontal)
    from_top = same and not find_base_unit(vertical.unit)[1]
    is_uniform = vertical.is_uniform and horizontal.is_uniform
    counts = (vertical.is_count, horizontal.is_count)
    factor, unit = find_common_scale(vertical, horizontal) if same else (1.0, "")
    return Grid(y, x, y_label, x_label, is_uniform, counts, same, from_top, unit, factor)


def scale_apart(vertical: Ruler, horizontal: Ruler) -> tuple[NDArray[np.float64], NDArray[np.float64], str, str]:
    """Bring each to the unit that suits it."""
    (y, y_label), (x, x_label) = vertical.scale_values(), horizontal.scale_values()
    return y, x, y_label, x_label


def scale_together(vertical: Ruler, horizontal: Ruler) -> tuple[NDArray[np.float64], NDArray[np.float64], str, str]:
    """Bring both to one unit, so that a length is as long on either side."""
    vertical, horizontal = _share_unit(vertical, horizontal)
    largest = _find_largest(vertical, horizontal)
    (y, y_label), (x, x_label) = vertical.scale_values(largest), horizontal.scale_values(largest)
    return y, x, y_label, x_label


def find_common_scale(vertical: Ruler, horizontal: Ruler) -> tuple[float, str]:
    """Return from the horizontal values as found to what `scale_together` makes of them: the factor, and the unit."""
    shared = _share_unit(vertical, horizontal)
    scale = choose_scale(_find_largest(*shared), shared[1].unit)
    base = 1.0 if shared[1] is horizontal else find_base_unit(horizontal.unit)[0]
    return base * scale.factor, scale.unit


def _share_unit(*rulers: Ruler) -> tuple[Ruler, ...]:
    if len({r.unit for r in rulers}) == 1:
        return rulers
    return tuple(Ruler(r.values * find_base_unit(r.unit)[0], r.quantity, find_base_unit(r.unit)[1]) for r in rulers)


def _find_largest(*rulers: Ruler) -> float:
    return max((float(np.abs(r.values).max()) for r in rulers if r.values.size), default=0.0)


def _draw_image(axes: Axes, array: xr.DataArray, title: str, shades: Shades | Colours, scalebar: bool | float) -> Drawn:
    grid, values = find_grid(array), as_floats(array.values)
    colours = choose_colours(array, values, shades)
    limits = colours.scaling
    masked = np.ma.masked_invalid(values * colours.factor)
    y, x = grid.y, grid.x
    if y.size > 1 and y[0] > y[-1]:
        y, masked = y[::-1], masked[::-1]
    if x.size > 1 and x[0] > x[-1]:
        x, masked = x[::-1], masked[:, ::-1]
    if grid.is_uniform:
        edges = (*_find_edges(x), *_find_edges(y))
        drawn: Any = axes.imshow(masked, extent=edges, origin="lower", interpolation="nearest", aspect="auto", **limits)
    else:
        drawn = axes.pcolormesh(x, y, masked, shading="nearest", rasterized=True, **limits)
    axes.set_aspect("equal" if grid.keeps_aspect else "auto")
    if grid.from_top:
        axes.invert_yaxis()
    if grid.keeps_aspect and grid.aspect > 1 / _FLAT:
        axes.tick_params(axis="x", rotation=90)  # else numbers of a tall strip lie over one another
    for axis, counts in zip((axes.yaxis, axes.xaxis), grid.counts, strict=True):
        write_plain_numbers(axis)
        if counts:
            set_whole_ticks(axis)
    label_axes(axes, grid.x_label, grid.y_label, title)
    if scalebar:
        draw_scalebar(axes, scalebar, grid.unit if grid.keeps_aspect else "", grid.factor)
    return Drawn(drawn, colours, find_quantity(array), grid.remark)


def _find_edges(values: NDArray[np.float64]) -> tuple[float, float]:
    half = abs(float(values[-1] - values[0])) / (values.size - 1) / 2 if values.size > 1 else 0.5
    return float(values[0]) - half, float(values[-1]) + half


def _draw_points(
    axes: Axes,
    array: xr.DataArray,
    placed: tuple[str, str],
    title: str,
    shades: Shades | Colours,
    scalebar: bool | float,
) -> Drawn:
    vertical, horizontal = (find_places(array, name) for name in placed)
    same = find_common_unit(vertical, horizontal) is not None
    y, x, y_label, x_label = scale_together(vertical, horizontal) if same else scale_apart(vertical, horizontal)
    values = as_floats(array.values)
    colours = choose_colours(array, values, shades)
    area = float(np.clip(20_000 / max(values.size, 1), 1.5, 60))
    known = np.isfinite(values)
    axes.scatter(x[~known], y[~known], s=area, c="#d9d9d9", linewidths=0, rasterized=True)
    drawn = axes.scatter(
        x[known],
        y[known],
        c=values[known] * colours.factor,
        s=area,
        **colours.scaling,
        linewidths=0,
        rasterized=True,
    )
    spans = [float(np.ptp(v)) for v in (y, x)]
    if same and min(spans) > 0 and 1 / _EXTREME < spans[0] / spans[1] < _EXTREME:
        axes.set_aspect("equal")
    label_axes(axes, x_label, y_label, title)
    if scalebar:
        factor, unit = find_common_scale(vertical, horizontal) if same else (1.0, "")
        draw_scalebar(axes, scalebar, unit, factor)
    return Drawn(drawn, colours, find_quantity(array))


def find_places(array: xr.DataArray, name: str) -> Ruler:
    """Return where points lie along one side; unknown places are NaN."""
    coord = array.coords[name]
    return Ruler(as_floats(coord.values), find_quantity(coord), str(coord.attrs.get("units", "")))


def _draw_line(axes: Axes, array: xr.DataArray, dim: str, title: str, shades: Shades | Colours) -> None:
    x, x_label = make_ruler(array, dim).scale_values()
    values = as_floats(array.values)
    colours = choose_colours(array, values, shades)
    axes.plot(x, values * colours.factor, color="#0072b2", lw=points(1.0), marker="." if x.size <= 64 else "",
              ms=points(4))  # fmt: skip
    limit_height(axes, shades, colours.factor)
    style_axes(axes)
    label_axes(axes, x_label, write_label(find_quantity(array), colours.unit), title)
    for axis in (axes.xaxis, axes.yaxis):
        write_plain_numbers(axis)


def limit_height(axes: Axes, shades: Shades | Colours, factor: float) -> None:
    """Give lines the limits that are asked for; an end that is not given stays as it is."""
    if isinstance(shades, Shades) and shades.has_limits:
        axes.autoscale(axis="y")  # to the lines that came since
        axes.set_ylim(*(None if end is None else end * factor for end in (shades.vmin, shades.vmax)))


def draw_bar(figure: Figure, panels: Sequence[Axes], drawn: Drawn, aspect: float) -> None:
    """Draw the colour bar of one map, or of several that share their colours."""
    colours = drawn.colours
    if colours is None:
        return
    below = aspect < _FLAT
    options: dict[str, Any]
    if below:
        options = {"ax": panels, "location": "bottom", "aspect": 40, "fraction": 0.1, "pad": 0.04}
    elif len(panels) > 1:
        options = {"ax": panels, "aspect": 30, "fraction": 0.05, "pad": 0.02}
    else:  # inside the axes' own frame, so that it is as high as an image whose aspect is fixed
        width = max(1.0, 0.6 * aspect)
        options = {"cax": panels[0].inset_axes((1 + 0.03 * width, 0.0, 0.045 * width, 1.0))}
    bar = figure.colorbar(drawn.mappable, extend=colours.extend, **options)
    said = write_label(drawn.quantity, colours.unit) + (f", {colours.remark}" if colours.remark else "")
    bar.set_label(escape_text(wrap_words(said, 60 if below else 24)), fontsize=points(TEXT), color=INK)
    _style_bar(bar, colours, bar.ax.xaxis if below else bar.ax.yaxis)


def _style_bar(bar: Any, colours: Colours, numbers: Any) -> None:
    bar.outline.set_linewidth(points(0.6))
    bar.ax.tick_params(labelsize=points(SMALL), colors=INK, width=points(0.6), length=points(3))
    numbers.offsetText.set_fontsize(points(SMALL))
    if colours.norm is not None:
        return  # the norm knows which ticks it needs
    if colours.ticks is None:
        write_plain_numbers(numbers)
        return
    bar.set_ticks(list(colours.ticks), labels=None if colours.tick_labels is None else list(colours.tick_labels))
    bar.minorticks_off()
