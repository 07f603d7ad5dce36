"""What reaches the disk: full disks, kills, Ctrl-C, and any edits undone or done."""

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from usidx.errors import UsidWarning, WriteError
from usidx.io.disk.journal import find_journal_path
from usidx.io.disk.raw import RawFile
from usidx.io.write import staged
from usidx.io.write.transaction import Transaction, open_shared, recover, transaction


@pytest.fixture(params=["earliest", "latest"])
def path(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w", libver=request.param) as file:
        file["Raw_Data"] = np.arange(20000.0).reshape(100, 200)
        file["Raw_Data"].attrs["units"] = "V"
        file.create_dataset("grows", data=np.ones(50), maxshape=(None,), chunks=(10,))
    return path


def _alone(path: Path) -> bool:
    return [entry.name for entry in path.parent.iterdir()] == [path.name]


# -- full disks -----------------------------------------------------------------------------------------------------


def _fill(monkeypatch: pytest.MonkeyPatch, budget: int) -> None:
    """Let the disk take `budget` more bytes."""
    write, left = RawFile.write_at, [budget]

    def write_at(file: RawFile, address: int, data: memoryview) -> None:
        left[0] -= len(data)
        if left[0] < 0:
            write(file, address, data[: max(len(data) + left[0], 0)])
            raise OSError(errno.ENOSPC, "No space left on device")
        write(file, address, data)

    monkeypatch.setattr(RawFile, "write_at", write_at)


def _write_blocks(changes: Transaction, chunks: tuple[int, int] | None) -> None:
    for block in range(10):
        changes.file.create_dataset(f"new {block}", data=np.ones((10, 100)), chunks=chunks)
        changes.file["grows"].resize((60 + 10 * block,))
        changes.file["grows"][:] = float(block)


def _notes(error: BaseException) -> list[str]:
    """Collect the notes of an error and of what caused it."""
    caused = [] if error.__cause__ is None else _notes(error.__cause__)
    return [*getattr(error, "__notes__", []), *caused]


@pytest.mark.parametrize("budget", [0, 100, 1000, 5000, 20000, 60000, 81000, 84000, 86000])
@pytest.mark.parametrize("chunks", [(2, 100), None])
def test_a_full_disk_leaves_the_file_as_it_was(path: Path, budget: int, chunks: tuple[int, int] | None) -> None:
    before = path.read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RawFile, "sync", lambda self: None)
        _fill(patch, budget)
        message = r"'.*scan.h5' could not be written: its disk is full. It is as it was"
        with pytest.raises(WriteError, match=message) as raised, transaction(path) as changes:
            _write_blocks(changes, chunks)
    assert raised.value.errno == errno.ENOSPC
    if find_journal_path(path).exists():
        # The disk had no room even for putting bytes back; now it has.
        assert "could not be put back now" in "".join(
            raised.value.__cause__.__notes__ if raised.value.__cause__ else []
        )
        recover(path)
    assert path.read_bytes() == before
    assert _alone(path)


def _write_until_it_fails(changes: Transaction) -> None:
    for block in range(100):
        changes.file[f"new {block}"] = np.ones(5000)
        changes.check()


def test_a_real_limit_of_the_file_size(path: Path) -> None:
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 50_000, limits[1]))
    try:
        with pytest.raises(WriteError, match="File too large"), transaction(path) as changes:
            _write_until_it_fails(changes)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert _alone(path)


def test_work_that_goes_on_after_the_disk_is_full_takes_no_memory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staged, "_FORGET_ALL", 1 << 20)

    def block(changes: Transaction) -> None:
        _fill(monkeypatch, 1000)
        for count in range(50):
            changes.file.create_dataset(f"new {count}", data=np.ones(40_000))
            changes.file.create_dataset(f"small {count}", data=np.ones(4_000), chunks=(4_000,))
            assert len(changes._staged._pages) * 4096 < 2 << 20
        monkeypatch.undo()

    with pytest.raises(WriteError, match="disk is full"), transaction(path) as changes:
        block(changes)


