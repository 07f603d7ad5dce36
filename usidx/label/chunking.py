"""Lazy array -> the same in blocks that a kernel can work on: whole spectra, parts of a single block, overlaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import dask.array as da
import numpy as np
import xarray as xr

__all__ = ["SMALLEST_PART", "cut_single_block", "join_along", "trim", "widen"]

#: Bytes: a smaller part of a block is not worth a task of its own.
SMALLEST_PART: Final = 2**20
_LARGEST_BLOCK: Final = 64 * 2**20  # bytes: blocks that grow beyond it when spectra are joined are cut elsewhere
_PARTS: Final = 32  # of a single block: enough to see how far the work is, and to keep several cores busy


def join_along(variable: xr.Variable, core: tuple[str, ...]) -> xr.Variable:
    """Return the array with each spectrum in one block; blocks that grow too large by it are cut along other dims."""
    if variable.chunks is None or all(len(variable.chunksizes[d]) == 1 for d in core):
        return variable
    whole = dict.fromkeys((variable.get_axis_num(d) for d in core), -1)
    joined = variable.data.rechunk(whole)
    if int(np.prod([max(c) for c in joined.chunks])) * variable.dtype.itemsize > _LARGEST_BLOCK:
        sizes = dict.fromkeys(range(variable.ndim), "auto") | whole
        joined = variable.data.rechunk(sizes, block_size_limit=_LARGEST_BLOCK)
    return variable.copy(data=joined)


def cut_single_block(variable: xr.Variable, core: tuple[str, ...], smallest: int) -> xr.Variable:
    """Cut a single block into several, read once: nobody would see how far it is, and one core would do it all."""
    longest = max((d for d in variable.dims if d not in core), key=lambda d: variable.sizes[d], default=None)
    if longest is None or variable.chunks is None or any(len(sizes) > 1 for sizes in variable.chunks):
        return variable
    length = variable.sizes[longest]
    step = max(-(-length // _PARTS), -(-smallest * length // max(variable.nbytes, 1)), 1)
    return variable if step >= length else variable.chunk({longest: step})


def widen(variables: Sequence[xr.Variable], depth: Mapping[str, int]) -> list[xr.Variable]:
    """Give each block the cells beside it along some dims; along these all arrays are cut as the first one is."""
    first = variables[0] if variables[0].chunks is not None else variables[0].chunk()
    return [
        _widen_variable(v, {d: first.chunksizes[d] for d in depth if d in v.dims}, depth)
        for v in (first, *variables[1:])
    ]


def _widen_variable(
    variable: xr.Variable, chunks: Mapping[str, tuple[int, ...]], depth: Mapping[str, int]
) -> xr.Variable:
    if not chunks:
        return variable
    every = [depth.get(str(d), 0) for d in variable.dims]
    wide = da.overlap.overlap(variable.chunk(chunks).data, depth=dict(enumerate(every)), boundary="none")
    return xr.Variable(variable.dims, wide)


def trim(variable: xr.Variable, depth: Mapping[str, int]) -> xr.Variable:
    """Cut off again what :func:`widen` gave to each block."""
    every = [depth.get(str(d), 0) for d in variable.dims]
    return xr.Variable(variable.dims, da.overlap.trim_internal(variable.data, dict(enumerate(every)), boundary="none"))
