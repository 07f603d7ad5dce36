"""Transfer function of a cantilever -> its values at the frequencies of a transform."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import RoleError, SelectionError, UnitsError
from usidx.label import units
from usidx.signal.axis import Axis, invert_unit

__all__ = ["read_transfer_function"]

Complex = npt.NDArray[np.complex128]
Array = npt.NDArray[np.float64]
_OSCILLATOR = ("amplitude", "frequency", "quality_factor", "phase")


def read_transfer_function(transfer: xr.DataArray | xr.Dataset, axis: Axis, frequencies: Array) -> Complex:
    """Return deflection per force at each frequency; 0 above the highest that was measured.

    Raises
    ------
    RoleError
        It is neither one spectrum nor one oscillator.
    SelectionError
        An oscillator lacks a parameter.
    UnitsError
        It has no frequencies, or in another unit than the data.
    """
    if isinstance(transfer, xr.Dataset):
        return _evaluate_oscillator(transfer, axis, frequencies)
    if not isinstance(transfer, xr.DataArray) or transfer.ndim != 1:
        raise RoleError(
            "The transfer function should be one spectrum, a DataArray over its frequencies, or one fitted oscillator; "
            f"it is {_describe(transfer)}. Average over the rest, or select one."
        )
    (dim,) = transfer.dims
    if dim not in transfer.coords or transfer.coords[dim].dtype.kind not in "iuf":
        raise UnitsError(f"The transfer function has no frequencies: assign them to its dim {dim!r}.")
    _check_unit(transfer.coords[dim].attrs, axis)
    known, values = transfer.coords[dim].values.astype(np.float64), transfer.values.astype(np.complex128)
    order = np.argsort(known)
    known, values = known[order], values[order]
    real, imag = (np.interp(frequencies, known, part) for part in (values.real, values.imag))
    return np.where(frequencies <= known[-1], real + 1j * imag, 0)


def _evaluate_oscillator(fitted: xr.Dataset, axis: Axis, frequencies: Array) -> Complex:
    missing = [name for name in _OSCILLATOR if name not in fitted]
    if missing:
        raise SelectionError(f"The fitted oscillator lacks {missing[0]!r}; it should be a result of sho_fit.")
    if any(fitted[name].ndim for name in _OSCILLATOR):
        raise RoleError(f"The oscillator should be one; it is {_describe(fitted)}. Average it, or select one.")
    _check_unit(fitted["frequency"].attrs, axis)
    amplitude, resonance, quality, phase = (float(fitted[name]) for name in _OSCILLATOR)
    turned = amplitude * np.exp(1j * phase) * resonance**2
    found: Complex = turned / (frequencies**2 - 1j * frequencies * resonance / quality - resonance**2)
    return found


def _check_unit(attrs: Mapping[Any, Any], axis: Axis) -> None:
    found = attrs.get("units")
    wanted = None if axis.unit is None else invert_unit(axis.unit)
    if isinstance(found, str) and wanted is not None and units.clean(found) not in (wanted, ""):
        raise UnitsError(
            f"The transfer function is over {found!r}, the data over 1/{axis.unit}, {wanted!r}: convert one."
        )


def _describe(transfer: Any) -> str:
    kind = type(transfer).__name__
    return f"a {kind} over {dict(transfer.sizes)}" if isinstance(transfer, xr.DataArray | xr.Dataset) else f"a {kind}"
