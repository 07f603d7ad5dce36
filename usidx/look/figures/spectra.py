"""Labelled array to lines along one dim."""

from __future__ import annotations

import math
from typing import Any

import xarray as xr

from usidx.label.quantities import store_units
from usidx.look.draw.canvas import open_sheet
from usidx.look.draw.colours import Shades
from usidx.look.draw.downsample import (
    choose_spectral_dim,
    describe_cell,
    find_detector,
    pick,
    pick_cells,
    refuse_undrawable,
)
from usidx.look.draw.lines import Stroke, add_legend, count_panels, draw_lines, stack_panels
from usidx.look.draw.wishes import Backend, Title, Wishes
from usidx.look.figures.stack import draw_frames
from usidx.look.interactive.layouts import lay_out_lines

__all__ = ["plot_spectra"]


def plot_spectra(
    data: xr.DataArray,
    dim: str | None = None,
    *,
    limit: int = 8,
    title: Title = None,
    cmap: Any = None,
    vmin: float | None = None,
    vmax: float | None = None,
    ax: Any = None,
    figsize: tuple[float, float] | None = None,
    backend: Backend = "matplotlib",
) -> Any:
    """Draw an array as lines along one dim; complex ones as magnitude and phase.

    Computes the lines that are shown, no others. Of more than `limit` lines a spread over all cells is drawn; of a
    line of very many points the envelope. The figure says so. Signals of two dims that are sides of one detector, such
    as ``detector_Y`` and ``detector_X``, are drawn as images, unless `dim` is named.

    Parameters
    ----------
    data : DataArray
        Any dims.
    dim : str, optional
        The dim that runs to the right. By default the fastest spectroscopic dim, or the last.
    limit : int
        The most lines to draw.
    title : str or False, optional
        Heading of the figure. False leaves the titles of panels out, too.
    cmap : str or Colormap, optional
        The colour map that the colours of the lines are taken from, end to end.
    vmin, vmax : float, optional
        Limits of the vertical axis, in the unit of the data; where it is complex, of the magnitude.
    ax : Axes or iterable of Axes, optional
        Where to draw instead of a new figure: one, or two for a complex array, which also finds
        room in the place of one.
    figsize : tuple of float, optional
        Width and height of the new figure in inches.
    backend : {"matplotlib", "hvplot"}
        What draws: a figure, or a picture of HoloViews to zoom into, which reads what is lazy when it is shown.

    Returns
    -------
    matplotlib.figure.Figure, or a HoloViews object
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
    wishes = Wishes(title, Shades(cmap, vmin, vmax), ax, figsize, backend=backend)
    detector = find_detector(data) if dim is None else None
    if detector is not None:
        return draw_frames(data, detector, limit, wishes)
    dim = choose_spectral_dim(data, dim)
    sizes = {str(d): n for d, n in data.sizes.items() if d != dim}
    at = pick_cells(sizes, limit)
    total = math.prod(sizes.values())
    names = [describe_cell(data, cell) for cell in at] if total > 1 else []
    stroke = Stroke(wishes.shades.list_colours(len(at)), names)
    if wishes.is_interactive:
        return lay_out_lines(pick(data, at), dim, stroke, wishes)
    said = f"{len(at)} of {total} lines" if total > len(at) else ""
    return _draw_spectra(pick(data, at).compute(), dim, stroke, wishes, said)


def _draw_spectra(lines: xr.DataArray, dim: str, stroke: Stroke, wishes: Wishes, said: str) -> Any:
    panels = count_panels(lines)
    size = (6.4 if stroke.names else 5.2, 2.9 if panels == 1 else 4.0)
    sheet = open_sheet(wishes.ax, panels, size, wishes.figsize)
    stacked = sheet.panels or stack_panels(sheet.figure, panels)
    left_out = draw_lines(stacked, lines, dim, stroke, {}, wishes.shades)
    if stroke.names:
        add_legend(None if sheet.panels else sheet.figure, stacked[0])
    return sheet.finish(wishes.title, said, left_out)
