"""The undo journal: power loss at every moment, foreign changes, torn and strange journals."""

import os
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from usidx.errors import RecoveryError
from usidx.io.disk import journal
from usidx.io.disk import raw as disk
from usidx.io.disk.companions import find_journal_path
from usidx.io.disk.journal import Journal
from usidx.io.disk.raw import RawFile
from usidx.io.disk.recovery import needs_recovery, recover
from usidx.io.write import staged
from usidx.io.write.transaction import Transaction, transaction

Event = tuple[Any, ...]


@dataclass
class Recorder:
    """All that reaches the disk, in order: writes, cuts and syncs of each file, names made and removed."""

    events: list[Event] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)

    def install(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(RawFile, "__init__", self._opening(RawFile.__init__))
        for name in ("write_at", "truncate", "sync"):
            patch.setattr(RawFile, name, self._call(name, getattr(RawFile, name)))
        remove, sync_folder = disk.remove, disk.sync_folder

        def removed(path: Path) -> None:
            self.events.append(("remove", path.name))
            remove(path)

        def synced(folder: Path) -> None:
            self.events.append(("folder",))
            sync_folder(folder)

        patch.setattr(disk, "remove", removed)
        patch.setattr(disk, "sync_folder", synced)

    def _opening(self, initialise: Callable[..., None]) -> Callable[..., None]:
        def opened(file: RawFile, path: Path, *, create: bool = False, **named: Any) -> None:
            initialise(file, path, create=create, **named)
            if create or path.name not in self.numbers:
                self.numbers[path.name] = len(self.numbers) + len(self.events)
                if create:
                    self.events.append(("create", path.name, self.numbers[path.name]))

        return opened

    def _call(self, name: str, function: Callable[..., None]) -> Callable[..., None]:
        def called(file: RawFile, *args: Any) -> None:
            kept = [bytes(arg) if isinstance(arg, memoryview) else arg for arg in args]
            self.events.append((name, self.numbers[file.path.name], *kept))
            function(file, *args)

        return called


@dataclass
class Disk:
    """A disk that forgets: what was synced, and what was only written since."""

    content: dict[int, bytes]
    names: dict[str, int]
    pending: dict[int, list[Event]] = field(default_factory=dict)
    moves: list[Event] = field(default_factory=list)

    def play(self, event: Event) -> None:
        kind, *args = event
        if kind in ("create", "remove"):
            self.moves.append(event)
        elif kind == "folder":
            self._move(len(self.moves))
        elif kind == "sync":
            for write in self.pending.pop(args[0], []):
                self._apply(write)
        elif kind in ("write_at", "truncate"):
            self.pending.setdefault(args[0], []).append(event)

    def lose_power(self, rng: np.random.Generator) -> dict[str, bytes]:
        """Keep any of what was not synced, and of some writes a part; names keep their order."""
        self._move(int(rng.integers(len(self.moves) + 1)))
        kept_share = rng.choice([0.0, 0.5, 0.9])
        for writes in self.pending.values():
            for write in writes:
                if rng.random() < kept_share:
                    self._apply(self._torn(write, rng) if rng.random() < 0.3 else write)
        return self._files()

    def kill(self, rng: np.random.Generator) -> dict[str, bytes]:
        """Keep all, but perhaps only a part of the very last write."""
        self._move(len(self.moves))
        for writes in self.pending.values():
            for write in writes[:-1]:
                self._apply(write)
            self._apply(self._torn(writes[-1], rng))
        return self._files()

    def _torn(self, write: Event, rng: np.random.Generator) -> Event:
        if write[0] == "truncate":
            return write
        return (*write[:3], write[3][: int(rng.integers(len(write[3]) + 1))])

    def _apply(self, write: Event) -> None:
        number, address = write[1:3]
        old = self.content.get(number, b"")
        if write[0] == "truncate":
            self.content[number] = old[:address].ljust(address, b"\0")
        else:
            old = old.ljust(address, b"\0")
            self.content[number] = old[:address] + write[3] + old[address + len(write[3]) :]

    def _move(self, count: int) -> None:
        for kind, name, *number in self.moves[:count]:
            if kind == "create":
                self.names[name] = number[0]
            else:
                self.names.pop(name, None)
        del self.moves[:count]

    def _files(self) -> dict[str, bytes]:
        return {name: self.content.get(number, b"") for name, number in self.names.items()}


def _make(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["Raw_Data"] = np.arange(3000.0).reshape(50, 60)
        file["Raw_Data"].attrs["units"] = "V"
        file["last"] = np.ones(6000)


def _first(changes: Transaction) -> None:
    group = changes.file.create_group("Raw_Data-SVD_000")
    group.create_dataset("U", data=np.ones((40, 40)), chunks=(20, 20))
    changes.file["Raw_Data"].attrs["units"] = "nA"


def _second(changes: Transaction) -> None:
    changes.file["Raw_Data"][10:20] = -1.0
    changes.file["Raw_Data-SVD_000/U"][5] = 7.0


def _third(changes: Transaction) -> None:
    # The file gets shorter than it was.
    del changes.file["Raw_Data-SVD_000"]
    del changes.file["last"]


_STEPS = (_first, _second, _third)


@pytest.fixture
def quick_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def _record(path: Path, spill: int, fail_in: int | None = None) -> tuple[list[Event], bytes, dict[str, int]]:
    """Run the three steps with a commit after each; the marks in the events hold the content after each commit."""
    recorder = Recorder()
    before = path.read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        recorder.install(patch)
        patch.setattr(staged, "SPILL", spill)
        with transaction(path) as changes:
            for number, step in enumerate(_STEPS):
                step(changes)
                if number == fail_in:
                    raise KeyError("stop")
                changes.commit()
                recorder.events.append(("commit", path.read_bytes()))
    return recorder.events, before, {path.name: recorder.numbers[path.name]}


def _states(events: list[Event], before: bytes, number: int) -> Iterator[tuple[int, set[bytes]]]:
    """Give for each prefix what may be found after it: the last commit; the next once all of it has been written."""
    last, following = before, [event[1] for event in events if event[0] == "commit"]
    machine = Disk({number: before}, {})
    yield 0, {last}
    for count, event in enumerate(events, start=1):
        if event[0] == "commit":
            last, following = event[1], following[1:]
        elif event[0] in ("write_at", "truncate"):
            machine._apply(event)
        is_whole = bool(following) and machine.content[number][: len(following[0])] == following[0]
        yield count, {last, following[0]} if is_whole else {last}


def _found(folder: Path, name: str, files: dict[str, bytes]) -> bytes:
    for old in folder.iterdir():
        old.unlink()
    for file, content in files.items():
        (folder / file).write_bytes(content)
    recover(folder / name)
    assert not needs_recovery(folder / name)
    return (folder / name).read_bytes()


@pytest.mark.usefixtures("quick_sync")
@pytest.mark.parametrize("crash", ["lose_power", "kill"])
@pytest.mark.parametrize("spill", [8192, staged.SPILL])
def test_every_prefix_recovers_to_a_commit(tmp_path: Path, crash: str, spill: int) -> None:
    path = tmp_path / "scan.h5"
    _make(path)
    events, before, names = _record(path, spill)
    folder = tmp_path / "after"
    folder.mkdir()
    rng = np.random.default_rng(0)
    found_commits = set()
    for count, allowed in _states(events, before, names[path.name]):
        for _ in range(int(os.environ.get("USIDX_CRASHES", "10"))):
            machine = Disk({names[path.name]: before}, dict(names))
            for event in events[:count]:
                machine.play(event)
            found = _found(folder, path.name, getattr(machine, crash)(rng))
            assert found in allowed, f"after {count} of {len(events)}: {events[count - 1][:3]}"
            found_commits.add(found)
    assert found_commits == {before, *(event[1] for event in events if event[0] == "commit")}


@pytest.mark.usefixtures("quick_sync")
def test_every_prefix_of_a_roll_back_recovers(tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    _make(path)
    before = path.read_bytes()
    recorder = Recorder()
    with pytest.MonkeyPatch.context() as patch:
        recorder.install(patch)
        patch.setattr(staged, "SPILL", 4096)
        with pytest.raises(KeyError, match="stop"), transaction(path) as changes:
            _second_without_first(changes)
    assert path.read_bytes() == before
    folder = tmp_path / "after"
    folder.mkdir()
    rng = np.random.default_rng(1)
    number = recorder.numbers[path.name]
    assert any(event[0] == "write_at" and event[1] == number and event[2] < len(before) for event in recorder.events)
    for count in range(len(recorder.events) + 1):
        for crash in ("lose_power", "kill"):
            machine = Disk({number: before}, {path.name: number})
            for event in recorder.events[:count]:
                machine.play(event)
            assert _found(folder, path.name, getattr(machine, crash)(rng)) == before


def _second_without_first(changes: Transaction) -> None:
    changes.file["Raw_Data"][10:40] = -1.0
    changes.file["new"] = np.ones(5000)
    changes.file.flush()
    raise KeyError("stop")


def _overwrite(changes: Transaction) -> None:
    _first(changes)
    changes.file["Raw_Data"][10:40] = -1.0


def _interrupted(path: Path) -> tuple[bytes, bytes]:
    """Leave a file as a kill in the middle of overwriting does; return the bytes before, and those found."""
    _make(path)
    before = path.read_bytes()
    overwrite, calls = staged.StagedFile._overwrite, []

    def overwrite_once(file: staged.StagedFile, pages: Sequence[int]) -> None:
        calls.append(pages)
        if len(calls) > 1:
            raise RuntimeError("killed")
        overwrite(file, pages)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(staged.StagedFile, "_overwrite", overwrite_once)
        patch.setattr(staged.StagedFile, "roll_back", lambda self: None)
        with pytest.raises(RuntimeError, match="killed"), transaction(path) as changes:
            _overwrite(changes)
    assert all(calls)
    assert needs_recovery(path)
    return before, path.read_bytes()


@pytest.mark.usefixtures("quick_sync")
def test_recovery_that_is_interrupted_is_repeated(tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    before, after = _interrupted(path)
    saved = find_journal_path(path).read_bytes()
    recorder = Recorder()
    with pytest.MonkeyPatch.context() as patch:
        recorder.install(patch)
        done = recover(path)
    assert done.needed
    assert done.restored > 0
    assert done.dropped == len(after) - len(before)
    assert (
        str(done) == f"an interrupted write was undone: {done.restored} bytes put back, {done.dropped} cut off the end"
    )
    number, beside = recorder.numbers[path.name], recorder.numbers[find_journal_path(path).name]
    folder = tmp_path / "after"
    folder.mkdir()
    rng = np.random.default_rng(2)
    for count in range(len(recorder.events) + 1):
        for _ in range(5):
            machine = Disk({number: after, beside: saved}, {path.name: number, find_journal_path(path).name: beside})
            for event in recorder.events[:count]:
                machine.play(event)
            assert _found(folder, path.name, machine.lose_power(rng)) == before


def test_a_torn_journal_is_used_up_to_the_tear(tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    _make(path)
    before = path.read_bytes()
    target = RawFile(path)
    with_records = Journal(target, find_journal_path(path))
    with_records.save(0, len(before))
    with_records.close()
    whole = find_journal_path(path).read_bytes()
    for length in range(0, len(whole), 997):
        find_journal_path(path).write_bytes(whole[:length])
        target.truncate(len(before) + 10)
        assert recover(path).dropped == (10 if length > 200 else 0)
        target.truncate(len(before))
        assert path.read_bytes() == before
    target.close()


def test_a_file_replaced_since_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    _interrupted(path)
    with h5py.File(path, "w") as file:
        file["Raw_Data"] = np.zeros(20000)
    other = path.read_bytes()
    with pytest.raises(RecoveryError, match=r"process \d+ on .* another program changed or replaced it"):
        recover(path)
    assert path.read_bytes() == other
    assert needs_recovery(path)


def test_an_append_by_another_program_since_is_not_destroyed(tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    _interrupted(path)
    with h5py.File(path, "r+") as file:
        file["by another program"] = np.zeros(100)
    with pytest.raises(RecoveryError, match=r"'.*scan.h5.usidx-journal' to keep the file as it is now"):
        recover(path)
    with h5py.File(path) as file:
        assert "by another program" in file


def test_an_append_since_is_kept_where_nothing_was_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    _make(path)
    target = RawFile(path)
    Journal(target, find_journal_path(path)).close()
    target.write_at(target.measure(), memoryview(b"tail of the interrupted write"))
    target.close()
    with h5py.File(path, "r+") as file:
        file["by another program"] = np.zeros(100)
    content = path.read_bytes()
    done = recover(path)
    assert done.left_alone
    assert str(done).endswith("is kept as it is")
    assert path.read_bytes() == content


def test_a_journal_of_another_version_is_named(tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    _interrupted(path)
    content = bytearray(find_journal_path(path).read_bytes())
    size, key = journal._HEADER.size, bytes(content[24:40])
    content[8:12] = struct.pack("<I", 9)
    content[size : size + 16] = journal._digest(key, 0, bytes(content[:size]))
    find_journal_path(path).write_bytes(content)
    with pytest.raises(RecoveryError, match="undo journal of version 9; this usidx knows version 2"):
        recover(path)


def test_a_damaged_journal_of_a_file_that_was_overwritten_is_never_taken_for_harmless(tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    before, after = _interrupted(path)
    whole = find_journal_path(path).read_bytes()
    places = [5, 100, 300, 2000, *np.random.default_rng(7).integers(len(whole), size=40)]
    outcomes = []
    for place in places:
        content = bytearray(whole)
        content[place] ^= 0xFF
        find_journal_path(path).write_bytes(content)
        path.write_bytes(after)
        with pytest.raises(RecoveryError, match=r"its journal '.*' is damaged|is an undo journal of version"):
            recover(path)
        assert path.read_bytes() == after
        outcomes.append(needs_recovery(path))
    assert all(outcomes)
    # The very last record only says that all before it is there.
    find_journal_path(path).write_bytes(whole[:-1])
    recover(path)
    assert path.read_bytes() == before


def test_a_write_that_was_interrupted_before_it_began(tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    _make(path)
    find_journal_path(path).write_bytes(b"\x89us")
    assert str(recover(path)) == "a write was interrupted before it changed the file"


def test_without_a_journal_there_is_nothing_to_do(tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    _make(path)
    assert str(recover(path)) == "no write was interrupted"
    with pytest.raises(FileNotFoundError, match=r"There is no file '.*none.h5'"):
        recover(tmp_path / "none.h5")
