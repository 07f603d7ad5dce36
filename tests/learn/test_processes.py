"""Every verb that passes over data, in other processes: the answers of one machine, from all workers, whoever dies."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr

from tests.kit.clusters import QUIET, start_cluster
from usidx.fitting.fit import fit
from usidx.learn.cluster import cluster
from usidx.learn.ica import ica
from usidx.learn.mcr import mcr_als
from usidx.learn.nmf import nmf
from usidx.learn.svd import pca, svd
from usidx.mapping import map_positions
from usidx.models import Constant

pytest.importorskip("distributed")
pytestmark = [pytest.mark.slow, *QUIET]

rng = np.random.default_rng(0)
CENTRES = np.array([0.2, 0.5, 0.8])
PROFILES = np.exp(-(((np.linspace(0, 1, 24) - CENTRES[:, np.newaxis]) / 0.1) ** 2))
SHARES = rng.dirichlet([0.4] * 3, (16, 10))
DATA = xr.DataArray(SHARES @ PROFILES + 0.01 * rng.random((16, 10, 24)), dims=("Y", "X", "Bias"), name="Raw_Data")

Verb = Callable[[xr.DataArray], Any]
VERBS: dict[str, tuple[Verb, str]] = {
    "svd": (lambda a: svd(a, 3, dim="Bias"), "scores"),
    "krylov": (lambda a: svd(a, 3, dim="Bias", solver="krylov"), "scores"),
    "adaptive": (lambda a: svd(a, 3, dim="Bias", solver="adaptive"), "scores"),
    "pca": (lambda a: pca(a, 3, dim="Bias"), "scores"),
    "nmf": (lambda a: nmf(a, 3, dim="Bias"), "scores"),
    "compressed": (lambda a: nmf(a, 3, dim="Bias", solver="compressed"), "scores"),
    "ica": (lambda a: ica(a, 3, dim="Bias"), "scores"),
    "mcr_als": (lambda a: mcr_als(a, 3, dim="Bias", max_iter=5), "scores"),
    "kmeans": (lambda a: cluster(a, "kmeans", 3, dim="Bias"), "labels"),
    "minibatch": (lambda a: cluster(a, "minibatch", 3, dim="Bias"), "labels"),
    "gmm": (lambda a: cluster(a, "gmm", 3, dim="Bias"), "labels"),
    "agglomerative": (lambda a: cluster(a, "agglomerative", 3, dim="Bias"), "labels"),
    "hdbscan": (lambda a: cluster(a, "hdbscan", 60, dim="Bias"), "labels"),
    "fit": (lambda a: fit(a.assign_coords(Bias=np.arange(24.0)), Constant(), dim="Bias"), "offset"),
    "map_positions": (lambda a: map_positions(np.ptp, a, dim="Bias", like=0.0), ""),
}


@pytest.fixture(autouse=True)
def always_streamed() -> Iterator[None]:
    """Stream what would be held, in the graphs that are built here: workers only run them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("usidx.tasks.passes._HELD_BYTES", 0)
        yield


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with start_cluster() as client:
        yield client


def note_reader(block: Any, folder: Path, kills: bool) -> Any:
    """Leave a file for each process that reads and for each block; the process that reads the fourth may be killed."""
    (folder / f"pid-{os.getpid()}").touch()
    (folder / f"read-{uuid4().hex}").touch()
    if kills and len(list(folder.glob("read-*"))) > 3:
        with suppress(FileExistsError):
            (folder / "killed").touch(exist_ok=False)
            os.kill(os.getpid(), signal.SIGKILL)
    return block


def read_on_workers(folder: Path, *, kills: bool = False) -> xr.DataArray:
    """Give the data in eight blocks, each of which notes who reads it."""
    lazy = DATA.chunk({"Y": 2})
    read = lazy.data.map_blocks(note_reader, folder, kills, dtype=lazy.dtype, meta=np.empty((0, 0, 0)))
    return lazy.copy(data=read)


def pick(result: Any, name: str) -> Any:
    return result[name] if name else result


def check(name: str, found: Any) -> None:
    verb, variable = VERBS[name]
    with dask.config.set(scheduler="sync"):
        expected = pick(verb(DATA.chunk({"Y": 2})), variable).compute()
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", sorted(VERBS))
def test_all_processes_work_and_answer_as_one_machine(name: str, client: Any, tmp_path: Path) -> None:
    verb, variable = VERBS[name]
    found = pick(verb(read_on_workers(tmp_path)), variable).compute()
    workers = set(client.run(os.getpid).values())
    readers = {int(file.name.removeprefix("pid-")) for file in tmp_path.glob("pid-*")}
    assert readers == workers
    check(name, found)


@pytest.mark.parametrize("name", sorted(VERBS))
def test_a_process_may_be_killed(name: str, tmp_path: Path) -> None:
    verb, variable = VERBS[name]
    with dask.config.set({"distributed.scheduler.allowed-failures": 10, "usidx.keep-blocks": 0}), start_cluster():
        found = pick(verb(read_on_workers(tmp_path, kills=True)), variable).compute()
    assert (tmp_path / "killed").exists()
    check(name, found)


BLOCKS, BLOCK_ROWS, BLOCK_COLUMNS = 128, 4096, 512  # of 8 MiB in single precision: 1 GiB
LIMIT = BLOCKS * BLOCK_ROWS * BLOCK_COLUMNS * 4 // 2


def make_large_block(number: int) -> Any:
    """Make rows of three profiles and some noise, of each block the same each time."""
    drawn = np.random.default_rng(number)
    steps = np.linspace(0, 1, BLOCK_COLUMNS)
    profiles = np.exp(-(((steps - CENTRES[:, np.newaxis]) / 0.1) ** 2))
    shares = drawn.random((BLOCK_ROWS, 3), np.float32) ** 4
    return np.asarray((shares @ profiles.astype(np.float32))[np.newaxis] + np.float32(0.01))


def make_large() -> xr.DataArray:
    make = dask.delayed(make_large_block)
    shape = (1, BLOCK_ROWS, BLOCK_COLUMNS)
    blocks = [da.from_delayed(make(number), shape, np.float32) for number in range(BLOCKS)]
    return xr.DataArray(da.concatenate(blocks), dims=("Y", "X", "Bias"), name="Raw_Data")


LARGE: dict[str, Callable[[xr.DataArray], Any]] = {
    "svd": lambda a: svd(a, 3, dim="Bias").singular_values,
    "nmf": lambda a: nmf(a, 3, dim="Bias", max_iter=2).reconstruction_error,
    "kmeans": lambda a: cluster(a, "kmeans", 3, dim="Bias", max_iter=2).inertia,
    "map_positions": lambda a: map_positions(np.ptp, a, dim="Bias", like=0.0).mean(),
}


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    """What one machine finds, a block at a time."""
    with dask.config.set(scheduler="sync"):
        return {name: verb(make_large()).compute() for name, verb in LARGE.items()}


@pytest.mark.parametrize("persisted", [False, True])
def test_data_twice_as_large_as_the_memory_of_a_worker(persisted: bool, expected: dict[str, Any]) -> None:
    """Who gathered the data, or sent it to one worker, would need twice what that may have."""
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        start_cluster(4, memory_limit=LIMIT) as client,
    ):
        before = set(client.scheduler_info(n_workers=-1)["workers"])
        data = make_large().persist() if persisted else make_large()
        for name, verb in LARGE.items():
            np.testing.assert_allclose(verb(data).compute(), expected[name], rtol=1e-5)
        assert set(client.scheduler_info(n_workers=-1)["workers"]) == before  # none was restarted
