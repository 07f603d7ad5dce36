"""Atoms to a figure, over the image in which they were found."""

from __future__ import annotations

from typing import Any

import xarray as xr

from usidx.errors import RoleError
from usidx.label.quantities import store_units
from usidx.label.roles import refuse_unlabelled
from usidx.look.draw.canvas import open_sheet
from usidx.look.draw.colours import Shades
from usidx.look.draw.maps import choose_map_size, draw_map, measure_map_aspect, read_map
from usidx.look.draw.spots import Spots, choose_stretch, draw_spots, place_spots
from usidx.look.draw.wishes import Backend, Title, Wishes
from usidx.look.interactive.atoms import lay_out_atoms

__all__ = ["plot_atoms"]


def plot_atoms(
    data: xr.DataArray | xr.Dataset,
    other: xr.Dataset | xr.DataArray | None = None,
    *,
    color: str | None = None,
    sizes: bool = False,
    displacements: xr.Dataset | None = None,
    stretch: float | None = None,
    title: Title = None,
    cmap: Any = None,
    vmin: float | None = None,
    vmax: float | None = None,
    robust: bool | None = None,
    ax: Any = None,
    figsize: tuple[float, float] | None = None,
    scalebar: bool | float = False,
    backend: Backend = "matplotlib",
) -> Any:
    """Draw atoms where they are, over their image: their sizes, a figure of each in colours, displacements as arrows.

    Computes the image, of which at most 1200 cells a side are shown, and what is drawn of the atoms.

    Parameters
    ----------
    data : DataArray, dims (Y, X), or Dataset, dims (atom)
        The image, or the atoms, with ``y`` and ``x``, as of :func:`usidx.image.refine_atoms`.
    other : Dataset or DataArray, optional
        The other of the two. Without atoms they are sought in the image by :func:`usidx.image.find_atoms`; without an
        image they are drawn by themselves.
    color : str, optional
        The variable of the atoms that gives them their colours, such as ``"amplitude"``, or of `displacements`.
    sizes : bool
        Draw each atom as the ellipse at half of its height, from ``sigma_y``, ``sigma_x`` and ``angle``.
    displacements : Dataset, dims (atom), optional
        With ``displacement_y`` and ``displacement_x``, as of :func:`usidx.image.displacements`, drawn as arrows.
    stretch : float, optional
        By how much arrows are longer than displacements. By default so that the long ones nearly reach the next atom;
        the figure says by how much.
    title : str or False, optional
        Heading of the figure. False leaves the titles of panels out, too.
    cmap : str or Colormap, optional
        The colour map of `color`; without one, of the image.
    vmin, vmax : float, optional
        Limits of these colours, in the unit of the variable, or of the image.
    robust : bool, optional
        True takes the limits at the percentiles 2 and 98, False at the ends of the values.
    ax : Axes or iterable of Axes, optional
        Where to draw instead of a new figure: one.
    figsize : tuple of float, optional
        Width and height of the new figure in inches.
    scalebar : bool or float
        Draw a length instead of the axes: a round one, or the one that is given in the unit of the coordinates.
    backend : {"matplotlib", "hvplot"}
        What draws: a figure, or a picture of HoloViews to zoom into.

    Returns
    -------
    matplotlib.figure.Figure, or a HoloViews object
        One panel, the image in grey.

    Raises
    ------
    ResultError
        The atoms have no ``y`` and ``x`` over ``atom`` alone, or lack what is to be drawn of them.
    RoleError
        The image has other than two dims, or two of one kind are given.
    UsidError
        There is no such colour map, the axes have no unit for a scale bar, or `ax` does not fit the picture.
    MissingExtraError
        matplotlib is not installed.

    Examples
    --------
    >>> import usidx
    >>> image, truth = usidx.simulate.atoms((64, 64))
    >>> figure = usidx.plot_atoms(image, truth, color="amplitude", sizes=True)
    >>> figure.axes[0].get_xlabel()
    'X (nm)'
    """
    image, atoms = _tell_apart(data, other)
    shown, left_out = (None, "") if image is None else read_map(store_units(image))
    if shown is not None and shown.ndim != 2:
        raise RoleError(f"Atoms lie in an image of two dims; this one has {shown.dims}.")
    beside = [] if displacements is None else [displacements]
    spots = place_spots(shown, atoms, color, sizes=sizes, beside=beside)
    if displacements is not None:
        spots = choose_stretch(spots, stretch)
    shades = Shades(cmap, vmin, vmax, robust=robust)
    wishes = Wishes(title, shades, ax, figsize, scalebar, backend=backend)
    if wishes.is_interactive:
        return lay_out_atoms(shown, spots, wishes)
    return _draw_atoms(shown, spots, wishes, left_out)


def _tell_apart(data: Any, other: Any) -> tuple[xr.DataArray | None, xr.Dataset]:
    """Return the image, if there is one, and the atoms, which are sought where there are none."""
    kinds = (xr.DataArray, xr.Dataset)
    refuse_unlabelled(data, kinds)
    if other is not None:
        refuse_unlabelled(other, kinds)
    given = [one for one in (data, other) if one is not None]
    images = [one for one in given if isinstance(one, xr.DataArray)]
    atoms = [one for one in given if isinstance(one, xr.Dataset)]
    if len(images) > 1 or len(atoms) > 1:
        raise RoleError("Give one image, a DataArray, and the atoms in it, a Dataset.")
    if not atoms:
        from usidx.image.finding import find_atoms

        atoms = [find_atoms(images[0])]
    return (images[0] if images else None), atoms[0]


def _draw_atoms(image: xr.DataArray | None, spots: Spots, wishes: Wishes, left_out: str) -> Any:
    aspect = spots.aspect if image is None else measure_map_aspect(image)
    sheet = open_sheet(wishes.ax, 1, choose_map_size(aspect, 1), wishes.figsize)
    axes = sheet.panels[0] if sheet.panels else sheet.figure.subplots()
    if image is not None:
        grey = Shades("gray") if spots.color is not None else _make_grey(wishes.shades)
        draw_map(sheet.figure, axes, image, bar=False, shades=grey, scalebar=wishes.scalebar)
    draw_spots(sheet.figure, axes, spots, wishes.shades, scalebar=False if image is not None else wishes.scalebar)
    return sheet.finish(wishes.title, left_out, spots.said)


def _make_grey(shades: Shades) -> Shades:
    return Shades(shades.cmap or "gray", shades.vmin, shades.vmax, robust=shades.robust)
