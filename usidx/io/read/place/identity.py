"""An open object -> what it is: its address in a file, and which of the open files that is."""

from __future__ import annotations

import h5py

__all__ = ["address_of", "file_of", "identity_of"]


def address_of(object_: h5py.Group | h5py.Dataset) -> int:
    """Return where in its file an object itself, not its data, lies: as long as it exists, that stays so."""
    return identity_of(object_)[1]


def file_of(object_: h5py.Group | h5py.Dataset) -> int:
    """Return HDF5's number of the open file that holds an object."""
    return identity_of(object_)[0]


def identity_of(object_: h5py.Group | h5py.Dataset) -> tuple[int, int]:
    """Return HDF5's number of the open file and the address in it."""
    found = h5py.h5g.get_objinfo(object_.id, b".")
    return _number(found.fileno), _number(found.objno)


# The newer `h5o.get_info` tells the same, but first walks the index of all chunks of a dataset to add up its size.
def _number(words: tuple[int, int]) -> int:
    """Put together what C keeps in two words, the second of which is 0 where the first has room for all."""
    return int(words[0]) | int(words[1]) << 32
