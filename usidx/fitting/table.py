"""Labelled data and work -> table of figures (*other, figure), as lazy as the data."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.fitting.axes import Sweep
from usidx.fitting.blocks import (
    FIGURE,
    PARAMETER,
    Work,
    block_again,
    block_table,
    start_values,
    weights,
    whole_along,
)
from usidx.fitting.columns import Columns
from usidx.fitting.solver.neighbours import gather_neighbours, list_offsets
from usidx.label.roles import position_dims

__all__ = ["table_of"]

Array = npt.NDArray[np.float64]
_NEIGHBOUR = "_neighbour"


def table_of(
    data: xr.DataArray,
    sweep: Sweep,
    work: Work,
    sigma: float | xr.DataArray | None,
    start: Mapping[str, float | xr.DataArray],
    *,
    retry: bool,
) -> xr.Variable:
    """Fit each spectrum; with `retry` those that failed a second time."""
    core = list(sweep.dims)
    inputs = [whole_along(data, sweep.dims).variable]
    dims: list[list[str]] = [core]
    for d, c in zip(core, sweep.coordinates, strict=True):
        inputs.append(whole_along(c, (d,)).variable)
        dims.append([d])
    if sigma is not None:
        inputs.append(weights(data, sigma, sweep.dims).variable)
        dims.append(core)
    inputs.append(start_values(data, work.model, start, sweep.dims).variable)
    dims.append([PARAMETER])
    width = Columns(len(work.model.names)).count(covariance=work.options.covariance)
    table = _applied(block_table, inputs, dims, work, width)
    if not retry:
        return table
    cells = [str(d) for d in position_dims(data) if d not in core and d in table.dims]
    cells = cells or [str(d) for d in table.dims if d != FIGURE]
    starts = _starts(table.transpose(*cells, ..., FIGURE), len(work.model.names), len(cells))
    return _applied(block_again, [*inputs, table, starts], [*dims, [FIGURE], [_NEIGHBOUR]], work, width + 1)


def _applied(function: Any, inputs: list[xr.Variable], dims: list[list[str]], work: Work, width: int) -> xr.Variable:
    # The table has another width before and after, so its dim has another name.
    old = f"{FIGURE}_before"
    renamed = [xr.Variable([old if d == FIGURE else d for d in v.dims], v.data) for v in inputs]
    table: xr.Variable = xr.apply_ufunc(
        function,
        *renamed,
        kwargs={"work": work},
        input_core_dims=[[old if d == FIGURE else d for d in own] for own in dims],
        output_core_dims=[[FIGURE]],
        dask="parallelized",
        dask_gufunc_kwargs={
            "output_sizes": {FIGURE: width},
            "meta": np.empty((0,) * (inputs[0].ndim - len(dims[0]) + 1)),
        },
        keep_attrs=False,
    )
    return table


def _starts(table: xr.Variable, n: int, rank: int) -> xr.Variable:
    """Return the parameters of the neighbours (*other, neighbour times n)."""
    if not table.size:
        return xr.Variable((*table.dims[:-1], _NEIGHBOUR), np.zeros((*table.shape[:-1], n * len(list_offsets(rank)))))
    gather = partial(_flat_around, n=n, rank=rank)
    if table.chunks is None:
        return xr.Variable((*table.dims[:-1], _NEIGHBOUR), gather(table.values))
    depth = {axis: int(axis < rank) for axis in range(table.ndim)}
    wider = da.overlap.overlap(table.data, depth=depth, boundary="none")
    chunks = (*wider.chunks[:-1], (n * len(list_offsets(rank)),))
    found = wider.map_blocks(gather, dtype=np.float64, chunks=chunks, meta=np.empty((0,) * table.ndim))
    return xr.Variable((*table.dims[:-1], _NEIGHBOUR), da.overlap.trim_internal(found, depth, boundary="none"))


def _flat_around(table: Array, n: int, rank: int) -> Array:
    return gather_neighbours(table, n, rank).reshape(*table.shape[:-1], n * len(list_offsets(rank)))
