"""Block of spectra and any model -> table of figures: compiled or in NumPy, tied or not."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from usidx.fitting.kernels.columns import Columns
from usidx.fitting.models.function import Function
from usidx.fitting.models.functions.combined import resolve_functions
from usidx.fitting.models.model import Model
from usidx.fitting.models.tied import Ties
from usidx.fitting.solver.compiled import Options, evaluate_block, solve_block
from usidx.fitting.solver.far import find_far, list_known
from usidx.fitting.solver.noise_scale import solve_by_noise
from usidx.fitting.solver.numpy_solver import evaluate_function_block, solve_function_block
from usidx.fitting.solver.search.terms import find_linear_parameters
from usidx.fitting.solver.second_look import Spectra, look_again
from usidx.fitting.solver.spikes import find_order, solve_without_spikes
from usidx.fitting.solver.tables import choose_better, take_rows
from usidx.fitting.solver.undefined import tell_undefined

__all__ = ["keep_better", "solve"]

Array = npt.NDArray[np.float64]


def solve(
    model: Model, ties: Ties | None, options: Options, y: npt.NDArray[Any], x: Array, weight: Array | None,
    start: Array, threads: int | None = None,
) -> Array:  # fmt: skip
    """Fit every spectrum of a block by itself; arguments and table are those of `solver.compiled.solve_block`."""
    if not model.has_formula:
        model = resolve_functions(model)
        ties = None if ties is None else replace(ties, model=model)
    if options.loss != "linear" and math.isnan(options.loss_scale):
        return _solve_by_noise(model, ties, options, y, x, weight, start, threads)

    if (far := find_far(model, x, list_known(model, ties, options.free, options.bounds, start))) is not None:
        own = None if ties is None else replace(ties, model=far.model)
        near = solve(far.model, own, replace(options, covariance=True), y, x, weight, start, threads)
        return far.restore(near, x, covariance=options.covariance)

    def fit(model: Model, options: Options, start: Array) -> Array:
        if isinstance(model, Function):
            return solve_function_block(model, options, y, x, weight, start, threads)
        table = solve_block(model, options, y, x, weight, start, threads)

        def fit_rows(
            rows: npt.NDArray[np.intp], y: npt.NDArray[Any], start: Array, options: Options = options
        ) -> Array:
            own_x, own_weight = take_rows(x, rows), None if weight is None else take_rows(weight, rows)
            return solve_block(model, options, y, own_x, own_weight, start, threads)

        if options.loss == "linear" and options.doubt:
            spectra = Spectra(y, x, weight, start)
            return look_again(lambda rows, *how: fit_rows(rows, y[rows], *how), table, model, options, spectra)
        free = [model.names.index(n) for n in options.free]
        if options.loss == "linear" or not np.isnan(start[:, free]).any():
            return table
        return solve_without_spikes(fit_rows, table, model, options, y, x, weight, start)

    table = fit(model, options, start) if ties is None else _solve_tied(fit, ties, options, start)
    if isinstance(model, Function):
        return table
    varying = frozenset(options.free) | (frozenset() if ties is None else frozenset(ties.formulas))
    return tell_undefined(model, varying, table, y, x, weight, start)


def _solve_by_noise(
    model: Model, ties: Ties | None, options: Options, y: npt.NDArray[Any], x: Array, weight: Array | None,
    start: Array, threads: int | None,
) -> Array:  # fmt: skip
    """Fit with the loss that begins at the noise of each spectrum."""

    def fit(weight: Array, start: Array) -> Array:
        return solve(model, ties, replace(options, loss_scale=1.0), y, x, weight, start, threads)

    def evaluate(parameters: Array) -> npt.NDArray[Any]:
        if isinstance(model, Function):
            return evaluate_function_block(model, x, parameters, threads)
        return evaluate_block(model, x, parameters, threads)

    order = find_order(x, in_order=model.derived > 0 or model.variables > 1)
    return solve_by_noise(
        fit, evaluate, y, weight, start, parameters=len(model.names), free=len(options.free), order=order
    )


def _solve_tied(fit: Callable[[Model, Options, Array], Array], ties: Ties, options: Options, start: Array) -> Array:
    """Fit the independent parameters, and work out the others.

    Looking for one term after the other in the data fails where the first is tied to what is not found yet. The second
    look finds all at once, but compares by least squares. So for a robust loss, where start values are missing, the fit
    without ties gives a second start, and the better of both fits is kept.
    """
    own = [ties.model.names.index(p.name) for p in ties.independent]
    reduced, inner = ties.reduce(), replace(options, covariance=True)
    table = fit(reduced, inner, start[:, own])
    wanted = [ties.model.names.index(n) for n in options.free if n not in find_linear_parameters(reduced, options.free)]
    if options.loss != "linear" and reduced.has_formula and np.isnan(start[:, wanted]).any():
        free = tuple(n for n in ties.model.names if n in options.free or n in ties.formulas)
        loose = fit(ties.model, replace(options, free=free, covariance=False), start)
        begin = np.where(np.isnan(start), loose[:, : len(ties.model.names)], start)[:, own]
        table = keep_better(table, fit(reduced, inner, begin), len(own), options)
    return ties.expand(table, covariance=options.covariance)


def keep_better(first: Array, second: Array, n: int, options: Options) -> Array:
    """Return for each spectrum the better of two fits.

    A robust loss leaves large residuals alone, so chi2 does not compare such fits: there the second fit counts only
    where the first failed.
    """
    return choose_better(first, second, Columns(n), by_chi2=options.loss == "linear")
