"""Twice as many datasets take twice as much work; what is opened by its path takes as much in any file.

Work is counted in calls, which are the same on every machine; and no name of an object is looked up to which a
reference led, for which HDF5 would look through the whole file.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import usidx
from usidx.testing.files import build_main

DIMS = [("Y", "m", [0.0, 1.0]), ("X", "m", [0.0, 1.0, 2.0])], [("Bias", "V", [0.0, 0.5])]
ARRAY = np.arange(12.0).reshape(2, 3, 2)


def _beside(path: Path, count: int) -> None:
    """Make many mains in one channel, which share their tables."""
    with h5py.File(path, "w") as file:
        channel = file.create_group("Measurement_000/Channel_000")
        first = build_main(channel, ARRAY, *DIMS, name="Raw_000")
        for number in range(1, count):
            build_main(channel, ARRAY, first.position, first.spectroscopic, name=f"Raw_{number:03}")


def _channels(path: Path, count: int) -> None:
    """Make many channels, each with a main and tables of its own."""
    with h5py.File(path, "w") as file:
        for number in range(count):
            channel = file.create_group(f"Measurement_000/Channel_{number:03}")
            channel.attrs["comment"] = "as it was measured"
            build_main(channel, ARRAY, *DIMS)


def _results(path: Path, count: int) -> None:
    """Make many results groups beside their source, as pyUSID does."""
    with h5py.File(path, "w") as file:
        channel = file.create_group("Measurement_000/Channel_000")
        source = build_main(channel, ARRAY, *DIMS)
        for number in range(count):
            group = channel.create_group(f"Raw_Data-Filter_{number:03}")
            group.attrs.update({"tool": "Filter", "num_source_dsets": 1, "source_000": file[source.main].ref})
            build_main(group, ARRAY, source.position, source.spectroscopic, name="Filtered")


def _groups(path: Path, count: int) -> None:
    """Make many empty groups beside a channel."""
    with h5py.File(path, "w") as file:
        build_main(file.create_group("Measurement_000/Channel_000"), ARRAY, *DIMS)
        for number in range(2 * count):
            file.create_group(f"Empty/Group_{number:03}")


FILES: dict[str, Callable[[Path, int], None]] = {f.__name__: f for f in (_beside, _channels, _results, _groups)}
#: Part of the path of a thing in each file that has many.
LAST = {"_beside": "Raw_003", "_channels": "Channel_003/Raw_Data", "_results": "Raw_Data-Filter_003/Filtered"}
WHOLE: dict[str, Callable[[Path], Any]] = {
    "list_mains": usidx.list_mains,
    "list_results": usidx.list_results,
    "open_tree": usidx.open_tree,
    "validate": usidx.validate,
    "info": lambda path: usidx.summary(usidx.open_tree(path)),
}


@contextmanager
def _counted() -> Iterator[list[int]]:
    """Count the calls of Python and C functions."""
    total = [0]

    def count(frame: object, event: str, argument: object) -> None:
        total[0] += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        yield total
    finally:
        sys.setprofile(before)


def _calls(work: Callable[[], Any]) -> int:
    work()  # imports, and what is kept for good
    with _counted() as total:
        work()
    return total[0]


@pytest.mark.parametrize("file", FILES)
def test_twice_as_many_take_twice_as_much(tmp_path: Path, file: str) -> None:
    paths = [tmp_path / f"{count}.h5" for count in (6, 12, 24)]
    for path in paths:
        FILES[file](path, int(path.stem))
    steps = {}
    for what, work in WHOLE.items():
        few, more, most = (_calls(lambda at=path, do=work: do(at)) for path in paths)  # type: ignore[misc]
        steps[what] = (most - more) / (more - few)
    # Of a line the second step is twice the first; of a square it would be four times.
    assert steps == pytest.approx(dict.fromkeys(WHOLE, 2), rel=0.1)


@pytest.mark.parametrize("file", LAST)
def test_one_of_many_takes_no_more(tmp_path: Path, file: str) -> None:
    few, many = tmp_path / "64.h5", tmp_path / "192.h5"
    ways: list[Callable[[Path, str], Any]] = [usidx.open_main, usidx.open_dataset]
    if file == "_results":
        ways.append(lambda path, main: usidx.open_result(path, main.rsplit("/", 1)[0]))
    counts: dict[Path, list[int]] = {}
    for path in (few, many):
        FILES[file](path, int(path.stem))
        (main,) = (m for m in usidx.list_mains(path) if m.endswith(LAST[file]))
        counts[path] = [_calls(lambda at=path, name=main, do=way: do(at, name)) for way in ways]  # type: ignore[misc]
    # Not equal to the call: HDF5 keeps texts of several objects together, and all of them are looked at.
    assert max(more - less for less, more in zip(counts[few], counts[many], strict=True)) < 192 - 64


@pytest.fixture
def names_looked_up(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Collect the names that are looked up of objects to which a reference led."""
    followed: list[Any] = []  # kept, so that no other object takes their place in memory
    looked_up: list[bytes] = []
    dereference, get_name = h5py.h5r.dereference, h5py.h5i.get_name

    def follow(*arguments: Any) -> Any:
        followed.append(dereference(*arguments))
        return followed[-1]

    def name(identifier: Any) -> bytes:
        found: bytes = get_name(identifier)
        if any(identifier is one for one in followed):
            looked_up.append(found)
        return found

    monkeypatch.setattr(h5py.h5r, "dereference", follow)
    monkeypatch.setattr(h5py.h5i, "get_name", name)
    return looked_up


def test_names_are_collected(tmp_path: Path, names_looked_up: list[bytes]) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        group = file.create_group("there")
        assert file[group.ref].name == "/there"
    assert names_looked_up == [b"/there"]


@pytest.mark.parametrize("file", FILES)
def test_no_name_is_looked_up(tmp_path: Path, file: str, names_looked_up: list[bytes]) -> None:
    FILES[file](tmp_path / "scan.h5", 4)
    for work in WHOLE.values():
        work(tmp_path / "scan.h5")
    assert names_looked_up == []


@pytest.mark.parametrize("file", LAST)
def test_no_name_is_looked_up_for_one(tmp_path: Path, file: str, names_looked_up: list[bytes]) -> None:
    FILES[file](tmp_path / "scan.h5", 4)
    main = usidx.list_mains(tmp_path / "scan.h5")[-1]
    usidx.open_main(tmp_path / "scan.h5", main)
    usidx.open_dataset(tmp_path / "scan.h5", main)
    usidx.open_dataset(tmp_path / "scan.h5", main.rsplit("/", 1)[0])
    if file == "_results":
        opened = usidx.open_result(tmp_path / "scan.h5", main.rsplit("/", 1)[0])
        assert "Filtered" in opened
    assert names_looked_up == []
