"""An attribute of an open file -> the proof that HDF5 can read its texts without harm.

Texts of variable length lie in heaps, and an attribute or dataset only says where: how long, in which collection, under
which number. HDF5 follows that blindly. In a damaged collection it loops for ever, for a wrong length it takes
gigabytes or writes past its own buffer, and no Python code can stop it. So what it is about to follow is followed here
first, in the bytes of the file. Not proven is what lies outside the header of its object, where HDF5's newest format
puts attributes if there are more than eight.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from struct import Struct, error, iter_unpack, unpack_from
from typing import NamedTuple
from weakref import WeakValueDictionary

import h5py

from usidx.io.read.place.identity import identify_object

__all__ = [
    "ATTRIBUTE",
    "POINTER",
    "REFERENCE",
    "VARIABLE",
    "Proven",
    "Read",
    "StoredAttribute",
    "WatchedBytes",
    "find_watched_bytes",
    "make_local_reader",
    "may_leave_file",
    "parse_attribute",
    "prove",
    "read_messages",
    "read_superblock",
    "shape_in",
    "watch_bytes",
]

#: Address, bytes wanted -> as many of them as the file has.
Read = Callable[[int, int], bytes]

#: First byte, and how many there are.
Span = tuple[int, int]

#: Bytes of a pointer to a text: its length, the address of a collection, and a number in it.
POINTER = 16

# Kinds of messages and of types, as "HDF5 File Format Specification" numbers them (sections IV.A.2 and IV.A.2.d).
_CONTINUATION, ATTRIBUTE = 0x10, 0x0C
_COMPOUND, REFERENCE, VARIABLE, _ARRAY = 6, 7, 9, 10
_OLD_MESSAGE, _NEW_MESSAGE = Struct("<HHB3x"), Struct("<BHB")
# Of a header this much is read at first, as HDF5 does; more than this is not believed of a header or a collection.
_AT_FIRST, _MOST = 512, 64 << 20
_NOWHERE: Span = (0, -1)
# No file reaches so far, and no system reads there.
_END = 1 << 62


class StoredAttribute(NamedTuple):
    """What the header says of an attribute."""

    kind: bytes
    shape: bytes
    data: bytes


class WatchedBytes:
    """The bytes of an open file, and what was found in them."""

    def __init__(self, read: Read, base: int) -> None:
        self.read, self._base = read, base
        self._attributes: dict[int, dict[bytes, list[StoredAttribute]]] = {}
        self._collections: dict[int, dict[int, Span]] = {}

    def read_attributes(self, address: int) -> dict[bytes, list[StoredAttribute]]:
        """Return what the header of an object says of its attributes, by name."""
        if address not in self._attributes:
            found: dict[bytes, list[StoredAttribute]] = {}
            for _, flags, body in read_messages(self._read_at, address, ATTRIBUTE):
                if not flags & 2:  # those that are shared between objects lie elsewhere
                    name, attribute = parse_attribute(body)
                    found.setdefault(name, []).append(attribute)
            self._attributes[address] = found
        return self._attributes[address]

    def spans(self, address: int) -> dict[int, Span]:
        """Return where the objects of a collection lie in it, by their numbers; none where it is damaged anywhere."""
        if address not in self._collections:
            magic, size = unpack_from("<4s4xQ", self._read_at(address, 16))
            self._collections[address] = _spans(self._read_at(address, size), size) if magic == b"GCOL" else {}
        return self._collections[address]

    def prove(self, kind: bytes, pointers: bytes) -> int:
        """Follow the pointers of a type to their texts; return the bytes of all of these."""
        if kind[1] & 15 > 1 or kind[8] & 15 in {_COMPOUND, VARIABLE, _ARRAY}:
            raise OSError("its type is damaged")
        (size,) = unpack_from("<I", kind, 12)
        total = 0
        for length, address, index in iter_unpack("<IQI", pointers):
            if address and self.spans(address).get(index, _NOWHERE)[1] != length * size:
                raise OSError(f"the heap at byte {address} holds no text for it, or is damaged")
            total += length * size
        return total

    def texts(self, pointers: bytes) -> list[bytes]:
        """Return the texts to which pointers lead that were proven; HDF5 ends each at its first null."""
        found = []
        for length, address, index in iter_unpack("<IQI", pointers):
            start = self.spans(address)[index][0] if address else 0
            found.append(self._read_at(address + start, length).split(b"\0", 1)[0] if address else b"")
        return found

    def _read_at(self, address: int, size: int) -> bytes:
        if size < 0 or address >= _END:
            raise OSError("it leads out of the file")
        return self.read(self._base + address, min(size, _MOST))


def read_superblock(start: bytes) -> int:
    """Return where the root of a file lies; a file that does not begin at its first byte is refused."""
    if not start.startswith(b"\x89HDF\r\n\x1a\n"):
        raise ValueError("no superblock")
    version = start[8]
    if start[9 if version > 1 else 13] != 8:
        raise ValueError("addresses of another length")
    base, root = {0: (24, 64), 1: (28, 68)}.get(version, (12, 36))
    if unpack_from("<Q", start, base) != (0,):
        raise ValueError("a user block")
    return int(unpack_from("<Q", start, root)[0])


def read_messages(read: Read, address: int, only: int | None = None) -> Iterator[tuple[int, int, bytes]]:
    """Yield kind, flags and body of each message in the header of an object, or of those of one kind."""
    start = read(address, _AT_FIRST)
    is_new = start.startswith(b"OHDR")
    message, extra, first, size = _parse_new_header(start) if is_new else _parse_old_header(start)
    parts = [(address + first, size)]
    for at, size in parts:  # which lead to further ones
        if sum(length for _, length in parts) > _MOST:
            raise OSError("the header is too long")
        data, place = read(at, size), 0
        while place + message.size + extra <= len(data):
            kind, length, flags = message.unpack_from(data, place)
            begin = place + message.size + extra
            place = begin + length
            if kind == _CONTINUATION:
                at, size = unpack_from("<QQ", data, begin)
                parts.append((at + 4, size - 8) if is_new else (at, size))
            elif only is None or kind == only:
                yield kind, flags, data[begin:place]


_Header = tuple[Struct, int, int, int]


def _parse_old_header(start: bytes) -> _Header:
    """Return how a message begins, what may follow that, and where the messages are: first byte and count."""
    return _OLD_MESSAGE, 0, 16, *unpack_from("<I", start, 8)


def _parse_new_header(start: bytes) -> _Header:
    flags = start[5]
    at = 6 + 16 * bool(flags & 0x20) + 4 * bool(flags & 0x10)
    width = 1 << (flags & 3)
    return _NEW_MESSAGE, 2 * bool(flags & 4), at + width, int.from_bytes(start[at : at + width], "little")


def parse_attribute(body: bytes) -> tuple[bytes, StoredAttribute]:
    """Cut the message of an attribute; a type that is kept elsewhere is left empty."""
    version, flags = body[0], body[1]
    at, parts = 9 if version == 3 else 8, []
    for length in unpack_from("<HHH", body, 2):
        parts.append(body[at : at + length])
        at += length + 7 & ~7 if version == 1 else length
    name, kind, shape = parts
    is_shared = version > 1 and flags & 1
    return name.split(b"\0")[0], StoredAttribute(b"" if is_shared else kind, shape, body[at:])


def _spans(collection: bytes, size: int) -> dict[int, Span]:
    """Walk from object to object as HDF5 will; what is too short for one at the end is left over."""
    found: dict[int, Span] = {}
    at, end = 16, len(collection)
    while at + 16 <= end:
        number, length = unpack_from("<H6xQ", collection, at)
        step = 16 + (length + 7 & ~7) if number else length  # without a number it is the free space as a whole
        if step < 16 or number in found:
            return {}
        found[number] = at + 16, length
        at += step
    found.pop(0, None)
    return found if at <= end == size else {}


def shape_in(stored: bytes) -> tuple[int, ...] | None:
    """Return the shape of an attribute, None where it holds nothing."""
    version, rank, _, kind = stored[:4]
    if version == 2 and kind == 2:
        return None
    return unpack_from(f"<{rank}Q", stored, 8 if version == 1 else 4)


_watched: WeakValueDictionary[int, WatchedBytes] = WeakValueDictionary()
#: HDF5's numbers of openings, of which a file may have several at a time.
_may_leave: set[int] = set()


class Proven(NamedTuple):
    """An attribute as it is stored, in which file, and HDF5's number of that."""

    held: WatchedBytes
    file: int
    attribute: StoredAttribute


