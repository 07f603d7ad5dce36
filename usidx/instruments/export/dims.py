"""A labelled array -> its dims as signals of other libraries have them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import xarray as xr

from usidx.format.layout import Array
from usidx.label.roles import POSITION, SPECTROSCOPIC, find_role

__all__ = ["Dim", "list_dims"]

# Of a step: as far as single precision keeps the places of thousands of even steps.
_TOLERANCE: Final = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Dim:
    """A dim with its coordinate.

    Attributes
    ----------
    name, units, quantity : str
        Of the coordinate.
    values : ndarray
        Of the coordinate, the count of steps where there is none.
    is_swept : bool
        Whether it is spectroscopic.
    is_signal : bool
        Whether it is an axis of what is looked at in one piece: a spectrum, or an image where nothing was swept.
    """

    name: str
    units: str
    quantity: str
    values: Array
    is_swept: bool
    is_signal: bool

    @property
    def is_even(self) -> bool:
        """Whether its values rise or fall by one step."""
        if self.values.size < 2:
            return True
        steps = np.arange(self.values.size) * self.step + float(self.values[0])
        return self.step != 0 and bool(np.abs(steps - self.values).max() <= _TOLERANCE * abs(self.step))

    @property
    def is_ordered(self) -> bool:
        """Whether no value comes twice, and all rise or all fall."""
        steps = np.diff(self.values)
        return bool(np.isfinite(self.values).all() and ((steps > 0).all() or (steps < 0).all()))

    @property
    def step(self) -> float:
        """Mean step, 1 where there is one value."""
        n = self.values.size
        return (float(self.values[-1]) - float(self.values[0])) / (n - 1) if n > 1 else 1.0


def list_dims(data: xr.DataArray) -> list[Dim]:
    """List the dims in the order of a signal: those that are gone through first, then those of what is looked at.

    What is looked at are spectra, or images where no dim is spectroscopic; where none has a role, the last dim.
    """
    swept = [d for d in data.dims if find_role(data, d) == SPECTROSCOPIC]
    places = [d for d in data.dims if find_role(data, d) == POSITION]
    signal = swept or (places if len(places) <= 2 else places[-2:]) or list(data.dims[-1:])
    ordered = sorted(data.dims, key=lambda dim: dim in signal)
    return [_describe(data, dim, is_swept=dim in swept, is_signal=dim in signal) for dim in ordered]


def _describe(data: xr.DataArray, dim: Any, *, is_swept: bool, is_signal: bool) -> Dim:
    coordinate = data.coords.get(dim)
    size = data.sizes[dim]
    is_number = coordinate is not None and coordinate.ndim == 1 and coordinate.dtype.kind in "iufb"
    values = np.asarray(coordinate.values, float) if is_number and coordinate is not None else np.arange(float(size))
    attrs: Mapping[Any, Any] = {} if coordinate is None else coordinate.attrs
    units, quantity = str(attrs.get("units", "")), str(attrs.get("long_name", dim))
    return Dim(str(dim), units, quantity, values, is_swept, is_signal)
