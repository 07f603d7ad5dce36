"""The Krylov solver against dense algebra, on spectra with a gap, without one, and of noise."""

from typing import Any

import numpy as np
import pytest
import xarray as xr

from tests.learn.conftest import Backing, Cube
from usidx.errors import ResultError, UsidWarning
from usidx.learn import svd as decompositions
from usidx.learn.factors import lanczos
from usidx.learn.reconstruct import reconstruct
from usidx.learn.svd import pca, svd
from usidx.results.provenance import find_last_step


def with_values(size: Any, shape: tuple[int, ...] = (12, 15, 2, 40), dtype: str = "float64") -> Any:
    """Cells whose singular values are known."""
    rng = np.random.default_rng(3)
    height, width = shape[0] * shape[1], shape[2] * shape[3]
    i = 1j if dtype.startswith("c") else 0
    left = np.linalg.qr(rng.normal(size=(height, len(size))) + i * rng.normal(size=(height, len(size))))[0]
    right = np.linalg.qr(rng.normal(size=(width, len(size))) + i * rng.normal(size=(width, len(size))))[0]
    return ((left * size) @ right.conj().T).reshape(shape).astype(dtype)


SPECTRA = {
    "gap": np.r_[np.linspace(50, 20, 5), np.full(60, 0.1)],
    "flat": np.linspace(3, 2, 60),
    "decay": 1.0 / np.arange(1, 61),
}


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("name", SPECTRA)
def test_singular_values_are_as_near_as_asked(name: str, dtype: str, iteration: str, cube: Cube) -> None:
    data = cube(with_values(SPECTRA[name], dtype=dtype)).chunk({"Y": 5})
    found = svd(data, 5, solver="krylov", tol=1e-8).compute()
    np.testing.assert_allclose(found.singular_values, SPECTRA[name][:5], rtol=1e-8)
    assert (found.singular_values_error <= 1e-8).all()
    components = found.components.values.reshape(5, -1)
    np.testing.assert_allclose(components @ components.conj().T, np.eye(5), atol=1e-10)


def test_error_estimate_is_no_less_than_the_error(cube: Cube) -> None:
    data = cube(np.random.default_rng(0).normal(size=(20, 20, 1, 90)))
    exact = np.linalg.svd(data.values.reshape(400, 90), compute_uv=False)[:4]
    found = svd(data, 4, solver="krylov", tol=0.01)
    assert (np.abs(found.singular_values / exact - 1) <= found.singular_values_error + 1e-12).all()


@pytest.mark.parametrize("verb", [svd, pca])
def test_agrees_with_the_gram_solver_also_with_holes(verb: Any, backing: Backing, cube: Cube) -> None:
    data = cube(np.random.default_rng(1).normal(size=(4, 6, 2, 8)) * np.linspace(1, 9, 8) + 3)
    data[0, 1], data[1, 2, 0, 3], data[:, :, 0, 2] = np.nan, np.inf, np.nan
    gram, krylov = verb(data, 3), verb(backing(data), 3, solver="krylov", tol=1e-10).compute()
    for name in ("singular_values", "explained_variance_ratio", "scores", "components"):
        np.testing.assert_allclose(krylov[name], gram[name], atol=1e-4, rtol=1e-6)


def test_rank_below_n(backing: Backing, cube: Cube) -> None:
    data = cube(with_values(np.array([5.0, 2.0]), (3, 4, 1, 9)))
    found = svd(backing(data), 4, solver="krylov").compute()
    np.testing.assert_allclose(found.singular_values, [5, 2, 0, 0], atol=1e-6)
    components = found.components.values.reshape(4, -1)
    np.testing.assert_allclose(components @ components.T, np.eye(4), atol=1e-10)
    np.testing.assert_allclose(reconstruct(found), data, atol=1e-9)


def test_nothing_in_it(backing: Backing, cube: Cube) -> None:
    found = pca(backing(cube(np.zeros((2, 3, 1, 12)))), 2, solver="krylov").compute()
    np.testing.assert_array_equal(found.singular_values, 0)
    np.testing.assert_array_equal(found.explained_variance_ratio, 0)


