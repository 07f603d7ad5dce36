"""Many spectra -> one row of figures each, in machine code.

What a row holds is said in `kernels.columns`. Importing this module imports numba; do so only inside a function.
"""

from __future__ import annotations

import math

import numpy as np

from usidx.fitting.compile.interpreter import Equations, Integers, Row, Rows, copy_into
from usidx.fitting.compile.jit import compile_kernel, compile_part, compile_part_in_order
from usidx.fitting.compile.layout import (
    FACTORED,
    FOR_RESIDUAL,
    FOR_VARIANCE,
    FREE,
    GIVEN,
    HAS_WEIGHT,
    LEFT,
    LINEAR,
    LOSS,
    LOSS_SCALE,
    LOWER,
    N_FREE,
    N_PARAMETERS,
    N_PARTS,
    N_VARIABLES,
    PARAMETERS,
    READY,
    RESIDUAL,
    SAMPLES,
    SETTINGS,
    TRIAL_MATRIX,
    UPPER,
    USE,
    WEIGHT,
    Y,
)
from usidx.fitting.kernels.columns import (
    CHI2,
    FITTED_SAMPLES,
    N_FIGURES,
    NFEV,
    NOT_FINITE,
    PATTERN,
    R2,
    REDCHI,
    STATUS,
    TOO_FEW_SAMPLES,
    UNDETERMINED,
    locate_covariance,
    locate_figure,
    locate_stderr,
)
from usidx.fitting.kernels.levenberg_marquardt import minimise
from usidx.fitting.kernels.linear import invert
from usidx.fitting.kernels.pattern import measure_pattern
from usidx.fitting.kernels.start import find_start, keep_within

__all__ = ["evaluate_rows", "solve_rows"]

_EXACT = 1e-14  # of the size of the data: a residual below it is rounding
_ROUNDING = 1e-20  # of the spread: less than that left over has no pattern
_SMALL = 1e-6  # of the square of a loss's scale: a loss below it is a sum of squares
_FLAT = 1e-12  # of the size of the data: a spread below it is no spread

_figure, _stderr, _covariance = (
    compile_part_in_order(locate_figure),
    compile_part_in_order(locate_stderr),
    compile_part_in_order(locate_covariance),
)


@compile_kernel
def solve_rows(
    equations: Equations,
    search: Equations,
    head: Integers,
    info: Integers,
    code: Integers,
    bench: Rows,
    data: Rows,
    x: Rows,
    y: Rows,
    weight: Rows,
    given: Rows,
    candidates: Rows,
    out: Rows,
) -> None:
    """Fit each spectrum of `y` (spectrum, sample, part) by itself and fill `out` (spectrum, figure).

    `equations` is `compile.normal_equations.fill_normal_equations` and `search` is `kernels.resonance.place_resonance`,
    or what is never called, handed in as pointers. The other inputs have one row for each spectrum or one for all:
    `x` (spectrum, variable, sample), `weight` (spectrum, sample), `given` (spectrum, parameter), `candidates`
    (spectrum, term, candidate, parameter).
    """
    for i in range(y.shape[0]):
        own = min(i, weight.shape[0] - 1)
        _load_samples(head, data, x[min(i, x.shape[0] - 1)], y[i], weight[own])
        copy_into(bench[GIVEN], given[min(i, given.shape[0] - 1)], head[N_PARAMETERS])
        _solve_one(
            equations, search, head, info, code, bench, data, candidates[min(i, candidates.shape[0] - 1)], out[i]
        )


@compile_part
def _load_samples(head: Integers, data: Rows, x: Rows, y: Rows, weight: Row) -> None:
    """Copy the samples that are finite in all they have."""
    if _copy_all_samples(head, data, x, y, weight):
        head[SAMPLES] = y.shape[0]
        return
    size = 0
    for i in range(y.shape[0]):
        fine = True
        for k in range(head[N_VARIABLES]):
            data[k, size] = x[k, i]
            fine = fine and math.isfinite(x[k, i])
        for part in range(head[N_PARTS]):
            data[head[Y] + part, size] = y[i, part]
            fine = fine and math.isfinite(y[i, part])
        if head[HAS_WEIGHT] > 0:
            data[head[WEIGHT], size] = weight[i]
            fine = fine and math.isfinite(weight[i]) and weight[i] > 0.0
        size += 1 if fine else 0
    head[SAMPLES] = size


