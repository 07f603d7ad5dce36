"""Decompositions of data that is divided by its scale first."""

from typing import Any

import numpy as np
import pytest
import xarray as xr

from tests.learn.conftest import Backing, Cube
from usidx.errors import ResultError
from usidx.learn.nmf import nmf
from usidx.learn.reconstruct import project, reconstruct
from usidx.learn.svd import pca, svd

TALL, WIDE = (4, 5, 1, 6), (2, 3, 4, 9)


def counts(shape: tuple[int, ...]) -> Any:
    rng = np.random.default_rng(0)
    return rng.poisson(5 * rng.random(shape) * np.linspace(1, 30, shape[-1])).astype(float)


@pytest.mark.parametrize("solver", ["gram", "krylov"])
@pytest.mark.parametrize("shape", [TALL, WIDE])
def test_poisson_is_that_of_keenan_and_kotula(
    shape: tuple[int, ...], solver: str, backing: Backing, cube: Cube
) -> None:
    data = cube(counts(shape))
    rows = data.values.reshape(shape[0] * shape[1], -1)
    g, h = rows.mean(axis=1), rows.mean(axis=0) / rows.mean()
    left, size, right = np.linalg.svd(rows / np.sqrt(np.outer(g, h)), full_matrices=False)
    found = svd(backing(data), 3, scale="poisson", solver=solver, tol=1e-12).compute()
    np.testing.assert_allclose(found.singular_values, size[:3], rtol=1e-9)
    made = (np.sqrt(g)[:, None] * left[:, :3] * size[:3]) @ (right[:3] * np.sqrt(h))
    np.testing.assert_allclose(reconstruct(found).values.reshape(rows.shape), made, atol=1e-4 * rows.max())
    np.testing.assert_allclose(found.scale.values.ravel(), np.sqrt(h))


@pytest.mark.parametrize("shape", [TALL, WIDE])
def test_std_is_the_decomposition_of_the_correlation(shape: tuple[int, ...], backing: Backing, cube: Cube) -> None:
    data = cube(counts(shape) + 100)
    rows = data.values.reshape(shape[0] * shape[1], -1)
    even = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    found = pca(backing(data), 3, scale="std").compute()
    np.testing.assert_allclose(found.singular_values, np.linalg.svd(even, compute_uv=False)[:3], rtol=1e-9)
    np.testing.assert_allclose(found["mean"].values.ravel(), rows.mean(axis=0))
    components = found.components.values.reshape(3, -1) / rows.std(axis=0)
    np.testing.assert_allclose(components @ components.T, np.eye(3), atol=1e-10)
    np.testing.assert_allclose(found.scores.values.reshape(-1, 3), even @ components.T, atol=1e-9)


@pytest.mark.parametrize(("verb", "scale"), [(svd, "poisson"), (svd, "std"), (pca, "std")])
def test_full_rank_is_exact_and_project_gives_the_scores_back(
    verb: Any, scale: str, backing: Backing, cube: Cube
) -> None:
    data = backing(cube(counts(TALL)))
    found = verb(data, 6, scale=scale)
    np.testing.assert_allclose(reconstruct(found).compute(), data, atol=1e-9)
    np.testing.assert_allclose(project(found, data).compute(), found.scores.compute(), atol=1e-9)
    assert found.scores.attrs["units"] == ("" if scale == "std" else "V")
    assert (found.scores.chunks is None) == (data.chunks is None)


@pytest.mark.parametrize("scale", ["poisson", "std"])
def test_empty_steps_and_positions_and_holes(scale: str, backing: Backing, cube: Cube) -> None:
    data = cube(counts(TALL))
    data[1, 1], data[..., 2] = 0, 0
    data[2, 2], data[..., 4] = np.nan, np.nan
    again = reconstruct(svd(backing(data), 5, scale=scale)).compute()
    np.testing.assert_allclose(again, data, atol=1e-9)


def test_refuses_what_has_no_such_noise(cube: Cube) -> None:
    with pytest.raises(ResultError, match="Poisson noise is that of counts"):
        svd(cube(counts(TALL) * 1j), 2, scale="poisson")
    with pytest.raises(ResultError, match="negative cells"):
        svd(cube(-counts(TALL)), 2, scale="poisson")
    with pytest.raises(ResultError, match="No scale 'magic'"):
        svd(cube(counts(TALL)), 2, scale="magic")


@pytest.mark.parametrize("scale", ["poisson", "std"])
def test_nmf_is_that_of_the_divided_data(scale: str, backing: Backing, cube: Cube) -> None:
    from sklearn.decomposition import NMF

    rng = np.random.default_rng(3)
    data = cube(rng.poisson(60 * rng.random((20, 2)) @ rng.random((2, 6))).reshape(TALL).astype(float))
    rows = data.values.reshape(20, 6)
    mean = rows.mean(axis=0) / rows.mean()
    divided = np.sqrt(np.outer(rows.mean(axis=1), mean)) if scale == "poisson" else np.ones((20, 1)) * rows.std(axis=0)
    model = NMF(2, init="nndsvda", tol=1e-9, max_iter=5000).fit(rows / divided)
    found = nmf(backing(data), 2, scale=scale, tol=1e-10, max_iter=3000).compute()
    assert found.reconstruction_error <= model.reconstruction_err_ * 1.0001
    made = reconstruct(found)
    left = np.linalg.norm((made.values.reshape(20, 6) - rows) / divided)
    np.testing.assert_allclose(found.reconstruction_error, left, rtol=1e-6)
    assert made.attrs["units"] == "V"
    assert found.reconstruction_error.attrs["units"] == {"poisson": "V^0.5", "std": ""}[scale]
    np.testing.assert_allclose(np.linalg.norm((found.components / found.scale).values.reshape(2, 6), axis=1), 1)
    np.testing.assert_allclose(project(found, data), found.scores, atol=2e-3 * float(found.scores.max()))


def test_counts_of_faint_steps_matter_as_much_as_bright_ones() -> None:
    rng = np.random.default_rng(5)
    energy = np.arange(60)
    parts = np.stack([2000 * np.exp(-energy / 5), 6 * np.exp(-(((energy - 45) / 4.0) ** 2))])
    amounts = np.stack([1 + 0.3 * rng.random(400), rng.random(400)], axis=1)
    data = xr.DataArray(rng.poisson(amounts @ parts), dims=("x", "energy"))
    found = nmf(data, 2, dim="energy", scale="poisson")
    plain = nmf(data, 2, dim="energy")

    def nearest(result: xr.Dataset) -> float:
        alike = [np.corrcoef(amounts[:, 1], result.scores[:, k])[0, 1] for k in range(2)]
        return float(max(alike))

    assert nearest(found) > 0.9
    assert nearest(found) > nearest(plain) + 0.1
