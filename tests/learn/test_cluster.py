"""Clusters against blobs that are known, and against scikit-learn."""

from typing import Any

import numpy as np
import pytest
import xarray as xr

from tests.learn.conftest import Backing, Cube
from usidx.errors import ResultError, UsidWarning
from usidx.learn.cluster import cluster
from usidx.learn.nmf import nmf
from usidx.learn.svd import pca, svd
from usidx.results.provenance import find_last_step


def blobs(shape: tuple[int, ...] = (6, 7, 2, 5), n: int = 3, spread: float = 0.1, seed: int = 0) -> tuple[Any, Any]:
    """Cells about n centres along a line, and which centre each has."""
    rng = np.random.default_rng(seed)
    labels = rng.permuted(np.arange(shape[0] * shape[1]) % n).reshape(shape[:2])
    centres = 3.0 * (np.arange(n)[:, None, None] + 1) * np.ones((n, *shape[2:]))
    return centres[labels] + spread * rng.normal(size=shape), labels


@pytest.mark.parametrize("dtype", ["float64", "float32", "int16", "complex64"])
def test_finds_blobs_in_order(dtype: str, backing: Backing, iteration: str, cube: Cube) -> None:
    cells, labels = blobs()
    cells = cells * (1 + 1j if dtype == "complex64" else 1)
    data = cube((cells * 10).astype(dtype))
    found = cluster(backing(data), "kmeans", 3).compute()
    np.testing.assert_array_equal(found.labels, labels)
    assert found.labels.dtype == np.int32
    means = np.stack([data.values[labels == k].mean(axis=0, dtype=complex) for k in range(3)])
    np.testing.assert_allclose(found.mean_response, means, rtol=1e-5)
    distance = np.linalg.norm((data.values - means[labels]).reshape(*labels.shape, -1), axis=-1)
    np.testing.assert_allclose(found.distance, distance, rtol=1e-4)
    np.testing.assert_array_equal(found["size"], np.bincount(labels.ravel()))


def test_inertia_is_that_of_scikit_learn(iteration: str, cube: Cube) -> None:
    from sklearn.cluster import KMeans

    rng = np.random.default_rng(2)
    cells = rng.normal(size=(30, 40, 1, 6)) + 4 * rng.normal(size=(5, 6))[rng.integers(0, 5, (30, 40))][:, :, None]
    reference = KMeans(5, n_init=10, random_state=0).fit(cells.reshape(-1, 6)).inertia_
    found = cluster(cube(cells).chunk({"Y": 7}), "kmeans", 5)
    np.testing.assert_allclose((found.distance**2).sum().compute(), reference, rtol=1e-3)


