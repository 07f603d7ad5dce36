"""A path -> an HDF5 file that changes whole or not at all.

::

    with transaction("scan.h5") as changes:
        changes.file["Measurement_000"].create_group("Raw_Data-SVD_000")
        changes.commit()  # optional: long work commits in batches

Every change to an existing file goes this way, in this order:

1. nobody else of this program writes the file (nested use is refused), and its exclusive lock is taken;
2. a journal beside it means that an earlier write was interrupted, since with the lock nobody is writing now: it is
   undone first (`usidx.io.disk.journal`), with a `UsidWarning`;
3. a journal of its own tells readers of other programs from now on that the last commit can be read beside this write
   (they share a lock on the journal); h5py works on `usidx.io.write.staged.StagedFile`: appended bytes go to the disk,
   overwritten ones to memory; what the file held at the last commit stays on the disk;
4. at the commit HDF5 flushes and closes, the old bytes are journaled and synced, readers are waited for, the new bytes
   written and synced, and the removal of the journal is the commit;
5. any exception, a full disk or Ctrl-C among them, puts the file back to the last commit and is raised again.

A reader (`open_shared`) looks, in this order: is this program itself writing the file? Then it reads the last commit
beside it, without a lock. Else it takes the shared lock, or another program is writing: a transaction whose last commit
it reads beside it, or waits for the next; or a program that is not usidx, and that is a `LockedError`. Is there a
journal although nobody is writing? Then the interrupted write is undone under the exclusive lock, with a `UsidWarning`,
and the reader begins again; where that cannot be, and nothing was overwritten, the file is read as it is. So usidx and
every program that honours HDF5's locks see one commit or the next. What reads without locks sees the last commit but
for the moment of step 4; after a kill in that very moment it must wait for `recover`.

Without locks (``lock=False``) nobody can tell an interrupted write from one that is going on, so a journal is then
never undone by itself: call `recover` with ``lock=False`` when no other program has the file open.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

import h5py

from usidx.errors import ExistsError, LockedError, RecoveryError, UsidError, WriteError
from usidx.io.disk import raw as disk
from usidx.io.disk.companions import find_draft_path, find_journal_path
from usidx.io.disk.interrupt import defer_interrupts, shield_from_interrupts
from usidx.io.disk.lock import Claim, claim_file
from usidx.io.disk.opening import open_locked
from usidx.io.disk.recovery import needs_recovery, open_shared, recover, undo
from usidx.io.write.staged import StagedFile

__all__ = [
    "LockedError",
    "RecoveryError",
    "Transaction",
    "WriteError",
    "change_or_create",
    "create",
    "needs_recovery",
    "open_shared",
    "recover",
    "transaction",
]

#: What h5py raises when a file whose bytes were withheld is closed.
_CLOSING = (OSError, RuntimeError, ValueError, KeyError)


class Transaction:
    """A file that is being changed; made by `transaction` and `create`.

    Parameters
    ----------
    path : Path
        The file.
    wait : float
        Seconds to wait for its lock.
    lock : bool
        Take the lock.
    ahead : bool
        Overwrite before the commit where much is held in memory.
    """

    def __init__(self, path: Path, *, wait: float, lock: bool, ahead: bool = True) -> None:
        self.path = path
        self._wait = wait
        self._lock = lock
        self._ahead = ahead
        self._draft: Path | None = None
        self._resources = ExitStack()
        self._file: h5py.File | None = None
        self._staged: StagedFile
        self._claim: Claim

    @property
    def file(self) -> h5py.File:
        """The open h5py file; a new one after each `commit`, which closes what was taken from the old one."""
        if self._file is None:
            raise WriteError(f"The transaction on {str(self.path)!r} has ended; open another one to write more.")
        return self._file

    @property
    def ground(self) -> StagedFile:
        """What is written past HDF5, where it has been allocated in this transaction."""
        return self._staged

    @property
    def is_full(self) -> bool:
        """Whether much is held in memory until the commit."""
        return self._staged.is_full

    def check(self) -> None:
        """Raise what went wrong so far; h5py cannot say it at once, so long loops ask after each block.

        Raises
        ------
        WriteError
            The disk is full, or failed; leave the block to have the file put back.
        """
        failure = self._staged.failure
        if isinstance(failure, OSError):
            raise _write_error(self.path, failure) from failure
        if failure is not None:
            raise failure

    def commit(self) -> None:
        """Make the changes so far durable, and go on.

        Raises
        ------
        WriteError
            The disk is full, or failed; the file is as it was at the last commit, and the transaction has ended.
        """
        # Without locks a journal would have other programs think that a write was interrupted, so none is made ahead.
        self._finish(begin=self._draft is None and self._lock)
        if self._draft is not None:
            self._publish(self._draft)
            self._attach()
        self._open("r+")

    def _attach(self) -> None:
        """Claim, lock and if need be recover the existing file."""
        self._claim = self._resources.enter_context(claim_file(self.path, wait=self._wait))
        if not os.access(self.path.parent, os.W_OK):
            raise WriteError(
                f"{str(self.path.parent)!r} cannot be written, but the undo journal that protects {self.path.name!r} "
                "must lie there while the file is changed. Ask for the right to write the folder, or work on a copy."
            )
        try:
            target = self._resources.enter_context(open_locked(self.path, wait=self._wait, lock=self._lock))
        except PermissionError as err:
            raise WriteError(
                f"{str(self.path)!r} cannot be written ({err.strerror}). Ask for the right to, or work on a copy."
            ) from err
        if needs_recovery(self.path):
            undo(target, self._lock)
        self._staged = StagedFile(target, journaled=True, may_overwrite=self._may_overwrite, lock=self._lock)
        if self._lock:
            try:
                self._staged.begin()
            except OSError as err:
                raise _write_error(self.path, err) from err

    def _may_overwrite(self) -> bool:
        return self._ahead and self._claim.try_overwrite()

    def _attach_draft(self) -> None:
        """Make and lock a new file under a name of its own."""
        draft = find_draft_path(self.path)
        if os.path.lexists(draft):
            # Who holds its lock is still writing it; else it is what a kill left.
            with ExitStack() as left:
                left.enter_context(open_locked(draft, lock=self._lock))
                disk.remove_open(draft, left.close)
        target = self._resources.enter_context(open_locked(draft, create=True, lock=self._lock))
        self._draft = draft
        self._claim = self._resources.enter_context(claim_file(draft))
        self._staged = StagedFile(target, journaled=False)

    def _open(self, mode: str) -> None:
        try:
            self._file = h5py.File(self._staged, mode)
        except OSError as err:
            self._staged.give_up()
            self._staged.roll_back()
            raise WriteError(f"{str(self.path)!r} cannot be opened for writing as an HDF5 file: {err}") from err

    @shield_from_interrupts
    def _finish(self, *, begin: bool = False) -> None:
        """Commit, or put the file back."""
        file = self.file
        try:
            if file:  # False where the user has closed it.
                file.flush()
                file.close()
            self._file = None
            self.check()
            self._claim.overwrite()
            self._staged.commit(begin=begin)
            self._claim.admit_readers()
        except BaseException as err:
            cause = self._staged.failure or err
            self._abandon(err)
            if isinstance(cause, OSError) and not isinstance(cause, UsidError):
                raise _write_error(self.path, cause) from cause
            raise

    @shield_from_interrupts
    def _publish(self, draft: Path) -> None:
        """Give the finished draft its name, unless another file took it meanwhile."""
        try:
            if disk.link(draft, self.path):
                disk.remove_open(draft, self._resources.close)
            else:
                self._resources.close()
                disk.rename(draft, self.path)
        except FileExistsError as err:
            disk.remove_open(draft, self._resources.close)
            raise ExistsError(f"{str(self.path)!r} was made by another program meanwhile, and is kept.") from err
        finally:
            self._draft = None
            self._resources.close()
        disk.sync_folder(self.path.parent)

    @shield_from_interrupts
    def _abandon(self, error: BaseException) -> None:
        """Close HDF5 with nothing more written, and put the file back."""
        self._staged.give_up()
        with suppress(*_CLOSING):
            if self._file:
                self._file.close()
        self._file = None
        try:
            self._staged.roll_back()
        except OSError as err:
            error.add_note(
                f"{str(self.path)!r} could not be put back now ({err}); usidx does so when it next opens it."
            )
        self._claim.admit_readers()

    def _leave(self, error: BaseException | None) -> None:
        """End the block: commit after success, else put the file back."""
        failure = self._staged.failure
        if error is None and failure is None:
            self._finish()
            if self._draft is not None:
                self._publish(self._draft)
        elif self._file is not None:
            self._abandon(error or OSError())
            if isinstance(failure, OSError) and not isinstance(error, WriteError):
                raise _write_error(self.path, failure) from failure
            if error is None and failure is not None:
                raise failure


@contextmanager
def transaction(
    path: str | os.PathLike[str], *, wait: float = 0.0, lock: bool = True, ahead: bool = True
) -> Iterator[Transaction]:
    """Change an existing HDF5 file whole or not at all.

    At the end of the block the changes are committed; an exception, a full disk or a kill leaves the file, byte for
    byte, as it was at the last commit. An interrupted earlier write is undone first.

    Parameters
    ----------
    path : path-like
        The file.
    wait : float
        Seconds to wait while another program, or another thread of this one, holds the file.
    lock : bool
        Take HDF5's own lock on the file. Pass False only where the file system refuses locks, and no other program has
        the file open.
    ahead : bool
        Where more than 64 MiB of what the file held is changed, overwrite it before the commit. The file cannot be read
        from then on; pass False where what is written is computed from the file itself, and commit when it `is_full`.

    Yields
    ------
    Transaction
        With ``file``, the h5py file open for writing, and ``commit()`` for work in batches.

    Raises
    ------
    LockedError
        Another program holds the file, the block is nested in one on the same file, or locks are refused.
    WriteError
        The file is no HDF5 file, its folder cannot be written, or its disk is full or failed.
    RecoveryError
        An earlier write was interrupted, and another program changed the file since.

    Notes
    -----
    Inside the block HDF5 cannot follow external links, and finds only fill values in virtual datasets, because it looks
    for the other files in this one. Read such data before the block, or with `open_shared`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with create(folder + "/scan.h5") as changes:
    ...         changes.file["Raw_Data"] = [1.0, 2.0]
    ...     with transaction(folder + "/scan.h5") as changes:
    ...         changes.file["Raw_Data"].attrs["units"] = "V"
    ...     with open_shared(folder + "/scan.h5") as file:
    ...         print(file["Raw_Data"].attrs["units"])
    V
    """
    changes = Transaction(Path(os.path.realpath(path)), wait=wait, lock=lock, ahead=ahead)
    with defer_interrupts(), changes._resources:
        changes._attach()
        changes._open("r+")
        yield from _run(changes)


@contextmanager
def create(path: str | os.PathLike[str], *, lock: bool = True) -> Iterator[Transaction]:
    """Make a new HDF5 file that appears under its name only when it is finished.

    It is written beside its place and gets its name at the end of the block, or at the first ``commit()``, after which
    changes are a `transaction`. An exception leaves nothing.

    Parameters
    ----------
    path : path-like
        The file to make.
    lock : bool
        Take HDF5's own lock on the file; see `transaction`.

    Yields
    ------
    Transaction
        With ``file``, the h5py file open for writing, and ``commit()``.

    Raises
    ------
    FileNotFoundError
        There is no such folder.
    ExistsError
        The file, or the journal of a lost file of that name, exists.
    LockedError
        Another program is making the same file.
    WriteError
        The disk is full, or failed.
    """
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {str(target.parent)!r} to make {target.name!r} in.")
    if target.exists():
        raise ExistsError(f"{str(target)!r} exists already. Choose another name, or add to it with transaction().")
    if needs_recovery(target):
        raise ExistsError(
            f"{str(find_journal_path(target))!r} belongs to a file whose write was interrupted and that was moved "
            f"since. Put that file back as {target.name!r} and recover it, or delete the journal."
        )
    changes = Transaction(target, wait=0.0, lock=lock)
    with defer_interrupts(), changes._resources:
        changes._attach_draft()
        try:
            changes._open("w")
            yield from _run(changes)
        finally:
            if changes._draft is not None:
                disk.remove_open(changes._draft, changes._resources.close)


def change_or_create(path: Path, *, wait: float) -> AbstractContextManager[Transaction]:
    """Change a file, or make it; what is written may be computed from the file itself."""
    return transaction(path, wait=wait, ahead=False) if path.exists() else create(path)


def _run(changes: Transaction) -> Iterator[Transaction]:
    """Run the block of a transaction that is open, and end it."""
    try:
        yield changes
    except BaseException as err:
        changes._leave(err)
        raise
    changes._leave(None)


def _write_error(path: Path, cause: OSError) -> WriteError:
    """Say what failed, and that nothing was lost."""
    reason = "its disk is full" if cause.errno == errno.ENOSPC else f"the disk said {cause.strerror or str(cause)!r}"
    state = "It is as it was at the last commit; nothing of it was lost." if path.exists() else "It was not made."
    error = WriteError(f"{str(path)!r} could not be written: {reason}. {state}")
    error.errno = cause.errno
    return error