@compile_part
def _copy_all_samples(head: Integers, data: Rows, x: Rows, y: Rows, weight: Row) -> bool:
    """Copy all samples; False where one is not finite, or of no weight. Without a branch per sample it vectorises."""
    # Zero times a number is zero, unless that is infinite or nan.
    left, least = 0.0, np.inf
    for k in range(head[N_VARIABLES]):
        target, source = data[k], x[k]
        for i in range(y.shape[0]):
            target[i] = source[i]
            left += 0.0 * source[i]
    for part in range(head[N_PARTS]):
        target = data[head[Y] + part]
        for i in range(y.shape[0]):
            target[i] = y[i, part]
            left += 0.0 * y[i, part]
    if head[HAS_WEIGHT] > 0:
        target = data[head[WEIGHT]]
        for i in range(y.shape[0]):
            target[i] = weight[i]
            left += 0.0 * weight[i]
            least = min(least, weight[i])
    return left == 0.0 and least > 0.0


@compile_part
def _solve_one(
    equations: Equations,
    search: Equations,
    head: Integers,
    info: Integers,
    code: Integers,
    bench: Rows,
    data: Rows,
    candidates: Rows,
    out: Row,
) -> None:
    """Fit the spectrum that is loaded: refuse what cannot be fitted, find a start, iterate, write the figures."""
    n, free, size = head[N_PARAMETERS], head[N_FREE], head[SAMPLES]
    for k in range(out.size):
        out[k] = np.nan
    out[_figure(n, NFEV)], out[_figure(n, FITTED_SAMPLES)] = 0.0, size
    if size * head[N_PARTS] < max(free, 1):
        out[_figure(n, STATUS)] = TOO_FEW_SAMPLES
        return
    energy, spread = _measure_spread(head, data)
    if not math.isfinite(energy):
        out[_figure(n, STATUS)] = NOT_FINITE
        return
    # A constant tells nothing of the place or the width of a peak; a model that is linear can be fitted to it.
    if spread <= _FLAT * _FLAT * energy and not _is_linear(head, info):
        out[_figure(n, STATUS)] = UNDETERMINED
        return
    evaluations, missing, head[READY] = 0, 0, 0
    for k in range(n):
        bench[PARAMETERS, k] = bench[GIVEN, k]
        missing += 1 if math.isnan(bench[GIVEN, k]) else 0
    wanted = 0
    for j in range(free):
        wanted += 1 if math.isnan(bench[GIVEN, info[FREE, j]]) else 0
    if missing > wanted:  # a parameter that is not fitted has no value
        out[_figure(n, STATUS)] = NOT_FINITE
        return
    if missing > 0:
        evaluations = find_start(equations, search, head, info, code, bench, data, candidates)
    keep_within(head, info, bench)
    # A cost that is only rounding of the data ends the fit.
    floor = _EXACT * _EXACT * (energy if head[HAS_WEIGHT] == 0 else _sum_squares(head, data, Y)[0])
    if head[LOSS] > 0:  # a robust loss is a sum of squares as long as all residuals are far below its scale
        floor = min(floor, _SMALL * bench[SETTINGS, LOSS_SCALE] * bench[SETTINGS, LOSS_SCALE])
    status, more, cost = minimise(equations, head, info, code, bench, data, floor)
    out[_figure(n, NFEV)] = evaluations + more
    out[_figure(n, STATUS)] = status
    if status > 0 and not _write_figures(equations, head, info, code, bench, data, spread, cost, out):
        out[_figure(n, STATUS)] = UNDETERMINED


@compile_part
def _is_linear(head: Integers, info: Integers) -> bool:
    linear = 0
    for j in range(head[N_FREE]):
        linear += info[LINEAR, j]
    return bool(linear == head[N_FREE])


@compile_part
def _measure_spread(head: Integers, data: Rows) -> tuple[float, float]:
    """Return the sum of squares, as it is and about the (complex) mean."""
    energy, spread, size = 0.0, 0.0, head[SAMPLES]
    for part in range(head[N_PARTS]):
        y, mean = data[head[Y] + part], 0.0
        for i in range(size):
            mean += y[i]
        mean /= size
        for i in range(size):
            energy += y[i] * y[i]
            spread += (y[i] - mean) * (y[i] - mean)
    return energy, spread


