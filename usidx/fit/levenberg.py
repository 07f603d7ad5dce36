"""One spectrum and start values -> best parameters, by Levenberg and Marquardt's method, in machine code.

The normal equations are scaled to a unit diagonal, so that volts at 1e-12 and hertz at 1e6 stand side by side.

References
----------
D. W. Marquardt, J. Soc. Indust. Appl. Math. 11, 431 (1963); damping after H. B. Nielsen, report IMM-REP-1999-05,
Technical University of Denmark (1999). Importing this module imports numba; do so only inside a function.
"""

from __future__ import annotations

import numpy as np

from usidx.fit.compiled import compiled
from usidx.fit.machine import TILE, Row, Rows, run_numbers, run_rows
from usidx.fit.recipe import Recipe, Scratch

__all__ = ["invert", "minimise", "normal_equations", "solve_subset"]

_HOPELESS = 1e12  # damping beyond which a step is no step
_PIVOT = 1e-14  # of a unit diagonal: below it a parameter is a combination of the others


@compiled
def normal_equations(
    recipe: Recipe, work: Scratch, parameters: Row, size: int, weighted: bool, matrix: Rows, gradient: Row
) -> float:
    """Fill J'J and J'r at some parameters and return the cost, tile by tile."""
    work.numbers[: parameters.size] = parameters
    run_numbers(recipe.number_code, work.numbers)
    matrix[:] = 0.0
    gradient[:] = 0.0
    cost = 0.0
    for start in range(0, size, TILE):
        n = min(TILE, size - start)
        for k in range(work.x.shape[0]):
            work.rows[k, :n] = work.x[k, start : start + n]
        run_rows(recipe.row_code, work.numbers, work.rows, n)
        for part in range(work.y.shape[0]):
            residual = work.weighted[0]
            value = work.rows[recipe.outputs[part, 0]]
            y = work.y[part, start : start + n]
            for i in range(n):
                residual[i] = y[i] - value[i]
            if weighted:
                cost += _weigh(recipe, work, part, start, n)
                _accumulate(work.weighted, _counting(recipe.free.size), residual, n, matrix, gradient)
            else:
                cost += _dot(residual, residual, n)
                _accumulate(work.rows, recipe.outputs[part, 1:], residual, n, matrix, gradient)
    return cost


@compiled
def _counting(n: int) -> Row:
    return np.arange(1, n + 1)


@compiled
def _dot(a: Row, b: Row, n: int) -> float:
    total = 0.0
    for i in range(n):
        total += a[i] * b[i]
    return total


@compiled
def _accumulate(rows: Rows, which: Row, residual: Row, n: int, matrix: Rows, gradient: Row) -> None:
    """Add a tile to the normal equations (the lower triangle)."""
    for j in range(which.size):
        if which[j] < 0:
            continue
        a = rows[which[j]]
        gradient[j] += _dot(a, residual, n)
        for k in range(j + 1):
            if which[k] >= 0:
                matrix[j, k] += _dot(a, rows[which[k]], n)


@compiled
def _weigh(recipe: Recipe, work: Scratch, part: int, start: int, n: int) -> float:
    """Multiply residual and derivatives of a tile by the weights and by those of the robust loss."""
    residual, weight = work.weighted[0], work.weighted[recipe.free.size + 1]
    cost = 0.0
    for i in range(n):
        weight[i] = work.weight[start + i] if work.weight.size else 1.0
        residual[i] *= weight[i]
        rho, slope = _loss(recipe.loss, residual[i] / recipe.loss_scale)
        cost += rho * recipe.loss_scale**2
        residual[i] *= np.sqrt(slope)
        weight[i] *= np.sqrt(slope)
    for j in range(recipe.free.size):
        source, out = recipe.outputs[part, j + 1], work.weighted[j + 1]
        for i in range(n):
            out[i] = work.rows[source, i] * weight[i] if source >= 0 else 0.0
    return cost


@compiled
def _loss(kind: int, residual: float) -> tuple[float, float]:
    """Return the loss and its slope by the square of the residual."""
    z = residual * residual
    if kind == 1:
        root = np.sqrt(1.0 + z)
        return 2.0 * (root - 1.0), 1.0 / root
    if kind == 2 and z > 1.0:
        return 2.0 * np.sqrt(z) - 1.0, 1.0 / np.sqrt(z)
    if kind == 3:
        return np.log1p(z), 1.0 / (1.0 + z)
    return z, 1.0


@compiled
def solve_subset(matrix: Rows, gradient: Row, use: Row, damping: float, factor: Rows, step: Row) -> float:
    """Solve the damped, diagonally scaled normal equations for the parameters in `use`.

    The step is left in `step` (0 for the others). Returns the fall of the cost that the linear model promises,
    -1 where the equations are singular.
    """
    n = gradient.size
    for j in range(n):
        step[j] = 0.0
        for k in range(j + 1):
            factor[j, k] = 0.0
            if use[j] > 0 and use[k] > 0:
                factor[j, k] = matrix[j, k] / (np.sqrt(matrix[j, j]) * np.sqrt(matrix[k, k]))
        factor[j, j] = 1.0 + damping
        if use[j] > 0:
            step[j] = gradient[j] / np.sqrt(matrix[j, j])
    if not _cholesky(factor, n):
        return -1.0
    _back_substitute(factor, step, n)
    promised = 0.0
    for j in range(n):
        if use[j] > 0:
            scaled = step[j]
            promised += scaled * (gradient[j] / np.sqrt(matrix[j, j]) + damping * scaled)
            step[j] = scaled / np.sqrt(matrix[j, j])
    return promised


