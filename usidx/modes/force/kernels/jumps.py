"""A fit of contact with a jump before it -> which sample is the first after it, and whether there is one.

In machine code; importing this imports numba.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from usidx.modes.force.kernels.compiled import compile_part_in_order
from usidx.modes.force.kernels.equations import copy, evaluate, forget, improve
from usidx.modes.force.kernels.inverse import invert
from usidx.modes.force.kernels.laws import push_power
from usidx.modes.force.kernels.lines import F, X
from usidx.modes.force.kernels.state import (
    AT,
    BEST,
    FREE,
    GAIN,
    GIVE,
    INVERSE,
    KEPT,
    KNOWN,
    LAW,
    LINE,
    LOW,
    NOW,
    OTHER,
    PULL,
    RIGHT,
    TILT,
    TOLD,
    WEIGHT,
)

__all__ = ["choose", "place_jump", "settle_jump"]

_FAR: Final = 12.0  # of chi squared: no place of a jump that is so much worse is thought of
_OUT: Final = 6.0  # of chi squared, for each sample that is left out as within a jump
_PLACES: Final = 24  # to each side of a jump, at which it is tried


@compile_part_in_order
def place_jump(before: int, after: int, work: Any, noise: float, state: Any) -> None:
    """Say that contact lies between two samples, with two chances in three within a third of it about the middle."""
    wide = max(work[X, after] - work[X, before - 1], 1e-9)
    state[TOLD, KNOWN], state[TOLD, WEIGHT] = work[X, after] - 0.5 * wide, 9.0 * noise**2 / wide**2


@compile_part_in_order
def _move_sample(kind: int, i: int, sign: float, work: Any, state: Any, mats: Any) -> float:
    """Take a sample from the line into contact, or back with the sign turned; return what the squares change by."""
    par, vec, mat, slopes = state[NOW], state[RIGHT], mats[0], state[RIGHT + 1]
    c, x = state[TOLD, GIVE], work[X, i]
    r = work[F, i] - par[LINE] - par[TILT] * x
    u, law = x - par[AT] + c * par[PULL], np.exp(par[LAW])
    force, a, b, _ = push_power(kind, u, c, law, 0.0) if u > 0.0 else (0.0, 0.0, 0.0, 0.0)
    s = r - force + par[PULL]
    slopes[0], slopes[1], slopes[2], slopes[3], slopes[4] = 1.0, x, -a, b, c * a - 1.0
    for j in range(5):
        vec[j] += sign * state[FREE, j] * (slopes[j] * s - (slopes[j] * r if j < 2 else 0.0))
        for k in range(5):
            of_line = slopes[j] * slopes[k] if j < 2 and k < 2 else 0.0
            mat[j, k] += sign * state[FREE, j] * state[FREE, k] * (slopes[j] * slopes[k] - of_line)
    return float(sign * (s * s - r * r))


@compile_part_in_order
def _foresee(total: float, state: Any, mats: Any) -> float:
    """Return the squares that the best parameters will leave, by the normal equations; put these on trial."""
    vec, mat, weight, off = state[RIGHT], mats[0], state[TOLD, WEIGHT], state[TOLD, KNOWN] - state[NOW, AT]
    mat[AT, AT] += weight
    vec[AT] += weight * off
    total += weight * off * off
    if not invert(0.0, mat, mats[LOW], mats[INVERSE]):
        total = np.inf
    for j in range(5):
        step = 0.0
        for k in range(5):
            step += mats[INVERSE, j, k] * vec[k]
        state[NOW + 1, j] = state[NOW, j] + step
        total -= step * vec[j]
    mat[AT, AT] -= weight
    vec[AT] -= weight * off
    return total


@compile_part_in_order
def _search_jump(kind: int, n: int, edge: int, total: float, work: Any, state: Any, mats: Any) -> Any:
    """Find which sample is the first after a jump, from one near it; return it, and the sum of squares.

    What is left open between samples is told to the last fit as the error of the place.
    """
    variance, best, least = total / (n - 5.0), edge, total
    noise = np.sqrt(variance)
    copy(state[NOW], state[BEST])
    heard, first, second = 1.0, 0.0, 0.0
    for side in range(2):
        state[TOLD, WEIGHT] = 0.0
        own = evaluate(kind, 0, n, edge, edge, False, work, state, mats)
        for k in range(1, _PLACES):
            i = edge + (k if side == 1 else -k)
            if i < 4 or i > n - 5:
                break
            own += _move_sample(kind, i - side, 1.0 - 2.0 * side, work, state, mats)
            place_jump(i, i, work, noise, state)
            found = _foresee(own, state, mats)
            if not found < least + _FAR * variance:
                break
            weight, off = np.exp(0.5 * (total - found) / variance), work[X, i] - work[X, edge]
            heard, first, second = heard + weight, first + weight * off, second + weight * off * off
            if found < least:
                best, least = i, found
                copy(state[NOW + 1], state[BEST])
    copy(state[BEST], state[NOW])
    place_jump(best, best, work, noise, state)
    mean = first / heard
    state[TOLD, KNOWN] += work[X, edge] - work[X, best] + mean
    state[TOLD, WEIGHT] = variance / (second / heard - mean * mean + variance / state[TOLD, WEIGHT])
    return best, improve(kind, n, best, best, work, state, mats)


@compile_part_in_order
def settle_jump(
    kind: int, n: int, before: int, after: int, total: float, work: Any, state: Any, mats: Any
) -> Any:  # fmt: skip
    """Find where a jump is; samples stay left out as within it only where they fit to neither side."""
    left_out, known, weight = after - before, state[TOLD, KNOWN], state[TOLD, WEIGHT]
    if left_out > 0:
        place_jump(after, after, work, np.sqrt(total / (n - left_out - 5)), state)
        copy(state[NOW], state[OTHER])
        whole = improve(kind, n, after, after, work, state, mats)
    else:
        whole = total
    edge, found = after, whole
    if whole >= 0.0:
        edge, found = _search_jump(kind, n, after, whole, work, state, mats)
    if left_out == 0 or (found >= 0.0 and (found - total) * (n - left_out - 5) < _OUT * left_out * total):
        forget(state[OTHER])
        return edge, edge, found
    copy(state[OTHER], state[NOW])
    forget(state[OTHER])
    state[TOLD, KNOWN], state[TOLD, WEIGHT] = known, weight
    return before, after, improve(kind, n, before, after, work, state, mats)


@compile_part_in_order
def choose(
    kind: int, n: int, plain: float, total: float, before: int, after: int, work: Any, state: Any, mats: Any
) -> Any:  # fmt: skip
    """Choose between contact as it comes and a jump; how far they are apart is an error, as far as they are as good."""
    fits = total >= 0.0 and state[NOW, PULL] > 0.0
    gain = (plain - total) * (n - 5) / total - state[TOLD, GAIN] if fits else -np.inf
    if fits:
        share = 0.25 / np.cosh(min(0.25 * np.abs(gain), 50.0)) ** 2
        for j in range(5):
            state[OTHER, j] = np.sqrt(share * (n - 5) / min(plain, total)) * (state[NOW, j] - state[KEPT, j])
    if gain > 0.0:
        return total, before, after
    copy(state[KEPT], state[NOW])
    state[TOLD, WEIGHT], state[FREE, PULL] = 0.0, 0.0
    return improve(kind, n, -1, -1, work, state, mats), -1, -1
