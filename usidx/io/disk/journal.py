"""Bytes of a file that are about to be overwritten -> an undo journal beside it, and its records read back.

The journal of ``scan.h5`` is ``scan.h5.usidx-journal``. It holds a header and then records, each sealed by a checksum
that is keyed with a number drawn for this journal, so that neither a torn record nor what an older journal left on the
disk is ever taken for one of its own::

    header  magic, version, page size, size of the file at the last commit, key, superblock of HDF5, who writes
    OLD     address, bytes: what the file held there at the last commit
    NEXT    address, bytes: what it shall hold there from now on
    LAST    size: all has been said that this commit overwrites, and how long the file is after it
    SEAL    all records before it are on the disk, so that one that does not fit is damaged and not torn;
            the next record takes its place
    DONE    the commit is on the disk; only the journal has to go
    UNDO    the writer itself puts the file back

The order that makes every instant safe:

1. header written, journal synced, folder synced; only then the file may grow;
2. OLD and NEXT records written, LAST at a commit; file and journal synced; only then those bytes may be overwritten,
   at a commit the superblock behind all others: until then no program finds what was appended;
3. file synced, DONE written; the journal is removed and the folder synced. That is the commit.

Readers of other programs may look at the last commit beside all this until bytes are overwritten. They share a lock on
the journal, and go by its size: once it holds a record, new ones wait. Between the steps 2 and 3 the writer waits for
those that are still reading, and takes that lock for itself (`Journal.shut_out`).

So a journal whose header is torn has protected nothing yet, and a record that is torn, nothing that was touched. What
becomes of a file whose journal was left behind is decided in `usidx.io.disk.restore`.
"""

from __future__ import annotations

import errno
import hashlib
import os
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from usidx.errors import RecoveryError, UsidError
from usidx.io.disk import raw as disk
from usidx.io.disk.companions import find_journal_path
from usidx.io.disk.lock import POLL, FileLock, is_on, try_lock
from usidx.io.disk.raw import RawFile, name_kind
from usidx.io.disk.superblock import LONGEST, Superblock, find_superblock

__all__ = [
    "DONE",
    "NEXT",
    "OLD",
    "PAGE",
    "UNDO",
    "Entries",
    "Journal",
    "Record",
    "discard",
    "find_journal_path",
    "is_quiet",
    "open_journal",
    "read_entries",
]

#: Old bytes are saved in whole pages of this size.
PAGE = 4096
#: Kinds of records.
OLD, NEXT, LAST, SEAL, DONE, UNDO = range(1, 7)
_OF_BYTES, _OF_END = (OLD, NEXT), (SEAL, DONE)

_MAGIC = b"\x89usidxUJ"
_VERSION = 2
_HEADER = struct.Struct(f"<8sIIQ16sQI{LONGEST}s96s")
_RECORD = struct.Struct("<IQI")
_DIGEST = 16
_PIECE = 1 << 20
#: No file is longer, in bytes.
_LARGEST = 1 << 62
_TRIES = 10


def is_quiet(size: int) -> bool:
    """Tell by the size of a journal that nothing of its file has been overwritten: it holds no record yet."""
    return size <= _HEADER.size + _DIGEST


