"""Heights of force curves -> which samples approach and which retract, in machine code; importing this imports numba.

What lies between the two is a pause. Nothing depends on the sign of the height: a curve begins far from the sample,
and goes towards it first.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from numba import types

from usidx.modes.force.kernels.compiled import ROWS_IN, compile_force_kernel, compile_part_in_order

__all__ = ["find_parts"]

Array = npt.NDArray[Any]
#: Of the longest way of a segment: one that goes less far is a pause.
_MOVES: Final = 0.3
#: Of the whole way: what is as close to where a curve begins is no end of its way.
_NEAR_BEGIN: Final = 0.1
#: Of a mean step: as far from its end the tip is still at the end of its way.
_AT_END: Final = 0.75


@compile_part_in_order
def _find_finite(height: Any) -> Any:
    """Return the first finite sample and the one after the last, (0, 0) where there is none."""
    first, end = 0, height.size
    while first < end and not np.isfinite(height[first]):
        first += 1
    while end > first and not np.isfinite(height[end - 1]):
        end -= 1
    return first, end


@compile_part_in_order
def _split_by_height(height: Any, first: int, end: int, out: Any) -> None:
    begin, low, high = height[first], first, first
    for i in range(first, end):
        low = i if height[i] < height[low] else low
        high = i if height[i] > height[high] else high
    turn, other = min(low, high), max(low, high)
    # A curve may end farther from the sample than it began, so the first of the two ends of its way is the sample.
    if np.abs(height[turn] - begin) < _NEAR_BEGIN * np.abs(height[high] - height[low]):
        turn = other
    far = np.abs(height[turn] - begin)
    allowed = _AT_END * far / max(turn - first, 1)
    arrives, leaves = turn, turn
    for i in range(first, end):
        if np.abs(height[i] - height[turn]) <= allowed:
            arrives, leaves = min(arrives, i), max(leaves, i)
    out[0], out[1] = first, arrives + 1
    out[2], out[3] = max(leaves, arrives + 1), end


@compile_part_in_order
def _split_by_marks(height: Any, marks: Any, first: int, end: int, out: Any) -> None:
    farthest, way = 0.0, 0.0
    for turn in range(2):
        begin = first
        for i in range(first + 1, end + 1):
            if i < end and marks[i] == marks[i - 1]:
                continue
            own = height[i - 1] - height[begin]
            if turn == 0:
                farthest = max(farthest, np.abs(own)) if np.isfinite(own) else farthest
            elif np.abs(own) >= _MOVES * farthest and own != 0.0:
                if way == 0.0:
                    out[0], out[1], way = begin, i, own
                elif own * way < 0.0:
                    out[2], out[3] = begin, i
                    return
            begin = i


@compile_force_kernel(ROWS_IN, ROWS_IN, types.Array(types.int64, 2, "C"))
def _split_all(heights: Any, marks: Any, out: Any) -> None:
    for row in range(heights.shape[0]):
        first, end = _find_finite(heights[row])
        if end - first < 2:
            continue
        if marks.shape[0] == 0:
            _split_by_height(heights[row], first, end, out[row])
        else:
            _split_by_marks(heights[row], marks[min(row, marks.shape[0] - 1)], first, end, out[row])


def find_parts(heights: Array, marks: Array | None) -> Array:
    """Return where approach and retract begin and end.

    Parameters
    ----------
    heights : ndarray, shape (row, sample)
        In the order in which they were measured; NaN beyond the ends of a curve.
    marks : ndarray, shape (row or 1, sample), optional
        A number that changes from segment to segment.

    Returns
    -------
    ndarray of int, shape (row, 4)
        First sample of the approach, the one after its last, the same of the retract; 0 and 0 for what is not there.
    """
    out = np.zeros((len(heights), 4), np.int64)
    known = np.empty((0, heights.shape[1])) if marks is None else np.ascontiguousarray(marks, np.float64)
    _split_all(np.ascontiguousarray(heights, np.float64), known, out)
    return out
