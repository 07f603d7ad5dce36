"""Parameters -> cost, normal equations and residual of a spectrum, in machine code.

Importing this module imports numba; do so only inside a function.
"""

from __future__ import annotations

import math

import numpy as np

from usidx.fitting.compile.interpreter import TILE, Integers, Row, Rows, load_parameters, run_tile
from usidx.fitting.compile.jit import compile_callback, compile_part
from usidx.fitting.compile.layout import (
    AT_TRIAL,
    FOR_RESIDUAL,
    FOR_VARIANCE,
    GRADIENT,
    HAS_WEIGHT,
    LOSS,
    LOSS_SCALE,
    MATRIX,
    N_FREE,
    N_NUMBER_CODE,
    N_PARTS,
    N_VALUE_CODE,
    OUTPUTS,
    PARAMETERS,
    REGISTERS,
    RESIDUAL,
    SAMPLES,
    SCALED,
    SETTINGS,
    TRIAL,
    TRIAL_GRADIENT,
    TRIAL_MATRIX,
    WEIGHT,
    ZERO,
    Y,
)
from usidx.fitting.compile.robust_variance import compute_robust_variance

__all__ = ["fill_normal_equations"]


@compile_part
def _fill(head: Integers, info: Integers, code: Integers, bench: Rows, data: Rows, trial: bool) -> float:
    """Fill J'J and J'r, tile by tile, and return the cost; at a trial point leave the residual too."""
    matrix = head[TRIAL_MATRIX] if trial else head[MATRIX]
    gradient = TRIAL_GRADIENT if trial else GRADIENT
    for j in range(head[N_FREE]):
        bench[gradient, j] = 0.0
        for k in range(j + 1):
            bench[matrix + j, k] = 0.0
    weighted = head[HAS_WEIGHT] > 0 or head[LOSS] > 0
    cost = 0.0
    for start in range(0, head[SAMPLES], TILE):
        n = min(TILE, head[SAMPLES] - start)
        run_tile(head, code, bench, data, start, n, code.shape[0] - head[N_NUMBER_CODE])
        for part in range(head[N_PARTS]):
            residual, value = bench[head[SCALED]], bench[head[REGISTERS] + info[OUTPUTS + part, 0]]
            y = data[head[Y] + part]
            for i in range(n):
                residual[i] = y[start + i] - value[i]
            if trial:
                left = data[head[RESIDUAL] + part]
                for i in range(n):
                    left[start + i] = residual[i]
            if weighted:
                cost += _weigh(head, info, bench, data, part, start, n)
            else:
                cost += _sum_products(residual, residual, n)
            _accumulate(head, info, bench, part, n, matrix, gradient, weighted)
    return cost


@compile_part
def _accumulate(
    head: Integers, info: Integers, bench: Rows, part: int, n: int, matrix: int, gradient: int, weighted: bool
) -> None:
    """Add a tile to the normal equations: the lower triangle, two products at a time."""
    residual = bench[head[SCALED]]
    for j in range(head[N_FREE]):
        a = bench[_locate_column(head, info, part, j, weighted)]
        first, second = _sum_two_products(a, residual, a, n)
        bench[gradient, j] += first
        bench[matrix + j, j] += second
        for k in range(0, j - 1, 2):
            b, c = _locate_column(head, info, part, k, weighted), _locate_column(head, info, part, k + 1, weighted)
            first, second = _sum_two_products(a, bench[b], bench[c], n)
            bench[matrix + j, k] += first
            bench[matrix + j, k + 1] += second
        if j % 2 == 1:
            bench[matrix + j, j - 1] += _sum_products(a, bench[_locate_column(head, info, part, j - 1, weighted)], n)


@compile_part
def _locate_column(head: Integers, info: Integers, part: int, j: int, weighted: bool) -> int:
    """Return the row of `bench` with the derivatives by a free parameter."""
    register = info[OUTPUTS + part, 1 + j]
    if register < 0:
        return ZERO
    row: int = head[SCALED] + 1 + j if weighted else head[REGISTERS] + register
    return row


@compile_part
def _sum_products(a: Row, b: Row, n: int) -> float:
    total = 0.0
    for i in range(n):
        total += a[i] * b[i]
    return total


