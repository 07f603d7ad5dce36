"""Labelled array and model -> Dataset of fitted parameters, one fit for each spectrum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from usidx.errors import SelectionError, UsidError
from usidx.fit.inputs import FIGURE, PARAMETER, block_table, start_values, weights, whole_along
from usidx.fit.model import Model
from usidx.fit.recipe import LOSSES
from usidx.fit.solve import Options, figures, linear_parameters
from usidx.fit.sweep import Sweep, check_dtype, sweep_of
from usidx.fit.tabulate import to_dataset
from usidx.label.roles import Dims
from usidx.results.provenance import record

__all__ = ["fit"]

Value = float | xr.DataArray


def fit(
    data: xr.DataArray,
    model: Model,
    dim: Dims | None = None,
    *,
    coordinate: str | None = None,
    start: Mapping[str, Value] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    fixed: Mapping[str, Value] | None = None,
    sigma: Value | None = None,
    absolute_sigma: bool = False,
    loss: str = "linear",
    loss_scale: float = 1.0,
    tolerance: float = 1e-8,
    max_evaluations: int = 200,
    covariance: bool = False,
) -> xr.Dataset:
    """Fit a model to each spectrum of an array.

    A lazy array stays lazy: a block is read, fitted and left as a row of figures per spectrum. Samples that are not
    finite are left out. A spectrum that cannot be fitted gets NaN, ``converged`` False and a ``status``, and touches
    no other; each spectrum is fitted by itself, so the result does not depend on how the array is cut into blocks.

    Parameters
    ----------
    data : DataArray, dims (*any, *dim)
        Real, integer or complex; complex exactly where the model is.
    model : Model
        Such as ``Gaussian() + Constant()``; see `usidx.models`.
    dim : str or iterable of str, optional
        Where to fit, one dim for each coordinate of the model. By default the spectroscopic dim.
    coordinate : str, optional
        The coordinate along `dim`, by default that of the same name (or 0, 1, 2, ... where there is none). It may
        change from spectrum to spectrum.
    start : mapping of str to float or DataArray, optional
        Start values of parameters; what is missing or NaN is found from the data.
    bounds : mapping of str to (low, high), optional
        Within those of the model, or in their place.
    fixed : mapping of str to float or DataArray, optional
        Parameters that are held at a value.
    sigma : float or DataArray, optional
        Standard deviation of the samples, in the units of `data`; dims among those of `data`.
    absolute_sigma : bool
        Whether `sigma` is known in absolute terms; if not (the default), standard errors are scaled by ``redchi``.
    loss : {"linear", "soft_l1", "huber", "cauchy"}
        What is done with large residuals, as in scipy.optimize.least_squares.
    loss_scale : float
        The residual (by `sigma`) from which on it is large.
    tolerance : float
        A fit has converged when the next step promises to lower the cost by less than this fraction.
    max_evaluations : int
        A fit that needs more evaluations has failed.
    covariance : bool
        Add ``covariance`` (*any, parameter, parameter_2).

    Returns
    -------
    Dataset
        Over the other dims of `data`: a variable per parameter in its own units, and ``<name>_stderr`` (0 for what
        was fixed, NaN for what ended on a bound); ``chi2``, the sum of squared residuals (by `sigma`), of real and
        imaginary parts alike; ``redchi``, that by the degrees of freedom; ``r2`` = 1 - SS_res / SS_tot, without
        weights and about the (complex) mean; ``nfev``, the number of evaluations of the model; ``status`` (its
        attributes say what the values mean) and ``converged``; ``samples``, the number of finite samples. The
        coordinate of `dim` stays, for `evaluate`.

    Raises
    ------
    RoleError
        A dim is not there, or which one is meant is not clear.
    SelectionError
        A name is not a parameter, a coordinate or a loss, or a formula lacks a start value.
    UsidError
        The data's dtype does not go with the model, or nothing is left to fit.
    UnitsError
        The coordinate is not a number.

    See Also
    --------
    evaluate : The fitted model over the coordinate.
    residual : The data less that.

    Notes
    -----
    Levenberg and Marquardt's method with exact derivatives. Start values: what enters linearly is solved for, peaks
    are found by a matched filter, an oscillator by its linear form, the rest by trying candidates. Standard errors
    are the roots of the diagonal of redchi (J'J)^-1 at the solution.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from usidx.fit.fit import fit
    >>> from usidx.fit.models import Linear
    >>> line = xr.DataArray([1.0, 3.0, 5.0], dims="x", coords={"x": [0.0, 1.0, 2.0]}, attrs={"units": "V"})
    >>> found = fit(line, Linear())
    >>> round(found.slope.item(), 6), round(found.intercept.item(), 6), found.intercept.units
    (2.0, 1.0, 'V')
    """
    sweep = sweep_of(data, model, dim, coordinate)
    check_dtype(data.dtype, model, data.name)
    if loss not in LOSSES:
        raise SelectionError(f"No loss {loss!r}; choose one of {tuple(LOSSES)}.")
    fixed = dict(fixed or {})
    start = {k: v for k, v in model.defaults.items() if k not in fixed} | dict(start or {})
    _check_names(model, start=start, bounds=bounds or {}, fixed=fixed)
    options = Options(
        free=tuple(name for name in model.names if name not in fixed),
        bounds={p.name: (bounds or {}).get(p.name, p.bounds) for p in model.parameters},
        loss=loss, loss_scale=loss_scale, tolerance=tolerance, max_evaluations=max_evaluations, covariance=covariance,
    )  # fmt: skip
    _check_bounds(options)
    _check_start(model, options, start)
    table = _table(data, model, sweep, options, sigma, start | fixed)
    result = to_dataset(table, data, model, sweep, covariance=covariance, absolute=absolute_sigma)
    told = {
        "model": {"name": _title(model), **model.describe()}, "dim": list(sweep.dims), "coordinate": coordinate,
        "swept": [str(c.name) for c in sweep.coordinates if c.name is not None],
        "start": start, "bounds": dict(bounds or {}), "fixed": fixed, "sigma": sigma,
        "absolute_sigma": absolute_sigma, "loss": loss, "loss_scale": loss_scale, "tolerance": tolerance,
        "max_evaluations": max_evaluations, "covariance": covariance,
    }  # fmt: skip
    return record(result, data, "fit", told)


def _check_names(model: Model, **given: Mapping[str, Any]) -> None:
    for option, mapping in given.items():
        for name in mapping:
            if name not in model.names:
                raise SelectionError(f"{option}: no parameter {name!r} in the model; its parameters are {model.names}.")


def _check_start(model: Model, options: Options, start: Mapping[str, Value]) -> None:
    if not model.has_formula and (missing := [n for n in options.free if n not in start]):
        raise SelectionError(
            f"start: {missing[0]!r} has no start value, and none can be worked out from a Python function. Give "
            f"start={{{missing[0]!r}: ...}}, or a default in the function's signature."
        )
    found = {*linear_parameters(model, options.free), *start}
    for term in model.terms:
        missing = [name for name in term.names if name in options.free and name not in found]
        if term.search == "given" and missing:
            raise SelectionError(
                f"start: {missing[0]!r} does not enter the formula linearly, so its start value cannot be worked out. "
                f"Give start={{{missing[0]!r}: ...}}."
            )


def _check_bounds(options: Options) -> None:
    if not options.free:
        raise UsidError("All parameters are fixed, so nothing is left to fit. Leave at least one free.")
    for name in options.free:
        low, high = options.bounds[name]
        if not low < high:
            raise UsidError(f"bounds: {name!r} has the bounds ({low}, {high}); the first should be the lower one.")


def _title(model: Model) -> str:
    return " ".join(str(t.describe()["model"]) for t in model.terms)


def _table(
    data: xr.DataArray,
    model: Model,
    sweep: Sweep,
    options: Options,
    sigma: Value | None,
    start: Mapping[str, Value],
) -> xr.Variable:
    """Return the table of figures, dims (*other, figure), as lazy as the data."""
    core = list(sweep.dims)
    lazy = data.chunks is not None
    weight = None if sigma is None else weights(data, sigma, sweep.dims)
    given = start_values(data, model, start, sweep.dims)
    inputs = [
        *(whole_along(c, (d,)) for d, c in zip(core, sweep.coordinates, strict=True)),
        *(() if weight is None else (weight,)),
        given,
    ]
    table: xr.Variable = xr.apply_ufunc(
        block_table,
        whole_along(data, sweep.dims).variable,
        *(i.variable for i in inputs),
        kwargs={"model": model, "options": options, "weighted": weight is not None, "threads": 1 if lazy else None},
        input_core_dims=[core, *([d] for d in core), *(() if weight is None else (core,)), [PARAMETER]],
        output_core_dims=[[FIGURE]],
        dask="parallelized",
        dask_gufunc_kwargs={
            "output_sizes": {FIGURE: figures(model, covariance=options.covariance)},
            "meta": np.empty((0,) * (data.ndim - len(core) + 1)),
        },
        keep_attrs=False,
    )
    return table
