"""What is read past HDF5 equals what HDF5 reads, for every layout, selection and state that a file may be in."""

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
import h5py
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usidx.errors import UsidError
from usidx.io.disk.lock import LockedError
from usidx.io.read.chunks import chunk_map, direct
from usidx.io.read.chunks import selection as cuts
from usidx.io.read.chunks import strips as strips_module
from usidx.io.read.chunks.stored_array import StoredArray, describe_stored_array
from usidx.io.read.place.local_bytes import Source
from usidx.io.write.transaction import transaction
from usidx.tasks import pool

Array = npt.NDArray[Any]

PAIR = np.dtype([("a", ">f4"), ("b [V]", "i2"), ("c", "c16")])
DTYPES = [
    *("u1", "u2", ">u4", "u8", "i1", ">i2", "i4", "i8", "f2", ">f2", "f4", ">f4", "f8", ">f8", "c8", ">c8", "c16", "?"),
    PAIR,
]
SERVED: list[dict[str, Any]] = [
    {},
    {"shuffle": True},
    {"compression": "gzip"},
    {"compression": "gzip", "compression_opts": 1, "shuffle": True},
    {"compression": "gzip", "shuffle": True, "fletcher32": True},
    {"fletcher32": True},
]
OTHERS: list[dict[str, Any]] = [{"compression": "lzf"}, {"compression": "lzf", "shuffle": True, "fletcher32": True}]


@dataclass
class Case:
    """A dataset to make and what to read of it."""

    dtype: Any
    shape: tuple[int, ...]
    storage: dict[str, Any]
    layout: str
    written: tuple[slice, ...]
    selectors: list[Any]
    seed: int

    @property
    def is_served(self) -> bool:
        return self.layout != "compact" and self.storage.get("compression") != "lzf"


@st.composite
def selectors(draw: st.DrawFn, size: int) -> Any:
    """Draw a slice of any step, or indices in any order with repeats."""
    if draw(st.booleans()):
        return draw(st.slices(size))
    return np.array(draw(st.lists(st.integers(0, size - 1), max_size=2 * size)), dtype=np.int64)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    shape = tuple(draw(st.lists(st.integers(1, 9), max_size=3)))
    layout = draw(st.sampled_from(["chunked", "contiguous", "compact"])) if shape else "contiguous"
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    storage: dict[str, Any] = {}
    if layout == "chunked":
        storage = dict(draw(st.sampled_from(SERVED + OTHERS)))
        storage["chunks"] = tuple(draw(st.integers(1, n)) for n in shape)
        if dtype.kind in "iuf" and draw(st.booleans()):
            storage["fillvalue"] = 7
    written = tuple(slice(*sorted([draw(st.integers(0, n)), draw(st.integers(0, n))])) for n in shape)
    return Case(
        dtype, shape, storage, layout, written, [draw(selectors(n)) for n in shape], draw(st.integers(0, 2**32 - 1))
    )


def make(path: Path, case: Case) -> tuple[StoredArray, Array]:
    """Make the file with plain h5py and have h5py read all of it."""
    with h5py.File(path, "w") as file:
        creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        if case.layout == "compact":
            creation.set_layout(h5py.h5d.COMPACT)
            space, kind = h5py.h5s.create_simple(case.shape), h5py.h5t.py_create(np.dtype(case.dtype), logical=True)
            h5py.h5d.create(file.id, b"x", kind, space, creation)
            dataset = file["x"]
        else:
            dataset = file.create_dataset("x", case.shape, case.dtype, **case.storage)
        bits = np.random.default_rng(case.seed).integers(0, 256, dataset.size * dataset.dtype.itemsize, dtype="u1")
        cells = (bits & 1 if dataset.dtype.kind == "b" else bits).view(dataset.dtype).reshape(case.shape)
        if all(part.start < part.stop for part in case.written):
            dataset[case.written] = cells[case.written]
    with h5py.File(path) as file:
        return describe_stored_array(file["x"]), np.asarray(file["x"][()])


