"""Draw atoms: spots, ellipses of their sizes, arrows of their displacements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from usidx.errors import ResultError, UsidError
from usidx.look.draw.canvas import label_axes, points, style_axes, write_plain_numbers
from usidx.look.draw.colours import Shades, choose_colours
from usidx.look.draw.downsample import Ruler, as_floats
from usidx.look.draw.extras import require
from usidx.look.draw.maps import Drawn, draw_bar, find_common_scale, find_grid
from usidx.look.draw.numbers import find_base_unit, find_quantity, find_unit, write_label, write_number
from usidx.look.draw.scalebar import choose_bar_length, draw_scalebar

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Spots", "choose_stretch", "draw_spots", "place_spots"]

_HALF = 2 * math.sqrt(2 * math.log(2))  # width at half of the height, in sigmas
_REACH = 0.45  # of the way to the next atom, which long arrows go
_PLAIN = "#ff3b30"


@dataclass(frozen=True)
class Spots:
    """Atoms in the unit that the axes show.

    Attributes
    ----------
    x, y : ndarray, shape (atom,)
        Where they are.
    unit, factor : str, float
        Of the axes, and from the unit as found to it.
    labels : tuple of str
        What runs across, and upwards.
    color : DataArray, optional
        What gives them colours.
    ellipses : ndarray, shape (atom, 3), optional
        Widths along the ellipse's own axes, across and upwards, and its angle in radians.
    arrows : ndarray, shape (atom, 2), optional
        Displacements across and upwards, times `stretch`.
    stretch : float
        By how much arrows are longer than displacements.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    unit: str
    factor: float
    labels: tuple[str, str]
    color: xr.DataArray | None = None
    ellipses: NDArray[np.float64] | None = None
    arrows: NDArray[np.float64] | None = None
    stretch: float = 1.0

    @property
    def aspect(self) -> float:
        """Height over width of where they are."""
        across, up = (float(np.nanmax(v) - np.nanmin(v)) if np.isfinite(v).any() else 0.0 for v in (self.x, self.y))
        return float(np.clip(up / across, 0.1, 5)) if across > 0 and up > 0 else 1.0

    @property
    def said(self) -> str:
        """What the reader must know of the arrows."""
        if self.arrows is None or self.stretch == 1:
            return ""
        return f"arrows {write_number(self.stretch, 2)} times as long as displacements"


def place_spots(
    image: xr.DataArray | None, atoms: xr.Dataset, color: str | None, *, sizes: bool, beside: Sequence[xr.Dataset]
) -> Spots:
    """Bring atoms, and what is drawn of them, to the unit in which their image is shown."""
    held = [atoms, *beside]
    vertical, horizontal = (Ruler(_read(held[:1], name), name, find_unit(atoms[name])) for name in ("y", "x"))
    if image is None:
        factor, unit = find_common_scale(vertical, horizontal)
        labels = (write_label("X", unit), write_label("Y", unit))
    else:
        factor, unit, labels = _find_image_scale(image, horizontal)
    ellipses = arrows = None
    if sizes:
        widths = [_HALF * factor * _read(held, name) for name in ("sigma_x", "sigma_y")]
        ellipses = np.stack([*widths, _read(held, "angle") if "angle" in atoms else np.zeros(len(widths[0]))], axis=1)
    if beside:
        arrows = factor * np.stack([_read(held, f"displacement_{side}") for side in "xy"], axis=1)
    colored = None if color is None else next((one[color] for one in held if color in one), None)
    if color is not None:
        _read(held, color)
    x, y = factor * horizontal.values, factor * vertical.values
    return Spots(x, y, unit, factor, labels, colored, ellipses, arrows)


def _find_image_scale(image: xr.DataArray, horizontal: Ruler) -> tuple[float, str, tuple[str, str]]:
    grid = find_grid(image)
    found = find_unit(image.coords[image.dims[1]]) if image.dims[1] in image.coords else ""
    between = find_base_unit(horizontal.unit)[0] / find_base_unit(found)[0]
    if find_base_unit(horizontal.unit)[1] != find_base_unit(found)[1]:
        raise ResultError(f"The atoms are in {horizontal.unit!r} and the image in {found!r}: these are not the same.")
    return between * grid.factor, grid.unit, (grid.x_label, grid.y_label)


