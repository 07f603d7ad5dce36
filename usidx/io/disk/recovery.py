"""An interrupted write -> undone; a path -> an HDF5 file that is read at one commit.

The order in which a reader looks is written down in `usidx.io.write.transaction`.
"""

from __future__ import annotations

import errno
import os
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import h5py

from usidx.errors import LockedError, MissingFileError, RecoveryError, UsidError, UsidWarning
from usidx.io.disk.companions import find_journal_path
from usidx.io.disk.journal import is_quiet
from usidx.io.disk.line import give_way
from usidx.io.disk.lock import PATIENCE, POLL, hold_for_reading, is_on, try_lock
from usidx.io.disk.opening import open_locked
from usidx.io.disk.raw import RawFile
from usidx.io.disk.restore import Recovery, is_readable, restore

__all__ = ["needs_recovery", "open_shared", "recover", "undo"]

_UNWRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS}
# Without a journal it is no transaction that holds a lock, unless it began in this moment.
_SHORT_PATIENCE = 1.0


def needs_recovery(path: str | os.PathLike[str]) -> bool:
    """Tell whether a journal lies beside a file: its last write was interrupted, or is going on."""
    return os.path.lexists(find_journal_path(Path(os.path.realpath(path))))


def recover(path: str | os.PathLike[str], *, wait: float = 0.0, lock: bool = True) -> Recovery:
    """Undo a write that was interrupted, so that the file is, byte for byte, as at its last commit.

    Parameters
    ----------
    path : path-like
        The file.
    wait : float
        Seconds to wait while another program holds the file.
    lock : bool
        Make sure by its lock that nobody is writing the file. Pass False only where there are no locks.

    Returns
    -------
    Recovery
        What was done; its text is a sentence.

    Raises
    ------
    MissingFileError
        There is no such file.
    LockedError
        Another program is writing the file: it needs no recovery.
    RecoveryError
        Another program changed or replaced the file since, its journal is damaged, or it cannot be written.
    """
    target = Path(os.path.realpath(path))
    if not target.exists():
        raise MissingFileError(f"There is no file {str(target)!r}.")
    if not needs_recovery(target):
        return Recovery()
    if lock and not is_on():
        raise _make_uncertain_error(target)
    try:
        with open_locked(target, wait=wait, lock=lock) as file:
            return restore(file, find_journal_path(target)) if needs_recovery(target) else Recovery()
    except OSError as err:
        if err.errno not in _UNWRITABLE or isinstance(err, UsidError):
            raise
        raise RecoveryError(
            f"{str(target)!r} holds a write that was interrupted, and undoing it takes the right to write the file and "
            "its folder. Recover it from an account that has it, or work on a copy of the file and its journal."
        ) from err


def undo(target: RawFile, lock: bool) -> None:
    """Undo an interrupted write in a file whose lock is held, and say so."""
    if not (lock and is_on()):
        raise _make_uncertain_error(target.path)
    _warn(target.path, restore(target, find_journal_path(target.path)))


def _warn(path: Path, done: Recovery) -> None:
    if done.needed:
        warnings.warn(f"{str(path)!r}: {done}", UsidWarning, stacklevel=5)


def _make_uncertain_error(path: Path) -> LockedError:
    return LockedError(
        f"{str(path)!r} has an undo journal: it is being written, or a write was interrupted, and without locks nobody "
        "can tell which. If no other program has it open, undo it with usidx.recover(path, lock=False), or in "
        "the shell with: usidx recover --no-lock FILE"
    )


