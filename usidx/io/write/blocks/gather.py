"""Pieces of chunks in any order -> whole chunks, in a bounded part of the memory."""

from __future__ import annotations

import tempfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from usidx.format.layout import Array

__all__ = ["MEMORY", "Gathering", "Number"]

#: Bytes of chunks that are kept in memory until they are whole; the others wait in a scratch file.
MEMORY = 64 << 20

#: A chunk by its place: (row of chunks, column of chunks).
Number = tuple[int, int]


class Gathering:
    """Chunks that have some of their cells.

    Parameters
    ----------
    shape : tuple of int
        Of a chunk.
    dtype : dtype
        Of a cell.
    folder : Path
        Where the scratch file goes, should one be needed.
    memory : int, optional
        Bytes of chunks to keep in memory; by default `MEMORY`.
    """

    def __init__(self, shape: tuple[int, int], dtype: np.dtype[Any], folder: Path, memory: int | None = None) -> None:
        self._shape = shape
        self._dtype = dtype
        self._most = max(1, (MEMORY if memory is None else memory) // max(1, shape[0] * shape[1] * dtype.itemsize))
        self._chunks: OrderedDict[Number, Array] = OrderedDict()
        self._missing: dict[Number, int] = {}
        self._scratch = _Scratch(folder, shape[0] * shape[1] * dtype.itemsize)
        self._lock = Lock()

    def add(
        self, number: Number, place: Any, values: Array, cells: int, begin: Callable[[Number], Array]
    ) -> Array | None:
        """Put values into a chunk.

        Parameters
        ----------
        number : tuple of int
            The chunk.
        place : index
            In the chunk.
        values : ndarray
            What goes there, no cell of it twice.
        cells : int
            How many cells make the chunk whole.
        begin : callable
            Returns the chunk as it is before its first values.

        Returns
        -------
        ndarray or None
            The chunk, if that makes it whole.
        """
        with self._lock:
            chunk = self._take(number)
            if chunk is None:
                chunk = begin(number)
                self._missing[number] = cells
            chunk[place] = values
            self._missing[number] -= values.size
            if self._missing[number] == 0:
                del self._missing[number]
                return chunk
            self._keep(number, chunk)
        return None

    @property
    def spilled(self) -> int:
        """How many chunks wait in the scratch file."""
        return len(self._missing) - len(self._chunks)

    def drain(self) -> Iterator[tuple[Number, Array]]:
        """Give out, and forget, the chunks that are not whole."""
        with self._lock:
            for number in sorted(self._missing):
                chunk = self._take(number)
                assert chunk is not None
                yield number, chunk
            self._forget()

    def clear(self) -> None:
        """Forget all chunks, and the scratch file."""
        with self._lock:
            self._forget()

    def _forget(self) -> None:
        self._chunks.clear()
        self._missing.clear()
        self._scratch.close()

    def _take(self, number: Number) -> Array | None:
        if number not in self._missing:
            return None
        chunk = self._chunks.pop(number, None)
        if chunk is None:
            chunk = np.empty(self._shape, self._dtype)
            self._scratch.take(number, chunk)
        return chunk

    def _keep(self, number: Number, chunk: Array) -> None:
        self._chunks[number] = chunk
        if len(self._chunks) > self._most:
            # The one that was not added to for the longest time.
            self._scratch.keep(*self._chunks.popitem(last=False))


class _Scratch:
    """Chunks in a nameless file beside the target, each in a slot of its own."""

    def __init__(self, folder: Path, size: int) -> None:
        self._folder = folder if folder.is_dir() else None
        self._size = size
        self._file: Any = None
        self._slots: dict[Number, int] = {}
        self._free: list[int] = []

    def keep(self, number: Number, chunk: Array) -> None:
        """Write a chunk."""
        if self._file is None:
            self._file = tempfile.TemporaryFile(buffering=0, dir=self._folder)  # noqa: SIM115 - closed in close()
        slot = self._free.pop() if self._free else len(self._slots)
        self._file.seek(slot * self._size)
        left = _view_bytes(chunk)
        while left:
            left = left[self._file.write(left) :]
        self._slots[number] = slot

    def take(self, number: Number, chunk: Array) -> None:
        """Read a chunk back, and free its slot."""
        slot = self._slots.pop(number)
        self._file.seek(slot * self._size)
        left = _view_bytes(chunk)
        while left:
            count = self._file.readinto(left)
            if count == 0:
                raise OSError(f"the scratch file in {str(self._folder)!r} was cut off by another program")
            left = left[count:]
        self._free.append(slot)

    def close(self) -> None:
        """Let go of the file and what is in it."""
        if self._file is not None:
            self._file.close()
        self._file = None
        self._slots.clear()
        self._free.clear()


def _view_bytes(chunk: Array) -> memoryview[int]:
    return memoryview(chunk.view(np.uint8).reshape(-1).data)
