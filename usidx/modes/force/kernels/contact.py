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
    LINE_IN,
    PARTS,
    ROWS_IN,
    ROWS_OUT,
    compile_force_kernel,
    compile_part_in_order,
)
from usidx.modes.force.kernels.equations import copy, improve
from usidx.modes.force.kernels.inverse import invert
from usidx.modes.force.kernels.jumps import choose, place_jump, settle_jump
from usidx.modes.force.kernels.laws import CONE, JKR, measure, push_power
from usidx.modes.force.kernels.lines import (
    ROWS,
    SF,
    SFF,
    F,
    X,
    count_before,
    find_jump,
    find_knee,
    fit_line,
    gather,
)
from usidx.modes.force.kernels.state import (
    AT,
    FREE,
    GAIN,
    GIVE,
    INVERSE,
    KEPT,
    LAW,
    LINE,
    LOW,
    MATRICES,
    MOST,
    NOW,
    OTHER,
    PULL,
    RIGHT,
    STATE,
    TILT,
    TOLD,
    WEIGHT,
)
from usidx.modes.force.kernels.status import CONVERGED, FIGURES, NO_CONTACT, OUTSIDE, STUCK, TOO_FEW

__all__ = ["fit_contacts"]

Array = npt.NDArray[Any]
_FEWEST: Final = 12
_CLEAR: Final = 30.0  # F of what contact adds to a straight line
_SURE: Final = 8.0  # of the noise: a jump that is beyond doubt
_JUMPS: Final = (2.5, 1.0)  # of the noise: what is tried as a jump, and where something holds the tip on its way back
GAINS: Final = (12.0, 0.0)  # of chi squared: what a jump has to bring that is not beyond doubt, the same


@compile_part_in_order
def _begin(kind: int, n: int, count: int, at: float, depth: float, work: Any, state: Any) -> bool:
    """Find start values, contact being given; False where the force does not rise."""
    line, tilt, _ = fit_line(0, count, state[FREE, TILT] > 0.0, work)
    give, power = state[TOLD, GIVE], 2.0 if kind == CONE else 1.5
    force = fit_line(n - 3, n, False, work)[0] - line - tilt * work[X, n - 1]
    state[NOW, LINE], state[NOW, TILT], state[NOW, AT], state[NOW, PULL] = line, tilt, at, depth
    state[FREE, PULL] = 1.0 if depth > 0.0 else 0.0
    far = max(work[X, n - 1] - at - give * force, 0.02 * (work[X, n - 1] - at), 1e-6)
    if force + depth <= 0.0:
        return False
    state[NOW, LAW] = min(np.log((force + depth) / far**power), state[TOLD, MOST])
    return True


