"""Penalties of nmf: scikit-learn's objective at our solution and at its own."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr

from tests.learn.conftest import Backing, Cube
from tests.learn.test_nmf import mixture
from usidx.errors import ResultError
from usidx.learn.nmf import nmf

Array = npt.NDArray[Any]

WEIGHTS: list[dict[str, Any]] = [
    {"alpha_W": 1e-3},
    {"alpha_W": 1e-3, "l1_ratio": 1.0},
    {"alpha_W": 1e-2, "alpha_H": 1e-3, "l1_ratio": 0.5},
    {"alpha_W": 1e-4, "alpha_H": 1e-2, "l1_ratio": 0.3},
]


def objective(cells: Array, scores: Array, components: Array, weights: dict[str, Any]) -> float:
    """Return what the documentation of sklearn.decomposition.NMF says that it makes small."""
    scores, components = scores.astype(float), components.astype(float)
    samples, features = cells.shape
    of_scores, l1 = weights["alpha_W"], weights.get("l1_ratio", 0.0)
    of_components = weights.get("alpha_H", of_scores)
    return float(
        0.5 * np.linalg.norm(cells - scores @ components) ** 2
        + of_scores * l1 * features * np.abs(scores).sum()
        + of_components * l1 * samples * np.abs(components).sum()
        + 0.5 * of_scores * (1 - l1) * features * np.linalg.norm(scores) ** 2
        + 0.5 * of_components * (1 - l1) * samples * np.linalg.norm(components) ** 2
    )


@pytest.mark.parametrize("weights", WEIGHTS, ids=str)
@pytest.mark.parametrize("solver", ["hals", "compressed"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_objective_is_that_of_scikit_learn(weights: dict[str, Any], solver: str, dtype: str) -> None:
    from sklearn.decomposition import NMF

    cells = mixture((30, 40, 1, 40), 4, noise=0.5)[0].reshape(1200, 40).astype(dtype)
    theirs = NMF(4, init="nndsvda", tol=1e-6, max_iter=3000, **weights).fit(cells.astype(float))
    reference = objective(cells, theirs.transform(cells.astype(float)), theirs.components_, weights)
    data = xr.DataArray(cells, dims=("x", "energy")).chunk({"x": 250})
    found = nmf(data, 4, dim="energy", solver=solver, max_iter=1000, **weights).compute()
    assert objective(cells, found.scores.values, found.components.values, weights) < 1.002 * reference
    made = found.scores.values.astype(float) @ found.components.values.astype(float)
    np.testing.assert_allclose(found.reconstruction_error, np.linalg.norm(cells - made), rtol=1e-5)


@pytest.mark.parametrize("solver", ["hals", "compressed"])
def test_masked_cells_do_not_count(solver: str, backing: Backing, cube: Cube) -> None:
    weights: dict[str, Any] = {"alpha_W": 2e-3, "l1_ratio": 0.5}
    data = cube(mixture(noise=0.3)[0])
    kept = np.delete(np.delete(data.values.reshape(20, 24), 1 * 5 + 2, axis=0), 12 + 4, axis=1)
    alone = nmf(xr.DataArray(kept, dims=("x", "energy")), 2, dim="energy", solver=solver, **weights)
    data[1, 2, 0, 3] = np.nan
    mask = xr.zeros_like(data.isel(Y=0, X=0, drop=True), dtype=bool)
    mask[1, 4] = True
    found = nmf(backing(data), 2, mask=mask, solver=solver, **weights).compute()
    np.testing.assert_allclose(found.reconstruction_error, alone.reconstruction_error, rtol=1e-3)
    components = np.delete(found.components.values.reshape(2, 24), 12 + 4, axis=1)
    np.testing.assert_allclose(components, alone.components, atol=0.02 * float(alone.components.max()))


def test_sparse_scores_where_absolute_values_are_penalised(cube: Cube) -> None:
    data = cube(mixture((10, 10, 1, 30), noise=0.5)[0])
    plain, sparse = nmf(data, 3), nmf(data, 3, alpha_W=0.05, l1_ratio=1.0)
    assert float((sparse.scores == 0).mean()) > float((plain.scores == 0).mean()) + 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha_W": -1.0}, r"alpha_W=-1.0: a weight is a number from zero upwards"),
        ({"alpha_H": "both"}, r"alpha_H='both': a weight is a number from zero upwards"),
        ({"alpha_W": 1.0, "l1_ratio": 2.0}, r"l1_ratio=2.0: the part of the absolute values is from 0 to 1"),
    ],
)
def test_refuses_weights_that_are_none(options: dict[str, Any], message: str, cube: Cube) -> None:
    with pytest.raises(ResultError, match=message):
        nmf(cube(mixture()[0]), 2, **options)
