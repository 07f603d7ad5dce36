"""An interrupted write -> undone; a path -> an HDF5 file that is read at one commit.

The order in which a reader looks is written down in `usidx.write.transaction`.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import h5py

from usidx.disk.journal import Recovery, journal_path, restore
from usidx.disk.lock import is_on, opened, reading
from usidx.disk.raw import RawFile
from usidx.errors import LockedError, RecoveryError, UsidWarning

__all__ = ["needs_recovery", "recover", "shared", "undo"]


def needs_recovery(path: str | os.PathLike[str]) -> bool:
    """Tell whether a journal lies beside a file: its last write was interrupted, or is going on."""
    return journal_path(Path(os.path.realpath(path))).exists()


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
    LockedError
        Another program is writing the file: it needs no recovery.
    RecoveryError
        Another program changed or replaced the file since, or it cannot be written.
    """
    target = Path(os.path.realpath(path))
    if not needs_recovery(target):
        return Recovery()
    if lock and not is_on():
        raise _uncertain(target)
    try:
        with opened(target, wait=wait, lock=lock) as file:
            journal = journal_path(target)
            return restore(file, journal) if journal.exists() else Recovery()
    except PermissionError as err:
        raise RecoveryError(
            f"{str(target)!r} holds a write that was interrupted, and undoing it takes the right to write the file and "
            "its folder. Recover it from an account that has it, or work on a copy of the file and its journal."
        ) from err


def undo(target: RawFile, lock: bool) -> None:
    """Undo an interrupted write in a file whose lock is held, and say so."""
    if not (lock and is_on()):
        raise _uncertain(target.path)
    _warn(target.path, restore(target, journal_path(target.path)))


def _warn(path: Path, done: Recovery) -> None:
    if done.needed:
        warnings.warn(f"{str(path)!r}: {done}", UsidWarning, stacklevel=5)


def _uncertain(path: Path) -> LockedError:
    return LockedError(
        f"{str(path)!r} has an undo journal: it is being written, or a write was interrupted, and without locks nobody "
        "can tell which. If no other program has it open, undo it with recover(path, lock=False)."
    )


@contextmanager
def shared(path: str | os.PathLike[str], *, wait: float = 0.0, lock: bool = True) -> Iterator[h5py.File]:
    """Read an HDF5 file at one commit, with other readers, while nobody else writes it.

    Where this program itself is writing the file, its last commit is read beside the transaction.

    Parameters
    ----------
    path : path-like
        The file.
    wait : float
        Seconds to wait while another program writes the file.
    lock : bool
        Take HDF5's own lock on the file; see `transaction`.

    Yields
    ------
    h5py.File
        Open for reading.

    Raises
    ------
    LockedError
        Another program is writing the file.
    RecoveryError
        A write was interrupted, and cannot be undone.
    """
    target = Path(os.path.realpath(path))
    with ExitStack() as stack:
        if stack.enter_context(reading(target)):
            yield stack.enter_context(h5py.File(target, "r", locking=False))
            return
        while True:
            held = stack.enter_context(ExitStack())
            held.enter_context(opened(target, write=False, wait=wait, lock=lock))
            if not needs_recovery(target):
                break
            held.close()
            if not (lock and is_on()):
                raise _uncertain(target)
            _warn(target, recover(target, wait=wait))
        yield stack.enter_context(h5py.File(target, "r", locking=None if lock else False))