@contextmanager
def open_shared(path: str | os.PathLike[str], *, wait: float = 0.0, lock: bool = True) -> Iterator[h5py.File]:
    """Read an HDF5 file at one commit, with other readers, while nobody else writes it.

    Where a transaction is writing the file, in this program or another, its last commit is read beside it.

    Parameters
    ----------
    path : path-like
        The file.
    wait : float
        Seconds to wait while another program has the file locked. A commit is waited for in any case.
    lock : bool
        Take HDF5's own lock on the file; see `transaction`.

    Yields
    ------
    h5py.File
        Open for reading.

    Raises
    ------
    LockedError
        Another program that is not usidx is writing the file.
    RecoveryError
        A write was interrupted, and cannot be undone.
    """
    target = Path(os.path.realpath(path))
    with ExitStack() as stack:
        is_ours = stack.enter_context(hold_for_reading(target))
        is_held = not is_ours and _hold(target, stack.enter_context(ExitStack()), wait, lock)
        yield stack.enter_context(_open(target, is_held and lock))


def _open(target: Path, locking: bool) -> h5py.File:
    """Open a file whose lock is held already, or cannot be had."""
    try:
        return h5py.File(target, "r", locking=None if locking else False)
    except OSError as err:
        # HDF5 opens one file twice only if it locks it both times or never; another thread has it open the other way.
        if "flag values" not in str(err):
            raise
        return h5py.File(target, "r", locking=False if locking else None)


def _hold(target: Path, held: ExitStack, wait: float, lock: bool) -> bool:
    """Make sure that the file stays as it is: by its lock, or, where this returns False, beside a transaction."""
    if lock and is_on():
        give_way(target)
    begun = alone_since = time.monotonic()
    while True:
        try:
            held.enter_context(open_locked(target, write=False, lock=lock))
        except LockedError:
            if _stand_beside(target, held):
                return False
            now = time.monotonic()
            if needs_recovery(target) or _is_worker():
                alone_since = now
            if now - begun > max(wait, PATIENCE) or now - alone_since > max(wait, _SHORT_PATIENCE):
                raise
            time.sleep(POLL)
            continue
        if not needs_recovery(target):
            return True
        held.close()
        if not (lock and is_on()):
            # Written or interrupted: as long as nothing is overwritten, that makes no difference.
            if _stand_beside(target, held):
                return False
            raise _make_uncertain_error(target)
        try:
            _warn(target, recover(target, wait=wait))
        except (LockedError, RecoveryError):
            if _stand_beside(target, held):
                return False
            if _is_whole(target, held):
                return True
            raise


def _is_worker() -> bool:
    """Say whether this is a task of a cluster: on network drives a journal that another machine made shows up late."""
    distributed = sys.modules.get("distributed")
    try:
        return distributed is not None and distributed.get_worker() is not None
    except ValueError:
        return False


def _stand_beside(target: Path, held: ExitStack) -> bool:
    """Share the lock of a journal that says that nothing was overwritten so far; nothing will be while it is shared."""
    path = find_journal_path(target)
    try:
        journal = RawFile(path, write=False, follow=False)
    except (OSError, UsidError):  # not there, or no journal
        return False
    held.callback(journal.close)
    lock = try_lock(journal.fileno(), path, exclusive=False) if is_on() else None
    if lock is not None:
        held.callback(lock.release)
    if (lock is not None or not is_on()) and _is_quiet(journal):
        if lock is None:
            held.callback(_confirm, target, journal)
        return True
    held.close()
    return False


def _is_whole(target: Path, held: ExitStack) -> bool:
    """Share the lock of a file on a medium that must not be written, if it holds a whole commit beside its journal."""
    try:
        file = held.enter_context(open_locked(target, write=False))
        if is_readable(file, find_journal_path(target)):
            return True
    except OSError:  # locked, or a journal that cannot be trusted, too
        pass
    held.close()
    return False


def _is_quiet(journal: RawFile) -> bool:
    try:
        return os.path.samestat(os.fstat(journal.fileno()), journal.path.stat()) and is_quiet(journal.measure())
    except FileNotFoundError:
        return False


def _confirm(target: Path, journal: RawFile) -> None:
    """Raise where, without locks, a commit came in between."""
    if not _is_quiet(journal):
        raise LockedError(f"{str(target)!r} was changed by another program while it was read; read it again.")
