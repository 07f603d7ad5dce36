"""Blocks of any cut reach their cells, each chunk is written once, and nothing goes on after the end."""

import _thread
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Lock
from typing import Any

import dask
import dask.array as da
import h5py
import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import usidx
from tests.kit.pyusid import accepts
from usidx.errors import UsidError
from usidx.format.placement import Axes, Placement
from usidx.io.write.blocks import chunked, contiguous, gather
from usidx.io.write.blocks import target as target_module
from usidx.io.write.blocks.chunked import ChunkedSink, takes_whole_chunks
from usidx.io.write.blocks.gather import Gathering
from usidx.io.write.blocks.store import store
from usidx.io.write.blocks.target import MainTarget, write_in_threads
from usidx.testing.measurements import snake_file

Array = npt.NDArray[Any]

DTYPES = ("u1", "?", "i2", "f4", ">f4", "f8", "c8", "c16", "i4,f8,u1")


def nothing() -> None:
    """Check nothing."""


def cells(shape: tuple[int, ...], dtype: Any) -> Array:
    """Number all cells."""
    numbers = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    if np.dtype(dtype).names is None:
        return (numbers % 251).astype(dtype)
    made = np.zeros(shape, dtype)
    for name in made.dtype.names or ():
        made[name] = numbers % 251
    return made


def raster(data: Any, position: int = 2) -> xr.DataArray:
    """Label an array: the first dims are positions."""
    dims = [f"d{axis}" for axis in range(data.ndim)]
    array = xr.DataArray(data, dims=dims, name="Raw_Data")
    return usidx.set_roles(array, position=dims[:position], spectroscopic=dims[position:])


@pytest.fixture
def file(tmp_path: Path) -> Iterator[h5py.File]:
    with h5py.File(tmp_path / "target.h5", "w") as opened:
        yield opened


def laid_out(file: h5py.File, shape: tuple[int, ...], split: int, dtype: Any = "f4", **options: Any) -> MainTarget:
    """Make a main dataset of natural order, of an array whose first `split` dims are positions."""
    rows, columns = int(np.prod(shape[:split])), int(np.prod(shape[split:]))
    dataset = file.create_dataset("main", (rows, columns), dtype, **options)
    placement = Placement(Axes(shape[:split], None), Axes(shape[split:], None), tuple(range(len(shape))))
    return MainTarget(dataset, placement, Lock())


PACKED = {"compression": 1, "shuffle": True}


@st.composite
def cuts(draw: st.DrawFn) -> dict[str, Any]:
    """Draw an array, its blocks, chunks, and how its rows and columns lie in the file."""
    shape = tuple(draw(st.lists(st.integers(1, 9), min_size=1, max_size=4)))
    split = draw(st.integers(0, len(shape)))
    sides = [int(np.prod(shape[:split])), int(np.prod(shape[split:]))]
    orders = [draw(st.none() | st.permutations(range(side)).map(np.array)) for side in sides]
    blocks = tuple(draw(st.integers(1, size)) for size in shape)
    chunks = draw(st.none() | st.tuples(*(st.integers(1, side) for side in sides)))
    return {
        "shape": shape,
        "order": tuple(draw(st.permutations(range(len(shape))))),
        "rows": orders[0],
        "columns": orders[1],
        "split": split,
        "blocks": blocks,
        "chunks": chunks,
        "dtype": draw(st.sampled_from(DTYPES)),
        "level": draw(st.none() | st.sampled_from([1, 5])) if chunks is not None else None,
        "memory": draw(st.sampled_from([1, 300, 1 << 20])),
        "is_lazy": draw(st.booleans()),
    }


@given(cut=cuts())
@settings(max_examples=150)
def test_any_cut_reaches_its_cells(cut: dict[str, Any]) -> None:
    shape, split = cut["shape"], cut["split"]
    natural = cells(shape, cut["dtype"])
    expected = natural.reshape(int(np.prod(shape[:split])), -1)
    main = np.empty_like(expected)
    rows = np.arange(len(expected)) if cut["rows"] is None else cut["rows"]
    columns = np.arange(expected.shape[1]) if cut["columns"] is None else cut["columns"]
    main[np.ix_(rows, columns)] = expected
    array = natural.transpose(cut["order"])
    blocks = tuple(cut["blocks"][axis] for axis in cut["order"])
    options = {} if cut["level"] is None else {"compression": cut["level"], "shuffle": natural.dtype.itemsize > 1}
    with h5py.File("memory", "w", driver="core", backing_store=False) as file, pytest.MonkeyPatch.context() as patch:
        patch.setattr(gather, "MEMORY", cut["memory"])
        patch.setattr(target_module, "_TURNED_BYTES", cut["memory"])
        patch.setattr(contiguous, "_TILE", cut["memory"])
        dataset = file.create_dataset("main", main.shape, natural.dtype, chunks=cut["chunks"], **options)
        placement = Placement(Axes(shape[:split], cut["rows"]), Axes(shape[split:], cut["columns"]), cut["order"])
        target = MainTarget(dataset, placement, Lock())
        store([(da.from_array(array, chunks=blocks) if cut["is_lazy"] else array, target)], nothing)
        np.testing.assert_array_equal(dataset[()], main)