def _fail(file: RawFile) -> None:
    raise OSError(errno.EIO, "Input/output error")


def test_a_commit_that_fails_ends_the_transaction(path: Path) -> None:
    before = path.read_bytes()

    def block(changes: Transaction) -> None:
        changes.file["new"] = np.ones(3000)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(RawFile, "sync", _fail)
            with pytest.raises(WriteError, match="the disk said 'Input/output error'") as raised:
                changes.commit()
        assert "could not be put back now" in "".join(_notes(raised.value)) or path.read_bytes() == before
        changes.file["more"] = 1

    with pytest.raises(WriteError, match="has ended"), transaction(path) as changes:
        block(changes)
    with pytest.warns(UsidWarning, match="an interrupted write was undone"), open_shared(path):
        pass
    assert path.read_bytes() == before


# -- kills and interrupts -------------------------------------------------------------------------------------------

_KILLS = """
import hashlib, os, random, signal, sys, time
import h5py, numpy as np
from usidx.io.disk.raw import RawFile
from usidx.io.write.transaction import recover, transaction

path, kills = sys.argv[1], int(sys.argv[2])
generator = random.Random(0)
raw = np.arange(20000.0)
with h5py.File(path, "w") as file:
    file["Raw_Data"] = raw
    file.attrs["commits"] = 0

def digest():
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()

def die_in_write(number):
    write, calls = RawFile.write_at, [number]
    def write_at(file, address, data):
        calls[0] -= 1
        if calls[0] == 0:
            write(file, address, data[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        write(file, address, data)
    RawFile.write_at = write_at

def work(out, seed):
    # What a killed process has written is there without a sync, and more commits go into the time.
    os.fsync = lambda descriptor: None
    rng = np.random.default_rng(seed)
    with transaction(path) as changes:
        while True:
            file = changes.file
            count = int(file.attrs["commits"]) + 1
            name = f"group {count % 7}"
            if name in file:
                del file[name]
            file.create_dataset(name + "/data", data=rng.random((int(rng.integers(1, 400)), 50)), chunks=(1, 50))
            file["Raw_Data"].attrs[f"note {count % 5}"] = "x" * int(rng.integers(1, 2000))
            file.attrs["commits"] = count
            changes.commit()
            os.write(out, f"{count} {digest()}\\n".encode())

undone = 0
for kill in range(kills):
    known = [int(h5py.File(path).attrs["commits"]), digest()]
    inlet, outlet = os.pipe()
    child = os.fork()
    # Every other one dies in the middle of some write, the others after some time.
    number = generator.randrange(1, 1500)
    if child == 0:
        if kill % 2:
            die_in_write(number)
        work(outlet, kill)
    os.close(outlet)
    if kill % 2 == 0:
        time.sleep(0.02 + generator.random() * 0.1)
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with os.fdopen(inlet) as pipe:
        lines = [line.split() for line in pipe.read().splitlines()]
    if lines:
        known = [int(lines[-1][0]), lines[-1][1]]
    undone += recover(path).needed
    with h5py.File(path) as file:
        assert (file["Raw_Data"][:] == raw).all()
        commits = int(file.attrs["commits"])
        file.visititems(lambda name, item: item[...] if isinstance(item, h5py.Dataset) else None)
    # The commit may have happened without the word of it getting through.
    assert commits in (known[0], known[0] + 1), (commits, known)
    assert commits == known[0] + 1 or digest() == known[1]
print(kills, "kills,", undone, "undone,", commits, "commits")
assert undone >= kills // 2
"""


def test_writers_killed_at_random_moments(tmp_path: Path) -> None:
    kills = os.environ.get("USIDX_KILLS", "10")
    script = [sys.executable, "-c", _KILLS, str(tmp_path / "scan.h5"), kills]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


