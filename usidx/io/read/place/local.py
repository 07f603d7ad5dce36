"""A path of this machine -> an HDF5 file to look into, bytes at addresses, and the version that the file is in.

While a transaction of usidx grows the file, its journal stands for the version instead, because until that is written
to, nothing changes in what the file held at the last commit (see `usidx.io.disk.journal`). So data is read on while
results are appended, by this program and by others.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import h5py

from usidx.errors import UsidError
from usidx.format.other_formats import HEAD, recognize_bytes
from usidx.io.disk.companions import find_journal_path
from usidx.io.disk.recovery import open_shared
from usidx.io.read.place.heap import make_local_reader, watch_bytes
from usidx.io.read.place.local_bytes import Source
from usidx.io.read.place.open_errors import make_missing_error, make_unreadable_error

__all__ = ["LocalFile", "Version", "read_version"]

# File systems count time in steps of up to two seconds: a file that was changed just now may change again unnoticed.
_SETTLED_NS = 2_100_000_000


@dataclass(frozen=True, slots=True)
class Version:
    """What a file is, and the state it is in; equal versions hold the same bytes where a map points to."""

    device: int
    number: int
    size: int
    changed: int
    journal: tuple[int, int, int] | None


def read_version(path: str) -> Version:
    """Return the version that a file is in now."""
    status = os.stat(path)
    try:
        journal = os.stat(_find_journal(path, status.st_dev, status.st_ino))
    except FileNotFoundError:
        return Version(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, None)
    return Version(status.st_dev, status.st_ino, 0, 0, (journal.st_ino, journal.st_size, journal.st_mtime_ns))


@lru_cache(maxsize=1024)
def _find_journal(path: str, device: int, number: int) -> str:
    """Return where the journal of a file lies; following links asks the system for every folder, so once a file."""
    return str(find_journal_path(Path(os.path.realpath(path))))


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file of this machine.

    Attributes
    ----------
    name : str
        Its absolute path.
    may_leave : bool
        Whether other files that it names may be read, in its folder and below.
    """

    name: str
    may_leave: bool = False

    @property
    def title(self) -> str:
        """The last part of its name."""
        return Path(self.name).name

    @property
    def token(self) -> str:
        """What tells it from another of the same name: nothing, no other has this path."""
        return ""

    def __str__(self) -> str:
        return self.name

    @contextmanager
    def open(self) -> Iterator[tuple[h5py.File, str | None]]:
        """Open the file at one commit; None, because nothing marks its version for good."""
        with ExitStack() as stack:
            self._refuse_no_file()
            try:
                file = stack.enter_context(open_shared(self.name))
            except UsidError:
                raise
            except OSError as err:
                raise make_unreadable_error(self.name, err, os.stat(self.name).st_size, self._read_head()) from err
            with watch_bytes(file, make_local_reader(file), may_leave=self.may_leave):
                yield file, None

    @contextmanager
    def open_again(self, version: Version, address: int | None = None) -> Iterator[h5py.File]:
        """Open the file; the version that it is in is compared afterwards."""
        with self.open() as (file, _):
            yield file

    def find_version(self) -> Version:
        """Return the version that the file is in now."""
        try:
            return read_version(self.name)
        except FileNotFoundError as err:
            raise make_missing_error(self.name) from err

    def recall_version(self) -> Version:
        """Return the version that the file is in now, since asking costs little."""
        return self.find_version()

    def may_be(self, version: Version) -> bool:
        """Whether the file is in that version now."""
        return self.find_version() == version

    def is_settled(self, version: Version) -> bool:
        """Whether the version can be told from any later one."""
        return version.journal is not None or abs(time.time_ns() - version.changed) > _SETTLED_NS

    @contextmanager
    def open_source(self, version: Version) -> Iterator[Source | None]:
        """Open the file to read at addresses; None where another file took its place."""
        try:
            source = Source(self.name)
        except FileNotFoundError as err:
            raise make_missing_error(self.name) from err
        with source:
            status = source.status
            yield source if (status.st_dev, status.st_ino) == (version.device, version.number) else None

    def find_place_of(self, object_: h5py.Group | h5py.Dataset) -> LocalFile:
        """Return the file that an object lies in: an external link leads to another one."""
        return LocalFile(str(Path(object_.file.filename).absolute()), self.may_leave)

    def _refuse_no_file(self) -> None:
        try:
            mode = os.stat(self.name).st_mode
        except (FileNotFoundError, NotADirectoryError, ValueError) as err:
            raise make_missing_error(self.name) from err
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"
            other = recognize_bytes(self.name, b"")
            raise UsidError(
                f"{self.name!r} is {kind}, not an HDF5 file.{' ' + other.describe(self.name) if other else ''}"
            )

    def _read_head(self) -> bytes:
        try:
            with open(self.name, "rb") as file:
                return file.read(HEAD)
        except OSError:
            return b""
