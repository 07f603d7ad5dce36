"""The command line, as a person would use it."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

import usidx
from tests.kit.broken import FAULTS, broken_file
from usidx.cli import main
from usidx.io.disk.journal import Journal, find_journal_path
from usidx.io.disk.raw import RawFile
from usidx.testing.files import build_main

Out = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_info_shows_what_a_file_holds(capsys: Out) -> None:
    path = usidx.example_file()
    assert main(["info", path]) == 0
    shown = capsys.readouterr().out
    assert "Raw_Data" in shown
    assert "12 × 10 positions" in shown
    assert "32 Frequency (300–340 kHz)" in shown


def test_validate_is_content_with_a_good_file(capsys: Out) -> None:
    assert main(["validate", usidx.example_file()]) == 0
    assert "0 errors, 0 warnings" in capsys.readouterr().out


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_validate_finds_each_fault(capsys: Out, tmp_path: Path, fault: str) -> None:
    broken_file(tmp_path / "broken.h5", fault)
    code = main(["validate", str(tmp_path / "broken.h5")])
    shown = capsys.readouterr().out
    if fault == "reference to a deleted table":  # HDF5 may still find the table
        return
    assert re.search(r"^(error|warning) \[\w+\] ", shown, re.MULTILINE), shown
    assert code == (1 if "error [" in shown else 0)


def test_validate_finds_every_problem_at_once(capsys: Out, tmp_path: Path) -> None:
    built = build_main(tmp_path / "two.h5", np.eye(2), [("X", "m", [0, 1])], [("E", "V", [0, 1])])
    with h5py.File(built.path, "r+") as file:
        main_set = file[built.main]
        second = file.create_dataset(f"{built.main}_2", data=main_set[()])
        second.attrs.update(dict(main_set.attrs))
        main_set.attrs["units"] = 3.5
        second.attrs["quantity"] = 3.5
    assert main(["validate", "two.h5"]) == 1
    shown = capsys.readouterr().out
    assert "'units' must be a string" in shown
    assert "'quantity' must be a string" in shown


@pytest.mark.parametrize("command", ["info", "validate", "demo", "recover"])
def test_a_missing_file_is_named(capsys: Out, command: str) -> None:
    assert main([command, "nowhere.h5"]) in {1, 2}
    captured = capsys.readouterr()
    assert "nowhere.h5" in captured.err + captured.out


@pytest.mark.filterwarnings("default")
def test_a_warning_is_a_line_without_code(capsys: Out, tmp_path: Path) -> None:
    broken_file(tmp_path / "broken.h5", "quantity not a string")
    assert main(["info", "broken.h5"]) == 0
    assert re.fullmatch(r"usidx: warning: '/\S+' .+\n", capsys.readouterr().err)


def test_one_error_is_no_plural(capsys: Out, tmp_path: Path) -> None:
    (tmp_path / "empty.h5").touch()
    assert main(["validate", "empty.h5"]) == 1
    assert "empty.h5: 1 error, 0 warnings" in capsys.readouterr().out


def test_what_is_no_hdf5_file_is_named(capsys: Out) -> None:
    Path("text.h5").write_text("not HDF5", encoding="utf-8")
    assert main(["info", "text.h5"]) == 2
    assert "cannot be opened as HDF5" in capsys.readouterr().err
    assert main(["validate", "text.h5"]) == 1


def test_recover_has_nothing_to_do(capsys: Out) -> None:
    assert main(["recover", usidx.example_file()]) == 0
    assert capsys.readouterr().out.strip()


def test_recover_where_there_are_no_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Out) -> None:
    path = tmp_path / "scan.h5"
    usidx.write(usidx.simulate.band_excitation((3, 4), 16, seed=0)[0], path)
    target = RawFile(path)
    Journal(target, find_journal_path(path)).close()
    target.write_at(target.measure(), memoryview(b"tail"))
    target.close()
    monkeypatch.setenv("HDF5_USE_FILE_LOCKING", "FALSE")
    assert main(["recover", str(path)]) == 2
    assert "without locks nobody can tell which" in capsys.readouterr().err
    assert main(["recover", "--no-lock", str(path)]) == 0
    assert "an interrupted write was undone: 0 bytes put back, 4 cut off the end" in capsys.readouterr().out


def test_python_runs_the_package_as_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "usidx", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usidx ")


def test_a_reader_that_leaves_is_no_error() -> None:
    """As in `usidx info FILE | head -1`."""
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "usidx", "info", usidx.example_file()]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_reader_that_leaves_the_help_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "usidx", "--help"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_command_without_any_output_runs() -> None:
    shell = f'"{sys.executable}" -m usidx validate "{usidx.example_file()}" >&-'
    done = subprocess.run(shell, shell=True, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def interruptible() -> Iterator[None]:
    """A shell lets what it starts in the background ignore interrupts, the tests too, and they what they start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send")
def test_an_interrupt_is_a_line_and_exit_code_130() -> None:
    command = [sys.executable, "-m", "usidx", "demo"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        running.stdout.readline()  # now it is at work
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=300)
    assert (running.returncode, said) == (130, "usidx: interrupted\n")


@pytest.mark.usefixtures("interruptible")
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send")
def test_an_interrupt_while_the_package_is_loaded_is_a_line_too(tmp_path: Path) -> None:
    """A module that takes long to load stands for one of those that are loaded first."""
    (tmp_path / "xarray.py").write_text(
        "import time\nprint('loading', flush=True)\ntime.sleep(600)\n", encoding="utf-8"
    )
    package = str(Path(usidx.__file__).parents[1])
    paths = {"PYTHONPATH": os.pathsep.join([str(tmp_path), package])}
    command = [sys.executable, "-m", "usidx", "demo"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **paths}
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "loading\n"
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=300)
    assert (running.returncode, said) == (130, "usidx: interrupted\n")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send")
@pytest.mark.parametrize("lost", ["weakref.ref(keep(Thing()), press)", "Dying()", "swallow()"])
def test_an_interrupt_that_python_loses_ends_the_command_all_the_same(lost: str) -> None:
    """Weak references and `__del__` print what is raised in them, and others catch everything."""
    program = f"""
import contextlib, os, signal, sys, time, weakref
import usidx, usidx.cli
signal.signal(signal.SIGINT, signal.default_int_handler)
class Thing: pass
class Dying:
    def __del__(self): press()
kept = []
def keep(thing):
    kept[:] = [thing]
    return thing
def press(*_):
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(100): pass
def swallow():
    with contextlib.suppress(BaseException): press()
    raise usidx.errors.UsidError("it did not work")
def work(tree):
    held = {lost}
    kept.clear()
    del held
    time.sleep(600)
usidx.summary = work
sys.exit(usidx.cli.main(["info", usidx.example_file()]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stderr) == (130, "usidx: interrupted\n")
