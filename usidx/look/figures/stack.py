"""Stack of images, or of patterns, to a sheet of some of them."""

from __future__ import annotations

import math
from typing import Any

import xarray as xr

from usidx.errors import RoleError
from usidx.label.quantities import store_units
from usidx.label.roles import Dims, position_dims
from usidx.look.draw.colours import Shades
from usidx.look.draw.downsample import describe_cell, find_detector, pick_cells, refuse_undrawable
from usidx.look.draw.wishes import Backend, Title, Wishes
from usidx.look.figures.panels import draw_maps

__all__ = ["draw_frames", "plot_image_stack"]


def plot_image_stack(
    data: xr.DataArray,
    dims: Dims | None = None,
    *,
    limit: int = 9,
    shared: bool = True,
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
    """Draw images of a stack, spread over all of it, in colours that mean the same in each.

    Computes the images that are shown, no others, at most 1200 cells a side.

    Parameters
    ----------
    data : DataArray, dims (frame, Y, X), (Y, X, detector_Y, detector_X) or others
        Three or more dims; two of them are the images.
    dims : pair of str, optional
        The two dims of an image, the vertical one first. By default the detector, where there is one, such as
        ``detector_Y`` and ``detector_X``; else the two fastest position dims.
    limit : int
        The most images to draw.
    shared : bool
        Whether all images have the same limits, and one colour bar.
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
        A panel per image, named by where it is in the stack. By hvplot one picture with sliders for the other dims.

    Raises
    ------
    RoleError
        There are no such dims, or there are no numbers to draw.
    UsidError
        There is no such colour map or norm, or `ax` does not fit the picture.
    MissingExtraError
        matplotlib is not installed.

    Examples
    --------
    >>> import usidx
    >>> stack, truth = usidx.simulate.drifting_stack((32, 48), 6)
    >>> figure = usidx.plot_image_stack(stack, limit=4)
    >>> [axes.get_title() for axes in figure.axes[:2]]
    ['Frame 0', 'Frame 2']
    """
    data = store_units(data)
    refuse_undrawable(data, limit)
    wishes = Wishes(title, Shades(cmap, vmin, vmax, norm, robust), ax, figsize, scalebar, letters, backend)
    return draw_frames(data, _choose_image_dims(data, dims), limit, wishes, shared=shared)


def _choose_image_dims(data: xr.DataArray, dims: Dims | None) -> tuple[str, str]:
    there = tuple(str(d) for d in data.dims)
    if dims is None:
        found = find_detector(data) or position_dims(data)[-2:]
        chosen = tuple(found) if len(found) == 2 else there[-2:]
    else:
        chosen = (dims,) if isinstance(dims, str) else tuple(dims)
    if len(set(chosen)) != 2 or not set(chosen) <= set(there):
        raise RoleError(f"An image has two dims of {there}, not {chosen}. Name them by dims.")
    return chosen[0], chosen[1]


def draw_frames(data: xr.DataArray, dims: tuple[str, str], limit: int, wishes: Wishes, *, shared: bool = False) -> Any:
    """Draw images over two dims at places that spread over the others."""
    others = {str(d): n for d, n in data.sizes.items() if d not in dims}
    if wishes.is_interactive:
        return draw_maps([("", data.transpose(..., *dims))], wishes)
    at = pick_cells(others, limit)
    named = [(describe_cell(data, cell), data.isel(cell).transpose(*dims)) for cell in at]
    total = math.prod(others.values())
    said = f"{len(at)} of {total} images" if total > len(at) else ""
    return draw_maps(named, wishes, said, shared=shared and len(named) > 1)
