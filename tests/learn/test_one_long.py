"""Every verb on scans of one position, one row, one step: against NumPy and closed forms, in memory and lazily."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr

from tests.learn.conftest import Backing, Cube
from usidx.errors import ResultError, RoleError
from usidx.learn.cluster import cluster
from usidx.learn.decompose import decompose
from usidx.learn.ica import ica
from usidx.learn.mcr import mcr_als
from usidx.learn.nmf import nmf
from usidx.learn.reconstruct import project, reconstruct
from usidx.learn.rotate import rotate
from usidx.learn.suggest_k import suggest_k
from usidx.learn.suggest_n import scree, suggest_n
from usidx.learn.svd import SOLVERS, pca, svd
from usidx.learn.unmix import fcls, nfindr, vca

SHAPES = {
    "one position": (1, 1, 2, 5),
    "one row": (1, 6, 2, 5),
    "one column": (6, 1, 1, 5),
    "one step": (4, 5, 1, 1),
    "one step of several": (4, 5, 3, 1),
    "one cell": (1, 1, 1, 1),
}


@pytest.fixture(params=list(SHAPES))
def long(request: pytest.FixtureRequest, cube: Cube) -> xr.DataArray:
    return cube(np.random.default_rng(3).random(SHAPES[request.param]) + 0.1)


@pytest.fixture(params=["numpy", "dask"])
def backing(request: pytest.FixtureRequest) -> Backing:
    return lambda data: data if request.param == "numpy" else data.chunk({"Y": 2, "X": 2, "Bias": 3})


def rank(data: xr.DataArray) -> int:
    return min(data.sizes["Y"] * data.sizes["X"], data.sizes["Cycle"] * data.sizes["Bias"])


def rows(data: xr.DataArray) -> Any:
    return data.values.reshape(data.sizes["Y"] * data.sizes["X"], -1)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("verb", [svd, pca])
def test_singular_values_and_the_way_back(
    verb: Any, solver: str, long: xr.DataArray, backing: Backing, cube: Cube
) -> None:
    found = verb(backing(long), rank(long), solver=solver)
    assert found.scores.dims == ("Y", "X", "component")
    assert found.components.dims == ("component", "Cycle", "Bias")
    about = rows(long) - (rows(long).mean(axis=0) if verb is pca else 0)
    truth = np.linalg.svd(about, compute_uv=False)
    np.testing.assert_allclose(found.singular_values, truth, atol=1e-7)
    xr.testing.assert_allclose(reconstruct(found).compute(), long, atol=1e-6)
    np.testing.assert_allclose(project(found, backing(long)), found.scores, atol=1e-6)
    xr.testing.assert_allclose(reconstruct(rotate(found, "promax")).compute(), long, atol=1e-6)


Verb = Callable[[xr.DataArray], xr.Dataset]
VERBS: dict[str, Verb] = {
    "svd std": lambda data: svd(data, min(2, rank(data)), scale="std"),
    "svd poisson": lambda data: svd(data, min(2, rank(data)), scale="poisson"),
    "nmf": lambda data: nmf(data, 1),
    "nmf compressed": lambda data: nmf(data, 1, solver="compressed"),
    "ica": lambda data: ica(data, 1),
    "ica of components": lambda data: ica(data, 1, independent="components"),
    "mcr": lambda data: mcr_als(data, 1),
    "mcr closed": lambda data: mcr_als(data, 1, closure=True),
    "fcls": lambda data: fcls(data, xr.concat([data.mean(("Y", "X")), data.max(("Y", "X"))], "component")),
    "kmeans": lambda data: cluster(data, n=1),
    "minibatch": lambda data: cluster(data, "minibatch", 1),
    "agglomerative": lambda data: cluster(data, "agglomerative", 1),
    "kmeans of scores": lambda data: cluster(svd(data, 1), n=1),
    "agglomerative of scores": lambda data: cluster(svd(data, 1), "agglomerative", 1),
    "scree": lambda data: scree(svd(data, 1)),
}


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("verb", list(VERBS))
def test_lazy_gives_what_memory_gives(verb: str, masked: bool, long: xr.DataArray, cube: Cube) -> None:
    data = long.where((long.Y > 0) | (long.X > 0) | (rank(long) == 1)) if masked else long
    eager, lazy = VERBS[verb](data), VERBS[verb](data.chunk({"Y": 2, "X": 2})).compute()
    for name in eager:
        assert eager[name].dims == lazy[name].dims
        np.testing.assert_allclose(lazy[name], eager[name], atol=1e-6, err_msg=str(name))


def test_factors_of_one_position_or_step_are_exact(backing: Backing, cube: Cube) -> None:
    for shape in ("one position", "one step", "one cell"):
        data = cube(np.random.default_rng(3).random(SHAPES[shape]) + 0.1)
        for solver in ("hals", "compressed"):
            found = nmf(backing(data), 1, solver=solver)
            xr.testing.assert_allclose(reconstruct(found).compute(), data, rtol=1e-6)
            np.testing.assert_allclose(np.linalg.norm(found.components), 1)
        xr.testing.assert_allclose(reconstruct(mcr_als(backing(data), 1)).compute(), data, rtol=1e-6)


def test_one_cluster_is_the_mean(long: xr.DataArray, backing: Backing) -> None:
    for method in ("kmeans", "minibatch", "agglomerative"):
        found = cluster(backing(long), method, 1).compute()
        assert not found.labels.any()
        np.testing.assert_allclose(found.mean_response.values.ravel(), rows(long).mean(axis=0))
        apart = rows(long) - rows(long).mean(axis=0)
        np.testing.assert_allclose(found.distance.values.ravel(), np.linalg.norm(apart, axis=1), atol=1e-7)


def test_number_of_components_of_nothing_is_one(backing: Backing, cube: Cube) -> None:
    """About its mean one position has no variance: any part of it is explained by nothing."""
    one = backing(cube(np.random.default_rng(0).random(SHAPES["one position"])))
    same = backing(cube(np.full((3, 4, 1, 5), 2.0)))
    for data in (one, same):
        for n in (0.9, "auto"):
            found = pca(data, n)
            assert found.sizes["component"] == 1
            np.testing.assert_allclose(found.singular_values, 0, atol=1e-7)
        assert suggest_n(pca(data, 1), 0.5) == 0


@pytest.mark.parametrize("method", ["varimax", "promax"])
def test_rotation_where_nothing_is_known(method: str, backing: Backing, cube: Cube) -> None:
    with pytest.raises(ResultError, match="nothing to learn from"):
        rotate(pca(backing(cube(np.full((3, 4, 1, 5), np.nan))), 2), method).compute()


def test_says_what_is_missing(cube: Cube) -> None:
    one = cube(np.ones(SHAPES["one position"]))
    for verb in (nfindr, vca):
        with pytest.raises(ResultError, match=r"n=2 endmembers .* 1 positions and 10 .* needs at least two of each"):
            verb(one, 2)
    with pytest.raises(ResultError, match="has 1 complete positions; a number of clusters needs at least three"):
        suggest_k(one)
    from sklearn.decomposition import PCA

    with pytest.raises(ResultError, match="There is nothing to learn from: no position is known at all its steps"):
        decompose(one.where(False), PCA(1))
    image = cube(np.ones(SHAPES["one step"])).squeeze()
    with pytest.raises(RoleError, match=r"One step is kept as a dim by data.expand_dims\('Bias'\)"):
        svd(image, 1)
    np.testing.assert_allclose(svd(image.expand_dims("Bias"), 1).singular_values, np.sqrt(20))
