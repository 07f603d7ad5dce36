"""An open object -> what it is: its address in a file, and which of the open files that is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import h5py

from usidx.io.read.place.open_errors import DAMAGE

__all__ = [
    "Identity",
    "Link",
    "find_address",
    "find_file_number",
    "find_link",
    "identify_id",
    "identify_object",
    "list_links",
]

#: HDF5's number of an open file, and the address of an object in it.
Identity = tuple[int, int]


class Link(NamedTuple):
    """A hard link of a group: its name, what it leads to, and the kind of that (`h5py.h5g.GROUP`, `DATASET`)."""

    name: str
    identity: Identity
    kind: int


def find_address(object_: h5py.Group | h5py.Dataset) -> int:
    """Return where in its file an object itself, not its data, lies: as long as it exists, that stays so."""
    return identify_object(object_)[1]


def find_file_number(object_: h5py.Group | h5py.Dataset) -> int:
    """Return HDF5's number of the open file that holds an object."""
    return identify_object(object_)[0]


def identify_object(object_: h5py.Group | h5py.Dataset) -> Identity:
    """Return HDF5's number of the open file and the address in it."""
    return identify_id(object_.id)


def identify_id(object_: h5py.h5g.GroupID | h5py.h5d.DatasetID) -> Identity:
    """Return the same of what h5py wraps."""
    found = h5py.h5g.get_objinfo(object_, b".")
    return _join_words(found.fileno), _join_words(found.objno)


def find_link(group: h5py.Group, name: str) -> Identity | None:
    """Return what a hard link of a group leads to, None where there is no such link."""
    try:
        found = h5py.h5g.get_objinfo(group.id, name.encode(), False)
    except DAMAGE:
        return None
    return (_join_words(found.fileno), _join_words(found.objno)) if found.type in _OBJECTS else None


def list_links(group: h5py.h5g.GroupID, damaged: dict[str, str] | None = None) -> Iterator[Link]:
    """Yield the hard links of a group; a damaged object, or a name that is no text, must not hide the others.

    Parameters
    ----------
    group : GroupID
        The group, open.
    damaged : dict, optional
        Takes the names of what cannot be read, and why; a dot is the list of the names itself.
    """
    damaged = {} if damaged is None else damaged
    try:
        listed = list(group)
    except DAMAGE as err:
        damaged["."] = str(err)
        return
    for name in listed:
        try:
            found = h5py.h5g.get_objinfo(group, name, False)
            if found.type in _OBJECTS:
                yield Link(name.decode(), (_join_words(found.fileno), _join_words(found.objno)), found.type)
        except DAMAGE as err:
            damaged[name.decode(errors="replace")] = str(err)


_OBJECTS = frozenset({h5py.h5g.GROUP, h5py.h5g.DATASET})


# The newer `h5o.get_info` tells the same, but first walks the index of all chunks of a dataset to add up its size.
def _join_words(words: tuple[int, int]) -> int:
    """Put together what C keeps in two words, the second of which is 0 where the first has room for all."""
    return int(words[0]) | int(words[1]) << 32
