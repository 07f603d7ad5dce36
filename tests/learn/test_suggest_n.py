"""How many components: on data made with a known number."""

from typing import Any

import numpy as np
import pytest

from tests.learn.conftest import Backing, Cube
from usidx.errors import ResultError
from usidx.learn.nmf import nmf
from usidx.learn.suggest_n import scree, suggest_n
from usidx.learn.svd import pca, svd
from usidx.results.provenance import find_last_step, read_steps


def noisy(rank: int, level: float = 0.1, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    left, right = rng.normal(size=(200, rank)), rng.normal(size=(rank, 40))
    return (left @ right + level * rng.normal(size=(200, 40))).reshape(10, 20, 2, 20)


@pytest.mark.parametrize("rule", ["significant", "elbow"])
@pytest.mark.parametrize("rank", [1, 3, 6])
@pytest.mark.parametrize("n", [12, 40])
def test_counts_the_components_that_were_put_in(rank: int, rule: str, n: int, cube: Cube) -> None:
    assert suggest_n(svd(cube(noisy(rank)), n), rule) == rank


def test_lazy_results(cube: Cube) -> None:
    assert suggest_n(pca(cube(noisy(4)).chunk({"Y": 2}), 12)) == 4


@pytest.mark.parametrize("rule", ["significant", "elbow"])
def test_data_without_noise_and_without_anything(rule: str, cube: Cube) -> None:
    assert suggest_n(svd(cube(np.zeros((3, 4, 1, 5))), 4), rule) == 0
    assert suggest_n(svd(cube(noisy(2, 0.0)), 5), rule) == 2


def test_noise_alone_has_no_significant_component(cube: Cube) -> None:
    assert suggest_n(svd(cube(np.random.default_rng(0).normal(size=(20, 20, 1, 50))), 12)) == 0


def test_part_of_the_variance(cube: Cube) -> None:
    found = svd(cube(np.diag([3.0, 2.0, 1.0, 0.0]).reshape(2, 2, 1, 4)), 3)
    assert [suggest_n(found, part) for part in (0.5, 9 / 14, 0.65, 13 / 14, 1.0)] == [1, 1, 2, 2, 3]
    with pytest.raises(ResultError, match=r"1 components explain 0.6429 of the variance, less than the 0.9 asked for"):
        suggest_n(svd(cube(np.diag([3.0, 2.0, 1.0, 0.0]).reshape(2, 2, 1, 4)), 1), 0.9)


def test_scree(backing: Backing, cube: Cube) -> None:
    found = scree(svd(backing(cube(np.diag([3.0, 2.0, 1.0, 0.0]).reshape(2, 2, 1, 4))), 3))
    np.testing.assert_allclose(found.cumulative_ratio, [9 / 14, 13 / 14, 1])
    np.testing.assert_allclose(found.singular_values, [3, 2, 1])
    assert found.cumulative_ratio.attrs["units"] == ""
    assert found.component.values.tolist() == [0, 1, 2]


@pytest.mark.parametrize("rule", ["magic", 0.0, 1.5, True])
def test_refuses_an_unknown_rule(rule: Any, cube: Cube) -> None:
    with pytest.raises(ResultError, match=f"No rule {rule!r}"):
        suggest_n(svd(cube(noisy(2)), 3), rule)


def test_refuses_a_decomposition_without_singular_values(cube: Cube) -> None:
    with pytest.raises(ResultError, match="has no 'singular_values', which svd and pca give"):
        suggest_n(nmf(cube(np.abs(noisy(2))), 2))


@pytest.mark.parametrize(("n", "kept"), [("auto", 3), (0.9, 3), (np.float32(0.9), 3), (0.1, 1)])
def test_number_found_by_the_verb(n: Any, kept: int, backing: Backing, cube: Cube) -> None:
    data = cube(noisy(3))
    found = svd(backing(data), n)
    assert found.sizes["component"] == kept
    np.testing.assert_allclose(found.singular_values, svd(data, kept).singular_values)
    step = find_last_step(found, "svd")
    assert step is not None
    assert step["parameters"]["n"] == n
    assert len(read_steps(found)) == 1


@pytest.mark.parametrize("lazy", [False, True])
def test_part_of_the_variance_that_takes_many_components(lazy: bool, cube: Cube) -> None:
    from sklearn.decomposition import PCA

    rows = np.random.default_rng(0).normal(size=(300, 200))
    data = cube(rows.reshape(15, 20, 1, 200))
    found = pca(data.chunk({"Y": 4}) if lazy else data, 0.97)
    assert found.sizes["component"] == PCA(0.97, svd_solver="full").fit(rows).n_components_ > 128
    assert found.explained_variance_ratio.sum() >= 0.97


@pytest.mark.parametrize("n", ["auto", 0.9])
def test_looks_for_the_number_in_one_decomposition(n: Any, cube: Cube) -> None:
    reads = []

    def read(block: Any) -> Any:
        reads.append(block.shape)
        return block

    data = cube(noisy(3)).chunk({"Y": 2, "X": -1, "Cycle": -1, "Bias": -1})
    data = data.copy(data=data.data.map_blocks(read, dtype=data.dtype, meta=data.data._meta))
    found = svd(data, n)
    assert len(reads) == 5
    reads.clear()
    suggest_n(svd(data, 12))
    assert len(reads) == 5
    found.compute()