@compile_part_in_order
def _begin_plain(kind: int, n: int, knee: int, work: Any, state: Any) -> bool:
    at = max(work[X, knee] - 0.2 * (1.0 - work[X, knee]), 0.02)
    return bool(_begin(kind, n, max(knee * 3 // 4, 4), at, 0.0, work, state))


@compile_part_in_order
def _fit(kind: int, n: int, work: Any, state: Any, mats: Any) -> Any:
    """Fit contact as it comes, or with a jump before it where there is one; return the squares and the two ends."""
    is_held, is_tilted = state[TOLD, GAIN] == GAINS[1], state[FREE, TILT] > 0.0
    knee = find_knee(n, is_tilted, work)
    if knee < 0:
        return -2.0, -1, -1
    depth, noise, before, after = find_jump(n, knee, is_tilted, _JUMPS[1] if is_held else _JUMPS[0], work)
    plain = -2.0
    if depth <= _SURE * noise and _begin_plain(kind, n, knee, work, state):
        plain = improve(kind, n, -1, -1, work, state, mats)
    if depth == 0.0:
        return plain, -1, -1
    copy(state[NOW], state[KEPT])
    place_jump(before, after, work, noise, state)
    total = -2.0
    if _begin(kind, n, before, work[X, after], depth, work, state):
        total = improve(kind, n, before, after, work, state, mats)
        if total >= 0.0:
            before, after, total = settle_jump(kind, n, before, after, total, work, state, mats)
    if total >= 0.0 and state[NOW, PULL] > 0.0 and plain < 0.0:
        return total, before, after
    if plain < 0.0:
        begun = depth > _SURE * noise and _begin_plain(kind, n, knee, work, state)
        state[TOLD, WEIGHT], state[FREE, PULL] = 0.0, 0.0
        return improve(kind, n, -1, -1, work, state, mats) if begun else -2.0, -1, -1
    return choose(kind, n, plain, total, before, after, work, state, mats)


@compile_part_in_order
def _begin_jkr(n: int, base: int, start: int, pull: float, work: Any, state: Any) -> bool:
    """Find start values of a retract, turned round, of which the pull is known."""
    line, top, at = fit_line(0, base, False, work)[0], fit_line(n - 3, n, False, work)[0], start
    while at < n - 1 and work[F, at] < line:
        at += 1
    # As (beta^6 - beta^3) is the force, in four times the pull, beta is 1 where it is zero.
    beta = (0.5 + np.sqrt(0.25 + max(top - line, 0.0) / (4.0 * pull))) ** (1.0 / 3.0)
    far = work[X, n - 1] - work[X, at] - state[TOLD, GIVE] * (top - line)
    if not (beta > 1.0 and pull > 0.0):
        return False
    size = max(far, 0.02 * (work[X, n - 1] - work[X, at])) / (beta**4 - beta / 1.5 - 1.0 / 3.0)
    state[NOW, LINE], state[NOW, TILT], state[NOW, AT] = line, 0.0, work[X, at] - size / 3.0
    state[NOW, LAW], state[NOW, PULL] = np.log(4.0 * pull / size**1.5), np.log(pull)
    return True


@compile_part_in_order
def _tell_status(kind: int, n: int, total: float, base: int, work: Any, state: Any, mats: Any) -> int:
    if total == -2.0:
        return NO_CONTACT
    at = state[NOW, AT]
    if not (total >= 0.0 and np.isfinite(at)) or not invert(0.0, mats[0], mats[LOW], mats[INVERSE]):
        return STUCK
    inverse = mats[INVERSE]
    for j in range(5):
        for k in range(5):
            inverse[j, k] += state[OTHER, j] * state[OTHER, k]
    before = base if base >= 0 else count_before(work[X], n, at)
    if not -1.0 < at < 1.0 or (kind != JKR and (before < 4 or n - before < 4 or at < 0.0)):
        return OUTSIDE
    _, _, straight = fit_line(0, n, state[FREE, TILT] > 0.0, work)
    return CONVERGED if (straight - total) * (n - 5) > 2.0 * _CLEAR * total else NO_CONTACT


@compile_part_in_order
def _find_stiffness(kind: int, give: float, par: Any) -> Any:
    """Return stiffness at the end, the force with which the tip is drawn in, and the indentation."""
    law, pull = np.exp(par[LAW]), np.exp(par[PULL]) if kind == JKR else par[PULL]
    lift = 0.0 if kind == JKR else give * pull
    far, steep = measure(kind, 1.0 - par[AT] + lift, give, law, pull)
    if lift > 0.0:
        pull -= push_power(kind, lift, give, law, 0.0)[0]
    return steep, pull, far


@compile_part_in_order
def _vary(kind: int, which: int, state: Any, inverse: Any) -> float:
    """Return the root of the variance of stiffness, or of what draws the tip in, by differences."""
    slopes, moved, variance = state[RIGHT], state[KEPT], 0.0
    for number in range(10):
        j, sign = number // 2, 1.0 - 2.0 * (number % 2)
        copy(state[NOW], moved)
        step = 1e-4 * max(np.abs(moved[j]), 1e-3) if j == PULL and kind != JKR else 1e-5
        moved[j] += sign * step
        own = 0.5 * sign * _find_stiffness(kind, state[TOLD, GIVE], moved)[which] / step
        slopes[j] = own + (slopes[j] if sign < 0.0 else 0.0)
    for j in range(5):
        for k in range(5):
            variance += slopes[j] * inverse[j, k] * slopes[k]
    return float(np.sqrt(max(variance, 0.0)))


@compile_part_in_order
def _tell(kind: int, n: int, noise: float, scales: Any, work: Any, state: Any, inverse: Any, out: Any) -> None:
    """Fill in the figures of a curve, in the units of its force and height."""
    origin, way, unit, zero, tilt = scales
    par, long, power = state[NOW], np.abs(way), 2.0 if kind == CONE else 1.5
    steep, drawn, far = _find_stiffness(kind, state[TOLD, GIVE], par)
    at, jumps = par[AT], state[FREE, PULL] > 0.0
    out[1], out[2], out[3] = origin + way * at, long * noise * np.sqrt(inverse[AT, AT]), long * far
    out[4] = unit * (fit_line(n - 3, n, False, work)[0] - par[LINE] - par[TILT])
    out[5], out[6] = steep * unit / long, noise * _vary(kind, 0, state, inverse) * unit / long
    out[7] = np.exp(par[LAW]) * unit / long**power
    out[8] = out[7] * noise * np.sqrt(inverse[LAW, LAW])
    out[9], out[10] = drawn * unit, noise * unit * (_vary(kind, 1, state, inverse) if jumps else 1.0)
    out[11] = zero + unit * (par[LINE] + par[TILT] * at) + tilt * way * at
    out[12], out[13] = tilt + unit * par[TILT] / way, unit * noise
    out[17] = state[FREE, TILT] * unit * noise * np.sqrt(inverse[TILT, TILT]) / long
    if kind == JKR:
        out[15] = unit * np.exp(par[PULL])
        out[16] = out[15] * noise * np.sqrt(inverse[PULL, PULL])


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
        state[FREE, j], state[TOLD, j], state[OTHER, j] = 1.0, 0.0, 0.0
    give = c * unit / np.abs(way)
    state[TOLD, GIVE], state[TOLD, MOST] = give, np.log(1e5 / give) if give > 0.0 else 50.0
    state[FREE, TILT] = 1.0 if is_tilted else 0.0
    if base >= 0:
        begun = _begin_jkr(n, base, start, pull / unit, work, state)
        total = improve(kind, n, base, start, work, state, mats) if begun else -2.0
    else:
        state[TOLD, GAIN] = GAINS[1] if pull > 0.0 else GAINS[0]
        total, base, start = _fit(kind, n, work, state, mats)
    out[0] = _tell_status(kind, n, total, base, work, state, mats)
    if out[0] == CONVERGED:
        free, count = 3.0 + state[FREE, TILT] + state[FREE, PULL], n if base < 0 else base + n - start
        out[14] = 1.0 - total / (work[SFF, n] - work[SF, n] ** 2 / n)
        noise = np.sqrt(total / max(count - free, 1.0))
        _tell(kind, n, noise, (origin, way, unit, zero, tilt), work, state, mats[INVERSE], out)


@compile_force_kernel(
    ROWS_IN, ROWS_IN, PARTS, types.int64, types.float64, types.boolean, LINE_IN, LINE_IN, ROWS_OUT, ROWS_OUT,
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
    tilts : ndarray, shape (row,), optional
        Of the line before contact.
    pulls : ndarray, shape (row,), optional
        The force that the tip is held with on its way back; where there is one, a jump into contact is likely.

    Returns
    -------
    ndarray, shape (row, figure)
        Those of `FIGURES`.
    """
    out, nothing = np.empty((len(forces), len(FIGURES))), np.zeros(len(forces))
    given = [np.ascontiguousarray(nothing if one is None else one, np.float64) for one in (tilts, pulls)]
    _fit_all(
        np.ascontiguousarray(forces, np.float64), np.ascontiguousarray(heights, np.float64),
        np.ascontiguousarray(parts, np.int64), kind, compliance, is_tilted, given[0], given[1],
        np.zeros((ROWS, forces.shape[1] + 1)), np.zeros((STATE, 5)), np.zeros((MATRICES, 5, 10)), out,
    )  # fmt: skip
    return out
