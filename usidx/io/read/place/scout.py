"""The first bytes of an object -> all pages that HDF5 will ask for, many at once.

HDF5 reads one thing after another, as each says where the next one lies; behind a URL it would wait as often. Here the
same is followed in the pages that are held, and all that is missing at that point is fetched at once: as many waits as
the file is deep, not as it is wide. What is found is only fetched: HDF5 reads it again, and judges it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from struct import error, iter_unpack, unpack_from
from typing import Any, Protocol

from usidx.format.names import ANCILLARIES
from usidx.io.read.place.heap import (
    ATTRIBUTE,
    POINTER,
    REFERENCE,
    VARIABLE,
    parse_attribute,
    read_messages,
    read_superblock,
    shape_in,
)

__all__ = ["HeldPages", "scout_dataset", "scout_file"]

Span = tuple[int, int]
_Read = Callable[[int, int], bytes]
_Found = Iterator["_Item"]
#: What parses something, and where that lies.
_Item = tuple[Callable[..., _Found], tuple[int, ...]]

# Kinds of messages in the header of an object ("HDF5 File Format Specification", section IV.A.2).
_LINKS, _LINK, _LAYOUT, _TABLE_OF_NAMES, _ATTRIBUTES = 0x02, 0x06, 0x08, 0x11, 0x15
_CONTIGUOUS, _CHUNKED = 1, 2
# A node of a tree of names, a table of names, a heap: as large as HDF5 makes them by default.
_NODE, _NAMES, _HEAP = 544, 328, 4096
# Tables of mains are read when a file is opened; larger ones HDF5 reads by requests of its own.
_MOST_OF_TABLE = 4 << 20
# Where to stop: a file that is deeper, or larger in what describes it, or led round and round, is left to HDF5.
_MOST_WAITS, _MOST_FETCHED, _MOST_LOOKED_AT = 12, 24 << 20, 256 << 20
# What looking anywhere costs at least, in bytes that are looked at.
_LOOK = 1 << 10
# Most of what describes a file lies at its beginning; results are appended, so what describes them lies at the end.
_HEAD, _TAIL = 512 << 10, 64 << 10
_UNDEFINED = (1 << 64) - 1


class HeldPages(Protocol):
    """Pages of an object."""

    @property
    def size(self) -> int:
        """Bytes of the object."""

    def peek(self, address: int, size: int) -> bytes | None:
        """Return bytes that are held, as many as the object has; None where some of them are not held."""

    def bring(self, spans: list[Span]) -> int:
        """Fetch what is not held of first bytes and counts, at once; return how many bytes came."""


class _MissingError(Exception):
    def __init__(self, span: Span) -> None:
        super().__init__(span)
        self.span = span


def scout_file(pages: HeldPages) -> None:
    """Fetch what describes all objects of a file, and the tables to which datasets refer."""
    ends = [(_touch, (0, _HEAD)), (_touch, (max(0, pages.size - _TAIL), _TAIL))]
    _scout(pages, [(_follow_superblock, ()), *ends])


def scout_dataset(pages: HeldPages, address: int) -> None:
    """Fetch the index of the chunks of a dataset whose header lies at an address."""
    _scout(pages, [(_follow_header, (address, _WITH_INDEX))])


_TABLES = frozenset(name.encode() for name in ANCILLARIES)
# How much of a dataset is wanted: what describes it; the index of its chunks; its numbers as well.
_ONLY_HEADER, _WITH_INDEX, _WITH_NUMBERS = 0, 1, 2


def _scout(pages: HeldPages, items: list[_Item]) -> None:
    look, met, left = _Look(pages), set(items), _MOST_FETCHED
    for _ in range(_MOST_WAITS):
        items, missing = _follow(look, items, met)
        if not missing or left <= 0 or look.left <= 0:
            return
        left -= pages.bring(missing)


class _Look:
    """What reads the pages that are held, until it has looked at enough."""

    def __init__(self, pages: HeldPages) -> None:
        self._pages, self.left = pages, _MOST_LOOKED_AT

    def __call__(self, address: int, size: int) -> bytes:
        if not (0 <= address < self._pages.size and 0 <= size <= _MOST_OF_TABLE):
            raise ValueError("it leads out of the file, or is too long")
        self.left -= size + _LOOK
        found = self._pages.peek(address, size)
        if found is None:
            raise _MissingError((address, size))
        return found


def _follow(look: _Look, items: list[_Item], met: set[_Item]) -> tuple[list[_Item], list[Span]]:
    """Follow all as far as what is held reaches; return what waits, and for which bytes."""
    pending: deque[_Item] = deque(items)
    waiting: list[_Item] = []
    missing: list[Span] = []
    while pending and look.left > 0:
        item = pending.popleft()
        parse, where = item
        try:
            for found in parse(look, *where):
                if found not in met:
                    met.add(found)
                    pending.append(found)
        except _MissingError as err:
            waiting.append(item)
            missing.append(err.span)
        except (error, IndexError, ValueError, OSError, TypeError):
            continue  # damaged, or not as expected: HDF5 will say which
    return waiting, missing


def _touch(read: _Read, address: int, size: int) -> _Found:
    read(address, size)
    yield from ()


def _follow_superblock(read: _Read) -> _Found:
    yield _follow_header, (read_superblock(read(0, 96)), _ONLY_HEADER)


def _follow_header(read: _Read, address: int, wanted: int) -> _Found:
    for kind, flags, body in list(read_messages(read, address)):
        follow = _MESSAGES.get(kind)
        if follow is not None and not flags & 2:
            yield from follow(body, wanted)


def _follow_names(body: bytes, _: int) -> _Found:
    tree, heap = unpack_from("<QQ", body)
    yield _follow_tree, (tree,)
    yield _follow_heap, (heap,)


def _follow_link(body: bytes, _: int) -> _Found:
    """Follow a link that is kept in the header of its group, if it leads to an object of this file."""
    flags = body[1]
    at = 2
    if flags & 8 and body[at] != 0:
        return
    at += bool(flags & 8) + 8 * bool(flags & 4) + bool(flags & 16)
    width = 1 << (flags & 3)
    at += width + int.from_bytes(body[at : at + width], "little")
    yield _follow_header, (*unpack_from("<Q", body, at), _ONLY_HEADER)


def _follow_many(body: bytes, _: int) -> _Found:
    """Touch the heap and the tree of links or attributes that are too many for the header."""
    width = 8 if body[0] == 0 and len(body) >= 26 and body[1] & 1 else 2 * (body[1] & 1)
    for address in unpack_from("<QQ", body, 2 + width):
        if address != _UNDEFINED:
            yield _touch, (address, _HEAP)


def _follow_attribute(body: bytes, wanted: int) -> _Found:
    name, stored = parse_attribute(body)
    kind = stored.kind[0] & 15
    if kind == VARIABLE:
        count = len(stored.data) // POINTER
        for length, address, _number in iter_unpack("<IQI", stored.data[: POINTER * count]):
            if length and address:
                yield _follow_collection, (address,)
    elif kind == REFERENCE and name in _TABLES and shape_in(stored.shape) == () and stored.kind[1] & 15 == 0:
        yield _follow_header, (*unpack_from("<Q", stored.data), _WITH_NUMBERS)


def _follow_layout(body: bytes, wanted: int) -> _Found:
    version, rank, kind = body[:3]
    if version in {1, 2}:
        address, rank = unpack_from("<Q", body, 8)[0], rank - 1
        size = 0 if kind == _CHUNKED else _product(body, 16, rank)
    elif version == 3:
        kind, rank = rank, kind - 1
        (address,), size = unpack_from("<Q", body, 3 if kind == _CHUNKED else 2), 0
        if kind == _CONTIGUOUS:
            (size,) = unpack_from("<Q", body, 10)
    else:
        yield from _follow_new_layout(body, wanted)
        return
    if address == _UNDEFINED:
        return
    if kind == _CHUNKED:
        yield _follow_index, (address, rank, wanted)
    elif kind == _CONTIGUOUS and wanted == _WITH_NUMBERS and size <= _MOST_OF_TABLE:
        yield _touch, (address, size)


def _product(body: bytes, at: int, count: int) -> int:
    size = 1
    for one in unpack_from(f"<{count + 1}I", body, at):
        size *= one
    return size


def _follow_new_layout(body: bytes, wanted: int) -> _Found:
    kind = body[1]
    if kind == _CONTIGUOUS:
        address, size = unpack_from("<QQ", body, 2)
        if wanted == _WITH_NUMBERS and size <= _MOST_OF_TABLE and address != _UNDEFINED:
            yield _touch, (address, size)
    elif kind == _CHUNKED:
        rank, width = body[3], body[4]
        index, at = body[5 + rank * width], 6 + rank * width
        if index in _BEHIND:
            yield _follow_new_index, (*unpack_from("<Q", body, at + _BEHIND[index]), wanted)


# Kinds of index in files of HDF5's newer formats: how much is said of each before its address.
_BEHIND = {3: 1, 4: 5, 5: 6}


def _follow_new_index(read: _Read, address: int, wanted: int) -> _Found:
    head = read(address, 512)
    if head[:4] == b"FAHD" and wanted:
        count, block = unpack_from("<QQ", head, 8)
        yield _touch, (block, min(64 + count * head[6], _MOST_OF_TABLE))
    elif head[:4] == b"BTHD" and wanted:
        (size,), (root,) = unpack_from("<I", head, 6), unpack_from("<Q", head, 16)
        yield _touch, (root, size)


def _follow_tree(read: _Read, address: int) -> _Found:
    magic, kind, level, count = unpack_from("<4sBBH", read(address, _NODE))
    if magic != b"TREE" or kind != 0:
        return
    node = read(address, 24 + 16 * count)
    for number in range(count):
        (child,) = unpack_from("<Q", node, 32 + 16 * number)
        yield (_follow_tree if level else _follow_symbols), (child,)


def _follow_symbols(read: _Read, address: int) -> _Found:
    magic, count = unpack_from("<4s2xH", read(address, _NAMES))
    if magic != b"SNOD":
        return
    table = read(address, 8 + 40 * count)
    for number in range(count):
        header, cached, tree, heap = unpack_from("<QI4xQQ", table, 16 + 40 * number)
        if cached == 2:  # a soft link
            continue
        yield _follow_header, (header, _ONLY_HEADER)
        if cached == 1:
            yield _follow_tree, (tree,)
            yield _follow_heap, (heap,)


def _follow_heap(read: _Read, address: int) -> _Found:
    magic, size, start = unpack_from("<4s4xQ8xQ", read(address, 32))
    if magic == b"HEAP":
        yield _touch, (start, min(size, _MOST_OF_TABLE))


def _follow_collection(read: _Read, address: int) -> _Found:
    magic, size = unpack_from("<4s4xQ", read(address, _HEAP))
    if magic == b"GCOL":
        yield _touch, (address, min(size, _MOST_OF_TABLE))


def _follow_index(read: _Read, address: int, rank: int, wanted: int) -> _Found:
    """Follow the tree of chunks: its root alone, all of it, or to the chunks as well."""
    magic, kind, level, count = unpack_from("<4sBBH", read(address, 24))
    if magic != b"TREE" or kind != 1:
        return
    step = 24 + 8 * rank  # a size, a mask, an offset for each dim and one within a cell; the address of a child
    key = step - 8
    node = read(address, 24 + 64 * step + key)  # HDF5 reads it as long as it can become
    for number in range(count if wanted else 0):
        at = 24 + step * number
        (size,), (child,) = unpack_from("<I", node, at), unpack_from("<Q", node, at + key)
        if level:
            yield _follow_index, (child, rank, wanted)
        elif wanted == _WITH_NUMBERS and count * size <= _MOST_OF_TABLE:
            yield _touch, (child, size)


_MESSAGES: dict[int, Callable[[bytes, int], Any]] = {
    _LINKS: _follow_many,
    _LINK: _follow_link,
    _LAYOUT: _follow_layout,
    ATTRIBUTE: _follow_attribute,
    _TABLE_OF_NAMES: _follow_names,
    _ATTRIBUTES: _follow_many,
}
