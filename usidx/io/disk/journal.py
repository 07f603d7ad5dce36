"""Bytes of a file that are about to be overwritten -> an undo journal beside it -> the file as it was.

The journal of ``scan.h5`` is ``scan.h5.usidx-journal``. It holds a header and then records, each sealed by a checksum
that is keyed with a number drawn for this journal, so that neither a torn record nor what an older journal left on the
disk is ever taken for one of its own::

    header  magic, version, page size, size of the file at the last commit, key, fingerprint of the file, who writes
    record  kind, address, length, the bytes; kind OLD: what the file held there, NEXT: what its first page shall hold

The order that makes every instant safe:

1. header written, journal synced, folder synced; only then the file may grow;
2. OLD records written, journal synced; only then those bytes may be overwritten;
3. file synced; only then the journal is removed, and that is the commit; the folder is synced.

Readers of other programs may look at the last commit beside all this until bytes are overwritten. They share a lock on
the journal, and go by its size: once it holds a record, new ones wait. Between the steps 2 and 3 the writer waits for
those that are still reading, and takes that lock for itself (`Journal.shut_out`).

So a journal whose header is torn has protected nothing yet, and a record that is torn, nothing that was touched. To
recover is to write the OLD bytes back, cut the file to its old size, sync it and remove the journal; doing so twice, or
being killed while doing so, does no harm.

Recovery must never destroy what someone else wrote. The fingerprint is a hash over some pages of the file as it was at
the last commit, and each byte of the first page, where every HDF5 program notes how long the file is, must be an OLD or
a NEXT one. A file that fails this was changed or replaced by another program after the interruption: if the journal
says that nothing of it had been overwritten it is whole and the journal is just removed, else a `RecoveryError` leaves
the choice to the user.
"""

from __future__ import annotations

import hashlib
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from usidx.errors import RecoveryError
from usidx.io.disk import raw as disk
from usidx.io.disk.lock import POLL, FileLock, is_on, try_lock
from usidx.io.disk.raw import RawFile

__all__ = ["PAGE", "Journal", "Recovery", "RecoveryError", "find_journal_path", "is_quiet", "restore"]

#: Old bytes are saved in whole pages of this size.
PAGE = 4096

_MAGIC = b"\x89usidxUJ"
_VERSION = 1
_HEADER = struct.Struct("<8sIIQ16s32s96s")
_RECORD = struct.Struct("<IQI")
_DIGEST = 16
_OLD, _NEXT = 1, 2
_PIECE = 1 << 20
_SAMPLES = 8
_TRIES = 10


def find_journal_path(path: Path) -> Path:
    """Return where the undo journal of a file lies while it is being written."""
    return path.with_name(path.name + ".usidx-journal")


def is_quiet(size: int) -> bool:
    """Tell by the size of a journal that nothing of its file has been overwritten: it holds no record yet."""
    return size <= _HEADER.size + _DIGEST


@dataclass(frozen=True, slots=True)
class Recovery:
    """What `recover` did to a file.

    Parameters
    ----------
    needed : bool
        Whether there was a journal at all.
    restored, dropped : int
        Bytes written back from the journal, and bytes cut off the end.
    left_alone : bool
        The file was changed by another program, and nothing of the interrupted write was in it but its tail.
    """

    needed: bool = False
    restored: int = 0
    dropped: int = 0
    left_alone: bool = False

    def __str__(self) -> str:
        if not self.needed:
            return "no write was interrupted"
        if self.left_alone:
            return "an interrupted write had overwritten nothing; the file was changed since then and is kept as it is"
        if not (self.restored or self.dropped):
            return "a write was interrupted before it changed the file"
        return f"an interrupted write was undone: {self.restored} bytes put back, {self.dropped} cut off the end"


