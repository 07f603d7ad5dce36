"""Numbers that lie at regular distances in a file -> a lazy array, read by ranges; no handle stays open."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from dask.base import tokenize

from usidx.errors import TranslationError
from usidx.format.layout import Array
from usidx.io.read.chunks.block_sizes import choose_plain_blocks
from usidx.io.read.place.local_bytes import Source

if TYPE_CHECKING:
    import dask.array as da

__all__ = ["FileArray", "lay_out"]

# Reading a gap of this many bytes costs less than another call.
_CHEAP_GAP = 32 * 1024
# Of memory beside the block that is asked for.
_STAGING = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class FileArray:
    """An array of a file that reads parts of itself; it pickles to a few hundred bytes.

    Attributes
    ----------
    path : str
        Absolute.
    reader : str
        For messages.
    shape : tuple of int
        Of the array.
    stored : dtype
        As the file has it.
    offset : int
        Of the first cell in the file, in bytes.
    strides : tuple of int
        Bytes from one entry to the next along each axis, none of them negative.
    version : tuple of int
        (bytes, time of change) of the file when it was read; another one is another file.
    scale, shift : float or None
        Cells are stored * scale + shift; None leaves them as they are.
    """

    path: str
    reader: str
    shape: tuple[int, ...]
    stored: np.dtype[Any]
    offset: int
    strides: tuple[int, ...]
    version: tuple[int, int]
    scale: float | None = None
    shift: float = 0.0

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of what is read: native, and float64 where cells are scaled."""
        return self.stored.newbyteorder("=") if self.scale is None else np.dtype(np.float64)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __getitem__(self, key: tuple[slice | int, ...]) -> Array:
        """Read a part: a slice or a whole number per axis."""
        parts = [range(n)[one] for one, n in zip(key, self.shape, strict=True)]
        rising = [_as_rising(part) for part in parts]
        block = self._read(rising)
        turned = tuple(
            0 if isinstance(part, int) else slice(None, None, -1 if part.step < 0 else None) for part in parts
        )
        return block[turned]

    def _read(self, parts: Sequence[range]) -> Array:
        out = np.empty([len(part) for part in parts], self.stored)
        if out.size:
            with self._open() as source:
                self._fill(source, out, self.offset, parts, self.strides)
        native = out if self.stored.isnative else out.byteswap(inplace=True).view(self.stored.newbyteorder("="))
        if self.scale is None:
            return native
        scaled = native.astype(self.dtype, copy=False)
        scaled *= self.scale
        scaled += self.shift
        return scaled

    def _open(self) -> Source:
        try:
            source = Source(self.path)
        except OSError as err:
            raise TranslationError(err.strerror or str(err), file=self.path, reader=self.reader) from err
        if (source.status.st_size, source.status.st_mtime_ns) != self.version:
            source.__exit__()
            raise TranslationError(
                "it has changed since it was opened. Read it again", file=self.path, reader=self.reader
            )
        return source

    def _fill(self, source: Source, out: Array, address: int, parts: Sequence[range], strides: Sequence[int]) -> None:
        """Fill a contiguous array with what lies from an address on, in as few reads as are worth it."""
        address += sum(part.start * stride for part, stride in zip(parts, strides, strict=True))
        counts = [len(part) for part in parts]
        steps = [part.step * stride for part, stride in zip(parts, strides, strict=True)]
        self._fill_from(source, out, address, counts, steps)

    def _fill_from(self, source: Source, out: Array, address: int, counts: Sequence[int], steps: Sequence[int]) -> None:
        span = sum((n - 1) * step for n, step in zip(counts, steps, strict=True)) + self.stored.itemsize
        if span == out.nbytes and _is_dense(counts, steps, self.stored.itemsize):
            self._read_into(source, out.reshape(-1).view(np.uint8), address)
        elif span <= _STAGING and span <= 16 * out.nbytes + _CHEAP_GAP:
            scratch = np.empty(span, np.uint8)
            self._read_into(source, scratch, address)
            out[...] = np.ndarray(counts, self.stored, scratch, strides=steps)
        else:
            for number, entry in enumerate(out):
                inner = entry if entry.ndim else out[number : number + 1]
                self._fill_from(source, inner, address + number * steps[0], counts[1:] or [1], steps[1:] or [0])

    def _read_into(self, source: Source, bytes_: Array, address: int) -> None:
        if not source.read_into(address, [bytes_.data]):
            raise TranslationError("it ends before its data does", file=self.path, reader=self.reader)


def _as_rising(part: range | int) -> range:
    if isinstance(part, int):
        return range(part, part + 1)
    return part if part.step > 0 else part[::-1]


def _is_dense(counts: Sequence[int], steps: Sequence[int], itemsize: int) -> bool:
    return all(
        n == 1 or step == prod(counts[axis + 1 :]) * itemsize
        for axis, (n, step) in enumerate(zip(counts, steps, strict=True))
    )


def lay_out(
    path: Path,
    reader: str,
    shape: Sequence[int],
    dtype: np.dtype[Any] | str,
    *,
    offset: int = 0,
    strides: Sequence[int] | None = None,
    scale: float | None = None,
    shift: float = 0.0,
) -> da.Array:
    """Lay a lazy array over a part of a file.

    Parameters
    ----------
    path : Path
        The file.
    reader : str
        Its name, for messages.
    shape : sequence of int
        Of the array, slowest first.
    dtype : dtype
        As the file has it, with its byte order.
    offset : int
        Of the first cell, in bytes.
    strides : sequence of int, optional
        Bytes from one entry to the next along each axis; by default the cells lie one after another.
    scale, shift : float, optional
        Cells are stored * scale + shift.

    Returns
    -------
    dask array
        In native byte order, in blocks of some megabytes; of float64 where cells are scaled.

    Raises
    ------
    TranslationError
        The file does not hold as much.
    """
    stored, shape = np.dtype(dtype), tuple(int(n) for n in shape)
    status = os.stat(path)
    steps = tuple(prod(shape[axis + 1 :]) * stored.itemsize for axis in range(len(shape)))
    steps = steps if strides is None else tuple(int(one) for one in strides)
    end = offset + sum((n - 1) * step for n, step in zip(shape, steps, strict=True)) + stored.itemsize
    if min((*shape, offset), default=0) < 0 or not prod(shape):
        raise TranslationError(f"its header gives the shape {shape}, which is empty", file=str(path), reader=reader)
    if end > status.st_size:
        raise TranslationError(
            f"its header promises {end} bytes, and it has {status.st_size}: it is cut off, or damaged",
            file=str(path),
            reader=reader,
        )
    import dask.array as da

    version = status.st_size, status.st_mtime_ns
    found = FileArray(str(path.absolute()), reader, shape, stored, offset, steps, version, scale, shift)
    return da.from_array(
        found,
        chunks=choose_plain_blocks(shape, found.dtype.itemsize, None),
        name=f"usid-file-{tokenize(found)}",
        asarray=True,
        fancy=False,
        meta=np.empty((0,) * len(shape), found.dtype),
        inline_array=True,
    )
