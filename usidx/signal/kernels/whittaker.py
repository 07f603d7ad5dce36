"""Rows -> baselines by reweighted, penalised least squares, in machine code; importing this imports numba.

Each round solves (W + lam D'D) z = W y, D the second differences, by factors L D L' of the five diagonals. Eight rows
are solved side by side, whose divisions the processor does at once; a row that has settled makes room for the next.

References
----------
P. Eilers, Anal. Chem. 75, 3631 (2003). S.-J. Baek et al., Analyst 140, 250 (2015). S. Oller-Moreno et al., IEEE 11th
Int. Multi-Conf. on Systems, Signals and Devices (2014). J. Ye et al., Appl. Opt. 59, 10933 (2020).
"""

from __future__ import annotations

from typing import Any, Final

import numba
import numpy as np
import numpy.typing as npt
from numba import types

__all__ = ["ARPLS", "ASLS", "IARPLS", "PSALSA", "find_baselines"]

ASLS, ARPLS, PSALSA, IARPLS = range(4)
_LANES: Final = 8
_EPS: Final = float(np.finfo(float).eps)
_compile = numba.njit(nogil=True, error_model="numpy", fastmath={"contract", "reassoc"})


@_compile  # type: ignore[untyped-decorator]
def _solve(y: Any, w: Any, penalty: Any, z: Any, d: Any, e1: Any, e2: Any) -> None:
    """Solve for all lanes; arrays are (sample, lane), the penalty (diagonal, sample)."""
    size = y.shape[0]
    for i in range(size):
        for lane in range(_LANES):
            pivot, right = w[i, lane] + penalty[0, i], w[i, lane] * y[i, lane]
            first, second = penalty[1, i], penalty[2, i]
            if i >= 1:
                pivot -= e1[i - 1, lane] * e1[i - 1, lane] * d[i - 1, lane]
                right -= e1[i - 1, lane] * z[i - 1, lane]
                first -= e2[i - 1, lane] * e1[i - 1, lane] * d[i - 1, lane]
            if i >= 2:
                pivot -= e2[i - 2, lane] * e2[i - 2, lane] * d[i - 2, lane]
                right -= e2[i - 2, lane] * z[i - 2, lane]
            inverse = 1.0 / pivot
            d[i, lane], z[i, lane] = pivot, right
            e1[i, lane], e2[i, lane] = first * inverse, second * inverse
    for i in range(size - 1, -1, -1):
        for lane in range(_LANES):
            found = z[i, lane] / d[i, lane]
            if i < size - 1:
                found -= e1[i, lane] * z[i + 1, lane]
            if i < size - 2:
                found -= e2[i, lane] * z[i + 2, lane]
            z[i, lane] = found


@_compile  # type: ignore[untyped-decorator]
def _spread_below(y: Any, z: Any, lane: int) -> Any:
    """Return count, mean and standard deviation of what lies below the baseline."""
    count, total = 0, 0.0
    for i in range(y.shape[0]):
        left = y[i, lane] - z[i, lane]
        if left < 0.0:
            count += 1
            total += left
    if count < 2:
        return count, 0.0, 1.0
    mean, squares = total / count, 0.0
    for i in range(y.shape[0]):
        left = y[i, lane] - z[i, lane]
        if left < 0.0:
            squares += (left - mean) ** 2
    deviation = np.sqrt(squares / (count - 1))
    return count, mean, deviation if deviation > 0.0 else _EPS


@_compile  # type: ignore[untyped-decorator]
def _weigh(method: int, left: float, p: float, scale: float, mean: float, deviation: float, steep: float) -> Any:
    """Return the weight of a sample that is so far above the baseline."""
    if method == 0:
        return p if left > 0.0 else 1.0 - p
    if method == 2:
        return p * np.exp(-left / scale) if left > 0.0 else 1.0 - p
    if method == 1:
        return 1.0 / (1.0 + np.exp((2.0 / deviation) * (left - (2.0 * deviation - mean))))
    inner = steep / deviation * (left - 2.0 * deviation)
    return 0.5 * (1.0 - inner / np.sqrt(1.0 + inner * inner))


