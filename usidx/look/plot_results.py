"""Results to matplotlib figures: how many components matter, which cluster is where, how good a fit is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from usidx.errors import ResultError, RoleError
from usidx.label.roles import refuse_unlabelled
from usidx.look.draw.canvas import (
    INK,
    SMALL,
    Sheet,
    choose_grid_shape,
    escape_text,
    label_axes,
    open_sheet,
    set_whole_ticks,
    style_axes,
    wrap_words,
)
from usidx.look.draw.colours import Shades, choose_colours
from usidx.look.draw.downsample import (
    as_floats,
    choose_spectral_dim,
    describe_cell,
    pick,
    pick_cells,
    refuse_undrawable,
    take_first,
)
from usidx.look.draw.lines import Stroke, add_legend, count_panels, draw_lines, stack_panels
from usidx.look.draw.maps import draw_map, measure_map_aspect, read_map
from usidx.look.draw.numbers import find_finite_range, make_printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_clusters", "plot_fit", "plot_scree"]

_TITLE = 36  # characters that have room above a panel


def plot_scree(
    result: xr.Dataset,
    *,
    limit: int = 64,
    title: str | None = None,
    ax: Any = None,
    figsize: tuple[float, float] | None = None,
) -> Figure:
    """Draw how much each component explains, on a logarithmic scale, and how much all up to it explain together.

    Parameters
    ----------
    result : Dataset
        With ``explained_variance_ratio`` or ``singular_values`` over (component), as ``svd`` and ``pca`` return.
    limit : int
        The most components to draw.
    title : str, optional
        Heading of the figure.
    ax : Axes or iterable of Axes, optional
        Where to draw instead of a new figure: one for each panel, or a single one in whose place all are put.
    figsize : tuple of float, optional
        Width and height of the new figure in inches.

    Returns
    -------
    matplotlib.figure.Figure
        One panel for each component alone; with ``explained_variance_ratio`` a second for the sum.

    Raises
    ------
    ResultError
        Neither variable is there.
    RoleError
        It is no Dataset.
    UsidError
        `ax` does not fit the picture.
    MissingExtraError
        matplotlib is not installed.

    Examples
    --------
    >>> import xarray as xr
    >>> import usidx
    >>> ratio = xr.DataArray([0.9, 0.09, 0.001], dims="component")
    >>> figure = usidx.plot_scree(xr.Dataset({"explained_variance_ratio": ratio}))
    """
    refuse_unlabelled(result, (xr.Dataset,))
    known = [name for name in ("explained_variance_ratio", "singular_values") if name in result]
    if not known:
        raise ResultError(
            f"A scree plot needs 'explained_variance_ratio' or 'singular_values'; this result has "
            f"{', '.join(repr(make_printable(name)) for name in result.data_vars)}. Draw the result of svd or pca."
        )
    values = np.asarray(result[known[0]].values, np.float64).ravel()
    has_sum = known[0] == "explained_variance_ratio"
    panels = 2 if has_sum else 1
    sheet = open_sheet(ax, panels, (6.8 if has_sum else 4.2, 2.8), figsize)
    axes = sheet.panels or sheet.figure.subplots(1, panels, squeeze=False).ravel()
    shown = min(values.size, limit)
    index = np.arange(shown)
    positive = np.where(values > 0, values, np.nan)[:shown]
    _draw_steps(axes[0], index, positive, "Explained variance ratio" if has_sum else "Singular value")
    if np.isfinite(positive).any():
        axes[0].set_yscale("log")
    if has_sum:
        _draw_steps(axes[1], index, np.nancumsum(values)[:shown], "Cumulative ratio")
        axes[1].set_ylim(top=1.02)
    return sheet.finish(title, f"first {limit} of {values.size} components" if values.size > limit else "")


def _draw_steps(axes: Axes, index: Any, values: Any, quantity: str) -> None:
    axes.plot(index, values, "o-", color="#0072b2", ms=3.5, lw=1)
    style_axes(axes)
    label_axes(axes, "Component", quantity)
    set_whole_ticks(axes.xaxis)
    axes.grid(visible=True, which="major", color="#e6e6e6", lw=0.6)


def plot_clusters(
    result: xr.Dataset,
    dim: str | None = None,
    *,
    title: str | None = None,
    cmap: Any = None,
    vmin: float | None = None,
    vmax: float | None = None,
    ax: Any = None,
    figsize: tuple[float, float] | None = None,
) -> Figure:
    """Draw the map of cluster labels beside the mean response of each cluster, in the same colours.

    Computes labels and mean responses. Of labels over more than two dims the first map is drawn, and the figure says
    so; of mean responses over several dims the first line along `dim`.

    Parameters
    ----------
    result : Dataset
        With ``labels`` (*position) and ``mean_response`` (cluster, *spectroscopic), as ``cluster`` returns.
    dim : str, optional
        The dim along which the mean responses are drawn. By default the fastest.
    title : str, optional
        Heading of the figure.
    cmap : str or Colormap, optional
        The colour map that the colours of the clusters are taken from, end to end.
    vmin, vmax : float, optional
        Limits of the mean responses, in their unit; where they are complex, of the magnitude.
    ax : Axes or iterable of Axes, optional
        Where to draw instead of a new figure: one for each panel, or a single one in whose place all are put.
    figsize : tuple of float, optional
        Width and height of the new figure in inches.

    Returns
    -------
    matplotlib.figure.Figure
        The map on the left, lines on the right: two panels where they are complex.

    Raises
    ------
    ResultError
        A variable is missing.
    RoleError
        It is no Dataset.
    UsidError
        `ax` does not fit the picture.
    MissingExtraError
        matplotlib is not installed.

    Examples
    --------
    >>> import xarray as xr
    >>> import usidx
    >>> labels = xr.DataArray([[0, 1], [1, 1]], dims=("Y", "X"))
    >>> means = xr.DataArray([[1.0, 2.0, 1.0], [0.0, 1.0, 3.0]], dims=("cluster", "Energy"))
    >>> figure = usidx.plot_clusters(xr.Dataset({"labels": labels, "mean_response": means}))
    """
    refuse_unlabelled(result, (xr.Dataset,))
    missing = [name for name in ("labels", "mean_response") if name not in result]
    if missing:
        raise ResultError(
            f"A cluster plot needs 'labels' and 'mean_response'; {missing[0]!r} is missing. Draw the result of cluster."
        )
    labels, said = take_first(result["labels"], 2)
    shown, left_out = read_map(labels)
    whole = result["mean_response"]
    dim = choose_spectral_dim(whole.isel(cluster=0), dim)
    means, said_means = take_first(whole, 1, keep=("cluster", dim))
    means = means.rename(cluster="cell").transpose("cell", dim).compute()
    groups = (
        [int(n) for n in whole["cluster"].values] if "cluster" in whole.coords else list(range(means.sizes["cell"]))
    )
    shades, count = Shades(cmap, vmin, vmax), count_panels(means)
    sheet = open_sheet(ax, 1 + count, (8.2, max(2.9, 3.2 * min(measure_map_aspect(shown), 2) + 0.6)), figsize)
    left, right, place, stacked = _split_sheet(sheet, count)
    palette = choose_colours(shown, as_floats(shown.values), Shades(cmap))
    colors = dict(zip(palette.categories, palette.colormap.colors, strict=True)) if palette.categories else {}
    spare = shades.list_colours(len(groups))
    stroke = Stroke([colors.get(g, spare[n]) for n, g in enumerate(groups)], [str(g) for g in groups])
    draw_map(left, place, shown.rename("labels"), shades=Shades(cmap))
    note_lines = draw_lines(stacked, means, dim, stroke, {}, shades)
    if len(groups) <= 20:
        add_legend(right, stacked[0], title="cluster")
    return sheet.finish(title, said, left_out, said_means, note_lines)


def _split_sheet(sheet: Sheet, count: int) -> tuple[Any, Any, Axes, list[Axes]]:
    """Return the figures of map and lines, and the panels in them; a user's axes have no figure for the legend."""
    if sheet.panels:
        return sheet.figure, None, sheet.panels[0], sheet.panels[1:]
    left, right = np.asarray(sheet.figure.subfigures(1, 2, width_ratios=(1, 1.15)))
    return left, right, left.subplots(), stack_panels(right, count)


