"""Reading beside a transaction of another program: the last commit or the next one, never an error, never half."""

import errno
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import usidx
from usidx.errors import LockedError, RecoveryError, UsidWarning
from usidx.io.disk import lock
from usidx.io.disk import raw as disk
from usidx.io.disk.companions import find_journal_path
from usidx.io.disk.journal import Journal, is_quiet
from usidx.io.disk.raw import RawFile
from usidx.io.write import staged
from usidx.io.write.transaction import needs_recovery, open_shared, transaction

Program = subprocess.Popen[str]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        file["Raw_Data"] = np.arange(2000.0)
        file["Raw_Data"].attrs["commit"] = 0
    return path


_WRITE = """
import sys
from usidx.io.write.transaction import transaction
with transaction(sys.argv[1]) as changes:
    print("begun", flush=True)
    for number, line in enumerate(sys.stdin, start=1):
        changes.file["Raw_Data"].attrs["commit"] = number
        changes.file["Raw_Data"][:] = number
        changes.file[f"new {number}"] = [number] * 1000
        changes.file.flush()
        if line == "commit\\n":
            changes.commit()
        print("done", flush=True)
"""

_READ = """
import sys
from usidx.io.write.transaction import open_shared
with open_shared(sys.argv[1]) as file:
    print(file["Raw_Data"].attrs["commit"], flush=True)
    sys.stdin.readline()
    print(list(file), flush=True)
"""


def started(script: str, path: Path) -> Program:
    arguments = [sys.executable, "-c", script, str(path)]
    return subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def told(program: Program, text: str = "") -> str:
    """Say something to a program, and return what it answers."""
    assert program.stdin is not None
    assert program.stdout is not None
    if text:
        program.stdin.write(text + "\n")
        program.stdin.flush()
    return program.stdout.readline().strip()


@pytest.fixture
def writer(path: Path) -> Iterator[Program]:
    with started(_WRITE, path) as program:
        assert told(program) == "begun"
        yield program
        program.kill()


def commit_of(path: Path) -> int:
    with open_shared(path) as file:
        number = int(file["Raw_Data"].attrs["commit"])
        assert list(file) == ["Raw_Data", *sorted(f"new {n + 1}" for n in range(number))]
        assert number == 0 or set(file["Raw_Data"][:]) == {number}
        return number


def test_the_last_commit_is_read_until_the_next_one(path: Path, writer: Program) -> None:
    assert commit_of(path) == 0
    assert told(writer, "write") == "done"
    assert commit_of(path) == 0
    assert told(writer, "commit") == "done"
    assert commit_of(path) == 2
    assert told(writer, "write") == "done"
    assert commit_of(path) == 2
    writer.communicate()
    assert commit_of(path) == 3


def test_a_scan_is_opened_and_read_while_another_program_adds_to_it(tmp_path: Path) -> None:
    data, _ = usidx.simulate.band_excitation((3, 4), 16, seed=0)
    path = tmp_path / "scan.h5"
    usidx.write(data, path)
    script = "import sys\nfrom usidx.io.write.transaction import transaction\nwith transaction(sys.argv[1]) as c:\n"
    script += "    c.file['new'] = [1.0] * 50000\n    c.file.flush()\n    print('begun', flush=True)\n    input()"
    with started(script, path) as program:
        assert told(program) == "begun"
        opened = usidx.open_main(path)
        np.testing.assert_array_equal(opened, data)
        assert "Measurement_000" in usidx.open_tree(path)
        assert usidx.validate(path) == []
        with pytest.raises(LockedError, match=rf"cannot be written: it is locked by .* \(process {program.pid}"):
            opened.usid.svd(2).usid.write()
        told(program, "end")
    np.testing.assert_array_equal(usidx.open_main(path, "Raw_Data"), data)


def test_a_commit_waits_for_those_who_read_and_lets_nobody_else_in(path: Path) -> None:
    before = path.read_bytes()
    seen: list[str] = []

    def let_go(reader: Program) -> None:
        while is_quiet(find_journal_path(path).stat().st_size):
            time.sleep(0.01)
        with started(_READ, path) as late:
            time.sleep(0.5)  # it comes too late to look at the last commit
            assert path.read_bytes()[: len(before)] == before
            seen.append(told(reader, "go on"))
            seen.append(told(late))
            late.communicate()

    with transaction(path) as changes, started(_READ, path) as reader:
        assert told(reader) == "0"
        changes.file["Raw_Data"].attrs["commit"] = 1
        changes.file["new 1"] = [1] * 1000
        thread = threading.Thread(target=let_go, args=[reader])
        thread.start()
        changes.commit()
        thread.join()
    assert seen == ["['Raw_Data']", "1"]


def test_a_reader_that_never_ends_fails_the_commit(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staged, "PATIENCE", 0.1)
    before = path.read_bytes()
    with transaction(path) as changes, started(_READ, path) as reader:
        assert told(reader) == "0"
        changes.file["new"] = 1
        with pytest.raises(LockedError, match="another program has been reading the last commit for 0 s, and perhaps"):
            changes.commit()
        assert told(reader, "go on") == "['Raw_Data']"
    assert path.read_bytes() == before
    assert not needs_recovery(path)


