"""Which pixels of a detector count -> runs along its rows; blocks of patterns -> frames that the sums take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from usidx.tasks.pool import share_slices

__all__ = ["as_frames", "find_runs", "make_zero", "work_through"]

Array = npt.NDArray[Any]
_PIECE: Final = 2**20  # bytes that a thread takes at a time
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


def as_frames(block: Array) -> Array:
    """Return a block (*position, row, column) as (frame, row, column), contiguous and in native byte order.

    Whole numbers of 64 bits become floats, which sums of them would be in the end.
    """
    dtype = np.dtype(np.uint8) if block.dtype == bool else block.dtype.newbyteorder("=")
    dtype = np.dtype(np.float64) if dtype.kind in "iu" and dtype.itemsize > 4 else dtype
    dtype = np.dtype(np.float32) if dtype == np.float16 else dtype
    return np.ascontiguousarray(block, dtype).reshape(-1, *block.shape[-2:])


def make_zero(frames: Array) -> Array:
    """Return an array of one zero, of the type in which pixels of the frames are summed."""
    if frames.dtype.kind == "f":
        return np.zeros(1, np.float64)
    return np.zeros(1, f"{frames.dtype.kind}{4 if frames.dtype.itemsize < 4 else 8}")


def work_through(run: Callable[[slice], None], frames: Array) -> None:
    """Call a function with slices of the frames, on as many threads as are idle."""
    size = max(1, frames.shape[1] * frames.shape[2] * frames.dtype.itemsize)
    share_slices(run, len(frames), at_once=max(1, _PIECE // size))
