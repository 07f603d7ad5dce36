"""A path -> bytes at addresses: read, written, cut and synced; what differs between platforms is chosen here."""

from __future__ import annotations

import importlib
import os
import stat
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from usidx.errors import UsidError

__all__ = [
    "RawFile",
    "import_if_there",
    "link",
    "list_writable",
    "name_kind",
    "remove",
    "remove_open",
    "rename",
    "sync_folder",
]

#: One system call moves at most this many bytes: macOS refuses 2 GiB, Linux stops just short of it.
_CALL = 1 << 30


def import_if_there(name: str) -> Any:
    """Return a module that only some platforms have, or None."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


_fcntl: Any = import_if_there("fcntl")


#: What a forked child must not seem to write, nor write.
_writable: weakref.WeakSet[RawFile] = weakref.WeakSet()


class RawFile:
    """An open file without buffers or a position of its own, safe to use from several threads.

    Parameters
    ----------
    path : Path
        The file; what is no regular file, such as a pipe or a folder, is a UsidError and never waited for.
    create : bool
        Make a new file; one that exists is a FileExistsError.
    write : bool
        Open for reading and writing, else for reading only.
    like : RawFile, optional
        Of a new file: nobody may read or write it who may not do so with this one.
    follow : bool
        Go where a symbolic link leads; else a link is an OSError.
    """

    def __init__(
        self,
        path: Path,
        *,
        create: bool = False,
        write: bool = True,
        like: RawFile | None = None,
        follow: bool = True,
    ) -> None:
        flags = os.O_RDWR if write else os.O_RDONLY
        if create:
            flags |= os.O_CREAT | os.O_EXCL
        if not follow:
            flags |= getattr(os, "O_NOFOLLOW", 0)
        self.path = path
        # Windows turns line ends round in files that are not opened as binary; opening a pipe waits for its other end.
        flags |= getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
        self._descriptor = os.open(path, flags, 0o666 if like is None else 0o600)
        self._seeking = threading.Lock()
        if write:
            _writable.add(self)
        try:
            kind = name_kind(os.fstat(self._descriptor).st_mode)
            if kind is not None:
                raise UsidError(f"{str(path)!r} is {kind}, and no file that could be read or written.")
            if like is not None:
                self._take_rights(os.fstat(like.fileno()))
        except BaseException:
            self.close()
            raise

    def _take_rights(self, other: os.stat_result) -> None:
        """Give others the rights that they have on another file, as far as they are the same others."""
        if not hasattr(os, "fchown"):
            return  # Windows: a file has the rights of its folder
        if os.fstat(self._descriptor).st_gid != other.st_gid:
            with suppress(PermissionError):
                os.fchown(self._descriptor, -1, other.st_gid)
        rights = stat.S_IMODE(other.st_mode) & 0o066
        if os.fstat(self._descriptor).st_gid != other.st_gid:
            rights &= 0o006
        os.fchmod(self._descriptor, 0o600 | rights)

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor

    def measure(self) -> int:
        """Return the length in bytes."""
        return os.fstat(self._descriptor).st_size

    def read(self, address: int, length: int) -> bytes:
        """Return bytes; zeros behind the end of the file."""
        data = bytearray(length)
        self.read_into(address, memoryview(data))
        return bytes(data)

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


def list_writable() -> set[int]:
    """Return the descriptors over which this program writes through usidx."""
    return {file.fileno() for file in list(_writable)}


def _give_up_writing() -> None:
    """Let a child that was forked only read on; as long as it lives, others would take it for a second writer."""
    for file in list(_writable):
        with suppress(OSError):
            again = os.open(f"/proc/self/fd/{file.fileno()}", os.O_RDONLY)
            os.dup2(again, file.fileno(), inheritable=False)
            os.close(again)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_give_up_writing)


_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
)


def name_kind(mode: int) -> str | None:
    """Say what something is by its `st_mode`; None for a regular file."""
    if stat.S_ISREG(mode):
        return None
    return next((name for test, name in _KINDS if test(mode)), "a device")


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