@compile_part
def _sum_squares(head: Integers, data: Rows, row: int) -> tuple[float, float]:
    """Return the sum of squares of what begins at a row that `head` names, with weights and without."""
    weighted, plain, weight = 0.0, 0.0, data[head[WEIGHT]]
    for part in range(head[N_PARTS]):
        values = data[head[row] + part]
        for i in range(head[SAMPLES]):
            plain += values[i] * values[i]
        if head[HAS_WEIGHT] > 0:
            for i in range(head[SAMPLES]):
                weighted += values[i] * weight[i] * values[i] * weight[i]
    return weighted if head[HAS_WEIGHT] > 0 else plain, plain


@compile_part
def _write_figures(
    equations: Equations,
    head: Integers,
    info: Integers,
    code: Integers,
    bench: Rows,
    data: Rows,
    spread: float,
    cost: float,
    out: Row,
) -> bool:
    """Fill in the figures of a fit that converged; False where the data does not determine it."""
    if head[LEFT] == 0:
        equations(head, info, code, bench, data, FOR_RESIDUAL)
    variance = np.nan
    if head[LOSS] > 0:
        variance, head[FACTORED] = equations(head, info, code, bench, data, FOR_VARIANCE), 0
    n, free, inverse = head[N_PARAMETERS], head[N_FREE], head[TRIAL_MATRIX]
    determined = invert(head, info, bench, head[FACTORED] > 0)
    for j in range(free):
        p = bench[PARAMETERS, info[FREE, j]]
        on_bound = p <= bench[LOWER, j] or p >= bench[UPPER, j]
        determined = determined and math.isfinite(p) and (info[USE, j] > 0 or on_bound)
    if not determined:
        return False
    chi2, squares = cost, cost
    if head[HAS_WEIGHT] > 0 or head[LOSS] > 0:
        chi2, squares = _sum_squares(head, data, RESIDUAL)
    out[_figure(n, PATTERN)] = measure_pattern(head, data, free) if squares > _ROUNDING * spread else 0.0
    freedom = head[SAMPLES] * head[N_PARTS] - free
    redchi = chi2 / freedom if freedom > 0 else np.nan
    variance = redchi if head[LOSS] == 0 else variance
    for k in range(n):
        out[k], out[_stderr(n, k)] = bench[PARAMETERS, k], 0.0
    for j in range(free):
        known = info[USE, j] > 0
        out[_stderr(n, info[FREE, j])] = math.sqrt(bench[inverse + j, j] * variance) if known else np.nan
    out[_figure(n, CHI2)], out[_figure(n, REDCHI)] = chi2, redchi
    out[_figure(n, R2)] = 1.0 - squares / spread if spread > 0.0 else np.nan
    if out.size > _figure(n, N_FIGURES):
        _write_covariance(head, info, bench, variance, out)
    return True


@compile_part
def _write_covariance(head: Integers, info: Integers, bench: Rows, variance: float, out: Row) -> None:
    n = head[N_PARAMETERS]
    for k in range(_covariance(n, 0, 0), out.size):
        out[k] = 0.0
    for j in range(head[N_FREE]):
        for k in range(head[N_FREE]):
            known = info[USE, j] > 0 and info[USE, k] > 0
            value = bench[head[TRIAL_MATRIX] + max(j, k), min(j, k)] * variance if known else np.nan
            out[_covariance(n, info[FREE, j], info[FREE, k])] = value


@compile_kernel
def evaluate_rows(
    equations: Equations,
    head: Integers,
    info: Integers,
    code: Integers,
    bench: Rows,
    data: Rows,
    x: Rows,
    parameters: Rows,
    out: Rows,
) -> None:
    """Fill `out` (spectrum, sample, part) with the model at each row of parameters.

    Data of zeros is what the tables begin with, so the residual (data minus model) is minus the model.
    """
    head[SAMPLES] = out.shape[1]
    for i in range(out.shape[0]):
        copy_into(bench[PARAMETERS], parameters[i], head[N_PARAMETERS])
        own = min(i, x.shape[0] - 1)
        for k in range(head[N_VARIABLES]):
            copy_into(data[k], x[own, k], head[SAMPLES])
        equations(head, info, code, bench, data, FOR_RESIDUAL)
        for part in range(head[N_PARTS]):
            residual = data[head[RESIDUAL] + part]
            for j in range(head[SAMPLES]):
                out[i, j, part] = -residual[j]
