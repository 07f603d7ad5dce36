"""A file that many want -> writers who wait stand in line, and readers let them pass.

A lock alone is not fair: while eight programs read in turns it is never free for one that writes, and of two that write
the one that has it takes it again before the other asks. So who waits to write makes a file beside it and holds its
lock: the next writer waits for that first, and readers hold back while it is held, but never for long, because a writer
may wait for the very one who asks to read once more.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from usidx.errors import UsidError
from usidx.io.disk.companions import find_line_path
from usidx.io.disk.lock import COURTESY, POLL, FileLock, acquire, try_lock
from usidx.io.disk.raw import RawFile, remove_open

__all__ = ["acquire_in_turn", "give_way"]


def acquire_in_turn(file: RawFile, wait: float) -> FileLock | None:
    """Lock a file for writing, after those who have waited for it longer.

    Raises
    ------
    LockedError
        As `acquire`.
    """
    if wait <= 0:
        return acquire(file.fileno(), file.path)
    if not os.path.lexists(find_line_path(file.path)):
        held = try_lock(file.fileno(), file.path, exclusive=True)
        if held is not None:
            return held
    deadline = time.monotonic() + wait
    with _standing_in_line(file, deadline):
        return acquire(file.fileno(), file.path, wait=max(deadline - time.monotonic(), 0.0))


@contextmanager
def _standing_in_line(file: RawFile, deadline: float) -> Iterator[None]:
    """Be the next while the block runs; without that where no file can be made for it, or `deadline` has passed."""
    path = find_line_path(file.path)
    found = _step_forward(path, file, deadline)
    try:
        yield
    finally:
        if found is not None:
            line, lock = found
            with suppress(OSError):  # on Windows a name stays while another waits
                remove_open(path, line.close)
            if line.fileno() >= 0:
                lock.release()
                line.close()


def _step_forward(path: Path, like: RawFile, deadline: float) -> tuple[RawFile, FileLock] | None:
    """Get the lock of the line's file, which goes away with each who had it."""
    while (line := _open_line(path, like)) is not None:
        while (lock := try_lock(line.fileno(), path, exclusive=True)) is None and time.monotonic() < deadline:
            time.sleep(POLL)
        if lock is None:
            break
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(line.fileno()), path.lstat()):
                return line, lock
        line.close()
    if line is not None:
        line.close()
    return None


def _open_line(path: Path, like: RawFile) -> RawFile | None:
    """Make or open the line's file; None where the folder, or what lies there, does not allow that."""
    try:
        while True:
            with suppress(FileExistsError):
                return RawFile(path, create=True, like=like)
            with suppress(FileNotFoundError):
                return RawFile(path, follow=False)
    except (OSError, UsidError):
        return None


def give_way(path: Path) -> None:
    """Wait a little while somebody waits to write a file."""
    line, deadline = find_line_path(path), time.monotonic() + COURTESY
    while os.path.lexists(line) and _is_somebody_in(line) and time.monotonic() < deadline:
        time.sleep(POLL)


def _is_somebody_in(path: Path) -> bool:
    """Say whether the line's file is locked; one that a kill left is not."""
    try:
        line = RawFile(path, write=False, follow=False)
    except (OSError, UsidError):
        return False
    try:
        lock = try_lock(line.fileno(), path, exclusive=False)
        if lock is not None:
            lock.release()
        return lock is None
    except OSError:
        return False
    finally:
        line.close()
