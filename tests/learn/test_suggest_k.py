"""The number of clusters of blobs that were put in."""

import numpy as np
import pytest
import xarray as xr

from tests.learn.conftest import Backing, Cube
from tests.learn.test_cluster import blobs
from usidx.errors import ResultError
from usidx.learn.suggest_k import suggest_k
from usidx.learn.svd import svd


@pytest.mark.parametrize("rule", ["silhouette", "gap", "bic"])
@pytest.mark.parametrize("n", [2, 4])
def test_counts_blobs(rule: str, n: int, cube: Cube) -> None:
    cells, _ = blobs((10, 10, 1, 3), n)
    assert suggest_k(cube(cells), 6, rule=rule) == n


def test_elbow(cube: Cube) -> None:
    rng = np.random.default_rng(0)
    corners = np.array([[0, 0, 0], [9, 0, 0], [0, 9, 0], [0, 0, 9]])
    cells = (corners[np.arange(100) % 4] + 0.1 * rng.normal(size=(100, 3))).reshape(10, 10, 1, 3)
    assert suggest_k(cube(cells), 8, rule="elbow") == 4


def test_same_for_any_chunks_scores_and_complex_data(backing: Backing, cube: Cube) -> None:
    cells, _ = blobs((10, 10, 1, 3), 3)
    cells[0, 0] = np.nan
    assert suggest_k(backing(cube(cells)), 5) == 3
    assert suggest_k(svd(backing(cube(cells)), 2), 5) == 3
    assert suggest_k(backing(cube(cells * 1j)), 5) == 3


def test_no_gap_in_one_blob(cube: Cube) -> None:
    assert suggest_k(cube(blobs((10, 10, 1, 3), 1)[0]), 4, rule="gap") == 1


def test_refuses_what_it_cannot_count(cube: Cube) -> None:
    with pytest.raises(ResultError, match="No rule 'magic'; there are"):
        suggest_k(cube(blobs()[0]), rule="magic")
    with pytest.raises(ResultError, match="nothing to learn from"):
        suggest_k(cube(np.full((3, 3, 1, 2), np.nan)))


@pytest.mark.parametrize("unit", [1e-12, pytest.param(1e9, marks=pytest.mark.slow)])
@pytest.mark.parametrize("rule", ["silhouette", "gap", "bic"])
def test_units_and_masked_positions_change_nothing(rule: str, unit: float, backing: Backing, cube: Cube) -> None:
    cells, _ = blobs((10, 10, 1, 3), 3, seed=1)
    cells[:, 4] = 1e3
    mask = xr.DataArray(np.arange(10) == 4, dims="X")
    assert suggest_k(backing(cube(cells * unit)), 5, rule=rule, mask=mask) == 3


def test_constant_data_is_one_cluster(cube: Cube) -> None:
    assert suggest_k(cube(np.ones((5, 5, 1, 3))), 4, rule="bic") == 1


@pytest.mark.parametrize(("rule", "most"), [("silhouette", 1), ("gap", 0), ("bic", 2.0), ("elbow", True)])
def test_refuses_what_is_no_number_of_clusters(rule: str, most: int, cube: Cube) -> None:
    with pytest.raises(ResultError, match=f"most={most} clusters to try with the rule '{rule}': a whole number"):
        suggest_k(cube(blobs()[0]), most, rule=rule)
    with pytest.raises(ResultError, match="leave out dim= and mask="):
        suggest_k(svd(cube(blobs()[0]), 2), dim="Bias")