def _read(held: Sequence[xr.Dataset], name: str) -> NDArray[np.float64]:
    found = next((one[name] for one in held if name in one), None)
    if found is None or found.dims != ("atom",):
        is_over = "there is none" if found is None else f"it is over {found.dims}; take one image, by isel"
        raise ResultError(f"{name!r} of atoms should be over 'atom' alone, and {is_over}.")
    return as_floats(found.values)


def choose_stretch(spots: Spots, wanted: float | None) -> Spots:
    """Make arrows as much longer as is wanted, or so that long ones nearly reach the next atom."""
    assert spots.arrows is not None
    if wanted is not None and not wanted > 0:
        raise UsidError(f"stretch={wanted!r}; it should be more than 0.")
    lengths = np.hypot(*spots.arrows.T)
    long = float(np.nanpercentile(lengths, 90)) if np.isfinite(lengths).any() else 0.0
    apart = _measure_spacing(spots)
    if wanted is None:
        wanted = 1.0 if not (long > 0 and apart > 0) else choose_bar_length(_REACH * apart / long / 0.3)
    return replace(spots, arrows=spots.arrows * wanted, stretch=float(wanted))


def _measure_spacing(spots: Spots) -> float:
    """Return how far an atom is from the next, in the middle of all."""
    from scipy.spatial import cKDTree

    places = np.stack([spots.x, spots.y], axis=1)
    places = places[np.isfinite(places).all(axis=1)]
    if len(places) < 2:
        return 0.0
    return float(np.median(cKDTree(places).query(places, k=2)[0][:, 1]))


def draw_spots(figure: Figure, axes: Axes, spots: Spots, shades: Shades, *, scalebar: bool | float) -> None:
    """Draw atoms into axes: those of their image, or empty ones."""
    if not axes.images and not axes.collections:
        style_axes(axes, box=True)
        axes.set_aspect("equal")
        label_axes(axes, *spots.labels)
        for axis in (axes.xaxis, axes.yaxis):
            write_plain_numbers(axis)
    looks: dict[str, Any] = {"color": _PLAIN}
    drawn = None
    if spots.color is not None:
        values = as_floats(spots.color.values)
        colours = choose_colours(spots.color, values, shades)
        looks = {"array": values * colours.factor, **colours.scaling}
        drawn = Drawn(None, colours, find_quantity(spots.color))
    mappable = _draw_marks(axes, spots, looks)
    if drawn is not None:
        draw_bar(figure, [axes], replace(drawn, mappable=mappable), spots.aspect)
    if spots.arrows is not None:
        axes.quiver(spots.x, spots.y, *spots.arrows.T, angles="xy", scale_units="xy", scale=1, width=0.004,
                    color="#ffd60a" if drawn is None else "white")  # fmt: skip
    if scalebar:
        draw_scalebar(axes, scalebar, spots.unit, spots.factor)


def _draw_marks(axes: Axes, spots: Spots, looks: dict[str, Any]) -> Any:
    """Draw rings, or ellipses in their own size; filled where they have colours."""
    places = np.stack([spots.x, spots.y], axis=1)
    if spots.ellipses is None:
        named = {"c": looks.pop("array"), **looks} if "array" in looks else {"facecolors": "none", "edgecolors": _PLAIN}
        size = float(np.clip(points(60) / math.sqrt(max(len(places), 1)), points(2), points(7)))
        return axes.scatter(spots.x, spots.y, s=size**2, linewidths=points(0.8) if "c" not in named else 0, **named)
    collections = require("matplotlib.collections", "Drawing")
    norm = looks.pop("norm", None)
    limits = [looks.pop(name, None) for name in ("vmin", "vmax")]
    filled = {"cmap": looks["cmap"], "norm": norm} if "array" in looks else {"facecolors": "none", "edgecolors": _PLAIN}
    made = collections.EllipseCollection(
        spots.ellipses[:, 0], spots.ellipses[:, 1], np.degrees(spots.ellipses[:, 2]),
        units="xy", offsets=places, offset_transform=axes.transData, linewidths=points(0.8), **filled,
    )  # fmt: skip
    if "array" in looks:
        made.set_array(looks["array"])
        if norm is None:
            made.set_clim(*limits)
    axes.add_collection(made)
    axes.update_datalim(places[np.isfinite(places).all(axis=1)])
    axes.autoscale_view()
    return made
