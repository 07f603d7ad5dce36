"""Labelled inputs of a fit -> blocks, and each block -> a table of figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.fitting.kernels.columns import NOT_FINITE, Columns
from usidx.fitting.models.function import Function
from usidx.fitting.models.functions.combined import join_functions
from usidx.fitting.models.model import Model
from usidx.fitting.models.tied import Ties
from usidx.fitting.solver.alike import Alike, sort_alike
from usidx.fitting.solver.compiled import Options, evaluate_block
from usidx.fitting.solver.counts import POISSON, solve_counts
from usidx.fitting.solver.far import find_far
from usidx.fitting.solver.neighbours import solve_failed
from usidx.fitting.solver.numpy_solver import evaluate_function_block
from usidx.fitting.solver.solve import solve
from usidx.fitting.solver.tables import take_rows
from usidx.fitting.weights import check_alignment, invert_sigma

__all__ = [
    "FIGURE",
    "PARAMETER",
    "Work",
    "block_again",
    "block_table",
    "block_values",
    "limit_values",
    "start_values",
]

FIGURE: Final = "_figure"
PARAMETER: Final = "_parameter"
_LIMIT: Final = "_limit"

Array = npt.NDArray[Any]
Rows = npt.NDArray[np.intp]


def start_values(
    data: xr.DataArray,
    model: Model,
    start: Mapping[str, float | xr.DataArray],
    dims: tuple[str, ...],
    option: str = "start",
) -> xr.DataArray:
    """Return start values over a dim of parameters too, NaN where they are to be found; `option` is for messages.

    Raises
    ------
    RoleError
        A start value has a dim that the result does not have.
    UsidError
        It is no real number.
    """
    if all(isinstance(value, float | int) for value in start.values()):
        numbers = [float(start.get(name, np.nan)) for name in model.names]
        return xr.DataArray(numbers, dims=PARAMETER)
    other = data.isel(dict.fromkeys(dims, 0), drop=True)
    parts = [check_alignment(option, xr.DataArray(start.get(name, np.nan)), other).variable for name in model.names]
    return xr.concat([p.astype(np.float64) for p in xr.broadcast(*map(xr.DataArray, parts))], dim=PARAMETER)


def limit_values(
    data: xr.DataArray, model: Model, bounds: Mapping[str, tuple[Any, Any]], dims: tuple[str, ...]
) -> xr.DataArray:
    """Return the lowest values of all parameters and then the highest, NaN where none is told; as `start_values`."""
    sides = [start_values(data, model, {n: p[k] for n, p in bounds.items()}, dims, "bounds") for k in (0, 1)]
    return xr.concat(xr.broadcast(*sides, exclude=[PARAMETER]), dim=PARAMETER).rename({PARAMETER: _LIMIT})


@dataclass(frozen=True, slots=True)
class Work:
    """What is done with each block.

    Attributes
    ----------
    model : Model
        With all its parameters.
    ties : Ties, optional
        Those that follow from others.
    options : Options
        How to fit.
    weighted : bool
        Whether sigma is among the inputs.
    threads : int, optional
        So many at most; by default as many as there is room for.
    alike : tuple
        Equal terms that are put in order by their position.
    limited : bool
        Whether bounds of each spectrum are among the inputs.
    """

    model: Model
    ties: Ties | None
    options: Options
    weighted: bool
    threads: int | None
    alike: tuple[Alike, ...] = ()
    limited: bool = False

    def put_in_order(self, table: Array, start: Array) -> Array:
        """Put equal terms in one order."""
        return sort_alike(table, self.alike, start, len(self.model.names), covariance=self.options.covariance)


@dataclass(frozen=True, slots=True)
class _Spectra:
    """What is fitted, one row per spectrum, or one for all.

    Attributes
    ----------
    y, x : ndarray, shapes (spectrum, sample) and (spectrum or 1, variable, sample)
        Data and coordinates.
    weight : ndarray, shape (spectrum or 1, sample), optional
        One by the standard deviation.
    start : ndarray, shape (spectrum or 1, parameter)
        Start values.
    limits : ndarray, shape (spectrum or 1, 2 parameter), optional
        Lowest values of the parameters and then the highest, NaN where those of the options hold.
    """

    y: Array
    x: Array
    weight: Array | None
    start: Array
    limits: Array | None

    def take(self, rows: Rows, **other: Array | None) -> _Spectra:
        """Return some of the spectra, with other values of what is named."""
        own = {name: getattr(self, name) for name in ("x", "weight", "start", "limits")}
        picked: dict[str, Any] = {k: v if v is None else take_rows(v, rows) for k, v in own.items()}
        return _Spectra(**({"y": self.y[rows]} | picked | other))


def block_table(y: Array, *inputs: Array, work: Work) -> Array:
    """Fit a block: y (*other, *samples), a coordinate per variable, sigma and limits if any, start."""
    lead, spectra = _flattened(y, inputs, work)
    found = _solve(work, spectra)
    return work.put_in_order(found, spectra.start).reshape(*lead, found.shape[1])


def block_again(y: Array, *inputs: Array, work: Work) -> Array:
    """Fit again what failed in a block: inputs as for `block_table`, its table, and the neighbours' parameters."""
    *same, table, starts = inputs
    n, names = len(work.model.names), work.model.names
    lead, spectra = _flattened(y, tuple(same), work)
    free = np.isin(names, [*work.options.free, *(work.ties.formulas if work.ties is not None else ())])
    around = np.where(free, starts.reshape(len(spectra.y), starts.shape[-1] // n, n), spectra.start[:, None])

    def solved(rows: Rows, begin: Array) -> Array:
        # All but the neighbours' parameters was tried.
        again = replace(work, options=replace(work.options, doubt=False))
        return _solve(again, spectra.take(rows, start=begin))

    again = solve_failed(solved, table.reshape(len(spectra.y), table.shape[-1]), around, work.options, n)
    return work.put_in_order(again, spectra.start).reshape(*lead, again.shape[1])


def _solve(work: Work, spectra: _Spectra) -> Array:
    """Fit rows of spectra, those of the same bounds together."""
    if spectra.limits is None:
        return _solve_alike(work, spectra)
    names = work.model.names
    plain = np.array([work.options.bounds[name] for name in names], np.float64).T.reshape(-1)
    sets, which = np.unique(np.where(np.isnan(spectra.limits), plain, spectra.limits), axis=0, return_inverse=True)
    parts = np.split(np.argsort(which.ravel(), kind="stable"), np.cumsum(np.bincount(which.ravel()))[:-1])
    out = np.full((len(spectra.y), Columns(len(names)).count(covariance=work.options.covariance)), np.nan)
    out[:, Columns(len(names)).status], out[:, Columns(len(names)).nfev] = NOT_FINITE, 0
    for (low, high), rows in zip(sets.reshape(len(sets), 2, -1), parts, strict=True):
        every = np.arange(len(spectra.y)) if len(which) == 1 else rows
        bounds = dict(zip(names, zip(low.tolist(), high.tolist(), strict=True), strict=True))
        if all(bounds[name][0] < bounds[name][1] for name in work.options.free):
            own = replace(work, options=replace(work.options, bounds=bounds))
            out[every] = _solve_alike(own, spectra.take(every, limits=None))
    return out


def _solve_alike(work: Work, spectra: _Spectra) -> Array:
    """Fit rows of spectra that share their bounds."""
    if work.options.loss != POISSON:
        given = (spectra.y, spectra.x, spectra.weight, spectra.start)
        return solve(work.model, work.ties, work.options, *given, work.threads)
    squares = replace(work.options, loss="linear", loss_scale=1.0)

    def fit(rows: Rows, y: Array, weight: Array | None, begin: Array | None) -> Array:
        own = spectra.take(rows, weight=weight)
        start = np.asarray(own.start if begin is None else begin, np.float64)
        # A round goes on from the one before.
        how = squares if begin is None else replace(squares, doubt=False)
        return solve(work.model, work.ties, how, y, own.x, weight, start, work.threads)

    def evaluate(rows: Rows, parameters: Array) -> Array:
        return _evaluate_rows(work.model, spectra.take(rows).x, parameters, work.threads)

    return solve_counts(fit, evaluate, spectra.y, len(work.model.names))


def _flattened(y: Array, inputs: tuple[Array, ...], work: Work) -> tuple[tuple[int, ...], _Spectra]:
    """Return the shape of the other dims, and the spectra."""
    count, n = work.model.variables, len(work.model.names)
    lead, samples = y.shape[: y.ndim - count], y.shape[y.ndim - count :]
    flat = y.reshape(int(np.prod(lead)), int(np.prod(samples)))
    weight = invert_sigma(_rows(inputs[count], lead, samples), flat) if work.weighted else None
    limits = _rows(inputs[-2], lead, (2 * n,)) if work.limited else None
    x, start = _coordinate_rows(inputs[:count], lead, samples), _rows(inputs[-1], lead, (n,))
    return lead, _Spectra(flat, x, weight, start, limits)


def block_values(parameters: Array, *x: Array, model: Model, threads: int | None) -> Array:
    """Evaluate a block: parameters (*other, parameter) and a coordinate per variable."""
    lead, samples = parameters.shape[:-1], tuple(c.shape[-1] for c in x)
    rows = _coordinate_rows(x, lead, samples)
    flat = parameters.reshape(int(np.prod(lead)), parameters.shape[-1])
    return _evaluate_rows(model, rows, flat, threads).reshape(*lead, *samples)


def _evaluate_rows(model: Model, x: Array, parameters: Array, threads: int | None) -> Array:
    model = join_functions(model)
    if isinstance(model, Function):
        return evaluate_function_block(model, x, parameters, threads)
    if (far := find_far(model, x)) is not None:  # what the model itself multiplies is above and below all numbers
        model, parameters = far.model, far.approach(parameters, x)
    return evaluate_block(model, x, parameters, threads)


def _coordinate_rows(x: tuple[Array, ...], lead: tuple[int, ...], samples: tuple[int, ...]) -> Array:
    """Return coordinates as (spectrum or 1, variable, sample), for spectra whose samples are flattened."""
    rows = []
    for k, c in enumerate(x):
        shape = [1] * len(samples)
        shape[k] = samples[k]
        rows.append(_rows(c.reshape(*c.shape[:-1], *shape), lead, samples))
    height = max(r.shape[0] for r in rows)
    return np.stack([np.broadcast_to(r, (height, r.shape[1])) for r in rows], axis=1)


def _rows(array: Array, lead: tuple[int, ...], core: tuple[int, ...]) -> Array:
    """Return an array that broadcasts against (*lead, *core) as one row per spectrum, or as a single row for all."""
    size = int(np.prod(core))
    outer = array.shape[: array.ndim - len(core)]
    if int(np.prod(outer)) == 1:
        return np.broadcast_to(array.reshape(array.shape[array.ndim - len(core) :]), core).reshape(1, size)
    return np.broadcast_to(array, (*lead, *core)).reshape(int(np.prod(lead)), size)
