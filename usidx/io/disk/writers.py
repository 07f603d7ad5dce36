"""An open file whose lock is held -> an error where another program writes it all the same, without a lock.

A program that lets others read beside it (SWMR) gives its lock away, and where ``HDF5_USE_FILE_LOCKING=FALSE`` is set
there never was one. Two writers destroy a file, so such a program is looked for in two ways: newer superblocks say that
a program has the file open for writing, and Linux says which programs have.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from usidx.errors import LockedError
from usidx.io.disk.raw import RawFile, import_if_there, list_writable
from usidx.io.disk.superblock import find_superblock

__all__ = ["name_program", "refuse_mark", "refuse_writers_without_lock"]

_fcntl: Any = import_if_there("fcntl")

#: Who opens a file to find it locked has it open for a moment.
_MOMENT, _POLL = 0.5, 0.02
_PROCESSES = Path("/proc")
_WRITABLE = os.O_WRONLY | os.O_RDWR


def refuse_writers_without_lock(file: RawFile, wait: float = 0.0) -> None:
    """Raise if another program has a file open for writing, where the system says so.

    Parameters
    ----------
    file : RawFile
        The file, open for reading, so that it is not found to be a writer itself.
    wait : float
        Seconds to wait for that program.

    Raises
    ------
    LockedError
        There is such a program.
    """
    deadline = time.monotonic() + max(wait, _MOMENT)
    while (found := _find_writer(file)) is not None:
        if time.monotonic() >= deadline:
            raise LockedError(f"{str(file.path)!r} cannot be written: {found}")
        time.sleep(_POLL)


def refuse_mark(file: RawFile) -> None:
    """Raise if a file says that a program writes it, or ended without closing it.

    Raises
    ------
    LockedError
        It says so.
    """
    superblock = find_superblock(file)
    if superblock is not None and superblock.is_flagged:
        raise LockedError(
            f"{str(file.path)!r} cannot be written: it says of itself that a program has it open for writing, as one "
            "does that lets others read beside it (SWMR). Close it there. If that program has ended without closing "
            "it, copy the file and take the mark off by HDF5's own tool: h5clear -s FILE"
        )


def _find_writer(file: RawFile) -> str | None:
    if _is_open_nowhere(file.fileno()):
        return None
    for process in _find_processes(os.fstat(file.fileno())):
        if process == os.getpid():
            return "this program itself has it open for writing, through h5py without a lock. Close it first."
        return (
            f"another program (process {process} {name_program(process)}".rstrip()
            + ") has it open for writing, without a lock. Close it there."
        )
    return None


def _is_open_nowhere(descriptor: int) -> bool:
    """Ask Linux whether nobody has a file open for writing: only then it grants a lease to read, if it can at all."""
    if not hasattr(_fcntl, "F_SETLEASE"):
        return False
    try:
        # Who opens the file in this very moment waits for the lease to end, and a signal tells of that: one that is
        # ignored unless somebody asked for it.
        _fcntl.fcntl(descriptor, _fcntl.F_SETSIG, signal.SIGURG)
        _fcntl.fcntl(descriptor, _fcntl.F_SETLEASE, _fcntl.F_RDLCK)
        _fcntl.fcntl(descriptor, _fcntl.F_SETLEASE, _fcntl.F_UNLCK)
    except OSError:
        return False
    return True


def _find_processes(file: os.stat_result) -> Iterator[int]:
    """Find the processes that have a file open for writing, as far as Linux lets this user see them."""
    for folder in _PROCESSES.glob("[0-9]*/fd"):
        try:
            descriptors = list(os.scandir(folder))
        except OSError:
            continue  # ended, or of another user
        # Of usidx itself only one writes a file at a time (`usidx.io.disk.lock.claim_file`).
        own = list_writable() if folder.parent.name == str(os.getpid()) else set()
        others = (entry for entry in descriptors if int(entry.name) not in own)
        if any(_is_writing(folder.parent / "fdinfo" / entry.name, entry, file) for entry in others):
            yield int(folder.parent.name)


def _is_writing(info: Path, descriptor: os.DirEntry[str], file: os.stat_result) -> bool:
    try:
        if not os.path.samestat(descriptor.stat(), file):
            return False
        flags = next(line for line in info.read_text().splitlines() if line.startswith("flags:"))
        return bool(int(flags.split()[1], 8) & _WRITABLE)
    except (OSError, StopIteration):
        return False


def name_program(process: int) -> str:
    """Name a process, if it may be asked."""
    try:
        return repr(Path(f"/proc/{process}/comm").read_text().strip())
    except OSError:
        return ""