@contextmanager
def no_hdf5() -> Iterator[None]:
    """Have reading through h5py fail."""

    def refuse(*_: Any) -> None:
        raise AssertionError("read through h5py")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StoredArray, "_read_by_hdf5", refuse)
        yield


@contextmanager
def only_hdf5() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("usidx.io.read.chunks.stored_array.read_direct", lambda *_: None)
        yield


@contextmanager
def in_small_pieces() -> Iterator[None]:
    """Have every few bytes read on their own, by several threads."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cuts, "_CHEAP_GAP", 5)
        for module in (cuts, direct):
            patch.setattr(module, "WINDOW", 64)
        patch.setattr(direct, "_CHEAP_GAP", 3)
        patch.setattr(strips_module, "_CALL", 2)
        patch.setattr(strips_module, "_BATCH", 2)
        patch.setattr(direct, "_WORTH_THREADS", 0)
        patch.setattr(direct, "_LEAST_UNIT", 50)
        with dask.config.set(num_workers=3):
            yield


def same(found: Array, wanted: Array) -> None:
    assert found.shape == wanted.shape
    assert found.dtype == wanted.dtype.newbyteorder("=")
    np.testing.assert_equal(found.tobytes(), wanted.astype(found.dtype).tobytes())


def indexed(cells: Array, selectors: list[Any]) -> Array:
    """Apply one selector per axis, by numpy."""
    for axis, selector in enumerate(selectors):
        cells = cells[(slice(None),) * axis + (selector,)]
    return cells


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("direct")


@settings(max_examples=150)
@given(cases(), st.booleans())
def test_direct_equals_hdf5(folder: Path, case: Case, pieces: bool) -> None:
    stored, cells = make(folder / "x.h5", case)
    wanted = indexed(cells, case.selectors)
    with no_hdf5() if case.is_served else nullcontext(), in_small_pieces() if pieces else nullcontext():
        same(stored.read(*case.selectors), wanted)
    with only_hdf5():
        same(stored.read(*case.selectors), wanted)


@settings(max_examples=40)
@given(cases(), st.sampled_from(["a", "b [V]", "c"]))
def test_a_field_equals_hdf5(folder: Path, case: Case, field: str) -> None:
    case.dtype = PAIR
    case.storage.pop("fillvalue", None)
    make(folder / "x.h5", case)
    with h5py.File(folder / "x.h5") as file:
        stored, cells = describe_stored_array(file["x"], field), file["x"].fields(field)[()]
    with no_hdf5() if case.is_served else only_hdf5():
        same(stored.read(*case.selectors), indexed(np.asarray(cells), case.selectors))


def scan(path: Path, shape: tuple[int, int] = (64, 50), **storage: Any) -> tuple[StoredArray, Array]:
    cells = np.random.default_rng(0).normal(size=shape).astype("f4").round(2)
    with h5py.File(path, "w") as file:
        return describe_stored_array(file.create_dataset("x", data=cells, **storage)), cells


ALL = slice(None)
STORAGES: list[dict[str, Any]] = [{}, {"chunks": (7, 8)}, {"chunks": (16, 50), "compression": "gzip", "shuffle": True}]


@pytest.mark.parametrize("storage", STORAGES + SERVED, ids=str)
def test_after_the_first_read_hdf5_is_not_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, storage: dict[str, Any]
) -> None:
    stored, cells = scan(tmp_path / "x.h5", **storage)
    os.utime(tmp_path / "x.h5", (1, 1))  # a file that was not changed just now
    with no_hdf5():
        same(stored.read(ALL, ALL), cells)
        monkeypatch.setattr("usidx.io.read.place.local.open_shared", None)
        monkeypatch.setattr(h5py, "File", None)
        same(stored.read(slice(3, 40), np.array([4, 2])), cells[3:40][:, [4, 2]])
        same(pickle.loads(pickle.dumps(stored)).read(ALL, slice(5)), cells[:, :5])


def test_whole_chunks_are_read_straight_into_the_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    read = os.preadv

    def counted(fd: int, buffers: list[memoryview], at: int) -> int:
        calls.append(len(buffers))
        return read(fd, buffers, at)

    monkeypatch.setattr(os, "preadv", counted)
    stored, cells = scan(tmp_path / "x.h5", chunks=(8, 50))
    staged: list[Any] = []
    monkeypatch.setattr(direct._Block, "_place", lambda *args: staged.append(args))
    same(stored.read(slice(8, 40), ALL), cells[8:40])
    assert not staged
    assert sum(calls) == 4
    assert len(calls) <= 2  # neighbours at once


def test_only_the_rows_wanted_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[int] = []
    read = os.preadv

    def counted(fd: int, buffers: list[memoryview], at: int) -> int:
        fetched.append(sum(map(len, buffers)))
        return read(fd, buffers, at)

    monkeypatch.setattr(os, "preadv", counted)
    for storage in ({}, {"chunks": (32, 50)}):
        stored, cells = scan(tmp_path / "x.h5", **storage)
        fetched.clear()
        same(stored.read(slice(40, 42), ALL), cells[40:42])
        assert fetched == [2 * 50 * 4]


@pytest.fixture
def strips(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Collect address and size of each strip that is read by itself."""
    found: list[tuple[int, int]] = []
    read_each = Source.read_each

    def noted(self: Source, addresses: list[int], size: int) -> Any:
        found.extend((address, size) for address in addresses)
        return read_each(self, addresses, size)

    monkeypatch.setattr(Source, "read_each", noted)
    return found


