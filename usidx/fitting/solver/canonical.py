"""Table of figures -> the same fits in one form, of those that mean the same."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from usidx.fitting.kernels.columns import Columns
from usidx.fitting.models.model import Model

__all__ = ["make_canonical"]

Array = npt.NDArray[np.float64]


def make_canonical(
    model: Model, free: tuple[str, ...], bounds: Mapping[str, tuple[float, float]], table: Array
) -> Array:
    """Put the longer axis first, and bring angles within half a period of zero; the table is changed in place."""
    own = {p.name: p.bounds for p in model.parameters}
    for names in model.axes:
        if all(n in free and bounds[n] == own[n] for n in names):
            _exchange_axes(table, Columns(len(own)), *(model.names.index(n) for n in names))
    for k, p in enumerate(model.parameters):
        if p.period:
            half = 0.5 * p.period
            table[:, k] = half - np.mod(half - table[:, k], p.period)
    return table


def _exchange_axes(table: Array, at: Columns, first: int, second: int, angle: int) -> None:
    """Exchange two axes where the second is the longer one."""
    rows = np.flatnonzero(table[:, first] < table[:, second])
    order = np.arange(at.n)
    order[[first, second]] = second, first
    for part in (at.parameters, at.stderr):
        table[rows, part] = table[rows, part][:, order]
    table[rows, angle] += 0.5 * math.pi
    if table.shape[1] == at.count(covariance=True):
        square = table[rows, at.covariance].reshape(len(rows), at.n, at.n)
        table[rows, at.covariance] = square[:, order][:, :, order].reshape(len(rows), at.n**2)
