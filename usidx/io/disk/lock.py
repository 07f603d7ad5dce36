"""An open file -> the right to write or read it, against other programs and within this one.

Between programs the lock is the whole-file ``flock`` that HDF5 itself takes, so h5py, pyUSID and usidx see each other:
a writer holds it exclusively, a reader shares it. Windows has no ``flock``, and HDF5 takes none there; usidx programs
then see each other through ``msvcrt`` locks on bytes far behind the end of any file, where they hinder no reader: a
reader takes one of them, a writer all.

Within this program a table of claims says which file is being written by whom. Readers of the same program may read on
while a transaction runs, because it overwrites nothing before it commits; only the commit itself waits for them. Those
of other programs do so beside its journal (`usidx.io.disk.journal`).

``HDF5_USE_FILE_LOCKING=FALSE`` in the environment turns locks off here as it does in HDF5.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py

from usidx.errors import LockedError
from usidx.io.disk.raw import import_if_there
from usidx.io.disk.writers import name_program

__all__ = [
    "COURTESY",
    "PATIENCE",
    "POLL",
    "Claim",
    "FileLock",
    "LockedError",
    "acquire",
    "claim_file",
    "find_file_key",
    "hold_for_reading",
    "is_on",
    "try_lock",
]


_fcntl: Any = import_if_there("fcntl")
_msvcrt: Any = None if _fcntl else import_if_there("msvcrt")

#: Where the bytes lie that Windows programs lock, and how many readers there can be at once.
_LOCK_ADDRESS = 1 << 43
_LOCK_SLOTS = 64

#: How often a lock is asked for again, and how long a commit and those who read wait for each other, in seconds.
POLL, PATIENCE = 0.02, 60.0
#: How long those who want to read hold back for one who waits to write, in seconds.
COURTESY = 1.0
_REFUSED = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
_HELD = {errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK}


@dataclass(slots=True)
class FileLock:
    """A lock that is held on a descriptor until `release`."""

    descriptor: int
    slot: int = 0
    slots: int = 0
    process: int = field(default_factory=os.getpid)

    def release(self) -> None:
        """Give the lock back; said at once, because a forked child may keep the descriptor, and so the lock, open."""
        if os.getpid() != self.process:
            return
        if _fcntl is not None:
            _fcntl.flock(self.descriptor, _fcntl.LOCK_UN)
        elif self.slots:
            os.lseek(self.descriptor, _LOCK_ADDRESS + self.slot, os.SEEK_SET)
            _msvcrt.locking(self.descriptor, _msvcrt.LK_UNLCK, self.slots)


def is_on() -> bool:
    """Whether the environment leaves HDF5, and so usidx, its locks."""
    return os.environ.get("HDF5_USE_FILE_LOCKING", "").upper() not in {"FALSE", "0"}


def acquire(descriptor: int, path: Path, *, exclusive: bool = True, wait: float = 0.0) -> FileLock | None:
    """Lock an open file for writing, or with others for reading.

    Parameters
    ----------
    descriptor : int
        The open file; for an exclusive lock it must be open for writing (network file systems demand it).
    path : Path
        Its name, for the message.
    exclusive : bool
        Shut everyone else out; else share the file with other readers.
    wait : float
        Seconds to go on asking while another program holds the file.

    Returns
    -------
    FileLock or None
        What to release; None where locks are turned off by ``HDF5_USE_FILE_LOCKING=FALSE``.

    Raises
    ------
    LockedError
        Another program still holds the file after `wait` seconds, or the file system refuses locks.
    """
    if not is_on():
        return None
    deadline = time.monotonic() + wait
    while (held := try_lock(descriptor, path, exclusive)) is None:
        if time.monotonic() >= deadline:
            purpose = "written" if exclusive else "read"
            raise LockedError(
                f"{str(path)!r} cannot be {purpose}: it is locked by {_find_holder(path)}. {_REMEDY[exclusive]} If "
                "nothing has it open, a network drive may keep an old lock: set the environment variable "
                "HDF5_USE_FILE_LOCKING=FALSE before Python starts."
            )
        time.sleep(min(POLL, max(deadline - time.monotonic(), 0.0)))
    return held


_REMEDY = {
    True: "Close it there, or pass wait= to wait that many seconds.",
    False: "Close it there; writers are waited for only if they are usidx.",
}


def try_lock(descriptor: int, path: Path, exclusive: bool) -> FileLock | None:
    """Ask once; None where another holds the file."""
    try:
        return _try_flock(descriptor, exclusive) if _fcntl is not None else _try_msvcrt(descriptor, exclusive)
    except OSError as err:
        if err.errno in _REFUSED:
            raise LockedError(
                f"{str(path)!r} cannot be locked: its file system refuses locks ({os.strerror(err.errno)}), as network "
                "drives do. If no other program has the file open, set the environment variable "
                "HDF5_USE_FILE_LOCKING=FALSE before Python starts."
            ) from err
        raise


def _try_flock(descriptor: int, exclusive: bool) -> FileLock | None:
    """Ask for the flock that HDF5 takes, too."""
    try:
        _fcntl.flock(descriptor, (_fcntl.LOCK_EX if exclusive else _fcntl.LOCK_SH) | _fcntl.LOCK_NB)
    except OSError as err:
        if err.errno in _HELD:
            return None
        raise
    return FileLock(descriptor)


def _try_msvcrt(descriptor: int, exclusive: bool) -> FileLock | None:
    """Ask for all the lock bytes, or for any one."""
    first = os.getpid() % _LOCK_SLOTS
    wanted = [(0, _LOCK_SLOTS)] if exclusive else [((first + i) % _LOCK_SLOTS, 1) for i in range(_LOCK_SLOTS)]
    for slot, slots in wanted:
        os.lseek(descriptor, _LOCK_ADDRESS + slot, os.SEEK_SET)
        try:
            _msvcrt.locking(descriptor, _msvcrt.LK_NBLCK, slots)
        except OSError as err:
            if err.errno not in _HELD:
                raise
        else:
            return FileLock(descriptor, slot, slots)
    return None


def _find_holder(path: Path) -> str:
    """Say who most likely has the file, as far as the system tells."""
    key = find_file_key(path)
    if any(name.exists() and find_file_key(name) == key for name in _list_own_files()):
        return "this program itself, which has it open through h5py (or xarray)"
    pids = [pid for pid in _list_flock_pids(path) if pid != os.getpid()]
    if pids:
        return "another program (" + ", ".join(f"process {pid} {name_program(pid)}".rstrip() for pid in pids) + ")"
    return "another program, such as a notebook, a viewer or an acquisition that has it open"


def _list_own_files() -> list[Path]:
    """Name the files that this program has open through h5py."""
    names = []
    for handle in h5py.h5f.get_obj_ids(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_FILE):
        with suppress(ValueError, RuntimeError):  # closed by another thread just now
            names.append(Path(os.fsdecode(handle.name)))
    return names


def _list_flock_pids(path: Path) -> list[int]:
    """Read the processes that hold a flock from Linux's own table; elsewhere none are known."""
    try:
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return []
    device, inode = find_file_key(path)
    wanted = f"{os.major(device):02x}:{os.minor(device):02x}:{inode}"
    rows = [line.split() for line in lines]
    return [int(row[4]) for row in rows if len(row) > 5 and row[1] == "FLOCK" and row[5] == wanted and int(row[4]) > 0]


