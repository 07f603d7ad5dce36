"""Projected loops over one course of the voltage -> start values of the nine parameters.

Everything is worked out loop by loop, so a guess does not depend on which loops it is made with.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import erf

from usidx.fitting.models.curves import measure_extent
from usidx.fitting.models.hysteresis_loop import find_rising
from usidx.modes.switching.project_loops import close_polygon

__all__ = ["guess_loops"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_WIDTHS: Final = (0.03, 0.08, 0.2)  # of the range
_ENDS: Final = 0.15  # of the range at either end: there both branches are taken to be saturated
_MARGIN: Final = 0.03  # of the range: no branch is taken to switch nearer to the end


def guess_loops(loops: Array, voltage: Array) -> Array:
    """Return start values (loop, 9) of loops (loop, sample) of one voltage (sample).

    Where the branches switch is read off twice: from the moments of the enclosed area, which do not feel a slope, and
    from the means of the branches, which do not feel the turns. Of these places and some widths the combination is
    taken that explains most, levels and slope solved for. NaN where a loop has too few samples.
    """
    known = np.isfinite(loops) & np.isfinite(voltage)
    y, up = np.where(known, loops, 0.0), find_rising(voltage)
    low, span = (float(value) for value in measure_extent(voltage))
    v = np.where(np.isfinite(voltage), voltage, 0.0)
    places = [_guess_from_area(loops, voltage, known), _guess_from_means(y, v, known, up, low, span)]
    best = np.full((len(loops), 10), np.nan)
    best[:, -1] = np.inf
    for place in places:
        inside = np.clip(place, low + _MARGIN * span, low + (1 - _MARGIN) * span)
        for width in _WIDTHS:
            found = _solve_levels(y, v, known, up, inside, width * span)
            best = np.where(found[:, -1:] < best[:, -1:], found, best)
    lost = ~np.isfinite(best[:, -1]) & (known.sum(axis=-1) > 0)
    best[lost] = _guess_flat(loops[lost], known[lost], low, span)
    return best[:, :9]


def _guess_from_area(loops: Array, voltage: Array, known: Mask) -> Array:
    """Return (V-, V+) of the box whose area has the centroid and the spread along V of what the loop encloses."""
    v, y = close_polygon(np.broadcast_to(voltage, loops.shape), known), close_polygon(loops, known)
    height = -0.5 * (y[:, :-1] + y[:, 1:])
    moments = [np.sum(height * np.diff(v ** (k + 1), axis=-1), axis=-1) / (k + 1) for k in range(3)]
    with np.errstate(all="ignore"):
        middle = moments[1] / moments[0]
        half = np.sqrt(3.0 * (moments[2] / moments[0] - middle**2))
    return np.stack([middle - half, middle + half], axis=-1)


def _guess_from_means(y: Array, v: Array, known: Mask, up: Mask, low: float, span: float) -> Array:
    """Return (V-, V+) of the steps that have the means of the two branches."""
    bottom = _average(y, known & (v < low + _ENDS * span))
    top = _average(y, known & (v > low + (1 - _ENDS) * span))
    with np.errstate(all="ignore"):
        shares = [(_average(y, known & branch) - bottom) / (top - bottom) for branch in (~up, up)]
    return low + span * (1.0 - np.stack(shares, axis=-1))


def _average(y: Array, where: Mask) -> Array:
    with np.errstate(all="ignore"):
        mean: Array = np.sum(y, axis=-1, where=where) / np.sum(where, axis=-1)
    return mean


def _solve_levels(y: Array, v: Array, known: Mask, up: Mask, place: Array, width: float) -> Array:
    """Return the nine parameters, levels and slope solved for, and the sum of squares that is left.

    That sum is infinite where the loop would be upside down, or cannot be solved for.
    """
    center = np.where(up, place[:, 1:], place[:, :1])
    shape = 0.5 + 0.5 * erf((v - center) / width)
    rows = [np.broadcast_to(r, y.shape) * known for r in (1.0, shape, v)]
    basis = np.nan_to_num(np.stack(rows, axis=1))
    gram, right = basis @ basis.transpose(0, 2, 1), basis @ y[:, :, None]
    size = np.sqrt(np.maximum(np.einsum("nii->ni", gram), np.finfo(float).tiny))[:, :, None]
    # What cannot be told apart is shared out evenly: a singular matrix gets a little more on its diagonal.
    solved = np.linalg.solve(gram / size / size.transpose(0, 2, 1) + 1e-10 * np.eye(3), right / size) / size
    left = np.sum((y - (basis * solved).sum(axis=1)) ** 2, axis=-1)
    bottom, height, slope = solved[:, :, 0].T
    wrong = ~np.isfinite(left) | ~np.isfinite(place).all(axis=-1) | ~(height > 0.0)
    columns = (bottom, height, place[:, 0], place[:, 1], slope, *(np.full(len(y), width),) * 4)
    return np.stack([*columns, np.where(wrong, np.inf, left)], axis=-1)


def _guess_flat(loops: Array, known: Mask, low: float, span: float) -> Array:
    """Return a start for what does not look like a loop: one over the inner half of the voltage."""
    bottom = np.min(loops, axis=-1, where=known, initial=np.inf)
    height = np.max(loops, axis=-1, where=known, initial=-np.inf) - bottom
    fixed = (low + 0.25 * span, low + 0.75 * span, 0.0, *(0.08 * span,) * 4, np.inf)
    return np.stack([bottom, height, *(np.full(len(loops), value) for value in fixed)], axis=-1)
