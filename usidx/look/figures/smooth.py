"""A fit and the cells that are shown -> the curves of its model, between the samples too."""

from __future__ import annotations

import math

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from usidx.look.draw.downsample import make_ruler, pick

__all__ = ["evaluate_at"]

#: So many points make a line smooth; samples that are more are left as they are.
_POINTS = 300


def evaluate_at(fit: xr.Dataset, data: xr.DataArray, dim: str, at: list[dict[str, int]]) -> xr.DataArray:
    """Evaluate a fit at some cells of the data that was fitted; of dims (cell, `dim`), lazy where the fit is.

    A model that was fitted along one dim, at its coordinate, is evaluated between the samples too. They are gone
    through in their order, so a cycle of a voltage stays a cycle.
    """
    from usidx.fitting.evaluate import evaluate, fit_step_of

    told = fit_step_of(fit)["parameters"]
    is_plain = list(told["dim"]) == [dim] and told.get("coordinate") in {None, dim}
    cells = [{d: n for d, n in cell.items() if d in fit.dims} for cell in at]
    if not is_plain or any(len(cell) < len(one) for cell, one in zip(cells, at, strict=True)):
        return pick(evaluate(fit).transpose(*data.dims), at)
    chosen = _pick_all(fit, cells)
    values = make_ruler(data, dim).values
    fine = _refine(values)
    if fine.size == values.size or dim not in data.coords or not np.array_equal(data[dim].values, values):
        return evaluate(chosen).transpose("cell", dim)
    x = xr.DataArray(fine, dims=dim, coords={dim: (dim, fine, data[dim].attrs)}, name=dim, attrs=data[dim].attrs)
    return evaluate(chosen, x).transpose("cell", dim)


def _pick_all(fit: xr.Dataset, at: list[dict[str, int]]) -> xr.Dataset:
    if not at[0]:
        return fit.expand_dims("cell")
    return fit.isel({dim: xr.DataArray([cell[dim] for cell in at], dims="cell") for dim in at[0]})


def _refine(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Put points between the samples, which stay among them."""
    parts = math.ceil(_POINTS / max(values.size - 1, 1))
    if values.size < 2 or parts == 1:
        return values
    return np.interp(np.arange((values.size - 1) * parts + 1) / parts, np.arange(values.size), values)
