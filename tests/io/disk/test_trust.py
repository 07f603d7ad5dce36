"""Whose journals are trusted, who may read them, where they lie; what is read where nothing can be written."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from usidx.errors import ExistsError, RecoveryError, UsidError
from usidx.io.disk import raw as disk
from usidx.io.disk.companions import find_draft_path, find_journal_path, find_line_path
from usidx.io.disk.journal import Journal
from usidx.io.write import staged
from usidx.io.write.transaction import create, needs_recovery, open_shared, recover, transaction

POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has neither pipes among files nor owners like these")
ROOT = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs several owners")


class Killed(BaseException):
    """Stands for SIGKILL: nothing of usidx runs after it."""


def _kill(*_: object, **__: object) -> None:
    raise Killed


def _make(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["Raw_Data"] = np.arange(3000.0)


def _interrupt(path: Path, kind: type, name: str) -> None:
    """Leave what a writer leaves that is killed in a certain call."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(staged.StagedFile, "roll_back", lambda self: None)
        patch.setattr(kind, name, _kill)
        with pytest.raises(Killed), transaction(path) as changes:
            changes.file["new"] = np.ones(5000)
    assert needs_recovery(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "scan.h5"
    _make(path)
    return path


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# -- who may read a journal -----------------------------------------------------------------------------------------


@POSIX
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o660, 0o666])
@pytest.mark.parametrize("mask", [0o022, 0o000, 0o077])
def test_a_journal_is_for_those_who_may_read_the_file(path: Path, mode: int, mask: int) -> None:
    path.chmod(mode)
    before = os.umask(mask)
    try:
        _interrupt(path, Journal, "drop")
    finally:
        os.umask(before)
    assert _mode(find_journal_path(path)) == mode


@ROOT
def test_a_journal_belongs_to_the_group_of_the_file(path: Path) -> None:
    os.chown(path, -1, 4321)
    path.chmod(0o660)
    _interrupt(path, Journal, "drop")
    assert find_journal_path(path).stat().st_gid == 4321


@ROOT
def test_a_journal_of_another_group_than_the_file_is_not_for_that_group(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.chown(path, -1, 4321)
    path.chmod(0o660)
    monkeypatch.setattr(os, "fchown", _refuse_owner)
    _interrupt(path, Journal, "drop")
    assert _mode(find_journal_path(path)) == 0o600


def _refuse_owner(*_: int) -> None:
    raise PermissionError(errno.EPERM, "Operation not permitted")


# -- what is taken for a journal ------------------------------------------------------------------------------------


def _make_pipe(path: Path) -> None:
    os.mkfifo(path)


def _make_dangling_link(path: Path) -> None:
    path.symlink_to("nowhere")


def _make_link(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"x" * 1000)
    path.symlink_to(other)


@POSIX
@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (_make_pipe, "a named pipe"),
        (_make_dangling_link, "a symbolic link"),
        (_make_link, "a symbolic link"),
        (Path.mkdir, "a folder"),
    ],
)
def test_what_is_no_journal_is_told_in_words(path: Path, make: Callable[[Path], None], kind: str) -> None:
    make(find_journal_path(path))
    before = path.read_bytes()
    message = rf"scan.h5.usidx-journal' is {kind}.*take it away"
    with pytest.raises(RecoveryError, match=message), open_shared(path):
        pass
    with pytest.raises(RecoveryError, match=message), transaction(path):
        pass
    with pytest.raises(RecoveryError, match=message):
        recover(path)
    path.unlink()
    with pytest.raises(ExistsError, match=r"scan\.h5\.usidx-journal"), create(path):
        pass
    path.write_bytes(before)
    assert os.path.lexists(find_journal_path(path))


@POSIX
def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.h5")
    message = "pipe.h5' is a named pipe, and no file that could be read or written"
    with pytest.raises(UsidError, match=message), open_shared(tmp_path / "pipe.h5"):
        pass
    with pytest.raises(UsidError, match=message), transaction(tmp_path / "pipe.h5"):
        pass


@ROOT
def test_a_journal_of_somebody_else_is_not_trusted(path: Path) -> None:
    _interrupt(path, Journal, "mark")
    killed = path.read_bytes()
    os.chown(find_journal_path(path), 4321, -1)
    with pytest.raises(RecoveryError, match=r"belongs to user 4321, who is neither you nor the owner of 'scan.h5'"):
        recover(path)
    assert path.read_bytes() == killed
    # The owner of the file is trusted.
    os.chown(path, 4321, -1)
    assert recover(path).needed


# -- where nothing can be written -----------------------------------------------------------------------------------


def _mount_read_only(monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    opened = os.open

    def open_to_read(path: str | Path, flags: int, *rest: int, **named: object) -> int:
        if flags & (os.O_RDWR | os.O_WRONLY | os.O_CREAT):
            raise OSError(error, os.strerror(error), str(path))
        return opened(path, flags, *rest)

    def refuse(path: Path) -> None:
        raise OSError(error, os.strerror(error), str(path))

    monkeypatch.setattr(os, "open", open_to_read)
    monkeypatch.setattr(disk, "remove", refuse)


@pytest.mark.parametrize("error", [errno.EROFS, errno.EACCES, errno.EPERM])
@pytest.mark.parametrize(
    ("place", "found"),
    [
        ((staged.StagedFile, "settle"), {"Raw_Data"}),
        ((Journal, "mark"), {"Raw_Data", "new"}),
        ((Journal, "drop"), {"Raw_Data", "new"}),
    ],
)
def test_a_whole_commit_is_read_from_a_medium_that_cannot_be_written(
    path: Path, monkeypatch: pytest.MonkeyPatch, place: tuple[type, str], found: set[str], error: int
) -> None:
    _interrupt(path, *place)
    content = path.read_bytes()
    with monkeypatch.context() as patch:
        _mount_read_only(patch, error)
        with open_shared(path) as file:
            assert file.keys() == found
            assert (file["Raw_Data"][:] == np.arange(3000.0)).all()
    assert path.read_bytes() == content
    assert needs_recovery(path)


def test_half_a_commit_is_not_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _interrupt(path, staged.StagedFile, "_wait_for_readers")
    with monkeypatch.context() as patch:
        _mount_read_only(patch, errno.EROFS)
        with pytest.raises(RecoveryError, match="takes the right to write the file and its folder"), open_shared(path):
            pass
    assert recover(path).needed


# -- long names -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a" * 252 + ".h5", "ü" * 126 + ".h5", "日" * 84 + ".h5", "b" * 241, "b" * 242])
def test_names_as_long_as_file_systems_take(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with create(path) as changes:
        changes.file["Raw_Data"] = np.arange(3000.0)
    before = path.read_bytes()
    _interrupt(path, staged.StagedFile, "settle")
    assert recover(path).needed
    assert path.read_bytes() == before
    with transaction(path, wait=1) as changes:
        changes.file["new"] = np.ones(3)
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("find", [find_journal_path, find_draft_path, find_line_path])
def test_long_names_that_differ_at_their_end_have_companions_of_their_own(find: Callable[[Path], Path]) -> None:
    names = ["c" * 250 + end for end in ("1.h5", "2.h5")]
    found = [find(Path(name)).name for name in names]
    assert len(set(found)) == 2
    assert all(len(os.fsencode(name)) <= 255 for name in found)
    assert find(Path("scan.h5")).name.strip(".").startswith("scan.h5.usidx-")
