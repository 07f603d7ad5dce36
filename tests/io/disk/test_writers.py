"""Programs that write without a lock: writes beside them are refused, and the file stays as it is."""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest

from usidx.errors import LockedError
from usidx.io.disk.raw import RawFile
from usidx.io.disk.superblock import find_superblock
from usidx.io.write.transaction import transaction

fcntl = pytest.importorskip("fcntl")

_WRITER = """
import os, sys
import h5py
file = h5py.File(sys.argv[1], "r+", libver=sys.argv[2], locking=False)
if "swmr" in sys.argv:
    file.swmr_mode = True
file["grows"].resize((100,))
file["grows"][:] = 2.0
file.flush()
print("writing", flush=True)
sys.stdin.readline()
if "killed" in sys.argv:
    os.kill(os.getpid(), 9)
file.close()
"""


def _make(path: Path, libver: str, user_block: int = 0) -> None:
    with h5py.File(path, "w", libver=libver, userblock_size=user_block) as file:
        file["Raw"] = np.arange(2000.0)
        file.create_dataset("grows", data=np.ones(50), maxshape=(None,), chunks=(10,))


@contextmanager
def _writer(path: Path, libver: str, *how: str) -> Iterator[subprocess.Popen[str]]:
    script = [sys.executable, "-c", _WRITER, str(path), libver, *how]
    with subprocess.Popen(script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "writing\n"
        try:
            yield program
        finally:
            if program.returncode is None:
                program.communicate("\n")


def _refuse(path: Path, message: str) -> None:
    before = path.read_bytes()
    with pytest.raises(LockedError, match=message), transaction(path) as changes:
        changes.file["new"] = np.ones(100)
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says who has a file open")
@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_a_program_that_writes_without_a_lock_is_named(tmp_path: Path, libver: str) -> None:
    path = tmp_path / "scan.h5"
    _make(path, libver)
    with _writer(path, libver) as program:
        _refuse(path, rf"another program \(process {program.pid} '.*'\) has it open for writing, without a lock")
    with transaction(path) as changes:
        assert (changes.file["grows"][:] == 2.0).all()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says who has a file open")
def test_this_program_itself_writes_without_a_lock(tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    _make(path, "earliest")
    with h5py.File(path, "r+", locking=False):
        _refuse(path, "this program itself has it open for writing, through h5py without a lock")


@pytest.mark.parametrize("user_block", [0, 512, 8192])
@pytest.mark.parametrize("ended", ["killed", "lives"])
def test_a_file_that_lets_others_read_beside_its_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user_block: int, ended: str
) -> None:
    # As on a platform that does not say who has a file open.
    monkeypatch.setattr("usidx.io.disk.writers._find_writer", lambda file: None)
    path = tmp_path / "scan.h5"
    _make(path, "latest", user_block)
    with _writer(path, "latest", "swmr", ended) as program:
        if ended == "killed":
            program.communicate("\n")
        _refuse(path, r"a program has it open for writing.*\(SWMR\).*h5clear -s FILE")


@pytest.mark.parametrize("is_marked", [False, True])
def test_on_a_network_drive_that_locks_only_what_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_marked: bool
) -> None:
    path = tmp_path / "scan.h5"
    _make(path, "latest")
    if is_marked:
        content = bytearray(path.read_bytes())
        content[11] = 5
        path.write_bytes(content)
    flock = fcntl.flock

    def flock_as_nfs(descriptor: int, how: int) -> None:
        if how & fcntl.LOCK_EX and not fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_RDWR:
            raise OSError(errno.EBADF, "Bad file descriptor")
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", flock_as_nfs)
    if is_marked:
        _refuse(path, r"a program has it open for writing.*\(SWMR\)")
        return
    with transaction(path) as changes:
        changes.file["new"] = np.ones(10)
    with h5py.File(path) as file:
        assert (file["new"][:] == 1.0).all()


def test_the_mark_is_that_of_the_specification(tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    _make(path, "latest", 1024)
    content = bytearray(path.read_bytes())
    assert content[1024 : 1024 + 9] == b"\x89HDF\r\n\x1a\n\x03"
    for mark, is_flagged in ((0, False), (1, True), (4, True), (5, True)):
        content[1024 + 11] = mark
        path.write_bytes(content)
        file = RawFile(path, write=False)
        found = find_superblock(file)
        file.close()
        assert found is not None
        assert (found.address, len(found.content), found.is_flagged) == (1024, 48, is_flagged)


@pytest.mark.parametrize(("libver", "length"), [("earliest", 96), ("v108", 48), ("latest", 48)])
def test_a_superblock_ends_before_what_follows_it(tmp_path: Path, libver: str, length: int) -> None:
    path = tmp_path / "scan.h5"
    _make(path, libver)
    file = RawFile(path, write=False)
    found = find_superblock(file)
    file.close()
    assert found is not None
    assert len(found.content) == length
    assert not found.is_flagged


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks")
def test_a_child_that_was_forked_in_a_transaction_is_no_writer(tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    _make(path, "earliest")
    inlet, outlet = os.pipe()
    with transaction(path) as changes:
        child = os.fork()
        if child == 0:
            os.close(outlet)
            os.read(inlet, 1)
            os._exit(0)
        changes.file["new"] = np.ones(10)
    try:
        with transaction(path) as changes:
            changes.file["more"] = np.ones(10)
    finally:
        os.close(outlet)
        os.waitpid(child, 0)
    os.close(inlet)
    with h5py.File(path) as file:
        assert {"new", "more"} <= file.keys()
