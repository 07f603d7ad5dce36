"""Labelled data and work -> table of figures (*other, figure), as lazy as the data."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.fitting.axes import Sweep
from usidx.fitting.blocks import FIGURE, Work, block_again, block_table, limit_values, start_values
from usidx.fitting.kernels.columns import Columns
from usidx.fitting.solver.neighbours import gather_neighbours, list_offsets
from usidx.fitting.weights import broadcast_sigma
from usidx.label.blockwise import Output, along
from usidx.label.roles import position_dims

__all__ = ["find_neighbours_parameters", "table_of"]

Array = npt.NDArray[np.float64]
_NEIGHBOUR = "_neighbour"


def table_of(
    data: xr.DataArray,
    sweep: Sweep,
    work: Work,
    sigma: float | xr.DataArray | None,
    start: Mapping[str, float | xr.DataArray],
    limits: Mapping[str, tuple[Any, Any]],
    *,
    retry: bool,
) -> xr.Variable:
    """Fit each spectrum; with `retry` those that failed a second time. `limits` are bounds of each spectrum."""
    inputs = [*sweep.coordinates]
    if sigma is not None:
        inputs.append(broadcast_sigma(data, sigma, sweep.dims))
    if limits:
        inputs.append(limit_values(data, work.model, limits, sweep.dims))
    inputs.append(start_values(data, work.model, start, sweep.dims))
    width = Columns(len(work.model.names)).count(covariance=work.options.covariance)
    table = along(data, sweep.dims, partial(block_table, work=work), _rows(width), beside=inputs)
    if retry:
        inputs += [table, find_neighbours_parameters(table, len(work.model.names))]
        table = along(data, sweep.dims, partial(block_again, work=work), _rows(width + 1), beside=inputs)
    return table.variable.transpose(..., FIGURE)


def _rows(width: int) -> Output:
    return Output(dims=(FIGURE,), sizes={FIGURE: width}, dtype=np.float64)


def find_neighbours_parameters(table: xr.DataArray, n: int) -> xr.DataArray:
    """Return the parameters of the neighbours (*other, neighbour times n), wherever blocks end."""
    cells = position_dims(table) or tuple(str(d) for d in table.dims if d != FIGURE)
    size = n * len(list_offsets(len(cells)))
    output = Output(dims=(_NEIGHBOUR,), sizes={_NEIGHBOUR: size}, dtype=np.float64)
    return along(table, FIGURE, partial(_flat_around, n=n, rank=len(cells)), output, overlap=dict.fromkeys(cells, 1))


def _flat_around(table: Array, n: int, rank: int) -> Array:
    own = gather_neighbours(table, n, rank)[(slice(1, -1),) * rank]  # the cells at the ends belong to other pieces
    return own.reshape(*own.shape[:-2], n * len(list_offsets(rank)))