def plot_fit(
    data: xr.DataArray,
    curve: xr.DataArray,
    dim: str | None = None,
    *,
    truth: xr.DataArray | None = None,
    count: int = 6,
    title: str | None = None,
    cmap: Any = None,
    vmin: float | None = None,
    vmax: float | None = None,
    ax: Any = None,
    figsize: tuple[float, float] | None = None,
) -> Figure:
    """Draw a handful of spectra with the curve that was fitted to them, and the truth where it is known.

    Computes the spectra and curves that are shown, no others, so all three may be lazy.

    Parameters
    ----------
    data : DataArray
        What was fitted, any dims.
    curve : DataArray
        The fitted model evaluated at `data`, of the same dims.
    dim : str, optional
        The dim along which was fitted. By default the fastest spectroscopic dim, or the last.
    truth : DataArray, optional
        What `data` would be without noise, of the same dims.
    count : int
        The most spectra to draw, spread over all cells.
    title : str, optional
        Heading of the figure.
    cmap : str or Colormap, optional
        The colour map that the colours of measured, true and fitted are taken from, end to end.
    vmin, vmax : float, optional
        Limits of the vertical axes, in the unit of the data; where it is complex, of the magnitude.
    ax : Axes or iterable of Axes, optional
        Where to draw instead of a new figure: one for each spectrum, two where the data
        are complex, or a single one in whose place all are put.
    figsize : tuple of float, optional
        Width and height of the new figure in inches.

    Returns
    -------
    matplotlib.figure.Figure
        A panel per spectrum, or two where the data are complex: points measured, line fitted, dashes true.

    Raises
    ------
    RoleError
        There is no such dim, the dims of the arrays differ, or there are no numbers to draw.
    UsidError
        There is no such colour map or norm, or `ax` does not fit the picture.
    MissingExtraError
        matplotlib is not installed.

    Examples
    --------
    >>> import usidx
    >>> (measured, _), (true, _) = usidx.simulate.gaussian_map((8, 8)), usidx.simulate.gaussian_map((8, 8), noise=0)
    >>> figure = usidx.plot_fit(measured, true, "Energy", count=2)
    """
    for array in (data, curve) if truth is None else (data, curve, truth):
        refuse_undrawable(array, count)
    dim = choose_spectral_dim(data, dim)
    at = pick_cells({str(d): n for d, n in data.sizes.items() if d != dim}, count)
    shades = Shades(cmap, vmin, vmax)
    given = _choose_strokes(data, curve, truth, shades)
    picked = [(pick(_match_dims(array, data), at).compute(), stroke) for array, stroke in given]
    split = count_panels(picked[0][0])
    rows, columns = choose_grid_shape(len(at), 0.8)
    size = (2.9 * columns + 0.5, rows * (2.2 if split == 1 else 3.0) + 0.4)
    sheet = open_sheet(ax, len(at) * split, size, figsize)
    panels = _make_fit_panels(sheet, (rows, columns), len(at), split)
    found = find_finite_range(np.abs(picked[0][0].values))
    scales = {"largest": found[1]} if found else {}
    titles = _write_titles(data, at)
    for number, stacked in enumerate(panels):
        for array, stroke in picked:
            draw_lines(stacked, array.isel(cell=[number]), dim, stroke, scales, shades)
        stacked[0].set_title(escape_text(titles[number]), fontsize=SMALL, color=INK)
        for axes in stacked if number % columns and not sheet.panels else ():
            axes.set_ylabel("")
    handles, names = panels[-1][0].get_legend_handles_labels()
    if sheet.panels:
        panels[0][0].legend(handles, names, fontsize=SMALL, frameon=False)
    else:
        sheet.figure.legend(handles, names, loc="outside upper right", ncols=len(names), fontsize=SMALL, frameon=False)
    return sheet.finish(title)


