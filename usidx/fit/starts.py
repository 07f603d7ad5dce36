"""One spectrum -> start values of a model, by looking at the data, in machine code.

Parameters that enter linearly are solved for; the others come from a peak found by a matched filter, from the exact
linear form of a resonance, or from a grid of candidates. Terms are found one after the other, each in what the ones
before it left over. Importing this module imports numba; do so only inside a function.

References
----------
The linear form of the damped oscillator: with y = X + iY and h the oscillator's response,
(w^2 + i c w - d) y + (a + i b) = 0, hence w0 = sqrt(d), Q = -w0/c. Solving linear parameters apart: G. H. Golub and
V. Pereyra, SIAM J. Numer. Anal. 10, 413 (1973).
"""

from __future__ import annotations

import numpy as np

from usidx.fit.compiled import compiled
from usidx.fit.levenberg import normal_equations, solve_subset
from usidx.fit.machine import TILE, Row, Rows, run_numbers, run_rows
from usidx.fit.recipe import Recipe, Scratch

__all__ = ["find_start"]

_BOX_PER_FWHM = 1.2  # width of the box that matches a Gaussian best, in full widths at half maximum


@compiled
def find_start(
    recipe: Recipe, candidates: Rows, given: Row, work: Scratch, size: int, weighted: bool, use: Row
) -> int:
    """Leave start values in `work.parameters`; return how often the model was evaluated."""
    p = work.parameters
    for k in range(p.size):
        p[k] = given[k]
        if np.isnan(p[k]):
            p[k] = 0.0 if recipe.role[k] == 3 else candidates[recipe.term[k], 0, k]
    used = 0
    for term in range(recipe.kind.size):
        if recipe.kind[term] == -1:
            used = 1
    if used:
        _solve_linear(recipe, work, given, size, weighted, -1, use)
    for term in range(recipe.kind.size):
        if recipe.kind[term] >= 0:
            used += _place_term(recipe, candidates, given, work, size, weighted, term, use)
    return used


@compiled
def _place_term(
    recipe: Recipe, candidates: Rows, given: Row, work: Scratch, size: int, weighted: bool, term: int, use: Row
) -> int:
    """Try the candidates of one term, the linear parameters solved for each; keep the best."""
    p = work.parameters
    centre, width = np.nan, np.nan
    if recipe.kind[term] > 0:
        _residual(recipe, work, size)
    if recipe.kind[term] == 1:
        centre, width = _find_peak(work.x[0], work.residual[0], size, recipe.sign[term], work.residual[-1])
    best, tried = np.inf, 0
    for c in range(candidates.shape[1]):
        missing = False
        for k in range(p.size):
            if recipe.term[k] == term and recipe.role[k] != 3 and np.isnan(given[k]):
                p[k] = _value(recipe.role[k], candidates[term, c, k], recipe.factor[k], centre, width)
                missing = missing or np.isnan(p[k])
        if missing:
            continue
        if recipe.kind[term] == 2:
            _fit_resonance(recipe, work, given, size, term, c)
        _clip(recipe, p)
        cost = _solve_linear(recipe, work, given, size, weighted, term, use)
        tried += 1
        if cost < best:
            best = cost
            work.best[:] = p
    if tried:
        p[:] = work.best
    return tried


@compiled
def _value(role: int, candidate: float, factor: float, centre: float, width: float) -> float:
    """Return a start value; for a peak's width the candidate is a multiple of the width that was found."""
    if role == 1:
        return centre
    return candidate * factor * width if role == 2 else candidate


@compiled
def _clip(recipe: Recipe, p: Row) -> None:
    for j in range(recipe.free.size):
        k = recipe.free[j]
        p[k] = min(max(p[k], recipe.lower[j]), recipe.upper[j])


@compiled
def _solve_linear(
    recipe: Recipe, work: Scratch, given: Row, size: int, weighted: bool, last: int, use: Row
) -> float:
    """Solve for the linear parameters of the terms found so far and return the cost.

    Terms without any other parameter count as found from the beginning.
    """
    cost = normal_equations(recipe, work, work.parameters, size, weighted, work.matrix, work.gradient)
    for j in range(recipe.free.size):
        k = recipe.free[j]
        found = recipe.kind[recipe.term[k]] == -1 or recipe.term[k] <= last
        wanted = found and recipe.role[k] == 3 and np.isnan(given[k])
        use[j] = 1 if wanted and work.matrix[j, j] > 0.0 else 0
    promised = solve_subset(work.matrix, work.gradient, use, 0.0, work.factor, work.step)
    if promised < 0.0:
        promised = solve_subset(work.matrix, work.gradient, use, 1e-8, work.factor, work.step)
    if promised >= 0.0:
        for j in range(recipe.free.size):
            work.parameters[recipe.free[j]] += work.step[j]
        cost -= promised
    _clip(recipe, work.parameters)
    return cost if np.isfinite(cost) else np.inf


