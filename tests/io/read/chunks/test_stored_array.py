"""Blocks come back in the order asked, from few reads that fetch little that is not wanted."""

import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest

import usidx
from usidx.errors import UsidError
from usidx.io.read.chunks.stored_array import StoredArray, describe_stored_array
from usidx.testing.files import Expected, build_main

Array = npt.NDArray[Any]
ROWS, COLUMNS = 60, 50


class Meter:
    """Count the reads of h5py, and the cells that they fetch."""

    def __init__(self) -> None:
        self.cells = self.calls = 0

    def add(self, block: Any) -> None:
        self.calls += 1
        self.cells += int(np.size(block))


@pytest.fixture
def meter(monkeypatch: pytest.MonkeyPatch) -> Meter:
    found, fetch = Meter(), StoredArray._fetch

    def counted(self: StoredArray, source: Any, part: tuple[slice, ...]) -> Array:
        block = fetch(self, source, part)
        found.add(block)
        return block

    monkeypatch.setattr(StoredArray, "_fetch", counted)
    monkeypatch.setattr(
        "usidx.io.read.chunks.stored_array.read_direct", lambda *_: None
    )  # what goes past h5py is not counted
    return found


def stored(path: Path, **storage: Any) -> tuple[StoredArray, Array]:
    cells = np.arange(ROWS * COLUMNS, dtype="i4").reshape(ROWS, COLUMNS)
    with h5py.File(path, "w") as file:
        return describe_stored_array(file.create_dataset("x", data=cells, **storage)), cells


STORAGES: list[dict[str, Any]] = [
    {},
    {"chunks": (7, 8)},
    {"chunks": (1, 50), "compression": "gzip"},
    {"chunks": (60, 3)},
]
SELECTORS: list[Any] = [
    slice(None), slice(3, 4), slice(5, 40, 7), slice(40, 5, -3), slice(0, 0), slice(10, 2), slice(None, None, -1),
    np.array([4]), np.array([9, 2, 2, 30]), np.arange(0, 50, 11), np.array([], dtype=int), np.array([49, 0]),
]  # fmt: skip


@pytest.mark.parametrize("storage", STORAGES, ids=str)
@pytest.mark.parametrize("rows", SELECTORS, ids=str)
def test_blocks_are_outer_indexing(tmp_path: Path, storage: dict[str, Any], rows: Any) -> None:
    source, cells = stored(tmp_path / "a.h5", **storage)
    for columns in SELECTORS:
        found = source.read(rows, columns)
        wanted = cells[rows][:, columns]
        np.testing.assert_array_equal(found, wanted)
        assert found.dtype == cells.dtype


@pytest.mark.parametrize("span", [1, 8, 64])
def test_reads_are_staged_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, span: int) -> None:
    """However little memory is allowed for what is not wanted, the block is the same."""
    monkeypatch.setattr("usidx.io.read.chunks.stored_array.read_direct", lambda *_: None)
    monkeypatch.setattr("usidx.io.read.chunks.stored_array._STAGING", span)
    monkeypatch.setattr("usidx.io.read.chunks.stored_array._CHEAP_GAP", 400)
    source, cells = stored(tmp_path / "a.h5", chunks=(7, 8))
    for rows in SELECTORS:
        np.testing.assert_array_equal(source.read(rows, slice(3, 9)), cells[rows, 3:9])


@pytest.mark.parametrize(("rows", "columns"), [(slice(3, 8), slice(2, 30)), (slice(None), slice(None))])
def test_a_block_is_one_read_of_just_that(tmp_path: Path, meter: Meter, rows: slice, columns: slice) -> None:
    source, cells = stored(tmp_path / "a.h5")
    source.read(rows, columns)
    assert (meter.calls, meter.cells) == (1, cells[rows, columns].size)


def test_far_rows_are_read_one_by_one(tmp_path: Path, meter: Meter) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        source = describe_stored_array(file.create_dataset("x", (100_000, 64), dtype="f4"))
    source.read(np.array([99_000, 5, 40_000]), slice(None))
    assert (meter.calls, meter.cells) == (3, 3 * 64)


def test_near_rows_are_read_at_once(tmp_path: Path, meter: Meter) -> None:
    source, _ = stored(tmp_path / "a.h5")
    source.read(slice(0, 60, 2), slice(0, 1))
    assert meter.calls == 1


def test_nothing_is_read_for_nothing(tmp_path: Path, meter: Meter) -> None:
    source, _ = stored(tmp_path / "a.h5")
    assert source.read(slice(0, 0), slice(None)).shape == (0, 50)
    assert meter.calls == 0


@pytest.mark.parametrize("wrong", [60, -1])
def test_out_of_bounds(tmp_path: Path, wrong: int) -> None:
    source, _ = stored(tmp_path / "a.h5")
    with pytest.raises(IndexError, match="out of bounds for 60 entries"):
        source.read(np.array([0, wrong]), slice(None))


