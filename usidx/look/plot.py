"""Labelled arrays and results to matplotlib figures, one function per kind of picture.

The figures belong to the caller alone: nothing is registered with pyplot and no window opens.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from usidx.errors import RoleError
from usidx.label.quantities import store_units
from usidx.label.roles import position_dims, refuse_unlabelled
from usidx.look.draw.canvas import choose_grid_shape, open_sheet
from usidx.look.draw.colours import AUTOMATIC, Shades
from usidx.look.draw.downsample import (
    choose_spectral_dim,
    describe_cell,
    pick,
    pick_cells,
    refuse_undrawable,
    take_first,
)
from usidx.look.draw.lines import Stroke, add_legend, count_panels, draw_lines, stack_panels
from usidx.look.draw.maps import choose_map_size, draw_map, measure_map_aspect, read_map, split_complex
from usidx.look.draw.numbers import find_name
from usidx.look.plot_results import plot_clusters, plot_fit, plot_scree
from usidx.look.plot_tree import plot_dendrogram

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_clusters", "plot_dendrogram", "plot_fit", "plot_map", "plot_maps", "plot_scree", "plot_spectra"]


def plot_map(
    data: xr.DataArray,
    *,
    title: str | None = None,
    cmap: Any = None,
    vmin: float | None = None,
    vmax: float | None = None,
    norm: Any = None,
    ax: Any = None,
    figsize: tuple[float, float] | None = None,
) -> Figure:
    """Draw an array of one or two dims over its physical axes.

    Computes what is shown: at most 1200 cells a side, every n-th of a larger array, and the figure says so. Cells
    without a value are grey. Limits are cut where a few stray cells would hide the rest; the colour bar then ends in
    an arrow.

    Parameters
    ----------
    data : DataArray, dims (Y, X), (position) or any other one or two
        Real, complex (drawn as magnitude and phase), integer or boolean. Dims of one index do not count.
    title : str, optional
        Heading of the figure.
    cmap : str or Colormap, optional
        The colour map. Of a complex array colour map, limits and norm are those of the magnitude.
    vmin, vmax : float, optional
        Limits of the colours, in the unit of the data. One alone is mirrored at zero where values have both
        signs.
    norm : str or Normalize, optional
        How values become colours: ``"log"``, ``"symlog"``, or a norm of matplotlib.colors in the unit of the data.
    ax : Axes or iterable of Axes, optional
        Where to draw instead of a new figure: one, or two for a complex array, which also finds
        room in the place of one.
    figsize : tuple of float, optional
        Width and height of the new figure in inches.

    Returns
    -------
    matplotlib.figure.Figure
        Lengths are drawn equally long both ways where the units agree. The vertical axis grows upwards, but pixel
        indices without a unit run from the top, as in any image. A single dim whose points have two coordinates is
        drawn as points, any other single dim as a line.

    Raises
    ------
    RoleError
        More than two dims are longer than one, or there are no numbers to draw.
    UsidError
        There is no such colour map or norm, or `ax` does not fit the picture.
    MissingExtraError
        matplotlib is not installed.

    Notes
    -----
    Labels and booleans get colours that differ, phases colours that come round, values of both signs colours that
    part at zero, all else an even scale.

    Examples
    --------
    >>> import usidx
    >>> scan, truth = usidx.simulate.band_excitation((16, 16), 8)
    >>> [axes.get_xlabel() for axes in usidx.plot_map(truth.frequency).axes]
    ['X (µm)']
    >>> figure = usidx.plot_map(truth.frequency, cmap="magma", vmin=318e3, vmax=322e3, figsize=(3, 2.5))
    """
    data = store_units(data)
    refuse_undrawable(data)
    return _draw_maps([("", data)], _Wishes(title, Shades(cmap, vmin, vmax, norm), ax, figsize))


def plot_maps(
    data: xr.DataArray | xr.Dataset,
    dim: str | None = None,
    *,
    variables: Iterable[str] | None = None,
    limit: int = 16,
    title: str | None = None,
    cmap: Any = None,
    vmin: float | None = None,
    vmax: float | None = None,
    norm: Any = None,
    ax: Any = None,
    figsize: tuple[float, float] | None = None,
) -> Figure:
    """Draw a grid of maps: one per variable of a Dataset, or one per index of a dim.

    Computes what is shown, at most `limit` maps of at most 1200 cells a side; the figure says what it leaves out.

    Parameters
    ----------
    data : DataArray, dims (*position, dim), or Dataset
        Of a decomposition the scores are drawn, a map per component. Of another Dataset the variables over the most
        common dims are drawn, at the first index of what they have beyond two position dims; the figure says which.
    dim : str, optional
        The dim to go through, ``"component"`` for example. By default the one that is not a position.
    variables : iterable of str, optional
        The variables of a Dataset to draw.
    limit : int
        The most maps to draw.
    title : str, optional
        Heading of the figure.
    cmap : str or Colormap, optional
        The colour map. Colour map, limits and norm hold for all maps, of complex ones for the magnitude.
    vmin, vmax : float, optional
        Limits of the colours, in the unit of the data. One alone is mirrored at zero where values have both
        signs.
    norm : str or Normalize, optional
        How values become colours: ``"log"``, ``"symlog"``, or a norm of matplotlib.colors in the unit of the data.
    ax : Axes or iterable of Axes, optional
        Where to draw instead of a new figure: one for each map, two for each complex one, or a
        single one in whose place all are put.
    figsize : tuple of float, optional
        Width and height of the new figure in inches.

    Returns
    -------
    matplotlib.figure.Figure
        A panel per map, each with its own colour bar.

    Raises
    ------
    RoleError
        There is no such dim, the maps would have more than two dims, or nothing is left to draw.
    UsidError
        There is no such colour map or norm, or `ax` does not fit the picture.
    MissingExtraError
        matplotlib is not installed.

    Examples
    --------
    >>> import usidx
    >>> scan, truth = usidx.simulate.band_excitation((16, 16), 8)
    >>> figure = usidx.plot_maps(truth, variables=["amplitude", "phase"])
    """
    data = store_units(data)
    refuse_unlabelled(data, (xr.DataArray, xr.Dataset))
    if isinstance(data, xr.Dataset) and variables is None and {"scores", "components"} <= set(data.data_vars):
        data, dim = data["scores"], "component" if dim is None else dim
    named = _choose_variables(data, variables) if isinstance(data, xr.Dataset) else _cut_slices(data, dim)
    if not named:
        what = (
            "the Dataset has no variable of numbers over a dim" if isinstance(data, xr.Dataset) else "the dim is empty"
        )
        raise RoleError(f"Nothing to draw: {what}.")
    for _, array in named:
        refuse_undrawable(array, limit)
    said = [f"first {limit} of {len(named)} maps" if len(named) > limit else ""]
    shown: list[tuple[str, xr.DataArray]] = []
    for name, array in named[:limit]:
        cut, where = take_first(array, 2) if isinstance(data, xr.Dataset) else (array, "")
        shown.append((name, cut))
        said.append(where)
    return _draw_maps(shown, _Wishes(title, Shades(cmap, vmin, vmax, norm), ax, figsize), *said)


@dataclass(frozen=True, slots=True)
class _Wishes:
    """What the user says of a picture of maps."""

    title: str | None
    shades: Shades
    ax: Any
    figsize: tuple[float, float] | None


def _choose_variables(data: xr.Dataset, wanted: Iterable[str] | None) -> list[tuple[str, xr.DataArray]]:
    if wanted is not None:
        missing = [name for name in wanted if name not in data]
        if missing:
            raise RoleError(f"No variable {missing[0]!r} here; there are {', '.join(map(repr, data.data_vars))}.")
        return [(find_name(data[name]), data[name]) for name in wanted]
    drawable = [v for v in data.data_vars.values() if v.dtype.kind in "biufc" and v.ndim]
    if not drawable:
        return []
    counts: dict[Any, int] = {}
    for variable in drawable:
        counts[variable.dims] = counts.get(variable.dims, 0) + variable.ndim
    commonest = max(counts, key=lambda dims: counts[dims])
    return [(find_name(v), v) for v in drawable if v.dims == commonest]


def _cut_slices(data: xr.DataArray, dim: str | None) -> list[tuple[str, xr.DataArray]]:
    if dim is None:
        others = [str(d) for d in data.dims if d not in position_dims(data)] or [str(d) for d in data.dims]
        dim = others[-1]
    if dim not in data.dims:
        raise RoleError(f"No dim {dim!r} here; the dims are {tuple(data.dims)}.")
    return [(describe_cell(data, {dim: n}), data.isel({dim: n})) for n in range(data.sizes[dim])]


def _draw_maps(named: Sequence[tuple[str, xr.DataArray]], wishes: _Wishes, *said: str) -> Figure:
    notes = list(said)
    drawn: list[tuple[str, xr.DataArray, Shades]] = []
    for name, array in named:
        shown, left_out = read_map(array)
        notes.append(left_out)
        drawn += [
            (", ".join(filter(None, (name, part))), real, AUTOMATIC if part == "phase" else wishes.shades)
            for part, real in split_complex(shown)
        ]
    aspect = _find_middle([measure_map_aspect(array) for _, array, _ in drawn])
    rows, columns = choose_grid_shape(len(drawn), aspect)
    if len(drawn) > max(len(named), 2):
        # Magnitude and phase side by side, never parted by the end of a row.
        rows, columns = -(-len(drawn) // 4), 4
    width, height = choose_map_size(aspect, columns)
    size = (columns * width, rows * height + (0.3 if wishes.title else 0.0))
    sheet = open_sheet(wishes.ax, len(drawn), size, wishes.figsize)
    grid = sheet.panels or sheet.figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (name, array, shades) in zip(grid, drawn, strict=False):
        draw_map(sheet.figure, axes, array, title=name if len(drawn) > 1 else "", shades=shades)
    for axes in grid[len(drawn) :]:
        axes.set_visible(False)
    return sheet.finish(wishes.title, *notes)


def _find_middle(aspects: list[float]) -> float:
    """Return the aspect that panels are made for: the tallest, but no strip among images makes all of them strips."""
    return max(aspects) if max(aspects) <= 2 else float(np.median(aspects))


def plot_spectra(
    data: xr.DataArray,
    dim: str | None = None,
    *,
    limit: int = 8,
    title: str | None = None,
    cmap: Any = None,
    vmin: float | None = None,
    vmax: float | None = None,
    ax: Any = None,
    figsize: tuple[float, float] | None = None,
) -> Figure:
    """Draw an array as lines along one dim; complex ones as magnitude and phase.

    Computes the lines that are shown, no others. Of more than `limit` lines a spread over all cells is drawn; of a
    line of very many points the envelope. The figure says so.

    Parameters
    ----------
    data : DataArray
        Any dims.
    dim : str, optional
        The dim that runs to the right. By default the fastest spectroscopic dim, or the last.
    limit : int
        The most lines to draw.
    title : str, optional
        Heading of the figure.
    cmap : str or Colormap, optional
        The colour map that the colours of the lines are taken from, end to end.
    vmin, vmax : float, optional
        Limits of the vertical axis, in the unit of the data; where it is complex, of the magnitude.
    ax : Axes or iterable of Axes, optional
        Where to draw instead of a new figure: one, or two for a complex array, which also finds
        room in the place of one.
    figsize : tuple of float, optional
        Width and height of the new figure in inches.

    Returns
    -------
    matplotlib.figure.Figure
        One panel, or two where the array is complex.

    Raises
    ------
    RoleError
        There is no such dim, or there are no numbers to draw.
    UsidError
        There is no such colour map or norm, or `ax` does not fit the picture.
    MissingExtraError
        matplotlib is not installed.

    Examples
    --------
    >>> import usidx
    >>> scan, truth = usidx.simulate.band_excitation((16, 16), 32)
    >>> figure = usidx.plot_spectra(scan, "Frequency", limit=3)
    """
    data = store_units(data)
    refuse_undrawable(data, limit)
    dim = choose_spectral_dim(data, dim)
    sizes = {str(d): n for d, n in data.sizes.items() if d != dim}
    at = pick_cells(sizes, limit)
    lines = pick(data, at).compute()
    total = int(np.prod(list(sizes.values()), dtype=np.int64))
    names = [describe_cell(data, cell) for cell in at] if total > 1 else []
    shades = Shades(cmap, vmin, vmax)
    stroke = Stroke(shades.list_colours(len(at)), names)
    panels = count_panels(lines)
    sheet = open_sheet(ax, panels, (6.4 if names else 5.2, 2.9 if panels == 1 else 4.0), figsize)
    stacked = sheet.panels or stack_panels(sheet.figure, panels)
    left_out = draw_lines(stacked, lines, dim, stroke, {}, shades)
    if names:
        add_legend(None if sheet.panels else sheet.figure, stacked[0])
    return sheet.finish(title, f"{len(at)} of {total} lines" if total > len(at) else "", left_out)
