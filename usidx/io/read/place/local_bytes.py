"""A path -> bytes at addresses, from any number of threads, for as long as a block is read.

Where the system reads at an address (`os.preadv`) the threads share one descriptor; elsewhere, as on Windows, each
thread has a handle of its own that it moves.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import BinaryIO

import numpy as np

from usidx.format.layout import Array

__all__ = ["BUFFERS", "Source"]

#: Buffers that one call may fill; no system allows fewer than this but for the 16 that POSIX promises.
BUFFERS = 512
# macOS refuses to read 2 GiB at once, Linux stops just short of it.
_CALL = 1 << 30


class Source:
    """An open file that is read at addresses; a context manager, after which nothing stays open.

    Parameters
    ----------
    path : str
        The file.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._handles: dict[int, BinaryIO] = {}
        # Not `open`, which makes more calls: after each, threads wait in line for the interpreter.
        self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        self._at_address = hasattr(os, "preadv")

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *unused: object) -> None:
        os.close(self._descriptor)
        for handle in self._handles.values():
            handle.close()

    @cached_property
    def status(self) -> os.stat_result:
        """Size, number and times of the file, as they were when this was first asked for."""
        return os.fstat(self._descriptor)

    @property
    def size(self) -> int:
        """Bytes of the file that is open."""
        return self.status.st_size

    @property
    def reads_along(self) -> bool:
        """Whether neighbouring ranges are better read at once: a call costs more than a few bytes."""
        return True

    @property
    def is_proven(self) -> bool:
        """Whether the version is known without asking again: bytes of this machine do not tell."""
        return False

    @property
    def strips(self) -> Source:
        """What reads strips."""
        return self

    def split_ranges(self, table: Array) -> Iterator[tuple[Source, Array]]:
        """Yield what reads the ranges of a table, and that table: all of it, for nothing is fetched before."""
        yield self, table

    def read_into(self, address: int, buffers: Sequence[memoryview]) -> bool:
        """Fill buffers one after another with the bytes from `address` on; return whether there were enough."""
        total = len(buffers[0]) if len(buffers) == 1 else sum(len(buffer) for buffer in buffers)
        at_once = self._at_address and total <= _CALL and len(buffers) <= BUFFERS
        if at_once and os.preadv(self._descriptor, buffers, address) == total:
            return True
        for buffer in buffers:
            if not self._fill(address, buffer):
                return False
            address += len(buffer)
        return True

    def read_each(self, addresses: Sequence[int], size: int) -> Array | None:
        """Read `size` bytes at each of many addresses.

        Parameters
        ----------
        addresses : sequence of int
            First byte of each.
        size : int
            A few: all are held at once.

        Returns
        -------
        ndarray of uint8, dims (address, byte), or None
            None where the file ends before.
        """
        if self._at_address:
            read, descriptor = os.pread, self._descriptor
            found = b"".join([read(descriptor, size, address) for address in addresses])
            if len(found) == size * len(addresses):
                return np.frombuffer(found, np.uint8).reshape(len(addresses), size)
        each = np.empty((len(addresses), size), np.uint8)
        is_whole = all(self._fill(address, row.data) for address, row in zip(addresses, each, strict=True))
        return each if is_whole else None

    def _fill(self, address: int, buffer: memoryview) -> bool:
        done = 0
        while done < len(buffer):
            count = self._read_once(address + done, buffer[done : done + _CALL])
            if count == 0:
                return False
            done += count
        return True

    def _read_once(self, address: int, buffer: memoryview) -> int:
        if self._at_address:
            return os.preadv(self._descriptor, [buffer], address)
        handle = self._handle()
        handle.seek(address)
        return handle.readinto(buffer) or 0  # type: ignore[attr-defined]

    def _handle(self) -> BinaryIO:
        thread = threading.get_ident()
        with self._lock:
            if thread not in self._handles:
                self._handles[thread] = open(self._path, "rb", buffering=0)  # noqa: SIM115 - closed by __exit__
            return self._handles[thread]
