"""Padded rows -> the median of each window, in machine code; importing this imports numba, so do so in a function.

Small windows are sorted by networks of comparisons, written out so that the compiler does many places at once. Larger
ones stay sorted as they move on.

References
----------
A. Paeth, Graphics Gems, Academic Press (1990), p. 171, and N. Devillard's tables of networks that find a median.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from numba import types

__all__ = ["find_medians"]

_compile = numba.njit(nogil=True)


@numba.njit(inline="always")  # type: ignore[untyped-decorator]
def _low(one: Any, other: Any) -> Any:
    return one if one < other else other


@numba.njit(inline="always")  # type: ignore[untyped-decorator]
def _high(one: Any, other: Any) -> Any:
    return other if one < other else one


@_compile  # type: ignore[untyped-decorator]
def _take_3(line: Any, out: Any) -> None:
    for j in range(out.size):
        a, b, c = line[j], line[j + 1], line[j + 2]
        a, b = _low(a, b), _high(a, b)
        b, c = _low(b, c), _high(b, c)
        a, b = _low(a, b), _high(a, b)
        out[j] = b


@_compile  # type: ignore[untyped-decorator]
def _take_5(line: Any, out: Any) -> None:
    for j in range(out.size):
        a, b, c, d, e = line[j], line[j + 1], line[j + 2], line[j + 3], line[j + 4]
        a, b = _low(a, b), _high(a, b)
        d, e = _low(d, e), _high(d, e)
        a, d = _low(a, d), _high(a, d)
        b, e = _low(b, e), _high(b, e)
        b, c = _low(b, c), _high(b, c)
        c, d = _low(c, d), _high(c, d)
        b, c = _low(b, c), _high(b, c)
        out[j] = c


@_compile  # type: ignore[untyped-decorator]
def _take_7(line: Any, out: Any) -> None:
    for j in range(out.size):
        a, b, c, d, e, f, g = line[j], line[j + 1], line[j + 2], line[j + 3], line[j + 4], line[j + 5], line[j + 6]
        a, f = _low(a, f), _high(a, f)
        a, d = _low(a, d), _high(a, d)
        b, g = _low(b, g), _high(b, g)
        c, e = _low(c, e), _high(c, e)
        a, b = _low(a, b), _high(a, b)
        d, f = _low(d, f), _high(d, f)
        c, g = _low(c, g), _high(c, g)
        c, d = _low(c, d), _high(c, d)
        d, g = _low(d, g), _high(d, g)
        e, f = _low(e, f), _high(e, f)
        b, e = _low(b, e), _high(b, e)
        b, d = _low(b, d), _high(b, d)
        d, e = _low(d, e), _high(d, e)
        out[j] = d


@_compile  # type: ignore[untyped-decorator]
def _take_9(line: Any, out: Any) -> None:
    for j in range(out.size):
        a, b, c, d, e = line[j], line[j + 1], line[j + 2], line[j + 3], line[j + 4]
        f, g, h, i = line[j + 5], line[j + 6], line[j + 7], line[j + 8]
        b, c = _low(b, c), _high(b, c)
        e, f = _low(e, f), _high(e, f)
        h, i = _low(h, i), _high(h, i)
        a, b = _low(a, b), _high(a, b)
        d, e = _low(d, e), _high(d, e)
        g, h = _low(g, h), _high(g, h)
        b, c = _low(b, c), _high(b, c)
        e, f = _low(e, f), _high(e, f)
        h, i = _low(h, i), _high(h, i)
        a, d = _low(a, d), _high(a, d)
        f, i = _low(f, i), _high(f, i)
        e, h = _low(e, h), _high(e, h)
        d, g = _low(d, g), _high(d, g)
        b, e = _low(b, e), _high(b, e)
        c, f = _low(c, f), _high(c, f)
        e, h = _low(e, h), _high(e, h)
        e, c = _low(e, c), _high(e, c)
        g, e = _low(g, e), _high(g, e)
        e, c = _low(e, c), _high(e, c)
        out[j] = e


@_compile  # type: ignore[untyped-decorator]
def _take_any(line: Any, window: int, out: Any) -> None:
    kept = np.sort(line[:window])
    out[0] = kept[window // 2]
    for start in range(1, out.size):
        old, new = line[start - 1], line[start - 1 + window]
        # Counted and not searched: no branch that the processor would guess wrong.
        left, entered = 0, 0
        for k in range(window):
            left += kept[k] < old
            entered += kept[k] < new
        entered -= old < new
        for k in range(left, entered):
            kept[k] = kept[k + 1]
        for k in range(left, entered, -1):
            kept[k] = kept[k - 1]
        kept[entered] = new
        out[start] = kept[window // 2]


def _declare(cell: Any) -> Any:
    return types.void(types.Array(cell, 2, "C", readonly=True), types.int64, types.Array(cell, 2, "C"))


@numba.njit([_declare(types.float32), _declare(types.float64)], nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _take_all(rows: Any, window: int, out: Any) -> None:
    for row in range(rows.shape[0]):
        if window == 3:
            _take_3(rows[row], out[row])
        elif window == 5:
            _take_5(rows[row], out[row])
        elif window == 7:
            _take_7(rows[row], out[row])
        elif window == 9:
            _take_9(rows[row], out[row])
        else:
            _take_any(rows[row], window, out[row])


def find_medians(padded: npt.NDArray[Any], window: int) -> npt.NDArray[Any]:
    """Return the median of each window.

    Parameters
    ----------
    padded : ndarray of float, shape (row, sample + window - 1)
        Without NaN.
    window : int
        Odd.

    Returns
    -------
    ndarray, shape (row, sample)
    """
    given = np.ascontiguousarray(padded)
    out = np.empty((len(given), given.shape[1] - window + 1), given.dtype)
    _take_all(given, window, out)
    return out
