"""Blocks of spectra -> rows in pieces that stay in the cache, worked through on as many threads as are idle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from usidx.tasks.pool import share_slices

__all__ = ["blank_missing", "map_rows", "split_complex"]

Array = npt.NDArray[Any]
_PIECE: Final = 2**20  # bytes that a thread takes at a time


def map_rows(
    work: Callable[[Array], Array], block: Array, *, width: int | None = None, dtype: npt.DTypeLike | None = None
) -> Array:
    """Return `work(rows)` of all rows, which takes and returns 2-D arrays; rows lie along the last axis.

    Parameters
    ----------
    work : callable
        From (row, sample) to (row, width).
    block : ndarray, shape (*other, sample)
        Not changed.
    width : int, optional
        Of what it returns, by default that of the block.
    dtype : dtype, optional
        Of what it returns, by default that of the block.

    Returns
    -------
    ndarray, shape (*other, width)
    """
    size = block.shape[-1]
    rows = block.reshape(-1, size)
    found = np.empty((len(rows), size if width is None else width), block.dtype if dtype is None else dtype)

    def run(part: slice) -> None:
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):  # of what is not finite
            found[part] = work(rows[part])

    share_slices(run, len(rows), at_once=max(1, _PIECE // max(1, size * block.dtype.itemsize)))
    return found.reshape(*block.shape[:-1], found.shape[1])


def split_complex(work: Callable[[Array], Array], rows: Array) -> Array:
    """Return what a linear work makes of complex rows: of the real and of the imaginary parts, each by itself."""
    if rows.dtype.kind != "c":
        return work(rows)
    found = np.empty_like(rows)
    found.real, found.imag = work(np.ascontiguousarray(rows.real)), work(np.ascontiguousarray(rows.imag))
    return found


def blank_missing(found: Array, rows: Array, where: Array | None = None) -> Array:
    """Put NaN where a spectrum has a sample that is not finite, for what every sample takes part in.

    `where` says which samples count, by default all.
    """
    missing = ~np.isfinite(rows if where is None else rows[..., where]).all(axis=-1)
    if missing.any():
        found[missing] = np.nan
    return found
