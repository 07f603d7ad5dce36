"""An object -> a file for HDF5 to read: many small reads, few requests.

Pages are kept for all who read the same version of an object in this process, so that opening it again, or another
dataset of it, asks for little.
"""

from __future__ import annotations

import io
import os
import string
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

from usidx.io.read.place.objects.connection import Connection, Span
from usidx.io.read.place.objects.lru import LruCache
from usidx.io.read.place.objects.version import ObjectVersion

__all__ = ["Pages", "forget", "has_pages"]

_PAGE = 32 << 10
#: One request of HDF5 brings so many pages; where reads go on in a row, up to so many.
_LEAST_AHEAD, _MOST_AHEAD = 4, 64
# Pages that are wanted at once come by one request where no more than this lies between them.
_CHEAP_GAP = 128 << 10
# What is written together lies together: so much around what is wanted comes along, and of all together so much.
_LEAST_ALONG, _MOST_ALONG, _ALL_ALONG = 16 << 10, 128 << 10, 4 << 20
# An object of this size or less comes at once.
_SMALL = 2 << 20
# What is longer than this is no metadata: it is read past the pages, by requests of that size.
_LONG = 4 << 20
_LONG_AT_ONCE = 8
#: Memory that the pages of one process may take; the least recently used are dropped.
_MOST_BYTES = 64 << 20


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
    """

    def __init__(self, place: object, version: ObjectVersion, connection: Connection) -> None:
        self._place, self.version, self.connection = place, version, connection
        self._position = 0
        self._next, self._ahead = -1, _LEAST_AHEAD
        self.failure: Exception | None = None

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
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.version.size}[whence]
        self._position = base + offset
        return self._position

    def read_at(self, address: int, size: int) -> bytes:
        """Return bytes at an address, as many of those wanted as there are."""
        self.seek(address)
        return self.read(max(min(size, self.version.size - address), 0)) or b""

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as the object reaches."""
        if self.failure is not None:
            raise self.failure
        view = memoryview(buffer).cast("B")
        start = self._position
        stop = max(start, min(start + len(view), self.version.size))
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
        held = {number: _pages.get((self._place, self.version, number)) for number in numbers}
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
        size = self.version.size
        count = -(-size // _PAGE)
        if size <= _SMALL:
            end = count
        else:
            self._ahead = min(2 * self._ahead, _MOST_AHEAD) if first == self._next else _LEAST_AHEAD
            end = min(max(end, first + self._ahead), count)
        self._next = end
        (data,) = self._fetch([(first * _PAGE, min(end * _PAGE, size))])
        return self.keep(first, data)

    def keep(self, first: int, data: bytes) -> dict[int, bytes | None]:
        """Keep bytes that were fetched, from the beginning of a page on; a page that is not whole is left out."""
        found: dict[int, bytes | None] = {}
        for start in range(0, len(data), _PAGE):
            page, number = data[start : start + _PAGE], first + start // _PAGE
            if len(page) == _PAGE or number * _PAGE + len(page) == self.size:
                _pages.put((self._place, self.version, number), page)
                found[number] = page
        return found

    @property
    def size(self) -> int:
        """Bytes of the object."""
        return self.version.size

    def peek(self, address: int, size: int) -> bytes | None:
        """Return bytes that are held, as many as the object has; None where some of them are not held."""
        stop = min(address + size, self.size)
        if stop <= address:
            return b""
        first = address // _PAGE
        held = [_pages.get((self._place, self.version, n)) for n in range(first, (stop - 1) // _PAGE + 1)]
        pages = [page for page in held if page is not None]
        joined = pages[0] if len(pages) == 1 else b"".join(pages)
        return joined[address - first * _PAGE : stop - first * _PAGE] if len(pages) == len(held) else None

    def bring(self, spans: Sequence[Span]) -> int:
        """Fetch what is not held of first bytes and counts, at once; return how many bytes came."""
        along = min(max(_ALL_ALONG // max(1, len(spans)), _LEAST_ALONG), _MOST_ALONG)
        wanted: set[int] = set()
        for start, size in spans:
            more = along if size < along else 0
            wanted.update(range(max(0, start - more // 4) // _PAGE, self._count(start + size + more)))
        missing = sorted(n for n in wanted if _pages.get((self._place, self.version, n)) is None)
        if self.size <= _SMALL and missing:
            missing = list(range(missing[0], self._count(self.size)))
        runs: list[list[int]] = []
        for number in missing:
            if runs and (number - runs[-1][1]) * _PAGE <= _CHEAP_GAP:
                runs[-1][1] = number + 1
            else:
                runs.append([number, number + 1])
        found = self._fetch([(first * _PAGE, min(end * _PAGE, self.size)) for first, end in runs])
        for (first, _), data in zip(runs, found, strict=True):
            self.keep(first, data)
        return sum(map(len, found))

    def _count(self, stop: int) -> int:
        return -(-min(stop, self.size) // _PAGE)

    def _fetch(self, spans: list[tuple[int, int]]) -> list[bytes]:
        return self.connection.fetch_ranges(spans, self.version)


def forget(place: object, version: object) -> None:
    """Drop the pages of a version, some of which are of another."""
    _pages.drop(lambda key, _: key[:2] == (place, version))


def has_pages(place: object, version: object) -> bool:
    """Say whether it is held how a version begins."""
    return _pages.get((place, version, 0)) is not None


_pages: LruCache[tuple[object, object, int], bytes] = LruCache(_MOST_BYTES, len)
