"""Patterns and which pixels count -> sums, in machine code; importing this imports numba, so do so in a function.

Pixels that count are runs: (row, first column, column after the last). Only their bytes are touched. Frames
may lack lines that no run lies in: they begin with the line `first`. Counts are summed
as whole numbers, as wide as they must be, so that what was counted is exact; all else in double precision.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

__all__ = [
    "measure_moments",
    "sum_frames",
    "sum_known_frames",
    "sum_known_rings",
    "sum_rings",
    "sum_runs",
    "weigh_pixels",
]

# Sums may be taken in any order; NaN stays NaN.
_compile = numba.njit(nogil=True, cache=True, fastmath={"reassoc", "nsz", "contract"})


@_compile  # type: ignore[untyped-decorator]
def sum_runs(frames: Any, runs: Any, first: Any, zero: Any, out: Any) -> None:
    """Put the sum over the runs of each frame into `out`; `zero` is an array of the type to sum in."""
    for i in range(frames.shape[0]):
        total = 0.0
        for j in range(runs.shape[0]):
            line = frames[i, runs[j, 0] - first, runs[j, 1] : runs[j, 2]]
            part = zero[0]
            for k in range(line.size):
                part = zero.dtype.type(part + line[k])
            total += part
        out[i] = total


@_compile  # type: ignore[untyped-decorator]
def weigh_pixels(frames: Any, runs: Any, first: Any, weights: Any, out: Any) -> None:
    """Put the sum over the runs of each frame into `out`, each pixel times its weight, which lie in the same order."""
    for i in range(frames.shape[0]):
        total, at = 0.0, 0
        for j in range(runs.shape[0]):
            line = frames[i, runs[j, 0] - first, runs[j, 1] : runs[j, 2]]
            own = weights[at : at + line.size]
            at += line.size
            part = 0.0
            for k in range(line.size):
                part += own[k] * np.float64(line[k])
            total += part
        out[i] = total


@_compile  # type: ignore[untyped-decorator]
def measure_moments(frames: Any, runs: Any, first: Any, zero: Any, y: Any, x: Any, out: Any) -> None:
    """Put the means of y and x, weighed with the counts of the runs, into `out` (frame, 2)."""
    columns = np.empty(frames.shape[2], zero.dtype)
    for i in range(frames.shape[0]):
        columns[:] = zero[0]
        total, along_y, along_x = 0.0, 0.0, 0.0
        for j in range(runs.shape[0]):
            line = frames[i, runs[j, 0] - first, runs[j, 1] : runs[j, 2]]
            own = columns[runs[j, 1] : runs[j, 2]]
            part = zero[0]
            for k in range(line.size):
                part = zero.dtype.type(part + line[k])
                own[k] += line[k]
            total += part
            along_y += part * y[runs[j, 0]]
        for k in range(columns.size):
            along_x += columns[k] * x[k]
        out[i, 0] = along_y / total if total != 0 else np.nan
        out[i, 1] = along_x / total if total != 0 else np.nan


@_compile  # type: ignore[untyped-decorator]
def sum_rings(frames: Any, rings: Any, zero: Any, out: Any) -> None:
    """Put the sum over each ring of each frame into `out`; the last ring takes what lies in none."""
    # Two of each: neighbours mostly lie in the same ring, and would wait for each other.
    both = np.empty((2, out.shape[1]), zero.dtype)
    for i in range(frames.shape[0]):
        both[:] = zero[0]
        line = frames[i]
        for k in range(0, line.size - 1, 2):
            both[0, rings[k]] += line[k]
            both[1, rings[k + 1]] += line[k + 1]
        if line.size % 2:
            both[0, rings[-1]] += line[-1]
        for b in range(out.shape[1]):
            out[i, b] = np.float64(both[0, b]) + np.float64(both[1, b])


@_compile  # type: ignore[untyped-decorator]
def sum_known_rings(frames: Any, rings: Any, out: Any, counts: Any) -> None:
    """Put the sum and the number of the known pixels of each ring of each frame into `out` and `counts`."""
    out[:] = 0
    counts[:] = 0
    for i in range(frames.shape[0]):
        for k in range(frames.shape[1]):
            value = np.float64(frames[i, k])
            if np.isfinite(value):
                out[i, rings[k]] += value
                counts[i, rings[k]] += 1


@_compile  # type: ignore[untyped-decorator]
def sum_frames(frames: Any, out: Any) -> None:
    """Add all frames to `out`, pixel by pixel."""
    for start in range(0, frames.shape[1], 4096):  # which stay in the cache
        own = out[start : start + 4096]
        for i in range(frames.shape[0]):
            line = frames[i, start : start + 4096]
            for k in range(line.size):
                own[k] += line[k]


@_compile  # type: ignore[untyped-decorator]
def sum_known_frames(frames: Any, out: Any) -> None:
    """Add the known pixels of all frames to `out`."""
    for i in range(frames.shape[0]):
        for k in range(frames.shape[1]):
            value = np.float64(frames[i, k])
            if np.isfinite(value):
                out[k] += value
