"""A path -> bytes at addresses: read, written, cut and synced; what differs between platforms is chosen here."""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["RawFile", "import_if_there", "link", "remove", "remove_open", "rename", "sync_folder"]

#: One system call moves at most this many bytes: macOS refuses 2 GiB, Linux stops just short of it.
_CALL = 1 << 30


def import_if_there(name: str) -> Any:
    """Return a module that only some platforms have, or None."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


_fcntl: Any = import_if_there("fcntl")


class RawFile:
    """An open file without buffers or a position of its own, safe to use from several threads.

    Parameters
    ----------
    path : Path
        The file.
    create : bool
        Make a new file; one that exists is a FileExistsError.
    write : bool
        Open for reading and writing, else for reading only.
    """

    def __init__(self, path: Path, *, create: bool = False, write: bool = True) -> None:
        flags = os.O_RDWR if write else os.O_RDONLY
        if create:
            flags |= os.O_CREAT | os.O_EXCL
        self.path = path
        # Windows turns line ends round in files that are not opened as binary.
        self._descriptor = os.open(path, flags | getattr(os, "O_BINARY", 0), 0o666)
        self._seeking = threading.Lock()

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor

    def measure(self) -> int:
        """Return the length in bytes."""
        return os.fstat(self._descriptor).st_size

    def read_into(self, address: int, buffer: memoryview) -> int:
        """Fill `buffer` from `address` on; return how many bytes there were before the end of the file."""
        done = 0
        while done < len(buffer):
            count = self._read_once(address + done, buffer[done : done + _CALL])
            if count == 0:
                break
            done += count
        return done

    def write_at(self, address: int, data: memoryview) -> None:
        """Write all of `data` at `address`."""
        done = 0
        while done < len(data):
            done += self._write_once(address + done, data[done : done + _CALL])

    def truncate(self, size: int) -> None:
        """Cut the file, or extend it with zeros, to `size` bytes."""
        os.ftruncate(self._descriptor, size)

    def sync(self) -> None:
        """Return once all that was written is on the disk itself."""
        full = getattr(_fcntl, "F_FULLFSYNC", None)
        if full is None:
            os.fsync(self._descriptor)
        else:  # On macOS fsync stops at the drive's own cache.
            _fcntl.fcntl(self._descriptor, full)

    def close(self) -> None:
        """Close the descriptor; a second call does nothing."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def _read_once(self, address: int, buffer: memoryview) -> int:
        if hasattr(os, "preadv"):
            return os.preadv(self._descriptor, [buffer], address)
        with self._seeking:
            os.lseek(self._descriptor, address, os.SEEK_SET)
            data = os.read(self._descriptor, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _write_once(self, address: int, data: memoryview) -> int:
        if hasattr(os, "pwrite"):
            return os.pwrite(self._descriptor, data, address)
        with self._seeking:
            os.lseek(self._descriptor, address, os.SEEK_SET)
            return os.write(self._descriptor, data)


def remove(path: Path) -> None:
    """Take a name out of its folder; a name that is not there is no error."""
    path.unlink(missing_ok=True)


def remove_open(path: Path, close: Callable[[], None]) -> None:
    """Take away the name of an open file; Windows does that only after `close`, which is called there."""
    try:
        remove(path)
    except PermissionError:
        close()
        remove(path)


def link(path: Path, name: Path) -> bool:
    """Give a file a second name, which must be free; return False where the file system has no links."""
    try:
        os.link(path, name)
    except FileExistsError:
        raise
    except OSError:
        return False
    return True


def rename(path: Path, name: Path) -> None:
    """Give a file another name, which must be free."""
    if name.exists():
        raise FileExistsError(name)
    os.replace(path, name)


def sync_folder(folder: Path) -> None:
    """Return once the names in `folder` are on the disk; Windows keeps them in order by itself and has no such call."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