@compiled
def _residual(recipe: Recipe, work: Scratch, size: int) -> None:
    """Put data minus model into `work.residual`."""
    work.numbers[: work.parameters.size] = work.parameters
    run_numbers(recipe.number_code, work.numbers)
    for start in range(0, size, TILE):
        n = min(TILE, size - start)
        for k in range(work.x.shape[0]):
            work.rows[k, :n] = work.x[k, start : start + n]
        run_rows(recipe.row_code, work.numbers, work.rows, n)
        for part in range(work.y.shape[0]):
            value = work.rows[recipe.outputs[part, 0]]
            for i in range(n):
                work.residual[part, start + i] = work.y[part, start + i] - value[i]


@compiled
def _find_peak(x: Row, y: Row, size: int, sign: int, total: Row) -> tuple[float, float]:
    """Return centre and full width at half maximum of the box that, with a constant, explains most of the spectrum."""
    mean = y[:size].mean()
    total[0] = 0.0
    for i in range(size):
        total[i + 1] = total[i] + (y[i] - mean)
    best, first, length, width = -1.0, 0, 1, 1
    while 2 * width <= max(size, 2):
        norm = width * (1.0 - width / size) if size > width else 1.0
        for i in range(0, size - width + 1, max(1, width // 4)):
            inside = total[i + width] - total[i]
            score = inside * inside / norm
            if score > best and inside * sign >= 0.0:
                best, first, length = score, i, width
        width = max(width + 1, width * 3 // 2)
    last = min(first + length, size - 1)
    begin = min(first, last - 1) if last > 0 else 0
    spacing = abs(x[last] - x[begin]) / max(last - begin, 1)
    centre = 0.5 * (x[first] + x[min(first + length - 1, size - 1)])
    return centre, length * spacing / _BOX_PER_FWHM


@compiled
def _fit_resonance(recipe: Recipe, work: Scratch, given: Row, size: int, term: int, candidate: int) -> None:
    """Set frequency, quality factor and phase of an oscillator: candidate 0 exactly, the others from the maximum."""
    p, k = work.parameters, 0
    while recipe.term[k] != term:
        k += 1
    highest, top = -1.0, 0
    for i in range(size):
        power = work.residual[0, i] ** 2 + work.residual[1, i] ** 2
        if power > highest:
            highest, top = power, i
    frequency, quality = work.x[0, top], p[k + 2]
    if candidate == 0:
        frequency, quality = _linear_resonance(work.x[0], work.residual, size, highest, work)
        if not (np.isfinite(frequency) and np.isfinite(quality)):
            frequency, quality = work.x[0, top], p[k + 2]
    p[k + 1] = frequency if np.isnan(given[k + 1]) else given[k + 1]
    p[k + 2] = quality if np.isnan(given[k + 2]) else given[k + 2]
    if np.isnan(given[k + 3]):
        p[k + 3] = _phase(work.x[0], work.residual, size, p[k + 1], p[k + 2])


@compiled
def _linear_resonance(x: Row, y: Rows, size: int, highest: float, work: Scratch) -> tuple[float, float]:
    """Return frequency and quality factor from the linear form, each sample weighted by its power."""
    scale = np.abs(x[:size]).max()
    height = np.sqrt(highest)
    matrix, vector = np.zeros((4, 4)), np.zeros(4)
    for i in range(size):
        w, real, imag = x[i] / scale, y[0, i] / height, y[1, i] / height
        weight = real * real + imag * imag
        # Unknown: c, d, a, b in w^2 X - c w Y - d X + a = 0 and w^2 Y + c w X - d Y + b = 0.
        top = (-w * imag, -real, 1.0, 0.0)
        low = (w * real, -imag, 0.0, 1.0)
        for j in range(4):
            vector[j] -= weight * w * w * (top[j] * real + low[j] * imag)
            for m in range(j + 1):
                matrix[j, m] += weight * (top[j] * top[m] + low[j] * low[m])
    solution, factor = np.zeros(4), np.zeros((4, 4))
    if not solve_subset(matrix, vector, np.ones(4, np.int64), 0.0, factor, solution) >= 0.0:
        return np.nan, np.nan
    c, d = solution[0], solution[1]
    if not d > 0.0 or c == 0.0:
        return np.nan, np.nan
    return np.sqrt(d) * scale, np.sqrt(d) / abs(c)


@compiled
def _phase(x: Row, y: Rows, size: int, frequency: float, quality: float) -> float:
    """Return the phase that turns the oscillator's response onto the data."""
    real, imag = 0.0, 0.0
    for i in range(size):
        w = x[i] / frequency
        d, e = w * w - 1.0, -w / quality
        norm = 1.0 / (d * d + e * e)
        # data times the conjugate of 1 / (d + i e)
        real += (y[0, i] * d - y[1, i] * e) * norm
        imag += (y[0, i] * e + y[1, i] * d) * norm
    return np.arctan2(imag, real)
