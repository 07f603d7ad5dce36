"""Locks: against other programs, within this one, on file systems and platforms that have no flock."""

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from usidx.errors import LockedError, RecoveryError, UsidWarning
from usidx.io.disk import lock
from usidx.io.disk import raw as disk
from usidx.io.disk.companions import find_journal_path
from usidx.io.disk.journal import Journal
from usidx.io.disk.opening import open_locked
from usidx.io.disk.raw import RawFile
from usidx.io.write import staged
from usidx.io.write.transaction import create, needs_recovery, open_shared, recover, transaction


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        file["Raw_Data"] = np.arange(2000.0)
    return path


@pytest.fixture
def before(path: Path) -> bytes:
    return path.read_bytes()


@contextmanager
def _opened(path: Path) -> Iterator[RawFile]:
    file = RawFile(path)
    yield file
    file.close()


_HOLD = """
import sys, h5py
if sys.argv[2] == "reader":
    held = h5py.File(sys.argv[1])
elif sys.argv[2] == "writer":
    held = h5py.File(sys.argv[1], "r+")
else:
    from usidx.io.write.transaction import transaction
    context = transaction(sys.argv[1])
    held = context.__enter__().file
    held["new"] = 1
    held.flush()
print("open", flush=True)
sys.stdin.readline()
held.close()
print("closed", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def other(path: Path, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """Start another program that has the file open."""
    script = [sys.executable, "-c", _HOLD, str(path), request.param]
    with subprocess.Popen(script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "open\n"
        yield program
        program.kill()


@pytest.mark.parametrize("other", ["reader", "writer", "transaction"], indirect=True)
def test_a_file_that_another_program_holds(path: Path, other: subprocess.Popen[str]) -> None:
    kind = other.args[-1]  # type: ignore[index]
    before = path.read_bytes()
    message = (
        rf"'.*scan.h5' cannot be written: it is locked by another program \(process {other.pid} .*\). Close it there"
    )
    with pytest.raises(LockedError, match=message), transaction(path):
        pass
    if kind == "writer":
        with pytest.raises(LockedError, match=rf"cannot be read: .*process {other.pid}"), open_shared(path):
            pass
    else:
        with open_shared(path) as file:
            assert list(file) == ["Raw_Data"]
    assert path.read_bytes() == before


@pytest.mark.parametrize("other", ["reader"], indirect=True)
def test_a_lock_is_waited_for(path: Path, other: subprocess.Popen[str]) -> None:
    assert other.stdin is not None
    release = threading.Timer(0.2, lambda: (other.stdin.write("\n"), other.stdin.flush()))  # type: ignore[union-attr]
    release.start()
    with transaction(path, wait=20.0) as changes:
        changes.file["new"] = 1
    release.join()


def test_h5py_is_refused_while_a_transaction_runs(path: Path) -> None:
    script = [sys.executable, "-c", "import sys, h5py; h5py.File(sys.argv[1], sys.argv[2])", str(path)]
    with transaction(path):
        for mode in ("r", "r+"):
            refused = subprocess.run([*script, mode], capture_output=True, text=True, check=False)
            assert "unable to lock file" in refused.stderr
    assert subprocess.run([*script, "r+"], check=False).returncode == 0


@pytest.mark.parametrize("other", ["transaction"], indirect=True)
def test_a_killed_writer_is_undone_by_the_next_reader(path: Path, before: bytes, other: subprocess.Popen[str]) -> None:
    with pytest.raises(LockedError, match="locked by another program"):
        recover(path)
    other.kill()
    other.wait()
    assert needs_recovery(path)
    with pytest.warns(UsidWarning, match=r"'.*scan.h5': an interrupted write was undone: 0 bytes put back, \d+ cut"):
        assert _names(path) == ["Raw_Data"]
    assert path.read_bytes() == before
    assert not needs_recovery(path)


def _names(path: Path) -> list[str]:
    with open_shared(path) as file:
        return list(file)


def test_a_killed_writer_is_undone_by_the_next_writer(path: Path) -> None:
    before = path.read_bytes()
    with _opened(path) as target:
        Journal(target, find_journal_path(path)).close()
        target.write_at(len(before), memoryview(b"tail"))

    def write() -> None:
        with transaction(path) as changes:
            changes.file.attrs["note"] = 1

    with pytest.warns(UsidWarning, match="0 bytes put back, 4 cut off the end"):
        write()
    assert _names(path) == ["Raw_Data"]


def test_the_same_program_has_it_open(path: Path) -> None:
    message = r"locked by this program itself, which has it open through h5py \(or xarray\)"
    with h5py.File(path), pytest.raises(LockedError, match=message), transaction(path):
        pass


def test_a_file_that_another_thread_closes_while_the_holder_is_looked_for(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with h5py.File(path, "r") as file:
        handle = file.id
    monkeypatch.setattr(h5py.h5f, "get_obj_ids", lambda *_: [handle])
    assert lock._list_own_files() == []


def test_transactions_do_not_nest(path: Path) -> None:
    message = r"'.*scan.h5' is being written already: transactions on one file do not nest"
    with transaction(path) as changes:
        with pytest.raises(LockedError, match=message), transaction(path, wait=5.0):
            pass
        changes.file["new"] = 1
    assert _names(path) == ["Raw_Data", "new"]


def test_transactions_of_threads_take_turns(path: Path) -> None:
    refused: list[str] = []

    def write(number: int) -> None:
        with transaction(path, wait=20.0) as changes:
            changes.file[f"of thread {number}"] = number

    def give_up() -> None:
        try:
            with transaction(path):
                pass
        except LockedError as err:
            refused.append(str(err))

    with transaction(path):
        threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
        for thread in [*threads, impatient := threading.Thread(target=give_up)]:
            thread.start()
        impatient.join()
    for thread in threads:
        thread.join()
    assert refused == [f"{str(path)!r} is being written by another thread; pass wait=."]
    assert _names(path) == ["Raw_Data", *(f"of thread {number}" for number in range(4))]


def test_a_commit_waits_for_the_readers_of_the_program(path: Path) -> None:
    reading, read = threading.Event(), threading.Event()
    seen: list[list[str]] = []

    def look() -> None:
        with open_shared(path) as file:
            reading.set()
            read.wait(20)
            seen.append(list(file))

    with transaction(path) as changes:
        changes.file["new"] = 1
        thread = threading.Thread(target=look)
        thread.start()
        assert reading.wait(20)
        threading.Timer(0.1, read.set).start()
        changes.commit()
        assert seen == [["Raw_Data"]]
    thread.join()


def test_pages_stay_in_memory_while_the_program_reads(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staged, "SPILL", 4096)
    before = path.read_bytes()
    with transaction(path) as changes:
        with open_shared(path) as file:
            changes.file["Raw_Data"][:] = -1.0
            changes.file.flush()
            assert path.read_bytes()[: len(before)] == before
            assert file["Raw_Data"][5] == 5.0
        changes.file["Raw_Data"][:] = -2.0
        changes.file.flush()
        assert path.read_bytes()[: len(before)] != before
        message = r"'.*scan.h5' is being overwritten by a transaction of this program; read it after the commit"
        with pytest.raises(LockedError, match=message), open_shared(path):
            pass
    assert _names(path) == ["Raw_Data"]


def test_a_commit_inside_a_reader_of_the_same_thread_is_refused(path: Path) -> None:
    def block() -> None:
        with transaction(path) as changes, open_shared(path):
            changes.file["new"] = 1
            changes.commit()

    with pytest.raises(LockedError, match="cannot be committed while the same thread still reads it"):
        block()
    assert _names(path) == ["Raw_Data"]


def test_a_new_file_that_another_program_is_making(tmp_path: Path) -> None:
    path = tmp_path / "new.h5"
    with create(path) as changes:
        with pytest.raises(LockedError, match=r"'.*.new.h5.usidx-draft' cannot be written"), create(path):
            pass
        changes.file["Raw_Data"] = 1
    assert _names(path) == ["Raw_Data"]


# -- no locks -------------------------------------------------------------------------------------------------------


def test_a_file_system_that_refuses_locks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock._fcntl, "flock", refuse)
    message = (
        r"cannot be locked: its file system refuses locks \(No locks available\), .* "
        r"set the environment variable HDF5_USE_FILE_LOCKING=FALSE before Python starts"
    )
    with pytest.raises(LockedError, match=message), transaction(path):
        pass
    with transaction(path, lock=False) as changes:
        changes.file["new"] = 1
    with open_shared(path, lock=False) as file:
        assert "new" in file


def test_without_locks_nothing_is_undone_by_itself(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with _opened(path) as target:
        journal = Journal(target, find_journal_path(path))
        journal.save(0, 8)
        journal.close()
    message = r"has an undo journal: .* undo it with usidx\.recover\(path, lock=False\)"
    for context in (transaction(path, lock=False), open_shared(path, lock=False)):
        with pytest.raises(LockedError, match=message), context:
            pass
    monkeypatch.setenv("HDF5_USE_FILE_LOCKING", "FALSE")
    with pytest.raises(LockedError, match="without locks nobody can tell which"):
        recover(path)
    assert recover(path, lock=False).needed
    with transaction(path), open_shared(path):
        pass


def test_a_folder_that_must_not_be_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with _opened(path) as target:
        Journal(target, find_journal_path(path)).close()

    def refuse(name: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(name))

    monkeypatch.setattr(disk, "remove", refuse)
    with pytest.raises(RecoveryError, match="takes the right to write the file and its folder"):
        recover(path)


# -- Windows --------------------------------------------------------------------------------------------------------


class _Msvcrt:
    """What Windows' C library does with locks: bytes of a file, each held by one descriptor."""

    LK_NBLCK, LK_UNLCK = 2, 0

    def __init__(self) -> None:
        self.held: dict[tuple[int, int], int] = {}

    def locking(self, descriptor: int, mode: int, count: int) -> None:
        first = os.lseek(descriptor, 0, os.SEEK_CUR)
        keys = [(os.fstat(descriptor).st_ino, first + byte) for byte in range(count)]
        if mode == self.LK_UNLCK:
            if any(self.held.pop(key, None) != descriptor for key in keys):
                raise OSError(errno.EACCES, "Permission denied")
        elif any(key in self.held for key in keys):
            raise OSError(errno.EACCES, "Permission denied")
        else:
            self.held.update(dict.fromkeys(keys, descriptor))


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> _Msvcrt:
    """Take away what only POSIX has."""
    msvcrt = _Msvcrt()
    monkeypatch.setattr(lock, "_fcntl", None)
    monkeypatch.setattr(disk, "_fcntl", None)
    monkeypatch.setattr(lock, "_msvcrt", msvcrt)
    for name in ("preadv", "pread", "pwrite", "pwritev"):
        monkeypatch.delattr(os, name)
    monkeypatch.setattr(disk, "sync_folder", lambda folder: None)
    return msvcrt


