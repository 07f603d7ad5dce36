"""Images and how far they have moved -> the images moved back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import RoleError, SelectionError, UnitsError, UsidError
from usidx.image.kernels.moving import METHODS, move
from usidx.image.plane import choose_image_dims, read_axes
from usidx.label import units
from usidx.label.blockwise import over
from usidx.label.roles import Dims
from usidx.results.verbs import add_choices, verb
from usidx.signal.axis import Axis

__all__ = ["move_back", "shift"]

Array = npt.NDArray[Any]
Method = Literal["cubic", "linear", "nearest"]


@verb()
def shift(
    data: xr.DataArray,
    shifts: xr.Dataset | Mapping[str, Any],
    *,
    dims: Dims | None = None,
    method: Method = "cubic",
    fill: float = np.nan,
) -> xr.DataArray:
    """Move images back by how far the picture in them has moved.

    A lazy array stays lazy. Shifts that were found on one channel serve any other, also a spectrum image, whose
    samples may be of another size. Nothing is cropped.

    Parameters
    ----------
    data : DataArray, dims (*any, *dims)
        Real or complex, with even axes.
    shifts : Dataset or mapping of str to number or DataArray
        ``shift_Y`` and ``shift_X`` as :func:`estimate_drift` returns them, or ``{"Y": 2e-9, "X": 0}``: how far the
        picture has moved, in the units of the axes (those of `shifts`, where it has them). A dim that is not named
        stays. Shifts that differ along other dims of `data` are matched with it by coordinates.
    dims : pair of str, optional
        By default the two that `shifts` names, or the two position dims.
    method : {"cubic", "linear", "nearest"}
        By which splines samples are interpolated. By whole numbers of samples they are copied.
    fill : number
        For what was not in view.

    Returns
    -------
    DataArray
        As `data`, floating: each sample is what was so far beyond it. What a missing sample takes part in is missing,
        and so is all of an image whose shift is not known.

    Raises
    ------
    RoleError
        It is not clear which dims are meant, or shifts differ along a dim that `data` does not have.
    SelectionError
        There is no shift for some image.
    UnitsError
        An axis is not even, or the units of shifts do not fit.
    UsidError
        An option is not as above.

    Notes
    -----
    The values are those of `scipy.ndimage.shift` with ``mode="mirror"``, of order 3, 1 or 0.

    Examples
    --------
    >>> import usidx, xarray as xr
    >>> image = xr.DataArray([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]], dims=("Y", "X"))
    >>> usidx.image.shift(image, {"X": 1}).values
    array([[ 1.,  2., nan],
           [ 4.,  5., nan]])
    """
    if method not in METHODS:
        raise UsidError(f"method={method!r}; it should be one of {', '.join(map(repr, METHODS))}.")
    named = _name_shifts(shifts)
    core = choose_image_dims(data, tuple(named) if dims is None and len(named) == 2 else dims)
    core = tuple(str(d) for d in data.dims if d in core)  # type: ignore[assignment]
    unknown = set(named) - set(core)
    if unknown or not named:
        raise RoleError(f"Shifts along {sorted(named)} are given; they should be along {core}.")
    axes = read_axes(data, core)
    each = [_match_shift(named.get(axis.dim, 0.0), data, axis) for axis in axes]
    return add_choices(move_back(data, axes, each, method=method, fill=fill), dims=list(core))


def _name_shifts(shifts: xr.Dataset | Mapping[str, Any]) -> dict[str, Any]:
    """Return dim -> shift."""
    if isinstance(shifts, xr.Dataset):
        found = {str(n): v for n, v in shifts.data_vars.items() if str(n).startswith("shift_")}
        return {n.removeprefix("shift_"): v for n, v in found.items() if not n.endswith("_stderr")}
    if not isinstance(shifts, Mapping):
        raise UsidError(f"Shifts are {type(shifts).__name__}; a Dataset of estimate_drift or a mapping is wanted.")
    return {str(dim): value for dim, value in shifts.items()}


def _match_shift(given: Any, data: xr.DataArray, axis: Axis) -> xr.DataArray:
    """Return shifts in the unit of an axis, along dims of the data and without coordinates."""
    if not isinstance(given, xr.DataArray):
        try:
            return xr.DataArray(float(given))
        except (TypeError, ValueError) as err:
            raise UsidError(f"The shift along {axis.dim!r} is {given!r}; a number is wanted.") from err
    beside = [str(d) for d in given.dims if d not in data.dims or d in (axis.dim,)]
    if beside:
        raise RoleError(f"Shifts differ along {beside[0]!r}; the other dims of {data.name!r} are {data.dims}.")
    _check_unit(given, axis)
    return _select_like(given, data)


def _select_like(given: xr.DataArray, data: xr.DataArray) -> xr.DataArray:
    for dim in map(str, given.dims):
        if dim in given.indexes and dim in data.indexes and not given.indexes[dim].equals(data.indexes[dim]):
            try:
                given = given.sel({dim: data.indexes[dim]})
            except KeyError as err:
                raise SelectionError(f"Along {dim!r} there is no shift for some coordinates of {data.name!r}.") from err
        if given.sizes[dim] != data.sizes[dim]:
            raise SelectionError(f"There are {given.sizes[dim]} shifts along {dim!r}, and {data.sizes[dim]} images.")
    return given


def _check_unit(given: xr.DataArray, axis: Axis) -> None:
    unit = given.attrs.get("units")
    if unit and axis.unit and not units.is_same(unit, axis.unit):
        raise UnitsError(f"Shifts along {axis.dim!r} are in {unit!r}, and the axis is in {axis.unit!r}.")


def move_back(
    data: xr.DataArray,
    axes: tuple[Axis, Axis],
    shifts: Sequence[xr.DataArray],
    *,
    method: str = "cubic",
    fill: float = np.nan,
) -> xr.DataArray:
    """Return images moved back by shifts along other dims of theirs, in the units of the axes."""
    core = (axes[0].dim, axes[1].dim)
    steps = (axes[0].step, axes[1].step)
    kernel = partial(_move_images, steps=steps, method=method, fill=fill)
    return over(data, core, kernel, beside=[s.drop_vars(list(s.coords)) for s in shifts])


def _move_images(block: Array, along_y: Array, along_x: Array, *, steps: tuple[float, float], method: str,
                 fill: float) -> Array:  # fmt: skip
    outer = block.shape[:-2]
    by = [np.broadcast_to(np.asarray(s, np.float64) / step, outer)
          for s, step in zip((along_y, along_x), steps, strict=True)]  # fmt: skip
    made = np.empty_like(block)
    for place in np.ndindex(outer):
        y, x = float(by[0][place]), float(by[1][place])
        if np.isfinite(y) and np.isfinite(x):
            made[place] = move(block[place], (y, x), method=method, fill=fill)
        else:
            made[place] = np.nan
    return made
