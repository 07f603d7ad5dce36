"""Labelled array and model -> the dims and coordinates along which to fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from usidx.errors import RoleError, SelectionError, UnitsError, UsidError
from usidx.fitting.models.model import Model
from usidx.label.roles import Dims, choose_dims

__all__ = ["Sweep", "check_dtype", "sweep_of"]


@dataclass(frozen=True, slots=True)
class Sweep:
    """The dims along which a model runs, and the coordinate along each.

    Attributes
    ----------
    dims : tuple of str
        In the order of the model's variables.
    coordinates : tuple of DataArray
        One per dim; its dims are that dim, and others where the coordinate changes from spectrum to spectrum.
    """

    dims: tuple[str, ...]
    coordinates: tuple[xr.DataArray, ...]

    @property
    def units(self) -> str | None:
        """Return the unit that all coordinates share, None where it is not known."""
        found = {c.attrs.get("units") for c in self.coordinates}
        unit = found.pop() if len(found) == 1 else None
        return unit if isinstance(unit, str) else None


def sweep_of(data: xr.DataArray, model: Model, dim: Dims | None, coordinate: str | None) -> Sweep:
    """Find the dims and coordinates of a fit; nothing is computed.

    Raises
    ------
    RoleError
        A dim is not there, or which one is meant is not clear.
    SelectionError
        The coordinate is not there, or does not run along the dim.
    UnitsError
        A coordinate is not a number.
    """
    reason = f"{model!r} is a function of {model.variables} coordinate(s)."
    dims = choose_dims(data, dim, model.variables, reason=reason)
    if not all(data.sizes[d] for d in dims):
        raise RoleError(f"Array {data.name!r} has no samples to fit: its sizes are {dict(data.sizes)}.")
    if coordinate is not None and len(dims) > 1:
        raise SelectionError(f"coordinate={coordinate!r} names one coordinate, but the fit runs along {dims}.")
    return Sweep(dims, tuple(_coordinate(data, d, coordinate or d) for d in dims))


def _coordinate(data: xr.DataArray, dim: str, name: str) -> xr.DataArray:
    if name not in data.coords:
        if name != dim:
            raise SelectionError(f"No coordinate {name!r} here; the coordinates are {tuple(data.coords)}.")
        return xr.DataArray(np.arange(float(data.sizes[dim])), dims=(dim,))
    found: xr.DataArray = data.coords[name]
    if dim not in found.dims:
        raise SelectionError(f"Coordinate {name!r} has the dims {found.dims}; it should run along {dim!r}.")
    if found.dtype.kind not in "biuf":
        raise UnitsError(
            f"Coordinate {name!r} is of dtype {found.dtype}, and a model needs numbers. "
            f"Assign one in the unit wanted, such as seconds since the first sample."
        )
    return found


def check_dtype(dtype: np.dtype[Any], model: Model, name: object) -> None:
    """Refuse data that a model cannot describe.

    Raises
    ------
    UsidError
        Complex data and a real model, real data and a complex model, or data that is not numbers.
    """
    if dtype.kind not in "biufc":
        raise UsidError(f"Array {name!r} is of dtype {dtype}; a fit needs numbers.")
    if dtype.kind == "c" and not model.is_complex:
        raise UsidError(f"Array {name!r} is complex and {model!r} is real. Fit abs(data), data.real or data.imag.")
    if dtype.kind != "c" and model.is_complex:
        raise UsidError(f"Array {name!r} is of dtype {dtype} and {model!r} is complex; it needs complex data.")
