"""nmf against scikit-learn and against mixtures that are known."""

from typing import Any

import numpy as np
import pytest
import xarray as xr

from tests.learn.conftest import Backing, Cube
from usidx.errors import ResultError
from usidx.learn.nmf import nmf
from usidx.learn.reconstruct import reconstruct
from usidx.results.provenance import find_last_step


def mixture(shape: tuple[int, ...] = (4, 5, 2, 12), n: int = 3, noise: float = 0.0, seed: int = 0) -> tuple[Any, Any]:
    """Peaks that barely overlap, and the cells that they make up in known parts."""
    rng = np.random.default_rng(seed)
    width = shape[2] * shape[3]
    peaks = np.exp(-((np.arange(width) - np.linspace(0, width, n + 2)[1:-1, None]) ** 2) / (width / (3 * n)) ** 2)
    parts = rng.dirichlet(np.full(n, 0.5), shape[:2]) * np.arange(1, n + 1)
    cells = parts @ peaks + noise * rng.random((*shape[:2], width))
    return cells.reshape(shape), peaks


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_finds_the_parts_of_a_mixture(dtype: str, backing: Backing, iteration: str, cube: Cube) -> None:
    cells, peaks = mixture()
    found = nmf(backing(cube(cells.astype(dtype))), 3, tol=1e-7, max_iter=120).compute()
    assert (found.scores >= 0).all()
    assert (found.components >= 0).all()
    np.testing.assert_allclose(np.linalg.norm(found.components.values.reshape(3, -1), axis=1), 1, rtol=1e-5)
    likeness = found.components.values.reshape(3, -1) @ (peaks / np.linalg.norm(peaks, axis=1, keepdims=True)).T
    np.testing.assert_allclose(np.sort(likeness.max(axis=0)), 1, atol=2e-3)
    made = np.einsum("yxk,kcb->yxcb", found.scores, found.components)
    assert np.linalg.norm(made - cells) < 5e-3 * np.linalg.norm(cells)
    assert (np.diff(np.linalg.norm(found.scores.values.reshape(-1, 3), axis=0)) <= 0).all()


def test_error_is_that_of_scikit_learn(iteration: str, cube: Cube) -> None:
    from sklearn.decomposition import NMF

    cells, _ = mixture((20, 20, 1, 40), 4, noise=1.0)
    data = cube(cells)
    reference = NMF(4, init="nndsvda", tol=1e-4, max_iter=5000).fit(cells.reshape(400, 40)).reconstruction_err_
    found = nmf(data.chunk({"Y": 3}), 4, tol=1e-7, max_iter=1000).compute()
    assert float(found.reconstruction_error) < 1.002 * reference
    made = np.einsum("yxk,kcb->yxcb", found.scores, found.components)
    np.testing.assert_allclose(found.reconstruction_error, np.linalg.norm(made - cells), rtol=1e-6)


def test_any_chunking_gives_the_same(backing: Backing, iteration: str, cube: Cube) -> None:
    data = cube(mixture(noise=0.3)[0])
    eager, lazy = nmf(data, 3), nmf(backing(data), 3).compute()
    for name in eager.data_vars:
        np.testing.assert_allclose(lazy[name], eager[name], atol=1e-8)


def test_masked_cells_are_left_out_and_filled_back(backing: Backing, iteration: str, cube: Cube) -> None:
    data = cube(mixture(noise=0.3)[0])
    data[1, 2, 0, 3] = np.nan
    mask = xr.zeros_like(data.isel(Y=0, X=0, drop=True), dtype=bool)
    mask[1, 4] = True
    found = nmf(backing(data), 2, mask=mask, tol=1e-8).compute()
    assert np.isnan(found.scores[1, 2]).all()
    assert np.isnan(found.scores).sum() == 2
    assert np.isnan(found.components[:, 1, 4]).all()
    assert np.isnan(found.components).sum() == 2
    kept = np.delete(np.delete(data.values.reshape(20, 24), 1 * 5 + 2, axis=0), 12 + 4, axis=1)
    from sklearn.decomposition import NMF

    reference = NMF(2, init="nndsvda", tol=1e-8, max_iter=5000).fit(kept).reconstruction_err_
    assert float(found.reconstruction_error) < 1.01 * reference


