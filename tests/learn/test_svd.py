"""svd and pca against dense linear algebra, for every chunking, dtype and shape."""

from typing import Any

import dask
import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.learn.conftest import Backing, Cube
from usidx.errors import ResultError, RoleError
from usidx.learn.reconstruct import project, reconstruct
from usidx.learn.svd import SOLVERS, pca, svd
from usidx.results.provenance import find_last_step

TALL, WIDE = (4, 5, 1, 6), (2, 3, 4, 9)


def values(shape: tuple[int, ...], dtype: str = "float64", seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    found = rng.normal(size=shape) * np.linspace(1, 9, shape[-1]) + 5
    if np.dtype(dtype).kind == "c":
        found = found + 1j * rng.normal(size=shape)
    return found > np.median(found) if dtype == "bool" else found.astype(dtype)


def flat(data: xr.DataArray) -> Any:
    return data.values.reshape(data.sizes["Y"] * data.sizes["X"], -1)


@pytest.mark.parametrize("dtype", ["float64", "complex128", "int16", "bool", ">f8"])
@pytest.mark.parametrize("shape", [TALL, WIDE])
@pytest.mark.parametrize("verb", [svd, pca])
def test_agrees_with_dense_algebra(verb: Any, shape: tuple[int, ...], dtype: str, backing: Backing, cube: Cube) -> None:
    data = cube(values(shape, dtype))
    found = verb(backing(data), 4).compute()
    rows = flat(data).astype(complex if dtype.startswith("c") else float)
    mean = rows.mean(axis=0) if verb is pca else np.zeros(rows.shape[1])
    left, size, right = np.linalg.svd(rows - mean, full_matrices=False)
    components = found.components.values.reshape(4, -1)
    np.testing.assert_allclose(found.singular_values, size[:4], rtol=1e-9)
    np.testing.assert_allclose(found.explained_variance_ratio, size[:4] ** 2 / (size**2).sum(), rtol=1e-9)
    np.testing.assert_allclose(components @ components.conj().T, np.eye(4), atol=1e-10)
    np.testing.assert_allclose(np.abs((components * right[:4].conj()).sum(axis=1)), 1, atol=1e-9)
    scores = found.scores.values.reshape(-1, 4)
    np.testing.assert_allclose(scores, (rows - mean) @ components.conj().T, atol=1e-9)
    np.testing.assert_allclose(np.abs(scores), np.abs(left[:, :4] * size[:4]), atol=1e-7)
    if verb is pca:
        np.testing.assert_allclose(found["mean"].values.ravel(), mean, atol=1e-12)


def test_agrees_with_scikit_learn(cube: Cube) -> None:
    from sklearn.decomposition import PCA

    data = cube(values((8, 9, 2, 7)))
    reference = PCA(5, svd_solver="full").fit(flat(data))
    found = pca(data, 5)
    np.testing.assert_allclose(found.explained_variance_ratio, reference.explained_variance_ratio_, rtol=1e-10)
    np.testing.assert_allclose(found.singular_values, reference.singular_values_, rtol=1e-10)
    np.testing.assert_allclose(np.abs(found.components.values.reshape(5, -1)), np.abs(reference.components_), atol=1e-9)


@pytest.mark.parametrize(("dtype", "wanted"), [("float32", "float32"), ("complex64", "complex64"), ("int8", "float64")])
def test_keeps_the_precision_of_the_data(dtype: str, wanted: str, backing: Backing, cube: Cube) -> None:
    found = pca(backing(cube(values(TALL, dtype))), 3)
    assert {found[name].dtype for name in ("scores", "components", "mean")} == {np.dtype(wanted)}
    assert all(found[name].dtype == found[name].compute().dtype for name in found)
    assert found.singular_values.dtype == np.float64


def test_single_precision_data_has_exact_singular_values(cube: Cube) -> None:
    rng = np.random.default_rng(1)
    data = cube((rng.normal(size=(20, 30, 1, 40)) + 100).astype("float32"))
    expected = np.linalg.svd(flat(data).astype(float), compute_uv=False)[:10]
    np.testing.assert_allclose(svd(data, 10).singular_values, expected, rtol=1e-9)


def test_large_offset_does_not_spoil_pca(backing: Backing, cube: Cube) -> None:
    small = values(TALL)
    expected = np.linalg.svd(flat(cube(small)) - flat(cube(small)).mean(0), compute_uv=False)[:5]
    np.testing.assert_allclose(pca(backing(cube(small + 1e6)), 5).singular_values, expected, rtol=1e-6)


@pytest.mark.parametrize("shape", [TALL, WIDE])
def test_labels_units_and_coordinates(shape: tuple[int, ...], backing: Backing, cube: Cube) -> None:
    data = cube(values(shape))
    found = pca(backing(data), 3)
    assert found.scores.dims == ("Y", "X", "component")
    assert found.components.dims == ("component", "Cycle", "Bias")
    assert found["mean"].dims == ("Cycle", "Bias")
    assert found.component.values.tolist() == [0, 1, 2]
    units = {name: found[name].attrs["units"] for name in found.data_vars}
    assert units == {
        "scores": "V", "components": "", "singular_values": "V", "explained_variance_ratio": "", "mean": "V"
    }  # fmt: skip
    assert found["mean"].attrs["long_name"] == "Current"
    for name in ("Y", "X", "Cycle", "Bias", "field", "time"):
        xr.testing.assert_identical(found.coords[name].variable, data.coords[name].variable)
    assert "Bias" not in found.xindexes
    assert not any("other" in found[name].attrs for name in found.data_vars)


def test_dims_in_any_order(backing: Backing, cube: Cube) -> None:
    data = cube(values(TALL))
    turned = backing(data.transpose("Bias", "X", "Cycle", "Y"))
    a, b = svd(data, 3), svd(turned, 3).compute()
    np.testing.assert_allclose(a.scores, b.scores.transpose("Y", "X", "component"), atol=1e-10)
    np.testing.assert_allclose(a.components, b.components.transpose("component", "Cycle", "Bias"), atol=1e-10)


def test_dim_names_the_features_of_an_array_without_roles(backing: Backing) -> None:
    data = xr.DataArray(values((3, 4, 5)), dims=("X", "Y", "Bias"))
    found = svd(backing(data), 2, dim=["Y", "Bias"]).compute()
    np.testing.assert_allclose(
        found.singular_values, np.linalg.svd(data.values.reshape(3, -1), compute_uv=False)[:2], rtol=1e-10
    )
    assert found.scores.dims == ("X", "component")


def test_a_single_spectrum(backing: Backing) -> None:
    data = xr.DataArray(np.array([3.0, 4.0]), dims="Bias")
    found = svd(backing(data), 1, dim="Bias").compute()
    np.testing.assert_allclose(found.scores, [5.0])
    np.testing.assert_allclose(found.components, [[0.6, 0.8]])


@pytest.mark.parametrize("shape", [TALL, WIDE])
@pytest.mark.parametrize("verb", [svd, pca])
def test_more_components_than_rank_have_no_scores(
    verb: Any, shape: tuple[int, ...], backing: Backing, cube: Cube
) -> None:
    data = cube(values(shape)[:1, :1] * np.arange(1.0, 1 + shape[0] * shape[1]).reshape(shape[0], -1, 1, 1))
    found = verb(backing(data), 5).compute()
    np.testing.assert_allclose(found.scores[..., 1:], 0, atol=1e-9)
    np.testing.assert_allclose(found.singular_values[1:], 0, atol=1e-5)
    components = found.components.values.reshape(5, -1)
    np.testing.assert_allclose(components @ components.T, np.eye(5), atol=1e-9)


@pytest.mark.parametrize("shape", [TALL, WIDE])
@pytest.mark.parametrize("verb", [svd, pca])
def test_constant_data(verb: Any, shape: tuple[int, ...], backing: Backing, cube: Cube) -> None:
    found = verb(backing(cube(np.zeros(shape))), 2).compute()
    assert all(np.isfinite(found[name]).all() for name in found.data_vars)
    np.testing.assert_array_equal(found.explained_variance_ratio, 0)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("shape", [TALL, WIDE])
@pytest.mark.parametrize("verb", [svd, pca])
def test_cells_that_are_not_finite_are_left_out(
    verb: Any, shape: tuple[int, ...], dtype: str, backing: Backing, cube: Cube
) -> None:
    data = cube(values(shape, dtype))
    whole = data.copy(deep=True)
    data[0, 1] = np.nan  # a position
    data[1, 2, 0, 3] = np.inf  # one cell
    data[:, :, 0, 2] = np.nan  # an energy
    found = verb(backing(data), 3).compute()
    left_out = np.zeros(shape[:2], bool)
    left_out[0, 1] = left_out[1, 2] = True
    np.testing.assert_array_equal(np.isnan(found.scores).all("component"), left_out)
    np.testing.assert_array_equal(np.isnan(found.scores).any("component"), left_out)
    gone = np.zeros(shape[2:], bool)
    gone[0, 2] = True
    np.testing.assert_array_equal(np.isnan(found.components).any("component"), gone)
    rows = flat(whole)[~left_out.ravel()][:, ~gone.ravel()]
    rows = rows - rows.mean(axis=0) if verb is pca else rows
    size = np.linalg.svd(rows, compute_uv=False)
    np.testing.assert_allclose(found.singular_values, size[:3], rtol=1e-9)
    np.testing.assert_allclose(found.explained_variance_ratio, size[:3] ** 2 / (size**2).sum(), rtol=1e-9)
    components = found.components.values.reshape(3, -1)[:, ~gone.ravel()]
    np.testing.assert_allclose(
        found.scores.values.reshape(-1, 3)[~left_out.ravel()], rows @ components.conj().T, atol=1e-9
    )


@pytest.mark.parametrize("scattered", [False, True])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("shape", [TALL, WIDE])
def test_no_complete_position_is_refused(
    shape: tuple[int, ...], solver: str, scattered: bool, backing: Backing, cube: Cube
) -> None:
    holes = np.random.default_rng(0).random(shape) < 0.5
    data = backing(cube(np.where(holes | (not scattered), np.nan, 1.0)))
    with pytest.raises(ResultError, match="nothing to learn from: no position is known at all its steps"):
        pca(data, 2, solver=solver).compute()


def test_mask_by_name_equals_cells_left_out(backing: Backing, cube: Cube) -> None:
    data = cube(values(TALL, "int32"))
    mask = xr.zeros_like(data.isel(Cycle=0, Bias=0, drop=True), dtype=bool)
    mask[1, 2] = True
    found = svd(backing(data), 3, mask=mask).compute()
    expected = np.linalg.svd(np.delete(flat(data), 1 * 5 + 2, axis=0), compute_uv=False)[:3]
    np.testing.assert_allclose(found.singular_values, expected, rtol=1e-10)
    assert np.isnan(found.scores[1, 2]).all()


def test_mask_must_be_boolean_over_dims_of_the_data(cube: Cube) -> None:
    with pytest.raises(RoleError, match=r"this one is int64 over \('Z',\)"):
        svd(cube(values(TALL)), 2, mask=xr.DataArray([1], dims="Z"))


def test_sign_makes_the_largest_cell_real_and_positive(backing: Backing, cube: Cube) -> None:
    for dtype in ("float64", "complex128"):
        found = svd(backing(cube(values(TALL, dtype))), 4).compute()
        flat_components = found.components.values.reshape(4, -1)
        largest = flat_components[np.arange(4), np.abs(flat_components).argmax(axis=1)]
        np.testing.assert_allclose(largest, np.abs(largest), atol=1e-12)


def test_sign_of_a_shape_with_two_equal_extremes(cube: Cube) -> None:
    wave = np.array([0.0, -1.0, 0.0, 1.0, 0.0, 0.5])
    for factor in (1 + 1e-9, 1 - 1e-9):
        data = cube((np.arange(1.0, 5)[:, None] * wave * [1, 1, 1, factor, 1, 1]).reshape(2, 2, 1, 6))
        assert svd(data, 1).components[0, 0, 1] > 0


@pytest.mark.parametrize("shape", [TALL, WIDE])
def test_nothing_is_computed_until_asked_and_each_block_is_read_twice(shape: tuple[int, ...], cube: Cube) -> None:
    reads: list[int] = []

    def read(block: Any) -> Any:
        reads.append(1)
        return block

    data = cube(values(shape)).chunk({"Y": 1, "X": -1, "Cycle": -1, "Bias": -1})
    data = data.copy(data=data.data.map_blocks(read, dtype=data.dtype, meta=data.data._meta))
    found = pca(data, 2)
    assert not reads
    assert all(variable.chunks is not None for variable in found.data_vars.values())
    dask.compute(found)
    assert len(reads) == 2 * shape[0]


def test_random_data_upstream_is_the_same_in_both_passes() -> None:
    import dask.array as da

    noise = da.random.default_rng(0).normal(size=(40, 6), chunks=(7, 6))
    found = svd(xr.DataArray(noise, dims=("Y", "Bias")), 6, dim="Bias").compute()
    np.testing.assert_allclose(np.linalg.norm(found.scores, axis=0), found.singular_values, rtol=1e-9)


def test_records_its_parameters(backing: Backing, cube: Cube) -> None:
    step = find_last_step(pca(backing(cube(values(TALL))), 2, random_state=3), "pca")
    assert step is not None
    assert step["parameters"] == {
        "n": 2, "dim": ["Cycle", "Bias"], "scale": None, "solver": "gram", "tol": 1e-7, "random_state": 3, "mask": None
    }  # fmt: skip
    assert step["input"]["name"] == "Raw_Data"


@pytest.mark.parametrize("shape", [TALL, WIDE])
@pytest.mark.parametrize(
    "options", [{}, {"n": "auto"}, {"solver": "krylov", "random_state": 1}, {"scale": "std"}, {"dim": "Bias"}]
)
def test_about_the_mean_it_is_pca(shape: tuple[int, ...], options: Any, backing: Backing, cube: Cube) -> None:
    data = backing(cube(values(shape)))
    options = {"n": 2, "mask": xr.DataArray(np.arange(shape[-1]) == 1, dims="Bias")} | options
    centred = svd(data, center=True, **options)
    xr.testing.assert_identical(centred.compute(), pca(data, **options).compute())
    assert find_last_step(centred, "pca") is not None


def test_about_the_mean_it_comes_back_with_the_mean(backing: Backing, cube: Cube) -> None:
    data = cube(values((8, 9, 2, 7)))
    rows = flat(data)
    found = svd(backing(data), 3, center=True)
    left, size, right = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    again = (left[:, :3] * size[:3]) @ right[:3] + rows.mean(axis=0)
    np.testing.assert_allclose(flat(reconstruct(found).compute()), again, atol=1e-9)
    np.testing.assert_allclose(project(found, data).compute(), found.scores.compute(), atol=1e-9)


@pytest.mark.parametrize("center", ["mean", 1, None])
def test_refuses_a_center_that_is_neither(center: Any, cube: Cube) -> None:
    with pytest.raises(ResultError, match=f"center={center!r}: True removes the mean"):
        svd(cube(values(TALL)), 2, center=center)


@pytest.mark.parametrize("verb", [svd, pca])
def test_by_default_there_are_sixteen_or_as_many_as_can_be(verb: Any, cube: Cube) -> None:
    assert [verb(cube(values(shape))).sizes["component"] for shape in (TALL, WIDE, (5, 6, 2, 9))] == [6, 6, 16]
    step = find_last_step(verb(cube(values(TALL))))
    assert step is not None
    assert step["parameters"]["n"] == 6


@pytest.mark.parametrize("n", [0, 7, 2.5, True, 1.0, "many"])
def test_refuses_a_number_of_components_that_cannot_be(n: Any, cube: Cube) -> None:
    with pytest.raises(
        ResultError, match=f"n={n!r} components of an array with 20 positions and 6 .* from 1 to 6, a part .* or 'auto'"
    ):
        svd(cube(values(TALL)), n)


def test_refuses_an_array_without_features() -> None:
    with pytest.raises(RoleError, match="has no spectroscopic dim"):
        svd(xr.DataArray(np.zeros((3, 3)), dims=("a", "b")))


def test_refuses_an_empty_array() -> None:
    with pytest.raises(ResultError, match="from 1 to 0"):
        svd(xr.DataArray(np.zeros((0, 3)), dims=("a", "b")), dim="b")


def test_refuses_a_dim_that_the_result_adds() -> None:
    with pytest.raises(ResultError, match="already has a dim or coordinate 'component'"):
        svd(xr.DataArray(np.zeros((2, 3)), dims=("a", "component")), 1, dim="component")


@given(
    rows=hnp.arrays(np.float64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=8), elements=st.floats(-1e3, 1e3)),
    chunks=st.tuples(st.integers(1, 8), st.integers(1, 8)),
)
@settings(max_examples=40, deadline=None)
def test_any_chunking_gives_the_same_and_full_rank_is_exact(rows: Any, chunks: tuple[int, int]) -> None:
    n = min(rows.shape)
    data = xr.DataArray(rows, dims=("Y", "Bias"))
    lazy = svd(data.chunk(dict(zip(data.dims, chunks, strict=True))), n, dim="Bias").compute()
    scale = max(float(np.abs(rows).max()), 1.0)
    np.testing.assert_allclose(lazy.scores.values @ lazy.components.values, rows, atol=1e-9 * scale)
    np.testing.assert_allclose(
        lazy.singular_values, np.linalg.svd(rows, compute_uv=False), atol=1e-6 * scale * max(rows.shape)
    )


@pytest.mark.parametrize("coordinates", [[0.0, 0.5], [1.0, 0.5, 0.0], [0.1, 0.6, 1.1]])
def test_refuses_a_mask_of_other_cells(coordinates: list[float], cube: Cube) -> None:
    """Where only some coordinates are equal, xarray would go on with those."""
    data = cube(np.ones((3, 2, 1, 4)))
    mask = xr.DataArray(np.zeros(len(coordinates), bool), {"Y": coordinates}, "Y")
    with pytest.raises(RoleError, match=f"other cells along 'Y' than array 'Raw_Data': {len(coordinates)} and 3"):
        svd(data, 1, mask=mask)
    with pytest.raises(RoleError, match="this one is a ndarray"):
        svd(data, 1, mask=np.zeros((3, 2), bool))  # type: ignore[arg-type]
