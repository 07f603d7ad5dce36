"""Turns: writers who wait stand in line, and readers let them pass."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest

from usidx.io.disk import line, lock
from usidx.io.disk.companions import find_line_path
from usidx.io.disk.line import acquire_in_turn, give_way
from usidx.io.disk.lock import claim_file, hold_for_reading, try_lock
from usidx.io.disk.raw import RawFile
from usidx.io.write.transaction import open_shared, transaction


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        file["Raw_Data"] = np.arange(2000.0)
    return path


@contextmanager
def _somebody_in_line(path: Path) -> Iterator[list[str]]:
    """Stand in line as another program does; what is listed while that goes on is told apart from what comes after."""
    file = RawFile(find_line_path(path), create=True)
    held = try_lock(file.fileno(), file.path, exclusive=True)
    assert held is not None
    events: list[str] = []
    try:
        yield events
    finally:
        events.append("left the line")
        file.path.unlink()
        held.release()
        file.close()


def _start(work: threading.Thread, wait: threading.Event) -> None:
    work.start()
    assert wait.wait(60)


def test_a_reader_lets_who_waits_to_write_pass(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "COURTESY", 60.0)
    looked, is_somebody_in = threading.Event(), line._is_somebody_in

    def look(name: Path) -> bool:
        looked.set()
        return is_somebody_in(name)

    monkeypatch.setattr(line, "_is_somebody_in", look)
    with _somebody_in_line(path) as events:

        def read() -> None:
            with open_shared(path):
                events.append("read")

        reader = threading.Thread(target=read)
        _start(reader, looked)
    reader.join()
    assert events == ["left the line", "read"]


def test_a_reader_goes_ahead_after_a_while(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "COURTESY", 0.05)
    with _somebody_in_line(path) as events, open_shared(path):
        events.append("read")
    assert events == ["read", "left the line"]


def test_a_writer_comes_after_those_who_waited_longer(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, ask = threading.Event(), try_lock

    def asking(descriptor: int, name: Path, exclusive: bool) -> object:
        asked.set()
        return ask(descriptor, name, exclusive)

    monkeypatch.setattr("usidx.io.disk.line.try_lock", asking)
    with _somebody_in_line(path) as events:

        def write() -> None:
            file = RawFile(path)
            held = acquire_in_turn(file, 60.0)
            assert held is not None
            events.append("locked")
            held.release()
            file.close()

        writer = threading.Thread(target=write)
        _start(writer, asked)
    writer.join()
    assert events == ["left the line", "locked"]
    assert not find_line_path(path).exists()


@pytest.mark.parametrize("is_folder", [False, True])
def test_what_a_kill_left_of_a_line_stops_nobody(path: Path, is_folder: bool) -> None:
    left = find_line_path(path)
    left.mkdir() if is_folder else left.touch()
    give_way(path)
    with open_shared(path) as file:
        assert (file["Raw_Data"][:] == np.arange(2000.0)).all()
    with transaction(path, wait=5.0) as changes:
        changes.file["new"] = 1
    assert left.exists() == is_folder


def test_threads_write_in_the_order_of_their_coming(path: Path) -> None:
    order: list[int] = []

    def write(number: int) -> None:
        with claim_file(path, wait=60.0):
            order.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(5)]
    with claim_file(path):
        for count, thread in enumerate(threads, start=1):
            thread.start()
            while len(_waiting()) < count:
                pass
    for thread in threads:
        thread.join()
    assert order == list(range(5))


def _waiting() -> list[object]:
    lines = list(lock._lines.values())  # at once: a thread may come to stand in line meanwhile
    return lines[0] if lines else []


def test_new_readers_of_the_program_let_a_commit_pass(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "COURTESY", 60.0)
    events: list[str] = []
    with claim_file(path) as claim:

        def commit() -> None:
            claim.overwrite()
            events.append("overwritten")
            claim.admit_readers()

        def read() -> None:
            with hold_for_reading(path):
                events.append("read")

        committing, reading = threading.Thread(target=commit), threading.Thread(target=read)
        with hold_for_reading(path):
            committing.start()
            while not claim.is_waiting:
                pass
            reading.start()
        committing.join()  # while the claim is held: a reader who came after it would have nobody to wait for
        reading.join()
    assert events == ["overwritten", "read"]


_WRITE = """
import sys
from usidx.io.write.transaction import transaction
for number in range(8):
    with transaction(sys.argv[1], wait=60.0) as changes:
        changes.file.create_dataset(f"{sys.argv[2]} {number}", data=[number] * 1000)
        changes.file["Raw_Data"][:] = number
"""

_READ = """
import sys, threading
from usidx.io.write.transaction import open_shared
def read():
    while True:
        with open_shared(sys.argv[1]) as file:
            values = set(file["Raw_Data"][:])
            assert len(values) == 1, values
            if len(file) == 17:
                return
threads = [threading.Thread(target=read) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


def test_two_writers_and_eight_readers_get_their_turns(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["Raw_Data"][:] = 0.0
    programs = [(_WRITE, "a"), (_WRITE, "b"), (_READ, ""), (_READ, "")]
    running = [
        subprocess.Popen([sys.executable, "-c", script, str(path), name], stderr=subprocess.PIPE, text=True)
        for script, name in programs
    ]
    said = [program.communicate(timeout=300)[1] for program in running]
    assert [program.returncode for program in running] == [0] * 4, said
    assert not any(said)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