@pytest.mark.parametrize("has_preadv", [True, False])
def test_a_column_of_long_rows_is_read_row_by_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strips: list[tuple[int, int]], has_preadv: bool
) -> None:
    if not has_preadv:  # as on Windows
        monkeypatch.delattr(os, "preadv", raising=False)
        monkeypatch.delattr(os, "pread", raising=False)
    stored, cells = scan(tmp_path / "x.h5", (5, 40_000))
    with h5py.File(tmp_path / "x.h5") as file:
        begin = file["x"].id.get_offset()
    with no_hdf5():
        same(stored.read(ALL, slice(70, 75)), cells[:, 70:75])
        assert strips == [(begin + row * 160_000 + 280, 20) for row in range(5)]
        strips.clear()
        same(stored.read(np.array([4, 1, 1]), np.array([39_999, 3, 9])), cells[[4, 1, 1]][:, [39_999, 3, 9]])
        # Near columns come together, rows and columns in the order of the file and once each.
        wanted = [(row, column, count) for column, count in ((3, 7), (39_999, 1)) for row in (1, 4)]
        assert strips == [(begin + row * 160_000 + column * 4, count * 4) for row, column, count in wanted]


def test_strips_of_fields_and_in_batches(tmp_path: Path, strips: list[tuple[int, int]]) -> None:
    cells = np.zeros((9000, 900), PAIR)
    cells["b [V]"] = np.arange(9000 * 900).reshape(9000, 900) % 1000
    with h5py.File(tmp_path / "x.h5", "w") as file:
        stored = describe_stored_array(file.create_dataset("x", data=cells), "b [V]")
    same(stored.read(slice(None, None, -2), slice(7, 8)), cells["b [V]"][::-2, 7:8])
    assert len(strips) == 4500


@pytest.mark.parametrize(("rows", "columns"), [(ALL, ALL), (slice(2, 3), ALL), (ALL, slice(0, 39_000))])
def test_what_is_mostly_wanted_is_read_at_once(
    tmp_path: Path, strips: list[tuple[int, int]], rows: slice, columns: slice
) -> None:
    stored, cells = scan(tmp_path / "x.h5", (5, 40_000))
    same(stored.read(rows, columns), cells[rows, columns])
    assert not strips


def test_short_rows_are_read_along(tmp_path: Path, strips: list[tuple[int, int]]) -> None:
    stored, cells = scan(tmp_path / "x.h5")
    same(stored.read(ALL, slice(3, 4)), cells[:, 3:4])
    assert not strips


