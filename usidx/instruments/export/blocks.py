"""A lazy variable -> its blocks, one after another, so that never more than one is in memory."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise, product
from math import prod
from typing import Any

import numpy as np
import xarray as xr

from usidx.format.layout import Array

__all__ = ["choose_chunk", "iterate_blocks", "make_uniform"]

#: Bytes of a block of what is no dask array.
_BLOCK = 32 << 20


def iterate_blocks(variable: xr.Variable) -> Iterator[tuple[tuple[slice, ...], Array]]:
    """Yield where each block lies, and its values, in the order of the array.

    Parameters
    ----------
    variable : Variable
        With a dask array in its own blocks; anything else in slabs of the slowest dims.
    """
    lengths = variable.chunks or tuple(_cut(n, step) for n, step in _choose_steps(variable))
    if 0 in variable.shape:
        return
    ends = [np.cumsum((0, *along)).tolist() for along in lengths]
    edges = [[slice(a, b) for a, b in pairwise(e)] for e in ends]
    for where in product(*edges):
        yield where, np.asarray(variable[where].values)


def make_uniform(variable: xr.Variable) -> xr.Variable:
    """Give a lazy variable blocks of one size along each dim, the last aside, as Zarr has them."""
    if variable.chunks is None or all(set(along[:-1]) <= {along[0]} >= {max(along)} for along in variable.chunks):
        return variable
    return variable.chunk({dim: max(1, *along) for dim, along in zip(variable.dims, variable.chunks, strict=True)})


def choose_chunk(variable: xr.Variable, most: int) -> tuple[int, ...]:
    """Return a chunk of no more than about `most` bytes by which the blocks of a variable can be divided."""
    chunk = [max(1, *along) for along in variable.chunks] if variable.chunks else [max(1, n) for n in variable.shape]
    while prod(chunk) * variable.dtype.itemsize > most and max(chunk) > 1:
        axis = int(np.argmax(chunk))
        chunk[axis] //= next((n for n in range(2, 100) if chunk[axis] % n == 0), chunk[axis])
    return tuple(chunk)


def _choose_steps(variable: xr.Variable) -> list[tuple[int, int]]:
    steps: list[Any] = []
    inner = variable.dtype.itemsize
    for n in reversed(variable.shape):
        step = n if inner * n <= _BLOCK else max(1, _BLOCK // inner)
        steps.append((n, step))
        inner *= step
    return steps[::-1]


def _cut(size: int, step: int) -> tuple[int, ...]:
    return tuple(min(step, size - start) for start in range(0, size, max(1, step)))
