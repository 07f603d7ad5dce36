"""Normal equations -> step and covariance, in machine code.

Importing this module imports numba; do so only inside a function.
"""

from __future__ import annotations

import math

from usidx.fit.compiled import compiled
from usidx.fit.machine import Integers, Row, Rows
from usidx.fit.recipe import (
    FACTOR,
    MATRIX,
    N_FREE,
    STEP,
    TRIAL_MATRIX,
    UNIT,
    USE,
)

__all__ = ["invert", "solve"]

_PIVOT = 1e-14  # of a unit diagonal: below it a parameter is a combination of the others


@compiled
def solve(head: Integers, info: Integers, bench: Rows, unknown: int, damping: float) -> float:
    """Solve the damped, diagonally scaled normal equations for the parameters in use.

    The right side is the row `unknown` of `bench`; the solution is left in the row STEP (0 for the others). Returns
    the fall of the cost that the linear model promises, -1 where the equations are singular.
    """
    n, matrix, factor, step = head[N_FREE], head[MATRIX], head[FACTOR], bench[STEP]
    right, root = bench[unknown], bench[head[FACTOR] + head[N_FREE]]
    for j in range(n):
        used = info[USE, j] > 0
        root[j] = 1.0 / math.sqrt(bench[matrix + j, j]) if used else 1.0
        step[j] = right[j] * root[j] if used else 0.0
        for k in range(j):
            known = used and info[USE, k] > 0
            bench[factor + j, k] = bench[matrix + j, k] * root[j] * root[k] if known else 0.0
        bench[factor + j, j] = 1.0 + damping
    if not _cholesky(bench, factor, n):
        return -1.0
    _substitute(bench, factor, step, n)
    promised = 0.0
    for j in range(n):
        if info[USE, j] > 0:
            promised += step[j] * (right[j] * root[j] + damping * step[j])
            step[j] *= root[j]
    return promised


@compiled
def _cholesky(bench: Rows, first: int, n: int) -> bool:
    """Factor the lower triangle in place, one by each pivot in its place; False where one vanishes or is no number."""
    for j in range(n):
        for k in range(j):
            total = bench[first + j, k]
            for m in range(k):
                total -= bench[first + j, m] * bench[first + k, m]
            bench[first + j, k] = total * bench[first + k, k]
        total = bench[first + j, j]
        for m in range(j):
            total -= bench[first + j, m] * bench[first + j, m]
        if not total > _PIVOT:
            return False
        bench[first + j, j] = 1.0 / math.sqrt(total)
    return True


@compiled
def _substitute(bench: Rows, first: int, b: Row, n: int) -> None:
    for j in range(n):
        for k in range(j):
            b[j] -= bench[first + j, k] * b[k]
        b[j] *= bench[first + j, j]
    for j in range(n - 1, -1, -1):
        for k in range(j + 1, n):
            b[j] -= bench[first + k, j] * b[k]
        b[j] *= bench[first + j, j]


@compiled
def invert(head: Integers, info: Integers, bench: Rows) -> bool:
    """Put the inverse over the parameters in use into TRIAL_MATRIX; False where the equations are singular."""
    n, factor, step = head[N_FREE], head[FACTOR], bench[STEP]
    root = bench[factor + n]
    for k in range(n):
        bench[UNIT, k] = 0.0
    if solve(head, info, bench, UNIT, 0.0) < 0.0:
        return False
    for j in range(n):
        for k in range(n):
            step[k] = root[j] if k == j and info[USE, j] > 0 else 0.0
        _substitute(bench, factor, step, n)
        for k in range(n):
            bench[head[TRIAL_MATRIX] + k, j] = step[k] * root[k]
    return True
