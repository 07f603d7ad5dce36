"""A tree of many nodes is the one that xarray builds from the same datasets."""

import numpy as np
import pytest
import xarray as xr

from usidx.io.read.tree import build_tree


def _some(**dims: int) -> xr.Dataset:
    return xr.Dataset({"x": (tuple(dims), np.arange(float(np.prod(list(dims.values())))).reshape(*dims.values()))})


def test_the_same_as_xarray_builds() -> None:
    nodes = {
        "/": xr.Dataset(attrs={"time": "now"}),
        "/a": _some(size_3=3),
        "/b": xr.Dataset(attrs={"no": 1}),
        "/a/b": xr.Dataset(),
        "/a/b/c": _some(size_3=3, Y=2).assign_coords(Y=[1.5, 2.5]),
        "/b/Raw": _some(Y=4),
    }
    found, wanted = build_tree(nodes, name="scan.h5"), xr.DataTree.from_dict(nodes, name="scan.h5")
    xr.testing.assert_identical(found, wanted)
    assert [node.path for node in found.subtree] == [node.path for node in wanted.subtree]
    assert found["a/b/c"].parent is found["a/b"]
    assert found["a"].root is found
    xr.testing.assert_identical(found.copy(), wanted)


def test_groups_that_are_not_listed_are_made() -> None:
    nodes = {"/a/b": _some(Y=2)}
    xr.testing.assert_identical(build_tree(nodes), xr.DataTree.from_dict(nodes))


def test_sizes_that_differ_are_refused() -> None:
    nodes = {"/": xr.Dataset(), "/a": _some(size_3=3), "/a/b": xr.Dataset(), "/a/b/c": _some(size_3=7)}
    with pytest.raises(ValueError, match="size_3"):
        build_tree(nodes)


def test_a_variable_and_a_child_of_one_name_are_refused() -> None:
    with pytest.raises(KeyError, match="already contains a variable named x"):
        build_tree({"/": _some(Y=2), "/x": xr.Dataset()})
