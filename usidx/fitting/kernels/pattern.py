"""Residual of one spectrum -> by how much it is smoother than noise, in machine code.

What a right model leaves is noise, and no sample knows of the one before it. What a fit in a wrong minimum leaves goes
up and down slowly, so its scatter is more than that of the steps from sample to sample. Importing this module imports
numba; do so only inside a function.

References
----------
J. von Neumann, Ann. Math. Stat. 12, 367 (1941).
"""

from __future__ import annotations

import math

from usidx.fitting.compile.interpreter import Integers, Row, Rows
from usidx.fitting.compile.jit import compile_part
from usidx.fitting.compile.layout import HAS_WEIGHT, N_PARTS, RESIDUAL, SAMPLES, WEIGHT

__all__ = ["measure_pattern"]


@compile_part
def measure_pattern(head: Integers, data: Rows, free: int) -> float:
    """Return by how many standard deviations the rows RESIDUAL are smoother than noise."""
    total, moved, size = 0.0, 0.0, head[SAMPLES]
    for part in range(head[N_PARTS]):
        residual = data[head[RESIDUAL] + part]
        if head[HAS_WEIGHT] > 0:
            first, second = _sum_weighted(residual, data[head[WEIGHT]], size)
        else:
            first, second = _sum_plain(residual, size)
        total += first
        moved += second
    count = size * head[N_PARTS]
    if count <= free or moved <= 0.0:
        return 0.0
    noise = moved / (2.0 * (size - 1) * head[N_PARTS])
    found: float = (total / (count - free) / noise - 1.0) * math.sqrt(count)
    return found


@compile_part
def _sum_plain(residual: Row, size: int) -> tuple[float, float]:
    """Return the sums of squares, of a row and of its steps."""
    total, moved = 0.0, 0.0
    for i in range(size):
        total += residual[i] * residual[i]
    for i in range(size - 1):
        moved += (residual[i + 1] - residual[i]) * (residual[i + 1] - residual[i])
    return total, moved


@compile_part
def _sum_weighted(residual: Row, weight: Row, size: int) -> tuple[float, float]:
    total, moved = 0.0, 0.0
    for i in range(size):
        total += residual[i] * weight[i] * residual[i] * weight[i]
    for i in range(size - 1):
        step = residual[i + 1] * weight[i + 1] - residual[i] * weight[i]
        moved += step * step
    return total, moved
