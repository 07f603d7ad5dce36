"""The solver that begins with some of the rows, against NumPy in double precision: spectra, offsets, dtypes, holes."""

from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from usidx.errors import ResultError
from usidx.learn.factors.products import sum_gram
from usidx.learn.svd import pca, svd
from usidx.results.provenance import find_last_step

Array = np.ndarray[Any, Any]

ROWS, COLUMNS, N = 2560, 240, 3


def lines(cells: Array) -> xr.DataArray:
    return xr.DataArray(cells, dims=("x", "energy"))


def mixture(values: Any, dtype: str = "float32", rows: int = ROWS) -> Array:
    rng = np.random.default_rng(4)
    i = 1j if dtype.startswith("c") else 0
    sides = [rng.normal(size=(s, len(values))) + i * rng.normal(size=(s, len(values))) for s in (rows, COLUMNS)]
    left, right = (np.linalg.qr(side)[0] for side in sides)
    return np.asarray((left * values) @ right.conj().T, dtype)


def exact(cells: Array, *, centred: bool) -> Array:
    wide = cells.astype(np.result_type(cells.dtype, np.float64))
    return np.asarray(np.linalg.svd(wide - wide.mean(axis=0) if centred else wide, compute_uv=False)[:N])


def noise() -> Array:
    return np.random.default_rng(0).normal(size=(ROWS, COLUMNS)).astype("f4")


def counts() -> Array:
    rng = np.random.default_rng(1)
    return rng.poisson(rng.random((ROWS, 4)) @ rng.random((4, COLUMNS)) * 500).astype("u2")


CELLS: dict[str, Callable[[], Array]] = {
    "gap": lambda: mixture(np.r_[900, 500, 300, np.full(60, 1.0)]),
    "decay": lambda: mixture(1000 / np.arange(1, 200)),
    "complex": lambda: mixture(1000 / np.arange(1, 200), "complex64"),
    "rank two": lambda: mixture([50.0, 20.0]),
    "far apart": lambda: mixture([1e6, 1e3, 1, 0.01]),
    "noise": noise,
    "far from zero": lambda: noise() * np.linspace(3, 1, COLUMNS, dtype="f4") + 1e4,
    "counts": counts,
    "big-endian": lambda: mixture(1000 / np.arange(1, 200)).astype(">f4"),
    "half": lambda: mixture(1000 / np.arange(1, 200)).astype("f2"),
}


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("name", CELLS)
def test_singular_values_are_right_to_a_millionth_of_any_spectrum(
    name: str, lazy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("usidx.tasks.passes._HELD_BYTES", 0)
    cells = CELLS[name]()
    data = lines(cells).chunk({"x": 301}) if lazy else lines(cells)
    for verb in (svd, pca):
        expected = exact(cells, centred=verb is pca)
        found = verb(data, N, dim="energy", solver="adaptive").compute()
        np.testing.assert_allclose(found.singular_values, expected, rtol=1e-6, atol=2e-7 * expected[0])
        known = expected > 1e-6 * expected[0]
        off = np.abs(found.singular_values.values / expected - 1)[known]
        assert (off <= found.singular_values_error.values[known] + 1e-9).all()
        components = found.components.values
        np.testing.assert_allclose(components @ components.conj().T, np.eye(N), atol=1e-5)


def test_components_agree_with_those_of_numpy() -> None:
    cells = mixture(1000 / np.arange(1, 200))
    found = pca(lines(cells), N, dim="energy", solver="adaptive")
    _, values, right = np.linalg.svd(cells - cells.mean(axis=0), full_matrices=False)
    turned = np.abs(np.sum(found.components.values * right[:N], axis=1))
    np.testing.assert_allclose(turned, 1, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found.scores, axis=0), values[:N], rtol=1e-5)
    total = (np.linalg.svd(cells.astype("f8") - cells.mean(axis=0, dtype="f8"), compute_uv=False) ** 2).sum()
    np.testing.assert_allclose(found.explained_variance_ratio, found.singular_values**2 / total, rtol=1e-6)


