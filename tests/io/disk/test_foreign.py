"""A writer is killed, another program changes the file, usidx opens it: nothing of that change is lost or broken."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from usidx.errors import RecoveryError
from usidx.io.disk.companions import find_journal_path
from usidx.io.disk.journal import PAGE, Journal
from usidx.io.disk.recovery import recover
from usidx.io.write import staged
from usidx.io.write.transaction import Transaction, transaction

RAW = np.arange(20000.0).reshape(200, 100)
NOTES = 30


class Killed(BaseException):
    """Stands for SIGKILL: nothing of usidx runs after it."""


def _make(path: Path, libver: str, user_block: int) -> None:
    with h5py.File(path, "w", libver=libver, userblock_size=user_block) as file:
        file.create_dataset("Raw", data=RAW).attrs["units"] = "V"
        file["small"] = np.arange(10.0)
        file.create_group("many").attrs["kept"] = 1
        file["big"] = np.zeros(100_000)
        file.create_dataset("grows", data=np.ones(50), maxshape=(None,), chunks=(10,))


def _change(changes: Transaction) -> None:
    """Append a result, and overwrite in several places of what was there."""
    changes.file.create_group("Raw-SVD_000").create_dataset("U", data=np.ones((200, 50)), chunks=(50, 50))
    changes.file["Raw"].attrs["seen"] = "by usidx"
    changes.file["big"][50_000:50_100] = 1.0
    for number in range(NOTES):
        changes.file["many"].attrs[f"note {number}"] = "y" * 50


# -- moments of the kill --------------------------------------------------------------------------------------------


def _kill(*_: Any, **__: Any) -> Any:
    raise Killed


def _overwrite_half(file: staged.StagedFile, pages: Sequence[int]) -> None:
    for page in pages[: len(pages) // 2]:
        file._disk.write_at(page * PAGE, memoryview(bytes(file._pages[page])))
    raise Killed


@contextmanager
def _killed(moment: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(staged.StagedFile, "roll_back", lambda self: None)
        if moment == "before the commit":
            patch.setattr(staged.StagedFile, "settle", _kill)
        elif moment == "all announced":
            patch.setattr(staged.StagedFile, "_wait_for_readers", _kill)
        elif moment == "half overwritten":
            patch.setattr(staged.StagedFile, "_overwrite", _overwrite_half)
        elif moment == "all overwritten":
            patch.setattr(Journal, "mark", _kill)
        elif moment == "committed":
            patch.setattr(Journal, "drop", _kill)
        yield


MOMENTS = ("before the commit", "all announced", "half overwritten", "all overwritten", "committed")


# -- what another program does --------------------------------------------------------------------------------------


def _add(file: h5py.File) -> None:
    file["by another"] = np.arange(777.0)


def _has_added(file: h5py.File) -> bool:
    return bool((file["by another"][:] == np.arange(777.0)).all())


def _grow(file: h5py.File) -> None:
    file["grows"].resize((500,))
    file["grows"][:] = 4.0


def _write_into_the_result(file: h5py.File) -> None:
    if "Raw-SVD_000" in file:
        file["Raw-SVD_000/U"][0] = 9.0


def _has_written_into_the_result(file: h5py.File) -> bool:
    return "Raw-SVD_000" not in file or bool((file["Raw-SVD_000/U"][0] == 9.0).all())


def _set(name: str, index: Any, value: float) -> Callable[[h5py.File], None]:
    return lambda file: file[name].__setitem__(index, value)


def _holds(name: str, index: Any, value: float) -> Callable[[h5py.File], bool]:
    return lambda file: bool((file[name][index] == value).all())


def _describe_raw(file: h5py.File) -> None:
    file["Raw"].attrs["units"] = "nA"
    file["many"].attrs.create("kept", 2)


def _is_hdf5(file: h5py.File) -> bool:
    return bool(file)


Edit = tuple[Callable[[h5py.File], object], Callable[[h5py.File], bool]]
EDITS: dict[str, Edit] = {
    "open and close": (lambda file: None, lambda file: "small" in file),
    "add a dataset": (_add, _has_added),
    "delete a dataset": (lambda file: file.__delitem__("small"), lambda file: "small" not in file),
    "rename a dataset": (lambda file: file.move("small", "smaLL"), lambda file: "smaLL" in file),
    "change attributes": (
        _describe_raw,
        lambda file: file["Raw"].attrs["units"] == "nA" and file["many"].attrs["kept"] == 2,
    ),
    "write into the raw data": (_set("big", slice(3, 9), 5.0), _holds("big", slice(3, 9), 5.0)),
    "write where usidx writes": (_set("big", slice(50_050, 50_060), 7.0), _holds("big", slice(50_050, 50_060), 7.0)),
    "let a dataset grow": (_grow, _holds("grows", slice(None), 4.0)),
    "write into the result": (_write_into_the_result, _has_written_into_the_result),
}

CASES = list(product(("earliest", "v108", "latest"), (0, 512, 2048, 4096, 1 << 20), MOMENTS, EDITS))


def _sample() -> list[tuple[str, int, str, str]]:
    """Choose a few cases, always the same; USIDX_FOREIGN=all takes all of them."""
    if os.environ.get("USIDX_FOREIGN") == "all":
        return CASES
    chosen = np.random.default_rng(13).choice(len(CASES), 45, replace=False)
    return [CASES[number] for number in sorted(chosen)]


def _interrupt(path: Path, moment: str) -> None:
    with _killed(moment), pytest.raises(Killed), transaction(path) as changes:
        _change(changes)


def _read_all(file: h5py.File) -> dict[str, Any]:
    found: dict[str, Any] = {}
    file.visititems(lambda name, item: found.update({name: item[...] if isinstance(item, h5py.Dataset) else None}))
    return found


@pytest.mark.parametrize(("libver", "user_block", "moment", "edit"), _sample())
def test_what_another_program_did_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, libver: str, user_block: int, moment: str, edit: str
) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    path = tmp_path / "scan.h5"
    _make(path, libver, user_block)
    before = path.read_bytes()
    _interrupt(path, moment)
    killed = path.read_bytes()
    make, is_there = EDITS[edit]
    try:
        with h5py.File(path, "r+") as file:
            make(file)
    except (OSError, KeyError, RuntimeError):
        # Half of a commit is often nothing that a program could open.
        assert moment == "half overwritten"
        is_there = _is_hdf5
    edited = path.read_bytes()
    try:
        done = recover(path)
    except RecoveryError:
        assert path.read_bytes() == edited
        assert moment in {"all announced", "half overwritten", "all overwritten"}
        return
    assert done.needed
    assert edited != killed or done.finished or path.read_bytes() == before
    assert not find_journal_path(path).exists()
    with h5py.File(path) as file:
        assert is_there(file)
        assert (file["Raw"][...] == RAW).all()
        assert file["Raw"].attrs["units"] == ("nA" if edit == "change attributes" else "V")
        assert set(_read_all(file)) >= {"Raw", "many", "big", "grows"}
    assert path.read_bytes()[:user_block] == before[:user_block]


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("user_block", [0, 4096])
def test_without_a_change_one_commit_or_the_next_is_found(tmp_path: Path, moment: str, user_block: int) -> None:
    path, plain = tmp_path / "scan.h5", tmp_path / "plain.h5"
    _make(path, "earliest", user_block)
    before = path.read_bytes()
    plain.write_bytes(before)
    with transaction(plain) as changes:
        _change(changes)
    _interrupt(path, moment)
    done = recover(path)
    assert done.finished == (moment in {"all overwritten", "committed"})
    if done.finished:
        assert str(done) == (
            "a write was interrupted when all of it was in the file; it is kept, with whatever was changed since"
        )
        with h5py.File(path) as file:
            assert (file["Raw-SVD_000/U"][...] == 1.0).all()
            assert len(file["many"].attrs) == NOTES + 1
            assert (file["big"][50_000:50_100] == 1.0).all()
    else:
        assert path.read_bytes() == before


def _replace(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["another"] = np.arange(20_000.0)


REPLACEMENTS: dict[str, Callable[[Path], object]] = {
    "another file": _replace,
    "another file of the same kind": lambda path: _make(path, "earliest", 512),
    "a text": lambda path: path.write_text("Not HDF5 at all.\n" * 1000),
    "nothing": lambda path: path.write_bytes(b""),
    "its first half": lambda path: os.truncate(path, path.stat().st_size // 2),
}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("what", REPLACEMENTS)
def test_a_file_that_took_the_place_is_not_touched(tmp_path: Path, moment: str, what: str) -> None:
    path = tmp_path / "scan.h5"
    _make(path, "earliest", 4096)
    _interrupt(path, moment)
    REPLACEMENTS[what](path)
    found = path.read_bytes()
    if moment in {"before the commit", "committed"}:
        assert recover(path).needed
    else:
        with pytest.raises(RecoveryError, match="changed or replaced it after that"):
            recover(path)
    assert path.read_bytes() == found


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_copy_from_before_that_was_brought_back_stays(tmp_path: Path, moment: str) -> None:
    path = tmp_path / "scan.h5"
    _make(path, "latest", 0)
    before = path.read_bytes()
    _interrupt(path, moment)
    path.write_bytes(before)
    assert recover(path).needed
    assert path.read_bytes() == before