class Journal:
    """The undo journal of one transaction on a file whose bytes are still those of the last commit.

    Parameters
    ----------
    target : RawFile
        The file that is going to change.
    path : Path
        The journal to make; one that exists is a FileExistsError.
    """

    def __init__(self, target: RawFile, path: Path) -> None:
        self._target = target
        self._file = RawFile(path, create=True)
        self._key = os.urandom(_DIGEST)
        self._end = 0
        self._lock: FileLock | None = None
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
            self._record(_OLD, start, _read(self._target, start, min(_PIECE, address + length - start)))

    def announce(self, head: bytes) -> None:
        """Write what the first page of the file is going to hold."""
        self._record(_NEXT, 0, head)

    def sync(self) -> None:
        """Return once all records are on the disk."""
        self._file.sync()

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
        _discard(self._file.path, sync=sync)

    def _make_header(self) -> bytes:
        base = self._target.measure()
        who = f"process {os.getpid()} on {socket.gethostname()}, {time.strftime('%Y-%m-%d %H:%M:%S')}"
        print_of_file = _hash_some_pages(base, lambda start, length: _read(self._target, start, length))
        header = _HEADER.pack(_MAGIC, _VERSION, PAGE, base, self._key, print_of_file, who.encode()[:96])
        return header + _digest(self._key, 0, header)

    def _record(self, kind: int, address: int, data: bytes) -> None:
        head = _RECORD.pack(kind, address, len(data))
        self._append(head + _digest(self._key, self._end, head, data) + data)

    def _append(self, data: bytes) -> None:
        self._file.write_at(self._end, memoryview(data))
        self._end += len(data)


@dataclass(frozen=True, slots=True)
class _Record:
    """Where in the journal the bytes of one record lie, and where in the file they belong."""

    kind: int
    address: int
    length: int
    start: int


@dataclass(frozen=True, slots=True)
class _Entries:
    """A journal as read back: all records before the first that is torn."""

    base: int
    fingerprint: bytes
    who: str
    records: tuple[_Record, ...]
    is_torn: bool

    def of(self, kind: int) -> tuple[_Record, ...]:
        return tuple(record for record in self.records if record.kind == kind)


def restore(target: RawFile, path: Path) -> Recovery:
    """Put a file back to its last commit and remove its journal.

    Parameters
    ----------
    target : RawFile
        The file, open for writing, with its lock held.
    path : Path
        Its journal.

    Returns
    -------
    Recovery
        What was done.

    Raises
    ------
    RecoveryError
        The journal is not of this file or damaged, or another program changed the file after the interruption.
    """
    journal = RawFile(path, write=False)
    try:
        entries = _read_entries(journal)
        if entries is None:
            if not is_quiet(journal.measure()):
                raise RecoveryError(_describe_damage(target, path))
            done = Recovery(True)
        elif _belongs(target, journal, entries):
            done = _put_back(target, journal, entries)
        elif not entries.of(_OLD) and not entries.is_torn:
            done = Recovery(True, left_alone=True)
        else:
            raise RecoveryError(_describe_foreign(target, path, entries))
    finally:
        journal.close()
    _discard(path)
    return done


def _put_back(target: RawFile, journal: RawFile, entries: _Entries) -> Recovery:
    restored = 0
    for record in entries.of(_OLD):
        target.write_at(record.address, memoryview(_read(journal, record.start, record.length)))
        restored += record.length
    dropped = target.measure() - entries.base
    if dropped:
        target.truncate(entries.base)
    target.sync()
    return Recovery(True, restored, max(dropped, 0))


def _describe_damage(target: RawFile, path: Path) -> str:
    """Say so of a journal with records behind a bad header: that was on the disk before any record."""
    return (
        f"{str(target.path)!r} holds a write that was interrupted, and its journal {str(path)!r} is damaged. Bring "
        "back the journal or the file from a copy; to keep the file as it is now, perhaps half written, delete the "
        "journal."
    )


def _describe_foreign(target: RawFile, path: Path, entries: _Entries) -> str:
    return (
        f"{str(target.path)!r} holds a write that was interrupted ({entries.who}), and another program changed or "
        f"replaced it after that; undoing the write would destroy that change. Keep a copy of both files; then delete "
        f"{str(path)!r} to keep the file as it is now, or bring back the file that the journal belongs to."
    )


