"""Spectra and the curves that were fitted to them to a figure: how good a fit is."""

from __future__ import annotations

from typing import Any

import xarray as xr

from usidx.errors import RoleError
from usidx.label.roles import refuse_unlabelled
from usidx.look.draw.colours import Shades
from usidx.look.draw.downsample import choose_spectral_dim, describe_cell, pick, pick_cells, refuse_undrawable
from usidx.look.draw.lines import Stroke
from usidx.look.draw.wishes import Backend, Title, Wishes
from usidx.look.figures.curves import Layer, draw_curves
from usidx.look.figures.smooth import evaluate_at

__all__ = ["plot_fit"]


def plot_fit(
    data: xr.DataArray | xr.Dataset,
    curve: xr.DataArray | xr.Dataset,
    dim: str | None = None,
    *,
    truth: xr.DataArray | None = None,
    count: int = 6,
    title: Title = None,
    cmap: Any = None,
    vmin: float | None = None,
    vmax: float | None = None,
    ax: Any = None,
    figsize: tuple[float, float] | None = None,
    letters: bool | str = False,
    backend: Backend = "matplotlib",
) -> Any:
    """Draw a handful of spectra with the curve that was fitted to them, and the truth where it is known.

    Computes the spectra and curves that are shown, no others, so all three may be lazy.

    Parameters
    ----------
    data : DataArray
        What was fitted, any dims.
    curve : DataArray or Dataset
        The fitted model evaluated at `data`, of the same dims; or the fit, whose model is then drawn as a smooth line,
        between the samples too. Data and curve may
        also come the other way round: ``fit.usid.plot.fit(data)``.
    dim : str, optional
        The dim along which was fitted. By default the fastest spectroscopic dim, or the last.
    truth : DataArray, optional
        What `data` would be without noise, of the same dims.
    count : int
        The most spectra to draw, spread over all cells.
    title : str or False, optional
        Heading of the figure. False leaves the titles of panels out, too.
    cmap : str or Colormap, optional
        The colour map that the colours of measured, true and fitted are taken from, end to end.
    vmin, vmax : float, optional
        Limits of the vertical axes, in the unit of the data; where it is complex, of the magnitude.
    ax : Axes or iterable of Axes, optional
        Where to draw instead of a new figure: one for each spectrum, two where the data
        are complex, or a single one in whose place all are put.
    figsize : tuple of float, optional
        Width and height of the new figure in inches.
    letters : bool or str
        Name the panels a, b, c; or as the first is written, ``"(a)"`` or ``"A"``.
    backend : {"matplotlib", "hvplot"}
        What draws: a figure, or a picture of HoloViews to zoom into, which reads what is lazy when it is shown.

    Returns
    -------
    matplotlib.figure.Figure, or a HoloViews object
        A panel per spectrum, or two where the data are complex: points measured, line fitted, dashes true.

    Raises
    ------
    RoleError
        There is no such dim, the dims of the arrays differ, there are no numbers to draw, or no array among the two.
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
    data, curve = _tell_apart(data, curve)
    for array in (one for one in (data, curve, truth) if isinstance(one, xr.DataArray)):
        refuse_undrawable(array, count)
    dim = choose_spectral_dim(data, dim)
    at = pick_cells({str(d): n for d, n in data.sizes.items() if d != dim}, count)
    wishes = Wishes(title, Shades(cmap, vmin, vmax), ax, figsize, letters=letters, backend=backend)
    given = _choose_strokes(data, curve, truth, wishes.shades)
    layers = [Layer(_pick_lines(one, data, dim, at).compute(), stroke) for one, stroke in given]
    return draw_curves(layers, dim, [describe_cell(data, cell) for cell in at], wishes)


def _pick_lines(
    drawn: xr.DataArray | xr.Dataset, data: xr.DataArray, dim: str, at: list[dict[str, int]]
) -> xr.DataArray:
    """Pick the cells that are shown, from an array or from what a fit found."""
    if isinstance(drawn, xr.Dataset):
        return evaluate_at(drawn, data, dim, at)
    return pick(_match_dims(drawn, data), at)


def _tell_apart(data: Any, curve: Any) -> tuple[xr.DataArray, xr.DataArray | xr.Dataset]:
    """Return what was measured, and the curve or the fit."""
    if isinstance(data, xr.Dataset) and isinstance(curve, xr.DataArray):
        data, curve = curve, data
    refuse_unlabelled(data)
    refuse_unlabelled(curve, (xr.DataArray, xr.Dataset))
    return data, curve


def _choose_strokes(
    data: xr.DataArray, curve: xr.DataArray | xr.Dataset, truth: xr.DataArray | None, shades: Shades
) -> list[tuple[xr.DataArray | xr.Dataset, Stroke]]:
    """Give what is drawn its colours, the truth between what was measured and what was fitted."""
    grey, orange, blue = ("#8c8c8c", "#e69f00", "#0072b2") if shades.cmap is None else shades.list_colours(3)
    given: list[tuple[xr.DataArray | xr.Dataset, Stroke]] = [(data, Stroke([grey], ["measured"], points=True))]
    if truth is not None:
        given.append((truth, Stroke([orange], ["true"], width=2.4)))
    return [*given, (curve, Stroke([blue], ["fitted"], width=1.2))]


def _match_dims(array: xr.DataArray, data: xr.DataArray) -> xr.DataArray:
    if dict(array.sizes) != dict(data.sizes):
        raise RoleError(f"The curve has dims {dict(array.sizes)}, the data {dict(data.sizes)}; they must be the same.")
    return array