@pytest.mark.parametrize("kind", ["flat", "normal", "mixed"])
def test_inertia_of_rows_without_clusters(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but the search for a good start decides here; the sample is a tenth of the rows."""
    from sklearn.cluster import KMeans

    monkeypatch.setattr("usidx.learn.matrix.sample._SAMPLE_ROWS", (600, 600))
    ratios = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        rows = rng.random((6000, 10)) if kind == "flat" else rng.normal(size=(6000, 10))
        rows = rows if kind != "mixed" else 0.2 * rows + rng.dirichlet(np.full(10, 0.5), 6000)
        reference = KMeans(6, n_init=4, random_state=0).fit(rows).inertia_
        found = cluster(xr.DataArray(rows, dims=("x", "energy")), n=6, dim="energy")
        ratios.append(float((found.distance**2).sum()) / reference)
    assert np.mean(ratios) < 1.003
    assert max(ratios) < 1.006


def test_sample_of_the_rows_serves_all(monkeypatch: pytest.MonkeyPatch, backing: Backing, cube: Cube) -> None:
    monkeypatch.setattr("usidx.learn.matrix.sample._SAMPLE_ROWS", (12, 12))
    cells, labels = blobs()
    np.testing.assert_array_equal(cluster(backing(cube(cells)), n=3).compute().labels, labels)


def test_masked_positions_have_label_minus_one(backing: Backing, iteration: str, cube: Cube) -> None:
    cells, labels = blobs()
    cells[0, 1] = np.nan
    mask = xr.DataArray(np.arange(7) == 2, dims="X")
    found = cluster(backing(cube(cells)), n=3, mask=mask).compute()
    left_out = np.broadcast_to(np.arange(7) == 2, (6, 7)).copy()
    left_out[0, 1] = True
    np.testing.assert_array_equal(found.labels, np.where(left_out, -1, labels))
    np.testing.assert_array_equal(np.isnan(found.distance), left_out)
    assert np.isfinite(found.mean_response).all()


def test_masked_step_is_filled_back(backing: Backing, cube: Cube) -> None:
    cells, labels = blobs()
    cells[..., 1, 3] = np.nan
    found = cluster(backing(cube(cells)), n=3).compute()
    np.testing.assert_array_equal(found.labels, labels)
    assert np.isnan(found.mean_response[:, 1, 3]).all()
    assert np.isnan(found.mean_response).sum() == 3


@pytest.mark.parametrize("verb", [svd, pca, nmf])
def test_clusters_of_a_decomposition_answer_in_full_spectra(verb: Any, backing: Backing, cube: Cube) -> None:
    cells, labels = blobs(spread=0.01)
    data = cube(cells)
    result = verb(backing(data), 2)
    found = cluster(result, "kmeans", 3)
    assert (found.labels.chunks is None) == (result.scores.chunks is None)
    found = found.compute()
    np.testing.assert_array_equal(found.labels, labels)
    assert found.mean_response.dims == ("cluster", "Cycle", "Bias")
    means = np.stack([cells[labels == k].mean(axis=0) for k in range(3)])
    np.testing.assert_allclose(found.mean_response, means, atol=0.03)
    assert found.mean_response.attrs["units"] == "V"
    assert found.mean_response.attrs["long_name"] == "Current"
    step = find_last_step(found, "cluster")
    assert step is not None
    assert step["parameters"]["method"] == "kmeans"


def test_neighbours_are_alike(cube: Cube) -> None:
    cells, labels = blobs((8, 8, 1, 4), n=6)
    found = cluster(cube(cells), n=6)
    np.testing.assert_allclose(found.mean_response.mean(("Cycle", "Bias")), 3.0 * np.arange(1, 7), atol=0.2)
    np.testing.assert_array_equal(found.labels, labels)


def test_fewer_distinct_responses_than_clusters(backing: Backing, iteration: str, cube: Cube) -> None:
    found = cluster(backing(cube(np.zeros((2, 3, 1, 4)))), n=3).compute()
    assert set(found.labels.values.ravel().tolist()) == {0}
    assert int(found["size"].sum()) == 6


def test_nothing_known_is_refused(backing: Backing, iteration: str, cube: Cube) -> None:
    with pytest.raises(ResultError, match="no position is known at all its steps"):
        cluster(backing(cube(np.full((2, 3, 1, 4), np.nan))), n=3).compute()


def test_labels_and_coordinates(backing: Backing, cube: Cube) -> None:
    data = cube(blobs()[0])
    found = cluster(backing(data), n=2)
    assert found.labels.dims == found.distance.dims == ("Y", "X")
    for name in ("Y", "X", "Cycle", "Bias", "field", "time"):
        xr.testing.assert_identical(found.coords[name].variable, data.coords[name].variable)
    assert found.cluster.values.tolist() == [0, 1]


def test_stays_lazy(cube: Cube) -> None:
    reads: list[int] = []
    data = cube(blobs()[0]).chunk({"Y": 2, "X": -1, "Cycle": -1, "Bias": -1})

    def read(block: Any) -> Any:
        reads.append(1)
        return block

    lazy = data.copy(data=data.data.map_blocks(read, dtype=float, meta=data.data._meta))
    found = cluster(svd(lazy, 2), n=3)
    assert not reads
    found.compute()
    assert len(reads) == 6


@pytest.mark.parametrize("n", [0, 43])
def test_refuses_a_number_of_clusters_that_cannot_be(n: int, cube: Cube) -> None:
    with pytest.raises(ResultError, match=f"n={n} clusters of an array with 42 positions: .* from 1 to 42"):
        cluster(cube(blobs()[0]), n=n)


def test_refuses_an_unknown_method(cube: Cube) -> None:
    with pytest.raises(ResultError, match=r"No clustering method 'magic'; there are .*'kmeans'"):
        cluster(cube(blobs()[0]), "magic")


def test_refuses_options_that_a_decomposition_has_settled(cube: Cube) -> None:
    with pytest.raises(ResultError, match="leave out dim= and mask="):
        cluster(svd(cube(blobs()[0]), 2), n=2, dim="Bias")


def test_refuses_scores_and_components_without_a_record() -> None:
    made_by_hand = xr.Dataset({"scores": ("component", [1.0]), "components": ("component", [1.0])})
    with pytest.raises(ResultError, match=r"variables \['components', 'scores'\] is not a decomposition"):
        cluster(made_by_hand)


@pytest.mark.parametrize("method", ["minibatch", "gmm", "agglomerative", "hdbscan"])
def test_other_methods(method: str, backing: Backing, cube: Cube) -> None:
    cells, labels = blobs((8, 9, 1, 3))
    cells[0, 1] = np.nan
    found = cluster(backing(cube(cells)), method, 3).compute()
    expected = labels.copy()
    expected[0, 1] = -1
    np.testing.assert_array_equal(found.labels, expected)
    means = np.stack([cells[expected == k].mean(axis=0) for k in range(3)])
    np.testing.assert_allclose(found.mean_response, means)
    assert np.isnan(found.distance).sum() == 1


def test_any_estimator_on_scores(backing: Backing, cube: Cube) -> None:
    from sklearn.cluster import Birch

    cells, labels = blobs()
    found = cluster(pca(backing(cube(cells)), 2), Birch(n_clusters=3), 3).compute()
    np.testing.assert_array_equal(found.labels, labels)
    step = find_last_step(found, "cluster")
    assert step is not None
    assert step["parameters"]["method"] == "Birch()"


def test_clusters_that_are_not_found_are_empty(cube: Cube) -> None:
    cells, labels = blobs((8, 9, 1, 3))
    found = cluster(cube(cells), "hdbscan", 5)
    np.testing.assert_array_equal(found.labels, labels)
    assert found["size"].values.tolist()[3:] == [0, 0]
    assert np.isnan(found.mean_response[3:]).all()


def test_refuses_more_clusters_than_the_result_holds(cube: Cube) -> None:
    with pytest.raises(ResultError, match="The method found 3 clusters; n=2 is the most"):
        cluster(cube(blobs((8, 9, 1, 3))[0]), "hdbscan", 2)


def test_refuses_what_is_no_estimator(cube: Cube) -> None:
    with pytest.raises(ResultError, match="3 is no clustering method: pass a name, or an estimator"):
        cluster(cube(blobs()[0]), 3)


def test_warns_before_it_loads_much(cube: Cube, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("usidx.learn.cluster._LARGE", 0)
    with pytest.warns(UsidWarning, match="loads all of 'Raw_Data', 0 MiB"):
        cluster(cube(blobs()[0]).chunk(), "hdbscan", 3)


@pytest.mark.parametrize("n", [2, 4, 7])
def test_linkage_is_the_top_of_the_tree_over_all_positions(n: int, backing: Backing, cube: Cube) -> None:
    from scipy.cluster.hierarchy import dendrogram, linkage

    cells = np.random.default_rng(n).normal(size=(5, 6, 2, 3))
    found = cluster(backing(cube(cells)), "agglomerative", n).compute()
    whole = linkage(cells.reshape(30, 6), "ward")[-(n - 1) :]
    np.testing.assert_allclose(found.linkage[:, 2], whole[:, 2], rtol=1e-9)
    first = found.linkage.values[0, :2].astype(int)
    assert found["size"].values[first].sum() == whole[0, 3]
    assert sorted(dendrogram(found.linkage.values, no_plot=True)["leaves"]) == list(range(n))
    # Neighbours in the tree are neighbours in number: drawn, no two branches cross.
    assert abs(first[0] - first[1]) == 1


def test_linkage_of_clusters_of_a_decomposition(backing: Backing, cube: Cube) -> None:
    from scipy.cluster.hierarchy import linkage

    data = cube(np.random.default_rng(0).normal(size=(5, 6, 2, 3)))
    found = cluster(svd(backing(data), 6), "agglomerative", 4).compute()
    np.testing.assert_allclose(
        found.linkage[:, 2], linkage(data.values.reshape(30, 6), "ward")[-3:, 2], rtol=1e-6
    )  # all components: the distances are those of the data


def test_linkage_of_nothing(backing: Backing, cube: Cube) -> None:
    found = cluster(backing(cube(np.zeros((2, 3, 1, 4)))), "agglomerative", 3).compute()
    assert found.linkage.shape == (2, 4)
    assert not np.isnan(found.linkage).all()


@pytest.mark.parametrize("method", ["kmeans", "minibatch", "gmm", "agglomerative", "hdbscan"])
def test_no_complete_position_is_refused(method: str, backing: Backing, cube: Cube) -> None:
    cells = np.where(np.eye(6, 4).reshape(2, 3, 1, 4) > 0, np.nan, 1.0)
    cells[1, 1:] = np.nan
    with pytest.raises(ResultError, match="nothing to learn from"):
        cluster(backing(cube(cells)), method, 2).compute()


def test_a_mixture_tells_how_likely_it_is(backing: Backing, cube: Cube) -> None:
    from sklearn.mixture import GaussianMixture

    cells, _ = blobs((8, 9, 1, 3), spread=1.0)
    cells[0, 1] = np.nan
    found = cluster(backing(cube(cells)), "gmm", 3).compute()
    rows = np.delete(cells.reshape(72, 3), 1, axis=0)
    floor = 1e-6 * rows.var(axis=0).mean()  # theirs is a number, whatever the units of the data are
    theirs = GaussianMixture(3, n_init=2, random_state=0, max_iter=300, tol=1e-4, reg_covar=floor).fit(rows)
    np.testing.assert_allclose(found.bic, theirs.bic(rows), rtol=1e-9)
    np.testing.assert_allclose(found.log_likelihood, theirs.score(rows) * 71, rtol=1e-9)
    parts = theirs.predict_proba(rows)[:, np.argsort(theirs.means_.sum(axis=1))]
    np.testing.assert_allclose(np.delete(found.responsibilities.values.reshape(72, 3), 1, axis=0), parts, atol=1e-9)
    assert np.isnan(found.responsibilities[0, 1]).all()
    assert found.responsibilities.dims == ("Y", "X", "cluster")


@pytest.mark.parametrize("unit", [1e-12, 1e9])
@pytest.mark.parametrize("method", ["kmeans", "minibatch", "gmm", "agglomerative", "hdbscan"])
def test_units_change_nothing(method: str, unit: float, cube: Cube) -> None:
    cells, labels = blobs((8, 9, 1, 3))
    found = cluster(cube(cells * unit), method, 3)
    np.testing.assert_array_equal(found.labels, labels)
    rows, means = cells.reshape(72, 3), np.stack([cells[labels == k].mean(axis=0).ravel() for k in range(3)])
    inertia = unit**2 * ((rows - means[labels.ravel()]) ** 2).sum()
    np.testing.assert_allclose(found.inertia, inertia, rtol=1e-6)
    assert found.inertia.attrs["units"] == "V^2"


@pytest.mark.parametrize(
    ("method", "n", "complete", "said"),
    [
        ("minibatch", 3, 2, "'minibatch' with n=3 needs at least 3 complete positions; there are 2. Use 'kmeans'"),
        ("agglomerative", 3, 2, "'agglomerative' with n=3 needs at least 3 .* are 2"),
        ("gmm", 3, 2, "'gmm' with n=3 needs at least 3 .* are 2"),
        ("gmm", 1, 1, "'gmm' with n=1 needs at least 2 .* is one"),
        ("hdbscan", 2, 4, "'hdbscan' with n=2 needs at least 5 .* are 4"),
        ("hdbscan", 1, 1, "'hdbscan' with n=1 needs at least 5 .* is one"),
    ],
)
def test_refuses_too_few_complete_positions(
    method: str, n: int, complete: int, said: str, backing: Backing, cube: Cube
) -> None:
    cells, _ = blobs((3, 4, 1, 3))
    cells[1:], cells[0, complete:] = np.nan, np.nan
    with pytest.raises(ResultError, match=said):
        cluster(backing(cube(cells)), method, n).compute()


def test_an_estimator_says_how_many_clusters_there_are(cube: Cube) -> None:
    from sklearn.cluster import DBSCAN, KMeans
    from sklearn.mixture import GaussianMixture

    data = cube(blobs((8, 9, 1, 3))[0])
    assert cluster(data, KMeans(3, n_init=3)).sizes["cluster"] == 3
    assert cluster(data, GaussianMixture(2)).sizes["cluster"] == 2
    assert cluster(data, DBSCAN(0.5)).sizes["cluster"] == 8
    with pytest.raises(ResultError, match="pass a name, or an estimator"):
        cluster(data, KMeans)


@pytest.mark.parametrize("most", [0, 1.5, True])
def test_refuses_what_is_no_number_of_iterations(most: Any, cube: Cube) -> None:
    with pytest.raises(ResultError, match=r"max_iter=.* at least one"):
        cluster(cube(blobs()[0]), n=3, max_iter=most)


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_means_of_many_responses_far_from_zero(dtype: str, iteration: str) -> None:
    """Sums of single precision, of numbers far above what tells them apart, would lose it."""
    rng = np.random.default_rng(0)
    truth = np.repeat([10.0, -10.0], 10000)[:, np.newaxis] + rng.normal(size=(20000, 3)) + 1e4
    values = (truth * (1 + 1j) if dtype.startswith("c") else truth).astype(dtype)
    found = cluster(xr.DataArray(values, dims=("x", "energy")).chunk(x=9000), "kmeans", 2, dim="energy").compute()
    for label in (0, 1):
        mean = values[found.labels == label].mean(axis=0, dtype=complex if dtype.startswith("c") else float)
        np.testing.assert_allclose(found.mean_response[label], mean, rtol=2e-7)
    np.testing.assert_allclose(found.inertia, 3 * 20000 * (2 if dtype.startswith("c") else 1), rtol=0.02)