_INTERRUPTS = """
import os, signal, sys, threading, time
import h5py, numpy as np
from usidx.io.write.transaction import transaction

path = sys.argv[1]
signal.signal(signal.SIGINT, signal.default_int_handler)
with h5py.File(path, "w") as file:
    file["Raw_Data"] = np.arange(20000.0)
for attempt in range(10):
    before = open(path, "rb").read()
    threading.Timer(0.02 + 0.005 * attempt, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        with transaction(path) as changes:
            count = 0
            while True:
                changes.file.create_dataset(f"{attempt} {count}", data=np.ones((100, 10)), chunks=(1, 10))
                count += 1
    except KeyboardInterrupt:
        pass
    assert open(path, "rb").read() == before, attempt
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert sys.gettrace() is None
assert len(os.listdir(os.path.dirname(path))) == 1
print("ok")
"""


def test_ctrl_c_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    script = [sys.executable, "-c", _INTERRUPTS, str(tmp_path / "scan.h5")]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr


# -- law ------------------------------------------------------------------------------------------------------------

_NAMES = st.sampled_from(["Raw_Data", "grows", "a", "b", "c", "a/inner", "b/inner"])


def _make_group(file: h5py.File, name: str, size: int) -> None:
    if name not in file and isinstance(file.get(name.partition("/")[0]), (h5py.Group, type(None))):
        file.create_group(name)


def _make_dataset(file: h5py.File, name: str, size: int) -> None:
    if name not in file and isinstance(file.get(name.partition("/")[0]), (h5py.Group, type(None))):
        file.create_dataset(name, data=np.arange(float(size)), maxshape=(None,), chunks=(64,))


def _set_attribute(file: h5py.File, name: str, size: int) -> None:
    if name in file:
        file[name].attrs[f"note {size % 3}"] = "x" * size


def _resize(file: h5py.File, name: str, size: int) -> None:
    if isinstance(file.get(name), h5py.Dataset) and file[name].chunks:
        file[name].resize((size,))


def _overwrite(file: h5py.File, name: str, size: int) -> None:
    if isinstance(file.get(name), h5py.Dataset):
        file[name][...] = size


def _delete(file: h5py.File, name: str, size: int) -> None:
    if name in file:
        del file[name]


def _flush(file: h5py.File, name: str, size: int) -> None:
    file.flush()


_EDITS = st.sampled_from([_make_group, _make_dataset, _set_attribute, _resize, _overwrite, _delete, _flush])
Edit = tuple[Callable[[h5py.File, str, int], None], str, int]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    edits=st.lists(st.tuples(_EDITS, _NAMES, st.integers(0, 3000)), max_size=12),
    spill=st.sampled_from([4096, staged.SPILL]),
)
def test_any_edits_are_undone_or_done(path: Path, edits: list[Edit], spill: int) -> None:
    before = path.read_bytes()
    copy = path.with_name("copy.h5")
    copy.write_bytes(before)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(staged, "SPILL", spill)
        patch.setattr(os, "fsync", lambda descriptor: None)
        with pytest.raises(KeyError, match="stop"), transaction(path) as changes:
            _make_all(changes.file, [*edits, (_stop, "", 0)])
        assert path.read_bytes() == before
        with transaction(copy) as changes:
            _make_all(changes.file, edits)
    assert _content(copy) == _edited(before, edits, path.with_name("plain.h5"))


def _make_all(file: h5py.File, edits: list[Edit]) -> None:
    for edit, name, size in edits:
        edit(file, name, size)


def _stop(file: h5py.File, name: str, size: int) -> None:
    raise KeyError("stop")


def _edited(before: bytes, edits: list[Edit], path: Path) -> dict[str, object]:
    """Make the same edits with plain h5py."""
    path.write_bytes(before)
    with h5py.File(path, "r+") as file:
        _make_all(file, edits)
    return _content(path)


def _content(path: Path) -> dict[str, object]:
    content: dict[str, object] = {}

    def visit(name: str, item: h5py.Dataset | h5py.Group) -> None:
        values = item[...].tolist() if isinstance(item, h5py.Dataset) else None
        content[name] = (values, dict(item.attrs))

    with h5py.File(path) as file:
        file.visititems(visit)
    return content
