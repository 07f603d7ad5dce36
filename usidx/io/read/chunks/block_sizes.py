"""How a dataset lies on disk -> the size of dask's blocks.

Blocks are tens of megabytes, hold whole HDF5 chunks and whole slabs of the slowest dims: a block per HDF5 chunk would
cost more in scheduling than in reading.
"""

from __future__ import annotations

from math import ceil, lcm, prod

from usidx.format.placement import Placement

__all__ = ["BLOCK_BYTES", "choose_main_blocks", "choose_plain_blocks"]

#: Aimed at for one block; large enough to hide the cost of a task, small enough for several per worker. Blocks of twice
#: the size are read no faster and double the memory of every verb.
BLOCK_BYTES = 16 * 1024 * 1024


def choose_main_blocks(
    placement: Placement, itemsize: int, chunks: tuple[int, ...] | None, target: int = BLOCK_BYTES
) -> tuple[int, ...]:
    """Return the block of an N-D array over a main dataset, one size per dim in the order of the array.

    Parameters
    ----------
    placement : Placement
        How the array is laid over the dataset.
    itemsize : int
        Bytes of a cell.
    chunks : tuple of int or None
        HDF5 chunk (rows, columns).
    target : int
        Bytes aimed at.
    """
    position, spectroscopic = placement.position.shape, placement.spectroscopic.shape
    rows, columns = prod(position), prod(spectroscopic)
    chunk_rows, chunk_columns = (1, 1) if chunks is None else chunks
    # Whole spectra unless one row of HDF5 chunks already fills a block (stacks of images stored image by image).
    fits = min(rows, chunk_rows) * columns * itemsize <= 2 * target
    width = columns if fits else max(chunk_columns, target // (min(rows, chunk_rows) * itemsize))
    column_block = _cut_slab(spectroscopic, width, chunk_columns)
    height = max(1, target // (prod(column_block) * itemsize))
    row_block = _cut_slab(position, max(height, min(rows, chunk_rows)), chunk_rows)
    natural = row_block + column_block
    return tuple(natural[axis] for axis in placement.order)


def choose_plain_blocks(shape: tuple[int, ...], itemsize: int, chunks: tuple[int, ...] | None) -> tuple[int, ...]:
    """Return the block of a dataset that is no main dataset."""
    block = [max(1, min(n, c)) for n, c in zip(shape, chunks or (1,) * len(shape), strict=True)]
    for axis in reversed(range(len(shape))):
        unit = block[axis]
        count = BLOCK_BYTES // (itemsize * prod(block) // unit)
        block[axis] = max(1, shape[axis]) if count >= shape[axis] else max(unit, count // unit * unit)
    return tuple(block)


def _cut_slab(shape: tuple[int, ...], cells: int, aligned: int) -> tuple[int, ...]:
    """Cut about `cells` out of a C-order shape along its slowest dims, in multiples of `aligned` cells."""
    block = [1] * len(shape)
    for axis, size in enumerate(shape):
        inner = prod(shape[axis + 1 :])
        if inner <= cells or axis == len(shape) - 1:
            block[axis] = _align(max(1, cells // inner), inner, aligned, size)
            block[axis + 1 :] = shape[axis + 1 :]
            break
    return tuple(block)


def _align(count: int, inner: int, aligned: int, size: int) -> int:
    """Round a number of slabs so that they end where HDF5 chunks end, if that is not far off."""
    if count >= size:
        return size
    unit = lcm(inner, max(1, aligned)) // inner
    if unit > 2 * count:
        unit = max(1, round(aligned / inner))
    rounded = max(unit, count // unit * unit)
    blocks = max(1, ceil(size / rounded))
    even = ceil(size / blocks / unit) * unit  # no sliver of a block at the end
    return min(size, even)
