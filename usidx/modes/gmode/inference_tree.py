"""What was inferred of each contact <-> ``Bayesian_Inference`` of BGlib, where both directions share one dim.

There the bias goes up and down again along ``Bias``, capacitances are fields of a compound dataset, and in the place of
standard errors there are variances, beside which those of today lie.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.label.roles import ROLE, SPECTROSCOPIC
from usidx.results.forms import Form

__all__ = ["DIRECTIONS", "INFERENCE"]

DIRECTIONS: Final = ("forward", "reverse")
_SWEPT: Final = ("resistance", "resistance_stderr")
_STORED: Final = ("capacitance", "capacitance_stderr")
_VARIANCE: Final = "resistance_variance"
_TWICE: Final = "As BGlib stores it: twice the capacitance."


def _pack(result: xr.Dataset) -> xr.Dataset:
    if not _is_whole(result):
        return result
    turned = {name: _join_directions(result[name].variable) for name in _SWEPT}
    units = str(turned["resistance"].attrs.get("units", ""))
    turned[_VARIANCE] = turned["resistance_stderr"] ** 2
    turned[_VARIANCE].attrs = {"long_name": "Variance of Resistance", "units": f"{units}^2" if units else ""}
    for name in _STORED:
        for number, direction in enumerate(DIRECTIONS):
            turned[_name_direction(name, direction)] = result[name].variable.isel(direction=number)
    voltage = result["voltage"].variable.to_base_variable()
    both = _join([voltage, voltage[::-1]], "voltage")
    rest = result.drop_vars([*_SWEPT, *_STORED, "direction", "voltage"])
    return rest.assign(turned).assign_coords(xr.Coordinates({"voltage": both}, indexes={}))


def _is_whole(result: xr.Dataset) -> bool:
    """Say whether a result has everything that the old tree has, both directions above all."""
    if not {*_SWEPT, *_STORED} <= set(result.data_vars) or not {"direction", "voltage"} <= set(result.coords):
        return False
    is_swept = all({"direction", "voltage"} <= set(result[name].dims) for name in _SWEPT)
    is_stored = all("direction" in result[name].dims for name in _STORED)
    return is_swept and is_stored and tuple(result["direction"].values) == DIRECTIONS


def _name_direction(name: str, direction: str) -> str:
    stem, _, ending = name.partition("_")
    return "_".join(filter(None, (stem, direction, ending)))


def _join_directions(array: xr.Variable) -> xr.Variable:
    ordered = array.transpose(..., "direction", "voltage")
    back = ordered.isel(direction=1, voltage=slice(None, None, -1))
    return _join([ordered.isel(direction=0), back], "voltage")


def _join(parts: Sequence[xr.Variable], dim: str) -> xr.Variable:
    joined: xr.Variable = xr.Variable.concat(parts, dim)  # type: ignore[no-untyped-call]
    return joined


def _unpack(result: xr.Dataset) -> xr.Dataset:
    first = _name_direction(_STORED[0], DIRECTIONS[0])
    if not {"resistance", first, _name_direction(_STORED[0], DIRECTIONS[1])} <= set(result.data_vars):
        return result
    swept = [d for d in result["resistance"].dims if d not in result[first].dims]
    if len(swept) != 1 or swept[0] not in result.coords or not _goes_and_returns(result[swept[0]].values):
        return result
    result = _name_sweep(result, str(swept[0]))
    half = result.sizes["voltage"] // 2
    found = {n: _split_directions(result[n].variable, half) for n in (*_SWEPT, _VARIANCE) if n in result}
    if "resistance_stderr" not in found and _VARIANCE in found:  # of another program
        root: xr.Variable = found[_VARIANCE] ** 0.5
        root.attrs = {"long_name": "Standard error of Resistance"} | _units(found["resistance"])
        found["resistance_stderr"] = root
    found.pop(_VARIANCE, None)
    parts = {name: [_name_direction(name, d) for d in DIRECTIONS] for name in _STORED}
    for name, names in parts.items():
        if set(names) <= set(result.data_vars):
            found[name] = _join([result[n].variable for n in names], "direction").transpose(..., "direction")
    if "capacitance_stderr" not in found:
        found["capacitance"].attrs["comment"] = _TWICE
    gone = {*_SWEPT, _VARIANCE, *(n for names in parts.values() for n in names)} & set(result.data_vars)
    rest = result.drop_vars([*gone, "voltage"])
    attrs = {ROLE: SPECTROSCOPIC, "long_name": "Direction"}
    direction = xr.Variable(("direction",), list(DIRECTIONS), attrs)
    nodes = result["voltage"].variable[:half]
    whole = rest.assign(found).assign_coords(direction=direction, voltage=nodes)
    order = [*_SWEPT, *_STORED, *rest.data_vars]
    return whole[[n for n in order if n in whole]]


def _name_sweep(result: xr.Dataset, dim: str) -> xr.Dataset:
    """Give the dim of the resistance its name in memory; other programs call that of the current the same."""
    shared = {str(d): "voltage" for n in (*_SWEPT, _VARIANCE) if n in result for d in result[n].dims[-1:]}
    if dim != "voltage" and "voltage" in result.dims:
        result = result.rename(voltage="Bias")
    for name, variable in result.data_vars.items():  # the very same dim, which came under a name of its own
        if set(variable.dims) & (set(shared) - {dim, "voltage"}):
            dims = [dim if d in shared else d for d in variable.dims]
            result = result.assign({name: xr.Variable(dims, variable.data, variable.attrs)})
    return result if dim == "voltage" else result.rename({dim: "voltage"})


def _goes_and_returns(values: npt.NDArray[Any]) -> bool:
    half = values.size // 2
    there, back = values[:half], values[half:][::-1]
    return bool(there.shape == back.shape and np.allclose(there, back, rtol=1e-6))


def _split_directions(array: xr.Variable, half: int) -> xr.Variable:
    there = array.isel(voltage=slice(0, half))
    back = array.isel(voltage=slice(None, half - 1, -1))
    return _join([there, back], "direction").transpose(..., "direction", "voltage")


def _units(array: xr.Variable) -> dict[str, str]:
    return {"units": str(array.attrs["units"])} if "units" in array.attrs else {}


#: Resistance, its variance and capacitance as BGlib keeps them.
INFERENCE: Final = Form(
    _pack,
    _unpack,
    fields={
        "Capacitance": {_name_direction("capacitance", d): d.capitalize() for d in DIRECTIONS},
        "Capacitance_stderr": {_name_direction("capacitance_stderr", d): d.capitalize() for d in DIRECTIONS},
    },
    attributes={"frequency": "freq", "steps": "num_x_steps", "extra_resistance": "r_extra"},
)
