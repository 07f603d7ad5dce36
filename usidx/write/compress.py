"""One HDF5 chunk in memory -> the bytes that HDF5 keeps of it: shuffled and deflated by the fastest library there is.

The bytes are those of HDF5's own filters "shuffle" and "deflate", so every HDF5 program reads them. All of the work is
done outside the interpreter's lock, and none of it inside HDF5.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from usidx.disk.raw import optional_module
from usidx.format.layout import Array

__all__ = ["FASTEST", "Packed", "deflater", "packer", "shuffled"]

#: Level of ``compression="gzip"``; higher ones take several times as long for a few percent.
FASTEST = 1
# Levels up to this one ask for speed, those above for size.
_FAST_LEVELS = 3

#: What HDF5 keeps, and the mask of the filters that were left out.
Packed = tuple[Any, int]


def packer(itemsize: int, level: int | None) -> Callable[[Array], Packed]:
    """Return what turns a chunk into its stored bytes.

    Parameters
    ----------
    itemsize : int
        Bytes of a cell; single bytes are not shuffled.
    level : int or None
        Of deflate, 0 to 9; None keeps the bytes as they are.

    Returns
    -------
    callable
        Takes a chunk, dims (row, column).
    """
    if level is None:
        return lambda chunk: (np.ascontiguousarray(chunk), 0)
    deflate = deflater(level)
    # HDF5 counts filters from the lowest bit; deflate comes after shuffle, where there is one.
    not_deflated = 0b10 if itemsize > 1 else 0b1

    def pack(chunk: Array) -> Packed:
        plain = shuffled(chunk)
        small = deflate(plain)
        # As HDF5 does: what deflate does not make smaller is kept without it.
        return (small, 0) if len(small) < plain.nbytes else (plain, not_deflated)

    return pack


def shuffled(chunk: Array) -> Array:
    """Return the first bytes of all cells, then the second ones, and so on."""
    cells = chunk[..., np.newaxis].view(np.uint8)
    return np.ascontiguousarray(np.moveaxis(cells, -1, 0)).reshape(-1)


@cache
def deflater(level: int) -> Callable[[Any], bytes]:
    """Return the fastest function at hand that makes a zlib stream at this level.

    ISA-L for the lowest levels, where it is three times as fast as libdeflate; libdeflate for the others, where it is
    twice as fast as zlib and its streams are smaller; zlib where they are not installed, and for level 0, which only
    wraps.
    """
    isal, libdeflate = optional_module("isal.isal_zlib"), optional_module("deflate")
    if 0 < level <= _FAST_LEVELS and isal is not None:
        return lambda data: bytes(isal.compress(data, FASTEST))
    if level > 0 and libdeflate is not None:
        return lambda data: bytes(libdeflate.zlib_compress(data, level))
    return lambda data: zlib.compress(data, level)
