"""Labelled arrays and results to maps: one, or one per variable or step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import xarray as xr

from usidx.errors import RoleError
from usidx.label.quantities import store_units
from usidx.label.roles import position_dims, refuse_unlabelled
from usidx.look.draw.colours import Shades
from usidx.look.draw.downsample import describe_cell, refuse_undrawable, take_first
from usidx.look.draw.numbers import find_name
from usidx.look.draw.wishes import Backend, Title, Wishes
from usidx.look.figures.panels import draw_maps

__all__ = ["plot_map", "plot_maps"]


def plot_map(
    data: xr.DataArray,
    *,
    title: Title = None,
    cmap: Any = None,
    vmin: float | None = None,
    vmax: float | None = None,
    robust: bool | None = None,
    norm: Any = None,
    ax: Any = None,
    figsize: tuple[float, float] | None = None,
    scalebar: bool | float = False,
    letters: bool | str = False,
    backend: Backend = "matplotlib",
) -> Any:
    """Draw an array of one or two dims over its physical axes.

    Computes what is shown: at most 1200 cells a side, every n-th of a larger array, and the figure says so. Cells
    without a value are grey. Limits are cut where a few stray cells would hide the rest; the colour bar then ends in
    an arrow.

    Parameters
    ----------
    data : DataArray, dims (Y, X), (position) or any other one or two
        Real, complex (drawn as magnitude and phase), integer or boolean. Dims of one index do not count.
    title : str or False, optional
        Heading of the figure. False leaves the titles of panels out, too.
    cmap : str or Colormap, optional
        The colour map. Of a complex array colour map, limits and norm are those of the magnitude.
    vmin, vmax : float, optional
        Limits of the colours, in the unit of the data. One alone is mirrored at zero where values have both
        signs.
    robust : bool, optional
        True takes the limits at the percentiles 2 and 98, False at the ends of the values; else they are cut where a
        few stray cells would hide the rest.
    norm : str or Normalize, optional
        How values become colours: ``"log"``, ``"power"`` (the root), ``"symlog"``, ``"asinh"``, or a norm of
        matplotlib.colors in the unit of the data.
    ax : Axes or iterable of Axes, optional
        Where to draw instead of a new figure: one, or two for a complex array, which also finds
        room in the place of one.
    figsize : tuple of float, optional
        Width and height of the new figure in inches.
    scalebar : bool or float
        Draw a length instead of the axes: a round one, or the one that is given in the unit of the coordinates.
    letters : bool or str
        Name the panels a, b, c; or as the first is written, ``"(a)"`` or ``"A"``.
    backend : {"matplotlib", "hvplot"}
        What draws: a figure, or a picture of HoloViews to zoom into, which reads what is lazy when it is shown.

    Returns
    -------
    matplotlib.figure.Figure, or a HoloViews object
        Lengths are drawn equally long both ways where the units agree. The vertical axis grows upwards, but pixel
        indices without a unit run from the top, as in any image. A single dim whose points have two coordinates is
        drawn as points, any other single dim as a line. hvplot draws an array of more dims, too, with a slider for
        each of the others.

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
    wishes = Wishes(title, Shades(cmap, vmin, vmax, norm, robust), ax, figsize, scalebar, letters, backend)
    return draw_maps([("", data)], wishes)


def plot_maps(
    data: xr.DataArray | xr.Dataset,
    dim: str | None = None,
    *,
    variables: Iterable[str] | None = None,
    limit: int = 16,
    shared: bool = False,
    title: Title = None,
    cmap: Any = None,
    vmin: float | None = None,
    vmax: float | None = None,
    robust: bool | None = None,
    norm: Any = None,
    ax: Any = None,
    figsize: tuple[float, float] | None = None,
    scalebar: bool | float = False,
    letters: bool | str = False,
    backend: Backend = "matplotlib",
) -> Any:
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
    shared : bool
        Give all maps the same limits, and one colour bar.
    title : str or False, optional
        Heading of the figure. False leaves the titles of panels out, too.
    cmap : str or Colormap, optional
        The colour map. Colour map, limits and norm hold for all maps, of complex ones for the magnitude.
    vmin, vmax : float, optional
        Limits of the colours, in the unit of the data. One alone is mirrored at zero where values have both
        signs.
    robust : bool, optional
        True takes the limits at the percentiles 2 and 98, False at the ends of the values; else they are cut where a
        few stray cells would hide the rest.
    norm : str or Normalize, optional
        How values become colours: ``"log"``, ``"power"`` (the root), ``"symlog"``, ``"asinh"``, or a norm of
        matplotlib.colors in the unit of the data.
    ax : Axes or iterable of Axes, optional
        Where to draw instead of a new figure: one for each map, two for each complex one, or a
        single one in whose place all are put.
    figsize : tuple of float, optional
        Width and height of the new figure in inches.
    scalebar : bool or float
        Draw a length instead of the axes: a round one, or the one that is given in the unit of the coordinates.
    letters : bool or str
        Name the panels a, b, c; or as the first is written, ``"(a)"`` or ``"A"``.
    backend : {"matplotlib", "hvplot"}
        What draws: a figure, or a picture of HoloViews to zoom into, which reads what is lazy when it is shown.

    Returns
    -------
    matplotlib.figure.Figure, or a HoloViews object
        A panel per map, each with its own colour bar unless they share one.

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
    for _, array in named:
        refuse_undrawable(array, limit)
    said = [f"first {limit} of {len(named)} maps" if len(named) > limit else ""]
    shown: list[tuple[str, xr.DataArray]] = []
    for name, array in named[:limit]:
        cut, where = take_first(array, 2) if isinstance(data, xr.Dataset) else (array, "")
        shown.append((name, cut))
        said.append(where)
    wishes = Wishes(title, Shades(cmap, vmin, vmax, norm, robust), ax, figsize, scalebar, letters, backend)
    return draw_maps(shown, wishes, *said, shared=shared)


def _choose_variables(data: xr.Dataset, wanted: Iterable[str] | None) -> list[tuple[str, xr.DataArray]]:
    if wanted is not None:
        missing = [name for name in wanted if name not in data]
        if missing:
            raise RoleError(f"No variable {missing[0]!r} here; there are {', '.join(map(repr, data.data_vars))}.")
        return [(find_name(data[name]), data[name]) for name in wanted]
    drawable = [v for v in data.data_vars.values() if v.dtype.kind in "biufc" and v.ndim]
    if not drawable:
        raise RoleError("Nothing to draw: the Dataset has no variable of numbers over a dim.")
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
    if not data.sizes[dim]:
        raise RoleError(f"Nothing to draw: the dim {dim!r} is empty.")
    return [(describe_cell(data, {dim: n}), data.isel({dim: n})) for n in range(data.sizes[dim])]
