"""Chunks that are stored as they are: written past HDF5, and as safe as what goes through it."""

import errno
from pathlib import Path
from typing import Any

import dask.array as da
import h5py
import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr

import usidx
from usidx.errors import WriteError
from usidx.io.disk.raw import RawFile
from usidx.io.write.staged import StagedFile

Array = npt.NDArray[Any]


def scan(seed: int, blocks: Any) -> tuple[Array, xr.DataArray]:
    data = np.random.default_rng(seed).normal(size=(9, 20, 70)).astype("f4")
    array = xr.DataArray(da.from_array(data, chunks=blocks), dims=("Y", "X", "E"), name="Raw_Data")
    return data, usidx.set_roles(array, position=["Y", "X"], spectroscopic="E")


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Where something is written past HDF5."""
    found: list[int] = []
    write = StagedFile.write_new

    def noted(file: StagedFile, address: int, data: Any) -> None:
        found.append(address)
        write(file, address, data)

    monkeypatch.setattr(StagedFile, "write_new", noted)
    return found


@pytest.mark.parametrize("blocks", [(2, 20, 70), (9, 3, 11), (4, 7, 70)])
def test_each_chunk_is_written_once_in_a_new_file_and_in_one_that_is_there(
    tmp_path: Path, places: list[int], blocks: tuple[int, ...]
) -> None:
    path = tmp_path / "scan.h5"
    for seed in range(2):
        data, array = scan(seed, blocks)
        main = usidx.write(array, path, chunks=(32, 30), progress=False)
        with h5py.File(path) as file:
            dataset = file[main]
            infos = [dataset.id.get_chunk_info(i) for i in range(dataset.id.get_num_chunks())]
            np.testing.assert_array_equal(dataset[()], data.reshape(180, 70))
        assert sorted(places) == sorted(info.byte_offset for info in infos)
        assert len(places) == 6 * 3
        places.clear()
    np.testing.assert_array_equal(usidx.open_main(path, "/Measurement_000/Channel_000/Raw_Data"), scan(0, blocks)[0])


def test_work_in_batches_and_compressed_chunks_go_through_hdf5(tmp_path: Path, places: list[int]) -> None:
    path = tmp_path / "scan.h5"
    usidx.write(scan(0, (3, 20, 70))[1], path, compression="gzip", progress=False)
    raw = usidx.open_main(path, chunks={"Y": 3})
    mapped = usidx.map_positions(np.cumsum, raw)
    group = usidx.write(mapped, name="Sum", chunks=(32, 30), progress=False)
    assert places == []
    np.testing.assert_allclose(usidx.open_result(path, group).Sum, np.cumsum(raw.values, -1), rtol=1e-6)


@pytest.mark.parametrize("budget", [3000, 20_000, 40_000])
def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, budget: int) -> None:
    path = tmp_path / "scan.h5"
    usidx.write(scan(0, (2, 20, 70))[1], path, progress=False)
    before = path.read_bytes()
    write, left = RawFile.write_at, [budget]

    def write_at(file: RawFile, address: int, data: memoryview) -> None:
        left[0] -= len(data)
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(file, address, data)

    monkeypatch.setattr(RawFile, "write_at", write_at)
    with pytest.raises(WriteError, match=r"'.*scan.h5' could not be written: its disk is full. It is as it was"):
        usidx.write(scan(1, (2, 20, 70))[1], path, chunks=(32, 30), progress=False)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