def test_strips_that_come_short_are_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, size, at: read(fd, min(size, 7), at))
    stored, cells = scan(tmp_path / "x.h5", (5, 40_000))
    same(stored.read(ALL, slice(70, 75)), cells[:, 70:75])


def test_strips_of_a_file_that_is_cut_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "pread", lambda *_: b"")
    monkeypatch.setattr(os, "preadv", lambda *_: 0)
    stored, _ = scan(tmp_path / "x.h5", (5, 40_000))
    with no_hdf5(), pytest.raises(UsidError, match="the file ends within it"):
        stored.read(ALL, slice(70, 75))


def test_strips_beyond_the_end_are_refused(tmp_path: Path) -> None:
    stored, _ = scan(tmp_path / "x.h5", (5, 40_000))
    with h5py.File(tmp_path / "x.h5") as file:
        begin = file["x"].id.get_offset()
    os.truncate(tmp_path / "x.h5", begin + 500_000)
    with pytest.raises(UsidError, match=r"cannot be opened|said to have 800000 bytes"):
        stored.read(ALL, slice(70, 75))


@pytest.mark.parametrize("storage", [{}, {"chunks": (8, 8), "compression": "gzip", "shuffle": True}], ids=str)
def test_without_reads_at_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, storage: dict[str, Any]) -> None:
    """As on Windows: a handle for each thread."""
    monkeypatch.delattr(os, "preadv")
    stored, cells = scan(tmp_path / "x.h5", (640, 50), **storage)
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else None
    with in_small_pieces(), no_hdf5():
        same(stored.read(ALL, ALL), cells)
        same(stored.read(slice(None, None, 3), np.array([3, 1])), cells[::3][:, [3, 1]])
    assert before is None or len(os.listdir("/proc/self/fd")) == before


def test_short_reads_are_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = os.preadv
    monkeypatch.setattr(os, "preadv", lambda fd, buffers, at: read(fd, [buffers[0][:7]], at))
    stored, cells = scan(tmp_path / "x.h5")
    with no_hdf5():
        same(stored.read(ALL, ALL), cells)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_nothing_stays_open(tmp_path: Path) -> None:
    sources = [scan(tmp_path / f"{n}.h5", **storage) for n, storage in enumerate(STORAGES)]
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        for stored, cells in sources:
            same(stored.read(ALL, ALL), cells)
    assert len(os.listdir("/proc/self/fd")) == before


def test_threads_read_at_once(tmp_path: Path) -> None:
    sources = [scan(tmp_path / f"{n}.h5", (512, 50), **storage) for n, storage in enumerate(STORAGES)]
    starts = list(range(0, 512, 16)) * 3

    def look(start: int) -> None:
        for stored, cells in sources:
            same(stored.read(slice(start, start + 16), ALL), cells[start : start + 16])

    with in_small_pieces(), ThreadPoolExecutor(8) as threads:
        list(threads.map(look, starts))


def test_a_large_block_is_decoded_by_several_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_busy", pool._Busy())
    seen: set[str] = set()
    unit = direct._Block._read_unit
    are_both_here = threading.Barrier(2)

    def noted(self: Any, *args: Any) -> None:
        name = threading.current_thread().name
        if name not in seen:
            seen.add(name)
            are_both_here.wait(20)
        unit(self, *args)

    stored, cells = scan(tmp_path / "x.h5", (4096, 256), chunks=(64, 256), compression="gzip", shuffle=True)
    with monkeypatch.context() as patch, dask.config.set(num_workers=2):
        patch.setattr(direct._Block, "_read_unit", noted)
        same(stored.read(ALL, ALL), cells)
    assert seen == {threading.current_thread().name, "usidx-read_0"}  # who asks works, too
    monkeypatch.setattr(pool, "_start_helper", None)
    same(stored.read(slice(0, 2), ALL), cells[:2])  # not worth waking anyone


