"""The inner loop of unshuffling, compiled; importing this imports numba, so do so only inside a function."""

from __future__ import annotations

from typing import Any

import numba
from numba import types

from usidx.format.layout import Array

__all__ = ["spread"]


# One signature for buffers that may and that may not be written: each further one would compile for a second.
_DATA = types.Array(types.uint8, 1, "C", readonly=True)
_OUT = types.Array(types.uint8, 1, "C")


@numba.njit(types.void(_DATA, _OUT, types.int64), nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _spread(data: Any, out: Any, itemsize: int) -> None:
    cells = data.size // itemsize
    # Constant item sizes let the compiler interleave whole vector registers.
    if itemsize == 2:
        for cell in range(cells):
            for byte in range(2):
                out[2 * cell + byte] = data[byte * cells + cell]
    elif itemsize == 4:
        for cell in range(cells):
            for byte in range(4):
                out[4 * cell + byte] = data[byte * cells + cell]
    elif itemsize == 8:
        for cell in range(cells):
            for byte in range(8):
                out[8 * cell + byte] = data[byte * cells + cell]


def spread(data: Array, out: Array, itemsize: int) -> None:
    """Write the bytes of each cell side by side, of 2, 4 or 8 bytes."""
    _spread(data, out, itemsize)
