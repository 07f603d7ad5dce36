"""Residual of a robust fit -> variance of its parameters, in machine code.

Importing this module imports numba; do so only inside a function.
"""

from __future__ import annotations

import math

import numpy as np

from usidx.fitting.compile.interpreter import Integers, Rows
from usidx.fitting.compile.jit import compile_part
from usidx.fitting.compile.layout import (
    HAS_WEIGHT,
    LOSS,
    LOSS_SCALE,
    N_FREE,
    N_PARTS,
    RESIDUAL,
    SAMPLES,
    SETTINGS,
    WEIGHT,
)

__all__ = ["compute_robust_variance"]


@compile_part
def compute_robust_variance(head: Integers, bench: Rows, data: Rows) -> float:
    """Return what the inverse is multiplied by in place of the noise's variance; see `solver.robust`."""
    count, free, scale = head[SAMPLES] * head[N_PARTS], head[N_FREE], bench[SETTINGS, LOSS_SCALE]
    pull, stiff, square = 0.0, 0.0, 0.0
    for part in range(head[N_PARTS]):
        residual = data[head[RESIDUAL] + part]
        for i in range(head[SAMPLES]):
            weight = data[head[WEIGHT], i] if head[HAS_WEIGHT] > 0 else 1.0
            psi, slope = _evaluate_influence(head[LOSS], residual[i] * weight / scale)
            pull += psi * psi
            stiff += slope
            square += slope * slope
    mean = stiff / count
    if count <= free or mean <= 0.0:
        return np.nan
    correction = 1.0 + free / count * (square / count - mean * mean) / (mean * mean)
    found: float = correction * correction * pull * scale * scale / ((count - free) * mean * mean)
    return found


@compile_part
def _evaluate_influence(kind: int, residual: float) -> tuple[float, float]:
    """Return psi, the residual times the slope of the loss by its square, and the derivative of psi."""
    z = residual * residual
    if kind == 1:
        root = math.sqrt(1.0 + z)
        return residual / root, 1.0 / (root * root * root)
    if kind == 2 and z > 1.0:
        return residual / math.sqrt(z), 0.0
    if kind == 3:
        return residual / (1.0 + z), (1.0 - z) / ((1.0 + z) * (1.0 + z))
    return residual, 1.0
