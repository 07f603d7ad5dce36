"""Results that went through netCDF or Zarr do what they did before."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import usidx
from tests.learn.conftest import Cube
from usidx.learn.cluster import cluster
from usidx.learn.mcr import mcr_als
from usidx.learn.nmf import nmf
from usidx.learn.reconstruct import project, reconstruct
from usidx.learn.rotate import rotate
from usidx.learn.svd import pca, svd
from usidx.learn.unmix import vca

VERBS: dict[str, Callable[[xr.DataArray], xr.Dataset]] = {
    "svd": lambda data: svd(data, 2),
    "pca std": lambda data: pca(data, 2, scale="std"),
    "promax": lambda data: rotate(pca(data, 2), "promax"),
    "nmf": lambda data: nmf(data, 2),
    "mcr closed": lambda data: mcr_als(data, 2, closure=True),
    "vca": lambda data: vca(data, 2),
}


def put(result: xr.Dataset, kind: str, folder: Path) -> xr.Dataset:
    stored: xr.Dataset
    if kind == "netcdf":
        result.to_netcdf(folder / "found.nc", engine="h5netcdf")
        stored = xr.open_dataset(folder / "found.nc", engine="h5netcdf", chunks={})
    else:
        pytest.importorskip("zarr")
        result.to_zarr(folder / "found.zarr", consolidated=False)
        stored = xr.open_zarr(folder / "found.zarr", consolidated=False)
    return stored


@pytest.mark.parametrize("kind", ["netcdf", "zarr"])
@pytest.mark.parametrize("verb", list(VERBS))
def test_a_decomposition_is_whole(verb: str, kind: str, cube: Cube, tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((5, 4, 2, 3)) + 0.1
    path = tmp_path / "scan.h5"
    usidx.write(cube(values).drop_vars(["time", "field"]), path)
    data = usidx.open_main(path)
    found = VERBS[verb](data).compute()
    stored = put(found, kind, tmp_path)
    for name, variable in found.variables.items():
        assert stored[name].attrs == variable.attrs
    again, before = reconstruct(stored), reconstruct(found)
    xr.testing.assert_allclose(again, before)
    assert (again.dims, again.name, again.attrs["units"]) == (data.dims, "Raw_Data", "V")
    scores = project(stored, data)
    np.testing.assert_allclose(scores, project(found, data), atol=1e-12)
    assert scores.attrs["units"] == found.scores.attrs["units"]
    assert usidx.open_result(path, stored.usid.write()).scores.dims == ("Y", "X", "component")
    np.testing.assert_array_equal(cluster(stored, n=2).labels, cluster(found, n=2).labels)


@pytest.mark.parametrize("kind", ["netcdf", "zarr"])
def test_clusters_are_whole(kind: str, cube: Cube, tmp_path: Path) -> None:
    found = cluster(cube(np.random.default_rng(0).random((5, 4, 2, 3))), "agglomerative", 3)
    stored: Any = put(found, kind, tmp_path)
    assert stored.labels.dtype == np.int32
    for name, variable in found.variables.items():
        np.testing.assert_array_equal(stored[name], variable)
        assert stored[name].attrs == variable.attrs


def test_a_pipeline_from_a_file_is_lazy_to_its_end(cube: Cube, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = np.tensordot(rng.dirichlet(np.full(3, 0.3), (8, 6)), rng.random((3, 2, 5)), 1)
    path = tmp_path / "scan.h5"
    usidx.write(cube(values).drop_vars(["time", "field"]), path)
    raw = usidx.open_main(path, chunks={"Y": 2})
    smooth = raw.usid.svd(4).usid.reconstruct()
    # Of rank three, and nothing left out: what is put together is the data, up to rounding, which may be negative.
    found = smooth.clip(min=0).usid.nmf(3)
    assert all(variable.chunks is not None for variable in (smooth, found.scores, found.components))
    decomposed, factors, groups = usidx.compute(raw.usid.svd(3), found, raw.usid.cluster(n=3))
    rows = values.reshape(48, 10)
    np.testing.assert_allclose(decomposed.singular_values, np.linalg.svd(rows, compute_uv=False)[:3], rtol=1e-9)
    np.testing.assert_allclose(factors.relative_error, nmf(cube(values), 3).relative_error, atol=1e-4)
    np.testing.assert_array_equal(groups.labels, cluster(cube(values), n=3).labels)
