"""Fitted parameters -> the model's values, and what the data has beyond them."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
import xarray as xr

from usidx.errors import ResultError, UnitsError
from usidx.fitting.alignment import align_like
from usidx.fitting.blocks import PARAMETER, block_values
from usidx.fitting.models.model import Model, from_description
from usidx.label.blockwise import Output, along
from usidx.results.declarations import find_declaration
from usidx.results.provenance import read_steps
from usidx.results.verbs import add_choices, verb

__all__ = ["evaluate", "fit_step_of", "model_of", "residual"]


def model_of(result: xr.Dataset) -> Model:
    """Make the model of a fit again from the result's provenance.

    Parameters
    ----------
    result : Dataset
        What `fit` returned, reloaded or not.

    Returns
    -------
    Model
        Made by name from the models that usidx has; nothing that the file says is run.

    Raises
    ------
    ResultError
        The result does not come from a fit, or its model is not known here.

    Examples
    --------
    >>> import xarray as xr
    >>> from usidx.fitting.evaluate import model_of
    >>> from usidx.fitting.fit import fit
    >>> from usidx.models import Constant
    >>> model_of(fit(xr.DataArray([1.0, 2.0], dims="x"), Constant()))
    Constant(prefix='')
    """
    return _make_model(fit_step_of(result))


def _make_model(step: dict[str, Any]) -> Model:
    """Make the model that a step names."""
    # Models are known once the modules that define them are loaded: those of the house, and that of the verb itself.
    import_module("usidx.models")
    find_declaration(str(step["tool"]))
    return from_description(step["parameters"].get("model") or {})


def fit_step_of(result: xr.Dataset) -> dict[str, Any]:
    """Return the step that fitted.

    Raises
    ------
    ResultError
        There is none.
    """
    for step in reversed(read_steps(result)):
        told = step.get("parameters")
        if isinstance(told, dict) and isinstance(told.get("model"), dict) and isinstance(step.get("input"), dict):
            return step
    raise ResultError("This Dataset does not come from a fit: none of the steps that made it has a model.")


@verb()
def evaluate(result: xr.Dataset, x: xr.DataArray | None = None, *, model: Model | None = None) -> xr.DataArray:
    """Evaluate a fitted model.

    A lazy result stays lazy. Where the fit failed, the values are NaN.

    Parameters
    ----------
    result : Dataset
        What `fit` returned, also after a reload from a file.
    x : DataArray, optional
        Coordinate to evaluate at, along the fitted dim or one of another name; by default that of the fit.
    model : Model, optional
        Needed where the model was a Python function, for a result holds its name and not its code.

    Returns
    -------
    DataArray, dims (*any, *dim)
        In the units of the fitted data.

    Raises
    ------
    ResultError
        The result does not come from a fit, lacks a parameter, or has no coordinate to evaluate at; the model was a
        Python function, and `model` is missing or has other parameters.

    Examples
    --------
    >>> import xarray as xr
    >>> from usidx.fitting.evaluate import evaluate
    >>> from usidx.fitting.fit import fit
    >>> from usidx.models import Linear
    >>> evaluate(fit(xr.DataArray([1.0, 3.0, 5.0], dims="x"), Linear())).values.round(6)
    array([1., 3., 5.])
    """
    step = fit_step_of(result)
    model = model_of(result) if model is None else _checked(model, step)
    missing = [name for name in model.names if name not in result]
    if missing:
        raise ResultError(
            f"The result of the fit lacks the parameter {missing[0]!r}; it has {tuple(result.data_vars)}."
        )
    coordinates = _coordinates(result, model, step, x)
    return add_choices(_values(result, coordinates, model, step), model=model.describe())


def _checked(model: Model, step: dict[str, Any]) -> Model:
    """Refuse a model that is not the kind that was fitted."""
    recorded = step["parameters"]["model"]
    if recorded.get("model") != "Function":
        known = _make_model(step)
        same = known == model
        recorded = {"model": repr(known), "parameters": list(known.names)}
    else:
        same = recorded.get("parameters") == list(model.names)
    if not same:
        raise ResultError(
            f"model: {model!r} has the parameters {list(model.names)}, but what was fitted is "
            f"{recorded.get('function', recorded['model'])!r} with the parameters {recorded['parameters']}."
        )
    return model


@verb()
def residual(result: xr.Dataset, data: xr.DataArray, *, model: Model | None = None) -> xr.DataArray:
    """Return data less the fitted model.

    Lazy where `result` or `data` is. Where the fit failed, the residual is NaN. Cells are paired by their labels:
    `data` may be in another order, or a part of what was fitted. A dim without labels is paired by position.

    Parameters
    ----------
    result : Dataset
        What `fit` returned for `data`, also after a reload from a file.
    data : DataArray
        What was fitted.
    model : Model, optional
        As for `evaluate`.

    Returns
    -------
    DataArray
        Of the dims and units of `data`.

    Raises
    ------
    ResultError
        The result does not come from a fit, or lacks a parameter; it has other dims, lacks a label of `data`, or a
        coordinate that both have differs.
    UnitsError
        `data` has other units than what was fitted.

    Examples
    --------
    >>> import xarray as xr
    >>> from usidx.fitting.evaluate import residual
    >>> from usidx.fitting.fit import fit
    >>> from usidx.models import Constant
    >>> line = xr.DataArray([1.0, 3.0], dims="x")
    >>> residual(fit(line, Constant()), line).values.round(6)
    array([-1.,  1.])
    """
    values = evaluate(result, model=model)
    _check_same_kind(values, data)
    values = align_like(values, data, what="the fit", other="the data")
    left = data.variable - values.variable.transpose(*data.dims)
    found = data.copy(data=left.data)
    found.attrs = {k: v for k, v in data.attrs.items() if k == "units"} | {"long_name": "Residual"}
    return add_choices(found, **({} if model is None else {"model": model.describe()}))


def _check_same_kind(values: xr.DataArray, data: xr.DataArray) -> None:
    """Refuse data of other dims or units than what was fitted."""
    if set(values.dims) != set(data.dims):
        raise ResultError(f"The fit has the dims {dict(values.sizes)}, the data {dict(data.sizes)}; they should agree.")
    units = [values.attrs.get("units"), data.attrs.get("units")]
    if all(isinstance(unit, str) and unit for unit in units) and units[0] != units[1]:
        raise UnitsError(f"What was fitted is in {units[0]!r}, the data in {units[1]!r}: bring it to the same units.")


def _coordinates(
    result: xr.Dataset, model: Model, step: dict[str, Any], x: xr.DataArray | None
) -> list[tuple[str, xr.DataArray]]:
    """Return dim and coordinate for each variable of the model."""
    dims = [str(d) for d in step["parameters"]["dim"]]
    if x is not None:
        if model.variables > 1 or not x.dims:
            raise ResultError(f"x should be one coordinate with a dim; the model has {model.variables} variables.")
        return [(dims[0] if dims[0] in x.dims else str(x.dims[-1]), x)]
    name = step["parameters"].get("coordinate")
    return [(dim, _stored_coordinate(result, dim, name or dim, step)) for dim in dims]


def _stored_coordinate(result: xr.Dataset, dim: str, name: str, step: dict[str, Any]) -> xr.DataArray:
    if name in result.coords:
        return result.coords[name]
    if step["parameters"].get("swept"):
        raise ResultError(f"The result does not hold the coordinate {name!r} any more; pass it as x=...")
    return xr.DataArray(np.arange(float(step["input"]["dims"][dim])), dims=(dim,))


def _values(
    result: xr.Dataset, coordinates: list[tuple[str, xr.DataArray]], model: Model, step: dict[str, Any]
) -> xr.DataArray:
    dims = tuple(dim for dim, _ in coordinates)
    table = xr.concat([xr.DataArray(result[n].variable) for n in model.names], dim=PARAMETER)
    # Coordinates may change along dims that the parameters do not have.
    table = table.expand_dims(
        {d: n for _, x in coordinates for d, n in x.sizes.items() if d not in (*table.dims, *dims)}
    )
    threads = None if table.chunks is None else 1
    dtype = np.complex128 if model.is_complex else np.float64
    output = Output(dims=dims, sizes={d: x.sizes[d] for d, x in coordinates}, dtype=dtype)
    kernel = partial(block_values, model=model, threads=threads)
    values = along(table, PARAMETER, kernel, output, beside=[x for _, x in coordinates]).transpose(..., *dims)
    attrs = {k: step["input"][k] for k in ("long_name", "units") if step["input"].get(k)}
    own = {str(x.name): x for _, x in coordinates if x.name is not None}
    swept = {str(d) for d in step["parameters"]["dim"]} | set(dims)
    gone = [
        n for n, c in result.coords.items() if n in own or swept & set(c.dims) or not set(c.dims) <= set(values.dims)
    ]
    coords = result.drop_vars(gone).coords
    found = values.assign_coords(coords).assign_coords(
        {n: x for n, x in own.items() if set(x.dims) <= set(values.dims)}
    )
    return found.rename(step["input"].get("name")).assign_attrs(attrs)
