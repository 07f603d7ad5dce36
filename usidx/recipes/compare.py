"""Two Datasets -> how far each variable of one is from the other, in one pass over both."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from usidx.tasks.compute import compute

__all__ = ["measure_differences"]


def measure_differences(stored: xr.Dataset, made: xr.Dataset) -> dict[str, float]:
    """Return how far what was made is from what is stored, for each variable of either.

    Computes. Numbers: the largest difference, in parts of the largest stored magnitude; infinite where a cell is NaN in
    one only. Labels, flags and texts: the share of cells that differ. Infinite, too, where a variable is missing, or
    has other dims or sizes.
    """
    measured: dict[str, Any] = {}
    lost: dict[str, float] = {}
    for name in [*stored.data_vars, *(n for n in made.data_vars if n not in stored)]:
        one, other = stored.get(name), made.get(name)
        if one is None or other is None or dict(one.sizes) != dict(other.sizes):
            lost[str(name)] = np.inf
        else:
            # Without coordinates: what was computed with them says enough of these.
            measured[str(name)] = _measure(*(xr.DataArray(a.variable.transpose(*one.dims)) for a in (one, other)))
    found = compute(*(part for parts in measured.values() for part in parts), progress=False) if measured else ()
    values = iter(np.asarray(one).item() for one in found)
    joined = {name: _divide(next(values), next(values)) for name in measured}
    order = [str(n) for n in [*stored.data_vars, *made.data_vars]]
    return {name: (joined | lost)[name] for name in dict.fromkeys(order)}


def _measure(stored: xr.DataArray, made: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """Return the largest difference, or how many cells differ, and what that is to be divided by."""
    if not stored.size:
        return xr.DataArray(0.0), xr.DataArray(1.0)
    if not {stored.dtype.kind, made.dtype.kind} & set("fc"):
        return (stored != made).sum(), xr.DataArray(float(stored.size))
    one, other = (a.astype(np.complex128 if a.dtype.kind == "c" else np.float64) for a in (stored, made))
    differ = ~((one == other) | (one.isnull() & other.isnull()))
    distance = abs(one - other).where(differ, 0.0)
    largest = abs(one).where(np.isfinite(one), 0.0).max()
    return distance.fillna(np.inf).max(), largest


def _divide(difference: float, largest: float) -> float:
    if difference == 0:
        return 0.0
    return float(difference) / float(largest) if largest else np.inf