def _choose_strokes(
    data: xr.DataArray, curve: xr.DataArray, truth: xr.DataArray | None, shades: Shades
) -> list[tuple[xr.DataArray, Stroke]]:
    """Give what is drawn its colours, the truth between what was measured and what was fitted."""
    grey, orange, blue = ("#8c8c8c", "#e69f00", "#0072b2") if shades.cmap is None else shades.list_colours(3)
    given = [(data, Stroke([grey], ["measured"], points=True))]
    if truth is not None:
        given.append((truth, Stroke([orange], ["true"], width=2.4)))
    return [*given, (curve, Stroke([blue], ["fitted"], width=1.2))]


def _make_fit_panels(sheet: Sheet, shape: tuple[int, int], count: int, split: int) -> list[list[Axes]]:
    if sheet.panels:
        return [sheet.panels[n * split : (n + 1) * split] for n in range(count)]
    holders = np.asarray(sheet.figure.subfigures(*shape, squeeze=False)).ravel()
    return [stack_panels(holder, split) for holder in holders[:count]]


def _write_titles(data: xr.DataArray, at: list[dict[str, int]]) -> list[str]:
    """Write where each cell is, all in as many lines, else panels beside one another differ in height."""
    told = [wrap_words(describe_cell(data, cell), _TITLE) for cell in at]
    lines = max(t.count("\n") for t in told)
    return ["\n" * (lines - t.count("\n")) + t for t in told]


def _match_dims(array: xr.DataArray, data: xr.DataArray) -> xr.DataArray:
    if dict(array.sizes) != dict(data.sizes):
        raise RoleError(f"The curve has dims {dict(array.sizes)}, the data {dict(data.sizes)}; they must be the same.")
    return array