@contextmanager
def watch_bytes(file: h5py.File, read: Read, *, may_leave: bool = False) -> Iterator[None]:
    """Let `prove` look into the bytes of a file for as long as the block lasts.

    Parameters
    ----------
    file : h5py.File
        Open for reading. If this program is writing it through h5py, its bytes are not what it holds, and are not
        looked at.
    read : callable
        Reads it.
    may_leave : bool, default False
        Whether other files that it names may be read (see `usidx.io.read.chunks.elsewhere`).
    """
    held, opened = _watch(file, read), file.id.id
    if may_leave:
        _may_leave.add(opened)
    try:
        yield
    finally:
        _may_leave.discard(opened)
        del held


def may_leave_file(object_: h5py.Group | h5py.Dataset) -> bool:
    """Say whether other files may be read for an object: it was opened by who asked for them, not just beside that."""
    return h5py.h5i.get_file_id(object_.id).id in _may_leave


def _watch(file: h5py.File, read: Read) -> WatchedBytes | None:
    made = file.id.get_create_plist()
    if file.id.get_intent() != h5py.h5f.ACC_RDONLY or made.get_sizes() != (8, 8):
        return None
    try:
        number, _ = identify_object(file)
    except (OSError, RuntimeError, ValueError, KeyError):
        return None  # without its root, nothing of the file is read
    return _watched.setdefault(number, WatchedBytes(read, made.get_userblock()))


