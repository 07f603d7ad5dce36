"""A part of a force curve -> its samples with running sums, straight lines through them, and where they end.

In machine code; importing this imports numba.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from usidx.modes.force.kernels.compiled import compile_part_in_order

__all__ = [
    "BY_AT",
    "BY_LAW",
    "BY_PULL",
    "FORCE",
    "ROOT",
    "ROWS",
    "SF",
    "SFF",
    "SFX",
    "SX",
    "SXX",
    "F",
    "X",
    "add_line",
    "count_before",
    "find_jump",
    "find_knee",
    "fit_line",
    "gather",
]

#: What is worked on: samples, running sums; and of those in contact the roots, forces and slopes of the law.
X, F, SX, SXX, SF, SFX, SFF, ROOT, FORCE, BY_AT, BY_LAW, BY_PULL, ROWS = range(13)
_SPLITS: Final = 48  # places where a curve is tried to be broken in two
_AVERAGED: Final = 8  # samples, of what is looked at for a jump
_BELOW: Final = 0.15  # of the depth of a jump, the samples after it in the mean
_LONGEST: Final = 64  # samples of the longest line after a jump
_SEEN: Final = 6.0  # of the noise: samples within a jump stand out


@compile_part_in_order
def gather(force: Any, height: Any, part: Any, tilt: float, work: Any) -> Any:
    """Collect the finite samples of a part of a curve, its way from 0 to 1, the forces within -1 and 1.

    Return how many they are, the first height, the way, and the force that is 1; and the two ends where told.
    """
    n, base, start, step = 0, -1, -1, 1 if part[0] <= part[1] else -1
    origin, way, largest = height[part[0]], height[part[1]] - height[part[0]], 0.0
    for i in range(part[0], part[1] + step, step):
        if part[2] >= 0 and i == part[2] + step:
            base = n
        if part[2] >= 0 and i == part[3]:
            start = n
        if np.isfinite(force[i]) and np.isfinite(height[i]):
            work[X, n] = (height[i] - origin) / way
            work[F, n] = force[i] - tilt * (height[i] - origin)
            largest = max(largest, np.abs(work[F, n] - work[F, 0]))
            n += 1
    zero = work[F, 0]
    for i in range(n):
        work[F, i] = (work[F, i] - zero) / largest
        x, f = work[X, i], work[F, i]
        work[SX, i + 1], work[SXX, i + 1] = work[SX, i] + x, work[SXX, i] + x * x
        work[SF, i + 1], work[SFX, i + 1], work[SFF, i + 1] = (
            work[SF, i] + f, work[SFX, i] + f * x, work[SFF, i] + f * f
        )  # fmt: skip
    return n, base, start, origin, way, largest, zero


@compile_part_in_order
def count_before(x: Any, n: int, at: float) -> int:
    """Return how many samples lie at a place or before it."""
    low, high = 0, n
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if x[middle] <= at else (low, middle)
    return low


@compile_part_in_order
def fit_line(first: int, count: int, is_tilted: bool, work: Any) -> Any:
    """Return a straight line through some samples, and their sum of squares about it."""
    m = float(count - first)
    sx, sxx = work[SX, count] - work[SX, first], work[SXX, count] - work[SXX, first]
    sf, sfx = work[SF, count] - work[SF, first], work[SFX, count] - work[SFX, first]
    spread = sxx - sx * sx / m
    tilt = (sfx - sx * sf / m) / spread if is_tilted and spread > 1e-14 * m else 0.0
    line = (sf - tilt * sx) / m
    total = work[SFF, count] - work[SFF, first] - sf * sf / m - tilt * (sfx - sx * sf / m)
    return line, tilt, max(total, 0.0)


@compile_part_in_order
def find_knee(n: int, is_tilted: bool, work: Any) -> int:
    """Return where a curve breaks in two straight lines best, the second one steeper."""
    best, knee = np.inf, -1
    for number in range(1, _SPLITS):
        i = max(4, n * number // _SPLITS)
        if n - i < 4:
            break
        _, before, first = fit_line(0, i, is_tilted, work)
        _, after, second = fit_line(i, n, True, work)
        if after > before and first + second < best:
            best, knee = first + second, i
    return knee


@compile_part_in_order
def _average(first: int, count: int, line: float, tilt: float, work: Any) -> float:
    """Return how far some samples lie below a line, in the mean."""
    end = first + count
    x, f = work[SX, end] - work[SX, first], work[SF, end] - work[SF, first]
    return float(line + (tilt * x - f) / count)


@compile_part_in_order
def _weigh_line(first: int, end: int, at: float, is_tilted: bool, work: Any) -> Any:
    """Return where the line through some samples leads at a place, and its variance, in that of one sample."""
    line, tilt, _ = fit_line(first, end, is_tilted, work)
    m = float(end - first)
    x, xx = work[SX, end] - work[SX, first], work[SXX, end] - work[SXX, first]
    off, spread = at - x / m, xx - x * x / m
    return line + tilt * at, 1.0 / m + (off * off / spread if is_tilted and spread > 1e-14 * m else 0.0)


@compile_part_in_order
def _lies_below(first: int, count: int, depth: float, is_tilted: bool, work: Any) -> bool:
    """Say whether some samples lie below the line before them; a mere bend upwards looks like a jump further on."""
    line, tilt, _ = fit_line(0, first, is_tilted, work)
    return bool(_average(first, count, line, tilt, work) > _BELOW * depth)


@compile_part_in_order
def find_jump(n: int, knee: int, is_tilted: bool, least: float, work: Any) -> Any:
    """Return how deep a curve falls before contact, the noise, where the line ends, and where contact begins.

    The depth is 0 where it does not fall by so many times the noise. Straight lines before and after each sample are
    looked at, the second ones long and short: contact may be soft or stiff. So a jump stands out that is as small as
    the noise.
    """
    m = max(knee // 2, _AVERAGED)
    line, tilt, total = fit_line(0, m, is_tilted, work)
    noise = np.sqrt(total / (m - 2))
    clearest, edge, depth = least * noise, -1, 0.0
    count = _AVERAGED // 2
    while count <= _LONGEST:
        for i in range(m, min(n - max(count, _AVERAGED), knee + n // 8)):
            after, wide = _weigh_line(i, i + count, work[X, i], True, work)
            before, vague = _weigh_line(0, i, work[X, i], is_tilted, work)
            clear = (before - after) / np.sqrt(vague + wide)
            if clear > clearest and _lies_below(i, min(count, _AVERAGED), before - after, is_tilted, work):
                clearest, edge, depth = clear, i, before - after
        count *= 2
    if edge < 0:
        return 0.0, noise, 0, 0
    line, tilt, total = fit_line(0, edge, is_tilted, work)
    noise = np.sqrt(total / (edge - 2))
    ends = _clear_jump(m, edge, depth, noise, line, tilt, work)
    return depth, noise, ends[0], ends[1]


@compile_part_in_order
def _clear_jump(m: int, edge: int, depth: float, noise: float, line: float, tilt: float, work: Any) -> Any:
    """Leave out samples within a jump, where the noise lets them be seen."""
    if depth < _SEEN * noise:
        return edge, edge
    after = edge
    while after < edge + _AVERAGED and _average(after, 1, line, tilt, work) < 0.7 * depth:
        after += 1
    while after > m and _average(after - 1, 1, line, tilt, work) > 0.7 * depth:
        after -= 1
    before = after
    while before > m and _average(before - 1, 1, line, tilt, work) > max(0.15 * depth, 1.5 * noise):
        before -= 1
    return before, after


@compile_part_in_order
def add_line(count: int, work: Any, par: Any, vec: Any, mat: Any) -> float:
    """Begin the normal equations with the samples before contact; return their sum of squares."""
    b, t = par[0], par[1]
    sx, sxx, sf, sfx = work[SX, count], work[SXX, count], work[SF, count], work[SFX, count]
    for j in range(5):
        vec[j] = 0.0
        for k in range(5):
            mat[j, k] = 0.0
    mat[0, 0], mat[0, 1], mat[1, 1] = count, sx, sxx
    vec[0], vec[1] = sf - b * count - t * sx, sfx - b * sx - t * sxx
    square = work[SFF, count] - 2.0 * b * sf - 2.0 * t * sfx + b * b * count + 2.0 * b * t * sx + t * t * sxx
    return float(max(square, 0.0))
