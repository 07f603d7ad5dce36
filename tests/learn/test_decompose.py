"""Estimators of scikit-learn through the gate, against the same on the bare matrix."""

from typing import Any

import numpy as np
import pytest
import xarray as xr
from sklearn.cluster import KMeans
from sklearn.decomposition import (
    NMF,
    PCA,
    FactorAnalysis,
    FastICA,
    IncrementalPCA,
    MiniBatchNMF,
    SparsePCA,
    TruncatedSVD,
)
from sklearn.preprocessing import StandardScaler

from tests.learn.conftest import Backing, Cube
from usidx.errors import ResultError, UsidWarning
from usidx.learn.decompose import decompose
from usidx.learn.reconstruct import reconstruct
from usidx.results.provenance import find_last_step


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
    step = find_last_step(decompose(cube(values()), estimator, 2), "decompose")
    assert step is not None
    assert step["parameters"]["estimator"] == "PCA(n_components=2)"
    assert not hasattr(estimator, "components_")


def test_warns_before_it_loads_much(cube: Cube, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("usidx.learn.decompose._LARGE", 0)
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


def test_partial_fit_sees_every_row(iteration: str, cube: Cube) -> None:
    """Blocks of fewer rows than components are joined, also those at the end."""
    data = cube(values())
    found = decompose(data.chunk({"Y": 1, "X": 2}), IncrementalPCA(4)).compute()
    np.testing.assert_allclose(found["mean"].values, data.mean(("Y", "X")).values, rtol=1e-12)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_partial_fit_sees_batches_of_the_size_of_the_estimator(iteration: str, cube: Cube) -> None:
    data = abs(cube(values()))
    rows = data.values.reshape(42, 10)
    reference = MiniBatchNMF(2, batch_size=5, random_state=0)
    for batch in ([0, 5], [5, 10], [10, 14], [14, 19], [19, 24], [24, 28], [28, 33], [33, 38], [38, 42]):
        reference.partial_fit(rows[slice(*batch)])
    found = decompose(data.chunk({"Y": 2}), MiniBatchNMF(2, batch_size=5, random_state=0)).compute()
    expected = reference.components_
    if iteration == "held":
        expected = MiniBatchNMF(2, batch_size=5, random_state=0).fit(rows).components_
    np.testing.assert_allclose(found.components.values.reshape(2, 10), expected, rtol=1e-9)


def test_what_is_held_does_not_depend_on_chunks(backing: Backing, cube: Cube) -> None:
    data = cube(values())
    found = decompose(backing(data), IncrementalPCA(3, batch_size=20)).compute()
    reference = IncrementalPCA(3, batch_size=20).fit(data.values.reshape(42, 10))
    np.testing.assert_allclose(found.components.values.reshape(3, 10), reference.components_, atol=1e-12)


@pytest.mark.parametrize(
    "estimator",
    [PCA(3), PCA(3, whiten=True), NMF(3, max_iter=2000), TruncatedSVD(3), SparsePCA(3, max_iter=50), FactorAnalysis(3)],
    ids=lambda e: type(e).__name__,
)
def test_error_is_that_of_the_factors(estimator: Any, backing: Backing, iteration: str, cube: Cube) -> None:
    data = abs(cube(values()))
    data[1, 2, 0, 3] = np.nan
    found = decompose(backing(data), estimator).compute()
    kept = data.where(np.isfinite(found.scores[..., 0]))
    left = float(np.sqrt(((reconstruct(found) - kept) ** 2).sum()))
    np.testing.assert_allclose(found.reconstruction_error, left, rtol=1e-6)
    assert found.reconstruction_error.attrs["units"] == "V"


def test_fields_stand_side_by_side(cube: Cube) -> None:
    data = cube(values()).drop_vars("field")
    found = decompose(xr.Dataset({"a": data, "b": (2 * data).assign_attrs(data.attrs)}), PCA(2))
    expected = PCA(2).fit(np.hstack([data.values.reshape(42, 10), 2 * data.values.reshape(42, 10)]))
    np.testing.assert_allclose(found.components.sel(field="b").values.reshape(2, 10), expected.components_[:, 10:])
    assert list(reconstruct(found)) == ["a", "b"]


def test_says_what_the_estimator_refuses(backing: Backing, iteration: str, cube: Cube) -> None:
    with pytest.raises(ResultError, match=r"PCA\(n_components=2\) refused the data: Complex data not supported"):
        decompose(backing(cube(values() * 1j)), PCA(2)).compute()
    with pytest.raises(ResultError, match=r"NMF\(n_components=2\) refused the data: Negative values"):
        decompose(backing(cube(values() - 5)), NMF(2)).compute()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_arrays_among_the_parameters_are_told_apart(cube: Cube) -> None:
    starts = [np.full((2, 2), 0.5), np.eye(2)]
    steps = [find_last_step(decompose(cube(values()), FastICA(2, w_init=w, tol=1.0))) for w in starts]
    assert steps[0] is not None
    assert steps[1] is not None
    assert steps[0]["parameters"]["estimator_digest"] != steps[1]["parameters"]["estimator_digest"]


def test_asks_for_what_is_not_said(cube: Cube) -> None:
    with pytest.raises(ResultError, match=r"PCA\(n_components=0.9\) does not say how many components"):
        decompose(cube(values()), PCA(0.9))
    with pytest.raises(ResultError, match=r"PCA is a class: pass an estimator, such as PCA\(\)"):
        decompose(cube(values()), PCA)
    with pytest.raises(ResultError, match=r"n=0 components: n is a whole number"):
        decompose(cube(values()), PCA(2), 0)


def test_computing_twice_learns_once(cube: Cube) -> None:
    """Scores that are computed by themselves are those of the components computed before, batch by batch too."""
    data = cube(np.random.default_rng(0).random((8, 5, 2, 6))).chunk({"Y": 2})
    found = decompose(data, IncrementalPCA(2, batch_size=10))
    first = found.components.compute()
    xr.testing.assert_identical(found.components.compute(), first)
