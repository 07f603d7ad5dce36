"""Long work per position: committed on the way, taken up again, and not done twice."""

import os
import threading
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import h5py
import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr

import usidx
from usidx.errors import UsidWarning
from usidx.io.write import checkpoint, reuse, staged
from usidx.results.schema import Entry
from usidx.results.verbs import verb
from usidx.testing.files import build_main

Array = npt.NDArray[Any]
# Kept outside of what the function under test names: a function that names another value is another function.
CALLS, BREAK_AFTER = "USIDX_TEST_CALLS", "USIDX_TEST_BREAK_AFTER"


def calls() -> int:
    return int(os.environ[CALLS])


def break_after(count: int) -> None:
    """Count calls anew, and interrupt the one after so many."""
    os.environ[CALLS], os.environ[BREAK_AFTER] = "0", str(count)


@verb()
def double(data: xr.DataArray) -> xr.DataArray:
    """Double an array, block by block."""
    return data.copy(data=data.data.map_blocks(slow_double, dtype=data.dtype, meta=np.empty((0, 0, 0), data.dtype)))


@verb()
def add(data: xr.DataArray) -> xr.DataArray:
    """Add one."""
    return data.copy(data=data.data + da.ones_like(data.data))


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    data = np.arange(8 * 3 * 5, dtype="f4").reshape(8, 3, 5)
    position = [("Y", "m", np.arange(8) * 1e-6), ("X", "m", np.arange(3) * 2e-6)]
    build_main(tmp_path / "scan.h5", data, position, [("Bias", "V", np.linspace(-1, 1, 5))])
    break_after(10**9)
    return tmp_path / "scan.h5"


def slow_double(block: Array) -> Array:
    if block.size:
        os.environ[CALLS] = str(int(os.environ[CALLS]) + 1)
        if int(os.environ[CALLS]) > int(os.environ[BREAK_AFTER]):
            raise KeyboardInterrupt
    return block * 2


def doubled(path: Path) -> xr.DataArray:
    """Make a lazy result that is computed position by position."""
    return double(usidx.open_main(path, usidx.list_mains(path)[0], chunks={"Y": 1}))


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "_COMMIT_EVERY", 0.0)


@pytest.mark.usefixtures("at_once")
def test_interrupted_work_goes_on_where_it_stopped(scan: Path) -> None:
    break_after(5)
    with dask.config.set(scheduler="sync", num_workers=1), pytest.raises(KeyboardInterrupt):
        doubled(scan).usid.write()
    group = usidx.list_results(scan)[0]
    with h5py.File(scan) as file:
        done = file[f"{group}/completed_positions"][()]
    assert 0 < done.sum() < done.size
    assert done.dtype == np.uint8

    break_after(10**9)
    remaining = int((done.reshape(8, 3).sum(axis=1) == 0).sum())
    with dask.config.set(scheduler="sync", num_workers=1), pytest.warns(UsidWarning, match="going on from there"):
        assert doubled(scan).usid.write() == group
    assert calls() == remaining
    np.testing.assert_array_equal(usidx.open_result(scan, group).Raw_Data, doubled(scan))
    with h5py.File(scan) as file:
        assert file[f"{group}/completed_positions"][()].all()


def test_a_finished_result_is_not_computed_again(scan: Path) -> None:
    first = doubled(scan).usid.write()
    break_after(10**9)
    assert doubled(scan).usid.write() == first
    assert calls() == 0
    assert doubled(scan).usid.write(reuse=False) != first


def test_a_decomposition_is_found_again(scan: Path) -> None:
    raw = usidx.open_main(scan)
    first = raw.usid.svd(2).usid.write()
    main = usidx.list_mains(scan)[0]
    again = usidx.open_main(scan, main)
    assert again.usid.svd(2).usid.write() == first
    assert again.usid.svd(3).usid.write() != first
    assert again.isel(Y=slice(4)).usid.svd(2).usid.write() != first


@pytest.mark.usefixtures("keep_attrs")
def test_what_is_not_known_is_not_reused(scan: Path) -> None:
    raw = usidx.open_main(scan).compute()
    first = (raw * 2).usid.svd(2).usid.write()
    assert (raw * 3).usid.svd(2).usid.write() != first


@pytest.mark.usefixtures("keep_attrs")
def test_other_graphs_are_other_recipes(scan: Path) -> None:
    raw = usidx.open_main(scan)
    first = (raw * 2).usid.svd(2).usid.write()
    again = usidx.open_main(scan, usidx.list_mains(scan)[0])
    assert (again * 2).usid.svd(2).usid.write() == first
    assert (again * 3).usid.svd(2).usid.write() != first


def test_alike_names_are_not_the_same(scan: Path) -> None:
    """A group of another tool, or of a source whose name only contains this one's, is not taken for it."""
    result = doubled(scan)
    first = result.usid.write()
    with h5py.File(scan, "r+") as file:
        file[first].attrs["tool"] = "Double_More"
    assert doubled(scan).usid.write() != first


def test_validate_says_what_is_not_finished(scan: Path) -> None:
    break_after(5)
    with dask.config.set(scheduler="sync", num_workers=1), pytest.raises(KeyboardInterrupt):
        doubled(scan).usid.write()
    assert any("is not finished: 0 of 24" in str(p) for p in usidx.validate(scan))


