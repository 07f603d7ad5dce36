"""One spectrum and start values -> best parameters, by Levenberg and Marquardt's method, in machine code.

The normal equations are scaled to a unit diagonal, so that volts at 1e-12 and hertz at 1e6 stand side by side.
Importing this module imports numba; do so only inside a function.

References
----------
D. W. Marquardt, J. Soc. Indust. Appl. Math. 11, 431 (1963); damping after H. B. Nielsen, report IMM-REP-1999-05,
Technical University of Denmark (1999).
"""

from __future__ import annotations

import math

from usidx.fit.compiled import compiled
from usidx.fit.linear import solve
from usidx.fit.machine import Equations, Integers, Rows, copy_into
from usidx.fit.recipe import (
    AT_PARAMETERS,
    AT_TRIAL,
    FREE,
    GRADIENT,
    LOWER,
    MATRIX,
    MAX_EVALUATIONS,
    N_FREE,
    N_PARAMETERS,
    PARAMETERS,
    READY,
    SETTINGS,
    START_COST,
    STEP,
    TOLERANCE,
    TRIAL,
    TRIAL_GRADIENT,
    TRIAL_MATRIX,
    UPPER,
    USE,
)

__all__ = ["minimise"]

_HOPELESS = 1e12  # damping beyond which a step is no step


@compiled
def minimise(
    equations: Equations, head: Integers, info: Integers, code: Integers, bench: Rows, data: Rows, floor: float
) -> tuple[int, int, float]:
    """Improve the parameters until the next step promises nothing.

    `equations` is `usidx.fit.normal.normal_equations`, handed in as a pointer. Returns (status,
    evaluations, cost); the normal equations of the last point stay in `bench`.
    """
    known = head[READY] > 0
    cost = bench[SETTINGS, START_COST] if known else equations(head, info, code, bench, data, AT_PARAMETERS)
    evaluations, damping, growth = 0 if known else 1, 1e-3, 2.0
    singular = False  # whether the equations here cannot be solved with less damping
    if not math.isfinite(cost):
        return -4, evaluations, cost
    while True:
        end = 2 if _hold(head, info, bench) > 0 else 1
        if cost <= floor:
            return 3, evaluations, cost
        promised = solve(head, info, bench, GRADIENT, damping)
        if promised < 0.0:
            damping, singular = max(10.0 * damping, 1e-6), True
            if damping > _HOPELESS:
                return -3, evaluations, cost
            continue
        if promised * (1.0 + damping) <= bench[SETTINGS, TOLERANCE] * cost:
            if growth > 2.0 or singular:
                return end, evaluations, cost
            if damping <= 1e-9:
                # The step is far below the standard errors, so it is taken without looking again.
                _move(head, info, bench)
                copy_into(bench[PARAMETERS], bench[TRIAL], head[N_PARAMETERS])
                return end, evaluations, cost - promised
            # Damping hides what weakly determined parameters still promise: look again without.
            damping = 1e-10
            continue
        if evaluations >= head[MAX_EVALUATIONS]:
            return -1, evaluations, cost
        if damping > _HOPELESS or not _move(head, info, bench):
            # No step helps: either the residual is down to rounding, or the surface is not what J says.
            return (end if cost <= 1e8 * floor else -5), evaluations, cost
        new = equations(head, info, code, bench, data, AT_TRIAL)
        evaluations += 1
        if new < cost:
            damping *= max(0.05, 1.0 - (2.0 * (cost - new) / promised - 1.0) ** 3)
            growth, cost, singular = 2.0, new, False
            _accept(head, bench)
        else:
            damping, growth = max(damping, 1e-9) * growth, 2.0 * growth


@compiled
def _hold(head: Integers, info: Integers, bench: Rows) -> int:
    """Mark the parameters that may move: not those on a bound that the gradient pushes out. Return how many stay."""
    held = 0
    for j in range(head[N_FREE]):
        p, gradient = bench[PARAMETERS, info[FREE, j]], bench[GRADIENT, j]
        out = (p <= bench[LOWER, j] and gradient <= 0.0) or (p >= bench[UPPER, j] and gradient >= 0.0)
        info[USE, j] = 0 if out or not bench[head[MATRIX] + j, j] > 0.0 else 1
        held += 1 if out else 0
    return held


@compiled
def _move(head: Integers, info: Integers, bench: Rows) -> bool:
    """Put the step's end, kept within the bounds, in the row TRIAL; False where nothing moved."""
    moved = False
    copy_into(bench[TRIAL], bench[PARAMETERS], head[N_PARAMETERS])
    for j in range(head[N_FREE]):
        k = info[FREE, j]
        bench[TRIAL, k] = min(max(bench[PARAMETERS, k] + bench[STEP, j], bench[LOWER, j]), bench[UPPER, j])
        moved = moved or bench[TRIAL, k] != bench[PARAMETERS, k]
    return moved


@compiled
def _accept(head: Integers, bench: Rows) -> None:
    """Make the trial point the current one."""
    copy_into(bench[PARAMETERS], bench[TRIAL], head[N_PARAMETERS])
    copy_into(bench[GRADIENT], bench[TRIAL_GRADIENT], head[N_FREE])
    for j in range(head[N_FREE]):
        copy_into(bench[head[MATRIX] + j], bench[head[TRIAL_MATRIX] + j], j + 1)
