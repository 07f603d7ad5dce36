"""A cluster of processes: reading, every verb, writing into the file that is being read, and a worker that dies."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr

import usidx
from tests.kit.clusters import QUIET, start_cluster
from usidx.io.write.blocks.contiguous import ContiguousSink
from usidx.io.write.transaction import transaction

pytest.importorskip("distributed")
pytestmark = QUIET

Array = npt.NDArray[Any]


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with start_cluster() as client:
        yield client


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    data, _ = usidx.simulate.band_excitation((16, 12), 48, seed=3)
    usidx.write(data, tmp_path / "scan.h5")
    return tmp_path / "scan.h5"


def raw(path: Path) -> xr.DataArray:
    return usidx.open_main(path, chunks={"Y": 4})


def loudest(spectrum: Array) -> float:
    return float(abs(spectrum).max())


def test_reading(client: Any, scan: Path) -> None:
    np.testing.assert_allclose(raw(scan).sum().compute(), raw(scan).compute(scheduler="sync").sum(), rtol=1e-5)


@pytest.mark.parametrize("verb", ["svd", "pca", "nmf", "cluster", "fit", "map_positions"])
def test_every_verb_gives_what_it_gives_alone(client: Any, scan: Path, verb: str) -> None:
    def result() -> Any:
        data = raw(scan)
        if verb == "fit":
            return data.usid.fit(usidx.models.SHO(), dim="Frequency")
        if verb == "map_positions":
            return data.usid.map_positions(loudest, like=0.0)
        data = data if verb in {"svd", "pca"} else abs(data)
        return data.usid.cluster("kmeans", 3) if verb == "cluster" else getattr(data.usid, verb)(3)

    on_cluster = usidx.compute(result(), progress=False)
    alone = result().compute(scheduler="sync")
    xr.testing.assert_allclose(on_cluster, alone, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("verb", ["svd", "fit"])
def test_results_go_into_the_file_that_is_being_read(client: Any, scan: Path, verb: str) -> None:
    data = raw(scan)
    result = data.usid.svd(3) if verb == "svd" else data.usid.fit(usidx.models.SHO(), dim="Frequency")
    group = result.usid.write()
    again = usidx.open_result(scan, group).compute(scheduler="sync")
    xr.testing.assert_allclose(again, result.compute(scheduler="sync"), rtol=1e-4, atol=1e-7)
    assert usidx.validate(scan) == []
    # The lazy array from before the write still reads.
    np.testing.assert_allclose(data.sum().compute(), data.compute(scheduler="sync").sum(), rtol=1e-5)


def dawdle(spectrum: Array, flag: str) -> float:
    """Kill the first worker that gets here, once."""
    path = Path(flag)
    if not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.001)
    return loudest(spectrum)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kills a worker with SIGKILL")
def test_a_worker_that_dies_changes_nothing(client: Any, scan: Path, tmp_path: Path) -> None:
    data = raw(scan)
    mapped = data.usid.map_positions(dawdle, like=0.0, parameters={"flag": str(tmp_path / "killed")})
    group = mapped.rename("Loudest").usid.write(name="Loudest")
    assert (tmp_path / "killed").exists()
    expected = abs(data.compute(scheduler="sync")).max("Frequency")
    np.testing.assert_allclose(usidx.open_result(scan, group).Loudest.compute(scheduler="sync"), expected, rtol=1e-6)


def test_a_finished_result_is_found_before_anything_is_computed(client: Any, scan: Path, tmp_path: Path) -> None:
    """The work leaves a trace each time it is done; the second call must leave none."""
    data = raw(scan)

    def traced(block: Array, folder: str) -> Array:
        Path(folder, f"{os.getpid()}-{time.monotonic_ns()}").touch()
        return block

    (tmp_path / "trace").mkdir()
    lazy = data.copy(
        data=data.data.map_blocks(traced, folder=str(tmp_path / "trace"), dtype=data.dtype, meta=data.data._meta)
    )
    first = lazy.usid.svd(2).usid.write()
    done = len(list((tmp_path / "trace").iterdir()))
    assert done
    assert lazy.usid.svd(2).usid.write() == first
    assert len(list((tmp_path / "trace").iterdir())) == done


def test_blocks_are_let_go_of_once_they_are_written(client: Any, tmp_path: Path) -> None:
    """Workers must not hold a whole result that is written, only what waits."""
    data = da.random.default_rng(0).normal(size=(40, 50, 1000), chunks=(1, 50, 1000))
    scan = usidx.set_roles(xr.DataArray(data, dims=("Y", "X", "E"), name="Raw"), position=["Y", "X"], spectroscopic="E")
    over: list[int] = []
    put = ContiguousSink.put

    def watched(sink: ContiguousSink, *block: Any) -> None:
        waiting = 40 - len(over)  # this one too
        until = time.monotonic() + 20  # the scheduler hears of what is let go of a little later
        while (held := sum(map(len, client.has_what().values()))) > waiting and time.monotonic() < until:
            time.sleep(0.01)
        over.append(max(0, held - waiting))
        put(sink, *block)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ContiguousSink, "put", watched)
        usidx.write(scan, tmp_path / "scan.h5", progress=False)
    assert over == [0] * 40
    np.testing.assert_allclose(usidx.open_main(tmp_path / "scan.h5").sum().compute(), data.sum().compute(), rtol=1e-9)


@pytest.mark.parametrize("verb", ["svd", "cumsum"])
def test_a_worker_that_first_reads_while_the_file_is_being_written(client: Any, scan: Path, verb: str) -> None:
    data = raw(scan)
    with transaction(scan) as changes:
        changes.file["new"] = np.ones(5000)
        changes.file.flush()
        np.testing.assert_allclose(data.sum().compute(), data.compute(scheduler="sync").sum(), rtol=1e-5)
    result: Any = data.usid.svd(2) if verb == "svd" else data.usid.map_positions(np.cumsum)
    group = result.usid.write(progress=False)
    assert usidx.validate(scan) == []
    again = usidx.open_result(scan, group).compute(scheduler="sync")
    alone = result.compute(scheduler="sync")
    if verb == "svd":
        xr.testing.assert_allclose(again, alone, rtol=1e-4, atol=1e-7)
    else:
        np.testing.assert_allclose(next(iter(again.data_vars.values())), alone, rtol=1e-6)