@pytest.mark.parametrize("lazy", [False, True])
def test_holes_are_left_out(lazy: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("usidx.tasks.passes._HELD_BYTES", 0)
    cells = mixture(1000 / np.arange(1, 200)) + 5
    holed = cells.copy()
    holed[::7, 3], holed[5, 8], holed[:, 20] = np.nan, np.inf, np.nan
    kept = np.isfinite(np.delete(holed, 20, axis=1)).all(axis=1)
    data = lines(holed).chunk({"x": 301}) if lazy else lines(holed)
    found = pca(data, N, dim="energy", solver="adaptive").compute()
    expected = exact(np.delete(cells, 20, axis=1)[kept], centred=True)
    np.testing.assert_allclose(found.singular_values, expected, rtol=1e-6)
    np.testing.assert_array_equal(np.isnan(found.scores).all("component"), ~kept)
    np.testing.assert_array_equal(np.isnan(found.components).all("component"), np.arange(COLUMNS) == 20)


@pytest.mark.parametrize("fill", [0.0, 7.0])
def test_nothing_in_it(fill: float) -> None:
    found = pca(lines(np.full((ROWS, COLUMNS), fill, "f4")), N, dim="energy", solver="adaptive")
    np.testing.assert_array_equal(found.singular_values, 0)
    assert not np.isnan(found.scores).any()


def test_nothing_known_is_refused() -> None:
    with pytest.raises(ResultError, match="no position is known at all its steps"):
        pca(lines(np.full((ROWS, COLUMNS), np.nan, "f4")), N, dim="energy", solver="adaptive")


def test_values_in_noise_are_taken_from_the_gram_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    summed: list[int] = []

    def spy(*args: Any) -> Any:
        summed.append(1)
        return sum_gram(*args)

    monkeypatch.setattr("usidx.learn.factors.lanczos.sum_gram", spy)
    svd(lines(mixture(np.r_[900, 500, 300, np.full(60, 1.0)])), N, dim="energy", solver="adaptive")
    assert not summed
    svd(lines(noise()), N, dim="energy", solver="adaptive")
    assert summed


def test_reads_some_blocks_and_then_each_once_per_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a gap in the spectrum: 2 of 16 blocks, then one or two passes for the components, which leave the scores."""
    monkeypatch.setattr("usidx.tasks.passes._HELD_BYTES", 0)
    reads: list[int] = []

    def read(block: Array) -> Array:
        reads.append(1)
        return block

    cells = da.from_array(mixture(np.r_[900, 500, 300, np.full(60, 1.0)]), chunks=(ROWS // 16, -1))
    lazy = lines(cells.map_blocks(read, dtype="f4", meta=np.empty((0, 0), "f4")))
    found = svd(lazy, N, dim="energy", solver="adaptive")
    assert not reads
    found.compute()
    assert len(reads) in (2 + 16, 2 + 2 * 16)


@pytest.mark.parametrize(
    ("shape", "dtype", "solver"),
    [
        ((8192, 512), "f4", "adaptive"),
        ((8192, 512), "f8", "gram"),
        ((8192, 512), "c8", "adaptive"),
        ((8192, 512), "u2", "adaptive"),
        ((8192, 512), "i4", "gram"),
        ((8192, 64), "f4", "gram"),
        ((400, 8192), "f4", "gram"),
        ((2**23, 1024), "f4", "gram"),
    ],
)
def test_chosen_from_shape_size_and_precision(shape: tuple[int, int], dtype: str, solver: str) -> None:
    step = find_last_step(svd(lines(da.zeros(shape, dtype=dtype, chunks=(8192, -1))), 4, dim="energy"), "svd")
    assert step is not None
    assert step["parameters"]["solver"] == solver


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("part", [0.5, 0.8, 0.95])
def test_a_part_of_the_variance_takes_as_many_as_in_scikit_learn(part: float, lazy: bool) -> None:
    from sklearn.decomposition import PCA

    cells = mixture(1000 / np.arange(1, 100))
    data = lines(cells).chunk(x=500) if lazy else lines(cells)
    found = pca(data, part, dim="energy", solver="adaptive").compute()
    expected = PCA(part, svd_solver="full").fit(cells.astype("f8")).explained_variance_ratio_
    np.testing.assert_allclose(found.explained_variance_ratio, expected, rtol=1e-5)
    step = find_last_step(found)
    assert step is not None
    assert step["parameters"]["solver"] == "adaptive"


@pytest.mark.parametrize("lazy", [False, True])
def test_auto_finds_what_stands_out_of_the_noise(lazy: bool) -> None:
    cells = mixture([400.0, 300.0, 200.0, 120.0]) + noise()
    data = lines(cells).chunk(x=500) if lazy else lines(cells)
    assert svd(data, "auto", dim="energy", solver="adaptive").sizes["component"] == 4


@pytest.mark.parametrize(("dtype", "exponent"), [("f4", -100), ("f4", 60), ("c8", -80), ("c8", 110), ("f8", -400)])
@pytest.mark.parametrize("solver", ["krylov", "adaptive"])
def test_numbers_in_any_unit_where_some_rows_give_the_start(dtype: str, exponent: int, solver: str) -> None:
    cells = mixture(np.r_[900, 500, 300, np.full(60, 1.0)], "complex64" if dtype == "c8" else dtype)
    scaled = cells.copy()
    parts = [(scaled.real, cells.real), (scaled.imag, cells.imag)] if dtype == "c8" else [(scaled, cells)]
    for part, plain in parts:
        part[...] = np.ldexp(plain, exponent)
    found = pca(lines(scaled), N, dim="energy", solver=solver)
    np.testing.assert_allclose(np.ldexp(found.singular_values, -exponent), exact(cells, centred=True), rtol=1e-6)
    wide = scaled.astype(np.result_type(dtype, "f8"))
    scores = (wide - wide.mean(axis=0)) @ found.components.values.conj().T
    np.testing.assert_allclose(found.scores.values.astype(scores.dtype), scores, atol=1e-5 * np.abs(scores).max())


@pytest.mark.parametrize("solver", ["krylov", "adaptive"])
@pytest.mark.parametrize("values", [np.r_[900, 500, 300, np.full(60, 1.0)], np.ones(200)])
def test_a_number_that_stands_for_a_missing_cell_is_a_number(solver: str, values: Any) -> None:
    """In single precision its square is none; and it is not among the rows that give the start."""
    cells = mixture(values)
    cells[1501, 7] = np.finfo("f4").max
    found = svd(lines(cells).chunk({"x": 640}), N, dim="energy", solver=solver).compute()
    np.testing.assert_allclose(found.singular_values[0], np.finfo("f4").max, rtol=1e-6)
    np.testing.assert_allclose(found.components[0, 7], 1, rtol=1e-6)
    assert np.isfinite(found.singular_values_error).all()
