"""Curves over a bias -> the bias, once it is clear that it is one, and curves of one bias at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import SelectionError, UnitsError, UsidError
from usidx.label.roles import choose_dims

__all__ = ["Swept", "read_bias", "work_by_bias"]

_CALLED: Final = ("bias",)
Array = npt.NDArray[np.float64]
Work = Callable[[npt.NDArray[Any], Array], Any]


@dataclass(frozen=True, slots=True)
class Swept:
    """A bias, and the dim that it runs along.

    Attributes
    ----------
    dim : str
        Of the curves.
    bias : DataArray, dims (*any, dim)
        One for all curves, or another one from curve to curve.
    """

    dim: str
    bias: xr.DataArray

    @property
    def units(self) -> str | None:
        """Return the unit of the bias, None where it is not known."""
        unit = self.bias.attrs.get("units")
        return unit if isinstance(unit, str) else None

    def list_distinct(self) -> list[Array]:
        """Return each bias of those that are in memory; none of a lazy one."""
        if self.bias.chunks is not None:
            return []
        rows = self.bias.transpose(..., self.dim).values.reshape(-1, self.bias.sizes[self.dim])
        return list(np.unique(rows.astype(np.float64), axis=0))


def read_bias(data: xr.DataArray, dim: str | None, coordinate: str | None) -> Swept:
    """Return the bias of real curves: the coordinate of one dim, which may change from curve to curve.

    Raises
    ------
    RoleError
        It is not clear along which dim the bias runs.
    SelectionError
        The coordinate does not run along it, or is not there.
    UnitsError
        The bias has no numbers, or some of them are not finite.
    UsidError
        The data is not real.
    """
    (swept,) = choose_dims(data, dim, 1, called=_CALLED)
    if coordinate is not None and coordinate not in data.coords:
        raise SelectionError(f"No coordinate {coordinate!r} here; the coordinates are {tuple(data.coords)}.")
    name = coordinate or swept
    if name not in data.coords or data.coords[name].dtype.kind not in "iuf":
        raise UnitsError(f"Dim {swept!r} has no coordinate of numbers; assign the bias to it.")
    bias: xr.DataArray = data.coords[name]
    if swept not in bias.dims:
        raise SelectionError(f"Coordinate {name!r} has the dims {bias.dims}; the bias should run along {swept!r}.")
    if bias.chunks is None and not np.isfinite(bias.values).all():
        raise UnitsError(f"Coordinate {name!r}: {int((~np.isfinite(bias.values)).sum())} values are not finite.")
    if data.dtype.kind not in "iuf":
        raise UsidError(f"Array {data.name!r} is of dtype {data.dtype}; a curve over the bias should be real.")
    return Swept(swept, bias)


def work_by_bias(spectra: npt.NDArray[Any], bias: npt.NDArray[Any], *, work: Work) -> Any:
    """Hand a block of spectra to `work(spectra, bias)`, those of one bias at a time; NaN where a bias is not finite.

    A kernel of the gate: `bias` (*other, sample) broadcasts against `spectra`. `work` returns an array, or a tuple of
    them, with the other dims of the spectra first.
    """
    steps, lead = bias.astype(np.float64, copy=False), spectra.shape[:-1]
    if int(np.prod(steps.shape[:-1])) == 1:
        return work(spectra, steps.reshape(-1))
    steps = steps.reshape((1,) * (spectra.ndim - steps.ndim) + steps.shape)
    found: list[Array] = []
    for place in product(*(range(size) for size in steps.shape[:-1])):
        own = tuple(
            slice(k, k + 1) if size > 1 else slice(None) for k, size in zip(place, steps.shape[:-1], strict=True)
        )
        made = work(spectra[own], steps[place]) if np.isfinite(steps[place]).all() else ()
        parts = made if isinstance(made, tuple) else (made,)
        if parts and not found:
            found = [np.full((*lead, *part.shape[len(lead) :]), np.nan) for part in parts]
        for whole, part in zip(found, parts, strict=False):
            whole[own] = part
    return tuple(found) if len(found) > 1 else found[0]
