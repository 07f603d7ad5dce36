"""The way back from a decomposition, and other data on its components."""

from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import scipy.optimize
import xarray as xr

from tests.learn.conftest import Backing, Cube
from usidx.errors import ResultError, RoleError
from usidx.learn.cluster import cluster
from usidx.learn.nmf import nmf
from usidx.learn.reconstruct import project, reconstruct
from usidx.learn.svd import pca, svd
from usidx.results.provenance import find_last_step

TALL, WIDE = (4, 5, 1, 6), (2, 3, 4, 9)


def values(shape: tuple[int, ...] = TALL, dtype: str = "float64") -> Any:
    rng = np.random.default_rng(4)
    found = rng.random(shape) * 10
    return (found + 1j * rng.random(shape) if dtype.startswith("complex") else found).astype(dtype)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("shape", [TALL, WIDE])
@pytest.mark.parametrize("verb", [svd, pca])
def test_full_rank_is_exact(verb: Any, shape: tuple[int, ...], dtype: str, backing: Backing, cube: Cube) -> None:
    data = cube(values(shape, dtype)).transpose("X", "Bias", "Y", "Cycle")
    again = reconstruct(verb(backing(data), 6)).compute()
    np.testing.assert_allclose(again, data, atol=1e-10)
    assert again.dims == data.dims
    assert again.name == "Raw_Data"
    assert {k: again.attrs[k] for k in ("units", "long_name")} == {"units": "V", "long_name": "Current"}
    for name in data.coords:
        xr.testing.assert_identical(again.coords[name].variable, data.coords[name].variable)
    assert set(again.coords) == set(data.coords)


@pytest.mark.parametrize(("modes", "chosen"), [(2, [0, 1]), (0, []), (slice(1, None, 2), [1, 3]), ([3, 0], [3, 0])])
def test_chosen_modes(modes: Any, chosen: list[int], backing: Backing, cube: Cube) -> None:
    data = cube(values())
    rows = data.values.reshape(20, 6)
    left, size, right = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    expected = (left[:, chosen] * size[chosen]) @ right[chosen] + rows.mean(axis=0)
    again = reconstruct(pca(backing(data), 4), modes).compute()
    np.testing.assert_allclose(again.values.reshape(20, 6), expected, atol=1e-10)


def test_holes_stay_holes(backing: Backing, cube: Cube) -> None:
    data = cube(values())
    data[1, 2], data[..., 3] = np.nan, np.nan
    np.testing.assert_allclose(reconstruct(pca(backing(data), 5)).compute(), data, atol=1e-10)


def test_lazy_and_in_the_blocks_of_the_scores(cube: Cube) -> None:
    data = cube(values((8, 5, 1, 6))).chunk({"Y": 2})
    again = reconstruct(pca(data, 3))
    assert again.chunks == data.chunks
    assert again.dtype == data.dtype


@pytest.mark.parametrize("verb", [svd, pca, nmf])
def test_after_a_reload_from_file(verb: Any, cube: Cube, tmp_path: Path) -> None:
    data = cube(values())
    found = verb(data, 3)
    found.to_netcdf(tmp_path / "found.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "found.nc", engine="h5netcdf") as reloaded:
        again = reconstruct(reloaded)
        xr.testing.assert_allclose(again, reconstruct(found))
        assert again.name == "Raw_Data"
        assert again.dims == data.dims
        assert again.Y.attrs["usid_role"] == "position"
        assert again.attrs["units"] == "V"
        np.testing.assert_allclose(project(reloaded, data), project(found, data))
        np.testing.assert_array_equal(cluster(reloaded, n=2).labels, cluster(found, n=2).labels)
        lazy = reconstruct(xr.open_dataset(tmp_path / "found.nc", engine="h5netcdf", chunks={}))
        assert lazy.chunks is not None


@pytest.mark.parametrize("shape", [TALL, WIDE])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("verb", [svd, pca])
def test_project_gives_the_scores_back(
    verb: Any, dtype: str, shape: tuple[int, ...], backing: Backing, cube: Cube
) -> None:
    data = backing(cube(values(shape, dtype)))
    found = verb(data, 3)
    scores = project(found, data)
    assert (scores.chunks is None) == (data.chunks is None)
    mine, theirs = dask.compute(scores, found.scores)
    np.testing.assert_allclose(mine, theirs, atol=1e-10)
    assert scores.dims == ("Y", "X", "component")
    assert scores.attrs["units"] == "V"


def test_project_other_positions(backing: Backing, cube: Cube) -> None:
    data, other = cube(values()), cube(values()[:2] + 1).rename(Y="Z").isel(X=0)
    found = pca(data, 3)
    scores = project(found, backing(other)).compute()
    rows = other.values.reshape(2, 6) - data.values.reshape(20, 6).mean(axis=0)
    np.testing.assert_allclose(scores, rows @ found.components.values.reshape(3, 6).T, atol=1e-10)
    assert scores.dims == ("Z", "component")


def test_project_on_a_lazy_result(cube: Cube) -> None:
    data = cube(values())
    scores = project(pca(data.chunk({"Y": 1}), 3), data)
    assert scores.chunks is not None
    np.testing.assert_allclose(scores.compute(), pca(data, 3).scores, atol=1e-10)


def test_project_on_non_negative_components(backing: Backing, cube: Cube) -> None:
    data = cube(values())
    found = nmf(data, 3)
    other = data * np.random.default_rng(0).random(data.shape)
    other[0, 1, 0, 2] = np.nan
    scores = project(found, backing(other)).compute()
    components = found.components.values.reshape(3, 6)
    for y, x in np.ndindex(4, 5):
        if (y, x) == (0, 1):
            assert np.isnan(scores[y, x]).all()
        else:
            expected, _ = scipy.optimize.nnls(components.T, other.values[y, x].ravel())
            np.testing.assert_allclose(scores[y, x], expected, atol=1e-6)


def test_records(cube: Cube) -> None:
    again = reconstruct(svd(cube(values()), 3), slice(1, 3))
    step = find_last_step(again, "reconstruct")
    assert step is not None
    assert step["parameters"] == {"modes": {"start": 1, "stop": 3, "step": None}}
    assert find_last_step(again, "svd") is not None


def test_refuses_what_is_no_decomposition() -> None:
    with pytest.raises(ResultError, match=r"variables \['a'\] is not a decomposition"):
        reconstruct(xr.Dataset({"a": 1}))


@pytest.mark.parametrize(
    ("modes", "message"),
    [(4, "first 4 components are asked for; there are 3"), ([0, 5], "No component 5"), (1.5, "expected a number")],
)
def test_refuses_modes_that_are_not_there(modes: Any, message: str, cube: Cube) -> None:
    with pytest.raises(ResultError, match=message):
        reconstruct(svd(cube(values()), 3), modes)


def test_refuses_other_steps(cube: Cube) -> None:
    data = cube(values())
    found = svd(data, 3)
    with pytest.raises(RoleError, match=r"extend over 'Bias' with 6 steps"):
        project(found, data.isel(Bias=slice(2)))
    with pytest.raises(RoleError, match="Coordinate 'Cycle' of the other data differs"):
        project(svd(data.squeeze("Y", drop=True) if data.sizes["Y"] == 1 else data, 3), data.assign_coords(Cycle=[9.0]))
