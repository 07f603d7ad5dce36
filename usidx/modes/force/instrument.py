"""Force curves as an instrument gives them -> forces in N over heights in m: cantilever, height, segments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import xarray as xr

from usidx.errors import RoleError, SelectionError, UnitsError, UsidError
from usidx.label import units
from usidx.label.roles import choose_dims

__all__ = ["Curves", "choose_number", "read_curves"]

_PREFIXES: Final = {"": 1.0, "m": 1e-3, "u": 1e-6, "µ": 1e-6, "μ": 1e-6, "n": 1e-9, "p": 1e-12, "f": 1e-15}
_SEGMENT: Final = "segment"
#: What heights are called among the coordinates, the best first.
_HEIGHTS: Final = ("height", "height_measured", "measured_height", "height_piezo", "z", "Z", "Height", "distance")

#: What the dim of a curve is called.
_CALLED: Final = ("z", "height", "distance", "separation", "time", "sample")

Told = float | None
Beside = str | xr.DataArray | None


@dataclass(frozen=True, slots=True)
class Curves:
    """What is known of force curves.

    Attributes
    ----------
    dim : str
        Of a curve.
    height : DataArray, dims (*any, dim)
        Of the base of the cantilever.
    segments : DataArray or None
        A number that changes from segment to segment.
    to_newton, to_meter : float
        Factors of the data and of the height.
    spring_constant : float or None
        N/m; None where heights are those of the tip.
    sensitivity : float or None
        m/V, where it is used.
    force_units, height_units : str
        Of what is returned.
    """

    dim: str
    height: xr.DataArray
    segments: xr.DataArray | None
    to_newton: float
    to_meter: float
    spring_constant: Told
    sensitivity: Told
    force_units: str
    height_units: str

    @property
    def force_unit(self) -> float:
        """Return the unit of forces, in N."""
        return _scale(self.force_units, "N") or 1.0


def read_curves(
    data: xr.DataArray, dim: str | None, spring_constant: Told, sensitivity: Told, height: Beside, segments: Beside
) -> Curves:
    """Return what is known of force curves.

    Raises
    ------
    RoleError
        It is not clear along which dim a curve runs.
    SelectionError
        There is no height, or it does not run along the curve.
    UnitsError
        A unit is not that of a force, deflection or height, or a number is missing that makes a force of it.
    UsidError
        The data is not real.
    """
    if data.dtype.kind not in "iuf":
        raise UsidError(f"Array {data.name!r} is of dtype {data.dtype}; force curves should be real.")
    (found,) = choose_dims(data, dim, 1, called=_CALLED)
    own = _find_height(data, found, height)
    height_units = _units_of(own)
    to_meter = 1e-10 if height_units == "Å" else _scale(height_units, "m")
    if to_meter is None:
        raise UnitsError(f"The height {own.name!r} has the unit {height_units!r}; a length is wanted, such as 'm'.")
    stiffness = choose_number("spring_constant", spring_constant, data.attrs)
    bending = choose_number("sensitivity", sensitivity, data.attrs, "inverse_sensitivity")
    factor, is_force, is_volt = _convert(data, stiffness, bending)
    marks = _find_segments(data, found, segments)
    used = bending if is_volt else None
    return Curves(
        found, own, marks, factor, to_meter, stiffness, used, _units_of(data) if is_force else "N", height_units
    )


def choose_number(name: str, given: Told, attrs: Mapping[Any, Any], told: str = "") -> Told:
    """Return a number that is given, or that is among the attributes under its name, or the one that is told.

    Raises
    ------
    UsidError
        It is not a finite number above zero; a sensitivity may be below.
    """
    found = attrs.get(told or name) if given is None else given
    if found is None or (given is None and (isinstance(found, bool | str) or not isinstance(found, int | float))):
        return None
    number = float(found)
    if not (0 < abs(number) < float("inf")) or (number < 0 and name != "sensitivity"):
        raise UsidError(f"{name}={found!r}; it should be a number above 0.")
    return number


def _convert(data: xr.DataArray, stiffness: Told, bending: Told) -> tuple[float, bool, bool]:
    """Return the factor that makes N of the data, whether it is a force, and whether it is a voltage."""
    own = _units_of(data)
    force, length, volt = (_scale(own, base) for base in ("N", "m", "V"))
    if force is not None:
        return force, True, False
    if length is None and volt is None:
        raise UnitsError(
            f"The data {data.name!r} has the unit {own!r}; it should be a force (N), a deflection (m), or what a "
            f"detector tells of it (V). Set it: data.attrs['units'] = 'V'."
        )
    missing = [n for n, known in (("spring_constant", stiffness), ("sensitivity", bending or length)) if known is None]
    if missing:
        kind = "a deflection" if length is not None else "a voltage"
        raise UnitsError(f"The data {data.name!r} is {kind}: give {' and '.join(f'{n}=' for n in missing)}.")
    if length is not None:
        return length * float(stiffness or 0), False, False
    return float(volt or 0) * float(bending or 0) * float(stiffness or 0), False, True


def _units_of(array: xr.DataArray) -> str:
    told = array.attrs.get("units")
    return units.clean(told) if isinstance(told, str) else ""


def _scale(unit: str, base: str) -> float | None:
    """Return how many of a base unit a unit is, None where it is another one."""
    return _PREFIXES.get(unit.removesuffix(base)) if unit.endswith(base) else None


def _find_height(data: xr.DataArray, dim: str, height: Beside) -> xr.DataArray:
    if height is not None:
        return _find_beside(data, dim, height, "height")
    along = {str(n): c for n, c in data.coords.items() if dim in c.dims and c.dtype.kind in "iuf"}
    lengths = {n: c for n, c in along.items() if _units_of(c) == "Å" or _scale(_units_of(c), "m") is not None}
    known = [n for n in (dim, *_HEIGHTS) if n in lengths] or (list(lengths) if len(lengths) == 1 else [])
    if not known:
        raise SelectionError(
            f"No coordinate along {dim!r} is the height of the cantilever: there are {tuple(along)}, a length is "
            f"wanted. Name one, or give an array: height=."
        )
    return _find_beside(data, dim, known[0], "height")


def _find_segments(data: xr.DataArray, dim: str, segments: Beside) -> xr.DataArray | None:
    if segments is None and (_SEGMENT not in data.coords or dim not in data.coords[_SEGMENT].dims):
        return None
    return _find_beside(data, dim, _SEGMENT if segments is None else segments, "segments")


def _find_beside(data: xr.DataArray, dim: str, given: str | xr.DataArray, what: str) -> xr.DataArray:
    """Return what is told along the curves, bare of its coordinates."""
    if isinstance(given, str) and given not in data.coords:
        raise SelectionError(f"{what}={given!r} is no coordinate; those are {tuple(data.coords)}.")
    found: xr.DataArray = data.coords[given] if isinstance(given, str) else given
    if dim not in found.dims or not set(found.dims) <= set(data.dims):
        raise RoleError(f"{what} has the dims {found.dims}; it should run along {dim!r}, and be over dims of the data.")
    wrong = [d for d in found.dims if found.sizes[d] != data.sizes[d]]
    if wrong:
        raise SelectionError(f"{what} has {found.sizes[wrong[0]]} along {wrong[0]!r}, the data {data.sizes[wrong[0]]}.")
    if found.dtype.kind not in "iufb":
        raise UnitsError(f"{what} is of dtype {found.dtype}; numbers are wanted.")
    return found.reset_coords(drop=True).drop_vars(list(found.coords), errors="ignore").rename(found.name)
