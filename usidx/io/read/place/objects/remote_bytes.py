"""Ranges of bytes of an object -> requests, fetched many at once, and read from like a file."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from usidx.format.layout import Array
from usidx.io.read.place.objects.connection import Connection, Span
from usidx.io.read.place.objects.version import ObjectVersion

__all__ = ["Fetched", "RemoteSource"]

# Bytes between two ranges that are fetched along: a request takes longer than that.
_CHEAP_GAP = 256 << 10
# One request brings so much, so that large blocks come in several at once; and memory that they may take together.
_REQUEST, _BATCH = 4 << 20, 64 << 20


@dataclass(frozen=True, slots=True)
class RemoteSource:
    """An object that is read at addresses.

    Attributes
    ----------
    connection : Connection
        What sends the requests.
    version : ObjectVersion
        The version that is read.
    """

    connection: Connection
    version: ObjectVersion

    @property
    def size(self) -> int:
        """Bytes of the object."""
        return self.version.size

    @property
    def is_proven(self) -> bool:
        """Whether all that was read said by itself that it is of the version."""
        return self.connection.proven > 0 and self.connection.unproven == 0

    @property
    def strips(self) -> None:
        """Nothing reads strips: a request takes longer than what lies between them."""
        return

    def split_ranges(self, table: Array) -> Iterator[tuple[Fetched, Array]]:
        """Fetch what a table of ranges asks for.

        Parameters
        ----------
        table : ndarray of int64, dims (column, range)
            Its second row is the first byte of each range, rising, its third how many there are.

        Yields
        ------
        Fetched, ndarray
            What reads the ranges of a part of the table, and that part.
        """
        for first, last, spans in _batch_requests(_join_requests(table[1], table[1] + table[2])):
            yield (
                Fetched(spans, self.connection.fetch_ranges(spans, self.version)),
                table[:, first:last],
            )


@dataclass(frozen=True, slots=True)
class Fetched:
    """Parts of an object, in memory.

    Attributes
    ----------
    spans : sequence of (int, int)
        First byte of each part and the one behind the last; first bytes rise.
    parts : sequence of bytes
        The parts.
    """

    spans: Sequence[Span]
    parts: Sequence[bytes]

    @property
    def reads_along(self) -> bool:
        """Whether neighbouring ranges are better read at once: not what is at hand."""
        return False

    def read_into(self, address: int, buffers: Sequence[memoryview]) -> bool:
        """Fill buffers one after another with the bytes from `address` on; return whether there were enough."""
        index = bisect_right(self.spans, address, key=lambda span: span[0]) - 1
        held = memoryview(self.parts[index])[address - self.spans[index][0] :] if index >= 0 else memoryview(b"")
        if len(held) < sum(len(buffer) for buffer in buffers):
            return False
        for buffer in buffers:
            buffer[:] = held[: len(buffer)]
            held = held[len(buffer) :]
        return True


@dataclass(slots=True)
class _Request:
    first: int  # range that it brings
    last: int  # the one behind the last
    start: int  # byte
    end: int


def _join_requests(starts: Array, ends: Array) -> Iterator[_Request]:
    """Join ranges that lie close together; one that is large by itself stays whole."""
    request: _Request | None = None
    for number, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        reach = end if request is None else max(end, request.end)
        if request is None or start > request.end + _CHEAP_GAP or reach - request.start > max(_REQUEST, end - start):
            if request is not None:
                yield request
            request = _Request(number, number + 1, start, end)
        else:
            request.last, request.end = number + 1, reach
    if request is not None:
        yield request


def _batch_requests(requests: Iterator[_Request]) -> Iterator[tuple[int, int, list[Span]]]:
    """Put requests together until they fill what memory they may take."""
    first, last, held = 0, 0, 0
    spans: list[Span] = []
    for request in requests:
        if spans and held + request.end - request.start > _BATCH:
            yield first, last, spans
            first, held, spans = request.first, 0, []
        spans.append((request.start, request.end))
        held += request.end - request.start
        last = request.last
    if spans:
        yield first, last, spans
