"""Force curves -> where contact begins, and how stiff it is, by least squares, in machine code; imports numba.

A curve is a straight line until contact, and a law of contact beyond, less an attraction after a jump into contact.
The base of the cantilever is where it was told to be, and the force is found from its place for each sample: so the
noise of the force stays out of the indentation. Lengths are counted in the way of the approach, forces in the largest
one; sums over the line come from running sums.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from numba import types

from usidx.modes.force.kernels.compiled import (
    LINE,
    PARTS,
    ROWS_IN,
    ROWS_OUT,
    compile_force_kernel,
    compile_part_in_order,
)
from usidx.modes.force.kernels.inverse import invert
from usidx.modes.force.kernels.laws import CONE, JKR, find_edge, measure, push_jkr, push_power
from usidx.modes.force.kernels.lines import (
    ROWS,
    SF,
    SFF,
    SX,
    SXX,
    F,
    X,
    add_line,
    count_before,
    find_jump,
    find_knee,
    fit_line,
    gather,
)
from usidx.modes.force.kernels.status import CONVERGED, FIGURES, NO_CONTACT, OUTSIDE, STUCK, TOO_FEW

__all__ = ["fit_contacts"]

Array = npt.NDArray[Any]
_LINE, _TILT, _AT, _LAW, _PULL = range(5)  # parameters; the law by its logarithm, of jkr the pull as well
# Rows of the state of a fit: parameters and right sides, each as they are and on trial; which are free; what is told.
_NOW, _RIGHT, _FREE, _TOLD, _KEPT, _STATE = 0, 2, 4, 5, 6, 7
# Of what is told: compliance, a place that is known with a weight, and the largest law.
_GIVE, _KNOWN, _WEIGHT, _MOST = range(4)
_LOW, _INVERSE, _MATRICES = 2, 3, 4  # after the normal equations, as they are and on trial
_FEWEST: Final = 12
_CLEAR: Final = 30.0  # F of what contact adds to a straight line
_SURE: Final = 8.0  # of the noise: a jump that is beyond doubt
_GAIN: Final = 12.0  # of chi squared: what a jump has to bring that is not
_STEPS: Final = 80


@compile_part_in_order
def _add_contact(kind: int, start: int, n: int, c: float, work: Any, par: Any, vec: Any, mat: Any) -> float:
    """Add the samples in contact to the normal equations; return their sum of squares."""
    line, tilt, at = par[_LINE], par[_TILT], par[_AT]
    law, pull = np.exp(par[_LAW]), np.exp(par[_PULL]) if kind == JKR else par[_PULL]
    size, guess = find_edge(c, law, pull) if kind == JKR else (0.0, 0.0)
    edge, total, rate = guess, 0.0, 0.0
    a0 = a1 = aa = al = ap = l0 = l1 = ll = lp = p0 = p1 = pp = r0 = r1 = ra = rl = rp = 0.0
    for i in range(start, n):
        x = work[X, i]
        if kind == JKR:
            # From above it is found without fail, and there the tangent leads, since beta rises ever less.
            guess = 1.02 * guess if rate == 0.0 else guess + rate * (x - work[X, i - 1])
            force, a, b, p, guess, rate = push_jkr(x - at, c, size, edge, pull, guess)
        else:
            u = x - at + c * pull
            force, a, b, guess = push_power(kind, u, c, law, guess) if u > 0.0 else (0.0, 0.0, 0.0, 0.0)
            force, p = force - pull, c * a - 1.0
        r = work[F, i] - line - tilt * x - force
        total, r0, r1, ra, rl, rp = total + r * r, r0 + r, r1 + r * x, ra - r * a, rl + r * b, rp + r * p
        a0, a1, aa, al, ap = a0 - a, a1 - a * x, aa + a * a, al - a * b, ap - a * p
        l0, l1, ll, lp = l0 + b, l1 + b * x, ll + b * b, lp + b * p
        p0, p1, pp = p0 + p, p1 + p * x, pp + p * p
    mat[0, 0] += n - start
    mat[0, 1] += work[SX, n] - work[SX, start]
    mat[1, 1] += work[SXX, n] - work[SXX, start]
    mat[0, 2], mat[0, 3], mat[0, 4] = a0, l0, p0
    mat[1, 2], mat[1, 3], mat[1, 4] = a1, l1, p1
    mat[2, 2], mat[2, 3], mat[2, 4], mat[3, 3], mat[3, 4], mat[4, 4] = aa, al, ap, ll, lp, pp
    vec[0], vec[1], vec[2], vec[3], vec[4] = vec[0] + r0, vec[1] + r1, vec[2] + ra, vec[3] + rl, vec[4] + rp
    return total


@compile_part_in_order
def _evaluate(kind: int, which: int, n: int, base: int, start: int, work: Any, state: Any, mats: Any) -> float:
    """Return the sum of squares, and fill in the normal equations of the free parameters."""
    par, vec, mat = state[_NOW + which], state[_RIGHT + which], mats[which]
    at = par[_AT]
    if base < 0:
        base = start = count_before(work[X], n, at)
    give, off, weight = state[_TOLD, _GIVE], state[_TOLD, _KNOWN] - at, state[_TOLD, _WEIGHT]
    total = add_line(base, work, par, vec, mat)
    total += _add_contact(kind, start, n, give, work, par, vec, mat)
    mat[_AT, _AT] += weight
    vec[_AT] += weight * off
    for j in range(5):
        for k in range(j):
            mat[j, k] = mat[k, j]
    for j in range(5):
        if state[_FREE, j] == 0.0:
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
            step += inverse[j, k] * state[_RIGHT + now, k]
        most = 0.25 if j == _AT else (2.0 if j == _LAW or (j == _PULL and kind == JKR) else np.inf)
        state[_NOW + 1 - now, j] = state[_NOW + now, j] + min(max(step, -most), most)
    state[_NOW + 1 - now, _LAW] = min(state[_NOW + 1 - now, _LAW], state[_TOLD, _MOST])
    return float(np.abs(state[_NOW + 1 - now, _AT] - state[_NOW + now, _AT]))


@compile_part_in_order
def _improve(kind: int, n: int, base: int, start: int, work: Any, state: Any, mats: Any) -> float:
    """Improve parameters by the method of Levenberg and Marquardt; return the sum of squares, negative where stuck."""
    now, which, stiffness, moved, total = 0, 0, 1e-3, 1.0, np.inf
    for turn in range(_STEPS):
        found = _evaluate(kind, which, n, base, start, work, state, mats)
        if turn == 0 or found <= total:
            gain, total, now = total - found, found, which
            stiffness = max(0.1 * stiffness, 1e-9)
            if gain <= 1e-5 * total or moved < 1e-7:
                break
        elif stiffness > 1e6 or moved < 1e-8:
            break
        else:
            stiffness *= 10.0
        while not invert(stiffness, mats[now], mats[_LOW], mats[_INVERSE]):
            stiffness *= 10.0
            if not stiffness < 1e12:
                return -1.0
        moved, which = _step(kind, now, state, mats[_INVERSE]), 1 - now
    for j in range(5):
        state[_NOW, j] = state[_NOW + now, j]
        for k in range(5):
            mats[0, j, k] = mats[now, j, k]
    return total if moved < 1e-3 else -1.0


@compile_part_in_order
def _begin(kind: int, n: int, count: int, at: float, depth: float, work: Any, state: Any) -> bool:
    """Find start values, contact being given; False where the force does not rise."""
    line, tilt, _ = fit_line(0, count, state[_FREE, _TILT] > 0.0, work)
    give, power = state[_TOLD, _GIVE], 2.0 if kind == CONE else 1.5
    force = fit_line(n - 3, n, False, work)[0] - line - tilt * work[X, n - 1]
    state[_NOW, _LINE], state[_NOW, _TILT], state[_NOW, _AT], state[_NOW, _PULL] = line, tilt, at, depth
    state[_FREE, _PULL] = 1.0 if depth > 0.0 else 0.0
    far = max(work[X, n - 1] - at - give * force, 0.02 * (work[X, n - 1] - at), 1e-6)
    if force + depth <= 0.0:
        return False
    state[_NOW, _LAW] = min(np.log((force + depth) / far**power), state[_TOLD, _MOST])
    return True


@compile_part_in_order
def _copy(source: Any, target: Any) -> None:
    for j in range(5):
        target[j] = source[j]


@compile_part_in_order
def _begin_jump(
    kind: int, n: int, depth: float, noise: float, before: int, after: int, work: Any, state: Any
) -> bool:  # fmt: skip
    """Find start values of contact after a jump, which lies between two samples."""
    wide = work[X, after] - work[X, before - 1] + 4.0 * (noise / depth) ** 2 * (work[X, after] - work[X, after - 1])
    state[_TOLD, _KNOWN] = 0.5 * (work[X, after] + work[X, before - 1])
    # Anywhere within, it is with two chances in three within a third of the width from the middle.
    state[_TOLD, _WEIGHT] = 9.0 * noise**2 / max(wide, 1e-9) ** 2
    return bool(_begin(kind, n, before, work[X, after], depth, work, state))


@compile_part_in_order
def _begin_plain(kind: int, n: int, knee: int, work: Any, state: Any) -> bool:
    at = max(work[X, knee] - 0.2 * (1.0 - work[X, knee]), 0.02)
    return bool(_begin(kind, n, max(knee * 3 // 4, 4), at, 0.0, work, state))


@compile_part_in_order
def _fit(kind: int, n: int, base: int, start: int, pull: float, work: Any, state: Any, mats: Any) -> Any:
    """Fit contact as it comes, or with a jump before it where there is one; return the squares and the two ends."""
    turned, knee, depth, noise, before, after = base >= 0, -1, 0.0, 0.0, -1, -1
    if not turned:
        knee = find_knee(n, state[_FREE, _TILT] > 0.0, work)
        if knee < 0:
            return -2.0, -1, -1
        depth, noise, before, after = find_jump(n, knee, state[_FREE, _TILT] > 0.0, work)
    plain = total = -2.0
    for turn in range(3):  # as it comes; with a jump; and back, where that is no better
        begun, jumps = turn == 2 and plain >= 0.0, turn == 1
        if turn == 0:
            begun = _begin_jkr(n, base, start, pull, work, state) if turned else depth <= _SURE * noise
            begun = begun and (turned or _begin_plain(kind, n, knee, work, state))
        elif jumps:
            _copy(state[_NOW], state[_KEPT])
            begun = _begin_jump(kind, n, depth, noise, before, after, work, state)
        else:
            _copy(state[_KEPT], state[_NOW])
            state[_TOLD, _WEIGHT], state[_FREE, _PULL] = 0.0, 0.0
        ends = (before, after) if jumps else (base, start)
        total = _improve(kind, n, ends[0], ends[1], work, state, mats) if begun else -2.0
        plain = total if turn == 0 else plain
        gain = (plain - total) * (n - 5)
        is_better = total >= 0.0 and state[_NOW, _PULL] > 0.0 and (plain < 0.0 or gain > _GAIN * total)
        if depth == 0.0 or (jumps and is_better):
            return total, ends[0], ends[1]
    return total, base, start


@compile_part_in_order
def _begin_jkr(n: int, base: int, start: int, pull: float, work: Any, state: Any) -> bool:
    """Find start values of a retract, turned round, of which the pull is known."""
    line, top, at = fit_line(0, base, False, work)[0], fit_line(n - 3, n, False, work)[0], start
    while at < n - 1 and work[F, at] < line:
        at += 1
    # As (beta^6 - beta^3) is the force, in four times the pull, beta is 1 where it is zero.
    beta = (0.5 + np.sqrt(0.25 + max(top - line, 0.0) / (4.0 * pull))) ** (1.0 / 3.0)
    far = work[X, n - 1] - work[X, at] - state[_TOLD, _GIVE] * (top - line)
    if not (beta > 1.0 and pull > 0.0):
        return False
    size = max(far, 0.02 * (work[X, n - 1] - work[X, at])) / (beta**4 - beta / 1.5 - 1.0 / 3.0)
    state[_NOW, _LINE], state[_NOW, _TILT], state[_NOW, _AT] = line, 0.0, work[X, at] - size / 3.0
    state[_NOW, _LAW], state[_NOW, _PULL] = np.log(4.0 * pull / size**1.5), np.log(pull)
    return True


@compile_part_in_order
def _tell_status(kind: int, n: int, total: float, base: int, work: Any, state: Any, mats: Any) -> int:
    if total == -2.0:
        return NO_CONTACT
    at = state[_NOW, _AT]
    if not (total >= 0.0 and np.isfinite(at)) or not invert(0.0, mats[0], mats[_LOW], mats[_INVERSE]):
        return STUCK
    before = base if base >= 0 else count_before(work[X], n, at)
    if not -1.0 < at < 1.0 or (kind != JKR and (before < 4 or n - before < 4 or at < 0.0)):
        return OUTSIDE
    _, _, straight = fit_line(0, n, state[_FREE, _TILT] > 0.0, work)
    return CONVERGED if (straight - total) * (n - 5) > 2.0 * _CLEAR * total else NO_CONTACT


@compile_part_in_order
def _find_stiffness(kind: int, give: float, par: Any) -> Any:
    """Return stiffness at the end, the force with which the tip is drawn in, and the indentation."""
    law, pull = np.exp(par[_LAW]), np.exp(par[_PULL]) if kind == JKR else par[_PULL]
    lift = 0.0 if kind == JKR else give * pull
    far, steep = measure(kind, 1.0 - par[_AT] + lift, give, law, pull)
    if lift > 0.0:
        pull -= push_power(kind, lift, give, law, 0.0)[0]
    return steep, pull, far


@compile_part_in_order
def _vary(kind: int, which: int, state: Any, inverse: Any) -> float:
    """Return the root of the variance of stiffness, or of what draws the tip in, by differences."""
    slopes, moved, variance = state[_RIGHT], state[_KEPT], 0.0
    for number in range(10):
        j, sign = number // 2, 1.0 - 2.0 * (number % 2)
        _copy(state[_NOW], moved)
        step = 1e-4 * max(np.abs(moved[j]), 1e-3) if j == _PULL and kind != JKR else 1e-5
        moved[j] += sign * step
        own = 0.5 * sign * _find_stiffness(kind, state[_TOLD, _GIVE], moved)[which] / step
        slopes[j] = own + (slopes[j] if sign < 0.0 else 0.0)
    for j in range(5):
        for k in range(5):
            variance += slopes[j] * inverse[j, k] * slopes[k]
    return float(np.sqrt(max(variance, 0.0)))


@compile_part_in_order
def _tell(kind: int, n: int, noise: float, scales: Any, work: Any, state: Any, inverse: Any, out: Any) -> None:
    """Fill in the figures of a curve, in the units of its force and height."""
    origin, way, unit, zero, tilt = scales
    par, long, power = state[_NOW], np.abs(way), 2.0 if kind == CONE else 1.5
    steep, drawn, far = _find_stiffness(kind, state[_TOLD, _GIVE], par)
    at, jumps = par[_AT], state[_FREE, _PULL] > 0.0
    out[1], out[2], out[3] = origin + way * at, long * noise * np.sqrt(inverse[_AT, _AT]), long * far
    out[4] = unit * (fit_line(n - 3, n, False, work)[0] - par[_LINE] - par[_TILT])
    out[5], out[6] = steep * unit / long, noise * _vary(kind, 0, state, inverse) * unit / long
    out[7] = np.exp(par[_LAW]) * unit / long**power
    out[8] = out[7] * noise * np.sqrt(inverse[_LAW, _LAW])
    out[9], out[10] = drawn * unit, noise * unit * (_vary(kind, 1, state, inverse) if jumps else 1.0)
    out[11] = zero + unit * (par[_LINE] + par[_TILT] * at) + tilt * way * at
    out[12], out[13] = tilt + unit * par[_TILT] / way, unit * noise
    out[17] = state[_FREE, _TILT] * unit * noise * np.sqrt(inverse[_TILT, _TILT]) / long
    if kind == JKR:
        out[15] = unit * np.exp(par[_PULL])
        out[16] = out[15] * noise * np.sqrt(inverse[_PULL, _PULL])


@compile_part_in_order
def _fit_curve(
    force: Any, height: Any, part: Any, kind: int, c: float, is_tilted: bool, tilt: float, pull: float, work: Any,
    state: Any, mats: Any, out: Any,
) -> None:  # fmt: skip
    for k in range(out.size):
        out[k] = np.nan
    out[0] = TOO_FEW
    if np.abs(part[1] - part[0]) < _FEWEST or not np.abs(height[part[1]] - height[part[0]]) > 0.0:
        return
    n, base, start, origin, way, unit, zero = gather(force, height, part, tilt, work)
    if n < _FEWEST or not unit > 0.0:
        return
    for j in range(5):
        state[_FREE, j], state[_TOLD, j] = 1.0, 0.0
    give = c * unit / np.abs(way)
    state[_TOLD, _GIVE], state[_TOLD, _MOST] = give, np.log(1e5 / give) if give > 0.0 else 50.0
    state[_FREE, _TILT] = 1.0 if is_tilted else 0.0
    total, base, start = _fit(kind, n, base, start, pull / unit, work, state, mats)
    out[0] = _tell_status(kind, n, total, base, work, state, mats)
    if out[0] == CONVERGED:
        free, count = 3.0 + state[_FREE, _TILT] + state[_FREE, _PULL], n if base < 0 else base + n - start
        out[14] = 1.0 - total / (work[SFF, n] - work[SF, n] ** 2 / n)
        noise = np.sqrt(total / max(count - free, 1.0))
        _tell(kind, n, noise, (origin, way, unit, zero, tilt), work, state, mats[_INVERSE], out)


@compile_force_kernel(
    ROWS_IN, ROWS_IN, PARTS, types.int64, types.float64, types.boolean, LINE, LINE, ROWS_OUT, ROWS_OUT,
    types.Array(types.float64, 3, "C"), ROWS_OUT,
)  # fmt: skip
def _fit_all(
    forces: Any, heights: Any, parts: Any, kind: int, c: float, is_tilted: bool, tilts: Any, pulls: Any, work: Any,
    state: Any, mats: Any, out: Any,
) -> None:  # fmt: skip
    for row in range(forces.shape[0]):
        height = heights[min(row, heights.shape[0] - 1)]
        _fit_curve(
            forces[row], height, parts[row], kind, c, is_tilted, tilts[row], pulls[row], work, state, mats, out[row]
        )


def fit_contacts(
    forces: Array, heights: Array, parts: Array, kind: int, compliance: float, *, is_tilted: bool,
    tilts: Array | None = None, pulls: Array | None = None,
) -> Array:  # fmt: skip
    """Fit the contact of each curve.

    Parameters
    ----------
    forces : ndarray, shape (row, sample)
        Samples that are not finite do not count.
    heights : ndarray, shape (row or 1, sample)
    parts : ndarray of int, shape (row, 4)
        First and last sample from far to near; then -1 and -1, or, of a retract, the last sample, as counted from
        far, that is free, and the first that is in contact.
    kind : int
        The law.
    compliance : float
        Of the cantilever, 1 / k, in units of height by force; 0 where heights are those of the tip.
    is_tilted : bool
        Whether the line before contact may be tilted beside `tilts`.
    tilts, pulls : ndarray, shape (row,), optional

    Returns
    -------
    ndarray, shape (row, figure)
        Those of `FIGURES`.
    """
    out, nothing = np.empty((len(forces), len(FIGURES))), np.zeros(len(forces))
    given = [np.ascontiguousarray(nothing if one is None else one, np.float64) for one in (tilts, pulls)]
    _fit_all(
        np.ascontiguousarray(forces, np.float64), np.ascontiguousarray(heights, np.float64),
        np.ascontiguousarray(parts, np.int64), kind, compliance, is_tilted, *given,
        np.zeros((ROWS, forces.shape[1] + 1)), np.zeros((_STATE, 5)), np.zeros((_MATRICES, 5, 10)), out,
    )  # fmt: skip
    return out
