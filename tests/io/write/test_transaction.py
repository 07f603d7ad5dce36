"""Transactions: commit, roll back, reading beside them, new files."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from usidx.errors import ExistsError, WriteError
from usidx.io.disk.journal import find_journal_path
from usidx.io.write import staged
from usidx.io.write.transaction import Transaction, create, needs_recovery, open_shared, transaction


@pytest.fixture(params=["earliest", "latest"])
def path(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w", libver=request.param) as file:
        file["Raw_Data"] = np.arange(20000.0).reshape(100, 200)
        file["Raw_Data"].attrs["units"] = "V"
        file.create_dataset("grows", data=np.ones(50), maxshape=(None,), chunks=(10,))
    return path


def _append(changes: Transaction, name: str = "new", rows: int = 100) -> None:
    changes.file.create_dataset(name, data=np.full((rows, 100), 5.0), chunks=(10, 100))
    changes.file["Raw_Data"].attrs["seen by " + name] = name


def _alone(path: Path) -> bool:
    return [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_block_that_ends_is_committed(path: Path) -> None:
    with transaction(path) as changes:
        _append(changes)
        assert changes.file.filename == str(path)
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["new"][:], np.full((100, 100), 5.0))
        np.testing.assert_array_equal(file["Raw_Data"][:], np.arange(20000.0).reshape(100, 200))
        assert dict(file["Raw_Data"].attrs) == {"units": "V", "seen by new": "new"}
    assert _alone(path)


def test_until_the_commit_the_disk_holds_the_last_one(path: Path) -> None:
    before = path.read_bytes()
    with transaction(path) as changes:
        _append(changes)
        changes.file["Raw_Data"][:] = 0.0
        changes.file.flush()
        assert path.read_bytes()[: len(before)] == before
        with open_shared(path) as file:
            assert "new" not in file
            assert file["Raw_Data"][1, 1] == 201.0
        changes.commit()
        with open_shared(path) as file:
            assert file["Raw_Data"][1, 1] == 0.0


def test_what_was_written_reads_back_before_the_commit(path: Path) -> None:
    with transaction(path) as changes:
        changes.file["Raw_Data"][3:5] = -1.0
        changes.file.flush()
        assert changes.file["Raw_Data"][2:6].sum(axis=1).tolist() == [99900.0, -200.0, -200.0, 219900.0]


def test_reading_leaves_no_trace(path: Path) -> None:
    before = path.stat().st_mtime_ns
    with transaction(path) as changes:
        assert changes.file["Raw_Data"].shape == (100, 200)
    assert path.stat().st_mtime_ns == before
    assert _alone(path)


@pytest.mark.parametrize("spill", [4096, staged.SPILL])
def test_an_exception_puts_back_the_last_commit(path: Path, spill: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staged, "SPILL", spill)
    committed = []

    def block(changes: Transaction) -> None:
        _append(changes, "first")
        changes.commit()
        committed.append(path.read_bytes())
        _append(changes, "second")
        changes.file["Raw_Data"][:] = 7.0
        del changes.file["first"]
        changes.file.flush()
        raise KeyError("stop")

    with pytest.raises(KeyError, match="stop"), transaction(path) as changes:
        block(changes)
    assert [path.read_bytes()] == committed
    assert _alone(path)


def test_a_transaction_that_ended_says_so(path: Path) -> None:
    with transaction(path) as changes:
        pass
    with pytest.raises(WriteError, match=r"transaction on '.*scan.h5' has ended"):
        _ = changes.file


def test_a_file_that_the_block_closed_is_committed(path: Path) -> None:
    with transaction(path) as changes:
        _append(changes)
        changes.file.close()
    with h5py.File(path) as file:
        assert "new" in file


def test_no_hdf5_file(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"no HDF5 " * 1000)
    with (
        pytest.raises(WriteError, match=r"'.*notes.txt' cannot be opened for writing as an HDF5 file"),
        transaction(path),
    ):
        pass
    assert path.read_bytes() == b"no HDF5 " * 1000
    assert _alone(path)
    with pytest.raises(FileNotFoundError), transaction(tmp_path / "none.h5"):
        pass


def test_a_folder_without_room_for_the_journal(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda folder, mode: folder != path.parent)
    with pytest.raises(WriteError, match=r"the undo journal that protects 'scan.h5' must lie there"), transaction(path):
        pass


def test_a_file_that_must_not_be_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = os.open

    def open_to_read(name: str | Path, flags: int, *rest: int) -> int:
        if flags & os.O_RDWR and Path(name) == path:
            raise PermissionError(errno.EACCES, "Permission denied", str(name))
        return opened(name, flags, *rest)

    monkeypatch.setattr(os, "open", open_to_read)
    message = r"'.*scan.h5' cannot be written \(Permission denied\). Ask for the right to, or work on a copy"
    with pytest.raises(WriteError, match=message), transaction(path):
        pass


def test_a_forked_child_that_leaves_the_block_changes_nothing(path: Path) -> None:
    script = [sys.executable, "-c", _FORK, str(path)]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.stdout == "refused\nrefused\nlocked ['Raw_Data', 'grows', 'new']\n", done.stderr


_FORK = """
import fcntl, os, sys
import h5py
from usidx.errors import WriteError
from usidx.io.write.transaction import transaction