def find_file_key(path: Path) -> tuple[int, int]:
    """Tell a file by device and number, which links to it share."""
    status = path.stat()
    return status.st_dev, status.st_ino


@dataclass(slots=True)
class Claim:
    """The right of this program to write one file; `overwriting` while bytes of the last commit are being changed."""

    path: Path
    thread: int = field(default_factory=threading.get_ident)
    readers: list[int] = field(default_factory=list)
    overwriting: bool = False
    is_waiting: bool = False

    def try_overwrite(self) -> bool:
        """Shut readers of this program out unless one is reading; return whether the file may be overwritten."""
        with _changed:
            self.overwriting = self.overwriting or not self.readers
            return self.overwriting

    def overwrite(self) -> None:
        """Wait for the readers of this program, then shut them out."""
        with _changed:
            if threading.get_ident() in self.readers:
                raise LockedError(f"{str(self.path)!r} cannot be committed while the same thread still reads it.")
            self.is_waiting = True
            try:
                _wait_until(lambda: not self.readers, PATIENCE, f"{str(self.path)!r} is still read by another thread.")
            finally:
                self.is_waiting = False
            self.overwriting = True

    def admit_readers(self) -> None:
        """Let readers in again: the file holds one whole commit."""
        with _changed:
            self.overwriting = False
            _changed.notify_all()


