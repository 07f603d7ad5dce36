"""Independent sources that are known."""

from typing import Any

import numpy as np
import pytest

from tests.learn.conftest import Backing, Cube
from usidx.errors import ResultError
from usidx.learn.ica import ica
from usidx.learn.reconstruct import project, reconstruct


def sources(shape: tuple[int, ...] = (20, 25, 2, 15), noise: float = 0.0) -> tuple[Any, Any, Any]:
    """Maps of independent cells, uniform and of two values, times responses that resemble each other."""
    rng = np.random.default_rng(0)
    size = shape[0] * shape[1]
    maps = np.stack([rng.uniform(-3, 3, size), 2.0 * rng.choice([-1, 1], size), rng.laplace(size=size)], axis=1)
    maps = np.linalg.qr(maps - maps.mean(axis=0))[0] * [60, 40, 20]
    responses = rng.random((3, shape[2] * shape[3])) + 1
    responses /= np.linalg.norm(responses, axis=1, keepdims=True)
    cells = maps @ responses + 5 + noise * rng.normal(size=(size, responses.shape[1]))
    return cells.reshape(shape), maps.reshape(*shape[:2], 3), responses


@pytest.mark.parametrize("chunked", [False, True])
def test_separates_maps(chunked: bool, cube: Cube) -> None:
    cells, maps, responses = sources(noise=0.01)
    data = cube(cells).chunk({"Y": 6, "X": 11}) if chunked else cube(cells)
    found = ica(data, 3)
    assert (found.scores.chunks is None) != chunked
    found = found.compute()
    likeness = np.corrcoef(found.scores.values.reshape(-1, 3).T, maps.reshape(-1, 3).T)[:3, 3:]
    np.testing.assert_allclose(np.abs(likeness), np.eye(3), atol=0.05)
    np.testing.assert_allclose(np.abs(found.components.values.reshape(3, -1)), responses, atol=0.03)
    np.testing.assert_allclose(np.linalg.norm(found.components.values.reshape(3, -1), axis=1), 1)


def test_it_ends_at_one_place_whenever_it_is_told_to_stop(cube: Cube) -> None:
    """A loose tolerance, or sums in another order, must not show in a result that is made again."""
    data = cube(sources(noise=0.05)[0])
    loose, strict = ica(data, 3, tol=1e-4), ica(data, 3, tol=1e-12)
    np.testing.assert_allclose(loose.components, strict.components, rtol=0, atol=1e-7)


def test_agrees_with_scikit_learn(cube: Cube) -> None:
    from sklearn.decomposition import FastICA

    cells, _, _ = sources(noise=0.05)
    reference = FastICA(3, whiten="unit-variance", random_state=0, tol=1e-10, max_iter=2000)
    theirs = reference.fit_transform(cells.reshape(500, -1))
    mine = ica(cube(cells), 3).scores.values.reshape(-1, 3)
    likeness = np.abs(np.corrcoef(mine.T, theirs.T)[:3, 3:])
    np.testing.assert_allclose(likeness.max(axis=0), 1, atol=1e-4)


def test_separates_responses(backing: Backing, cube: Cube) -> None:
    rng = np.random.default_rng(1)
    responses = np.linalg.qr(rng.uniform(-1, 1, (400, 2)) ** 3)[0].T
    data = cube((rng.normal(size=(42, 2)) @ [[2, 1], [0, 1.5]] @ responses).reshape(6, 7, 1, 400))
    found = ica(backing(data), 2, independent="components").compute()
    likeness = np.abs(found.components.values.reshape(2, -1) @ responses.T)
    np.testing.assert_allclose(likeness.max(axis=0), 1, atol=0.02)


@pytest.mark.parametrize("independent", ["scores", "components"])
def test_the_way_back_with_holes(independent: str, backing: Backing, cube: Cube) -> None:
    data = cube(sources((5, 6, 2, 15))[0])
    data[1, 2, 0, 3], data[..., 1, 4] = np.nan, np.nan
    data = backing(data)
    found = ica(data, 3, independent=independent)
    expected = data.values.copy()
    expected[1, 2] = np.nan
    np.testing.assert_allclose(reconstruct(found).compute(), expected, atol=1e-8)
    np.testing.assert_allclose(project(found, data).compute(), found.scores.compute(), atol=1e-8)
    assert found.scores.attrs["units"] == "V"


def test_nothing_in_it(backing: Backing, cube: Cube) -> None:
    found = ica(backing(cube(np.full((3, 4, 1, 5), 1.0))), 2).compute()
    assert not np.isnan(found.scores).any()
    with pytest.raises(ResultError, match="nothing to learn from"):
        ica(backing(cube(np.full((3, 4, 1, 5), np.nan))), 2).compute()


def test_refuses_what_it_cannot_separate(cube: Cube) -> None:
    data = cube(sources()[0])
    with pytest.raises(ResultError, match="is complex128: sources need real data"):
        ica(data * 1j, 2)
    with pytest.raises(ResultError, match="No independent 'magic'"):
        ica(data, 2, independent="magic")


@pytest.mark.parametrize("n", ["auto", 0.9999])
def test_number_of_sources_as_of_components(n: Any, backing: Backing, cube: Cube) -> None:
    data = cube(sources((10, 12, 2, 15), noise=0.01)[0])
    assert ica(backing(data), n).sizes["component"] == 3


def test_error_is_that_of_the_factors_and_the_iteration_says_whether_it_settled(backing: Backing, cube: Cube) -> None:
    data = cube(sources((10, 12, 2, 15), noise=0.1)[0])
    data[1, 2, 0, 3] = np.nan
    found = ica(backing(data), 3).compute()
    left = float(np.sqrt(((reconstruct(found) - data.where(np.isfinite(found.scores[..., 0]))) ** 2).sum()))
    np.testing.assert_allclose(found.reconstruction_error, left, rtol=1e-9)
    assert bool(found.converged)
    assert not bool(ica(backing(data), 3, max_iter=1).converged.compute())
    with pytest.raises(ResultError, match="max_iter=0: expected a whole number"):
        ica(data, 3, max_iter=0)