class Journal:
    """The undo journal of one transaction on a file whose bytes are still those of the last commit.

    Parameters
    ----------
    target : RawFile
        The file that is going to change.
    path : Path
        The journal to make, for nobody to read who may not read the file; one that exists is a FileExistsError.
    """

    def __init__(self, target: RawFile, path: Path) -> None:
        self._target = target
        self._file = RawFile(path, create=True, like=target)
        self._key = os.urandom(_DIGEST)
        self._end = 0
        self._is_announced = False
        self._lock: FileLock | None = None
        # In what is no HDF5 file nothing is written; its first bytes do to know it again.
        self.superblock = find_superblock(target) or Superblock(0, target.read(0, min(LONGEST, target.measure())))
        try:
            self._append(self._make_header())
            self._file.sync()
            disk.sync_folder(path.parent)
        except BaseException:
            self.drop()
            raise

    def save(self, address: int, length: int) -> None:
        """Write the bytes that the file holds now; they are safe after `sync`."""
        for start in range(address, address + length, _PIECE):
            self._record(OLD, start, self._target.read(start, min(_PIECE, address + length - start)))

    def announce(self, address: int, data: bytes) -> None:
        """Write what the file is going to hold where old bytes were saved."""
        for start in range(0, len(data), _PIECE):
            self._record(NEXT, address + start, data[start : start + _PIECE])

    def announce_last(self, size: int) -> None:
        """Write how long the file is going to be, and that nothing more is announced before the commit."""
        self._record(LAST, size)
        self._is_announced = True

    def mark(self, kind: int) -> None:
        """Write how a commit that was announced ends: DONE or UNDO.

        The file is safe without that mark, so it is not synced, and a full disk is no error.
        """
        if self._is_announced:
            with suppress(OSError):
                self._record(kind, 0)

    def sync(self) -> None:
        """Return once all records are on the disk, and say so in the journal."""
        self._file.sync()
        end = self._end
        self._record(SEAL, 0)
        self._end = end  # what follows takes its place: it is not synced, and must not be missed before what is there

    def shut_out(self, wait: float) -> bool:
        """Keep readers of other programs off the file from now on; False if one still reads after `wait` seconds."""
        deadline = time.monotonic() + wait
        while is_on() and self._lock is None:
            self._lock = try_lock(self._file.fileno(), self._file.path, exclusive=True)
            if self._lock is None and time.monotonic() >= deadline:
                return False
            if self._lock is None:
                time.sleep(POLL)
        return True

    def close(self) -> None:
        """Close the journal and leave it where it is, for `restore`."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None
        self._file.close()

    def drop(self, *, sync: bool = True) -> None:
        """Remove the journal, for good once the folder is synced: here, or by the journal that follows."""
        self.close()
        discard(self._file.path, sync=sync)

    def _make_header(self) -> bytes:
        base, (address, head) = self._target.measure(), (self.superblock.address, self.superblock.content)
        who = f"process {os.getpid()} on {socket.gethostname()}, {time.strftime('%Y-%m-%d %H:%M:%S')}"
        header = _HEADER.pack(_MAGIC, _VERSION, PAGE, base, self._key, address, len(head), head, who.encode()[:96])
        return header + _digest(self._key, 0, header)

    def _record(self, kind: int, address: int, data: bytes = b"") -> None:
        head = _RECORD.pack(kind, address, len(data))
        self._append(head + _digest(self._key, self._end, head, data) + data)

    def _append(self, data: bytes) -> None:
        self._file.write_at(self._end, memoryview(data))
        self._end += len(data)


@dataclass(frozen=True, slots=True)
class Record:
    """Where in the journal the bytes of one record lie, and where in the file they belong."""

    kind: int
    address: int
    length: int
    start: int


@dataclass(frozen=True, slots=True)
class Entries:
    """A journal as read back: all records before the first that is torn.

    A torn record had not been written to its end, and so nothing was touched that came after it. It is `damaged` where
    the journal has been written to its end all the same.
    """

    base: int
    superblock: Superblock
    who: str
    records: tuple[Record, ...]
    is_torn: bool
    is_damaged: bool

    def of(self, kind: int) -> tuple[Record, ...]:
        """Return the records of one kind, in the order of writing."""
        return tuple(record for record in self.records if record.kind == kind)

    def has(self, kind: int) -> bool:
        """Say whether there is a record of a kind."""
        return any(record.kind == kind for record in self.records)

    @property
    def size(self) -> int | None:
        """How long the file was going to be; None where that had not been said yet."""
        return next((record.address for record in self.records if record.kind == LAST), None)


def open_journal(path: Path, target: RawFile) -> RawFile:
    """Open the journal that was left beside a file, if it can be one.

    Raises
    ------
    RecoveryError
        It is a link, a pipe, a folder, or belongs neither to the owner of the file nor to who asks: whoever may write
        in the folder could have others' files overwritten by it.
    """
    kind = name_kind(path.lstat().st_mode)
    if kind is not None:
        raise RecoveryError(
            f"{str(path)!r} is {kind}. Where it lies usidx keeps the journal of a write of {target.path.name!r}, which "
            "is always a regular file, so something else has put it there. Find out what, and take it away."
        )
    try:
        journal = RawFile(path, write=False, follow=False)
    except (UsidError, OSError) as err:
        if isinstance(err, OSError) and err.errno != errno.ELOOP:
            raise
        raise RecoveryError(f"{str(path)!r} is no regular file any more; find out what puts others there.") from err
    owner = os.fstat(journal.fileno()).st_uid
    if hasattr(os, "geteuid") and owner not in {os.geteuid(), os.fstat(target.fileno()).st_uid}:
        journal.close()
        raise RecoveryError(
            f"{str(path)!r} is the journal of a write that was interrupted, or pretends to be: it belongs to user "
            f"{owner}, who is neither you nor the owner of {target.path.name!r}. That user or an administrator may "
            "recover the file, or take the journal away."
        )
    return journal


def read_entries(journal: RawFile) -> Entries | None:
    """Read a journal up to its first torn record; None where the header itself is torn."""
    head = journal.read(0, _HEADER.size + _DIGEST)
    magic, version, page, base, key, address, length, superblock, who = _HEADER.unpack(head[: _HEADER.size])
    if magic == _MAGIC and version != _VERSION and not is_quiet(journal.measure()):
        raise RecoveryError(
            f"{str(journal.path)!r} is an undo journal of version {version}; this usidx knows version {_VERSION}. "
            "Recover the file with the usidx that wrote it."
        )
    if (
        (magic, page) != (_MAGIC, PAGE)
        or not address <= base <= _LARGEST
        or _digest(key, 0, head[: _HEADER.size]) != head[_HEADER.size :]
    ):
        return None
    records = tuple(_read_records(journal, key, base))
    end = records[-1].start + records[-1].length if records else len(head)
    is_torn = journal.measure() > end
    found = Superblock(address, superblock[:length])
    is_damaged = is_torn and _has_end(journal, key)
    return Entries(base, found, who.rstrip(b"\0").decode(errors="replace"), records, is_torn, is_damaged)


def _has_end(journal: RawFile, key: bytes) -> bool:
    """Say whether the last record of a journal is one that is only written when all before it are on the disk."""
    start = journal.measure() - _RECORD.size - _DIGEST
    last = journal.read(start, _RECORD.size + _DIGEST)
    kind = _RECORD.unpack(last[: _RECORD.size])[0]
    return kind in _OF_END and _digest(key, start, last[: _RECORD.size]) == last[_RECORD.size :]


def _read_records(journal: RawFile, key: bytes, base: int) -> Iterator[Record]:
    """Walk the records; stops where the checksum says that one was not written to its end."""
    end, size = _HEADER.size + _DIGEST, journal.measure()
    while end + _RECORD.size + _DIGEST <= size:
        head = journal.read(end, _RECORD.size + _DIGEST)
        kind, address, length = _RECORD.unpack(head[: _RECORD.size])
        start = end + len(head)
        if length > _PIECE or start + length > size or (kind in _OF_BYTES and address + length > base):
            return
        if _digest(key, end, head[: _RECORD.size], journal.read(start, length)) != head[_RECORD.size :]:
            return
        yield Record(kind, address, length, start)
        end = start + length


def _digest(key: bytes, position: int, *parts: bytes) -> bytes:
    """Seal bytes to this journal and to their place in it."""
    digest = hashlib.blake2b(struct.pack("<Q", position), digest_size=_DIGEST, key=key)
    for part in parts:
        digest.update(part)
    return digest.digest()


def discard(path: Path, *, sync: bool = True) -> None:
    """Remove a journal so that no power loss brings it back."""
    for patience in range(_TRIES, -1, -1):
        try:
            disk.remove(path)
            break
        except PermissionError:
            # On Windows a name stays while anybody has the file open, such as a reader that looks at its size.
            if patience == 0:
                raise
            time.sleep(POLL)
    if sync:
        disk.sync_folder(path.parent)
