"""Rows -> those of least total variation nearby, in machine code; importing this imports numba, so do so in a function.

References
----------
L. Condat, IEEE Signal Process. Lett. 20, 1054 (2013).
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from numba import types

__all__ = ["flatten_rows"]

_ROWS = types.Array(types.float64, 2, "C", readonly=True)
_LINE, _OUT = types.Array(types.float64, 1, "C", readonly=True), types.Array(types.float64, 1, "C")


@numba.njit(types.void(_LINE, types.float64, _OUT), nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _flatten(y: Any, weight: float, x: Any) -> None:
    """Find the flat pieces one after another, each by the least and the greatest level that it may have.

    `low_slack` and `high_slack` are how the string would lie with the piece at either level; where one leaves the
    tube of half the width `weight`, the piece ends at the last sample at which it touched the tube.
    """
    last = y.size - 1
    k = begin = low_touch = high_touch = 0
    low, high, low_slack, high_slack = y[0] - weight, y[0] + weight, weight, -weight
    while True:
        if k == last:
            if low_slack >= 0.0 and high_slack <= 0.0:
                x[begin:] = low + low_slack / (k - begin + 1)
                return
            if low_slack < 0.0:
                x[begin : low_touch + 1] = low
                k = begin = low_touch = low_touch + 1
                low, low_slack = y[k], weight
                high_slack = low + weight - high
            else:
                x[begin : high_touch + 1] = high
                k = begin = high_touch = high_touch + 1
                high, high_slack = y[k], -weight
                low_slack = high - weight - low
            continue
        low_slack += y[k + 1] - low
        high_slack += y[k + 1] - high
        if low_slack < -weight or high_slack > weight:
            falls = low_slack < -weight
            end = low_touch if falls else high_touch
            x[begin : end + 1] = low if falls else high
            k = begin = low_touch = high_touch = end + 1
            low = y[k] - (0.0 if falls else 2 * weight)
            high = low + 2 * weight
            low_slack, high_slack = weight, -weight
            continue
        k += 1
        if low_slack >= weight:
            low_touch = k
            low += (low_slack - weight) / (k - begin + 1)
            low_slack = weight
        if high_slack <= -weight:
            high_touch = k
            high += (high_slack + weight) / (k - begin + 1)
            high_slack = -weight


@numba.njit(types.void(_ROWS, types.float64, types.Array(types.float64, 2, "C")), nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _flatten_all(rows: Any, weight: float, out: Any) -> None:
    for row in range(rows.shape[0]):
        _flatten(rows[row], weight, out[row])


def flatten_rows(rows: npt.NDArray[Any], weight: float) -> npt.NDArray[np.float64]:
    """Return for each row y the x of least ``sum((x - y)**2) / 2 + weight * sum(abs(diff(x)))``."""
    given = np.ascontiguousarray(rows, np.float64)
    out = np.empty_like(given)
    _flatten_all(given, weight, out)
    return out
