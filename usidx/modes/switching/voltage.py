"""Oscillator fits or response -> complex response, and the dim along which the voltage was swept."""

from __future__ import annotations

from typing import Final

import numpy as np
import xarray as xr

from usidx.errors import SelectionError, UnitsError, UsidError
from usidx.fitting.models.hysteresis_loop import find_rising
from usidx.label.roles import choose_dims, refuse_unlabelled
from usidx.results.provenance import PROVENANCE

__all__ = ["find_response", "find_voltage"]

# Names of the swept voltage as instruments and their programs write them, without case, spaces and signs.
_VOLTAGES: Final = ("dcoffset", "writebias", "vdc", "dcbias", "dcvoltage")


def find_response(data: xr.DataArray | xr.Dataset) -> xr.DataArray:
    """Return the response: an array as it is, of a fit of oscillators amplitude times exp(i phase); lazy where that is.

    Raises
    ------
    SelectionError
        A Dataset lacks amplitude or phase.
    UnitsError
        The phase is not in rad.
    UsidError
        An array is not numeric.
    """
    refuse_unlabelled(data, (xr.DataArray, xr.Dataset))
    if isinstance(data, xr.DataArray):
        if data.dtype.kind not in "biufc":
            raise UsidError(
                f"Array {data.name!r} is of dtype {data.dtype}; a loop needs a response of real or complex numbers, "
                f"or a Dataset with amplitude and phase, as usidx.open_dataset returns for a stored SHO fit."
            )
        return data
    amplitude, phase = _find_variable(data, "amplitude"), _find_variable(data, "phase")
    if phase.attrs.get("units", "rad") != "rad":
        raise UnitsError(
            f"Variable {phase.name!r} is in {phase.attrs['units']!r}, and a phase is wanted in 'rad'. Convert it, and "
            f"set its attribute units."
        )
    response: xr.DataArray = amplitude * np.exp(1j * phase)
    attrs = {"long_name": "Response"} | {k: v for k, v in amplitude.attrs.items() if k == "units"}
    recorded = data.attrs.get(PROVENANCE, amplitude.attrs.get(PROVENANCE))
    attrs |= {} if recorded is None else {PROVENANCE: recorded}
    response.attrs = attrs
    return response.rename("response")


def _find_variable(data: xr.Dataset, name: str) -> xr.DataArray:
    found = [variable for key, variable in data.data_vars.items() if str(key).lower() == name]
    if len(found) != 1:
        raise SelectionError(
            f"The Dataset has no variable {name!r} but {list(data.data_vars)!r}. Give a fit of oscillators, with "
            f"amplitude and phase, or the response itself as a DataArray."
        )
    return found[0]


def find_voltage(data: xr.DataArray, dim: str | None, coordinate: str | None) -> xr.DataArray:
    """Return the swept voltage with its dim last; other dims are there where it changes from loop to loop.

    Raises
    ------
    RoleError
        The dim is not there, or which one is meant is not clear.
    SelectionError
        The coordinate is not there, or does not run along the dim.
    UnitsError
        The coordinate is not a number.
    UsidError
        The voltage goes only one way.
    """
    (dim,) = choose_dims(data, dim, 1, called=_VOLTAGES, in_units=("V", "mV", "kV"))
    name = coordinate or dim
    if name not in data.coords or dim not in data.coords[name].dims:
        raise SelectionError(
            f"There is no coordinate {name!r} along the dim {dim!r}; the coordinates are {list(data.coords)!r}. "
            f"Name that of the voltage with coordinate=..."
        )
    voltage: xr.DataArray = data.coords[name]
    if voltage.dtype.kind not in "iuf":
        raise UnitsError(f"Coordinate {name!r} is of dtype {voltage.dtype}, and a voltage is a number.")
    voltage = voltage.transpose(..., dim)
    if voltage.chunks is None:
        _check_turns(voltage, dim)
    return voltage


def _check_turns(voltage: xr.DataArray, dim: str) -> None:
    up = find_rising(voltage.values)
    fewest = int(np.minimum(up.sum(axis=-1), (~up).sum(axis=-1)).min(initial=up.shape[-1]))
    if fewest < 2:
        raise UsidError(
            f"Coordinate {voltage.name!r} along {dim!r} goes only one way, from {voltage.values.flat[0]} to "
            f"{voltage.values.flat[-1]}; a loop goes up and down. Give whole cycles, or name another dim with dim=..."
        )
