"""Estimators of scikit-learn through the gate, against the same on the bare matrix."""

from typing import Any

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA, FactorAnalysis, FastICA, IncrementalPCA
from sklearn.preprocessing import StandardScaler

from tests.learn.conftest import Backing, Cube
from usidx.errors import ResultError, UsidWarning
from usidx.learn.estimator import decompose
from usidx.learn.reconstruct import reconstruct
from usidx.results.provenance import last_step


def values() -> Any:
    rng = np.random.default_rng(0)
    return rng.normal(size=(6, 7, 2, 5)) * np.arange(1, 6) + 3


@pytest.mark.parametrize("estimator", [PCA(3), FactorAnalysis(3), FastICA(3, random_state=0, max_iter=5000)])
def test_the_same_as_on_the_matrix(estimator: Any, backing: Backing, iteration: str, cube: Cube) -> None:
    data = cube(values())
    rows = data.values.reshape(42, 10)
    expected = estimator.fit_transform(rows)
    made = estimator.components_ if not isinstance(estimator, FastICA) else estimator.mixing_.T
    found = decompose(backing(data), estimator, 3)
    assert (found.scores.chunks is None) == (backing(data).chunks is None)
    found = found.compute()
    np.testing.assert_allclose(found.scores.values.reshape(42, 3), expected, atol=1e-6)
    np.testing.assert_allclose(found.components.values.reshape(3, 10), made, atol=1e-6)
    back = reconstruct(found).values.reshape(42, 10)
    np.testing.assert_allclose(back, expected @ made + estimator.mean_, atol=1e-6)


def test_holes(backing: Backing, cube: Cube) -> None:
    data = cube(values())
    data[1, 2, 0, 3], data[..., 1, 4] = np.nan, np.nan
    found = decompose(backing(data), PCA(2), 2).compute()
    kept = np.delete(data.values.reshape(42, 10)[:, :9], 7 + 2, axis=0)
    np.testing.assert_allclose(np.nan_to_num(found["mean"].values).ravel()[:9], kept.mean(axis=0))
    assert np.isnan(found.scores).sum() == 2
    assert np.isnan(found.components).sum() == 2


def test_partial_fit_sees_the_blocks_in_order(iteration: str, cube: Cube) -> None:
    data = cube(values())
    reference = IncrementalPCA(2)
    for start in (0, 2, 4):
        reference.partial_fit(data.values[start : start + 2].reshape(14, 10))
    found = decompose(data.chunk({"Y": 2}), IncrementalPCA(2), 2).compute()
    if iteration == "streamed":
        np.testing.assert_allclose(found.components.values.reshape(2, 10), reference.components_)
    assert np.isfinite(found.scores).all()


def test_records_the_estimator_and_leaves_it_alone(cube: Cube) -> None:
    estimator = PCA(2)
    step = last_step(decompose(cube(values()), estimator, 2), "decompose")
    assert step is not None
    assert step["parameters"]["estimator"] == "PCA(n_components=2)"
    assert not hasattr(estimator, "components_")


def test_warns_before_it_loads_much(cube: Cube, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("usidx.learn.estimator._LARGE", 0)
    with pytest.warns(UsidWarning, match="PCA loads all of 'Raw_Data', 0 MiB"):
        decompose(cube(values()).chunk(), PCA(2), 2)


def test_refuses_what_is_no_decomposition(cube: Cube) -> None:
    with pytest.raises(ResultError, match="'svd' is no decomposition"):
        decompose(cube(values()), "svd", 2)
    with pytest.raises(ResultError, match=r"PCA\(n_components=3\) made 3 components; n=2 were announced"):
        decompose(cube(values()), PCA(3), 2)
    with pytest.raises(ResultError, match="has neither components_ nor mixing_"):
        decompose(cube(values()), StandardScaler(), 2)
    with pytest.raises(ResultError, match="has neither components_ nor mixing_"):
        decompose(cube(values()), KMeans(2), 2)
