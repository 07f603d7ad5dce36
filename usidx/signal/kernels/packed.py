"""Transforms of rows whose samples were packed in pairs -> what a filter leaves of them, in machine code.

Importing this imports numba, so do so in a function.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from numba import types

__all__ = ["filter_packed", "weigh_packed"]

Array = npt.NDArray[Any]


def _declare(cell: Any) -> Any:
    weights = types.Array(cell, 1, "C", readonly=True)
    return types.void(types.Array(cell, 2, "C"), weights, weights)


@numba.njit(  # type: ignore[untyped-decorator]
    [_declare(types.float32), _declare(types.float64)], nogil=True, cache=True, fastmath={"contract"}
)
def _filter(rows: Any, own: Any, other: Any) -> None:
    size = rows.shape[1]
    back = np.empty(size, rows.dtype)
    for row in range(rows.shape[0]):
        line = rows[row]
        # The opposite frequency, its parts exchanged, is the line read backwards. In two loops, and with an index that
        # cannot be negative, many places are worked out at once.
        back[0], back[1] = line[1], line[0]
        for k in range(2, size):
            back[k] = line[np.uintp(size + 1 - k)]
        for k in range(size):
            line[k] = own[k] * line[k] + other[k] * back[k]


def weigh_packed(factors: Array) -> tuple[Array, Array]:
    r"""Return how much each frequency of packed samples keeps of itself, and takes of the one opposite.

    Of real samples :math:`x_j` take :math:`z_j = x_{2j} + i x_{2j+1}`, half as many, which lie so in memory already. A
    filter that multiplies the transform of :math:`x` by :math:`h_k = h_{n-k}` makes of the transform of :math:`z`

    .. math:: (s_k - d_k \sin\theta_k) Z_k + i d_k \cos\theta_k \overline{Z_{m-k}}

    with :math:`m = n/2`, :math:`\theta_k = 2 \pi k / n`, :math:`2 s_k = h_k + h_{m-k}`, :math:`2 d_k = h_k - h_{m-k}`.

    Parameters
    ----------
    factors : ndarray, shape (m + 1,)
        :math:`h_0` to :math:`h_m`.

    Returns
    -------
    tuple of ndarray of float64, shape (2 m,)
        The factors of both, once for the real and once for the imaginary part, for `filter_packed`.
    """
    size = factors.size - 1
    own, opposite = factors[:-1].astype(np.float64), factors[:0:-1].astype(np.float64)
    angle = np.pi * np.arange(size) / size
    mean, half = (own + opposite) / 2, (own - opposite) / 2
    return np.repeat(mean - half * np.sin(angle), 2), np.repeat(half * np.cos(angle), 2)


def filter_packed(found: Array, weights: tuple[Array, Array]) -> None:
    """Filter the transforms of packed rows, in their place.

    Parameters
    ----------
    found : ndarray of complex64 or complex128, shape (row, frequency)
        Contiguous.
    weights : tuple of ndarray
        From `weigh_packed`.
    """
    real = found.real.dtype
    _filter(found.view(real), *(np.ascontiguousarray(one, real) for one in weights))