def test_another_process_reads_a_pickled_array(tmp_path: Path) -> None:
    stored, cells = scan(tmp_path / "x.h5", **STORAGES[2])
    assert len(pickle.dumps(stored)) < 700
    (tmp_path / "stored").write_bytes(pickle.dumps(stored))
    program = "import pickle, sys; s = pickle.load(open(sys.argv[1], 'rb')); print(s.read(slice(9), slice(9)).sum())"
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "stored")], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) == pytest.approx(float(cells[:9, :9].sum()), rel=1e-5)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_reads(tmp_path: Path) -> None:
    with in_small_pieces():
        stored, cells = scan(tmp_path / "x.h5", (256, 50), **STORAGES[2])
        same(stored.read(ALL, ALL), cells)
        child = os.fork()
        if child == 0:
            os._exit(0 if (stored.read(ALL, ALL) == cells).all() else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# -- files that change ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("storage", STORAGES, ids=str)
def test_a_file_is_appended_to_between_reads(tmp_path: Path, storage: dict[str, Any]) -> None:
    stored, cells = scan(tmp_path / "x.h5", **storage)
    with no_hdf5():
        for number in range(3):
            same(stored.read(ALL, ALL), cells)
            with h5py.File(tmp_path / "x.h5", "r+") as file:
                file.create_dataset(f"plain {number}", data=cells, **storage)
            same(stored.read(ALL, ALL), cells)
            with transaction(tmp_path / "x.h5") as changes:
                changes.file.create_dataset(f"safe {number}", data=cells, **storage)


@pytest.mark.parametrize("storage", STORAGES, ids=str)
def test_a_transaction_of_this_program_is_read_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, storage: dict[str, Any]
) -> None:
    """While its own results are streamed into the file, looking once for each commit is enough."""
    stored, cells = scan(tmp_path / "x.h5", **storage)
    looks: list[str] = []

    def looked(file: h5py.File, name: str) -> Any:
        looks.append(name)
        return chunk_map.describe(file, name)

    monkeypatch.setattr("usidx.io.read.chunks.cache.describe", looked)
    with no_hdf5(), transaction(tmp_path / "x.h5") as changes:
        new = changes.file.create_dataset("new", (640, 50), "f4", chunks=(64, 50))
        for start in range(0, 640, 64):
            new[start : start + 64] = stored.read(ALL, ALL) * 2
            changes.file.flush()
        assert len(looks) <= 3
        changes.commit()
        same(stored.read(ALL, ALL), cells)
    with h5py.File(tmp_path / "x.h5") as file:
        np.testing.assert_array_equal(file["new"][-64:], cells * 2)


WRITER = """
import sys, h5py
from usidx.io.write.transaction import transaction
with transaction(sys.argv[1]) as changes:
    changes.file.create_dataset("new", (100_000,), "f4")[:] = 1
    changes.file.flush()
    print("written", flush=True)
    sys.stdin.readline()
print("committed", flush=True)
"""


@pytest.mark.parametrize(("storage", "is_known"), [(STORAGES[0], True), (STORAGES[2], True), (STORAGES[2], False)])
def test_a_transaction_of_another_program_is_read_beside(
    tmp_path: Path, storage: dict[str, Any], is_known: bool
) -> None:
    stored, cells = scan(tmp_path / "x.h5", **storage)
    if is_known:
        same(stored.read(ALL, ALL), cells)
    arguments = [sys.executable, "-c", WRITER, str(tmp_path / "x.h5")]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        assert writer.stdout.readline() == "written\n"
        with no_hdf5():
            same(stored.read(ALL, ALL), cells)
            same(stored.read(slice(4), ALL), cells[:4])
            writer.stdin.write("\n")
            writer.stdin.flush()
            for _ in range(20):
                same(stored.read(ALL, ALL), cells)
            assert writer.stdout.readline() == "committed\n"
            same(stored.read(ALL, ALL), cells)
    with h5py.File(tmp_path / "x.h5") as file:
        assert file["new"][-1] == 1


