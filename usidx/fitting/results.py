"""Table of figures -> Dataset with one variable per parameter, in its own units."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.fitting.axes import Sweep
from usidx.fitting.kernels.columns import STATUS_MEANINGS, Columns, locate_stderr
from usidx.fitting.models.model import Model
from usidx.label import units
from usidx.results.provenance import find_own_attrs
from usidx.tasks.columns import make_column

__all__ = ["Shown", "find_variable", "name_apart", "pick_variable", "to_dataset"]

Array = npt.NDArray[Any]

#: Begins the name of a variable whose own name the data has for a dim or a coordinate.
_APART: Final = "fit_"
_COVARIANCE_DIMS: Final = ("parameter", "parameter_2")


@dataclass(frozen=True, slots=True)
class Shown:
    """What a result shows besides, and how.

    Attributes
    ----------
    covariance : bool
        Whether the covariance is among its variables.
    absolute : bool
        Whether errors are not scaled by redchi.
    second_try : bool
        Whether the last column says for which spectra a second fit counted.
    """

    covariance: bool = False
    absolute: bool = False
    second_try: bool = False


def to_dataset(table: xr.Variable, data: xr.DataArray, model: Model, sweep: Sweep, shown: Shown) -> xr.Dataset:
    """Give the columns of a table (see `usidx.fitting.kernels.columns`) their names, units and coordinates."""
    unit = data.attrs.get("units")
    unit = unit if isinstance(unit, str) else None
    at = Columns(len(model.names))
    root = at.redchi if shown.absolute else None
    variables: dict[str, xr.Variable] = {}
    for k, p in enumerate(model.parameters):
        attrs = _make_attrs(p.title, p.unit(unit, sweep.units))
        variables[p.name] = _take(table, k, attrs)
        told = attrs | {"long_name": f"Standard Error of {p.title}"}
        variables[f"{p.name}_stderr"] = _take(table, locate_stderr(at.n, k), told, root=root)
    variables |= _collect_quality(table, at, unit)
    if shown.second_try:
        told = {"long_name": "Whether a Fit from a Neighbour's Parameters Counts"}
        variables["second_try"] = _take(table, -1, told, bool)
    if shown.covariance:
        variables["covariance"] = _shape_covariance(table, at, shown.absolute, data)
    coords = _keep_coordinates(data, sweep)
    taken = {*map(str, data.dims), *map(str, data.coords)}
    variables = {name_apart(name, taken): variable for name, variable in variables.items()}
    if shown.covariance:
        coords = coords.assign({d: (d, list(model.names)) for d in _name_covariance_dims(data)})
    return xr.Dataset(variables, coords=coords, attrs=find_own_attrs(data.attrs))


def name_apart(name: str, taken: Container[Any]) -> str:
    """Return the name of a variable in a result; one that the data has already gets ``fit_`` in front."""
    free = name.removesuffix("_stderr") not in taken and name not in taken
    return name if free else f"{_APART}{name}"


def find_variable(result: xr.Dataset, name: str) -> str | None:
    """Return what a variable of a fit is called in a result, None where it is not there."""
    return next((n for n in (name, f"{_APART}{name}") if n in result.data_vars), None)


def pick_variable(result: xr.Dataset, name: str) -> xr.DataArray:
    """Return a variable of a fit, whatever it is called there."""
    return result[find_variable(result, name) or name]


def _make_attrs(title: str, unit: str | None) -> dict[str, str]:
    return {"long_name": title} | ({} if unit is None else {"units": unit})


def _take(
    table: xr.Variable, column: int, attrs: dict[str, Any], dtype: type = np.float64, *, root: int | None = None
) -> xr.Variable:
    """Return a column of the table; with `root` over the root of that one."""
    make = partial(_take_column, column=column, dtype=dtype, root=root)
    return xr.Variable(table.dims[:-1], make_column(table.data, make, dtype), attrs)


def _take_column(block: Array, column: int, dtype: type, root: int | None) -> Array:
    if dtype is bool:
        return np.asarray(block[..., column] > 0)
    found = block[..., column] if root is None else block[..., column] / block[..., root] ** 0.5
    return found.astype(dtype)  # a copy, without which the column would hold the whole table


def _collect_quality(table: xr.Variable, at: Columns, unit: str | None) -> dict[str, xr.Variable]:
    """Return the figures of merit."""
    squared = None if unit is None else units.raise_to_power(unit, 2)
    found = {
        "chi2": _take(table, at.chi2, _make_attrs("Sum of Squared Residuals", squared)),
        "redchi": _take(table, at.redchi, _make_attrs("Reduced Chi Squared", squared)),
        "r2": _take(table, at.r2, _make_attrs("Coefficient of Determination", "")),
        "nfev": _take(table, at.nfev, _make_attrs("Evaluations of the Model", ""), np.int32),
    }
    codes = sorted(STATUS_MEANINGS)
    flags = {"flag_values": np.array(codes, np.int8), "flag_meanings": " ".join(STATUS_MEANINGS[c] for c in codes)}
    found["status"] = _take(table, at.status, {"long_name": "Why the Fit Ended", **flags}, np.int8)
    found["converged"] = _take(table, at.status, {"long_name": "Whether the Fit Converged"}, bool)
    found["samples"] = _take(table, at.samples, _make_attrs("Samples That Were Fitted", ""), np.int32)
    return found


def _shape_covariance(table: xr.Variable, at: Columns, absolute: bool, data: xr.DataArray) -> xr.Variable:
    make = partial(_take_covariance, at=at, absolute=absolute)
    square = make_column(table.data, make, np.float64, (at.n, at.n))
    attrs = {"long_name": "Covariance of the Parameters"}
    return xr.Variable((*table.dims[:-1], *_name_covariance_dims(data)), square, attrs)


def _take_covariance(block: Array, at: Columns, absolute: bool) -> Array:
    values = block[..., at.covariance]
    values = values / block[..., at.redchi, np.newaxis] if absolute else values.copy()
    return np.asarray(values.reshape(*values.shape[:-1], at.n, at.n))


def _name_covariance_dims(data: xr.DataArray) -> tuple[str, ...]:
    taken = {*map(str, data.dims), *map(str, data.coords)}
    return tuple(name_apart(d, taken) for d in _COVARIANCE_DIMS)


def _keep_coordinates(data: xr.DataArray, sweep: Sweep) -> xr.Coordinates:
    """Return the coordinates of what is left, and those that were swept, for evaluating the model again."""
    keep = [n for n, c in data.coords.items() if not set(sweep.dims) & set(c.dims)]
    swept = [c.name for c in sweep.coordinates if c.name is not None]
    gone = [n for n in data.coords if n not in keep and n not in swept]
    return data.drop_vars(gone).coords
