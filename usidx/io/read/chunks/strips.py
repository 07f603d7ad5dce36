"""A few columns of a contiguous matrix -> how to read them: the same short strip of every row, if that beats all bytes.

A row of a matrix is a spectrum, so that the image at one step is one cell of every row. Where rows are long, reading
just these cells takes a small part of the time in which everything between them is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from usidx.format.layout import Array
from usidx.io.read.chunks.selection import Axis, Cut, cut_apart

__all__ = ["batch_strips", "choose_strips", "list_addresses"]

# Reading a strip of its own takes as long as this many bytes that are read along (1 us; memory gives 16 GB/s).
_CALL = 12 << 10
# Longer strips are better read straight into the output.
_LONGEST = 64 << 10
# Bytes that are held beside the output, at most, and strips that are read by one thread in a row.
_BATCH_BYTES, _BATCH = 1 << 20, 4096


def choose_strips(axes: Sequence[Axis], shape: Sequence[int], itemsize: int) -> list[Cut]:
    """Return the columns of a contiguous matrix to read of each row; none where other ways are faster.

    Parameters
    ----------
    axes : sequence of Axis
        Rows and columns that are wanted, none of them empty.
    shape : sequence of int
        Of the matrix.
    itemsize : int
        Bytes of a cell.
    """
    if len(shape) != 2:
        return []
    rows, columns = axes
    cuts = cut_apart(columns, shape[1], max(1, _CALL // itemsize))
    strip = sum(cut.length for cut in cuts) * itemsize
    apart = rows.size * (len(cuts) * _CALL + strip)
    return cuts if apart < rows.span * shape[1] * itemsize and strip <= _LONGEST else []


def batch_strips(rows: range | Array, cuts: Sequence[Cut], itemsize: int) -> Iterator[tuple[slice, Cut]]:
    """Yield parts of the rows and a strip to read of each, a moderate number at once."""
    for cut in cuts:
        count = max(1, min(_BATCH_BYTES // (cut.length * itemsize), _BATCH))
        for first in range(0, len(rows), count):
            yield slice(first, min(first + count, len(rows))), cut


def list_addresses(rows: range | Array, part: slice, begin: int, step: int) -> list[int]:
    """Return the address of the strip of each row of a part."""
    found: list[int] = (np.asarray(rows[part], np.int64) * step + begin).tolist()
    return found
