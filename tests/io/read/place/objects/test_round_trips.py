"""Objects far away: how often an answer is waited for before the next question, counted, not timed."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import usidx
from tests.kit.range_server import RangeServer
from usidx.io.read.place.objects.connection import Connection
from usidx.testing.files import build_main

pytest.importorskip("fsspec")
pytest.importorskip("aiohttp")

#: So many requests are under way at once.
AT_ONCE = 32
STORAGE: dict[str, dict[str, Any]] = {
    "contiguous": {},
    "gzip": {"chunks": (16, 64), "compression": "gzip", "compression_opts": 1},
}


@pytest.fixture
def server() -> Iterator[RangeServer]:
    with RangeServer() as found:
        yield found


class Waits(list[str]):
    """What was waited for, one after another."""


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Waits:
    noted = Waits()

    def note(name: str, count: Callable[..., int]) -> None:
        original = getattr(Connection, name)

        def counted(self: Connection, *args: Any) -> Any:
            noted.extend([name] * count(*args))
            return original(self, *args)

        monkeypatch.setattr(Connection, name, counted)

    note("ask_first", lambda nbytes: 1)
    note("ask_info", lambda: 1)
    note("fetch_ranges", lambda spans, version: -(-sum(start < end for start, end in spans) // AT_ONCE))
    return noted


def make_file(path: Path, mains: int, storage: str, steps: int, **how: Any) -> np.ndarray[Any, Any]:
    """Write mains with channels of their own, as instruments do: one after another, data between what describes it."""
    rng = np.random.default_rng(mains)
    cells = rng.integers(0, 4000, (mains, 16, 32, steps)).astype("f4")
    dims = [("Y", "m", list(range(16))), ("X", "m", list(range(32)))], [("Bias", "V", list(range(steps)))]
    with h5py.File(path, "w", **how) as file:
        for number, one in enumerate(cells):
            group = file.create_group(f"Measurement_000/Channel_{number:03}")
            made = build_main(group, one, [(n, u, np.array(v, float)) for n, u, v in dims[0]], dims[1])
            if STORAGE[storage]:
                attrs = dict(file[made.main].attrs)
                del file[made.main]
                dataset = file.create_dataset(made.main, data=one.reshape(512, steps), **STORAGE[storage])
                for name, value in attrs.items():
                    dataset.attrs[name] = value
    return cells


@pytest.mark.parametrize("storage", STORAGE)
@pytest.mark.parametrize(("mains", "most"), [(1, 3), (30, 4)])
def test_opening_waits_few_times(
    tmp_path: Path, server: RangeServer, waits: Waits, mains: int, most: int, storage: str
) -> None:
    cells = make_file(tmp_path / "x.h5", mains, storage, 2048 if mains == 1 else 128)
    server.files["x.h5"] = (tmp_path / "x.h5").read_bytes()
    name = f"Channel_{mains - 1:03}/Raw_Data"
    data = usidx.open_main(server.url("x.h5"), name)
    assert len(waits) <= most, waits
    assert "ask_info" not in waits
    waits.clear()
    np.testing.assert_array_equal(data.isel(Y=3, X=5), cells[-1, 3, 5])
    assert len(waits) <= 2, waits
    waits.clear()
    np.testing.assert_array_equal(data.isel(Y=9, X=1), cells[-1, 9, 1])
    assert len(waits) == 1, waits
    waits.clear()
    np.testing.assert_array_equal(data.isel(Bias=7), cells[-1, ..., 7])
    assert len(waits) <= 2, waits
    waits.clear()
    assert len(usidx.list_mains(server.url("x.h5"))) == mains
    assert waits == ["ask_info"]  # whether it is still the same
    waits.clear()
    tree = usidx.open_tree(server.url("x.h5?anew=1"))
    assert len(waits) <= most, waits
    assert len(tree.leaves) == mains


@pytest.mark.parametrize("libver", ["earliest", "v110", "latest"])
def test_newer_files_wait_few_times_too(tmp_path: Path, server: RangeServer, waits: Waits, libver: Any) -> None:
    cells = make_file(tmp_path / "x.h5", 6, "gzip", 1024, libver=libver)
    server.files["x.h5"] = (tmp_path / "x.h5").read_bytes()
    data = usidx.open_main(server.url("x.h5"), "Channel_004/Raw_Data")
    assert len(waits) <= 6, waits
    waits.clear()
    np.testing.assert_array_equal(data.isel(Y=3, X=5), cells[4, 3, 5])
    assert len(waits) <= 3, waits


def test_servers_without_marks_wait_little_more(tmp_path: Path, server: RangeServer, waits: Waits) -> None:
    cells = make_file(tmp_path / "x.h5", 1, "contiguous", 1024)
    server.files["x.h5"] = (tmp_path / "x.h5").read_bytes()
    server.has_marks = False
    data = usidx.open_main(server.url("x.h5"))
    assert len(waits) <= 4, waits  # a sample of the data tells it from other data
    waits.clear()
    np.testing.assert_array_equal(data.isel(Y=3, X=5), cells[0, 3, 5])
    assert waits == ["fetch_ranges"]


def test_stores_that_are_asked_for_the_version(tmp_path: Path, waits: Waits) -> None:
    """As S3 by s3fs, which does not hand on what an answer tells beside the bytes."""
    memory = pytest.importorskip("fsspec").filesystem("memory")
    cells = make_file(tmp_path / "x.h5", 1, "gzip", 1024)
    memory.pipe("/far/x.h5", (tmp_path / "x.h5").read_bytes())
    data = usidx.open_main("memory://far/x.h5")
    assert waits.count("ask_info") == 2  # before and after
    assert len(waits) <= 5, waits
    waits.clear()
    np.testing.assert_array_equal(data.isel(Y=3, X=5), cells[0, 3, 5])
    assert waits[-2:] == ["fetch_ranges", "ask_info"]
    assert len(waits) <= 3, waits


def test_a_worker_that_never_saw_the_file(tmp_path: Path, server: RangeServer, waits: Waits, monkeypatch: Any) -> None:
    from usidx.io.read.chunks import cache
    from usidx.io.read.place import remote
    from usidx.io.read.place.objects import pages
    from usidx.io.read.place.objects.lru import LruCache

    cells = make_file(tmp_path / "x.h5", 1, "gzip", 1024)
    server.files["x.h5"] = (tmp_path / "x.h5").read_bytes()
    data = usidx.open_main(server.url("x.h5"))
    for module, name in ((cache, "_maps"), (remote, "_known"), (remote, "_scouted"), (pages, "_pages")):
        monkeypatch.setattr(module, name, LruCache(1 << 20, lambda _: 1))
    waits.clear()
    np.testing.assert_array_equal(data.isel(Y=3, X=5), cells[0, 3, 5])
    assert len(waits) <= 5, waits


def test_a_file_that_was_replaced_since_it_was_met(tmp_path: Path, server: RangeServer) -> None:
    """What is known of an older version is no reason to fail, and never mixed with the new one."""
    first = make_file(tmp_path / "x.h5", 1, "gzip", 1024)
    server.files["x.h5"] = (tmp_path / "x.h5").read_bytes()
    data = usidx.open_main(server.url("x.h5"))
    with h5py.File(tmp_path / "x.h5", "r+") as file:
        raw = file["Measurement_000/Channel_000/Raw_Data"]
        raw[...] = raw[()] + 1
    server.files["x.h5"] = (tmp_path / "x.h5").read_bytes()
    np.testing.assert_array_equal(data.isel(Y=3, X=5), first[0, 3, 5] + 1)
    np.testing.assert_array_equal(usidx.open_main(server.url("x.h5")).isel(Bias=5), first[0, ..., 5] + 1)
