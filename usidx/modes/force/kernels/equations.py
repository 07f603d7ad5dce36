"""Samples of a curve -> the normal equations of line and contact, and parameters that are improved by them.

In machine code; importing this imports numba.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from usidx.modes.force.kernels.compiled import compile_part_in_order
from usidx.modes.force.kernels.inverse import invert
from usidx.modes.force.kernels.laws import JKR
from usidx.modes.force.kernels.lines import X, add_line, count_before
from usidx.modes.force.kernels.pushing import add_contact
from usidx.modes.force.kernels.state import (
    AT,
    FREE,
    GIVE,
    INVERSE,
    KNOWN,
    LAW,
    LOW,
    MOST,
    NOW,
    PULL,
    RIGHT,
    TOLD,
    WEIGHT,
)

__all__ = ["copy", "evaluate", "forget", "improve"]

_STEPS: Final = 80


@compile_part_in_order
def evaluate(
    kind: int, which: int, n: int, base: int, start: int, is_new: bool, work: Any, state: Any, mats: Any
) -> float:  # fmt: skip
    """Return the sum of squares, and fill in the normal equations of the free parameters."""
    par, vec, mat = state[NOW + which], state[RIGHT + which], mats[which]
    at = par[AT]
    if base < 0:
        base = start = count_before(work[X], n, at)
    give, off, weight = state[TOLD, GIVE], state[TOLD, KNOWN] - at, state[TOLD, WEIGHT]
    total = add_line(base, work, par, vec, mat)
    total += add_contact(kind, start, n, give, is_new, work, par, vec, mat)
    mat[AT, AT] += weight
    vec[AT] += weight * off
    for j in range(5):
        for k in range(j):
            mat[j, k] = mat[k, j]
    for j in range(5):
        if state[FREE, j] == 0.0:
            for k in range(5):
                mat[j, k], mat[k, j] = 0.0, 0.0
            mat[j, j], vec[j] = 1.0, 0.0
    return float(total + weight * off * off)


@compile_part_in_order
def _step(kind: int, now: int, state: Any, inverse: Any) -> float:
    """Put the next parameters on trial; return how far contact moves."""
    for j in range(5):
        step = 0.0
        for k in range(5):
            step += inverse[j, k] * state[RIGHT + now, k]
        most = 0.25 if j == AT else (2.0 if j == LAW or (j == PULL and kind == JKR) else np.inf)
        state[NOW + 1 - now, j] = state[NOW + now, j] + min(max(step, -most), most)
    state[NOW + 1 - now, LAW] = min(state[NOW + 1 - now, LAW], state[TOLD, MOST])
    return float(np.abs(state[NOW + 1 - now, AT] - state[NOW + now, AT]))


@compile_part_in_order
def improve(kind: int, n: int, base: int, start: int, work: Any, state: Any, mats: Any) -> float:
    """Improve parameters by the method of Levenberg and Marquardt; return the sum of squares, negative where stuck."""
    now, which, stiffness, moved, total = 0, 0, 1e-3, 1.0, np.inf
    for turn in range(_STEPS):
        found = evaluate(kind, which, n, base, start, turn == 0, work, state, mats)
        if turn == 0 or found <= total:
            gain, total, now = total - found, found, which
            stiffness = max(0.1 * stiffness, 1e-9)
            if gain <= 1e-5 * total or moved < 1e-7:
                break
        elif stiffness > 1e6 or moved < 1e-8:
            break
        else:
            stiffness *= 10.0
        while not invert(stiffness, mats[now], mats[LOW], mats[INVERSE]):
            stiffness *= 10.0
            if not stiffness < 1e12:
                return -1.0
        moved, which = _step(kind, now, state, mats[INVERSE]), 1 - now
    for j in range(5):
        state[NOW, j] = state[NOW + now, j]
        for k in range(5):
            mats[0, j, k] = mats[now, j, k]
    return total if moved < 1e-3 else -1.0


@compile_part_in_order
def copy(source: Any, target: Any) -> None:
    """Copy the parameters."""
    for j in range(5):
        target[j] = source[j]


@compile_part_in_order
def forget(parameters: Any) -> None:
    """Set parameters to zero."""
    for j in range(5):
        parameters[j] = 0.0
