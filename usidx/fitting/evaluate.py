"""Fitted parameters -> the model's values, and what the data has beyond them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from importlib import import_module
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from usidx.errors import ResultError, UnitsError
from usidx.fitting.blocks import PARAMETER, block_values
from usidx.fitting.models.composite import name_terms, select_terms
from usidx.fitting.models.functions.combined import take_complex
from usidx.fitting.models.model import Model, from_description
from usidx.fitting.results import find_variable, name_apart
from usidx.label.alignment import align_like
from usidx.label.blockwise import Output, along
from usidx.results.declarations import HANDED_ON, find_declaration
from usidx.results.provenance import find_own_attrs, read_steps
from usidx.results.verbs import add_choices, verb

__all__ = ["choose_model", "evaluate", "evaluate_terms", "fit_step_of", "model_of", "residual"]


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
def evaluate(
    result: xr.Dataset, x: Any = None, *, terms: str | Sequence[str] | None = None, model: Model | None = None
) -> xr.DataArray:
    """Evaluate a fitted model, or some terms of it.

    A lazy result stays lazy. Where the fit failed, the values are NaN.

    Parameters
    ----------
    result : Dataset
        What `fit` returned, also after a reload from a file.
    x : DataArray, array of any kind or number, optional
        Coordinate to evaluate at, by default that of the fit. A DataArray lies along the fitted dim or one of another
        name; what has no dims (NumPy, dask, a list, an Index) is along the fitted dim; a number takes the dim away.
        For a model of several coordinates a tuple of them, in the order of the dims.
    terms : str or sequence of str, optional
        Of a sum the terms to evaluate, alone or together. A term is called by its prefix, with or without the
        underscore, or by its kind: those of ``Gaussian(prefix="a_") + Gaussian(prefix="b_") + Constant()`` are "a",
        "b" and "constant". By default the whole model.
    model : Model, optional
        Needed where the model was a Python function, for a result holds its name and not its code.

    Returns
    -------
    DataArray, dims (*any, *dim)
        In the units of the fitted data, with the attributes of the result that are the user's own.

    Raises
    ------
    ResultError
        The result does not come from a fit, lacks a parameter, or has no coordinate to evaluate at; `x` is no numbers
        along one dim; the model was a Python function, and `model` is missing or has other parameters.
    SelectionError
        The model has no such term.

    See Also
    --------
    evaluate_terms : All terms, each by itself.

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
    model = choose_model(result, model)
    wanted = model if terms is None else select_terms(model, (terms,) if isinstance(terms, str) else terms)
    found = _values(result, _coordinates(result, wanted, step, x), wanted, step)
    return add_choices(_drop_numbers(found, x, step), model=model.describe())


@verb(outputs=HANDED_ON)
def evaluate_terms(result: xr.Dataset, x: Any = None, *, model: Model | None = None) -> xr.Dataset:
    """Evaluate each term of a fitted sum by itself.

    A lazy result stays lazy. Where the fit failed, the values are NaN.

    Parameters
    ----------
    result : Dataset
        What `fit` returned, also after a reload from a file.
    x : DataArray, array of any kind or number, optional
        As for `evaluate`.
    model : Model, optional
        As for `evaluate`.

    Returns
    -------
    Dataset
        A variable for each term, of dims (*any, *dim) and in the units of the fitted data; together they are what
        `evaluate` returns. A term is called by its prefix without the underscore, or by its kind: "gaussian".

    Raises
    ------
    ResultError
        As for `evaluate`.

    Examples
    --------
    >>> import xarray as xr
    >>> from usidx.fitting.evaluate import evaluate_terms
    >>> from usidx.fitting.fit import fit
    >>> from usidx.models import Constant, Exponential
    >>> data = xr.DataArray([5.0, 3.0, 2.0, 1.5], dims="t")
    >>> parts = evaluate_terms(fit(data, Exponential() + Constant()))
    >>> parts.exponential.values.round(6), parts.constant.values.round(6)
    (array([4. , 2. , 1. , 0.5]), array([1., 1., 1., 1.]))
    """
    step = fit_step_of(result)
    model = choose_model(result, model)
    coordinates = _coordinates(result, model, step, x)
    found = {}
    for name, term in zip(name_terms(model), model.terms, strict=True):
        values = _drop_numbers(_values(result, coordinates, term, step), x, step)
        values = values.astype(np.complex128) if model.is_complex else values
        values.attrs["long_name"] = name.replace("_", " ").title()
        found[name_apart(name, values.coords)] = values
    made = xr.Dataset(found, attrs=find_own_attrs(result.attrs))
    return add_choices(made, model=model.describe())


def _drop_numbers(found: xr.DataArray, x: Any, step: dict[str, Any]) -> xr.DataArray:
    """Take away the dims along which the model was evaluated at one number."""
    dims = [str(d) for d in step["parameters"]["dim"]]
    given = (x,) if len(dims) == 1 else x or ()
    return found.isel({d: 0 for d, one in zip(dims, given, strict=False) if one is not None and np.ndim(one) == 0})


