"""Retracts of force curves -> how strongly the sample holds the tip, and what it costs, in machine code.

Importing this imports numba.
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

__all__ = ["PULLS", "look_for_hold", "measure_pulls"]

Array = npt.NDArray[Any]
#: What is known of each retract, in the order of the columns; the last two are samples.
PULLS: Final = ("adhesion", "adhesion_stderr", "work", "work_stderr", "holds", "free")
_FEWEST: Final = 12
_FREE: Final = 0.15  # of the way of the retract, at its end: free of the sample
_CLEAR: Final = 4.5  # of the noise, of a mean
_SEEN: Final = 6.0  # of the noise, of one sample
_AWAY: Final = 3  # the first of so many parts of the approach is taken for free of the sample
_BEFORE: Final = 8  # samples before pull-off, whose line is drawn on


@compile_part_in_order
def _level(force: Any, height: Any, first: int, end: int, tilt: float, work: Any) -> Any:
    """Collect the finite samples less the line of where the tip is free; return how many, and how many are free."""
    n, far, near = 0, height[end - 1], height[first]
    total, count = 0.0, 0
    for i in range(first, end):
        if np.isfinite(force[i]) and np.isfinite(height[i]):
            work[0, n], work[1, n], work[2, n] = height[i], force[i] - tilt * height[i], i
            if np.abs(height[i] - far) <= _FREE * np.abs(near - far):
                total, count = total + work[1, n], count + 1
            n += 1
    for i in range(n):
        work[1, i] -= total / count
    return n, count


@compile_part_in_order
def _find_hold(n: int, most: int, noise: float, work: Any) -> Any:
    """Return the sample at which the sample holds the tip most, and whether it does.

    Where none stands out of the noise, means of some are looked at: then it is where the force rises most after them.
    """
    low, mean, deepest, at = 0, 0.0, 0.0, 0
    for i in range(most):
        low = i if work[1, i] < work[1, low] else low
        mean += (work[1, i] - (work[1, i - _BEFORE] if i >= _BEFORE else 0.0)) / _BEFORE
        if i >= _BEFORE and mean < deepest:
            deepest, at = mean, i
    if -work[1, low] > _SEEN * noise:
        return low, True
    steepest = -np.inf
    for i in range(max(at - _BEFORE, _BEFORE), min(at + _BEFORE, n - _BEFORE)):
        rise = 0.0
        for k in range(_BEFORE):
            rise += work[1, i + 1 + k] - work[1, i - k]
        if rise > steepest:
            steepest, low = rise, i
    return low, -deepest > _CLEAR * noise / np.sqrt(_BEFORE)


@compile_part_in_order
def _draw_on(work: Any, at: int, first: int) -> Any:
    """Return where the line through the samples before one leads at it, and the factor of its error."""
    m = min(_BEFORE, at - first)
    if m < 3:
        return work[1, at], 1.0
    mean, slope, spread = 0.0, 0.0, 0.0
    for i in range(at - m, at):
        off = i - (at - 0.5 * (m + 1))
        mean, slope, spread = mean + work[1, i] / m, slope + off * work[1, i], spread + off * off
    reach = 0.5 * (m + 1)
    return mean + slope / spread * reach, np.sqrt(1.0 / m + reach * reach / spread)


@compile_part_in_order
def _integrate(work: Any, low: int, n: int, noise: float) -> Any:
    """Return the area of attraction about the lowest sample, its variance, where it begins and where it ends."""
    begin, last, mean = low, low, 0.0
    for k in range(min(_BEFORE, low)):
        mean += work[1, low - k] / _BEFORE
    while begin >= _BEFORE and mean < 0.0 and work[1, begin] < 2.0 * noise:
        begin -= 1
        mean += (work[1, begin - _BEFORE + 1] - work[1, begin + 1]) / _BEFORE
    for i in range(low, n):
        last = i if work[1, i] < -_SEEN * noise else last
    end = last
    while end < n - 1 and work[1, end] < 0.0:
        end += 1
    area, variance, before = 0.0, 0.0, 0.0
    for i in range(begin, end):
        step = np.abs(work[0, i + 1] - work[0, i])
        area -= 0.5 * (min(work[1, i], 0.0) if i == begin else work[1, i]) * step
        area -= 0.5 * (work[1, i + 1] if i + 1 < end else min(work[1, i + 1], 0.0)) * step
        variance += (0.5 * (step + before) * noise) ** 2
        before = step
        if i == last:  # the tip may have snapped off anywhere between two samples
            variance += ((work[1, i + 1] - work[1, i]) * step) ** 2 / 12.0
    return area, variance, begin, end


@compile_part_in_order
def _level_again(work: Any, end: int, n: int, free: int) -> Any:
    """Return how much higher the line is by all samples after the end, how many, and the middle of their heights."""
    first = min(end + _BEFORE, n - free)
    level, middle = 0.0, 0.0
    for i in range(first, n):
        level, middle = level + work[1, i] / (n - first), middle + work[0, i] / (n - first)
    return level, n - first, middle


@compile_part_in_order
def _measure_curve(
    force: Any, height: Any, part: Any, tilt: float, tilt_error: float, noise: float, work: Any, out: Any
) -> None:
    for k in range(out.size):
        out[k] = np.nan
    if part[1] - part[0] < _FEWEST or not noise >= 0.0 or not np.isfinite(tilt):
        return
    n, free = _level(force, height, part[0], part[1], tilt, work)
    if n < _FEWEST or free < 4:
        return
    low, is_held = _find_hold(n, n - free, noise, work)
    depth, factor = _draw_on(work, low, 0)
    last = low
    while last + 1 < min(low + _BEFORE, n) and work[1, last + 1] < 0.5 * work[1, low]:
        last += 1
    further, wide = _draw_on(work, last, 0)
    if further < depth:  # the noise may have made a sample the lowest that is not the last before the tip is off
        low, depth, factor = last, further, wide
    area, variance, begin, end = _integrate(work, low, n, noise)
    level, free, middle = _level_again(work, end, n, free)
    depth -= level
    # The line is not known better than its level and its tilt, about the middle of the free samples.
    wide, lever = work[0, end] - work[0, begin], work[0, low] - middle
    of_line = noise * noise / free + (tilt_error * (0.5 * (work[0, end] + work[0, begin]) - middle)) ** 2
    out[0] = max(-depth, 0.0)
    out[1] = np.sqrt((factor * factor + 1.0 / free) * noise * noise + (tilt_error * lever) ** 2)
    out[2], out[3] = area + level * np.abs(wide), np.sqrt(variance + wide * wide * of_line)
    out[4], out[5] = work[2, low], work[2, end]
    if not is_held or depth >= 0.0:
        # What is as deep as the noise is nothing that holds the tip.
        out[0], out[2] = 0.0, 0.0
        out[4], out[5] = np.nan, np.nan


@compile_force_kernel(ROWS_IN, ROWS_IN, PARTS, LINE_IN, LINE_IN, LINE_IN, ROWS_OUT, ROWS_OUT)
def _measure_all(
    forces: Any, heights: Any, parts: Any, tilts: Any, tilt_errors: Any, noises: Any, work: Any, out: Any
) -> None:
    for row in range(forces.shape[0]):
        height = heights[min(row, heights.shape[0] - 1)]
        _measure_curve(forces[row], height, parts[row], tilts[row], tilt_errors[row], noises[row], work, out[row])


@compile_force_kernel(ROWS_IN, ROWS_IN, PARTS, types.boolean, ROWS_OUT)
def _fit_begins(forces: Any, heights: Any, ends: Any, is_tilted: bool, out: Any) -> None:
    """Fit a line to the begin of each approach: its tilt, the noise about it, and the error of the tilt."""
    for row in range(forces.shape[0]):
        height, first = heights[min(row, heights.shape[0] - 1)], ends[row, 0]
        end = first + (ends[row, 1] - first) // _AWAY
        n, x, f, xx, xf, ff = 0, 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(first, end):
            a, b = height[i] - height[first], forces[row, i] - forces[row, first]
            if np.isfinite(a) and np.isfinite(b):
                n, x, f, xx, xf, ff = n + 1, x + a, f + b, xx + a * a, xf + a * b, ff + b * b
        spread = xx - x * x / max(n, 1)
        tilt = (xf - x * f / n) / spread if is_tilted and n > 2 and spread > 0.0 else 0.0
        out[row, 0] = tilt
        noise = np.sqrt(max(ff - f * f / n - tilt * (xf - x * f / n), 0.0) / (n - 2)) if n > 2 else np.nan
        out[row, 1], out[row, 2] = noise, noise / np.sqrt(spread) if is_tilted and spread > 0.0 else 0.0


def look_for_hold(forces: Array, heights: Array, ends: Array, parts: Array, *, is_tilted: bool) -> Array:
    """Return the force that the sample holds each tip with before contact is known; 0 where that is not clear.

    Parameters
    ----------
    forces : ndarray, shape (row, sample)
    heights : ndarray, shape (row or 1, sample)
    ends : ndarray of int, shape (row, 2)
        First and last sample of the approach.
    parts : ndarray of int, shape (row, 2)
        First sample of the retract, and the one after its last.
    is_tilted : bool
        Whether the force may drift.
    """
    rows, places, own = (np.ascontiguousarray(a, t) for a, t in ((forces, "f8"), (heights, "f8"), (ends, "i8")))
    lines = np.empty((len(rows), 3))
    _fit_begins(rows, places, own, is_tilted, lines)
    pull, error = measure_pulls(rows, places, parts, lines[:, 0], lines[:, 2], lines[:, 1])[:, :2].T
    return np.where(pull > _CLEAR * error, pull, 0.0)


def measure_pulls(
    forces: Array, heights: Array, parts: Array, tilts: Array, tilt_errors: Array, noises: Array
) -> Array:
    """Measure the retract of each curve.

    Parameters
    ----------
    forces : ndarray, shape (row, sample)
        Samples that are not finite do not count.
    heights : ndarray, shape (row or 1, sample)
    parts : ndarray of int, shape (row, 2)
        First sample of the retract, and the one after its last.
    tilts, tilt_errors, noises : ndarray, shape (row,)
        Of the line before contact; NaN where a curve is not to be measured.

    Returns
    -------
    ndarray, shape (row, figure)
        Those of `PULLS`; NaN where there is no retract, and the samples where nothing holds the tip.
    """
    out = np.empty((len(forces), len(PULLS)))
    _measure_all(
        np.ascontiguousarray(forces, np.float64), np.ascontiguousarray(heights, np.float64),
        np.ascontiguousarray(parts, np.int64), np.ascontiguousarray(tilts), np.ascontiguousarray(tilt_errors),
        np.ascontiguousarray(noises), np.empty((3, forces.shape[1])), out,
    )  # fmt: skip
    return out