HOLDER = """
import sys, h5py
from usidx.io.write.transaction import transaction
with transaction(sys.argv[1]) as changes:
    if sys.argv[2] == "committed":
        changes.file["new"] = 1
        changes.commit()
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.mark.parametrize("moment", ["begun", "committed"])
def test_a_transaction_that_has_not_written_yet_is_read_beside(tmp_path: Path, moment: str) -> None:
    stored, cells = scan(tmp_path / "x.h5", **STORAGES[2])
    arguments = [sys.executable, "-c", HOLDER, str(tmp_path / "x.h5"), moment]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        same(stored.read(ALL, ALL), cells)
        holder.stdin.write("\n")
        holder.stdin.flush()


def test_a_file_that_another_program_writes_is_refused_where_nothing_can_be_proven(tmp_path: Path) -> None:
    stored, _ = scan(tmp_path / "x.h5")
    stored.read(ALL, ALL)
    with h5py.File(tmp_path / "x.h5", "r+") as file:
        file["new"] = np.zeros(100_000)
        file.flush()
        with pytest.raises(LockedError, match="it is locked by"):
            stored.read(ALL, ALL)


def test_chunks_that_are_rewritten_are_found_again(tmp_path: Path) -> None:
    stored, cells = scan(tmp_path / "x.h5", **STORAGES[2])
    same(stored.read(ALL, ALL), cells)
    noisy = np.random.default_rng(1).normal(size=cells.shape).astype("f4")
    with h5py.File(tmp_path / "x.h5", "r+") as file:
        file["x"][...] = noisy  # compresses less, so every chunk moves
        file["y"] = np.arange(4000)
    with no_hdf5():
        same(stored.read(ALL, ALL), noisy)


def test_a_dataset_that_is_filled_in_parts(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        stored = describe_stored_array(
            file.create_dataset("x", (8, 4), "f4", chunks=(2, 4), compression="gzip", fillvalue=-1)
        )
    for number in range(4):
        with transaction(tmp_path / "x.h5") as changes:
            changes.file["x"][2 * number : 2 * number + 2] = number
        with no_hdf5():
            assert stored.read(ALL, slice(1)).ravel().tolist() == [
                k if k <= number else -1 for k in (0, 0, 1, 1, 2, 2, 3, 3)
            ]


def test_a_dataset_that_moved_is_another(tmp_path: Path) -> None:
    stored, cells = scan(tmp_path / "x.h5")
    same(stored.read(ALL, ALL), cells)
    with h5py.File(tmp_path / "x.h5", "r+") as file:
        file["y"] = cells + 1
        del file["x"]
        file.move("y", "x")
    with pytest.raises(UsidError, match=r"'/x' in .*x\.h5' has changed .* another dataset took its place .*Open it"):
        stored.read(ALL, ALL)


@pytest.mark.parametrize("storage", STORAGES[1:], ids=str)
def test_a_dataset_that_shrank(tmp_path: Path, storage: dict[str, Any]) -> None:
    stored, _ = scan(tmp_path / "x.h5", maxshape=(None, None), **storage)
    stored.read(ALL, ALL)
    with h5py.File(tmp_path / "x.h5", "r+") as file:
        file["x"].resize((20, 50))
    with pytest.raises(UsidError, match=r"had the shape \(64, 50\) of float32, now there is \(20, 50\) of float32"):
        stored.read(ALL, ALL)


def test_a_file_that_went(tmp_path: Path) -> None:
    stored, _ = scan(tmp_path / "x.h5")
    stored.read(ALL, ALL)
    (tmp_path / "x.h5").unlink()
    with pytest.raises(FileNotFoundError, match=r"There is no file '.*x\.h5'"):
        stored.read(ALL, ALL)


def test_a_file_that_is_replaced_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The block is of one file or the other, whole."""
    stored, cells = scan(tmp_path / "x.h5", **STORAGES[2])
    scan(tmp_path / "other.h5", **STORAGES[2])
    with h5py.File(tmp_path / "other.h5", "r+") as file:
        file["x"][...] = cells[::-1] * 3.3
        later = file["x"][...]
    read = direct._Block.read

    def replaced(self: Any) -> None:
        read(self)
        if (tmp_path / "other.h5").exists():
            os.replace(tmp_path / "other.h5", tmp_path / "x.h5")

    monkeypatch.setattr(direct._Block, "read", replaced)
    with no_hdf5():
        same(stored.read(ALL, ALL), later)


