"""Block of spectra and any model -> table of figures: compiled or in NumPy, tied or not."""

from __future__ import annotations

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
from usidx.fitting.solver.numpy_solver import evaluate_function_block, solve_function_block
from usidx.fitting.solver.robust_fit import solve_robust
from usidx.fitting.solver.second_look import Spectra, look_again
from usidx.fitting.solver.tables import choose_better, take_rows
from usidx.fitting.solver.undefined import tell_undefined

__all__ = ["keep_better", "solve"]

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]


def solve(
    model: Model, ties: Ties | None, options: Options, y: npt.NDArray[Any], x: Array, weight: Array | None,
    start: Array, threads: int | None = None,
) -> Array:  # fmt: skip
    """Fit every spectrum of a block by itself; arguments and table are those of `solver.compiled.solve_block`."""
    if not model.has_formula:
        model = resolve_functions(model)
        ties = None if ties is None else replace(ties, model=model)
    if (far := find_far(model, x, list_known(model, ties, options.free, options.bounds, start))) is not None:
        own = None if ties is None else replace(ties, model=far.model)
        near = solve(far.model, own, replace(options, covariance=True), y, x, weight, start, threads)
        return far.restore(near, x, covariance=options.covariance)

    def fit_rows(options: Options, rows: Rows, y: npt.NDArray[Any], weight: Array | None, start: Array) -> Array:
        return _solve_once(model, ties, options, y, take_rows(x, rows), weight, start, threads)

    def evaluate(rows: Rows, parameters: Array) -> npt.NDArray[Any]:
        evaluate_any = evaluate_function_block if isinstance(model, Function) else evaluate_block
        return evaluate_any(model, take_rows(x, rows), parameters, threads)  # type: ignore[arg-type]

    if options.loss != "linear":
        return solve_robust(fit_rows, evaluate, model, options, y, x, weight, start)
    return _solve_once(model, ties, options, y, x, weight, start, threads)


def _solve_once(
    model: Model, ties: Ties | None, options: Options, y: npt.NDArray[Any], x: Array, weight: Array | None,
    start: Array, threads: int | None,
) -> Array:  # fmt: skip
    """Fit from start values, and by least squares from others too where that is in doubt."""

    def fit(model: Model, options: Options, start: Array) -> Array:
        if isinstance(model, Function):
            return solve_function_block(model, options, y, x, weight, start, threads)
        table = solve_block(model, options, y, x, weight, start, threads)
        if options.loss != "linear" or not options.doubt:
            return table

        def fit_rows(rows: Rows, start: Array, options: Options) -> Array:
            if rows.size == len(y):  # nothing need be copied
                return solve_block(model, options, y, x, weight, start, threads)
            own_x, own_weight = take_rows(x, rows), None if weight is None else take_rows(weight, rows)
            return solve_block(model, options, y[rows], own_x, own_weight, start, threads)

        return look_again(fit_rows, table, model, options, Spectra(y, x, weight, start))

    if ties is None:
        table = fit(model, options, start)
    else:
        own = [model.names.index(p.name) for p in ties.independent]
        reduced = fit(ties.reduce(), replace(options, covariance=True), start[:, own])
        table = ties.expand(reduced, covariance=options.covariance)
    if isinstance(model, Function):
        return table
    varying = frozenset(options.free) | (frozenset() if ties is None else frozenset(ties.formulas))
    return tell_undefined(model, varying, table, y, x, weight, start)


def keep_better(first: Array, second: Array, n: int, options: Options) -> Array:
    """Return for each spectrum the better of two fits.

    A robust loss leaves large residuals alone, so chi2 does not compare such fits: there the second fit counts only
    where the first failed.
    """
    return choose_better(first, second, Columns(n), by_chi2=options.loss == "linear")
