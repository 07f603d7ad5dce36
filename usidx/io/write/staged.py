"""What HDF5 reads, writes and cuts -> pages that are staged in memory, appended bytes, and one change of the file.

`StagedFile` is the file object that h5py is given. Bytes behind the end that the file had at the last commit go
straight to the disk; bytes before it are staged in memory, so that until the commit the file on the disk still holds
the last commit and a tail. `settle` then saves the old bytes of all staged pages to the undo journal, and the new ones,
and overwrites them; the page with the superblock of HDF5 last, because through it other programs find the tail. Only
where more than `SPILL` bytes are staged does that happen earlier, to all pages but that one.

**Nothing may be raised into HDF5**: the library goes on after a failed write, asks again from destructors, and crashes
on the exceptions that pile up. So the first failure is kept in `failure`, and from then on whatever HDF5 writes is kept
in memory, as far as it needs it to close in order, and forgotten.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from threading import RLock
from typing import Any

from usidx.errors import LockedError
from usidx.io.disk.interrupt import interrupt_again, shield_from_interrupts
from usidx.io.disk.journal import DONE, PAGE, UNDO, Journal, find_journal_path
from usidx.io.disk.lock import PATIENCE
from usidx.io.disk.raw import RawFile
from usidx.io.disk.restore import Recovery, put_back

__all__ = ["SPILL", "StagedFile"]

#: Bytes staged in memory before they are journaled and written ahead of the commit.
SPILL = 64 << 20

_RUN = 256
# How long readers of other programs are waited for where they need not be, in seconds.
_AHEAD = 1.0
_NOWHERE = 1 << 62
#: After a failure: larger writes are raw data, which HDF5 never needs back to close, and forgotten at once.
_FORGET_LARGE = 64 << 10
_FORGET_ALL = 256 << 20


class StagedFile:
    """A file object for h5py over which a file changes whole or not at all.

    Parameters
    ----------
    disk : RawFile
        The file, open for writing, with its lock held.
    journaled : bool
        Protect what the file holds now; not needed for a new file that nobody knows yet.
    may_overwrite : callable
        Asked before staged pages are written ahead of the commit.
    lock : bool
        Readers of other programs lock the journal; wait for them before anything is overwritten.
    """

    def __init__(
        self,
        disk: RawFile,
        *,
        journaled: bool,
        may_overwrite: Callable[[], bool] = lambda: True,
        lock: bool = True,
    ) -> None:
        self._disk = disk
        self._journaled = journaled
        self._lock = lock
        self._may_overwrite = may_overwrite
        self._process = os.getpid()
        self._growing = RLock()
        self.failure: BaseException | None = None
        self._restart()

    def _restart(self) -> None:
        """Take what the file holds now as the commit to protect."""
        self._base = self._disk.measure() if self._journaled else 0
        self._size = self._disk.measure()
        self._limit = self._base
        self._position = 0
        self._journal: Journal | None = None
        self._pages: dict[int, bytearray] = {}
        self._saved: set[int] = set()

    def __repr__(self) -> str:
        # h5py takes this for the name of the file.
        return str(self._disk.path)

    # -- what h5py calls ------------------------------------------------------------------------------------------

    @shield_from_interrupts
    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move; from the start or, as h5py asks for the size, from the end."""
        self._position = offset + (self._size if whence == os.SEEK_END else 0)
        return self._position

    @shield_from_interrupts
    def tell(self) -> int:
        """Return the position."""
        return self._position

    @shield_from_interrupts
    def read(self, size: int) -> bytes:
        """Return `size` bytes; h5py knows a file object by this method, and calls the next one."""
        data = bytearray(size)
        self.readinto(data)
        return bytes(data)

    @shield_from_interrupts
    def readinto(self, buffer: Any) -> int:
        """Fill `buffer`, with zeros behind the end."""
        view = memoryview(buffer)
        try:
            self._read(self._position, view)
        except BaseException as err:
            self._fail(err)
            view[:] = bytes(len(view))
        return len(view)

    @shield_from_interrupts
    def write(self, data: Any) -> int:
        """Stage or append `data`."""
        view = memoryview(data)
        try:
            self._write(self._position, view)
        except BaseException as err:
            self._fail(err)
            self._forget(self._position, view)
        return len(view)

    @shield_from_interrupts
    def truncate(self, size: int) -> int:
        """Cut or extend the file."""
        try:
            self._truncate(size)
        except BaseException as err:
            self._fail(err)
            self._size = size
        return size

    @shield_from_interrupts
    def flush(self) -> None:
        """Do nothing: what HDF5 has written so far is no commit."""

    # -- what a transaction calls ---------------------------------------------------------------------------------

    @shield_from_interrupts
    def begin(self) -> None:
        """Make the journal before anything changes, so that other programs can tell this write from any other lock."""
        if self._journaled:
            self._begin()

    @shield_from_interrupts
    def commit(self, *, begin: bool = False) -> None:
        """Make what was written the content of the file, durably; the file is then ready for the next change.

        With `begin` that change has begun: readers of other programs find one journal or the next.
        """
        if os.getpid() != self._process:
            raise InterruptedError("the process was forked while it wrote; only the parent may commit")
        self.settle()
        if self._size < self._base:
            self._wait_for_readers(self._begin())
            self._disk.truncate(self._size)
        if self._journal is not None or not self._journaled:
            self._disk.sync()
        if self._journal is not None:
            self._journal.mark(DONE)
            self._journal.drop(sync=not begin)
        self._restart()
        if begin:
            self.begin()

    def is_new(self, address: int) -> bool:
        """Whether what lies there is behind the last commit, so that it may be written at once and by several threads.

        HDF5 has to have allocated it, and must not write there itself.
        """
        return address >= self._limit

    @shield_from_interrupts
    def write_new(self, address: int, data: Any) -> None:
        """Write past HDF5 what is new; a failure is kept as those of HDF5's own writes are."""
        if self.failure is not None:
            return
        try:
            if self._journaled:
                self._begin()
            view = memoryview(data).cast("B")
            self._disk.write_at(address, view)
            with self._growing:
                self._size = max(self._size, address + len(view))
        except BaseException as err:
            self._fail(err)

    def give_up(self) -> None:
        """Let HDF5 close without anything more reaching the disk."""
        if self.failure is None:
            self._fail(InterruptedError("the transaction was left"))

    @shield_from_interrupts
    def roll_back(self) -> Recovery:
        """Put the file back to the last commit, byte for byte."""
        # A forked child that leaves the block by an exception must not touch the file of its parent.
        if self._journal is None or os.getpid() != self._process:
            return Recovery()
        path = find_journal_path(self._disk.path)
        if not path.exists():
            # The commit has happened, though it may not have been told so.
            self._journal.close()
            return Recovery()
        self._journal.mark(UNDO)
        self._journal.close()
        return put_back(self._disk, path)

    @property
    def is_full(self) -> bool:
        """Whether more is held in memory than should be for long."""
        return len(self._pages) * PAGE > SPILL

    def settle(self, *, ahead: bool = False) -> None:
        """Save the old bytes of the staged pages, sync, and overwrite them; or not yet, if that is ahead of time."""
        changed = [page for page in sorted(self._pages) if self._differs(page)]
        if not changed and (ahead or self._size >= self._base):
            self._pages.clear()
            return
        journal = self._begin()
        head = journal.superblock.address // PAGE
        held = {head: self._pages[head]} if ahead and head in changed else {}
        changed = [page for page in changed if page not in held]
        self._save(journal, changed)
        if ahead and self._lock and not journal.shut_out(_AHEAD):
            return  # somebody reads on; the pages stay in memory
        self._announce(journal, changed, ahead=ahead)
        self._wait_for_readers(journal)
        self._overwrite([page for page in changed if page != head])
        self._overwrite([page for page in changed if page == head])
        self._pages = held

    # -- below ----------------------------------------------------------------------------------------------------

    def _save(self, journal: Journal, changed: Sequence[int]) -> None:
        """Tell the journal what the file held in pages at the last commit, once."""
        fresh = [page for page in changed if page not in self._saved]
        for first, count in _list_runs(fresh):
            journal.save(first * PAGE, min(count * PAGE, self._base - first * PAGE))
        self._saved.update(fresh)

    def _announce(self, journal: Journal, changed: Sequence[int], *, ahead: bool) -> None:
        """Tell the journal what pages are going to hold, and sync it."""
        for first, count in _list_runs(changed):
            journal.announce(first * PAGE, self._join(first, count))
        if not ahead:
            journal.announce_last(self._size)
            # Who finds all pages changed must find all that they lead to.
            self._disk.sync()
        journal.sync()

    def _overwrite(self, pages: Sequence[int]) -> None:
        for first, count in _list_runs(pages):
            self._disk.write_at(first * PAGE, memoryview(self._join(first, count)))

    def _join(self, first: int, count: int) -> bytes:
        return b"".join(self._pages[page] for page in range(first, first + count))

    def _wait_for_readers(self, journal: Journal) -> None:
        if self._lock and not journal.shut_out(PATIENCE):
            raise LockedError(
                f"{str(self._disk.path)!r} cannot be committed: another program has been reading the last commit for "
                f"{PATIENCE:.0f} s, and perhaps is suspended. End it, and write again."
            )

    def _begin(self) -> Journal:
        """Make sure that there is a journal before the file changes."""
        with self._growing:
            if self._journal is None:
                self._journal = Journal(self._disk, find_journal_path(self._disk.path))
            return self._journal

    def _read(self, address: int, buffer: memoryview) -> None:
        count = self._disk.read_into(address, buffer)
        buffer[count:] = bytes(len(buffer) - count)
        if self._pages:
            for page, inside, start, length in _cut_at_pages(address, len(buffer), self._limit):
                staged = self._pages.get(page)
                if staged is not None:
                    buffer[start : start + length] = staged[inside : inside + length]

    def _write(self, address: int, data: memoryview) -> None:
        if self.failure is not None:
            self._forget(address, data)
            return
        below = min(max(self._limit - address, 0), len(data))
        self._stage(address, data[:below])
        if below < len(data):
            if self._journaled:
                self._begin()
            self._disk.write_at(address + below, data[below:])
        with self._growing:
            self._size = max(self._size, address + len(data))
        if self.is_full and self._may_overwrite():
            self.settle(ahead=True)

    def _stage(self, address: int, data: memoryview) -> None:
        for page, inside, start, length in _cut_at_pages(address, len(data), self._limit):
            staged = self._pages.get(page)
            if staged is None:
                staged = self._pages[page] = self._load(page, whole=length == PAGE)
            staged[inside : inside + length] = data[start : start + length]

    def _load(self, page: int, *, whole: bool) -> bytearray:
        """Take a page from the disk, unless all of it is going to be replaced."""
        content = bytearray(min(PAGE, self._limit - page * PAGE))
        if not whole:
            self._disk.read_into(page * PAGE, memoryview(content))
        return content

    def _differs(self, page: int) -> bool:
        return self._load(page, whole=False) != self._pages[page]

    def _truncate(self, size: int) -> None:
        if self.failure is not None or size == self._size:
            self._size = size
            return
        # What is cut off below the last commit must read as zeros should the file grow again.
        zeros = memoryview(bytes(_RUN * PAGE))
        for address in range(size, min(self._size, self._base), len(zeros)):
            self._write(address, zeros[: min(self._size, self._base) - address])
        if max(size, self._base) != self._disk.measure():
            if self._journaled:
                self._begin()
            self._disk.truncate(max(size, self._base))
        self._size = size

    def _fail(self, error: BaseException) -> None:
        """Keep the first failure and let nothing more reach the disk."""
        if isinstance(error, KeyboardInterrupt):
            # It cannot be raised through HDF5: have it raised again a little later.
            interrupt_again()
        if self.failure is None:
            self.failure = error
            self._limit = _NOWHERE
            boundary, inside = divmod(self._base, PAGE)
            if inside and boundary in self._pages:
                staged = self._pages[boundary]
                staged += self._read_tail(PAGE - inside)

    def _read_tail(self, length: int) -> bytes:
        """Read what follows the last commit; zeros where the disk fails."""
        tail = bytearray(length)
        try:
            self._disk.read_into(self._base, memoryview(tail))
        except OSError:
            return bytes(length)
        return bytes(tail)

    def _forget(self, address: int, data: memoryview) -> None:
        """Keep small writes, which may be metadata that HDF5 wants back while it closes; nothing else."""
        if len(data) < _FORGET_LARGE and len(self._pages) * PAGE < _FORGET_ALL:
            try:
                self._stage(address, data)
            except OSError:
                return
        self._size = max(self._size, address + len(data))


def _cut_at_pages(address: int, length: int, limit: int) -> Iterator[tuple[int, int, int, int]]:
    """Cut a range below `limit` at the pages: (page, offset in it, offset in the range, length)."""
    start, end = 0, min(length, limit - address)
    while start < end:
        page, inside = divmod(address + start, PAGE)
        piece = min(PAGE - inside, end - start)
        yield page, inside, start, piece
        start += piece


def _list_runs(pages: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Join neighbouring pages: (first, count), at most `_RUN` at once."""
    first = 0
    for index, (page, following) in enumerate(pairwise([*pages, _NOWHERE]), start=1):
        if following != page + 1 or index - first == _RUN:
            yield pages[first], index - first
            first = index
