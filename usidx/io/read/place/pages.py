"""An object -> a file for HDF5 to read: many small reads, few requests.

Pages are kept for all who read the same version of an object in this process, so that opening it again, or another
dataset of it, asks for little.
"""

from __future__ import annotations

import io
import os
import string
from collections.abc import Iterator
from typing import Any, Protocol
from urllib.parse import quote

from usidx.io.read.place.connection import Connection
from usidx.io.read.place.lru import LruCache

__all__ = ["Pages", "forget"]

_PAGE = 128 << 10
#: Where reads go on in a row, so many pages come with one request.
_MOST_AHEAD = 16
# An object of this size or less comes at once.
_SMALL = 2 << 20
# What is longer than this is no metadata: it is read past the pages, by requests of that size.
_LONG = 4 << 20
_LONG_AT_ONCE = 8
#: Memory that the pages of one process may take; the least recently used are dropped.
_MOST_BYTES = 64 << 20


class _Version(Protocol):
    @property
    def size(self) -> int: ...
    @property
    def etag(self) -> str | None: ...


class Pages(io.RawIOBase):
    """An object as a file that is read anywhere.

    Parameters
    ----------
    place : object
        What the object is known by; its text names it.
    version : version
        The version that it is in.
    connection : Connection
        What sends the requests.

    Attributes
    ----------
    failure : Exception or None
        The first error of a request; HDF5 hides some of them.
    fetched : int
        Requests that were sent.
    """

    def __init__(self, place: object, version: _Version, connection: Connection) -> None:
        self._place, self._version, self._connection = place, version, connection
        self._position = 0
        self._next, self._ahead = -1, 1
        self.failure: Exception | None = None
        self.fetched = 0

    def __repr__(self) -> str:
        # HDF5 takes this for the name of the file.
        return quote(str(self._place), safe=string.printable)

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def seekable(self) -> bool:
        """Say that it can be read anywhere."""
        return True

    def tell(self) -> int:
        """Return where the next read begins."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Read on elsewhere."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._version.size}[whence]
        self._position = base + offset
        return self._position

    def read_at(self, address: int, size: int) -> bytes:
        """Return bytes at an address, as many of those wanted as there are."""
        self.seek(address)
        return self.read(max(min(size, self._version.size - address), 0)) or b""

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as the object reaches."""
        if self.failure is not None:
            raise self.failure
        view = memoryview(buffer).cast("B")
        start = self._position
        stop = max(start, min(start + len(view), self._version.size))
        try:
            for part in self._read_long(start, stop) if stop - start > _LONG else self._read_short(start, stop):
                view[: len(part)] = part
                view = view[len(part) :]
        except (OSError, ValueError) as err:
            self.failure = err
            raise
        self._position = stop
        return stop - start

    def _read_long(self, start: int, stop: int) -> Iterator[memoryview]:
        starts = range(start, stop, _LONG)
        for first in range(0, len(starts), _LONG_AT_ONCE):
            spans = [(s, min(s + _LONG, stop)) for s in starts[first : first + _LONG_AT_ONCE]]
            yield from (memoryview(part) for part in self._fetch(spans))

    def _read_short(self, start: int, stop: int) -> Iterator[memoryview]:
        if start == stop:
            return
        numbers = range(start // _PAGE, (stop - 1) // _PAGE + 1)
        held = {number: _pages.get((self._place, self._version, number)) for number in numbers}
        missing = [number for number, page in held.items() if page is None]
        if missing:
            held |= self._load(missing[0], missing[-1] + 1)
        for number in numbers:
            page = held[number]
            assert page is not None
            first = number * _PAGE
            yield memoryview(page)[max(start - first, 0) : stop - first]

    def _load(self, first: int, end: int) -> dict[int, bytes | None]:
        """Fetch pages, and more behind them where reading goes on in a row, by one request."""
        size = self._version.size
        count = -(-size // _PAGE)
        if size <= _SMALL:
            first, end = 0, count
        else:
            self._ahead = min(2 * self._ahead, _MOST_AHEAD) if first == self._next else 1
            end = min(max(end, first + self._ahead), count)
        self._next = end
        (data,) = self._fetch([(first * _PAGE, min(end * _PAGE, size))])
        found: dict[int, bytes | None] = {}
        for number in range(first, end):
            page = data[(number - first) * _PAGE : (number - first + 1) * _PAGE]
            _pages.put((self._place, self._version, number), page)
            found[number] = page
        return found

    def _fetch(self, spans: list[tuple[int, int]]) -> list[bytes]:
        self.fetched += len(spans)
        return self._connection.fetch_ranges(spans, total=self._version.size, etag=self._version.etag)


def forget(place: object, version: object) -> None:
    """Drop the pages of a version, some of which are of another."""
    _pages.drop(lambda key, _: key[:2] == (place, version))


_pages: LruCache[tuple[object, object, int], bytes] = LruCache(_MOST_BYTES, len)
