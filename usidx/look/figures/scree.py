"""Decomposition to a figure of how many components matter."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from usidx.errors import ResultError
from usidx.label.roles import refuse_unlabelled
from usidx.look.draw.canvas import label_axes, open_sheet, points, set_whole_ticks, style_axes, write_letters
from usidx.look.draw.numbers import make_printable
from usidx.look.draw.wishes import Backend, Title, Wishes
from usidx.look.interactive.layouts import Series, lay_out_series

__all__ = ["plot_scree"]


def plot_scree(
    result: xr.Dataset,
    *,
    limit: int = 64,
    title: Title = None,
    ax: Any = None,
    figsize: tuple[float, float] | None = None,
    letters: bool | str = False,
    backend: Backend = "matplotlib",
) -> Any:
    """Draw how much each component explains, on a logarithmic scale, and how much all up to it explain together.

    Parameters
    ----------
    result : Dataset
        With ``explained_variance_ratio`` or ``singular_values`` over (component), as ``svd`` and ``pca`` return.
    limit : int
        The most components to draw.
    title : str or False, optional
        Heading of the figure. False leaves the titles of panels out, too.
    ax : Axes or iterable of Axes, optional
        Where to draw instead of a new figure: one for each panel, or a single one in whose place all are put.
    figsize : tuple of float, optional
        Width and height of the new figure in inches.
    letters : bool or str
        Name the panels a, b, c; or as the first is written, ``"(a)"`` or ``"A"``.
    backend : {"matplotlib", "hvplot"}
        What draws: a figure, or a picture of HoloViews to zoom into, which reads what is lazy when it is shown.

    Returns
    -------
    matplotlib.figure.Figure, or a HoloViews object
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
    shown = min(values.size, limit)
    positive = np.where(values > 0, values, np.nan)[:shown]
    series: list[Series] = [
        ("Explained variance ratio" if has_sum else "Singular value", positive, bool(np.isfinite(positive).any()))
    ]
    if has_sum:
        series.append(("Cumulative ratio", np.nancumsum(values)[:shown], False))
    wishes = Wishes(title, ax=ax, figsize=figsize, letters=letters, backend=backend)
    if wishes.is_interactive:
        return lay_out_series("Component", series, wishes)
    return _draw_scree(series, wishes, f"first {limit} of {values.size} components" if values.size > limit else "")


def _draw_scree(series: list[Series], wishes: Wishes, said: str) -> Any:
    count = len(series)
    sheet = open_sheet(wishes.ax, count, (6.8 if count == 2 else 4.2, 2.8), wishes.figsize)
    panels = sheet.panels or sheet.figure.subplots(1, count, squeeze=False).ravel()
    for axes, (quantity, values, is_log) in zip(panels, series, strict=True):
        axes.plot(np.arange(values.size), values, "o-", color="#0072b2", ms=points(3.5), lw=points(1))
        style_axes(axes)
        label_axes(axes, "Component", quantity)
        set_whole_ticks(axes.xaxis)
        axes.grid(visible=True, which="major", color="#e6e6e6", lw=points(0.6))
        if is_log:
            axes.set_yscale("log")
    if count == 2:
        panels[1].set_ylim(top=1.02)
    write_letters(panels, wishes.letters)
    return sheet.finish(wishes.title, said)
