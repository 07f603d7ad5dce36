"""Array of patterns -> its two detector dims: their coordinates, units, and which pixels count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import RoleError, SelectionError, UsidError
from usidx.label.masking import apply_mask
from usidx.label.roles import Dims, choose_dims
from usidx.signal.axis import read_steps

__all__ = [
    "Center",
    "Frame",
    "Pixels",
    "choose_result_type",
    "find_pair",
    "leave_out",
    "name_pair",
    "read_center",
    "read_frame",
]

Array = npt.NDArray[Any]
#: A point of the detector: (y, x), or what `find_center` returns.
Center = Sequence[float] | xr.Dataset
#: What is left out: a labelled mask, or one of the detector's shape.
Pixels = xr.DataArray | npt.NDArray[np.bool_]
#: What begins the names of `y` and `x` in a result, where the positions have these names.
Apart = Literal["com_", "center_"]


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """The detector.

    Attributes
    ----------
    dims : tuple of str
        Its two dims, (y, x).
    y, x : ndarray of float64
        Their coordinates, counted from 0 where there are none.
    units : tuple of str or None
        Of the coordinates, None where they have no unit.
    """

    dims: tuple[str, str]
    y: Array
    x: Array
    units: tuple[str | None, str | None]

    @property
    def shape(self) -> tuple[int, int]:
        """Return the pixels along both dims."""
        return self.y.size, self.x.size

    def find_distance(self, center: tuple[float, float]) -> Array:
        """Return how far each pixel is from a point."""
        return np.hypot(self.y[:, np.newaxis] - center[0], self.x - center[1])

    def find_unit(self) -> str | None:
        """Return the unit of distances, None where the two dims have not the same."""
        return self.units[0] if self.units[0] == self.units[1] else None


def read_frame(data: xr.DataArray, dims: Dims | None = None) -> Frame:
    """Return the detector that is meant: the dims that are named, else the two spectroscopic ones.

    Raises
    ------
    RoleError
        They are not there, not two, or it is not clear which are meant.
    SelectionError
        The detector has no pixel.
    UnitsError
        A coordinate is not of finite numbers.
    UsidError
        The data is not real numbers.
    """
    y, x = choose_dims(data, dims, 2, reason="A detector has two dims.")
    if data.dtype.kind not in "biuf":
        raise UsidError(
            f"Array {data.name!r} is of dtype {data.dtype}; patterns are real numbers: take abs(data) ** 2, data.real."
        )
    if not data.sizes[y] * data.sizes[x]:
        raise SelectionError(f"The detector of {data.name!r} has {data.sizes[y]} x {data.sizes[x]} pixels.")
    (ys, unit_y), (xs, unit_x) = read_steps(data, y), read_steps(data, x)
    return Frame((y, x), ys, xs, (unit_y, unit_x))


def name_pair(data: xr.DataArray, frame: Frame, apart: Apart) -> tuple[str, str]:
    """Return what is found along y and x of the detector is called: so, with `apart` before it where that is taken."""
    held = {*data.dims} - {*frame.dims}
    taken = held | {name for name, c in data.coords.items() if {*c.dims} <= held}
    return (f"{apart}y", f"{apart}x") if {"y", "x"} & taken else ("y", "x")


def find_pair(found: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray] | None:
    """Return the variables of such a result, None where there are none."""
    for apart in ("", *get_args(Apart)):
        if {f"{apart}y", f"{apart}x"} <= {*found.data_vars}:
            return found[f"{apart}y"], found[f"{apart}x"]
    return None


def read_center(center: Center) -> tuple[float, float]:
    """Return a point of the detector as two numbers; a lazy one is computed.

    Raises
    ------
    UsidError
        It is not two finite numbers.
    """
    try:
        y, x = find_pair(center) if isinstance(center, xr.Dataset) else center  # type: ignore[misc]
        found = float(y), float(x)
    except (TypeError, ValueError) as err:
        raise UsidError(f"center={center!r}; it should be (y, x), in the units of the detector's coordinates.") from err
    if not np.isfinite(found).all():
        raise UsidError(f"center={found}; it should be finite.")
    return found


def leave_out(data: xr.DataArray, mask: Pixels | None, frame: Frame) -> tuple[xr.DataArray, Array]:
    """Return the data and which pixels of the detector count, for a mask that is true where cells are left out.

    A mask of the detector alone costs nothing; cells of single positions become NaN.
    """
    everywhere = np.ones(frame.shape, bool)
    if mask is None:
        return data, everywhere
    if not isinstance(mask, xr.DataArray):
        return data, ~_check_pixels(mask, frame)
    checked = apply_mask(data, mask)
    if not set(mask.dims) <= set(frame.dims):
        return checked, everywhere
    return data, np.broadcast_to(~_order(mask, frame), frame.shape)


def _check_pixels(mask: Any, frame: Frame) -> Array:
    array = np.asarray(mask)
    if array.dtype != bool or array.shape != frame.shape:
        raise RoleError(
            f"A mask is an array of bool, true where pixels are left out, of the detector's shape {frame.shape}; "
            f"this one is {array.dtype} of shape {array.shape}."
        )
    return array


def _order(mask: xr.DataArray, frame: Frame) -> Array:
    wide = mask.expand_dims([d for d in frame.dims if d not in mask.dims])
    return np.asarray(wide.transpose(*frame.dims).values)


def choose_result_type(data: xr.DataArray) -> np.dtype[Any]:
    """Return the type of sums over pixels: single precision stays so, whole numbers become float64."""
    if data.dtype.kind in "biu":
        return np.dtype(np.float64)
    return np.result_type(data.dtype.newbyteorder("="), np.float32)
