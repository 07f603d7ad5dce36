"""Compressed nmf against the plain one and scikit-learn: gapped, flat and noisy data, masks, any shape and chunks."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr

from tests.learn.conftest import Backing, Cube
from tests.learn.test_nmf import mixture
from usidx.errors import ResultError
from usidx.learn.nmf import nmf
from usidx.results.provenance import find_last_step

Array = npt.NDArray[Any]

#: How much larger its error may be: what the documentation states.
MARGIN = 1e-3


def gapped(rng: np.random.Generator, rows: int, columns: int) -> Array:
    peaks = mixture((1, 1, 1, columns), 5)[1]
    return np.asarray(rng.dirichlet(np.full(5, 0.5), rows) @ peaks + 0.02 * rng.random((rows, columns)))


def flat(rng: np.random.Generator, rows: int, columns: int) -> Array:
    return rng.random((rows, columns))


def noisy(rng: np.random.Generator, rows: int, columns: int) -> Array:
    return np.asarray(rng.poisson(3 * gapped(rng, rows, columns)), float)


def rare(rng: np.random.Generator, rows: int, columns: int) -> Array:
    """One constituent in a handful of rows, which the sample will hardly have."""
    cells = gapped(rng, rows, columns)
    cells[7:13, : columns // 4] += 5
    return cells


def one_column(rng: np.random.Generator, rows: int, columns: int) -> Array:
    return rng.random((rows, 1))


def low_rank(rng: np.random.Generator, rows: int, columns: int) -> Array:
    return np.asarray(rng.random((rows, 2)) @ rng.random((2, columns)))


KINDS = {f.__name__: f for f in (gapped, flat, noisy, rare, one_column, low_rank)}


@pytest.fixture
def small_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sample and sketch are small parts of the rows, as they are of a large file."""
    monkeypatch.setattr("usidx.learn.matrix.sample._SAMPLE_ROWS", (256, 256))
    monkeypatch.setattr("usidx.learn.factors.sketched_nmf._SKETCH_BYTES", 2**18)


def of_rows(cells: Array) -> xr.DataArray:
    return xr.DataArray(cells, dims=("x", "energy"))


def frobenius(found: xr.Dataset, cells: Array) -> float:
    made = found.scores.values.astype(float) @ found.components.values.astype(float)
    return float(np.linalg.norm(made - cells))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("shape", [(4000, 48), (300, 400)])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # flat data: it would go on for ever
def test_error_is_that_of_the_exact_solvers(kind: str, shape: tuple[int, int], dtype: str, small_sample: None) -> None:
    from sklearn.decomposition import NMF

    cells = KINDS[kind](np.random.default_rng(1), *shape).astype(dtype)
    n = min(5, cells.shape[1])
    data = of_rows(cells)
    found = nmf(data, n, dim="energy", solver="compressed")
    exact = nmf(data, n, dim="energy", solver="hals")
    theirs = NMF(n, init="nndsvda", tol=1e-4, max_iter=400).fit(cells.astype(float)).reconstruction_err_
    floor = 2e-3 * float(np.linalg.norm(cells)) if kind in ("low_rank", "one_column") else 0.0
    assert float(found.reconstruction_error) <= (1 + MARGIN) * float(exact.reconstruction_error) + floor
    assert float(found.reconstruction_error) <= (1 + MARGIN) * theirs + floor
    assert (found.scores >= 0).all()
    assert (found.components >= 0).all()


@pytest.mark.parametrize("kind", ["gapped", "flat", "noisy"])
def test_error_is_true(kind: str, small_sample: None) -> None:
    cells = KINDS[kind](np.random.default_rng(2), 3000, 40)
    found = nmf(of_rows(cells).chunk({"x": 700}), 4, dim="energy", solver="compressed").compute()
    np.testing.assert_allclose(found.reconstruction_error, frobenius(found, cells), rtol=1e-9)
    np.testing.assert_allclose(found.relative_error, frobenius(found, cells) / np.linalg.norm(cells), rtol=1e-9)


