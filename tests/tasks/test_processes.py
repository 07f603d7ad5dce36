"""Every verb on a cluster of processes, with options of each kind, from a file and from blocks that workers hold."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import usidx
from tests.kit.clusters import QUIET, start_cluster

pytest.importorskip("distributed")
pytestmark = QUIET

Verb = Callable[[xr.DataArray], Any]


def _estimator() -> Any:
    from sklearn.decomposition import PCA

    return PCA(2)


VERBS: dict[str, Verb] = {
    "svd": lambda data: usidx.svd(data, 3),
    "svd auto": lambda data: usidx.svd(data, 0.99),
    "svd krylov": lambda data: usidx.svd(data, 3, solver="krylov"),
    "svd turned": lambda data: usidx.svd(data, 3, dim=["Y", "X"]),
    "pca std": lambda data: usidx.pca(data, 3, scale="std"),
    "pca poisson": lambda data: usidx.pca(data, 3, scale="poisson"),
    "pca masked": lambda data: usidx.pca(data, 3, mask=xr.DataArray(np.arange(24) == 3, dims="Energy")),
    "nmf hals": lambda data: usidx.nmf(data, 3, solver="hals"),
    "nmf compressed": lambda data: usidx.nmf(data, 3, solver="compressed"),
    "nmf penalty": lambda data: usidx.nmf(data, 3, alpha_W=1e-3, l1_ratio=0.5),
    "ica": lambda data: usidx.ica(data, 2),
    "ica components": lambda data: usidx.ica(data, 2, independent="components"),
    "mcr_als": lambda data: usidx.mcr_als(data, 3),
    "nfindr": lambda data: usidx.nfindr(data, 3),
    "vca": lambda data: usidx.vca(data, 3),
    "decompose": lambda data: usidx.decompose(data, _estimator(), 2),
    "kmeans": lambda data: usidx.cluster(data, "kmeans", 3),
    "gmm": lambda data: usidx.cluster(usidx.svd(data, 2), "gmm", 3),
    "agglomerative": lambda data: usidx.cluster(usidx.pca(data, 2), "agglomerative", 4),
    "hdbscan": lambda data: usidx.cluster(usidx.pca(data, 2), "hdbscan", 20),
    "fields": lambda data: usidx.svd(xr.Dataset({"a": data, "b": data**2}).map(lambda v: v.assign_attrs(units="")), 3),
    "chain": lambda data: usidx.nmf(abs(usidx.reconstruct(usidx.svd(data, 4))), 2),
}


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with start_cluster() as client:
        yield client


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    peaks = np.exp(-((np.arange(24) - np.array([[4], [12], [19]])) ** 2) / 12)
    cells = rng.dirichlet(np.full(3, 0.4), (16, 12)) @ peaks + 0.05 * rng.random((16, 12, 24))
    data = xr.DataArray(cells, dims=("Y", "X", "Energy"), name="Raw_Data", attrs={"units": "counts"})
    path = tmp_path_factory.mktemp("processes") / "scan.h5"
    usidx.write(usidx.set_roles(data, position=["Y", "X"], spectroscopic="Energy"), path)
    return path


@pytest.mark.parametrize("persisted", [False, True])
@pytest.mark.parametrize("verb", VERBS)
def test_the_same_as_alone(verb: str, persisted: bool, client: Any, scan: Path) -> None:
    data = usidx.open_main(scan, chunks={"Y": 4})
    alone = VERBS[verb](data.compute(scheduler="sync"))
    found = usidx.compute(VERBS[verb](data.persist() if persisted else data), progress=False)
    for name in alone.data_vars:
        np.testing.assert_allclose(found[name], alone[name], rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("persisted", [False, True])
@pytest.mark.parametrize("verb", ["nmf hals", "nmf compressed", "nmf penalty", "mcr_als", "kmeans", "chain"])
def test_the_same_where_one_worker_streams(
    verb: str, persisted: bool, client: Any, scan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("usidx.tasks.passes._HELD_BYTES", 0)
    test_the_same_as_alone(verb, persisted, client, scan)


def test_results_that_share_their_passes(client: Any, scan: Path) -> None:
    data = usidx.open_main(scan, chunks={"Y": 4})
    found = usidx.compute(usidx.svd(data, 3), usidx.pca(data, 2), progress=False)
    for one, alone in zip(found, (usidx.svd(data.load(), 3), usidx.pca(data.load(), 2)), strict=True):
        np.testing.assert_allclose(one.scores, alone.scores, atol=1e-9)
