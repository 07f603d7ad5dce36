"""Tree of clusters -> matplotlib figure."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from usidx.errors import ResultError
from usidx.label.roles import refuse_unlabelled
from usidx.look.draw.canvas import INK, label_axes, open_sheet, points, style_axes
from usidx.look.draw.colours import list_category_colours
from usidx.look.draw.numbers import find_unit, make_printable, write_label
from usidx.look.draw.wishes import Backend, Title, Wishes
from usidx.look.interactive.layouts import Branches, lay_out_branches

__all__ = ["plot_dendrogram"]


def plot_dendrogram(
    result: xr.Dataset,
    *,
    title: Title = None,
    ax: Any = None,
    figsize: tuple[float, float] | None = None,
    backend: Backend = "matplotlib",
) -> Any:
    """Draw the tree that joins clusters, at the heights of their distances.

    Computes the merges and the sizes of the clusters.

    Parameters
    ----------
    result : Dataset
        With ``linkage`` (merge, link), as ``cluster`` with ``"agglomerative"`` returns; leaves are labelled with their
        ``size``, and heights with the units of ``distance``, where these are there.
    title : str or False, optional
        Heading of the figure. False leaves the titles of panels out, too.
    ax : Axes or iterable of Axes, optional
        Where to draw instead of a new figure: one.
    figsize : tuple of float, optional
        Width and height of the new figure in inches.
    backend : {"matplotlib", "hvplot"}
        What draws: a figure, or a picture of HoloViews to zoom into, which reads what is lazy when it is shown.

    Returns
    -------
    matplotlib.figure.Figure, or a HoloViews object
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
    sizes = result["size"].values if "size" in result else None
    unit = find_unit(result["distance"]) if "distance" in result else ""
    tree = Branches(
        list(zip(drawn["icoord"], drawn["dcoord"], strict=True)),
        [str(leaf) if sizes is None else f"{leaf}\n{sizes[leaf]}" for leaf in drawn["leaves"]],
        [colors[leaf] for leaf in drawn["leaves"]],
        "Cluster" if sizes is None else "Cluster, positions in it",
        write_label("Distance by Ward's rule", unit),
    )
    wishes = Wishes(title, ax=ax, figsize=figsize, backend=backend)
    return lay_out_branches(tree, wishes) if wishes.is_interactive else _draw_tree(tree, wishes)


def _draw_tree(tree: Branches, wishes: Wishes) -> Any:
    sheet = open_sheet(wishes.ax, 1, (max(3.6, 0.42 * len(tree.leaves) + 1.6), 3.0), wishes.figsize)
    axes = sheet.panels[0] if sheet.panels else sheet.figure.subplots()
    for across, up in tree.branches:
        axes.plot(across, up, color=INK, lw=points(1))
    axes.scatter(tree.places, np.zeros(len(tree.leaves)), s=points(6) ** 2, c=tree.colors, zorder=3, clip_on=False)
    axes.set_xticks(tree.places, tree.leaves)
    style_axes(axes)
    label_axes(axes, tree.across, tree.upwards)
    axes.set_ylim(bottom=0)
    return sheet.finish(wishes.title)
