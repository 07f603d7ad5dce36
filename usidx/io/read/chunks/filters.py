"""Bytes of a stored chunk -> bytes of its cells: checksum, deflate and shuffle undone without the interpreter lock."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import h5py
import numpy as np

from usidx.errors import UsidError
from usidx.format.layout import Array
from usidx.io.disk.raw import import_if_there
from usidx.io.read.chunks.unshuffle import unshuffle

__all__ = [
    "DEFLATE",
    "FLETCHER32",
    "LARGEST_RATIO",
    "SHUFFLE",
    "UNDO",
    "Filter",
    "bound_stored_size",
    "compute_fletcher32",
    "decode",
]

# HDF5's numbers of filters.
DEFLATE, SHUFFLE, FLETCHER32 = h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32

# Without it zlib gives the same bytes, half as fast.
_libdeflate: Any = import_if_there("deflate")

#: Deflate cannot shrink anything further than this.
LARGEST_RATIO = 1032
_CHECKSUM = 4


@dataclass(frozen=True, slots=True)
class Filter:
    """One step of the pipeline that stored chunks went through: HDF5's number of it, and its first parameter."""

    code: int
    parameter: int = 0


def bound_stored_size(nbytes: int) -> int:
    """Return more bytes than a chunk of `nbytes` can take in the file, whatever compressed it."""
    return 2 * nbytes + 65536


def decode(stored: memoryview, filters: Sequence[Filter], mask: int, nbytes: int, out: Array | None = None) -> Array:
    """Undo the filters that a chunk went through.

    Parameters
    ----------
    stored : memoryview
        The bytes in the file.
    filters : sequence of Filter
        In the order of writing.
    mask : int
        Filters that were left out for this chunk, a bit each.
    nbytes : int
        Bytes of the chunk before it was filtered; more are never made.
    out : ndarray of uint8, optional
        Where to put them.

    Returns
    -------
    ndarray of uint8
        `out` where it is given.

    Raises
    ------
    UsidError
        The bytes do not decode to `nbytes` bytes, or their checksum is wrong.
    """
    steps = [step for bit, step in enumerate(filters) if not mask >> bit & 1]
    data: Array = np.frombuffer(stored, np.uint8)
    for index in reversed(range(len(steps))):
        # A checksum that was taken before this step lengthened what the step was given.
        before = nbytes + _CHECKSUM * sum(step.code == FLETCHER32 for step in steps[:index])
        target = out if index == 0 and out is not None and steps[0].code == SHUFFLE and data.size == nbytes else None
        data = UNDO[steps[index].code](data, steps[index].parameter, before, target)
    if data.size != nbytes:
        raise UsidError(f"it holds {data.size} bytes instead of {nbytes}")
    if out is None or data is out:
        return data
    out[...] = data
    return out


def _inflate(data: Array, parameter: int, nbytes: int, out: Array | None) -> Array:
    if nbytes > LARGEST_RATIO * (data.size + 1):
        raise UsidError(f"{data.size} compressed bytes cannot hold {nbytes}")
    if _libdeflate is None:
        return np.frombuffer(_inflate_by_zlib(data.data, nbytes), np.uint8)
    try:
        return np.frombuffer(_libdeflate.zlib_decompress(data.data, nbytes), np.uint8)
    except _libdeflate.DeflateError as err:
        raise UsidError(f"it does not decompress to {nbytes} bytes") from err


def _inflate_by_zlib(data: memoryview, nbytes: int) -> bytes:
    stream = zlib.decompressobj()
    try:
        plain = stream.decompress(data, nbytes + 1)
    except zlib.error as err:
        raise UsidError(f"it does not decompress to {nbytes} bytes ({err})") from err
    if len(plain) > nbytes or not stream.eof:
        raise UsidError(f"it does not decompress to {nbytes} bytes")
    return plain


def _unshuffle(data: Array, parameter: int, nbytes: int, out: Array | None) -> Array:
    return unshuffle(data, max(1, parameter), out)


def _verify(data: Array, parameter: int, nbytes: int, out: Array | None) -> Array:
    if data.size < _CHECKSUM:
        raise UsidError(f"its {data.size} bytes are too few for a checksum")
    content, found = data[:-_CHECKSUM], int.from_bytes(data[-_CHECKSUM:].tobytes(), "little")
    expected = compute_fletcher32(content)
    # HDF5 before 1.6.3 wrote the bytes of each half in the other order on little-endian machines.
    swapped = int.from_bytes(np.array([expected], "<u4").view("<u2").byteswap().tobytes(), "little")
    if found not in {expected, swapped}:
        raise UsidError(f"its Fletcher-32 checksum is {found:#010x}, that of its bytes {expected:#010x}")
    return content


def compute_fletcher32(data: Array) -> int:
    """Return the checksum of HDF5's filter: Fletcher's, of big-endian 16-bit words.

    References
    ----------
    J. G. Fletcher, "An arithmetic checksum for serial transmissions", IEEE Trans. Commun. 30 (1982) 247.
    """
    words = data[: data.size // 2 * 2].view(">u2").astype(np.uint64)
    if data.size % 2:
        words = np.append(words, np.uint64(int(data[-1]) << 8))
    first = second = 0
    for start in range(0, words.size, 1 << 20):  # sums stay below 2**64
        part = words[start : start + (1 << 20)]
        second += first * part.size + int(part @ np.arange(part.size, 0, -1, dtype=np.uint64))
        first += int(part.sum())
    return _fold_carries(second) << 16 | _fold_carries(first)


def _fold_carries(total: int) -> int:
    """Reduce as end-around carries do: to 65535, not to zero, what is a multiple of it."""
    return total and (total - 1) % 65535 + 1


#: What undoes each filter; a dataset with any other is left to HDF5. Each takes what is stored, the filter's first
#: parameter, the most bytes that may come out, and perhaps where to put them, which it may leave alone.
UNDO: Final[dict[int, Callable[[Array, int, int, Array | None], Array]]] = {
    DEFLATE: _inflate,
    SHUFFLE: _unshuffle,
    FLETCHER32: _verify,
}
