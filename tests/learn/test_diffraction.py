"""Counts of a pixelated detector at each position, with pixels that are dead or under the beam stop left out."""

from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from usidx.label.roles import set_roles
from usidx.learn.cluster import cluster
from usidx.learn.nmf import nmf
from usidx.learn.reconstruct import project, reconstruct
from usidx.learn.svd import pca, svd

Array = np.ndarray[Any, Any]

SCAN, DETECTOR, PHASES = 12, 24, 3
CHUNKS = {
    "positions": {"Y": 5, "X": 12, "ky": -1, "kx": -1},
    "detector": {"Y": -1, "X": -1, "ky": 7, "kx": 10},
    "both": {"Y": 4, "X": 7, "ky": 11, "kx": -1},
}


def truth() -> tuple[Array, Array]:
    """Return which phase (Y, X) is where, and the mean counts (phase, ky, kx) of each: a beam and two discs."""
    phase = np.repeat(np.arange(PHASES), SCAN // PHASES)[:, np.newaxis] * np.ones(SCAN, int)
    ky, kx = np.meshgrid(*(np.arange(DETECTOR) - 12,) * 2, indexing="ij")
    patterns = np.empty((PHASES, DETECTOR, DETECTOR))
    for k, angle in enumerate(np.arange(PHASES) * np.pi / PHASES):
        discs = [np.hypot(ky - s * 7 * np.sin(angle), kx - s * 7 * np.cos(angle)) < 2.5 for s in (-1, 1)]
        patterns[k] = 1 + 60 * (discs[0] | discs[1]) + 150 * (np.hypot(ky, kx) < 2.5)
    return phase, patterns


def scan(dtype: str, backing: str) -> tuple[xr.DataArray, xr.DataArray]:
    """Return the counts, with pixels that show anything, and the mask of these."""
    rng = np.random.default_rng(0)
    phase, patterns = truth()
    counts = np.minimum(rng.poisson(patterns[phase]), 255)
    stop = np.hypot(*np.meshgrid(*(np.arange(DETECTOR) - 12,) * 2)) < 4
    stop[3, 5] = stop[20, 20] = True
    top = np.iinfo(dtype).max
    counts[:, :, 3, 5], counts[:, :, 20, 20] = rng.integers(0, top, (SCAN, SCAN)), top
    data = xr.DataArray(counts.astype(dtype), dims=("Y", "X", "ky", "kx"), name="Counts", attrs={"units": "counts"})
    data = set_roles(data, position=["Y", "X"], spectroscopic=["ky", "kx"])
    lazy = data if backing == "numpy" else data.copy(data=da.from_array(data.values)).chunk(CHUNKS[backing])
    return lazy, xr.DataArray(stop, dims=("ky", "kx"))


BACKINGS = ["numpy", *CHUNKS]
DTYPES = ["uint8", "uint16"]


@pytest.mark.parametrize("backing", BACKINGS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("verb", [svd, pca])
def test_singular_vectors_and_the_way_back(verb: Any, dtype: str, backing: str) -> None:
    data, stop = scan(dtype, backing)
    found = verb(data, PHASES, mask=stop)
    rows = data.values.reshape(SCAN**2, -1)[:, ~stop.values.ravel()].astype(float)
    mean = rows.mean(axis=0) * (verb is pca)
    left, size, right = np.linalg.svd(rows - mean, full_matrices=False)
    np.testing.assert_allclose(found.singular_values, size[:PHASES], rtol=1e-6)
    np.testing.assert_array_equal(np.isnan(found.components).all("component"), stop)
    again = reconstruct(found, 2).compute()
    assert again.dims == data.dims
    assert (again.name, again.units) == ("Counts", "counts")
    expected = (left[:, :2] * size[:2]) @ right[:2] + mean
    np.testing.assert_allclose(again.values[..., ~stop.values].reshape(SCAN**2, -1), expected, atol=2e-3)
    assert np.isnan(again.values[..., stop.values]).all()
    np.testing.assert_allclose(project(found, data), found.scores, atol=2e-3)


@pytest.mark.parametrize("backing", BACKINGS)
@pytest.mark.parametrize("solver", ["hals", "compressed"])
def test_factors_are_the_patterns(solver: str, backing: str) -> None:
    data, stop = scan("uint16", backing)
    found = nmf(data, PHASES, mask=stop, solver=solver, scale="poisson").compute()
    shown = ~stop.values
    assert found.scores.min() >= 0
    assert np.nanmin(found.components) >= 0
    assert np.isnan(found.components.values[:, stop.values]).all()
    phase, patterns = truth()
    alike = np.corrcoef(found.components.values[:, shown], patterns[:, shown])[:PHASES, PHASES:]
    assert sorted(alike.argmax(axis=0)) == list(range(PHASES))
    assert (alike.max(axis=0) > 0.95).all()
    np.testing.assert_array_equal(found.scores.argmax("component"), alike.argmax(axis=0)[phase])


@pytest.mark.parametrize("backing", BACKINGS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_clusters_are_the_phases(dtype: str, backing: str) -> None:
    data, stop = scan(dtype, backing)
    found = cluster(data, "kmeans", PHASES, mask=stop).compute()
    phase, _ = truth()
    for k in range(PHASES):
        assert len(np.unique(found.labels.values[phase == k])) == 1
        label = int(found.labels.values[phase == k][0])
        mean = data.values[phase == k].mean(axis=0)
        np.testing.assert_allclose(found.mean_response.values[label][~stop.values], mean[~stop.values], atol=1e-4)
    assert len(np.unique(found.labels)) == PHASES
    np.testing.assert_array_equal(np.isnan(found.mean_response).all("cluster"), stop)
