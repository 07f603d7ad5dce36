"""The same answers on a cluster, from files, and from blocks that the cluster holds."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import xarray as xr

from tests.kit.clusters import start_cluster
from usidx.learn.cluster import cluster
from usidx.learn.nmf import nmf
from usidx.learn.reconstruct import reconstruct
from usidx.learn.svd import pca, svd

pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with start_cluster(processes=False) as client:
        yield client


@pytest.mark.parametrize("persisted", [False, True])
@pytest.mark.parametrize("turned", [False, True])
def test_the_same_as_in_memory(persisted: bool, turned: bool, iteration: str, client: Any) -> None:
    rng = np.random.default_rng(0)
    shape = (4, 2, 30) if turned else (10, 4, 9)
    data = xr.DataArray(rng.random(shape), dims=("Y", "X", "Bias"), name="Raw_Data")
    lazy = data.chunk({"Y": 3})
    lazy = lazy.persist() if persisted else lazy
    np.testing.assert_allclose(svd(lazy, 3, dim="Bias").scores.compute(), svd(data, 3, dim="Bias").scores, atol=1e-10)
    np.testing.assert_allclose(nmf(lazy, 2, dim="Bias").scores.compute(), nmf(data, 2, dim="Bias").scores, atol=1e-6)
    labels = cluster(data, n=3, dim="Bias").labels
    np.testing.assert_array_equal(cluster(lazy, n=3, dim="Bias").labels.compute(), labels)
    again = abs(reconstruct(pca(lazy, 4, dim="Bias")))
    found = nmf(again, 2, dim="Bias").reconstruction_error.compute()
    expected = nmf(abs(reconstruct(pca(data, 4, dim="Bias"))), 2, dim="Bias").reconstruction_error
    np.testing.assert_allclose(found, expected, rtol=1e-6)
