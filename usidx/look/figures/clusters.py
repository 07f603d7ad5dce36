"""Clusters to a figure: which is where, and how each responds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from usidx.errors import ResultError
from usidx.label.roles import refuse_unlabelled
from usidx.look.draw.canvas import Sheet, open_sheet, write_letters
from usidx.look.draw.colours import Shades, choose_colours
from usidx.look.draw.downsample import as_floats, choose_spectral_dim, take_first
from usidx.look.draw.lines import Stroke, add_legend, count_panels, draw_lines, stack_panels
from usidx.look.draw.maps import draw_map, measure_map_aspect, read_map
from usidx.look.draw.wishes import Backend, Title, Wishes
from usidx.look.interactive.layouts import lay_out_clusters

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_clusters"]


def plot_clusters(
    result: xr.Dataset,
    dim: str | None = None,
    *,
    title: Title = None,
    cmap: Any = None,
    vmin: float | None = None,
    vmax: float | None = None,
    ax: Any = None,
    figsize: tuple[float, float] | None = None,
    scalebar: bool | float = False,
    letters: bool | str = False,
    backend: Backend = "matplotlib",
) -> Any:
    """Draw the map of cluster labels beside the mean response of each cluster, in the same colours.

    Computes labels and mean responses. Of labels over more than two dims the first map is drawn, and the figure says
    so; of mean responses over several dims the first line along `dim`.

    Parameters
    ----------
    result : Dataset
        With ``labels`` (*position) and ``mean_response`` (cluster, *spectroscopic), as ``cluster`` returns.
    dim : str, optional
        The dim along which the mean responses are drawn. By default the fastest.
    title : str or False, optional
        Heading of the figure. False leaves the titles of panels out, too.
    cmap : str or Colormap, optional
        The colour map that the colours of the clusters are taken from, end to end.
    vmin, vmax : float, optional
        Limits of the mean responses, in their unit; where they are complex, of the magnitude.
    ax : Axes or iterable of Axes, optional
        Where to draw instead of a new figure: one for each panel, or a single one in whose place all are put.
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
    wishes = Wishes(title, Shades(cmap, vmin, vmax), ax, figsize, scalebar, letters, backend)
    labels, said = take_first(result["labels"], 2)
    shown, left_out = read_map(labels)
    whole = result["mean_response"]
    dim = choose_spectral_dim(whole.isel(cluster=0), dim)
    means, said_means = take_first(whole, 1, keep=("cluster", dim))
    means = means.rename(cluster="cell").transpose("cell", dim).compute()
    stroke = _choose_stroke(shown, whole, wishes.shades)
    shown = shown.rename("labels")
    if wishes.is_interactive:
        return lay_out_clusters(shown, means, dim, stroke, wishes)
    return _draw_clusters(shown, means, dim, stroke, wishes, said, left_out, said_means)


def _choose_stroke(labels: xr.DataArray, means: xr.DataArray, shades: Shades) -> Stroke:
    """Give the line of each cluster its colour in the map."""
    count = means.sizes["cluster"]
    groups = [int(n) for n in means["cluster"].values] if "cluster" in means.coords else list(range(count))
    palette = choose_colours(labels, as_floats(labels.values), Shades(shades.cmap))
    colors = dict(zip(palette.categories, palette.colormap.colors, strict=True)) if palette.categories else {}
    spare = shades.list_colours(len(groups))
    return Stroke([colors.get(g, spare[n]) for n, g in enumerate(groups)], [str(g) for g in groups])


def _draw_clusters(
    labels: xr.DataArray, means: xr.DataArray, dim: str, stroke: Stroke, wishes: Wishes, *said: str
) -> Any:
    count = count_panels(means)
    size = (8.2, max(2.9, 3.2 * min(measure_map_aspect(labels), 2) + 0.6))
    sheet = open_sheet(wishes.ax, 1 + count, size, wishes.figsize)
    left, right, place, stacked = _split_sheet(sheet, count)
    drawn = draw_map(left, place, labels, shades=Shades(wishes.shades.cmap), scalebar=wishes.scalebar)
    left_out = draw_lines(stacked, means, dim, stroke, {}, wishes.shades)
    if len(stroke.names) <= 20:
        add_legend(right, stacked[0], title="cluster")
    write_letters([place, stacked[0]], wishes.letters)
    return sheet.finish(wishes.title, *said, left_out, drawn.said)


def _split_sheet(sheet: Sheet, count: int) -> tuple[Any, Any, Axes, list[Axes]]:
    """Return the figures of map and lines, and the panels in them; a user's axes have no figure for the legend."""
    if sheet.panels:
        return sheet.figure, None, sheet.panels[0], sheet.panels[1:]
    left, right = np.asarray(sheet.figure.subfigures(1, 2, width_ratios=(1, 1.15)))
    return left, right, left.subplots(), stack_panels(right, count)