# -- files that are damaged -------------------------------------------------------------------------------------------


def overwritten(path: Path, address: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(address)
        file.write(data)


@pytest.mark.parametrize("storage", SERVED[2:], ids=str)
def test_a_corrupt_chunk_is_named(tmp_path: Path, storage: dict[str, Any]) -> None:
    stored, cells = scan(tmp_path / "x.h5", chunks=(16, 25), **storage)
    with h5py.File(tmp_path / "x.h5") as file:
        info = next(i for i in map(file["x"].id.get_chunk_info, range(8)) if i.chunk_offset == (32, 25))
    overwritten(tmp_path / "x.h5", info.byte_offset + info.size // 2, b"\xff\x00" * 6)
    same(stored.read(slice(32), ALL), cells[:32])
    with pytest.raises(UsidError, match=r"'/x' in .*x\.h5' cannot be read at \(32, 25\): it is damaged: .*its? .*"):
        stored.read(ALL, ALL)


@pytest.mark.parametrize(
    ("made", "reason"), [(1 << 20, "does not decompress to"), (10, "holds 10 bytes instead of 1600")]
)
def test_a_chunk_of_the_wrong_size_is_refused(tmp_path: Path, made: int, reason: str) -> None:
    import zlib

    stored, _ = scan(tmp_path / "x.h5", chunks=(16, 25), compression="gzip")
    with h5py.File(tmp_path / "x.h5", "r+") as file:
        file["x"].id.write_direct_chunk((0, 0), zlib.compress(bytes(made)))
    with pytest.raises(UsidError, match=rf"cannot be read at \(0, 0\): it is damaged: it {reason}"):
        stored.read(ALL, ALL)


def test_an_uncompressed_chunk_that_is_short_is_refused(tmp_path: Path) -> None:
    stored, _ = scan(tmp_path / "x.h5", chunks=(16, 25), compression="gzip")
    with h5py.File(tmp_path / "x.h5", "r+") as file:
        file["x"].id.write_direct_chunk((16, 0), bytes(1599), filter_mask=1)
    with pytest.raises(UsidError, match=r"at \(16, 0\): it is damaged: it holds 1599 bytes instead of 1600"):
        stored.read(ALL, ALL)


@pytest.mark.parametrize("field", ["addresses", "sizes"])
@pytest.mark.parametrize("value", [-8, 1 << 40, (1 << 63) - 1])
@pytest.mark.parametrize("storage", [{"chunks": (16, 50)}, {"chunks": (16, 50), "compression": "gzip"}, {}], ids=str)
def test_addresses_are_checked_against_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, field: str, value: int, storage: dict[str, Any]
) -> None:
    stored, _ = scan(tmp_path / "x.h5", **storage)

    def damaged(file: h5py.File, name: str) -> Any:
        found = chunk_map.describe(file, name)
        getattr(found, field)[-1] = value
        return found

    monkeypatch.setattr("usidx.io.read.chunks.cache.describe", damaged)
    with pytest.raises(UsidError, match=r"it is damaged: it is said to have .* bytes at byte .* of \d+ in the file"):
        stored.read(ALL, ALL)


def test_a_disk_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored, _ = scan(tmp_path / "x.h5")

    def fail(*_: Any) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "preadv", fail)
    with pytest.raises(UsidError, match=r"'/x' in .*x\.h5' cannot be read\. \(.*Input/output"):
        stored.read(ALL, ALL)


def test_a_file_that_is_cut_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored, _ = scan(tmp_path / "x.h5")
    monkeypatch.setattr(os, "preadv", lambda *_: 0)
    with pytest.raises(UsidError, match=r"it is damaged: the file ends within it\. The file was cut off"):
        stored.read(ALL, ALL)
