"""Padded rows -> weighted sums of windows, in machine code; importing this imports numba, so do so in a function."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from numba import types

__all__ = ["weigh_windows"]


def _declare(cell: Any) -> Any:
    given = types.Array(cell, 2, "C", readonly=True), types.Array(cell, 1, "C", readonly=True)
    return types.void(*given, types.Array(cell, 2, "C"))


@numba.njit(  # type: ignore[untyped-decorator]
    [_declare(types.float32), _declare(types.float64)], nogil=True, cache=True, fastmath={"contract"}
)
def _weigh(rows: Any, weights: Any, out: Any) -> None:
    size, alone = out.shape[1], (weights.size - 1) % 4
    for row in range(rows.shape[0]):
        line, total = rows[row], out[row]
        for j in range(size):
            total[j] = weights[0] * line[j]
        # One weight after another for the whole line, which stays in the cache: registers hold many places at once.
        for k in range(1, 1 + alone):
            first = line[k:]
            for j in range(size):
                total[j] += weights[k] * first[j]
        # And four of them at once, for each time the sums are fetched and put back.
        for k in range(1 + alone, weights.size, 4):
            w0, w1, w2, w3 = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
            first, second, third, fourth = line[k:], line[k + 1 :], line[k + 2 :], line[k + 3 :]
            for j in range(size):
                total[j] += w0 * first[j] + w1 * second[j] + w2 * third[j] + w3 * fourth[j]


def weigh_windows(padded: npt.NDArray[Any], weights: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the sums of each window, weighted from its first sample on.

    Parameters
    ----------
    padded : ndarray of float32 or float64, shape (row, sample + window - 1)
        Finite.
    weights : ndarray, shape (window,)

    Returns
    -------
    ndarray, shape (row, sample)
        Of the type of the rows.
    """
    given = np.ascontiguousarray(padded)
    out = np.empty((len(given), given.shape[1] - weights.size + 1), given.dtype)
    _weigh(given, np.ascontiguousarray(weights, given.dtype), out)
    return out
