"""An open object -> what it is: its address in a file, and which of the open files that is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import h5py

from usidx.io.read.place.open_errors import DAMAGE

__all__ = ["Identity", "Link", "address_of", "file_of", "identity_of", "identity_of_id", "link_of", "links_of"]

#: HDF5's number of an open file, and the address of an object in it.
Identity = tuple[int, int]


class Link(NamedTuple):
    """A hard link of a group: its name, what it leads to, and the kind of that (`h5py.h5g.GROUP`, `DATASET`)."""

    name: str
    identity: Identity
    kind: int


def address_of(object_: h5py.Group | h5py.Dataset) -> int:
    """Return where in its file an object itself, not its data, lies: as long as it exists, that stays so."""
    return identity_of(object_)[1]


def file_of(object_: h5py.Group | h5py.Dataset) -> int:
    """Return HDF5's number of the open file that holds an object."""
    return identity_of(object_)[0]


def identity_of(object_: h5py.Group | h5py.Dataset) -> Identity:
    """Return HDF5's number of the open file and the address in it."""
    return identity_of_id(object_.id)


def identity_of_id(object_: h5py.h5g.GroupID | h5py.h5d.DatasetID) -> Identity:
    """Return the same of what h5py wraps."""
    found = h5py.h5g.get_objinfo(object_, b".")
    return _number(found.fileno), _number(found.objno)


def link_of(group: h5py.Group, name: str) -> Identity | None:
    """Return what a hard link of a group leads to, None where there is no such link."""
    try:
        found = h5py.h5g.get_objinfo(group.id, name.encode(), False)
    except DAMAGE:
        return None
    return (_number(found.fileno), _number(found.objno)) if found.type in _OBJECTS else None


def links_of(group: h5py.h5g.GroupID) -> Iterator[Link]:
    """Yield the hard links of a group; a damaged object, or a name that is no text, must not hide the others."""
    try:
        listed = list(group)
    except DAMAGE:
        return
    for name in listed:
        try:
            found = h5py.h5g.get_objinfo(group, name, False)
            if found.type in _OBJECTS:
                yield Link(name.decode(), (_number(found.fileno), _number(found.objno)), found.type)
        except DAMAGE:
            continue


_OBJECTS = frozenset({h5py.h5g.GROUP, h5py.h5g.DATASET})


# The newer `h5o.get_info` tells the same, but first walks the index of all chunks of a dataset to add up its size.
def _number(words: tuple[int, int]) -> int:
    """Put together what C keeps in two words, the second of which is 0 where the first has room for all."""
    return int(words[0]) | int(words[1]) << 32
