"""Array and dim -> the axis along it: where it begins, its even step, its unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import SelectionError, UnitsError, UsidError
from usidx.label import units
from usidx.label.roles import choose_dims

__all__ = ["Axis", "choose_dim", "find_slack", "invert_unit", "read_axis", "read_steps", "refuse_complex"]

Array = npt.NDArray[Any]
#: Of a step: by so much samples may lie beside an even axis.
_UNEVEN: Final = 1e-3
#: Files hold coordinates in single precision.
_ROUNDING: Final = 2 * float(np.finfo(np.float32).eps)
_RECIPROCAL: Final = {
    "s": "Hz", "ms": "kHz", "us": "MHz", "µs": "MHz", "μs": "MHz", "ns": "GHz", "ps": "THz",
}  # fmt: skip
_DIRECT: Final = {"Hz": "s", "kHz": "ms", "MHz": "µs", "GHz": "ns", "THz": "ps"}


@dataclass(frozen=True, slots=True)
class Axis:
    """An even axis.

    Attributes
    ----------
    dim : str
        The dim that it runs along.
    size : int
        Samples.
    first, step : float
        The first coordinate, and from each to the next, negative where the axis descends. 0 and 1 without a coordinate.
    unit : str or None
        Of the coordinate, None where it is not known.
    """

    dim: str
    size: int
    first: float
    step: float
    unit: str | None

    @property
    def lowest(self) -> float:
        """Return the smallest coordinate."""
        return min(self.first, self.first + (self.size - 1) * self.step)

    def count_samples(self, length: float, *, in_units: bool, odd: bool, name: str) -> int:
        """Return how many samples a length stands for, odd where that is wanted.

        Raises
        ------
        UsidError
            It is not a length, or `in_units` is False and it is no odd whole number.
        """
        if not 0 < length < np.inf:
            raise UsidError(f"{name}={length!r}; it should be a length along {self.dim!r}, more than 0.")
        count = round(length / abs(self.step)) if in_units else int(length)
        if not in_units and (count != length or (odd and count % 2 == 0)):
            raise UsidError(f"{name}={length!r}; in samples it should be a whole number{' and odd' if odd else ''}.")
        return max(count + (count % 2 == 0 if odd else 0), 1)


def choose_dim(data: xr.DataArray, dim: str | None) -> str:
    """Return the one dim that is meant.

    Raises
    ------
    RoleError
        It is not there, or it is not clear which is meant.
    SelectionError
        There is nothing along it.
    """
    (found,) = choose_dims(data, dim, 1)
    if not data.sizes[found]:
        raise SelectionError(f"Dim {found!r} of {data.name!r} is empty.")
    return found


def read_steps(data: xr.DataArray, dim: str) -> tuple[Array, str | None]:
    """Return the coordinate of a dim as float64, counted from 0 where there is none, and its unit.

    Raises
    ------
    UnitsError
        It is no real number, or not finite.
    """
    if dim not in data.coords:
        return np.arange(data.sizes[dim], dtype=np.float64), None
    coordinate = data.coords[dim]
    if coordinate.dtype.kind not in "iuf" or coordinate.dims != (dim,):
        raise UnitsError(f"The coordinate of {dim!r} is {coordinate.dtype} over {coordinate.dims}; numbers are wanted.")
    values = np.asarray(coordinate.values, np.float64)
    if not np.isfinite(values).all():
        raise UnitsError(f"The coordinate of {dim!r} has values that are not finite.")
    unit = coordinate.attrs.get("units")
    return values, units.clean(unit) if isinstance(unit, str) else None


def find_slack(values: Array) -> float:
    """Return how far beyond an end a coordinate is still at it, for what was rounded, in files to single precision."""
    usual = float(np.ptp(values)) / max(values.size - 1, 1)
    return min(_ROUNDING * float(np.abs(values).max()), _UNEVEN * usual)


def read_axis(data: xr.DataArray, dim: str) -> Axis:
    """Return the even axis along a dim.

    Raises
    ------
    UnitsError
        Its steps differ, or the coordinate has no finite numbers.
    """
    values, unit = read_steps(data, dim)
    size, first = values.size, float(values[0])
    step = (float(values[-1]) - first) / (size - 1) if size > 1 else 1.0
    off = np.abs(values - (first + step * np.arange(size))).max()
    allowed = max(_UNEVEN * abs(step), min(_ROUNDING * np.abs(values).max(), 0.4 * abs(step)))
    if step == 0 or off > allowed:
        raise UnitsError(
            f"The steps of {dim!r} differ, and this needs an even axis. Put the data onto one first, for example "
            f"usidx.signal.resample(data, numpy.linspace({values.min():g}, {values.max():g}, {size})), or say "
            f"in_units=False where a verb has that."
        )
    return Axis(dim, size, first, step, unit)


def invert_unit(unit: str) -> str:
    """Return the reciprocal of a unit: ``Hz`` of ``s``, ``1/nm`` of ``nm``, and back."""
    if units.is_dimensionless(unit):
        return units.DIMENSIONLESS
    known = _RECIPROCAL.get(unit) or _DIRECT.get(unit)
    if known is not None:
        return known
    return unit[2:] if unit.startswith("1/") and "/" not in unit[2:] else units.divide("1", unit)


def refuse_complex(data: xr.DataArray) -> None:
    """Refuse an array that has no order."""
    if data.dtype.kind == "c":
        raise UsidError(
            f"Array {data.name!r} is complex, and this needs real numbers: take abs(data), data.real or data.imag."
        )
