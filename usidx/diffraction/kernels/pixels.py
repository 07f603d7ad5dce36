"""Which pixels of a detector count -> runs along its rows; blocks of patterns -> frames that the sums take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from usidx.label.unread import Unread
from usidx.tasks.pool import share_slices

__all__ = ["as_frames", "count_frames", "find_lines", "find_runs", "make_zero", "work_through"]

Array = npt.NDArray[Any]
_PIECE: Final = 2**22  # bytes that a thread takes at a time
_LONGEST: Final = 2**15  # pixels of a run: as many counts of 16 bits are summed in 32


def find_runs(counts: Array) -> Array:
    """Return (row, first column, column after the last) of each run of pixels that count, in a 2-D array of bool."""
    edges = np.diff(np.pad(counts, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, begin = np.nonzero(edges == 1)
    end = np.nonzero(edges == -1)[1]
    if counts.shape[1] <= _LONGEST:
        return np.stack([rows, begin, end], axis=1)
    cut = [
        (row, at, min(at + _LONGEST, last))
        for row, first, last in zip(rows, begin, end, strict=True)
        for at in range(first, last, _LONGEST)
    ]
    return np.array(cut, np.int64).reshape(-1, 3)


def find_lines(runs: Sequence[Array]) -> slice:
    """Return the rows from the first to the last that any of the runs lies in."""
    rows = np.concatenate([one[:, 0] for one in runs])
    return slice(int(rows.min()), int(rows.max()) + 1) if rows.size else slice(0, 1)


def as_frames(block: Array) -> Array:
    """Return a block (*position, row, column) as (frame, row, column), contiguous and in native byte order.

    Whole numbers of 64 bits become floats, which sums of them would be in the end.
    """
    dtype = np.dtype(np.uint8) if block.dtype == bool else block.dtype.newbyteorder("=")
    dtype = np.dtype(np.float64) if dtype.kind in "iu" and dtype.itemsize > 4 else dtype
    dtype = np.dtype(np.float32) if dtype == np.float16 else dtype
    return np.ascontiguousarray(block, dtype).reshape(-1, *block.shape[-2:])


def make_zero(dtype: np.dtype[Any]) -> Array:
    """Return an array of one zero, of the type in which pixels of blocks of a type are summed."""
    if dtype.kind == "f" or (dtype.kind in "iu" and dtype.itemsize > 4):
        return np.zeros(1, np.float64)
    return np.zeros(1, f"{'u' if dtype.kind == 'b' else dtype.kind}{4 if dtype.itemsize < 4 else 8}")


def count_frames(block: Array | Unread) -> int:
    """Return how many frames a block (*position, row, column) has."""
    return prod(block.shape[:-2])


def work_through(run: Callable[[slice, Array, int], None], block: Array | Unread, lines: slice = slice(None)) -> None:
    """Call a function with frames of a block, on as many threads as are idle.

    Parameters
    ----------
    run : callable
        Called with which frames they are; with these, as `as_frames` gives them; and with the number of their first
        line, since lines that are not wanted may be left out.
    block : ndarray or Unread, dims (*position, row, column)
        Of an unread one nothing is read but what is wanted.
    lines : slice
        The rows of each frame that are wanted.
    """
    height, width = block.shape[-2:]
    if isinstance(block, Unread):
        first, last, _ = lines.indices(height)

        def take(part: slice, cells: Array) -> None:
            run(part, as_frames(cells.reshape(-1, last - first, width)), first)

        if block.walk(slice(first * width, last * width), take):
            return
        block = block.read()
    frames = as_frames(block)
    size = max(1, height * width * frames.dtype.itemsize)
    share_slices(lambda part: run(part, frames[part], 0), len(frames), at_once=max(1, _PIECE // size))