def test_a_transaction_on_windows(path: Path, windows: _Msvcrt) -> None:
    with transaction(path) as changes:
        changes.file["new"] = np.ones(3000)
        changes.file["Raw_Data"][3] = -1.0
        assert len(windows.held) == 64
        assert min(byte for _, byte in windows.held) > 1 << 40
        changes.file.flush()
        assert changes.file["Raw_Data"][2:5].tolist() == [2.0, -1.0, 4.0]
    assert windows.held == {}
    with h5py.File(path) as file:
        assert file["Raw_Data"][2:5].tolist() == [2.0, -1.0, 4.0]
        assert file["new"][:].sum() == 3000.0


def test_locks_on_windows(path: Path, windows: _Msvcrt) -> None:
    with open_locked(path, write=False) as first, open_locked(path, write=False):
        assert len(windows.held) == 2
        with pytest.raises(LockedError, match="cannot be written: it is locked by"), open_locked(path):
            pass
        assert first.measure() > 0
    with open_locked(path):
        with pytest.raises(LockedError, match="cannot be read: it is locked by"), open_locked(path, write=False):
            pass
        assert len(windows.held) == 64
    assert windows.held == {}


def test_a_new_file_on_windows(tmp_path: Path, windows: _Msvcrt, monkeypatch: pytest.MonkeyPatch) -> None:
    remove = disk.remove
    open_files: set[Path] = set()
    initialise, close = RawFile.__init__, RawFile.close

    def opened(file: RawFile, path: Path, **named: Any) -> None:
        initialise(file, path, **named)
        open_files.add(path)

    def closed(file: RawFile) -> None:
        close(file)
        open_files.discard(file.path)

    def refuse(path: Path) -> None:
        if path in open_files:
            raise PermissionError(errno.EACCES, "The process cannot access the file")
        remove(path)

    monkeypatch.setattr(RawFile, "__init__", opened)
    monkeypatch.setattr(RawFile, "close", closed)
    monkeypatch.setattr(disk, "remove", refuse)
    with create(tmp_path / "new.h5") as changes:
        changes.file["Raw_Data"] = np.ones(100)
        changes.commit()
        changes.file["more"] = np.ones(100)
    with h5py.File(tmp_path / "new.h5") as file:
        assert list(file) == ["Raw_Data", "more"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["new.h5"]
    with pytest.raises(KeyError, match="stop"), create(tmp_path / "failed.h5"):
        raise KeyError("stop")
    assert [entry.name for entry in tmp_path.iterdir()] == ["new.h5"]
