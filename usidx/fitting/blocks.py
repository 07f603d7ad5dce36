"""Labelled inputs of a fit -> blocks, and each block -> a table of figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import RoleError, UsidError
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

__all__ = [
    "FIGURE",
    "PARAMETER",
    "Work",
    "block_again",
    "block_table",
    "block_values",
    "broadcast_sigma",
    "invert_sigma",
    "start_values",
]

FIGURE: Final = "_figure"
PARAMETER: Final = "_parameter"

Array = npt.NDArray[Any]


def broadcast_sigma(data: xr.DataArray, sigma: float | xr.DataArray, dims: tuple[str, ...]) -> xr.DataArray:
    """Return the standard deviation as a DataArray that has all the fitted dims.

    Raises
    ------
    RoleError
        `sigma` has a dim that the data does not have.
    UsidError
        It is no real number.
    """
    spread = _aligned("sigma", xr.DataArray(sigma), data)
    ones = xr.DataArray(np.ones([data.sizes[d] for d in dims]), dims=dims)
    return ones * spread


def start_values(
    data: xr.DataArray, model: Model, start: Mapping[str, float | xr.DataArray], dims: tuple[str, ...]
) -> xr.DataArray:
    """Return start values over a dim of parameters too, NaN where they are to be found.

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
    parts = [_aligned("start", xr.DataArray(start.get(name, np.nan)), other).variable for name in model.names]
    return xr.concat([p.astype(np.float64) for p in xr.broadcast(*map(xr.DataArray, parts))], dim=PARAMETER)


def _aligned(option: str, value: xr.DataArray, data: xr.DataArray) -> xr.DataArray:
    if value.dtype.kind not in "biuf":
        raise UsidError(f"{option}: found dtype {value.dtype}, wanted real numbers.")
    extra = [d for d in value.dims if d not in data.dims]
    if extra:
        raise RoleError(f"{option}: dim {extra[0]!r} is not among the dims {data.dims} that it may have.")
    known = [d for d in value.dims if d in value.coords and d in data.coords]
    wrong = [d for d in value.dims if value.sizes[d] != data.sizes[d]]
    wrong += [d for d in known if d not in wrong and not np.array_equal(value.coords[d], data.coords[d])]
    if wrong:
        raise RoleError(f"{option}: its coordinate along {wrong[0]!r} is not that of the data. Align the two first.")
    return value


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
    """

    model: Model
    ties: Ties | None
    options: Options
    weighted: bool
    threads: int | None
    alike: tuple[Alike, ...] = ()

    def put_in_order(self, table: Array) -> Array:
        """Put equal terms in one order."""
        return sort_alike(table, self.alike, len(self.model.names), covariance=self.options.covariance)


def block_table(y: Array, *inputs: Array, work: Work) -> Array:
    """Fit a block: y (*other, *samples), a coordinate per variable, sigma if any, start (*other, parameter)."""
    lead, flat, x, weight, start = _flattened(y, inputs, work)
    found = _solve(work, flat, x, weight, start)
    return work.put_in_order(found).reshape(*lead, found.shape[1])


def _solve(work: Work, y: Array, x: Array, weight: Array | None, start: Array) -> Array:
    if work.options.loss != POISSON:
        return solve(work.model, work.ties, work.options, y, x, weight, start, work.threads)
    squares = replace(work.options, loss="linear")

    def fit(rows: npt.NDArray[np.intp], y: Array, weight: Array | None, begin: Array | None) -> Array:
        own = np.asarray(_select_rows(start, rows) if begin is None else begin, np.float64)
        # A round goes on from the one before.
        how = squares if begin is None else replace(squares, doubt=False)
        return solve(work.model, work.ties, how, y, _select_rows(x, rows), weight, own, work.threads)

    def evaluate(rows: npt.NDArray[np.intp], parameters: Array) -> Array:
        return _evaluate_rows(work.model, _select_rows(x, rows), parameters, work.threads)

    return solve_counts(fit, evaluate, y, len(work.model.names))


def _select_rows(table: Array, rows: npt.NDArray[np.intp]) -> Array:
    return table if table.shape[0] == 1 else table[rows]


def block_again(y: Array, *inputs: Array, work: Work) -> Array:
    """Fit again what failed in a block: inputs as for `block_table`, its table, and the neighbours' parameters."""
    *same, table, starts = inputs
    n, names = len(work.model.names), work.model.names
    lead, flat, x, weight, start = _flattened(y, tuple(same), work)
    free = np.isin(names, [*work.options.free, *(work.ties.formulas if work.ties is not None else ())])
    around = np.where(free, starts.reshape(len(flat), starts.shape[-1] // n, n), start[:, None])

    def solved(rows: npt.NDArray[np.intp], begin: Array) -> Array:
        own_weight = None if weight is None else _select_rows(weight, rows)
        # All but the neighbours' parameters was tried.
        again = replace(work, options=replace(work.options, doubt=False))
        return _solve(again, flat[rows], _select_rows(x, rows), own_weight, begin)

    again = solve_failed(solved, table.reshape(len(flat), table.shape[-1]), around, work.options, n)
    return work.put_in_order(again).reshape(*lead, again.shape[1])


def _flattened(
    y: Array, inputs: tuple[Array, ...], work: Work
) -> tuple[tuple[int, ...], Array, Array, Array | None, Array]:
    """Return the shape of the other dims, and data, coordinates, weights and start values with one row per spectrum."""
    count = work.model.variables
    lead, samples = y.shape[: y.ndim - count], y.shape[y.ndim - count :]
    x = _coordinate_rows(inputs[:count], lead, samples)
    start = _rows(inputs[-1], lead, (len(work.model.names),))
    flat = y.reshape(int(np.prod(lead)), int(np.prod(samples)))
    weight = invert_sigma(_rows(inputs[count], lead, samples), flat) if work.weighted else None
    return lead, flat, x, weight, start


def invert_sigma(sigma: Array, y: Array) -> Array:
    """Return the weight of each sample, 0 or NaN where it is not known.

    Raises
    ------
    UsidError
        A sample that is there has a standard deviation of zero or less. To leave it out would bend the fit: of counts
        it is the low ones, whose root is zero.
    """
    bad = (sigma <= 0) & np.isfinite(y) if bool((sigma <= 0).any()) else np.zeros((1, 1), bool)
    if bad.any():
        first = np.broadcast_to(sigma, bad.shape)[bad][0]
        raise UsidError(
            f"sigma: {int(bad.sum())} samples have a standard deviation of zero or less, the first of them {first}. "
            f"Give sigma=sigma.where(sigma > 0) to leave them out, a least value by sigma.clip(min=...), or fit counts "
            f"with loss='poisson', which needs no sigma."
        )
    with np.errstate(divide="ignore"):
        weight: Array = 1.0 / sigma
    return weight


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
