"""What a block is read from: bytes at addresses, of a file of this machine or of an object behind a URL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from usidx.format.layout import Array

__all__ = ["ByteSource", "Reader", "StripReader"]


class Reader(Protocol):
    """What reads ranges of bytes, in any number of threads."""

    @property
    def reads_along(self) -> bool:
        """Whether neighbouring ranges are better read at once."""

    def read_into(self, address: int, buffers: Sequence[memoryview]) -> bool:
        """Fill buffers one after another with the bytes from `address` on; return whether there were enough."""


class StripReader(Protocol):
    """What reads a few bytes at each of many addresses."""

    def read_each(self, addresses: Sequence[int], size: int) -> Array | None:
        """Return the bytes, dims (address, byte); None where the file ends before."""


class ByteSource(Protocol):
    """A file that is open to be read at addresses."""

    @property
    def size(self) -> int:
        """Bytes of the file."""

    @property
    def is_proven(self) -> bool:
        """Whether what was read is known to be of the version that was opened, without asking again."""

    @property
    def strips(self) -> StripReader | None:
        """What reads strips; None where a few bytes take no less time than many."""

    def split_ranges(self, table: Array) -> Iterator[tuple[Reader, Array]]:
        """Yield what reads the ranges of a part of a table, and that part.

        The second row of the table is the first byte of each range, rising, the third how many there are.
        """