@_compile  # type: ignore[untyped-decorator]
def _update(method: int, y: Any, z: Any, w: Any, lane: int, p: float, scale: float, round_: int) -> Any:
    """Weigh the samples of a lane anew, and return by how much the weights have changed; -1 where it must stop."""
    mean, deviation = 0.0, 1.0
    if method == 1 or method == 3:
        count, mean, deviation = _spread_below(y, z, lane)
        if count < 2:
            return -1.0
    steep, changed, total = np.exp(min(round_, 100)), 0.0, 0.0
    for i in range(y.shape[0]):
        new = _weigh(method, y[i, lane] - z[i, lane], p, scale, mean, deviation, steep)
        changed += (new - w[i, lane]) ** 2
        total += w[i, lane] ** 2
        w[i, lane] = new
    return np.sqrt(changed) / max(np.sqrt(total), _EPS)


_ROWS, _OUT = types.Array(types.float64, 2, "C", readonly=True), types.Array(types.float64, 2, "C")
_LINE = types.Array(types.float64, 1, "C", readonly=True)


@numba.njit(  # type: ignore[untyped-decorator]
    types.void(types.int64, _ROWS, _ROWS, types.float64, _LINE, types.float64, types.int64, _OUT),
    nogil=True, cache=True, error_model="numpy", fastmath={"contract", "reassoc"},
)  # fmt: skip
def _find_all(method: int, rows: Any, penalty: Any, p: float, scales: Any, tol: float, rounds: int, out: Any) -> None:
    size, following = rows.shape[1], 0
    y, w, z = np.zeros((size, _LANES)), np.ones((size, _LANES)), np.zeros((size, _LANES))
    d, e1, e2 = np.ones((size, _LANES)), np.zeros((size, _LANES)), np.zeros((size, _LANES))
    row_of, round_of = np.full(_LANES, -1), np.zeros(_LANES, np.int64)
    busy = 0
    for lane in range(_LANES):
        if following < rows.shape[0]:
            y[:, lane] = rows[following]
            row_of[lane] = following
            following, busy = following + 1, busy + 1
    while busy > 0:
        _solve(y, w, penalty, z, d, e1, e2)
        for lane in range(_LANES):
            if row_of[lane] < 0:
                continue
            round_of[lane] += 1
            changed = _update(method, y, z, w, lane, p, scales[row_of[lane]], round_of[lane])
            if changed >= tol and round_of[lane] <= rounds:
                continue
            out[row_of[lane]] = z[:, lane]
            w[:, lane], round_of[lane], row_of[lane] = 1.0, 0, -1
            busy -= 1
            if following < rows.shape[0]:
                y[:, lane] = rows[following]
                row_of[lane] = following
                following, busy = following + 1, busy + 1


def find_baselines(
    method: int, rows: npt.NDArray[Any], lam: float, p: float, scales: npt.NDArray[Any], tol: float, rounds: int
) -> npt.NDArray[np.float64]:
    """Return the baselines of rows.

    Parameters
    ----------
    method : int
        One of the constants of this module.
    rows : ndarray, shape (row, sample)
        Finite; of 3 samples or more.
    lam, p : float
        How stiff the baseline is, and the weight of what lies above it (ASLS, PSALSA).
    scales : ndarray, shape (row,)
        The height of a peak, for PSALSA.
    tol, rounds : float and int
        Weights that change by less have settled; after `rounds` more than the first round it ends anyway.

    Returns
    -------
    ndarray of float64, shape (row, sample)
    """
    given = np.ascontiguousarray(rows, np.float64)
    out = np.empty_like(given)
    penalty = _find_penalty(given.shape[1], lam)
    _find_all(method, given, penalty, p, np.ascontiguousarray(scales, np.float64), tol, rounds, out)
    return out


def _find_penalty(size: int, lam: float) -> npt.NDArray[np.float64]:
    """Return main and upper diagonals of lam D'D, D the second differences."""
    found = np.zeros((3, size))
    for offset in range(size - 2):
        for a, one in enumerate((1.0, -2.0, 1.0)):
            for b, other in enumerate((1.0, -2.0, 1.0)):
                if b >= a:
                    found[b - a, offset + a] += one * other
    return lam * found