@given(
    shape=st.lists(st.integers(1, 12), min_size=2, max_size=4),
    dtype=st.sampled_from(DTYPES[:-1]),
    compression=st.sampled_from([None, "gzip", 0, 6]),
    chunks=st.none() | st.tuples(st.integers(1, 50), st.integers(1, 50)),
    block=st.integers(1, 5),
)
@settings(max_examples=20, phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink])
def test_opened_equals_written(
    tmp_path_factory: pytest.TempPathFactory,
    shape: list[int],
    dtype: str,
    compression: str | int | None,
    chunks: tuple[int, int] | None,
    block: int,
) -> None:
    path = tmp_path_factory.mktemp("scan") / "scan.h5"
    data = cells(tuple(shape), dtype)
    array = raster(da.from_array(data, chunks=block))
    main = usidx.write(array, path, compression=compression, chunks=chunks, progress=False)
    np.testing.assert_array_equal(usidx.open_main(path, main).values, data)
    with h5py.File(path) as file:
        dataset = file[main]
        np.testing.assert_array_equal(dataset[()], data.reshape(dataset.shape))
        assert dataset.compression == (None if compression is None else "gzip")
        if chunks is not None:
            assert dataset.chunks == tuple(np.minimum(chunks, dataset.shape))
    assert accepts(path, main)


def test_compound_mains(tmp_path: Path) -> None:
    dtype = np.dtype([("Amplitude [V]", "f4"), ("Phase [rad]", "f4"), ("Q", "f8")])
    data = cells((20, 30, 4), dtype)
    main = usidx.write(raster(da.from_array(data, chunks=(7, 30, 4))), tmp_path / "fit.h5", compression="gzip")
    with h5py.File(tmp_path / "fit.h5") as file:
        assert file[main].shuffle
        np.testing.assert_array_equal(file[main][()], data.reshape(600, 4))
    np.testing.assert_array_equal(usidx.open_main(tmp_path / "fit.h5", main, field="Q"), data["Q"])


def test_results_are_compressed_too(tmp_path: Path) -> None:
    data = np.random.default_rng(0).normal(size=(10, 12, 40))
    path = tmp_path / "scan.h5"
    usidx.write(raster(da.from_array(data, chunks=(3, 12, 40))), path, compression="gzip")
    result = usidx.open_main(path).usid.svd(3)
    group = usidx.write(result, compression=4, progress=False)
    with h5py.File(path) as file:
        assert {name: file[group][name].compression_opts for name in "UV"} == {"U": 4, "V": 4}
    singular = np.linalg.svd(data.reshape(120, 40), compute_uv=False)[:3]
    np.testing.assert_allclose(usidx.open_result(path, group).singular_values, singular)


@pytest.mark.usefixtures("keep_attrs")
def test_rows_of_a_snake_scan_stay_where_they_are(tmp_path: Path) -> None:
    expected = snake_file(tmp_path / "snake.h5")
    doubled = (usidx.open_main(expected.path, chunks={"Y": 1}) * 2).rename("Doubled")
    group = usidx.write(doubled, name="Doubled", compression="gzip", chunks=(4, 3), progress=False)
    with h5py.File(expected.path) as file:
        found = file[f"{group}/Doubled"]
        assert found.compression == "gzip"
        np.testing.assert_array_equal(found[()], file[expected.main][()] * 2)


def test_default_chunks_serve_both_ways(tmp_path: Path) -> None:
    data = da.zeros((64, 64, 2048), chunks=(8, 64, 2048), dtype="f4")
    main = usidx.write(raster(data), tmp_path / "scan.h5", compression="gzip", progress=False)
    with h5py.File(tmp_path / "scan.h5") as file:
        assert file[main].chunks == (256, 256)
        assert usidx.write(raster(data[:8]), tmp_path / "plain.h5", progress=False) == main
    with h5py.File(tmp_path / "plain.h5") as file:
        assert file[main].chunks is None


