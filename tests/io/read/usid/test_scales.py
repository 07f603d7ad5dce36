"""Dims of what is no main are called after HDF5's dimension scales."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

import usidx
from usidx.testing.files import build_main


def make_scale(group: h5py.Group, name: str, values: Any) -> h5py.Dataset:
    scale = group.create_dataset(name, data=values)
    scale.make_scale(name)
    return scale


def attach(dataset: h5py.Dataset, *scales: h5py.Dataset) -> None:
    for axis, scale in enumerate(scales):
        dataset.dims[axis].attach_scale(scale)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "scaled.h5"


def test_dims_are_called_after_their_scales(path: Path) -> None:
    with h5py.File(path, "w") as file:
        image = file.create_dataset("a/image", data=np.arange(12.0).reshape(3, 4))
        attach(image, make_scale(file["a"], "X", [5.0, 6, 7]), make_scale(file["a"], "Y", np.arange(4)[::-1]))
    held = usidx.open_tree(path)["a"]
    assert held["image"].dims == ("X", "Y")
    assert float(held["image"].sel(X=6.0, Y=0)) == 7.0
    assert np.asarray(held["X"]).tolist() == [5, 6, 7]
    assert np.asarray(held["Y"]).tolist() == [3, 2, 1, 0]
    assert xr.open_dataset(path, engine="usid", group="a").image.dims == ("X", "Y")


def test_what_netcdf_wrote_has_its_dims(path: Path) -> None:
    scan = xr.Dataset({"a": (("y", "x"), np.zeros((3, 3))), "b": ("y", np.ones(3))}, {"y": [1.5, 2, 3]})
    scan.to_netcdf(path, engine="h5netcdf")
    found = usidx.open_tree(path).to_dataset()
    assert found.a.dims == ("y", "x")
    assert found.b.dims == ("y",)
    assert found.y.values.tolist() == [1.5, 2, 3]


@pytest.mark.parametrize("fault", ["none", "one", "two", "twice", "longer", "flat", "deleted", "no scale", "numbers"])
def test_only_a_scale_of_its_own_for_each_axis_counts(path: Path, fault: str) -> None:
    with h5py.File(path, "w") as file:
        image = file.create_dataset("image", data=np.zeros((3, 4)))
        x, y = make_scale(file, "X", np.arange(3.0)), make_scale(file, "Y", np.arange(4.0))
        if fault == "one":
            attach(image, x)
        elif fault != "none":
            attach(image, x, y)
        if fault == "two":
            image.dims[0].attach_scale(make_scale(file, "other", np.arange(3.0)))
        elif fault == "twice":
            file.create_group("sub")
            image.dims[1].detach_scale(y)
            image.dims[1].attach_scale(make_scale(file["sub"], "X", np.arange(4.0)))
        elif fault in {"longer", "flat"}:
            image.dims[1].detach_scale(y)
            image.dims[1].attach_scale(make_scale(file, "Z", np.arange(5.0) if fault == "longer" else np.ones((4, 1))))
        elif fault == "deleted":
            del file["Y"]
        elif fault == "no scale":
            del y.attrs["CLASS"]
        elif fault == "numbers":
            del image.attrs["DIMENSION_LIST"]
            image.attrs["DIMENSION_LIST"] = [1, 2]
    found = usidx.open_tree(path)["image"]
    assert found.dims == ("size_3", "size_4")
    assert found.shape == (3, 4)


def test_a_scale_of_another_group_that_is_called_as_a_dataset_here_does_not_count(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["a/X"] = np.zeros((2, 2))
        image = file.create_dataset("a/image", data=np.zeros(3))
        attach(image, make_scale(file.create_group("b"), "X", np.arange(3.0)))
    assert usidx.open_tree(path)["a/image"].dims == ("size_3",)
    assert usidx.open_tree(path)["a/X"].dims == ("size_2", "size_2_again")


@pytest.mark.parametrize("sizes", [(3, 3), (3, 4)])
def test_groups_above_each_other_may_have_scales_of_one_name(path: Path, sizes: tuple[int, int]) -> None:
    with h5py.File(path, "w") as file:
        for name, size in zip(("a", "a/b/c"), sizes, strict=True):
            group = file.require_group(name)
            attach(
                group.create_dataset("spectrum", data=np.zeros(size)), make_scale(group, "E", np.arange(size) + size)
            )
        attach(file.create_dataset("d/spectrum", data=np.zeros(7)), make_scale(file["d"], "E", np.arange(7)))
    tree = usidx.open_tree(path)
    assert tree["a/spectrum"].dims == (f"size_{sizes[0]}",)
    assert tree["a/b/c/spectrum"].dims == (f"size_{sizes[1]}",)
    assert np.asarray(tree["a/b/c/E"]).tolist() == (np.arange(sizes[1]) + sizes[1]).tolist()
    assert tree["d/spectrum"].dims == ("E",)


def test_mains_keep_their_dims_where_a_group_above_has_a_scale_of_that_name(path: Path) -> None:
    with h5py.File(path, "w") as file:
        build_main(
            file.create_group("Measurement_000"),
            np.zeros((2, 5, 4)),
            [("Y", "m", range(2)), ("X", "m", range(5))],
            [("E", "V", range(4))],
        )
        group = file["Measurement_000"]
        attach(group.create_dataset("image", data=np.zeros(3)), make_scale(group, "X", [7.0, 8, 9]))
    tree = usidx.open_tree(path)
    (main,) = usidx.list_mains(path)
    assert "X" in tree[main].to_dataset().dims
    assert tree["Measurement_000/image"].dims == ("size_3",)


def test_two_scales_of_one_name_and_two_sizes_are_told_apart(path: Path) -> None:
    with h5py.File(path, "w") as file:
        for name, size in (("p", 3), ("q", 4)):
            attach(
                file.create_dataset(f"g/{name}", data=np.zeros(size)),
                make_scale(file.create_group(name), "E", np.arange(size)),
            )
    tree = usidx.open_tree(path)
    assert tree["g/p"].dims == ("E",)
    assert tree["g/q"].dims == ("size_4",)


def test_a_scale_that_claims_to_be_huge_is_not_read(path: Path) -> None:
    with h5py.File(path, "w") as file:
        image = file.create_dataset("image", (1 << 40,), "f8", chunks=(1 << 20,))
        scale = file.create_dataset("E", (1 << 40,), "f8", chunks=(1 << 20,), compression="gzip")
        scale.make_scale("E")
        attach(image, scale)
    found = usidx.open_tree(path)["image"]
    assert found.dims == ("E",)
    assert "E" not in found.xindexes
