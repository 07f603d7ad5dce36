"""A matrix of five -> its inverse, in machine code; importing this imports numba."""

from __future__ import annotations

from typing import Any

import numpy as np

from usidx.modes.force.kernels.compiled import compile_part_in_order

__all__ = ["invert"]


@compile_part_in_order
def invert(stiffness: float, mat: Any, low: Any, inverse: Any) -> bool:
    """Invert a matrix of five by Cholesky, in units of the roots of its diagonal; False where it is not definite."""
    for j in range(5):
        for k in range(j + 1):
            total = mat[j, k] / np.sqrt(mat[j, j] * mat[k, k])
            for m in range(k):
                total -= low[j, m] * low[k, m]
            if j > k:
                low[j, k] = total / low[k, k]
            elif total + stiffness > 1e-13:
                low[j, j] = np.sqrt(total + stiffness)
            else:
                return False
    for j in range(5):
        for k in range(j + 1):
            total = 1.0 if j == k else 0.0
            for m in range(k, j):
                total -= low[j, m] * low[m, k + 5]
            low[j, k + 5] = total / low[j, j]
    for j in range(5):
        for k in range(5):
            total = 0.0
            for m in range(max(j, k), 5):
                total += low[m, j + 5] * low[m, k + 5]
            inverse[j, k] = total / np.sqrt(mat[j, j] * mat[k, k])
    return True
