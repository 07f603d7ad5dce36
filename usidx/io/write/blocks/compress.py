"""One HDF5 chunk in memory -> the bytes that HDF5 keeps of it: shuffled and deflated, fast, and fast to read again.

The bytes are those of HDF5's own filters "shuffle" and "deflate", so every HDF5 program reads them. All of the work is
done outside the interpreter's lock, and none of it inside HDF5.

Shuffle puts the first bytes of all cells together, then the second ones, and so on: planes of bytes that are alike.
In measured numbers some planes are noise, the low bits of the mantissa, on which deflate spends most of its time and
saves nothing. A deflate stream may hold stretches that are merely copied, so such planes are copied. That makes
them two to five times faster to read, and smaller, since the code of the other planes need not serve the noise.
"""

from __future__ import annotations

import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import groupby
from typing import Any

import numpy as np

from usidx.format.layout import Array
from usidx.io.disk.raw import import_if_there

__all__ = ["FASTEST", "choose_deflater", "choose_packer", "shuffle"]

#: Level of ``compression="gzip"``.
FASTEST = 1
# Levels up to this one ask for speed, those above for size.
_FAST_LEVELS = 3

# Two samples of this many bytes tell whether a plane is noise, which shrinks by less than a thirtieth.
_SAMPLE = 2048
_NOISE = 29 / 30
# A deflate stream copies at most this many bytes at once.
_COPIED = 0xFFFF
_HEADER = b"\x78\x01"
_END = b"\x03\x00"


def choose_packer(level: int | None) -> Callable[[Array], Any]:
    """Return what turns a chunk into its stored bytes.

    Parameters
    ----------
    level : int or None
        Of deflate, 0 to 9; None keeps the bytes as they are.

    Returns
    -------
    callable
        Takes a chunk, dims (row, column). What it returns is good until the same thread calls it again.
    """
    # A thread's own memory, used again and again: fresh memory costs as much as the copy into it.
    room = threading.local()

    def room_for(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        if getattr(room, "array", None) is None or room.array.shape != shape or room.array.dtype != dtype:
            room.array = np.empty(shape, dtype)
        array: Array = room.array
        return array

    def plain(chunk: Array) -> Array:
        if chunk.flags.c_contiguous:
            return chunk
        out = room_for(chunk.shape, chunk.dtype)
        out[...] = chunk
        return out

    if level is None:
        return plain
    deflate = choose_deflater(level)
    return lambda chunk: deflate(shuffle(chunk, room_for((chunk.dtype.itemsize, chunk.size), np.dtype(np.uint8))))


def shuffle(chunk: Array, out: Array | None = None) -> Array:
    """Return the bytes of a chunk, dims (byte of the cell, cell)."""
    if out is None:
        out = np.empty((chunk.dtype.itemsize, chunk.size), np.uint8)
    cells = chunk[..., np.newaxis].view(np.uint8)
    out.reshape(-1, *chunk.shape)[...] = np.moveaxis(cells, -1, 0)
    return out


@cache
def choose_deflater(level: int) -> Callable[[Array], bytes]:
    """Return the fastest function at hand that makes a zlib stream of planes of bytes, dims (plane, byte).

    ISA-L for the lowest levels, where it is several times as fast as any other; libdeflate for the others, where it is
    twice as fast as zlib and its streams are smaller; zlib where they are not installed, and for level 0, which only
    wraps.
    """
    isal, libdeflate = import_if_there("isal.isal_zlib"), import_if_there("deflate")
    if 0 < level <= _FAST_LEVELS:
        return partial(_deflate, library=isal or zlib)
    if level > 0 and libdeflate is not None:
        return lambda planes: bytes(libdeflate.zlib_compress(planes, level))
    return lambda planes: zlib.compress(planes.data, level)


def _deflate(planes: Array, library: Any) -> bytes:
    """Make a zlib stream (RFC 1950) that copies the planes of noise and deflates the others."""
    if planes.shape[1] <= 2 * _SAMPLE:
        return bytes(library.compress(planes.data, FASTEST))
    parts = [_HEADER]
    deflating = library.compressobj(FASTEST, zlib.DEFLATED, -zlib.MAX_WBITS)
    for is_noise, group in groupby(planes, lambda plane: _is_noise(plane, library)):
        alike = list(group)
        if is_noise:
            parts.extend(part for plane in alike for part in _wrap_copied(plane))
        else:
            parts.extend(deflating.compress(plane) for plane in alike)
            # Ends at a whole byte, and forgets what came before: the decoder's window will hold copied bytes, too.
            parts.append(deflating.flush(zlib.Z_FULL_FLUSH))
    return b"".join([*parts, _END, struct.pack(">I", library.adler32(planes))])


def _is_noise(plane: Array, library: Any) -> bool:
    """Judge by a sample from the first half and one from the end, where chunks at the edge hold nothing but zeros."""
    third = len(plane) // 3
    sample = np.concatenate([plane[third : third + _SAMPLE], plane[-_SAMPLE:]])
    # Level 0 is ISA-L's quickest; with zlib it would not compress at all.
    return len(library.compress(sample, int(library is zlib))) > _NOISE * len(sample)


def _wrap_copied(plane: Array) -> Iterator[Any]:
    """Yield the pieces of a deflate stream (RFC 1951, 3.2.4) that holds the bytes as they are."""
    for start in range(0, len(plane), _COPIED):
        piece = plane[start : start + _COPIED]
        yield struct.pack("<BHH", 0, len(piece), len(piece) ^ _COPIED)
        yield piece