def _belongs(target: RawFile, journal: RawFile, entries: _Entries) -> bool:
    """Whether the file, with the old bytes put back, would be the one that the journal was made for."""
    old = entries.of(_OLD)

    def before(start: int, length: int) -> bytes:
        page = bytearray(_read(target, start, length))
        for record in old:
            low, high = max(start, record.address), min(start + length, record.address + record.length)
            if low < high:
                page[low - start : high - start] = _read(journal, record.start + low - record.address, high - low)
        return bytes(page)

    return _hash_some_pages(entries.base, before) == entries.fingerprint and _is_head_ours(target, journal, entries)


def _is_head_ours(target: RawFile, journal: RawFile, entries: _Entries) -> bool:
    """Whether each byte of the first page is one that was there or one that was announced."""
    written = [_read(journal, record.start, record.length) for record in entries.of(_NEXT)]
    if not written:
        return True
    length = len(written[0])
    old = [_read(journal, record.start, length) for record in entries.of(_OLD) if record.address == 0]
    return all(byte in known for byte, *known in zip(_read(target, 0, length), *old, *written, strict=True))


def _read_entries(journal: RawFile) -> _Entries | None:
    """Read a journal up to its first torn record; None where the header itself is torn."""
    head = _read(journal, 0, _HEADER.size + _DIGEST)
    magic, version, page, base, key, fingerprint, who = _HEADER.unpack(head[: _HEADER.size])
    if magic != _MAGIC or _digest(key, 0, head[: _HEADER.size]) != head[_HEADER.size :]:
        return None
    if (version, page) != (_VERSION, PAGE):
        raise RecoveryError(
            f"{str(journal.path)!r} is an undo journal of version {version}; this usidx knows version {_VERSION}. "
            "Recover the file with the usidx that wrote it."
        )
    records = tuple(_read_records(journal, key, base))
    end = records[-1].start + records[-1].length if records else len(head)
    is_torn = journal.measure() > end
    return _Entries(base, fingerprint, who.rstrip(b"\0").decode(errors="replace"), records, is_torn)


def _read_records(journal: RawFile, key: bytes, base: int) -> Iterator[_Record]:
    """Walk the records; stops where the checksum says that one was not written to its end."""
    end, size = _HEADER.size + _DIGEST, journal.measure()
    while end + _RECORD.size + _DIGEST <= size:
        head = _read(journal, end, _RECORD.size + _DIGEST)
        kind, address, length = _RECORD.unpack(head[: _RECORD.size])
        start = end + len(head)
        if length > _PIECE or start + length > size or address + length > base:
            return
        if _digest(key, end, head[: _RECORD.size], _read(journal, start, length)) != head[_RECORD.size :]:
            return
        yield _Record(kind, address, length, start)
        end = start + length


def _hash_some_pages(base: int, read: Callable[[int, int], bytes]) -> bytes:
    """Hash the size of a file and some of its pages: the first, the last and some between."""
    last = max(base - 1, 0) // PAGE
    digest = hashlib.sha256(struct.pack("<Q", base))
    for page in sorted({last * i // (_SAMPLES - 1) for i in range(_SAMPLES)}):
        digest.update(read(page * PAGE, min(PAGE, base - page * PAGE)))
    return digest.digest()


def _digest(key: bytes, position: int, *parts: bytes) -> bytes:
    """Seal bytes to this journal and to their place in it."""
    digest = hashlib.blake2b(struct.pack("<Q", position), digest_size=_DIGEST, key=key)
    for part in parts:
        digest.update(part)
    return digest.digest()


def _read(file: RawFile, address: int, length: int) -> bytes:
    """Read bytes; zeros behind the end of the file."""
    data = bytearray(length)
    file.read_into(address, memoryview(data))
    return bytes(data)


def _discard(path: Path, *, sync: bool = True) -> None:
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
