"""A path -> the open file with its lock held, for one writer or for readers side by side."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from usidx.errors import LockedError
from usidx.io.disk.line import acquire_in_turn
from usidx.io.disk.lock import acquire
from usidx.io.disk.raw import RawFile
from usidx.io.disk.writers import refuse_mark, refuse_writers_without_lock

__all__ = ["open_locked"]


@contextmanager
def open_locked(
    path: Path, *, create: bool = False, write: bool = True, wait: float = 0.0, lock: bool = True
) -> Iterator[RawFile]:
    """Open a file and hold its lock while the block runs: exclusively to write, shared to read.

    Raises
    ------
    LockedError
        As `acquire`; or another program writes the file without a lock; or the name went over to other files while the
        lock was waited for.
    """
    with ExitStack() as stack:
        if create or not write:
            file = _open(stack, path, create=create, write=create)
            _hold(stack, file, exclusive=create, wait=wait, lock=lock)
        else:
            file = _open_to_write(stack, path, wait=wait, lock=lock)
        yield file


def _open_to_write(stack: ExitStack, path: Path, *, wait: float, lock: bool) -> RawFile:
    """Lock a file before it is opened for writing, so that who waits for it is not taken for one who writes it."""
    gate = _open(stack, path, write=os.name == "nt")
    try:
        _hold(stack, gate, exclusive=True, wait=wait, lock=lock)
    except OSError as err:
        if err.errno != errno.EBADF:
            raise
        # Network drives give that lock only to who can write, and other machines' programs cannot be seen.
        file = _open(stack, path)
        _hold(stack, file, exclusive=True, wait=wait, lock=lock)
    else:
        refuse_writers_without_lock(gate, wait)
        file = gate if os.name == "nt" else _open(stack, path)
        _check_name(path, file)
    refuse_mark(file)
    return file


def _open(stack: ExitStack, path: Path, *, create: bool = False, write: bool = True) -> RawFile:
    file = RawFile(path, create=create, write=write)
    stack.callback(file.close)
    return file


def _hold(stack: ExitStack, file: RawFile, *, exclusive: bool, wait: float, lock: bool) -> None:
    if lock:
        held = (
            acquire_in_turn(file, wait) if exclusive else acquire(file.fileno(), file.path, exclusive=False, wait=wait)
        )
        if held is not None:
            stack.callback(held.release)
    _check_name(file.path, file)


def _check_name(path: Path, file: RawFile) -> None:
    try:
        is_still = os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        is_still = False
    if not is_still:
        raise LockedError(
            f"{str(path)!r} was replaced or taken away by another program while it was being locked; try again."
        )
