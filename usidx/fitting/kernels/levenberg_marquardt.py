"""One spectrum and start values -> best parameters, by Levenberg and Marquardt's method, in machine code.

Each step solves (J'J + damping diag(J'J)) step = J'r, J being the derivatives of the model and r the residual. The
diagonal (Marquardt's scaling) makes a step independent of units, so that volts at 1e-12 and hertz at 1e6 stand side by
side. How far a step lowered the cost, compared with what it promised, decides the next damping (Nielsen's rule).
`solver.numpy_solver` takes the same steps for many spectra side by side; keep the two alike.
Importing this module imports numba; do so only inside a function.

References
----------
D. W. Marquardt, J. Soc. Indust. Appl. Math. 11, 431 (1963); damping after H. B. Nielsen, report IMM-REP-1999-05,
Technical University of Denmark (1999).
"""

from __future__ import annotations

import math

from usidx.fitting.compile.interpreter import Equations, Integers, Rows, copy_into
from usidx.fitting.compile.jit import compile_part
from usidx.fitting.compile.layout import (
    AT_PARAMETERS,
    AT_TRIAL,
    FACTORED,
    FREE,
    GRADIENT,
    LEFT,
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
from usidx.fitting.kernels.columns import (
    CONVERGED,
    CONVERGED_ON_BOUND,
    EXACT,
    NOT_FINITE,
    STUCK,
    TOO_MANY_EVALUATIONS,
    UNDETERMINED,
)
from usidx.fitting.kernels.linear import solve

__all__ = ["minimise"]

_HOPELESS = 1e12  # damping that leaves nothing of a step
_LITTLE, _SOME = 1e-10, 1e-6  # damping that is tried in turn where the equations are singular without


@compile_part
def minimise(
    equations: Equations, head: Integers, info: Integers, code: Integers, bench: Rows, data: Rows, floor: float
) -> tuple[int, int, float]:
    """Improve the parameters until the next step promises nothing.

    `equations` is `usidx.fitting.compile.normal_equations.fill_normal_equations`, or what stands in for it, handed in
    as a pointer. Returns (status, evaluations, cost); the normal equations of the last point stay in `bench`.

    What the next step promises decides. Where it is little, and steps failed before (`growth` above 2), the cost falls
    no further along any of them. Where it is little and all but undamped, it is a Gauss-Newton step, whose end is the
    minimum. Else damping may hide what weakly determined parameters still promise, so it is looked at again without; if
    the equations are singular then, the data does not determine all parameters.

    A step that lowered the cost divides the damping by up to 20; where it kept just half of its promise the damping
    stays (Nielsen's rule). Each failure in a row raises it by twice the factor of the one before.
    """
    known = head[READY] > 0
    cost = bench[SETTINGS, START_COST] if known else equations(head, info, code, bench, data, AT_PARAMETERS)
    evaluations, damping, growth, least = 0 if known else 1, 1e-3, 2.0, 0.0
    head[FACTORED], head[LEFT] = 0, 0
    if not math.isfinite(cost):
        return NOT_FINITE, evaluations, cost
    while True:
        end = CONVERGED_ON_BOUND if _mark_movable(head, info, bench) > 0 else CONVERGED
        if cost <= floor:
            return EXACT, evaluations, cost
        promised = solve(head, info, bench, GRADIENT, damping)
        if promised < 0.0:
            damping, least = _raise_damping(damping, least)
            if damping > _HOPELESS:
                return UNDETERMINED, evaluations, cost
            continue
        if promised * (1.0 + damping) <= bench[SETTINGS, TOLERANCE] * cost:
            if growth > 2.0:
                return end, evaluations, cost
            if damping <= 1e-9:
                return end, evaluations, cost - _take_last_step(head, info, bench, damping, promised)
            if least > _LITTLE:
                return UNDETERMINED, evaluations, cost
            damping = least  # look again without
            continue
        if evaluations >= head[MAX_EVALUATIONS]:
            return TOO_MANY_EVALUATIONS, evaluations, cost
        if damping > _HOPELESS or not _make_trial_point(head, info, bench):
            # No step helps: either the residual is down to rounding, or the surface is not what J says.
            return (end if cost <= 1e8 * floor else STUCK), evaluations, cost
        new = equations(head, info, code, bench, data, AT_TRIAL)
        evaluations += 1
        head[LEFT] = 1 if new < cost else 0
        if new < cost:
            kept = 2.0 * (cost - new) / promised - 1.0
            damping *= max(0.05, 1.0 - kept * kept * kept)
            growth, cost, least = 2.0, new, 0.0
            _accept_trial_point(head, bench)
        else:
            damping, growth = max(damping, 1e-9) * growth, 2.0 * growth


@compile_part
def _raise_damping(damping: float, least: float) -> tuple[float, float]:
    """Return more damping for equations that were singular, and the least that is still to be tried."""
    if damping > _LITTLE:
        return max(10.0 * damping, _SOME), least
    more = _LITTLE if damping == 0.0 else _SOME
    return more, more


@compile_part
def _take_last_step(head: Integers, info: Integers, bench: Rows, damping: float, promised: float) -> float:
    """Take the last step without looking again: it is far below the standard errors. Return by how much cost falls.

    Not onto a bound: the model need not have a value there, as an oscillator has none at the frequency zero.
    """
    head[FACTORED] = 1 if damping == 0.0 else 0
    _make_trial_point(head, info, bench)
    for j in range(head[N_FREE]):
        old, new = bench[PARAMETERS, info[FREE, j]], bench[TRIAL, info[FREE, j]]
        if new != old and (new <= bench[LOWER, j] or new >= bench[UPPER, j]):
            return 0.0
    copy_into(bench[PARAMETERS], bench[TRIAL], head[N_PARAMETERS])
    return promised


@compile_part
def _mark_movable(head: Integers, info: Integers, bench: Rows) -> int:
    """Mark the parameters that may move: not those on a bound that the gradient pushes out. Return how many stay."""
    held = 0
    for j in range(head[N_FREE]):
        p, gradient = bench[PARAMETERS, info[FREE, j]], bench[GRADIENT, j]
        out = (p <= bench[LOWER, j] and gradient <= 0.0) or (p >= bench[UPPER, j] and gradient >= 0.0)
        info[USE, j] = 0 if out or not bench[head[MATRIX] + j, j] > 0.0 else 1
        held += 1 if out else 0
    return held


@compile_part
def _make_trial_point(head: Integers, info: Integers, bench: Rows) -> bool:
    """Put the step's end, kept within the bounds, in the row TRIAL; False where nothing moved."""
    moved = False
    copy_into(bench[TRIAL], bench[PARAMETERS], head[N_PARAMETERS])
    for j in range(head[N_FREE]):
        k = info[FREE, j]
        bench[TRIAL, k] = min(max(bench[PARAMETERS, k] + bench[STEP, j], bench[LOWER, j]), bench[UPPER, j])
        moved = moved or bench[TRIAL, k] != bench[PARAMETERS, k]
    return moved


@compile_part
def _accept_trial_point(head: Integers, bench: Rows) -> None:
    """Make the trial point the current one."""
    copy_into(bench[PARAMETERS], bench[TRIAL], head[N_PARAMETERS])
    copy_into(bench[GRADIENT], bench[TRIAL_GRADIENT], head[N_FREE])
    head[MATRIX], head[TRIAL_MATRIX] = head[TRIAL_MATRIX], head[MATRIX]