def test_any_chunking_gives_the_same(backing: Backing, iteration: str, cube: Cube) -> None:
    data = cube(mixture(noise=0.3)[0])
    eager, lazy = nmf(data, 3, solver="compressed"), nmf(backing(data), 3, solver="compressed").compute()
    for name in eager.data_vars:
        np.testing.assert_allclose(lazy[name], eager[name], atol=1e-8)


def test_masked_cells_are_left_out_and_filled_back(backing: Backing, iteration: str, cube: Cube) -> None:
    from sklearn.decomposition import NMF

    data = cube(mixture(noise=0.3)[0])
    data[1, 2, 0, 3] = np.nan
    mask = xr.zeros_like(data.isel(Y=0, X=0, drop=True), dtype=bool)
    mask[1, 4] = True
    found = nmf(backing(data), 2, mask=mask, solver="compressed").compute()
    assert np.isnan(found.scores).sum() == np.isnan(found.scores[1, 2]).sum() == 2
    assert np.isnan(found.components).sum() == np.isnan(found.components[:, 1, 4]).sum() == 2
    kept = np.delete(np.delete(data.values.reshape(20, 24), 1 * 5 + 2, axis=0), 12 + 4, axis=1)
    reference = NMF(2, init="nndsvda", tol=1e-8, max_iter=5000).fit(kept).reconstruction_err_
    assert float(found.reconstruction_error) < 1.01 * reference


@pytest.mark.parametrize("fill", [0.0, 1.0])
def test_data_with_nothing_in_it(fill: float, backing: Backing, iteration: str, cube: Cube) -> None:
    found = nmf(backing(cube(np.full((2, 3, 1, 4), fill))), 2, solver="compressed").compute()
    np.testing.assert_allclose(found.reconstruction_error, 0, atol=1e-6)
    assert not np.isnan(found.scores).any()


def test_nothing_known_is_refused(backing: Backing, iteration: str, cube: Cube) -> None:
    with pytest.raises(ResultError, match="no position is known at all its steps"):
        nmf(backing(cube(np.full((2, 3, 1, 4), np.nan))), 2, solver="compressed").compute()


def counting(data: xr.DataArray) -> tuple[xr.DataArray, list[int]]:
    reads: list[int] = []

    def read(block: Any) -> Any:
        reads.append(1)
        return block

    return data.copy(data=data.data.map_blocks(read, dtype=data.dtype, meta=data.data._meta)), reads


@pytest.mark.parametrize("make", [gapped, noisy])
def test_few_passes(make: Callable[..., Array], small_sample: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """One to survey, one to sketch, and two or three over the data itself."""
    monkeypatch.setattr("usidx.tasks.passes._HELD_BYTES", 0)
    cells = make(np.random.default_rng(3), 4000, 40)
    lazy, reads = counting(of_rows(cells).chunk({"x": 1000}))
    nmf(lazy, 5, dim="energy", solver="compressed").compute()
    assert len(reads) in (4 * 4, 5 * 4)


@pytest.mark.parametrize("lazy", [False, True])
def test_is_chosen_by_size_alone(lazy: bool, monkeypatch: pytest.MonkeyPatch, cube: Cube) -> None:
    data = cube(mixture()[0])
    data = data.chunk() if lazy else data

    def chosen() -> str:
        step = find_last_step(nmf(data, 2), "nmf")
        assert step is not None
        return str(step["parameters"]["solver"])

    monkeypatch.setattr("usidx.learn.nmf._LARGE", data.nbytes)
    assert chosen() == "hals"
    monkeypatch.setattr("usidx.learn.nmf._LARGE", data.nbytes - 1)
    assert chosen() == "compressed"


def test_refuses_an_unknown_solver(cube: Cube) -> None:
    with pytest.raises(ResultError, match=r"No solver 'magic': it is one of \('hals', 'compressed'\)"):
        nmf(cube(mixture()[0]), 2, solver="magic")
