"""Lazy array -> the same in blocks that a kernel can work on, whole spectra or parts of a single one; and its call."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import dask.array as da
import numpy as np
import xarray as xr

__all__ = ["SMALLEST_PART", "call_on_blocks", "cut_single_block", "join_along"]

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


def call_on_blocks(
    func: Callable[..., Any], inputs: Sequence[xr.Variable], loop: tuple[str, ...], metas: Sequence[Any], sizes: Any
) -> list[Any]:
    """Return the lazy arrays that a function makes of the blocks of several.

    Of dask there is `apply_gufunc` for it, which copies each block before it hands it on.

    Parameters
    ----------
    func : callable
        Returns an array, or a tuple of them where there are several.
    inputs : sequence of Variable
        Dims in `loop` may be one long; along all others there is one block.
    loop : tuple of str
        The dims along which there may be several blocks.
    metas, sizes : sequence of ndarray and of tuple of int
        For each array that the function returns, an empty one, and its sizes behind the dims in `loop`.

    Returns
    -------
    list of dask array
    """
    numbers = {d: k for k, d in enumerate(dict.fromkeys([*loop, *(d for v in inputs for d in v.dims)]))}
    pairs = [one for v in inputs for one in (da.asarray(v.data), [numbers[d] for d in v.dims])]
    rows, call, token = list(range(len(loop))), partial(_call_whole, func), func.__name__.strip("_")
    if len(metas) > 1:
        several = da.blockwise(call, rows, *pairs, meta=np.empty((0,) * len(loop), object), token=token)
        pairs = [several, rows]
    found = []
    for number, (meta, own) in enumerate(zip(metas, sizes, strict=True)):
        new = dict(enumerate(own, start=len(numbers)))
        pick, which = (call, []) if len(metas) == 1 else (operator.getitem, [number, None])
        found.append(da.blockwise(pick, [*rows, *new], *pairs, *which, new_axes=new, meta=meta, token=token))
    return found


def _call_whole(func: Callable[..., Any], *blocks: Any) -> Any:
    """Call a function on blocks, each in a list for each of its dims that is whole."""
    plain = []
    for block in blocks:
        while isinstance(block, list):
            (block,) = block
        # In the order of the dims, as kernels are fastest, and not locked, as a cluster hands it on and not all machine
        # code takes it; there is no copy of what is so.
        plain.append(np.require(block, requirements=["C", "W"]) if isinstance(block, np.ndarray) else block)
    return func(*plain)
