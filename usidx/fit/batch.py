"""Many spectra -> one row of figures each, in machine code.

A row holds the P parameters, their P standard errors, chi2, redchi, r2, the number of evaluations, the status, and
on request the covariance (P x P). Importing this module imports numba; do so only inside a function.
"""

from __future__ import annotations

import numpy as np

from usidx.fit.compiled import compiled
from usidx.fit.levenberg import invert, minimise
from usidx.fit.machine import TILE, Row, Rows, run_numbers, run_rows
from usidx.fit.recipe import Recipe, Scratch
from usidx.fit.starts import find_start

__all__ = ["evaluate_rows", "solve_rows"]

_EXACT = 1e-14  # of the size of the data: a residual below it is rounding
_FLAT = 1e-12  # of the size of the data: a spread below it is no spread


@compiled
def solve_rows(
    recipe: Recipe,
    work: Scratch,
    x: Rows,
    y: Rows,
    weight: Rows,
    given: Rows,
    candidates: Rows,
    use: Row,
    out: Rows,
) -> None:
    """Fit each spectrum of `y` (spectrum, sample, part) by itself and fill `out` (spectrum, figure)."""
    for i in range(y.shape[0]):
        own = min(i, weight.shape[0] - 1)
        size = _load(work, x[:, min(i, x.shape[1] - 1)], y[i], weight[own : own + 1])
        own = min(i, given.shape[0] - 1)
        _solve_one(recipe, work, candidates[min(i, candidates.shape[0] - 1)], given[own], size, use, out[i])


@compiled
def _load(work: Scratch, x: Rows, y: Rows, weight: Rows) -> int:
    """Copy the samples that are finite, in ascending order of a single coordinate; return how many there are."""
    size = 0
    ascending = True
    for i in range(y.shape[0]):
        fine = True
        for k in range(x.shape[0]):
            fine = fine and np.isfinite(x[k, i])
        for part in range(y.shape[1]):
            fine = fine and np.isfinite(y[i, part])
        if weight.shape[0]:
            fine = fine and np.isfinite(weight[0, i]) and weight[0, i] > 0.0
        if fine:
            for k in range(x.shape[0]):
                work.x[k, size] = x[k, i]
            for part in range(y.shape[1]):
                work.y[part, size] = y[i, part]
            if weight.shape[0]:
                work.weight[size] = weight[0, i]
            ascending = ascending and (size == 0 or work.x[0, size] >= work.x[0, size - 1])
            size += 1
    if not ascending and x.shape[0] == 1:
        _sort(work, size)
    return size


@compiled
def _sort(work: Scratch, size: int) -> None:
    # Stable, so that equal coordinates keep their order and the result is always the same.
    order = np.argsort(work.x[0, :size], kind="mergesort")
    work.x[0, :size] = work.x[0, :size][order]
    for part in range(work.y.shape[0]):
        work.y[part, :size] = work.y[part, :size][order]
    if work.weight.size:
        work.weight[:size] = work.weight[:size][order]


@compiled
def _solve_one(recipe: Recipe, work: Scratch, candidates: Rows, given: Row, size: int, use: Row, out: Row) -> None:
    """Fit the spectrum that is loaded."""
    n = given.size
    out[:] = np.nan
    out[2 * n + 3] = 0.0
    parts, free = work.y.shape[0], recipe.free.size
    if size * parts < max(free, 1):
        out[2 * n + 4] = -2.0
        return
    energy, spread = _spread(work.y, size)
    if spread <= _FLAT**2 * energy and not recipe.linear.all():
        out[2 * n + 4] = -3.0
        return
    weighted = work.weight.size > 0 or recipe.loss != 0
    used = 0
    if np.isnan(given).any():
        used = find_start(recipe, candidates, given, work, size, weighted, use)
    else:
        work.parameters[:] = given
    for j in range(free):
        k = recipe.free[j]
        work.parameters[k] = min(max(work.parameters[k], recipe.lower[j]), recipe.upper[j])
    floor = -1.0 if weighted else _EXACT**2 * energy
    status, evaluations, cost = minimise(recipe, work, size, weighted, floor, use)
    out[2 * n + 3] = used + evaluations
    out[2 * n + 4] = status
    if status > 0:
        _report(recipe, work, size, weighted, spread, cost, use, out)


