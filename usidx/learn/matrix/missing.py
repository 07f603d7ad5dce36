"""Rows that may hold cells which are not finite -> the rows and columns that a decomposition can use.

A column without one finite cell is a hole of all rows, as a masked energy is. A row that lacks a cell elsewhere is
left out. Both are settled only when all blocks have been seen: a block brings its own holes, and counts only if they
turn out to be the holes of all. So the answer does not depend on how the rows were cut into blocks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from usidx.errors import ResultError
from usidx.learn.matrix.even import show_undivided

__all__ = ["are_all_finite", "as_floats", "find_complete", "keep_complete", "refuse_nothing", "sift"]

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]

#: Fourth powers of such numbers are still finite; single precision ends far below.
_LARGEST = 1e75


def are_all_finite(block: Array) -> bool:
    """Say whether every cell is a number; integers always are. Refuse numbers whose powers would overflow."""
    block = show_undivided(block)
    if block.dtype.kind in "biu" or not block.size:
        return True
    # Smallest and largest are NaN where any cell is, and take no array of the size of the block to find.
    parts = (block.real, block.imag) if block.dtype.kind == "c" else (block,)
    ends = np.array([[part.min(), part.max()] for part in parts])
    if not np.isfinite(ends).all():
        return False
    if (largest := float(np.abs(ends).max())) > _LARGEST:
        raise ResultError(
            f"The data has numbers up to {largest:.3g}, whose squares cannot be summed. Where they stand for missing "
            f"cells leave them out, with mask= or data.where(abs(data) < {_LARGEST:g}); else divide the data."
        )
    return True


def as_floats(rows: Array) -> Array:
    """Return integers in double precision, and floats as they are."""
    return rows if rows.dtype.kind == "f" else rows.astype(np.float64)


def refuse_nothing(count: int) -> None:
    """Refuse to learn from no row at all: what came out would be zeros that look like a result."""
    if not count:
        raise ResultError(
            "There is nothing to learn from: no position is known at all its steps. Leave out the steps that are "
            "missing here and there with mask=, or fill them, for example with data.interpolate_na(dim) or "
            "data.fillna(0)."
        )


def sift(block: Array) -> tuple[Array, Bools]:
    """Return the rows that have the holes of the block and no other, zero in the holes; and the holes."""
    if are_all_finite(block):
        return block, np.zeros(block.shape[1], bool)
    finite = np.isfinite(block)
    holes: Bools = np.logical_not(finite[finite.any(axis=1)].any(axis=0))
    used = (finite | holes).all(axis=1) & finite.any(axis=1)
    rows = np.where(holes, 0, block[used])
    are_all_finite(rows)  # refuses
    return rows, holes


def find_complete(block: Array, holes: Bools) -> Bools | None:
    """Return which rows are finite wherever there is no hole; None where all are."""
    if are_all_finite(block):
        return None
    used: Bools = np.asarray((np.isfinite(block) | holes).all(axis=1) & (not holes.all()))
    return None if used.all() and not holes.any() else used


def keep_complete(block: Array, holes: Bools) -> tuple[Array, Bools | None]:
    """Return the complete rows, zero in the holes, and which rows these are (None: all)."""
    used = find_complete(block, holes)
    rows = block if used is None else block[used]
    return (np.where(holes, 0, rows).astype(block.dtype, copy=False) if holes.any() else rows), used
