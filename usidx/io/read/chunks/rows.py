"""Rows of a contiguous matrix -> pieces that are worked on while they are in the cache, in memory that is used again.

A block that is read as a whole goes out to memory and comes back: that takes longer than summing it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import numpy as np

from usidx.format.layout import Array
from usidx.io.read.chunks.chunk_map import ChunkMap
from usidx.io.read.place.byte_source import ByteSource, Reader
from usidx.tasks.pool import do_each

__all__ = ["Work", "lies_in_rows", "walk_rows"]

#: Takes which rows they are, and their cells.
Work = Callable[[slice, Array], None]

_PIECE: Final = 512 << 10  # bytes: half of what a core has near by
_PART: Final = 4 << 20  # bytes that a thread takes at a time
# Reading this many bytes takes as long as another call.
_CHEAP_GAP: Final = 16 << 10


def lies_in_rows(found: ChunkMap, dtype: np.dtype[Any]) -> bool:
    """Say whether the rows of a matrix lie in the file one after another, as they are in memory."""
    is_matrix = len(found.shape) == 2 and not found.is_chunked and found.numbers.size == 1
    return is_matrix and not found.filters and found.stored == dtype


def walk_rows(found: ChunkMap, source: ByteSource, rows: slice, columns: slice, work: Work) -> bool:
    """Hand on the cells of rows in pieces, on as many threads as are idle; return whether the file had all bytes.

    Parameters
    ----------
    found : ChunkMap
        Of a matrix that `lies_in_rows`, and in the file.
    source : ByteSource
        The file.
    rows, columns : slice
        Which are wanted, with steps of one.
    work : callable
        Called with the place of the rows among those that are wanted, and their cells, which hold during the call.
    """
    row_bytes = found.shape[1] * found.stored.itemsize
    left_out = row_bytes - (columns.stop - columns.start) * found.stored.itemsize
    read = columns if left_out > _CHEAP_GAP else slice(0, found.shape[1])
    width = read.stop - read.start
    begin = int(found.addresses[0]) + rows.start * row_bytes + read.start * found.stored.itemsize
    walk = partial(
        _walk_part, read=read, columns=columns, cell=found.stored, begin=begin, row_bytes=row_bytes, work=work
    )
    count, at_once = rows.stop - rows.start, max(1, _PART // (width * found.stored.itemsize))
    parts = [slice(first, min(first + at_once, count)) for first in range(0, count, at_once)]
    done: list[bool] = []
    table = np.array([[0], [begin], [count * row_bytes], [0]])
    for reader, _ in source.split_ranges(table):
        do_each(lambda part, reader=reader: done.append(walk(reader, part)), parts)  # type: ignore[misc]
    return all(done)


def _walk_part(
    reader: Reader,
    part: slice,
    *,
    read: slice,
    columns: slice,
    cell: np.dtype[Any],
    begin: int,
    row_bytes: int,
    work: Work,
) -> bool:
    """Work on some of the rows, a piece after the other; return whether all bytes were there."""
    width = read.stop - read.start
    room = np.empty((min(part.stop - part.start, max(1, _PIECE // (width * cell.itemsize))), width), cell)
    for first in range(part.start, part.stop, len(room)):
        cells = room[: part.stop - first]
        if not _fill(reader, cells, begin + first * row_bytes, row_bytes):
            return False
        work(slice(first, first + len(cells)), cells[:, columns.start - read.start : columns.stop - read.start])
    return True


def _fill(reader: Reader, cells: Array, address: int, row_bytes: int) -> bool:
    """Read rows that lie so many bytes apart; return whether all bytes were there."""
    room = cells.reshape(-1).view(np.uint8).data
    width = cells.shape[1] * cells.itemsize
    if width == row_bytes:
        return reader.read_into(address, [room])
    for begin in range(0, len(room), width):
        if not reader.read_into(address, [room[begin : begin + width]]):
            return False
        address += row_bytes
    return True