def test_shapes_of_other_ranks(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        scalar = describe_stored_array(file.create_dataset("s", data=3.5))
        cube = describe_stored_array(file.create_dataset("c", data=np.arange(24).reshape(2, 3, 4)))
    assert scalar.read() == 3.5
    found = cube.read(np.array([1, 0]), slice(None, None, 2), np.array([3, 3]))
    np.testing.assert_array_equal(found, np.arange(24).reshape(2, 3, 4)[::-1, ::2][:, :, [3, 3]])


def test_a_field_is_read_without_the_others(tmp_path: Path) -> None:
    cells = np.zeros((6, 5), dtype=[("a", ">f4"), ("b [V]", "i2")])
    cells["a"], cells["b [V]"] = np.arange(30).reshape(6, 5), 7
    with h5py.File(tmp_path / "a.h5", "w") as file:
        source = describe_stored_array(file.create_dataset("x", data=cells), "a")
    assert source.dtype == np.dtype("f4")
    np.testing.assert_array_equal(source.read(np.array([4, 1]), slice(1, 3)), cells["a"][[4, 1], 1:3])


def test_a_description_is_small(tmp_path: Path) -> None:
    source, cells = stored(tmp_path / "a.h5")
    packed = pickle.dumps(source)
    assert len(packed) < 700
    np.testing.assert_array_equal(pickle.loads(packed).read(slice(None), slice(None)), cells)


def test_damage_is_told_from_a_missing_filter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, _ = stored(tmp_path / "a.h5")

    def refuse(*_: Any) -> None:
        raise OSError("can't open filter")

    monkeypatch.setattr("usidx.io.read.chunks.stored_array.read_direct", lambda *_: None)
    monkeypatch.setattr(h5py.Dataset, "__getitem__", refuse)
    with pytest.raises(UsidError, match=r"'/x' in .*a\.h5' cannot be read at \(0, 0\)\. It is damaged\. \(can't open"):
        source.read(slice(None), slice(None))


# -- through an opened array: what is asked of N-D arrays reaches the file as few cells ------------------------------


def scan(path: Path, **options: Any) -> Expected:
    """Build a file of 8 x 10 spectra of 4 x 16."""
    dims = [("Y", "m", range(8)), ("X", "m", range(10))], [("Cycle", "", range(4)), ("F", "Hz", range(16))]
    cells = np.random.default_rng(0).permutation(80 * 64).astype("f4").reshape(8, 10, 4, 16)
    return build_main(path, cells, *dims, **options)


LOOKS: dict[str, dict[str, Any]] = {
    "spectrum": {"Y": 3, "X": 4},
    "image": {"Cycle": 1, "F": 5},
    "one cell": {"Y": 7, "X": 9, "Cycle": 3, "F": 15},
    "block": {"Y": slice(2, 4), "X": slice(3, 6), "Cycle": 2, "F": slice(4, 8)},
    "line backwards": {"Y": 2, "X": slice(None, None, -1)},
}


@pytest.mark.parametrize("look", LOOKS)
def test_a_look_reads_only_what_it_shows(
    tmp_path: Path, meter: Meter, monkeypatch: pytest.MonkeyPatch, look: str
) -> None:
    """With no gap worth reading across, exactly the cells shown are read."""
    monkeypatch.setattr("usidx.io.read.chunks.stored_array._CHEAP_GAP", 0)
    built = scan(tmp_path / "scan.h5")
    array = usidx.open_main(built.path, chunks=None)
    shown = array.isel(LOOKS[look]).compute()
    np.testing.assert_array_equal(shown, built.array[tuple(LOOKS[look].get(d, slice(None)) for d in built.dims)])
    assert meter.cells == shown.size


@pytest.mark.parametrize("order", ["raster", "snake", "random", "reversed"])
def test_a_spectrum_costs_one_read_in_any_order(tmp_path: Path, meter: Meter, order: str) -> None:
    built = scan(tmp_path / "scan.h5", row_order=order)
    array = usidx.open_main(built.path, chunks=None)
    meter.calls = meter.cells = 0
    np.testing.assert_array_equal(array.sel(Y=3, X=4), built.array[3, 4])
    assert (meter.calls, meter.cells) == (1, 64)


def test_a_stride_reads_little_more(tmp_path: Path, meter: Meter) -> None:
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        data = np.zeros((40 * 50, 512), dtype="f4")
        build_main(
            file, data.reshape(40, 50, 512), [("Y", "m", range(40)), ("X", "m", range(50))], [("F", "", range(512))]
        )
    array = usidx.open_main(tmp_path / "scan.h5", chunks=None)
    meter.calls = meter.cells = 0
    array.isel(Y=slice(0, None, 20), X=slice(0, None, 25)).compute()
    assert meter.cells <= 2 * 2 * 512 * 25


def test_a_dask_block_is_read_alone(tmp_path: Path, meter: Meter) -> None:
    built = scan(tmp_path / "scan.h5")
    array = usidx.open_main(built.path, chunks={"Y": 2})
    meter.calls = meter.cells = 0
    np.testing.assert_array_equal(array.isel(Y=slice(4, 6)), built.array[4:6])
    assert (meter.calls, meter.cells) == (1, 2 * 10 * 64)


def test_opening_reads_no_data(tmp_path: Path, meter: Meter) -> None:
    built = scan(tmp_path / "scan.h5")
    for squeeze in (True, False):
        repr(usidx.open_main(built.path, squeeze=squeeze))
        repr(usidx.open_tree(built.path, squeeze=squeeze))
        repr(usidx.open_main(built.path, squeeze=squeeze).transpose().isel(X=[1, 2], F=slice(None, None, -2)))
    assert meter.calls == 0


def test_memory_holds_what_was_read(tmp_path: Path, meter: Meter) -> None:
    built = scan(tmp_path / "scan.h5")
    array = usidx.open_main(built.path, chunks=None)
    array.load()
    reads = meter.calls
    array.isel(X=3).values.sum()
    assert meter.calls == reads
