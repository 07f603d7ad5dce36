"""A path and a dataset -> its chunk map, collected once per process and asked for again when the file has changed.

A map holds for a version of the file: its device, number, size and time of change. While a transaction of usidx grows
the file, its journal stands for the version instead, because until that is written to, nothing changes in what the file
held at the last commit (see `usidx.disk.journal`). So data is read on, without a lock, while results are appended.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import h5py

from usidx.disk.journal import journal_path
from usidx.disk.lock import LockedError
from usidx.errors import UsidError
from usidx.read.chunk_map import ChunkMap, describe
from usidx.read.tree import opened_file

__all__ = ["Located", "Version", "locate", "version_of"]

#: Memory that the maps of one process may take; the least recently used are dropped.
_MOST_BYTES = 64 << 20
# File systems count time in steps of up to two seconds: a file that was changed just now may change again unnoticed.
_SETTLED_NS = 2_100_000_000
# A journal of this size or less holds no record yet, since a record holds a page of the file.
_QUIET_JOURNAL = 256
# How long a commit of another program is waited for; and a lock without a journal, which a commit, too, leaves last.
_PATIENCE, _SHORT_PATIENCE, _POLL = 60.0, 1.0, 0.01
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Version:
    """What a file is, and the state it is in; equal versions hold the same bytes where a map points to."""

    device: int
    number: int
    size: int
    changed: int
    journal: tuple[int, int, int] | None

    @property
    def is_quiet(self) -> bool:
        """Whether a transaction is on that has overwritten nothing so far."""
        return self.journal is not None and self.journal[1] <= _QUIET_JOURNAL


@dataclass(frozen=True, slots=True, eq=False)
class Located:
    """A chunk map, the version of the file for which it was found, and whether that version can be told from a later.

    The map is None where the dataset must be read through h5py.
    """

    map: ChunkMap | None
    version: Version
    is_settled: bool


def version_of(path: str) -> Version:
    """Return the version that a file is in now."""
    status = os.stat(path)
    try:
        journal = os.stat(journal_path(Path(os.path.realpath(path))))
    except FileNotFoundError:
        return Version(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, None)
    return Version(status.st_dev, status.st_ino, 0, 0, (journal.st_ino, journal.st_size, journal.st_mtime_ns))


def locate(path: str, dataset: str) -> Located | None:
    """Return where a dataset lies.

    Parameters
    ----------
    path, dataset : str
        File, and HDF5 path in it.

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
    try:
        now = version_of(path)
    except FileNotFoundError as err:
        raise FileNotFoundError(f"There is no file {path!r}.") from err
    known = _maps.get((path, dataset))
    if known is not None and known.version == now and known.is_settled:
        return known
    fresh = _collect(path, dataset)
    if fresh is not None:
        _maps.put((path, dataset), fresh)
    return fresh


def _collect(path: str, dataset: str) -> Located | None:
    for _ in range(_TRIES):
        before = version_of(path)
        found = _describe(path, dataset, before)
        if version_of(path) == before:
            age = time.time_ns() - before.changed
            return Located(found, before, before.journal is not None or abs(age) > _SETTLED_NS)
    return None


def _describe(path: str, dataset: str, version: Version) -> ChunkMap | None:
    """Look into the file under its lock, or beside a transaction of another program that has overwritten nothing."""
    start = time.monotonic()
    while True:
        try:
            with opened_file(path) as file:
                return describe(file, dataset)
        except LockedError:
            if version.is_quiet:
                return _describe_unlocked(path, dataset)
            if time.monotonic() - start > (_SHORT_PATIENCE if version.journal is None else _PATIENCE):
                raise
        time.sleep(_POLL)
        version = version_of(path)


def _describe_unlocked(path: str, dataset: str) -> ChunkMap | None:
    try:
        with h5py.File(path, "r", locking=False) as file:
            return describe(file, dataset)
    except OSError as err:
        raise UsidError(f"{path!r} cannot be read while another program writes it; try again. ({err})") from err


class _Maps:
    """The maps of this process, those used last at the end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str], Located] = OrderedDict()
        self._bytes = 0

    def get(self, key: tuple[str, str]) -> Located | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: tuple[str, str], found: Located) -> None:
        with self._lock:
            old = self._kept.pop(key, None)
            self._kept[key] = found
            self._bytes += _size(found) - (0 if old is None else _size(old))
            while self._bytes > _MOST_BYTES and len(self._kept) > 1:
                self._bytes -= _size(self._kept.popitem(last=False)[1])

    def after_fork(self) -> None:
        """Make a new lock: another thread of the parent may have held the old one."""
        self._lock = threading.Lock()


def _size(found: Located) -> int:
    return 1024 if found.map is None else found.map.nbytes


_maps = _Maps()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_maps.after_fork)