path = sys.argv[1]
child = 0
try:
    with transaction(path) as changes:
        changes.file["new"] = 1
        changes.file.flush()
        for way in ("raise", "commit"):
            child = os.fork()
            if child == 0:
                if way == "raise":
                    raise KeyError(way)
                changes.commit()
            os.waitpid(child, 0)
        descriptor = os.open(path, os.O_RDWR)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            state = "locked"
        os.close(descriptor)
except (KeyError, WriteError):
    os.write(1, b"refused\\n")
    os._exit(0)
with h5py.File(path) as file:
    print(state, list(file))
"""


def test_links_lead_to_the_journal_of_the_file(path: Path) -> None:
    link = path.with_name("link.h5")
    link.symlink_to(path)
    with transaction(link) as changes:
        _append(changes)
        assert find_journal_path(path).exists()
        assert needs_recovery(link)


# -- new files ------------------------------------------------------------------------------------------------------


def test_a_new_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new.h5"
    with create(path) as changes:
        _write_raw(changes)
        changes.file.flush()
        assert not path.exists()
    with h5py.File(path) as file:
        assert file["Raw_Data"].shape == (5,)
    assert _alone(path)


def _write_raw(changes: Transaction) -> None:
    changes.file["Raw_Data"] = np.arange(5.0)


def test_a_new_file_is_a_transaction_after_its_first_commit(tmp_path: Path) -> None:
    path = tmp_path / "new.h5"
    committed = []

    def block(changes: Transaction) -> None:
        _write_raw(changes)
        changes.commit()
        committed.append(path.read_bytes())
        changes.file["more"] = np.ones(1000)
        raise KeyError("stop")

    with pytest.raises(KeyError, match="stop"), create(path) as changes:
        block(changes)
    assert [path.read_bytes()] == committed
    assert _alone(path)


def test_a_new_file_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def block(changes: Transaction) -> None:
        _write_raw(changes)
        raise KeyError("stop")

    with pytest.raises(KeyError, match="stop"), create(tmp_path / "new.h5") as changes:
        block(changes)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("links", [True, False])
def test_a_new_file_never_replaces_another(tmp_path: Path, links: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not links:
        monkeypatch.delattr(os, "link")
        monkeypatch.setattr(os, "link", _no_links, raising=False)
    path = tmp_path / "new.h5"

    def block(changes: Transaction) -> None:
        _write_raw(changes)
        path.write_bytes(b"precious")

    with pytest.raises(ExistsError, match=r"'.*new.h5' was made by another program meanwhile"), create(path) as changes:
        block(changes)
    assert path.read_bytes() == b"precious"
    with pytest.raises(ExistsError, match=r"'.*new.h5' exists already"), create(path):
        pass
    assert _alone(path)
    path.unlink()
    with create(path) as changes:
        _write_raw(changes)
    assert _alone(path)


def _no_links(source: Path, target: Path) -> None:
    raise OSError(errno.ENOTSUP, "Operation not supported")


def test_a_new_file_beside_a_stray_journal_is_refused(tmp_path: Path) -> None:
    find_journal_path(tmp_path / "new.h5").write_bytes(b"of a file that was moved")
    with pytest.raises(ExistsError, match=r"'.*new.h5.usidx-journal' belongs to a file"), create(tmp_path / "new.h5"):
        pass


def test_a_draft_that_a_kill_left_is_taken_away_unopened(tmp_path: Path) -> None:
    kept = tmp_path / "kept.h5"
    kept.write_bytes(b"precious")
    # A kill between link and unlink leaves the draft as a second name of a finished file, which may be renamed then.
    os.link(kept, tmp_path / ".new.h5.usidx-draft")
    with create(tmp_path / "new.h5") as changes:
        _write_raw(changes)
    assert kept.read_bytes() == b"precious"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["kept.h5", "new.h5"]
