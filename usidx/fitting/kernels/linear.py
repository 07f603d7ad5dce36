"""Normal equations -> step and covariance, in machine code.

The matrix is factored into L D L' (Cholesky's factors without roots), which does not mind how large or small the
parameters are: only ratios within a row are compared. The factors stay in `bench`, and `invert` takes them from there.
Importing this module imports numba; do so only inside a function.

References
----------
G. H. Golub and C. F. Van Loan, Matrix Computations, Johns Hopkins (2013), section 4.1.
"""

from __future__ import annotations

from usidx.fitting.compile.interpreter import Integers, Rows
from usidx.fitting.compile.jit import compile_part
from usidx.fitting.compile.layout import (
    FACTOR,
    MATRIX,
    N_FREE,
    STEP,
    TRIAL_MATRIX,
    UNIT,
    USE,
)

__all__ = ["invert", "solve"]

_PIVOT = 1e-14  # of the diagonal: below it a parameter is a combination of the others


@compile_part
def solve(head: Integers, info: Integers, bench: Rows, unknown: int, damping: float) -> float:
    """Solve the damped normal equations for the parameters in use.

    The right side is the row `unknown` of `bench`; the solution is left in the row STEP (0 for the others). Returns
    the fall of the cost that the linear model promises, -1 where the equations are singular.
    """
    # Factor and substitute forwards in one go: row j of L is all that step[j] needs.
    n, matrix, factor, step, right = head[N_FREE], head[MATRIX], head[FACTOR], bench[STEP], bench[unknown]
    for j in range(n):
        if not _factor_row(info, bench, matrix, factor, n, j, damping):
            return -1.0
        step[j] = right[j] if info[USE, j] > 0 else 0.0
        for k in range(j):
            step[j] -= bench[factor + j, k] * step[k]
    # Substitute backwards. The linear model promises step' (right + damping diag step).
    promised = 0.0
    for j in range(n - 1, -1, -1):
        step[j] *= bench[factor + j, j]
        for k in range(j + 1, n):
            step[j] -= bench[factor + k, j] * step[k]
        if info[USE, j] > 0:
            promised += step[j] * (right[j] + damping * bench[matrix + j, j] * step[j])
    return promised


@compile_part
def _factor_row(info: Integers, bench: Rows, matrix: int, factor: int, n: int, j: int, damping: float) -> bool:
    """Work out a row of L, one by its pivot in the diagonal's place; False where the pivot vanishes or is no number."""
    used, row = info[USE, j] > 0, bench[factor + n]
    # A parameter that is held gets the row of a unit matrix, and so a step of zero.
    diagonal = bench[matrix + j, j] if used else 1.0
    pivot = diagonal + damping * diagonal
    for k in range(j):
        row[k] = bench[matrix + j, k] if used and info[USE, k] > 0 else 0.0
        for m in range(k):
            row[k] -= row[m] * bench[factor + k, m]
        bench[factor + j, k] = row[k] * bench[factor + k, k]
        pivot -= row[k] * bench[factor + j, k]
    if not pivot > _PIVOT * diagonal:
        return False
    bench[factor + j, j] = 1.0 / pivot
    return True


@compile_part
def invert(head: Integers, info: Integers, bench: Rows, factored: bool) -> bool:
    """Put the lower triangle of the inverse over the parameters in use into TRIAL_MATRIX; False where it is singular.

    `factored` says that the undamped equations were the last that `solve` worked on.
    """
    n, factor, inverse = head[N_FREE], head[FACTOR], head[TRIAL_MATRIX]
    if not factored:
        for k in range(n):
            bench[UNIT, k] = 0.0
        if solve(head, info, bench, UNIT, 0.0) < 0.0:
            return False
    # The inverse of L; then, row by row in its place, of L D L'.
    for j in range(n):
        for k in range(j):
            total = -bench[factor + j, k]
            for m in range(k + 1, j):
                total -= bench[factor + j, m] * bench[inverse + m, k]
            bench[inverse + j, k] = total
        bench[inverse + j, j] = 1.0
    for j in range(n):
        for k in range(j + 1):
            total = 0.0
            for m in range(j, n):
                total += bench[inverse + m, j] * bench[inverse + m, k] * bench[factor + m, m]
            bench[inverse + j, k] = total
    return True