def test_nothing_known_is_refused(backing: Backing, cube: Cube) -> None:
    with pytest.raises(ResultError, match="no position is known at all its steps"):
        pca(backing(cube(np.full((2, 3, 1, 12), np.nan))), 2, solver="krylov").compute()


def test_chosen_from_the_shape(cube: Cube) -> None:
    import dask.array as da

    wide = cube(da.zeros((60, 50, 1, 2500), chunks=(10, -1, -1, -1)))
    for shape, solver in (((60, 50, 1, 2500), "krylov"), ((20, 50, 1, 2500), "gram")):
        step = find_last_step(svd(wide.isel(Y=slice(shape[0])), 2), "svd")
        assert step is not None
        assert step["parameters"]["solver"] == solver


def test_refuses_an_unknown_solver(cube: Cube) -> None:
    with pytest.raises(ResultError, match=r"No solver 'magic': it is one of .*'adaptive'"):
        svd(cube(np.zeros((2, 2, 1, 2))), 1, solver="magic")


@pytest.mark.parametrize("columns", [2, 5, 12])
@pytest.mark.parametrize("verb", [svd, pca])
def test_estimates_hold_for_counts_at_few_steps(columns: int, verb: Any) -> None:
    rng = np.random.default_rng(5)
    values = np.rint(rng.normal(size=(4352, 2)) * [3000, 900] @ rng.normal(size=(2, columns)) + 1e4).astype("i2")
    wide = values.astype("f8") - values.mean(axis=0) * (verb is pca)
    expected = np.linalg.svd(wide, compute_uv=False)[:2]
    found = verb(xr.DataArray(values, dims=("x", "energy")), 2, dim="energy", solver="krylov")
    off = np.abs(found.singular_values.values / expected - 1)
    assert (off <= found.singular_values_error.values + 1e-12).all()


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("verb", [svd, pca])
def test_few_vectors_are_held_and_nothing_is_lost(
    verb: Any, dtype: str, cube: Cube, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Noise, whose components take many passes; the space begins anew several times."""
    rng = np.random.default_rng(8)
    values = rng.normal(size=(15, 20, 2, 150)) + 5
    values = values + 1j * rng.normal(size=values.shape) if dtype == "complex128" else values
    data = cube(values)
    wide = values.reshape(300, 300) - values.reshape(300, 300).mean(axis=0) * (verb is pca)
    expected = np.linalg.svd(wide, compute_uv=False)[:5]
    widths: list[int] = []
    find = lanczos._find_ritz_pairs

    def find_and_note(basis: Any, *others: Any) -> Any:
        widths.append(basis.shape[1])
        return find(basis, *others)

    monkeypatch.setattr(lanczos, "_find_ritz_pairs", find_and_note)
    monkeypatch.setattr(lanczos, "_SPACE_BYTES", 0)
    found = verb(data, 5, solver="krylov", tol=1e-9)
    assert max(widths) <= 4 * 16 < 16 * len(widths)
    np.testing.assert_allclose(found.singular_values, expected, rtol=1e-8)
    components = found.components.values.reshape(5, 300)
    np.testing.assert_allclose(found.scores.values.reshape(300, 5), wide @ components.conj().T, atol=1e-8)


def test_adaptive_sums_no_matrix_that_is_too_large(cube: Cube, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decompositions, "_GRAM_SIDE", 60)
    monkeypatch.setattr(lanczos, "_decompose_gram", None)
    values = with_values(SPECTRA["flat"])
    found = svd(cube(values), 5, solver="adaptive")
    np.testing.assert_allclose(found.singular_values, SPECTRA["flat"][:5], rtol=1e-6)


def test_a_warning_names_what_is_not_as_near_as_asked(cube: Cube, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanczos, "MOST_PASSES", 2)
    data = cube(with_values(np.r_[900.0, 800.0, np.linspace(3, 2, 58)]))
    with pytest.warns(UsidWarning, match=r"After 2 passes the singular values of the components \[2, 3, 4\] are right"):
        svd(data, 5, solver="krylov", tol=1e-4)
