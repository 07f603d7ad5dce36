"""Mixtures and k-means on batches over more rows than their sample holds, against scikit-learn on all rows."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from usidx.errors import ResultError
from usidx.learn.cluster import cluster

_ROWS, _COLUMNS = 1200, 3


@pytest.fixture(autouse=True)
def small_sample() -> Iterator[None]:
    """Sample fewer rows than there are, and stream what would be held."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("usidx.learn.matrix.sample._SAMPLE_ROWS", (200, 200))
        patch.setattr("usidx.tasks.passes._HELD_BYTES", 0)
        yield


def draw_overlapping(seed: int = 0) -> Any:
    """Rows of three normal distributions that overlap, each of its own shape."""
    rng = np.random.default_rng(seed)
    kinds = rng.choice(3, _ROWS, p=[0.5, 0.3, 0.2])
    roots = np.array([np.diag([1.0, 0.5, 0.3]), [[0.5, 0, 0], [0.4, 0.3, 0], [0, 0.2, 1.0]], 0.6 * np.eye(3)])
    centres = np.array([[0.0, 0, 0], [2.5, 1, 0], [0, 2.5, 2]])
    return centres[kinds] + np.einsum("rij,rj->ri", roots[kinds], rng.normal(size=(_ROWS, _COLUMNS)))


def label(rows: Any, chunk: int) -> xr.DataArray:
    cube = xr.DataArray(rows.reshape(40, -1, rows.shape[1]), dims=("Y", "X", "Bias"), name="Raw_Data")
    labelled: xr.DataArray = cube.usid.set_roles(position=["Y", "X"])
    return labelled.chunk({"Y": chunk})


@pytest.fixture(scope="module")
def theirs() -> Any:
    """Scikit-learn's mixture of all rows."""
    from sklearn.mixture import GaussianMixture

    rows = draw_overlapping()
    floor = 1e-6 * rows.var(axis=0).mean()
    return GaussianMixture(3, n_init=5, random_state=0, tol=1e-8, max_iter=2000, reg_covar=floor).fit(rows)


def test_a_streamed_mixture_is_that_of_all_rows(theirs: Any) -> None:
    rows = draw_overlapping()
    found = cluster(label(rows, 7), "gmm", 3, tol=1e-6, max_iter=2000).compute()
    np.testing.assert_allclose(found.log_likelihood, theirs.score(rows) * _ROWS, rtol=1e-5)
    np.testing.assert_allclose(found.bic, theirs.bic(rows), rtol=1e-5)
    # The clusters stand in another order: each of theirs has one of ours with the same probabilities.
    ours, parts = found.responsibilities.values.reshape(_ROWS, 3), theirs.predict_proba(rows)
    apart = np.abs(ours[:, :, np.newaxis] - parts[:, np.newaxis]).max(axis=0)
    assert sorted(apart.argmin(axis=1).tolist()) == [0, 1, 2]
    assert apart.min(axis=1).max() < 0.02
    np.testing.assert_array_equal(found.labels.values.ravel(), ours.argmax(axis=1))


def test_means_and_distances_are_those_of_the_rows_so_labelled() -> None:
    rows = draw_overlapping()
    found = cluster(label(rows, 7), "gmm", 3).compute()
    labels = found.labels.values.ravel()
    means = np.stack([rows[labels == k].mean(axis=0) for k in range(3)])
    np.testing.assert_allclose(found.mean_response, means, rtol=1e-12)
    np.testing.assert_allclose(found.distance.values.ravel(), np.linalg.norm(rows - means[labels], axis=1), rtol=1e-12)
    np.testing.assert_array_equal(found["size"], np.bincount(labels))


@pytest.mark.parametrize("method", ["gmm", "minibatch"])
@settings(max_examples=6)
@given(chunk=st.integers(1, 39))
def test_blocks_decide_nothing(method: str, chunk: int) -> None:
    rows = draw_overlapping()
    found, whole = (cluster(label(rows, size), method, 3, max_iter=5).compute() for size in (chunk, 40))
    np.testing.assert_array_equal(found.labels, whole.labels)
    np.testing.assert_allclose(found.distance, whole.distance, rtol=1e-9)


@pytest.mark.parametrize("method", ["gmm", "minibatch"])
def test_rows_left_out_have_no_cluster(method: str) -> None:
    rows = draw_overlapping()
    holed = rows.copy()
    holed[::5, 1] = np.nan
    found = cluster(label(holed, 7), method, 3).compute()
    assert (found.labels.values.ravel()[::5] == -1).all()
    assert np.isnan(found.distance.values.ravel()[::5]).all()
    assert found["size"].sum() == _ROWS - _ROWS // 5


@pytest.mark.parametrize("exponent", [-400, 180])
@pytest.mark.parametrize("method", ["gmm", "minibatch"])
def test_numbers_of_any_size(method: str, exponent: int) -> None:
    rows = draw_overlapping()
    plain, found = (cluster(label(np.ldexp(rows, e), 7), method, 3).compute() for e in (0, exponent))
    np.testing.assert_array_equal(found.labels, plain.labels)
    np.testing.assert_allclose(found.mean_response, np.ldexp(plain.mean_response.values, exponent), rtol=1e-9)
    if method == "gmm":  # a density is per unit: it falls by so much for each number
        fallen = _ROWS * _COLUMNS * exponent * np.log(2)
        np.testing.assert_allclose(found.log_likelihood, plain.log_likelihood - fallen, rtol=1e-9)
        np.testing.assert_allclose(found.bic, plain.bic + 2 * fallen, rtol=1e-9)


def test_k_means_on_batches_comes_near_that_of_all_rows() -> None:
    from sklearn.cluster import KMeans

    rng = np.random.default_rng(3)
    rows = rng.normal(size=(_ROWS, 6)) + 4 * rng.normal(size=(5, 6))[rng.integers(0, 5, _ROWS)]
    found = cluster(label(rows, 7), "minibatch", 5).compute()
    assert found.inertia < 1.01 * KMeans(5, n_init=10, random_state=0).fit(rows).inertia_


def count_reads(rows: Any, method: str, **options: Any) -> float:
    """Return how often each block is read."""
    reads = []

    def note(block: Any) -> Any:
        reads.append(1)
        return block

    lazy = label(rows, 10)
    lazy = lazy.copy(data=lazy.data.map_blocks(note, dtype=lazy.dtype, meta=np.empty((0, 0, 0))))
    cluster(lazy, method, 3, **options).compute()
    return len(reads) / 4


def test_each_iteration_reads_once() -> None:
    rows = draw_overlapping()
    # The sample, the iterations, the labels, the distances; and for the batches one move in place of all those.
    assert count_reads(rows, "gmm", max_iter=3, tol=1e-6) == 1 + 3 + 2
    assert count_reads(rows, "minibatch") == 1 + 2


def test_a_sample_too_small_for_the_clusters_is_refused() -> None:
    with pytest.raises(ResultError, match="begins with a sample of 200 of these positions, too few for n=300"):
        cluster(label(draw_overlapping(), 7), "minibatch", 300).compute()