def _values(
    result: xr.Dataset, coordinates: list[tuple[str, xr.DataArray]], model: Model, step: dict[str, Any]
) -> xr.DataArray:
    """Evaluate a model with the parameters of a result."""
    missing = [name for name in model.names if find_variable(result, name) is None]
    if missing:
        raise ResultError(
            f"The result of the fit lacks the parameter {missing[0]!r}; it has {tuple(result.data_vars)}."
        )
    dims = tuple(dim for dim, _ in coordinates)
    columns = [xr.DataArray(result[find_variable(result, n)].variable) for n in model.names]
    table = xr.concat(columns, dim=PARAMETER)
    # Coordinates may change along dims that the parameters do not have.
    table = table.expand_dims(
        {d: n for _, x in coordinates for d, n in x.sizes.items() if d not in (*table.dims, *dims)}
    )
    threads = None if table.chunks is None else 1
    dtype = np.complex128 if model.is_complex else np.float64
    output = Output(dims=dims, sizes={d: x.sizes[d] for d, x in coordinates}, dtype=dtype)
    kernel = partial(block_values, model=model, threads=threads)
    values = along(table, PARAMETER, kernel, output, beside=[x for _, x in coordinates]).transpose(..., *dims)
    attrs = find_own_attrs(result.attrs)
    attrs |= {k: step["input"][k] for k in ("long_name", "units") if step["input"].get(k)}
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


def choose_model(result: xr.Dataset, model: Model | None) -> Model:
    """Return the model of a fit, made again or as given; refuse one that is not the kind that was fitted."""
    if model is None:
        return model_of(result)
    recorded = fit_step_of(result)["parameters"]["model"]
    if recorded.get("model") != "Function" and not _names_functions(recorded):
        known = _make_model(fit_step_of(result))
        same, kind, names = known == model, repr(known), list(known.names)
    else:
        model = take_complex(model) if _strip(recorded) != _strip(model.describe()) else model
        same = _strip(recorded) == _strip(model.describe())
        kind = repr(recorded.get("function", recorded["model"]))
        names = _list_recorded_names(recorded)
    if not same:
        raise ResultError(
            f"model: {model!r} has the parameters {list(model.names)}, but what was fitted is "
            f"{kind} with the parameters {names}."
        )
    return model


def _names_functions(described: Mapping[str, Any]) -> bool:
    """Say whether a Python function is among the members of a model."""
    return described.get("model") == "Function" or any(map(_names_functions, described.get("members", ())))


def _strip(described: Mapping[str, Any]) -> Any:
    """Return what must be alike in two models: of functions the parameters, not the name or the code."""
    if described.get("model") == "Function":
        return [described.get("parameters"), bool(described.get("complex_valued"))]
    if "members" in described:
        return [described.get("model"), [_strip(m) for m in described["members"]]]
    return {k: v for k, v in described.items() if k != "name"}


def _list_recorded_names(described: Mapping[str, Any]) -> list[str]:
    if "members" in described:
        return [name for m in described["members"] for name in _list_recorded_names(m)]
    return list(described.get("parameters") or from_description(described).names)


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
    found.attrs |= find_own_attrs(data.attrs)
    return add_choices(found, **({} if model is None else {"model": model.describe()}))


def _check_same_kind(values: xr.DataArray, data: xr.DataArray) -> None:
    """Refuse data of other dims or units than what was fitted."""
    if set(values.dims) != set(data.dims):
        raise ResultError(f"The fit has the dims {dict(values.sizes)}, the data {dict(data.sizes)}; they should agree.")
    units = [values.attrs.get("units"), data.attrs.get("units")]
    if all(isinstance(unit, str) and unit for unit in units) and units[0] != units[1]:
        raise UnitsError(f"What was fitted is in {units[0]!r}, the data in {units[1]!r}: bring it to the same units.")


def _coordinates(result: xr.Dataset, model: Model, step: dict[str, Any], x: Any) -> list[tuple[str, xr.DataArray]]:
    """Return dim and coordinate for each variable of the model."""
    dims = [str(d) for d in step["parameters"]["dim"]]
    name = step["parameters"].get("coordinate")
    if x is None:
        return [(dim, _stored_coordinate(result, dim, name or dim, step)) for dim in dims]
    given = (x,) if len(dims) == 1 else x
    if not isinstance(given, tuple | list) or len(given) != len(dims):
        raise ResultError(f"x should be {len(dims)} coordinates, for the dims {dims}: x=(..., ...).")
    return [_read_coordinate(one, dim, name or dim, result) for one, dim in zip(given, dims, strict=True)]


def _read_coordinate(x: Any, dim: str, name: str, result: xr.Dataset) -> tuple[str, xr.DataArray]:
    """Return the dim and the coordinate that an array of any kind stands for."""
    if isinstance(x, xr.Variable):
        x = xr.DataArray(x)
    if not isinstance(x, xr.DataArray):
        values = x if isinstance(x, da.Array) else np.asarray(x)
        if values.ndim > 1:
            raise ResultError(
                f"x has {values.ndim} axes and no names of dims; say by xr.DataArray(x, dims=(...)) what they are."
            )
        x = xr.DataArray(values, dims=(dim,)[: values.ndim]).rename(None)  # dask arrays have names
    if x.dtype.kind not in "biuf":
        raise ResultError(f"x is of dtype {x.dtype}; the model needs numbers.")
    along_dim = dim if dim in x.dims or not x.dims else str(x.dims[-1])
    x = x if x.dims else x.expand_dims(dim)
    if x.name is None:
        attrs = x.attrs or (result.coords[name].attrs if name in result.coords else {})
        x = x.rename(name if along_dim == dim or name != dim else along_dim).assign_attrs(attrs)
    return along_dim, x


def _stored_coordinate(result: xr.Dataset, dim: str, name: str, step: dict[str, Any]) -> xr.DataArray:
    if name in result.coords:
        return result.coords[name]
    if step["parameters"].get("swept"):
        raise ResultError(f"The result does not hold the coordinate {name!r} any more; pass it as x=...")
    return xr.DataArray(np.arange(float(step["input"]["dims"][dim])), dims=(dim,))
