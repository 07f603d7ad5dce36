"""Bytes sorted by significance -> cells; in numpy, and compiled once so much was read that compiling pays."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

import numpy as np

from usidx.format.layout import Array

__all__ = ["unshuffle"]

# Compiled code saves some 0.3 s a GiB. Importing numba costs about 0.6 s, loading the code from its cache 0.1 s:
# whoever reads little never pays, whoever reads much pays as much as waiting has cost by then.
_PAYS, _PAYS_IMPORTED = 2 << 30, 256 << 20

_COMPILED = (2, 4, 8)  # bytes of a cell; the compiled loop gains nothing for others

Kernel = Callable[[Array, Array, int], None]

_kernel: Kernel | None = None
_loading = threading.Lock()
_done = 0


def unshuffle(data: Array, itemsize: int, out: Array | None = None) -> Array:
    """Undo HDF5's shuffle.

    Parameters
    ----------
    data : ndarray of uint8
        The first bytes of all cells, then the second, and so on; then what is left of less than a cell.
    itemsize : int
        Bytes of a cell.
    out : ndarray of uint8, optional
        Where to put the cells.

    Returns
    -------
    ndarray of uint8
        `out` where it is given.
    """
    if out is None:
        out = np.empty_like(data)
    cells = data.size // itemsize
    if itemsize == 1 or cells < 2:
        out[...] = data
        return out
    _spread(data, out, itemsize)
    out[cells * itemsize :] = data[cells * itemsize :]
    return out


def _spread(data: Array, out: Array, itemsize: int) -> None:
    kernel = (_kernel or _fetch_compiled_kernel(data.size)) if itemsize in _COMPILED else None
    if kernel is not None:
        kernel(data, out, itemsize)
        return
    cells = data.size // itemsize
    for byte in range(itemsize):
        out[byte : cells * itemsize : itemsize] = data[byte * cells : (byte + 1) * cells]


def _fetch_compiled_kernel(size: int) -> Kernel | None:
    """Count what was done by numpy; one thread fetches the compiled kernel when it pays, the others go on."""
    global _done, _kernel
    _done += size  # what threads lose of each other's counts does not matter
    if _done < (_PAYS_IMPORTED if "numba" in sys.modules else _PAYS) or not _loading.acquire(blocking=False):
        return None
    try:
        if _kernel is None:
            from usidx.io.read.chunks.unshuffle_compiled import spread

            _kernel = spread
    except ImportError:
        _done = -(1 << 62)  # numba is not usable here: never ask again
    finally:
        _loading.release()
    return _kernel