_claims: dict[tuple[int, int], Claim] = {}
#: Who waits for a claim, in the order of their coming.
_lines: dict[tuple[int, int], list[object]] = {}
_changed = threading.Condition()


def _forget_after_fork() -> None:
    """Forget, in a child, what only its parent writes, and the lock that a thread of the parent may have held."""
    global _changed
    _claims.clear()
    _lines.clear()
    _changed = threading.Condition()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)


def _wait_until(condition: Callable[[], bool], seconds: float, message: str) -> None:
    """Wait, with the table of claims held, or raise."""
    if not _changed.wait_for(condition, seconds):
        raise LockedError(message)


def _wait_in_line(key: tuple[int, int], seconds: float, message: str) -> None:
    """Wait, with the table of claims held, until nobody has one file who came earlier."""
    place, line = object(), _lines.setdefault(key, [])
    line.append(place)
    try:
        _wait_until(lambda: key not in _claims and line[0] is place, seconds, message)
    finally:
        line.remove(place)
        if not line:
            _lines.pop(key, None)
        _changed.notify_all()


@contextmanager
def claim_file(path: Path, *, wait: float = 0.0) -> Iterator[Claim]:
    """Claim a file for one writer in this program while the block runs.

    Raises
    ------
    LockedError
        The file is being written already: by this thread (nested use), or by another one for `wait` seconds.
    """
    key = find_file_key(path)
    with _changed:
        held = _claims.get(key)
        if held is not None and held.thread == threading.get_ident():
            raise LockedError(
                f"{str(path)!r} is being written already: transactions on one file do not nest. Use the one that is "
                "open (hand its 'file' on), or leave it first."
            )
        _wait_in_line(key, wait, f"{str(path)!r} is being written by another thread; pass wait=.")
        claim = _claims[key] = Claim(path)
    try:
        yield claim
    finally:
        with _changed:
            _claims.pop(key, None)  # gone in a fork
            _changed.notify_all()


@contextmanager
def hold_for_reading(path: Path) -> Iterator[bool]:
    """Read a file while the block runs; gives True where this program is writing it, so that no lock is to be had.

    Raises
    ------
    LockedError
        The transaction of this program has begun to overwrite the file and does not finish.
    """
    key = find_file_key(path)
    thread = threading.get_ident()
    with _changed:
        claim = _claims.get(key)
        if claim is not None:
            patience = 0.0 if claim.thread == thread else PATIENCE
            message = f"{str(path)!r} is being overwritten by a transaction of this program; read it after the commit."
            if thread not in claim.readers:
                _changed.wait_for(lambda: not claim.is_waiting, min(COURTESY, patience))
            _wait_until(lambda: not claim.overwriting, patience, message)
            claim.readers.append(thread)
    try:
        yield claim is not None
    finally:
        if claim is not None:
            with _changed:
                claim.readers.remove(thread)
                _changed.notify_all()