@compiled
def _cholesky(a: Rows, n: int) -> bool:
    """Factor the lower triangle in place; False where a pivot vanishes or is not a number."""
    for j in range(n):
        for k in range(j):
            total = a[j, k]
            for m in range(k):
                total -= a[j, m] * a[k, m]
            a[j, k] = total / a[k, k]
        total = a[j, j]
        for m in range(j):
            total -= a[j, m] * a[j, m]
        if not total > _PIVOT:
            return False
        a[j, j] = np.sqrt(total)
    return True


@compiled
def _back_substitute(a: Rows, b: Row, n: int) -> None:
    for j in range(n):
        for k in range(j):
            b[j] -= a[j, k] * b[k]
        b[j] /= a[j, j]
    for j in range(n - 1, -1, -1):
        for k in range(j + 1, n):
            b[j] -= a[k, j] * b[k]
        b[j] /= a[j, j]


@compiled
def invert(matrix: Rows, use: Row, factor: Rows, step: Row, inverse: Rows) -> bool:
    """Fill the inverse of the normal equations over the parameters in `use`; False where they are singular."""
    n = step.size
    unit = np.zeros(n)
    for j in range(n):
        if use[j] > 0 and not matrix[j, j] > 0.0:
            return False
    for j in range(n):
        unit[:] = 0.0
        unit[j] = 1.0
        if solve_subset(matrix, unit, use, 0.0, factor, step) < 0.0:
            return False
        inverse[:, j] = step
    return True


@compiled
def _held(recipe: Recipe, parameters: Row, matrix: Rows, gradient: Row, use: Row) -> int:
    """Mark the parameters that may move: not those on a bound that the gradient pushes out. Return how many are held."""
    held = 0
    for j in range(use.size):
        p = parameters[recipe.free[j]]
        out = (p <= recipe.lower[j] and gradient[j] <= 0.0) or (p >= recipe.upper[j] and gradient[j] >= 0.0)
        use[j] = 0 if out or not matrix[j, j] > 0.0 else 1
        held += out
    return held


@compiled
def _move(recipe: Recipe, work: Scratch) -> bool:
    """Put the step's end, kept within the bounds, in `trial`; False where nothing moved."""
    moved = False
    work.trial[:] = work.parameters
    for j in range(recipe.free.size):
        k = recipe.free[j]
        work.trial[k] = min(max(work.parameters[k] + work.step[j], recipe.lower[j]), recipe.upper[j])
        moved = moved or work.trial[k] != work.parameters[k]
    return moved


@compiled
def minimise(recipe: Recipe, work: Scratch, size: int, weighted: bool, floor: float, use: Row) -> tuple[int, int, float]:
    """Improve `work.parameters` until the next step promises nothing.

    Returns (status, evaluations, cost); normal equations of the last point are left in `work`.
    """
    cost = normal_equations(recipe, work, work.parameters, size, weighted, work.matrix, work.gradient)
    evaluations, damping, growth = 1, 1e-3, 2.0
    if not np.isfinite(cost):
        return -4, evaluations, cost
    while True:
        held = _held(recipe, work.parameters, work.matrix, work.gradient, use)
        end = 2 if held else 1
        if cost <= floor:
            return 3, evaluations, cost
        promised = solve_subset(work.matrix, work.gradient, use, damping, work.factor, work.step)
        if promised < 0.0:
            damping = max(10.0 * damping, 1e-6)
            if damping > _HOPELESS:
                return -3, evaluations, cost
            continue
        if promised * (1.0 + damping) <= recipe.tolerance * cost:
            if damping <= 1e-9 or growth > 2.0:
                return end, evaluations, cost
            # Damping hides what weakly determined parameters still promise: look again without.
            damping = 1e-10
            continue
        if evaluations >= recipe.max_evaluations:
            return -1, evaluations, cost
        if damping > _HOPELESS or not _move(recipe, work):
            # No step helps: either the residual is down to rounding, or the surface is not what J says.
            return (end if cost <= 1e8 * floor else -5), evaluations, cost
        new = normal_equations(recipe, work, work.trial, size, weighted, work.trial_matrix, work.trial_gradient)
        evaluations += 1
        if new < cost:
            damping *= max(0.05, 1.0 - (2.0 * (cost - new) / promised - 1.0) ** 3)
            growth, cost = 2.0, new
            work.parameters[:] = work.trial
            work.matrix[:] = work.trial_matrix
            work.gradient[:] = work.trial_gradient
        else:
            damping, growth = max(damping, 1e-9) * growth, 2.0 * growth
