"""netCDF and Zarr as xarray opens them again."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

import usidx
from tests.instruments.export.odd_files import ODD, build
from usidx.errors import UsidError
from usidx.testing.measurements import shared_file

ENGINES = {"netcdf": "h5netcdf", "zarr": "zarr"}
KINDS = (
    "complex64",
    "complex128",
    "uint16",
    "bool",
    "snake",
    "odd names",
    "compound",
    "dependent",
    "sparse",
    "one cell",
)


@pytest.fixture(params=ENGINES)
def to(request: pytest.FixtureRequest) -> Any:
    pytest.importorskip({"netcdf": "h5netcdf", "zarr": "zarr"}[request.param], reason="it is not installed")
    return request.param


@pytest.mark.parametrize("kind", KINDS)
def test_main_opens_as_it_was(kind: str, to: Any, tmp_path: Path) -> None:
    built = ODD[kind](tmp_path / "scan.h5")
    made = usidx.export(built.path, tmp_path / f"scan.{to}", to=to, group=built.main)
    with xr.open_dataset(made, engine=ENGINES[to]) as shown:
        if kind == "compound":
            np.testing.assert_array_equal(shown["Phase"].values, built.array["Phase [rad]"][..., 0])
            return
        array = shown[built.main.rsplit("/", 1)[-1]]
        assert array.dtype == built.array.dtype
        np.testing.assert_array_equal(array.values, built.squeezed[1])
        assert (array.attrs["units"], array.attrs["long_name"]) == (built.unit, built.quantity)
        for name, (along, values) in built.coords.items():
            held = array.coords.get(name.replace("/", "_"))
            if held is not None and held.ndim == len(along):
                np.testing.assert_array_equal(held.values, np.squeeze(values))
                assert held.attrs["units"] == built.units[name]
        assert usidx.history(array)[-1]["tool"] == "open"
        assert "seal" not in array.attrs["usid_provenance"]


def test_tree_opens_with_its_groups(to: Any, tmp_path: Path) -> None:
    channels = shared_file(tmp_path / "scan.h5")
    with h5py.File(channels[0].path, "a") as file:
        file["Measurement_000"].attrs["operator"] = "Ada"
    made = usidx.export(channels[0].path, tmp_path / f"scan.{to}", to=to)
    with xr.open_datatree(made, engine=ENGINES[to]) as tree:
        assert tree["Measurement_000"].attrs["operator"] == "Ada"
        for one in channels:
            array = tree[one.main][one.main.rsplit("/", 1)[-1]]
            np.testing.assert_array_equal(array.values, one.squeezed[1])


def test_only_main_of_a_file_stands_at_the_root(to: Any, tmp_path: Path) -> None:
    built = build(tmp_path / "scan.h5")
    with xr.open_dataset(usidx.export(built.path, tmp_path / "out", to=to), engine=ENGINES[to]) as shown:
        np.testing.assert_array_equal(shown["Raw_Data"].values, built.array)
        assert "usidx_source" in shown.attrs


def test_attributes_with_a_meaning_to_readers_get_another_name(to: Any, tmp_path: Path) -> None:
    built = build(tmp_path / "scan.h5")
    with h5py.File(built.path, "a") as file:
        file[built.main].attrs.update(
            {"scale_factor": 2.0, "_FillValue": 5.0, "flag": True, "ratio": 1 + 2j, "none": []}
        )
    with xr.open_dataset(usidx.export(built.path, tmp_path / "out", to=to), engine=ENGINES[to]) as shown:
        np.testing.assert_array_equal(shown["Raw_Data"].values, built.array)
        attrs = shown["Raw_Data"].attrs
        assert (attrs["usid_scale_factor"], attrs["usid__FillValue"], attrs["flag"]) == (2.0, 5.0, 1)
        assert "2j" in attrs["ratio"]


def test_result_is_still_a_result(to: Any, tmp_path: Path) -> None:
    path = usidx.example_file(tmp_path / "scan.h5")
    raw = usidx.open_main(path)
    raw.usid.svd(3).usid.write()
    made = usidx.export(path, tmp_path / "svd", to=to, group="SVD_000")
    with xr.open_dataset(made, engine=ENGINES[to]) as shown:
        rebuilt = shown.usid.reconstruct().transpose(*raw.dims)
        left, values, right = np.linalg.svd(raw.values.reshape(120, 32).astype("c16"), full_matrices=False)
        expected = (left[:, :3] * values[:3]) @ right[:3]
        np.testing.assert_allclose(rebuilt.values.reshape(120, 32), expected, atol=1e-6 * abs(expected).max())


def test_what_is_in_memory_is_exported(to: Any, tmp_path: Path) -> None:
    array = xr.DataArray(np.arange(6.0).reshape(2, 3), dims=("a", "b"), coords={"b": ["x", "y", "z"]}, name="made")
    with xr.open_dataset(usidx.export(array, tmp_path / "out", to=to), engine=ENGINES[to]) as shown:
        xr.testing.assert_equal(shown["made"].load(), array)


def test_names_in_tex_stay_together(to: Any, tmp_path: Path) -> None:
    name = r"$\sqrt E$"
    array = xr.DataArray([1.0, 2.0], dims=name, coords={name: [3.0, 4.0]}, name="current")
    with xr.open_dataset(usidx.export(array, tmp_path / "out", to=to), engine=ENGINES[to]) as shown:
        assert shown["current"].dims == ("$_sqrt E$",)
        np.testing.assert_array_equal(shown["$_sqrt E$"], [3.0, 4.0])
        assert shown["$_sqrt E$"].attrs["usid_label"] == name


def test_uneven_blocks_are_written(to: Any, tmp_path: Path) -> None:
    lazy = xr.DataArray(np.arange(70.0).reshape(7, 10), dims=("a", "b"), name="made").chunk(
        {"a": (2, 4, 1), "b": (3, 7)}
    )
    with xr.open_dataset(usidx.export(lazy, tmp_path / "out", to=to), engine=ENGINES[to]) as shown:
        np.testing.assert_array_equal(shown["made"].values, np.arange(70.0).reshape(7, 10))


def test_levels_of_a_stacked_dim_become_coordinates(to: Any, tmp_path: Path) -> None:
    array = xr.DataArray(np.arange(6.0).reshape(2, 3), dims=("a", "b"), coords={"a": [5, 7], "b": [0, 1, 2]}, name="v")
    with xr.open_dataset(usidx.export(array.stack(p=("a", "b")), tmp_path / "out", to=to), engine=ENGINES[to]) as shown:
        np.testing.assert_array_equal(shown["a"].values, [5, 5, 5, 7, 7, 7])
        np.testing.assert_array_equal(shown["v"].values, np.arange(6.0))


def test_types_that_a_format_lacks_are_named(tmp_path: Path) -> None:
    pytest.importorskip("zarr", "3", reason="Zarr 2 writes numbers of any length")
    array = xr.DataArray(np.zeros(2, "g"), dims="x", name="long")
    with pytest.raises(UsidError, match="cannot be written as Zarr"):
        usidx.export(array, tmp_path / "out", to="zarr")
    assert not list(tmp_path.iterdir())