@compiled
def _spread(y: Rows, size: int) -> tuple[float, float]:
    """Return the sum of squares, as it is and about the (complex) mean."""
    energy, spread = 0.0, 0.0
    for part in range(y.shape[0]):
        mean = y[part, :size].mean()
        for i in range(size):
            energy += y[part, i] ** 2
            spread += (y[part, i] - mean) ** 2
    return energy, spread


@compiled
def _report(
    recipe: Recipe, work: Scratch, size: int, weighted: bool, spread: float, cost: float, use: Row, out: Row
) -> None:
    """Fill in the figures of a fit that converged, or say that the data does not determine it."""
    n, free = work.parameters.size, recipe.free.size
    chi2, squares = cost, cost
    if weighted:
        chi2, squares = _plain_chi2(recipe, work, size)
    freedom = size * work.y.shape[0] - free
    redchi = chi2 / freedom if freedom > 0 else np.nan
    inverse = work.trial_matrix
    determined = invert(work.matrix, use, work.factor, work.step, inverse)
    for j in range(free):
        p = work.parameters[recipe.free[j]]
        on_bound = p <= recipe.lower[j] or p >= recipe.upper[j]
        determined = determined and (use[j] > 0 or on_bound) and np.isfinite(p)
    if not determined:
        out[2 * n + 4] = -3.0
        return
    out[:n] = work.parameters
    out[n : 2 * n] = 0.0
    for j in range(free):
        out[n + recipe.free[j]] = np.sqrt(inverse[j, j] * redchi) if use[j] > 0 else np.nan
    out[2 * n] = chi2
    out[2 * n + 1] = redchi
    out[2 * n + 2] = 1.0 - squares / spread if spread > 0.0 else np.nan
    if out.size > 2 * n + 5:
        _write_covariance(recipe, inverse, redchi, use, out[2 * n + 5 :])


@compiled
def _write_covariance(recipe: Recipe, inverse: Rows, redchi: float, use: Row, out: Row) -> None:
    n = int(np.sqrt(out.size))
    out[:] = 0.0
    for j in range(recipe.free.size):
        for k in range(recipe.free.size):
            known = use[j] > 0 and use[k] > 0
            out[recipe.free[j] * n + recipe.free[k]] = inverse[j, k] * redchi if known else np.nan


@compiled
def _plain_chi2(recipe: Recipe, work: Scratch, size: int) -> tuple[float, float]:
    """Return the sum of squared residuals with and without weights; the loss has no part in it."""
    work.numbers[: work.parameters.size] = work.parameters
    run_numbers(recipe.number_code, work.numbers)
    chi2, squares = 0.0, 0.0
    for start in range(0, size, TILE):
        n = min(TILE, size - start)
        for k in range(work.x.shape[0]):
            work.rows[k, :n] = work.x[k, start : start + n]
        run_rows(recipe.row_code, work.numbers, work.rows, n)
        for part in range(work.y.shape[0]):
            value = work.rows[recipe.outputs[part, 0]]
            for i in range(n):
                residual = work.y[part, start + i] - value[i]
                weight = work.weight[start + i] if work.weight.size else 1.0
                squares += residual * residual
                chi2 += (residual * weight) ** 2
    return chi2, squares


@compiled
def evaluate_rows(recipe: Recipe, work: Scratch, x: Rows, parameters: Rows, out: Rows) -> None:
    """Fill `out` (spectrum, sample, part) with the model at each row of parameters."""
    for i in range(out.shape[0]):
        own = x[:, min(i, x.shape[1] - 1)]
        work.numbers[: parameters.shape[1]] = parameters[i]
        run_numbers(recipe.number_code, work.numbers)
        for start in range(0, out.shape[1], TILE):
            n = min(TILE, out.shape[1] - start)
            for k in range(x.shape[0]):
                work.rows[k, :n] = own[k, start : start + n]
            run_rows(recipe.row_code, work.numbers, work.rows, n)
            for part in range(out.shape[2]):
                value = work.rows[recipe.outputs[part, 0]]
                for j in range(n):
                    out[i, start + j, part] = value[j]
