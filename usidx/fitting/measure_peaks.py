"""Fitted peaks -> width at half maximum, area and height, with errors."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import ResultError
from usidx.fitting.blocks import FIGURE, PARAMETER
from usidx.fitting.evaluate import choose_model, fit_step_of
from usidx.fitting.formula.nodes import Node, differentiate, make_parameter
from usidx.fitting.formula.numpy_backend import interpret
from usidx.fitting.models.model import Model
from usidx.fitting.models.parameter import Parameter
from usidx.fitting.models.tied import propagate_errors
from usidx.fitting.results import find_variable
from usidx.label.blockwise import Output, along
from usidx.results.declarations import HANDED_ON
from usidx.results.provenance import find_own_attrs
from usidx.results.verbs import add_choices, verb

__all__ = ["measure_peaks"]

Array = npt.NDArray[np.float64]
_ERROR: Final = "_stderr"


@verb("Peaks", outputs=HANDED_ON)
def measure_peaks(result: xr.Dataset, *, model: Model | None = None) -> xr.Dataset:
    """Work out width at half maximum, area and height of the peaks of a fit, with their errors.

    A lazy result stays lazy. Where the fit failed, all is NaN.

    Parameters
    ----------
    result : Dataset
        What ``fit(..., covariance=True)`` returned, also after a reload from a file. Without the covariance it will do
        where each figure rests on one fitted parameter alone.
    model : Model, optional
        Needed where a Python function was among the terms, as for `evaluate`.

    Returns
    -------
    Dataset
        For each peak ``fwhm``, the full width at half maximum in the units of the coordinate; ``area``, in those of
        data times coordinate; ``height``, in those of the data; and ``<name>_stderr`` for each. In a sum the names
        begin with the prefix of the peak, as those of its parameters do. A ``Gaussian2D`` has ``fwhm_x``, ``fwhm_y``
        and ``volume``; a ``SkewedGaussian`` has the area only.

    Raises
    ------
    ResultError
        The result does not come from a fit of peaks, lacks a parameter, or lacks the covariance that the errors need.

    See Also
    --------
    fit : With ``covariance=True``.

    Notes
    -----
    Standard errors are the roots of g C g', with the covariance C of all parameters and the derivatives g of the figure
    by them: so that of a height, whose area and width go together, is smaller than the two errors by themselves
    make it. The width of a `Voigt` is that of Olivero and Longbottom, right to 2e-4 of it [1]_.

    References
    ----------
    .. [1] J. J. Olivero, R. L. Longbottom, J. Quant. Spectrosc. Radiat. Transfer 17, 233 (1977).

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from usidx.fitting.fit import fit
    >>> from usidx.fitting.measure_peaks import measure_peaks
    >>> from usidx.models import Gaussian
    >>> x = xr.DataArray(np.linspace(-3, 3, 31), dims="x")
    >>> data = (2 * np.exp(-(x**2) / 2)).assign_coords(x=x)
    >>> found = measure_peaks(fit(data, Gaussian(), covariance=True))
    >>> float(found.fwhm.round(4)), float(found.height.round(4))
    (2.3548, 2.0)
    """
    step = fit_step_of(result)
    model = choose_model(result, model)
    figures = dict(model.figures)
    if not figures:
        raise ResultError(f"{model!r} has no peak whose width or area is known; peaks are Gaussian, Lorentzian, ...")
    graphs = tuple(figures.values())
    table = _join_columns(result, model, graphs)
    output = Output(dims=(FIGURE,), sizes={FIGURE: 2 * len(graphs)}, dtype=np.float64)
    measured = along(table, PARAMETER, partial(_measure_block, names=model.names, graphs=graphs), output)
    variables = {}
    for k, figure in enumerate(figures):
        attrs = _make_attrs(figure, step, result)
        variables[figure.name] = measured.isel({FIGURE: 2 * k}).variable
        variables[f"{figure.name}{_ERROR}"] = measured.isel({FIGURE: 2 * k + 1}).variable
        variables[figure.name].attrs = attrs
        variables[f"{figure.name}{_ERROR}"].attrs = attrs | {"long_name": f"Standard Error of {attrs['long_name']}"}
    dims = {d for v in variables.values() for d in v.dims}
    coords = result.drop_vars([n for n, c in result.coords.items() if not set(c.dims) <= dims]).coords
    found = xr.Dataset(variables, coords=coords, attrs=find_own_attrs(result.attrs))
    return add_choices(found, model=model.describe())


def _join_columns(result: xr.Dataset, model: Model, graphs: tuple[Node, ...]) -> xr.DataArray:
    """Return parameters and covariance, row by row, along one dim."""
    missing = [name for name in model.names if find_variable(result, name) is None]
    if missing:
        raise ResultError(f"The fit lacks the parameter {missing[0]!r}; it has {tuple(result.data_vars)}.")
    columns = [result[find_variable(result, name)].variable for name in model.names]
    held = find_variable(result, "covariance")
    if held is not None:
        first, second = result[held].dims[-2:]
        whole = result[held].variable
        pairs = [whole.isel({first: j, second: k}) for j, k in np.ndindex(len(model.names), len(model.names))]
    else:
        pairs = _make_diagonal(result, model, graphs)
    return xr.concat([xr.DataArray(c) for c in xr.broadcast(*map(xr.DataArray, [*columns, *pairs]))], dim=PARAMETER)


def _make_diagonal(result: xr.Dataset, model: Model, graphs: tuple[Node, ...]) -> list[xr.Variable]:
    """Return the covariance where the standard errors alone say it: no figure rests on two fitted parameters."""
    options: Mapping[str, Any] = fit_step_of(result)["parameters"]
    fixed = options.get("fixed") or {}
    for graph in graphs:
        used = [name for name in model.names if name not in fixed and _rests_on(graph, name)]
        if len(used) > 1:
            raise ResultError(
                f"The errors rest on how {used[0]!r} and {used[1]!r} go together, and the result has no covariance. "
                f"Fit with covariance=True."
            )
    spread = [result[find_variable(result, f"{name}{_ERROR}")].variable for name in model.names]
    return [spread[j] ** 2 if j == k else 0.0 * spread[j] for j, k in np.ndindex(len(spread), len(spread))]


def _rests_on(graph: Node, name: str) -> bool:
    return graph is make_parameter(name) or any(_rests_on(a, name) for a in graph.args)


def _make_attrs(figure: Parameter, step: Mapping[str, Any], result: xr.Dataset) -> dict[str, str]:
    names = [step["parameters"].get("coordinate") or d for d in step["parameters"]["dim"]]
    units = {result.coords[n].attrs.get("units") if n in result.coords else None for n in names}
    coordinate = units.pop() if len(units) == 1 else None
    unit = figure.unit(step["input"].get("units"), coordinate)
    return {"long_name": figure.title} | ({} if unit is None else {"units": unit})


def _measure_block(table: Array, names: tuple[str, ...], graphs: tuple[Node, ...]) -> Array:
    """Return figure and error in turns, (*any, figure), of parameters and covariance, (*any, column)."""
    n = len(names)
    flat = table.reshape(-1, table.shape[-1])
    at: Mapping[Node, npt.ArrayLike] = {make_parameter(name): flat[:, k] for k, name in enumerate(names)}
    slopes = np.empty((len(flat), len(graphs), n))
    for i, j in np.ndindex(len(graphs), n):
        slopes[:, i, j] = interpret(differentiate(graphs[i], make_parameter(names[j])), at)
    spread, unknown = propagate_errors(slopes, flat[:, n:].reshape(len(flat), n, n))
    out = np.empty((len(flat), 2 * len(graphs)))
    for i, graph in enumerate(graphs):
        out[:, 2 * i] = interpret(graph, at)
        out[:, 2 * i + 1] = np.where(unknown[:, i], np.nan, np.sqrt(np.maximum(spread[:, i, i], 0.0)))
    return out.reshape(*table.shape[:-1], out.shape[1])