def find_watched_bytes(dataset: h5py.Group | h5py.Dataset) -> WatchedBytes | None:
    """Return the bytes of the file that holds a dataset, None where it is not watched."""
    return _watched.get(identify_object(dataset)[0])


def make_local_reader(file: h5py.File) -> Read:
    """Return what reads the bytes of a file of this machine that is open."""
    if hasattr(os, "pread") and file.driver == "sec2":
        descriptor = file.id.get_vfd_handle()
        return lambda address, size: os.pread(descriptor, size, address)
    name = file.filename

    def read(address: int, size: int) -> bytes:
        with open(name, "rb") as other:
            other.seek(address)
            return other.read(size)

    return read


def prove(object_: h5py.Group | h5py.Dataset, name: str | bytes) -> Proven | None:
    """Make sure that HDF5 can read an attribute.

    Parameters
    ----------
    object_ : h5py.Group or h5py.Dataset
        Of a file that is watched; nothing is known of others.
    name : str or bytes
        The attribute; h5py leaves a name that is no UTF-8 as it is.

    Returns
    -------
    Proven or None
        The attribute as it is stored, None where that is not known.

    Raises
    ------
    OSError
        Its texts do not lie where it says.
    """
    number, address = identify_object(object_)
    held = _watched.get(number)
    if held is None:
        return None
    encoded = name if isinstance(name, bytes) else name.encode("utf-8", "surrogateescape")
    try:
        listed = held.read_attributes(address).get(encoded, ())
        for attribute in listed:
            kind = attribute.kind or _read_type(object_, encoded).encode()[2:]  # behind a mark and a version
            if kind[0] & 15 == VARIABLE:
                _prove(held, kind, attribute)
            elif kind[0] & 15 in {_COMPOUND, _ARRAY} and _holds_variable(_read_type(object_, encoded)):
                raise OSError("texts within other types are not read")
    except (error, IndexError, ValueError) as err:
        raise OSError(f"it is damaged: {err}") from err
    return Proven(held, number, listed[0]) if len(listed) == 1 else None


def _prove(held: WatchedBytes, kind: bytes, attribute: StoredAttribute) -> None:
    shape = shape_in(attribute.shape)
    nbytes = 0 if shape is None else POINTER * prod(shape)
    if nbytes > len(attribute.data):
        raise OSError("its shape is damaged")
    if held.prove(kind, attribute.data[:nbytes]) > _MOST:  # as many pointers may lead to one text
        raise OSError("its texts are too long")


def _read_type(object_: h5py.Group | h5py.Dataset, name: bytes) -> h5py.h5t.TypeID:
    return h5py.h5a.open(object_.id, name).get_type()


def _holds_variable(kind: h5py.h5t.TypeID) -> bool:
    group = kind.get_class()
    if group == h5py.h5t.COMPOUND:
        return any(_holds_variable(kind.get_member_type(i)) for i in range(kind.get_nmembers()))
    if group == h5py.h5t.ARRAY:
        return _holds_variable(kind.get_super())
    return bool(group == h5py.h5t.VLEN or (group == h5py.h5t.STRING and kind.is_variable_str()))