@pytest.mark.parametrize("blocks", [(5, 40, 50), (40, 40, 7), (7, 11, 13)])
def test_each_chunk_is_compressed_once(
    file: h5py.File, blocks: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    written: Counter[Any] = Counter()
    write = ChunkedSink._write

    def count(self: ChunkedSink, number: Any, chunk: Array) -> None:
        written[number] += 1
        write(self, number, chunk)

    monkeypatch.setattr(ChunkedSink, "_write", count)
    data = cells((40, 40, 50), "f4")
    target = laid_out(file, data.shape, 2, chunks=(96, 32), **PACKED)
    store([(da.from_array(data, chunks=blocks), target)], nothing)
    assert set(written.values()) == {1}
    assert len(written) == target.dataset.id.get_num_chunks() == 17 * 2


def test_what_waits_is_bounded(file: h5py.File, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images one by one: all chunks wait for the last image of their width."""
    chunk = 64 * 32 * 4
    monkeypatch.setattr(gather, "MEMORY", 10 * chunk)
    spilled, kept = [], []
    add = Gathering.add

    def watch(self: Gathering, *arguments: Any) -> Array | None:
        made = add(self, *arguments)
        spilled.append(self.spilled)
        kept.append(len(self._chunks))
        return made

    monkeypatch.setattr(Gathering, "add", watch)
    data = cells((2048, 40), "f4")
    target = laid_out(file, data.shape, 1, chunks=(64, 32), **PACKED)
    store([(da.from_array(data, chunks=(2048, 1)), target)], nothing)
    assert max(kept) == 10
    assert max(spilled) >= 2048 // 64 - 10
    np.testing.assert_array_equal(target.dataset[()], data)


def test_chunks_are_compressed_in_several_threads(file: h5py.File, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two chunks wait for each other, which they only can in two threads."""
    met = threading.Barrier(2, timeout=30)
    write = ChunkedSink._write

    def meet(self: ChunkedSink, number: Any, chunk: Array) -> None:
        met.wait()
        write(self, number, chunk)

    monkeypatch.setattr(ChunkedSink, "_write", meet)
    data = cells((8, 5), "f4")
    target = laid_out(file, data.shape, 1, chunks=(2, 5), **PACKED)
    with dask.config.set(num_workers=2):
        store([(data, target)], nothing)
    np.testing.assert_array_equal(target.dataset[()], data)


@pytest.mark.parametrize("scheduler", ["sync", "threads", "processes"])
def test_any_scheduler_compresses_the_same(tmp_path: Path, scheduler: str) -> None:
    data = cells((10, 12, 30), "f4")
    with dask.config.set(scheduler=scheduler):
        # With processes each block costs several new ones.
        array = raster(da.from_array(data, chunks=(10, 12, 17) if scheduler == "processes" else (3, 5, 7)))
        main = usidx.write(array, tmp_path / "scan.h5", compression="gzip", chunks=(25, 8), progress=False)
    with h5py.File(tmp_path / "scan.h5") as file:
        np.testing.assert_array_equal(file[main][()], data.reshape(120, 30))


@pytest.mark.parametrize("options", [PACKED, {}, {"chunks": None}])
def test_slabs_that_share_chunks_may_come_in_several_goes(file: h5py.File, options: dict[str, Any]) -> None:
    data = cells((50, 20), "i4")
    target = laid_out(file, data.shape, 1, "i4", **{"chunks": (16, 6), **options})
    for start, stop in ((20, 50), (0, 7), (7, 20)):
        with write_in_threads([target], nothing):
            target[start:stop, 0:20] = data[start:stop]
        target = MainTarget(target.dataset, target.placement, Lock())
    np.testing.assert_array_equal(target.dataset[()], data)


def test_narrow_blocks_are_put_together(file: h5py.File) -> None:
    """Each call of HDF5 for a narrow block costs as much as kilobytes."""
    data = cells((1000, 64), "f4")
    target = laid_out(file, data.shape, 1)
    written: list[Any] = []

    class Watched:
        shape, dtype, id, file = target.dataset.shape, target.dataset.dtype, target.dataset.id, target.dataset.file

        def __setitem__(self, place: Any, values: Array) -> None:
            written.append(place)
            target.dataset[place] = values

    watched = MainTarget(target.dataset, target.placement, Lock())
    watched._sink = contiguous.ContiguousSink(Watched(), Lock())
    store([(da.from_array(data, chunks=(500, 4)), watched)], nothing)
    np.testing.assert_array_equal(target.dataset[()], data)
    assert written == [(slice(0, 1000), slice(0, 64))]


def test_other_filters_are_left_to_hdf5(file: h5py.File) -> None:
    data = cells((50, 20), "i4")
    target = laid_out(file, data.shape, 1, "i4", chunks=(16, 6), compression="gzip", fletcher32=True)
    assert not takes_whole_chunks(target.dataset)
    store([(da.from_array(data, chunks=(9, 9)), target)], nothing)
    np.testing.assert_array_equal(target.dataset[()], data)


def threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("usidx-write")]


@pytest.mark.parametrize(("chunks", "compression"), [(None, None), ((64, 64), "gzip"), ((64, 64), None)])
@pytest.mark.parametrize("fail", ["exception", "Ctrl-C"])
def test_what_is_broken_off_leaves_the_file_as_it_was(
    tmp_path: Path, chunks: tuple[int, int] | None, compression: str | None, fail: str
) -> None:
    path = tmp_path / "scan.h5"
    usidx.write(raster(cells((4, 4, 4), "f4")), path)
    before = path.read_bytes()
    made: list[int] = []

    def make(block_info: Any) -> Array:
        made.append(1)
        if len(made) == 20:
            if fail == "exception":
                raise ZeroDivisionError("on purpose")
            _thread.interrupt_main()
        if len(made) > 20:
            time.sleep(0.005)
        return np.random.default_rng(0).normal(size=(2, 60, 100)).astype("f4")

    blocks = da.map_blocks(make, chunks=((2,) * 200, (60,), (100,)), dtype="f4", meta=np.empty((0, 0, 0), "f4"))
    expected = ZeroDivisionError if fail == "exception" else KeyboardInterrupt
    with dask.config.set(scheduler="threads", num_workers=2), pytest.raises(expected):
        usidx.write(raster(blocks), path, compression=compression, chunks=chunks, progress=False)
    assert path.read_bytes() == before
    assert threads() == []
    assert len(made) < 200
    assert usidx.write(raster(cells((4, 4, 4), "f4")), path, reuse=False).startswith("/Measurement_001")


def test_a_failing_compressor_is_the_error_that_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(level: int | None) -> Callable[[Array], Any]:
        def pack(chunk: Array) -> Any:
            raise MemoryError("no room to compress")

        return pack

    monkeypatch.setattr(chunked, "choose_packer", refuse)
    for data in (cells((40, 40, 50), "f4"), da.from_array(cells((40, 40, 50), "f4"), chunks=7)):
        with pytest.raises(MemoryError, match="no room to compress"):
            usidx.write(raster(data), tmp_path / "scan.h5", compression="gzip", chunks=(64, 64), progress=False)
    assert threads() == []
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_fails_is_noticed_after_the_block(file: h5py.File) -> None:
    calls: list[int] = []

    def check() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise OSError("the disk is full")

    target = laid_out(file, (100, 10), 1, chunks=(10, 10), **PACKED)
    with dask.config.set(scheduler="sync"), pytest.raises(OSError, match="the disk is full"):
        store([(da.from_array(cells((100, 10), "f4"), chunks=(10, 10)), target)], check)
    assert len(calls) == 3


@pytest.mark.parametrize("options", [PACKED | {"chunks": (4, 10)}, {}])
def test_late_blocks_are_refused(file: h5py.File, options: dict[str, Any]) -> None:
    target = laid_out(file, (16, 10), 1, **options)
    with write_in_threads([target], nothing):
        target[0:4, 0:10] = cells((4, 10), "f4")
    with pytest.raises(InterruptedError, match="after writing had ended"):
        target[4:8, 0:10] = cells((4, 10), "f4")
    assert not target.dataset[4:8].any()


def test_options_are_checked_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UsidError, match="compression is 'zstd'"):
        usidx.write(raster(cells((4, 4, 4), "f4")), tmp_path / "scan.h5", compression="zstd")
    with pytest.raises(UsidError, match=r"chunks is \(4,\)"):
        usidx.write(raster(cells((4, 4, 4), "f4")), tmp_path / "scan.h5", chunks=(4,))  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
