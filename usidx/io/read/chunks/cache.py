"""A file and a dataset -> its chunk map, collected once per process and asked for again when the file has changed.

A map holds for a version of the file; `usidx.io.read.place.local` and `usidx.io.read.place.remote` say what that is.
"""

from __future__ import annotations

from dataclasses import dataclass

from usidx.errors import MissingFileError, RemoteError
from usidx.io.read.chunks.chunk_map import ChunkMap, describe
from usidx.io.read.place.objects.lru import LruCache
from usidx.io.read.place.place import AnyVersion, Place

__all__ = ["Located", "forget", "locate"]

#: Memory that the maps of one process may take; the least recently used are dropped.
_MOST_BYTES = 64 << 20
_TRIES = 5


@dataclass(frozen=True, slots=True, eq=False)
class Located:
    """A chunk map, the version of the file for which it was found, and whether that version can be told from a later.

    The map is None where the dataset must be read through h5py.
    """

    map: ChunkMap | None
    version: AnyVersion
    is_settled: bool


def locate(file: Place, dataset: str, address: int | None = None) -> Located | None:
    """Return where a dataset lies.

    Parameters
    ----------
    file : place
        The file.
    dataset : str
        HDF5 path in it.
    address : int, optional
        Where it is thought to lie itself, which saves requests for its index.

    Returns
    -------
    Located or None
        None where the file changes faster than it can be looked at.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    UsidError
        It is not an HDF5 file, or another program is writing it.
    """
    known = _maps.get((file, dataset))
    if known is not None and known.is_settled and file.may_be(known.version):
        return known
    fresh = _collect(file, dataset, address)
    if fresh is not None:
        _maps.put((file, dataset), fresh)
    return fresh


def forget(file: Place, dataset: str, outdated: Located) -> None:
    """Drop a map that turned out to be of another version."""
    _maps.drop(lambda key, kept: key == (file, dataset) and kept is outdated)


def _collect(place: Place, dataset: str, address: int | None) -> Located | None:
    recalled: AnyVersion | None = place.recall_version()
    for _ in range(_TRIES):
        before = place.find_version() if recalled is None else recalled
        try:
            with place.open_again(before, address) as file:
                found = describe(file, dataset)
        except (RemoteError, MissingFileError):
            if recalled is None:
                raise
            recalled = None  # it may be in another version by now
            continue
        if place.may_be(before):
            return Located(found, before, place.is_settled(before))
        recalled = None
    return None


def _count_bytes(found: Located) -> int:
    return 1024 if found.map is None else found.map.nbytes


_maps: LruCache[tuple[Place, str], Located] = LruCache(_MOST_BYTES, _count_bytes)