def test_pages_stay_in_memory_while_others_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staged, "SPILL", 4096)
    monkeypatch.setattr(staged, "_AHEAD", 0.05)
    before = path.read_bytes()
    with transaction(path) as changes:
        with started(_READ, path) as reader:
            assert told(reader) == "0"
            changes.file["Raw_Data"][:] = -1.0
            changes.file.flush()
            assert path.read_bytes()[: len(before)] == before
        changes.file["Raw_Data"][:] = -2.0
        changes.file.flush()
        assert path.read_bytes()[: len(before)] != before
    with open_shared(path) as file:
        assert set(file["Raw_Data"][:]) == {-2.0}


_HAMMER = """
import sys, time
from usidx.io.write.transaction import open_shared
seen, end = [], time.monotonic() + 30
while time.monotonic() < end and (not seen or seen[-1] < 15):
    with open_shared(sys.argv[1]) as file:
        number = int(file["Raw_Data"].attrs["commit"])
        assert list(file) == ["Raw_Data", *sorted(f"new {n + 1}" for n in range(number))], (number, list(file))
        assert number == 0 or set(file["Raw_Data"][:]) == {number}, number
    seen.append(number)
    if len(seen) == 1:
        print("reading", flush=True)
assert seen == sorted(seen)
print(len(set(seen)))
"""


def test_readers_that_never_rest_see_only_commits(path: Path) -> None:
    with started(_WRITE, path) as writer:
        assert told(writer) == "begun"
        with started(_HAMMER, path) as first, started(_HAMMER, path) as second:
            assert told(first) == told(second) == "reading"
            for _ in range(15):
                assert told(writer, "commit") == "done"
            found = [reader.communicate()[0] for reader in (first, second)]
        assert [reader.returncode for reader in (first, second)] == [0, 0]
    assert all(int(count) > 1 for count in found)


# -- nobody holds the lock ------------------------------------------------------------------------------------------


def left_behind(path: Path, *, overwritten: bool = False) -> None:
    """Leave what a killed writer leaves that had only appended, or had begun to overwrite."""
    target = RawFile(path)
    journal = Journal(target, find_journal_path(path))
    if overwritten:
        journal.save(0, 4096)
    journal.close()
    target.write_at(target.measure(), memoryview(b"a tail"))
    target.close()


def test_in_a_folder_that_must_not_be_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left_behind(path)

    def refuse(name: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(name))

    with monkeypatch.context() as patch:
        patch.setattr(disk, "remove", refuse)
        assert commit_of(path) == 0
    assert needs_recovery(path)
    find_journal_path(path).unlink()
    left_behind(path, overwritten=True)
    with monkeypatch.context() as patch:
        patch.setattr(disk, "remove", refuse)
        with pytest.raises(RecoveryError, match="takes the right to write the file and its folder"):
            commit_of(path)


def test_while_another_program_reads_an_interrupted_write_waits_to_be_undone(path: Path) -> None:
    with started(_READ, path) as reader:
        assert told(reader) == "0"
        left_behind(path)
        assert commit_of(path) == 0
        assert needs_recovery(path)
    with pytest.warns(UsidWarning, match="6 cut off the end"):
        assert commit_of(path) == 0


@pytest.mark.parametrize("is_changed", [False, True])
def test_without_locks(path: Path, monkeypatch: pytest.MonkeyPatch, is_changed: bool) -> None:
    monkeypatch.setenv("HDF5_USE_FILE_LOCKING", "FALSE")
    left_behind(path)

    def look() -> None:
        with open_shared(path) as file:
            assert list(file) == ["Raw_Data"]
            if is_changed:
                os.truncate(find_journal_path(path), 10_000)

    if is_changed:
        with pytest.raises(LockedError, match="was changed by another program while it was read; read it again"):
            look()
    else:
        look()
    assert needs_recovery(path)


def test_threads_of_which_one_holds_the_lock_and_one_reads_beside(path: Path) -> None:
    for locking in (None, False):
        with h5py.File(path, "r", locking=locking):
            assert commit_of(path) == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_child_reads_beside_its_parent(path: Path) -> None:
    with transaction(path) as changes:
        changes.file["new 1"] = 1
        child = os.fork()
        if child == 0:
            try:
                os._exit(commit_of(path))
            finally:
                os._exit(9)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        changes.commit()


@pytest.mark.skipif(os.name == "nt", reason="takes away an open file")
@pytest.mark.parametrize("is_replaced", [False, True])
def test_a_file_that_is_taken_away_while_its_lock_is_waited_for(
    path: Path, monkeypatch: pytest.MonkeyPatch, is_replaced: bool
) -> None:
    acquire = lock.acquire

    def slowly(*arguments: Any, **options: Any) -> Any:
        path.unlink()
        if is_replaced:
            path.write_bytes(b"another")
        return acquire(*arguments, **options)

    monkeypatch.setattr("usidx.io.disk.line.acquire", slowly)
    with pytest.raises(LockedError, match="was replaced or taken away by another program"), transaction(path):
        pass