def test_labels_units_and_record(backing: Backing, cube: Cube) -> None:
    found = nmf(backing(cube(mixture()[0])), 2, random_state=5)
    assert found.scores.dims == ("Y", "X", "component")
    assert found.components.dims == ("component", "Cycle", "Bias")
    units = {"scores": "V", "components": "", "reconstruction_error": "V", "relative_error": ""}
    assert {v: found[v].attrs["units"] for v in found} == units
    step = find_last_step(found, "nmf")
    assert step is not None
    assert step["parameters"] == {
        "n": 2, "dim": ["Cycle", "Bias"], "solver": "hals", "alpha_W": 0.0, "alpha_H": 0.0, "l1_ratio": 0.0,
        "random_state": 5, "max_iter": 200, "tol": 1e-6, "mask": None, "scale": None,
    }  # fmt: skip


def test_stays_lazy_and_reads_each_block_once_when_held(cube: Cube) -> None:
    reads: list[int] = []
    data = cube(mixture()[0]).chunk({"Y": 1, "X": -1, "Cycle": -1, "Bias": -1})

    def read(block: Any) -> Any:
        reads.append(1)
        return block

    found = nmf(data.copy(data=data.data.map_blocks(read, dtype=float, meta=data.data._meta)), 2)
    assert not reads
    assert all(variable.chunks is not None for variable in found.data_vars.values())
    found.compute()
    assert len(reads) == 4


@pytest.mark.parametrize("dtype", ["float64", "int16"])
def test_refuses_negative_cells_when_it_sees_them(dtype: str, backing: Backing, iteration: str, cube: Cube) -> None:
    cells = (mixture()[0] * 10).astype(dtype)
    cells[2, 1, 0, 5] = -30
    with pytest.raises(ResultError, match=r"negative cells \(the lowest found is -30\): pass abs\(data\)"):
        nmf(backing(cube(cells)), 2).compute()


@pytest.mark.parametrize("solver", ["hals", "compressed"])
def test_noise_about_zero_averages_out(solver: str, backing: Backing, cube: Cube) -> None:
    rng = np.random.default_rng(5)
    lines = np.exp(-((np.arange(60) - np.array([[15.0], [42.0]])) ** 2) / 18)
    scores = np.concatenate([np.eye(2), rng.random((58, 2))])
    cells = (scores @ lines + 0.05 * rng.normal(size=(60, 60))).reshape(6, 10, 1, 60)
    found = nmf(backing(cube(cells)), 2, solver=solver).compute()
    clipped = nmf(cube(cells.clip(0)), 2, solver=solver)
    between = np.abs(np.arange(60)[:, np.newaxis] - [15, 42]).min(axis=1) > 10  # where there is no line
    levels = [float(r.components.values.reshape(2, 60)[:, between].mean()) for r in (found, clipped)]
    assert levels[0] < 0.5 * levels[1]
    left = np.linalg.norm(reconstruct(found).values - cells)
    assert left <= np.linalg.norm(reconstruct(clipped).values - cells)
    np.testing.assert_allclose(left, found.reconstruction_error, rtol=1e-6)


def test_refuses_complex_data_at_once(cube: Cube) -> None:
    with pytest.raises(ResultError, match=r"'Raw_Data' is complex128: .* Pass abs\(data\)"):
        nmf(cube(mixture()[0] * 1j).chunk(), 2)


def test_data_with_nothing_in_it(backing: Backing, iteration: str, cube: Cube) -> None:
    found = nmf(backing(cube(np.zeros((2, 3, 1, 4)))), 2).compute()
    assert float(found.reconstruction_error) == 0
    assert not np.isnan(found.scores).any()
    with pytest.raises(ResultError, match="nothing to learn from"):
        nmf(backing(cube(np.full((2, 3, 1, 4), np.nan))), 2).compute()


def test_integers(backing: Backing, cube: Cube) -> None:
    found = nmf(backing(cube((mixture()[0] * 100).astype("uint16"))), 3).compute()
    assert found.scores.dtype == np.float64
    made = np.einsum("yxk,kcb->yxcb", found.scores, found.components)
    assert np.linalg.norm(made - mixture()[0] * 100) < 0.02 * np.linalg.norm(mixture()[0] * 100)
