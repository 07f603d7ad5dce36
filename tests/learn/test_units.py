"""The law of units: data in a unit a power of two smaller gives the same results, each figure as its units say."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr

from tests.learn.conftest import Cube
from usidx.errors import ResultError
from usidx.learn.cluster import cluster
from usidx.learn.decompose import decompose
from usidx.learn.ica import ica
from usidx.learn.mcr import mcr_als
from usidx.learn.nmf import nmf
from usidx.learn.reconstruct import project, reconstruct
from usidx.learn.rotate import rotate
from usidx.learn.suggest_k import suggest_k
from usidx.learn.suggest_n import scree, suggest_n
from usidx.learn.svd import pca, svd
from usidx.learn.unmix import fcls, nfindr, vca

Verb = Callable[[xr.DataArray], Any]

POWERS = {"": 0.0, "V": 1.0, "V^2": 2.0, "V^0.5": 0.5}
#: These depend on the logarithm of the unit, or mix numbers of several kinds.
NO_LAW = {"log_likelihood", "bic", "linkage", "singular_values_error"}

SINGLE: dict[str, Verb] = {
    "svd gram": lambda data: svd(data, 2, solver="gram"),
    "svd krylov": lambda data: svd(data, 2, solver="krylov"),
    "svd adaptive": lambda data: svd(data, 2, solver="adaptive"),
    "pca of few positions": lambda data: pca(data.isel(X=[0, 1, 2], Y=[0]), 2),
    "svd std": lambda data: svd(data, 2, scale="std"),
    "pca std": lambda data: pca(data, 2, scale="std"),
    "svd poisson": lambda data: svd(data, 2, scale="poisson"),
    "significant": lambda data: svd(data, "auto"),
    "scree": lambda data: scree(pca(data, 2)),
    "varimax": lambda data: rotate(svd(data, 2)),
    "promax of std": lambda data: rotate(pca(data, 2, scale="std"), "promax"),
    "nmf": lambda data: nmf(data, 3, max_iter=20),
    "nmf compressed": lambda data: nmf(data, 3, solver="compressed", max_iter=20),
    "nfindr": lambda data: nfindr(data, 3),
    "vca": lambda data: vca(data, 3),
    "fcls": lambda data: fcls(data, nfindr(data, 3).components),
    "mcr": lambda data: mcr_als(data, 3, max_iter=5),
    "mcr closed": lambda data: mcr_als(data, 3, closure=True, max_iter=5),
    "reconstruct": lambda data: reconstruct(svd(data, 2, scale="std")),
    "project": lambda data: project(svd(data, 2), data),
    "project on std": lambda data: project(svd(data, 2, scale="std"), data),
    "project on abundances": lambda data: project(nfindr(data, 3), data),
    "kmeans": lambda data: cluster(data, n=3),
    "kmeans of scores": lambda data: cluster(pca(data, 2), n=3),
    "kmeans of std": lambda data: cluster(pca(data, 2, scale="std"), n=3),
    "kmeans of abundances": lambda data: cluster(nfindr(data, 3), n=3),
    "number of clusters": lambda data: xr.DataArray(suggest_k(data, 5)),
    "number of components": lambda data: xr.DataArray(suggest_n(svd(data, 6))),
}
DOUBLE: dict[str, Verb] = {
    "ica": lambda data: ica(data, 2, max_iter=10),
    "minibatch": lambda data: cluster(data, "minibatch", 3),
    "gmm": lambda data: cluster(svd(data, 2), "gmm", 3),
    "agglomerative": lambda data: cluster(data, "agglomerative", 3),
    "hdbscan": lambda data: cluster(data, "hdbscan", 9),
    "estimator": lambda data: decompose(data, _estimator()),
}


def _estimator() -> Any:
    from sklearn.decomposition import PCA

    return PCA(2, svd_solver="full")


def mixture(cube: Cube, dtype: str) -> xr.DataArray:
    rng = np.random.default_rng(0)
    parts, pure = rng.dirichlet(np.full(3, 0.3), (9, 8)), rng.random((3, 2, 6))
    parts[0, :3] = np.eye(3)
    return cube((np.tensordot(parts, pure, 1) + 0.01 * rng.random((9, 8, 2, 6))).astype(dtype))


def check(verb: Verb, data: xr.DataArray, exponent: int, rtol: float) -> None:
    small = data.copy(data=np.ldexp(data.values, exponent))
    for chunks in (None, {"Y": 4}):
        expected, found = verb(data), verb(small if chunks is None else small.chunk(chunks))
        expected, found = (a if isinstance(a, xr.Dataset) else a.to_dataset(name="found") for a in (expected, found))
        for name, truth in expected.items():
            if name in NO_LAW:
                continue
            assert found[name].shape == truth.shape
            factor = 2.0 ** (-exponent * POWERS[truth.attrs.get("units", "")])
            # Back in the unit of the truth; double, as single precision may not hold the numbers.
            back = found[name].values.astype(np.float64) * factor
            scale = float(np.abs(truth).max())
            np.testing.assert_allclose(back, truth, rtol=rtol, atol=rtol * scale, err_msg=str(name))


@pytest.mark.parametrize("exponent", [-100, pytest.param(100, marks=pytest.mark.slow)])
@pytest.mark.parametrize("verb", [*SINGLE, *DOUBLE])
def test_double_precision(verb: str, exponent: int, cube: Cube) -> None:
    check((SINGLE | DOUBLE)[verb], mixture(cube, "float64"), exponent, 1e-7)


@pytest.mark.parametrize("exponent", [-80, pytest.param(62, marks=pytest.mark.slow)])
@pytest.mark.parametrize("verb", list(SINGLE))
def test_single_precision(verb: str, exponent: int, cube: Cube) -> None:
    """Joules and charges of one electron, whose squares single precision cannot hold."""
    check(SINGLE[verb], mixture(cube, "float32"), exponent, 1e-5)


@pytest.mark.parametrize("solver", ["hals", "compressed"])
def test_penalties_go_with_the_data(solver: str, cube: Cube) -> None:
    """In another unit the weights on values are others by the unit, those on squares of components by its square."""
    data = mixture(cube, "float32")
    unit = 2.0**-80
    small = data.copy(data=np.ldexp(data.values, -80))
    plain = nmf(data, 3, solver=solver, alpha_W=0.01, alpha_H=0.0, l1_ratio=1.0, max_iter=20)
    found = nmf(small, 3, solver=solver, alpha_W=0.01 * unit, alpha_H=0.0, l1_ratio=1.0, max_iter=20)
    np.testing.assert_allclose(found.relative_error, plain.relative_error, rtol=1e-3)
    plain = nmf(data, 3, solver=solver, alpha_W=0.01, alpha_H=0.01, max_iter=20)
    found = nmf(small, 3, solver=solver, alpha_W=0.01, alpha_H=0.01 * unit**2, max_iter=20)
    np.testing.assert_allclose(found.relative_error, plain.relative_error, rtol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(found.components), np.linalg.norm(plain.components), rtol=1e-3)


@pytest.mark.parametrize("dtype", ["float16", "longdouble", ">f4", "uint16"])
def test_precisions_that_libraries_do_not_know(dtype: str, cube: Cube) -> None:
    cells = np.round(mixture(cube, "float64").values * 1000)
    data, truth = cube(cells.astype(dtype)), cube(cells.astype(dtype).astype(np.float64))
    for verb in ("svd adaptive", "nmf", "nmf compressed", "mcr", "kmeans", "svd std", "vca"):
        expected, lazy = SINGLE[verb](truth), SINGLE[verb](data.chunk({"Y": 4})).compute()
        name = "relative_error" if "relative_error" in expected else "components"
        name = "mean_response" if "mean_response" in expected else name
        np.testing.assert_allclose(lazy[name], expected[name], rtol=2e-3, atol=1e-3, err_msg=verb)


@pytest.mark.parametrize(
    "verb", ["svd gram", "svd krylov", "svd std", "nmf", "mcr", "vca", "kmeans", "pca of few positions"]
)
def test_refuses_what_cannot_be_squared(verb: str, cube: Cube) -> None:
    """Often what stands for a missing cell."""
    data = mixture(cube, "float64")
    data[0, 0, 0, 0] = 1.7e308
    for lazy in (data, data.chunk({"Y": 4})):
        with pytest.raises(
            ResultError, match=r"numbers up to 1\.7e\+308, .* leave them out, with mask= or data\.where"
        ):
            SINGLE[verb](lazy).compute()
