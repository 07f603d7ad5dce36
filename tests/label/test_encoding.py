"""Labelled arrays are laid out as the format wants, or it is said why not."""

from itertools import product
from typing import Any

import numpy as np
import pytest
import xarray as xr

import usidx
from usidx.errors import LayoutError, RoleError
from usidx.label.coding import decode_array
from usidx.label.encoding import divide_dims, encode
from usidx.label.roles import ROLE
from usidx.testing.assertions import assert_same


def scan(*, lazy: bool = False) -> xr.DataArray:
    array = xr.DataArray(
        np.arange(24.0).reshape(2, 3, 4),
        dims=("Y", "X", "Bias"),
        coords={"Y": [0.0, 1.0], "X": [5.0, 6.0, 7.0], "Bias": ("Bias", [-1.0, 0.0, 1.0, 2.0], {"units": "V"})},
        name="Raw_Data",
        attrs={"long_name": "Current", "units": "nA"},
    )
    marked = usidx.set_roles(array, position=["Y", "X"], spectroscopic="Bias")
    return marked.chunk(2) if lazy else marked


@pytest.mark.parametrize("lazy", [False, True])
def test_layout_of_a_scan(lazy: bool) -> None:
    encoded = encode(scan(lazy=lazy))
    assert isinstance(encoded.data, np.ndarray) is not lazy
    assert encoded.layout.shape == encoded.data.shape == (6, 4)
    assert encoded.layout.position.labels == ("X", "Y")
    assert encoded.layout.spectroscopic.units == ("V",)
    np.testing.assert_array_equal(encoded.layout.position.indices[:, 0], [0, 1, 2, 0, 1, 2])
    np.testing.assert_array_equal(encoded.layout.position.values[:, 1], [0, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(np.asarray(encoded.data), np.arange(24).reshape(6, 4))
    assert (encoded.layout.name, encoded.layout.quantity, encoded.layout.units) == ("Raw_Data", "Current", "nA")


def test_the_other_order_of_dims_is_recorded() -> None:
    turned = scan().transpose("Bias", "X", "Y")
    encoded = encode(turned)
    assert_same(decode_array(encoded.layout, np.asarray(encoded.data)), turned)


@pytest.mark.parametrize("sizes", list(product((1, 2, 3), repeat=4)), ids=str)
def test_dims_of_one_step_keep_their_place(sizes: tuple[int, ...]) -> None:
    names = ("A", "B", "C", "D")
    coords = {d: (d, np.arange(n) + 1.5, {"units": "m"}) for d, n in zip(names, sizes, strict=True)}
    array = xr.DataArray(np.random.default_rng(0).random(sizes), coords, names, attrs={"long_name": "q", "units": "V"})
    array = usidx.set_roles(array.rename("Raw_Data"), position=["A", "B"], spectroscopic=["C", "D"])
    encoded = encode(array)
    assert_same(decode_array(encoded.layout, np.asarray(encoded.data)), array)


@pytest.mark.parametrize(
    ("dims", "sides"),
    [
        (("Y", "X", "component"), (("Y", "X"), ("component",))),
        (("component", "Bias"), (("component",), ("Bias",))),
    ],
)
def test_dims_without_role_take_the_side_that_is_free(dims: tuple[str, ...], sides: tuple[Any, ...]) -> None:
    array = scan().isel(dict.fromkeys(set("YX") | {"Bias"} - set(dims), 0), drop=True) if "Y" not in dims else scan()
    array = array.isel({d: 0 for d in array.dims if d not in dims}, drop=True)
    array = array.expand_dims(component=[0, 1]).transpose(*dims)
    assert divide_dims(array) == sides


def test_what_no_file_can_hold_is_named() -> None:
    things = np.empty(2, object)
    things[:] = [{1}, {2}]
    array = scan().assign_coords(note="text", both=(("Y", "Bias"), np.zeros((2, 4))), odd=("Y", things))
    assert encode(array).left_out == ("odd",)


def test_no_roles() -> None:
    with pytest.raises(RoleError, match=r"Array 'scan' with dims \('a',\) has no position or spectroscopic dims"):
        encode(xr.DataArray(np.zeros(3), dims="a", name="scan"))


def test_an_empty_dim() -> None:
    with pytest.raises(LayoutError, match="Dim 'X' of 'Raw_Data' has size 0"):
        encode(scan().isel(X=slice(0)))


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (["c", "a", "b"], [0, 1, 2]),
        (np.array(["2026-01-01", "2026-01-02", "NaT"], "M8[s]"), [1767225600, 1767312000, np.nan]),
        (np.array([1, 2500, 3], "m8[ms]"), [0.001, 2.5, 0.003]),
        (np.array([1j, 2, 3]), [0, 1, 2]),
    ],
)
def test_a_dim_of_something_else_is_counted(values: Any, wanted: list[float]) -> None:
    array = scan().assign_coords(xr.Coordinates({"X": ("X", values, {ROLE: "position", "note": 3})}, indexes={}))
    encoded = encode(array)
    column = encoded.layout.position.values[:, encoded.layout.position.labels.index("X")]
    np.testing.assert_array_equal(column, np.tile(wanted, 2))
    decoded = decode_array(encoded.layout, np.asarray(encoded.data))
    assert decoded.X.attrs == array.X.attrs
    assert decoded.X.dtype == array.X.dtype
    np.testing.assert_array_equal(decoded.X.values, array.X.values)


@pytest.mark.parametrize("name", ["a/b", "a  b", " a", "a\x1b"])
def test_names_that_would_come_back_as_others(name: str) -> None:
    with pytest.raises(LayoutError, match=r"cannot be the name of a dim or coordinate.*Rename it: array.rename"):
        encode(scan().rename(X=name))


def test_a_dim_whose_values_change_with_the_other_side() -> None:
    values = xr.Variable(("X", "Bias"), np.zeros((3, 4)), {ROLE: "position"})
    array = scan().drop_vars("X").assign_coords(xr.Coordinates({"X": values}, indexes={}))
    with pytest.raises(LayoutError, match=r"Coordinate 'X' of 'Raw_Data' varies over \('X', 'Bias'\)"):
        encode(array)