@compile_part
def _sum_two_products(a: Row, b: Row, c: Row, n: int) -> tuple[float, float]:
    first, second = 0.0, 0.0
    for i in range(n):
        first += a[i] * b[i]
        second += a[i] * c[i]
    return first, second


@compile_part
def _leave_residual(head: Integers, info: Integers, code: Integers, bench: Rows, data: Rows) -> float:
    """Put data minus model into the rows RESIDUAL and return the sum of its squares."""
    total = 0.0
    for start in range(0, head[SAMPLES], TILE):
        n = min(TILE, head[SAMPLES] - start)
        run_tile(head, code, bench, data, start, n, head[N_VALUE_CODE])
        for part in range(head[N_PARTS]):
            value = bench[head[REGISTERS] + info[OUTPUTS + part, 0]]
            y, residual = data[head[Y] + part], data[head[RESIDUAL] + part]
            for i in range(n):
                residual[start + i] = y[start + i] - value[i]
                total += residual[start + i] * residual[start + i]
    return total


@compile_part
def _weigh(head: Integers, info: Integers, bench: Rows, data: Rows, part: int, start: int, n: int) -> float:
    """Multiply residual and derivatives of a tile by the weights and by those of the robust loss."""
    residual, weight = bench[head[SCALED]], bench[head[SCALED] + head[N_FREE] + 1]
    scale, cost = bench[SETTINGS, LOSS_SCALE], 0.0
    for i in range(n):
        weight[i] = data[head[WEIGHT], start + i] if head[HAS_WEIGHT] > 0 else 1.0
        residual[i] *= weight[i]
        rho, slope = _evaluate_loss(head[LOSS], residual[i] / scale)
        cost += rho * scale * scale
        residual[i] *= math.sqrt(slope)
        weight[i] *= math.sqrt(slope)
    for j in range(head[N_FREE]):
        if info[OUTPUTS + part, j + 1] >= 0:
            source, out = bench[head[REGISTERS] + info[OUTPUTS + part, j + 1]], bench[head[SCALED] + 1 + j]
            for i in range(n):
                out[i] = source[i] * weight[i]
    return cost


@compile_part
def _evaluate_loss(kind: int, residual: float) -> tuple[float, float]:
    """Return the loss and its slope by the square of the residual."""
    z = residual * residual
    if kind == 1:
        root = math.sqrt(1.0 + z)
        return 2.0 * (root - 1.0), 1.0 / root
    if kind == 2 and z > 1.0:
        return 2.0 * math.sqrt(z) - 1.0, 1.0 / math.sqrt(z)
    if kind == 3:
        return np.log1p(z), 1.0 / (1.0 + z)
    return z, 1.0


@compile_part
def _fill_without_loss(head: Integers, info: Integers, code: Integers, bench: Rows, data: Rows) -> float:
    """Fill the equations of plain squares, which the covariance of a robust estimate starts from.

    Returns what their inverse is multiplied by in the place of the noise's variance.
    """
    loss = head[LOSS]
    head[LOSS] = 0
    _fill(head, info, code, bench, data, False)
    head[LOSS] = loss
    variance: float = compute_robust_variance(head, bench, data)
    return variance


@compile_callback
def fill_normal_equations(
    head: Integers, info: Integers, code: Integers, bench: Rows, data: Rows, purpose: int
) -> float:
    """Fill the normal equations, or the residual, for a row of parameters and return the cost.

    For AT_PARAMETERS and AT_TRIAL the matrix and gradient of that name; for AT_TRIAL and FOR_RESIDUAL the rows
    RESIDUAL. For FOR_VARIANCE, after a robust fit, the equations of plain squares; then the variance is returned.
    """
    load_parameters(head, code, bench, TRIAL if purpose == AT_TRIAL else PARAMETERS)
    if purpose == FOR_RESIDUAL:
        return _leave_residual(head, info, code, bench, data)
    if purpose == FOR_VARIANCE:
        return _fill_without_loss(head, info, code, bench, data)
    return _fill(head, info, code, bench, data, purpose == AT_TRIAL)
