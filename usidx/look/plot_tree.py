"""Tree of clusters -> matplotlib figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from usidx.errors import ResultError
from usidx.label.roles import refuse_unlabelled
from usidx.look.draw.canvas import INK, label_axes, open_sheet, style_axes
from usidx.look.draw.colours import list_category_colours
from usidx.look.draw.numbers import find_unit, make_printable, write_label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_dendrogram"]


def plot_dendrogram(
    result: xr.Dataset, *, title: str | None = None, ax: Any = None, figsize: tuple[float, float] | None = None
) -> Figure:
    """Draw the tree that joins clusters, at the heights of their distances.

    Computes the merges and the sizes of the clusters.

    Parameters
    ----------
    result : Dataset
        With ``linkage`` (merge, link), as ``cluster`` with ``"agglomerative"`` returns; leaves are labelled with their
        ``size``, and heights with the units of ``distance``, where these are there.
    title : str, optional
        Heading of the figure.
    ax : Axes or iterable of Axes, optional
        Where to draw instead of a new figure: one.
    figsize : tuple of float, optional
        Width and height of the new figure in inches.

    Returns
    -------
    matplotlib.figure.Figure
        Clusters along the bottom, in the colours of their maps; the distance upwards.

    Raises
    ------
    ResultError
        There is no tree, or not all clusters have positions.
    RoleError
        It is no Dataset.
    UsidError
        `ax` is no axes.
    MissingExtraError
        matplotlib is not installed.

    Examples
    --------
    >>> import xarray as xr
    >>> import usidx
    >>> merges = xr.DataArray([[0.0, 1.0, 0.5, 2.0], [2.0, 3.0, 2.0, 3.0]], dims=("merge", "link"))
    >>> figure = usidx.plot_dendrogram(xr.Dataset({"linkage": merges}))
    """
    refuse_unlabelled(result, (xr.Dataset,))
    if "linkage" not in result:
        there = ", ".join(repr(make_printable(name)) for name in result.data_vars)
        raise ResultError(
            f"A dendrogram needs 'linkage'; this result has {there}. "
            f"Draw the result of cluster with the method 'agglomerative'."
        )
    merges = np.asarray(result["linkage"].values, np.float64)
    if not np.isfinite(merges).all():
        raise ResultError("The tree has clusters without positions: cluster into fewer.")
    from scipy.cluster.hierarchy import dendrogram

    drawn = dendrogram(merges, no_plot=True)
    colors = list_category_colours(len(merges) + 1)
    sheet = open_sheet(ax, 1, (max(3.6, 0.42 * (len(merges) + 1) + 1.6), 3.0), figsize)
    axes = sheet.panels[0] if sheet.panels else sheet.figure.subplots()
    for across, up in zip(drawn["icoord"], drawn["dcoord"], strict=True):
        axes.plot(across, up, color=INK, lw=1)
    places = 5.0 + 10.0 * np.arange(len(colors))
    leaf_colors = [colors[leaf] for leaf in drawn["leaves"]]
    axes.scatter(places, np.zeros(len(places)), s=36, c=leaf_colors, zorder=3, clip_on=False)
    sizes = result["size"].values if "size" in result else None
    axes.set_xticks(places, [str(leaf) if sizes is None else f"{leaf}\n{sizes[leaf]}" for leaf in drawn["leaves"]])
    unit = find_unit(result["distance"]) if "distance" in result else ""
    style_axes(axes)
    label_axes(
        axes, "Cluster" if sizes is None else "Cluster, positions in it", write_label("Distance by Ward's rule", unit)
    )
    axes.set_ylim(bottom=0)
    return sheet.finish(title)