def test_shared_work_is_not_cut_into_batches(scan: Path) -> None:
    raw = usidx.open_main(scan, chunks={"Y": 1})
    from usidx.results.schema import to_stored

    assert not checkpoint.runs_per_position(to_stored(raw.usid.svd(2)).entries)
    assert checkpoint.runs_per_position(to_stored(doubled(scan).to_dataset()).entries)


def test_a_scan_in_snake_order_resumes_by_rows(tmp_path: Path) -> None:
    data = np.arange(6 * 4, dtype="f8").reshape(6, 4)
    position = [("Y", "m", np.arange(6.0)), ("X", "m", np.arange(4.0))]
    build_main(tmp_path / "scan.h5", data, position, row_order="snake")
    raw = usidx.open_main(tmp_path / "scan.h5", chunks={"Y": 2})
    result = add(raw)
    group = result.usid.write()
    np.testing.assert_array_equal(usidx.open_result(tmp_path / "scan.h5", group).Raw_Data, data + 1)


def test_batches_share_one_progress_bar(
    scan: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("usidx.tasks.progress.is_watched", lambda: True)
    for name in ("_SHOWN_AFTER", "_DRAWN_EVERY"):
        monkeypatch.setattr(f"usidx.tasks.progress.{name}", -1.0)
    with dask.config.set(num_workers=1):
        group = doubled(scan).usid.write()
    out = capsys.readouterr().err
    assert out.count("\n") == 1
    assert f"\rwrite {group.rpartition('/')[2]}: " in out
    shares = [int(part.split("%")[0].rsplit(" ", 1)[-1]) for part in out.split("\r")[1:]]
    assert shares == sorted(shares)
    assert shares[-1] == 100
    assert len(set(shares)) > 2


def _twice(spectrum: Array) -> Array:
    return 2 * spectrum


@pytest.mark.parametrize("scheduler", ["threads", "sync"])
def test_much_that_is_overwritten_does_not_shut_out_who_computes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheduler: str
) -> None:
    # After the first commit, blocks go to where the dataset was laid out: they overwrite, page by page.
    data = np.random.default_rng(0).normal(size=(16, 32, 64)).astype("f4")
    position = [("Y", "m", np.arange(16)), ("X", "m", np.arange(32))]
    build_main(tmp_path / "scan.h5", data, position, [("Bias", "V", np.arange(64))])
    monkeypatch.setattr(staged, "SPILL", 8192)
    monkeypatch.setattr(checkpoint, "_COMMIT_EVERY", 0.0)
    monkeypatch.setattr("usidx.io.disk.lock.PATIENCE", 2.0)
    doubled = usidx.map_positions(_twice, usidx.open_main(tmp_path / "scan.h5", chunks={"Y": 1}))
    with dask.config.set(scheduler=scheduler, num_workers=2):
        group = doubled.usid.write(name="Double")
    (found,) = usidx.open_result(tmp_path / "scan.h5", group).data_vars.values()
    assert (found.values == 2 * data).all()
    assert not (tmp_path / "scan.h5.usidx-journal").exists()


@pytest.mark.parametrize("solver", ["gram", "krylov"])
def test_what_rests_on_the_whole_source_is_not_computed_slab_by_slab(scan: Path, solver: str) -> None:
    raw = usidx.open_main(scan, chunks={"Y": 1})
    clean = usidx.reconstruct(usidx.svd(raw, 2, solver=solver))
    assert not checkpoint.runs_per_position([Entry("Clean", clean, True)])
    assert checkpoint.runs_per_position([Entry("Double", 2 * raw, True)])


@pytest.mark.parametrize("name", ["tool", "source_000", "usidx_identity"])
def test_a_neighbour_whose_attribute_cannot_be_read_hinders_nothing(name: str, scan: Path) -> None:
    first = usidx.write(doubled(scan), scan)
    with h5py.File(scan, "r+") as file:
        group = file[first]
        assert name in group.attrs
        del group.attrs[name]
        # A time in seconds since 1970, for which h5py has no type of NumPy.
        h5py.h5a.create(group.id, name.encode(), h5py.h5t.UNIX_D32LE, h5py.h5s.create(h5py.h5s.SCALAR))
        with pytest.raises(TypeError):
            group.attrs[name]
    break_after(10**9)
    again = usidx.write(doubled(scan), scan)
    assert again != first
    assert calls()
    (found,) = usidx.open_result(scan, again).data_vars.values()
    np.testing.assert_array_equal(found, 2 * usidx.open_main(scan, usidx.list_mains(scan)[0]))


def test_an_error_beside_a_neighbour_leaves_no_lock_of_hdf5_behind(scan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usidx.write(doubled(scan), scan)

    def fail(*unused: object) -> bool:
        raise ValueError("of a neighbour")

    monkeypatch.setattr(reuse, "_is_same", fail)
    with pytest.raises(ValueError, match="of a neighbour") as kept:
        usidx.write(doubled(scan), scan)
    # As in a notebook, the error and all that it passed through stay there.
    assert kept.tb is not None
    other = threading.Thread(target=lambda: h5py.File(scan).close(), daemon=True)
    other.start()
    other.join(10)
    assert not other.is_alive()
