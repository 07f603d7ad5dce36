"""Attributes of arrays come back as what they were; old tools read texts, numbers and arrays of them."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

import usidx
from usidx.errors import UsidError, UsidWarning

MAIN = "Measurement_000/Channel_000/Raw_Data"


def write(path: Path, **attrs: Any) -> Path:
    array = xr.DataArray(np.arange(6.0).reshape(2, 3), dims=("x", "e"), name="Raw_Data", attrs=attrs)
    usidx.write(usidx.set_roles(array, position="x", spectroscopic="e"), path, progress=False)
    return path


def reopen(path: Path) -> dict[str, Any]:
    return {str(k): v for k, v in usidx.open_main(path).attrs.items() if k != "usid_provenance"}


KEPT: dict[str, Any] = {
    "bool": True,
    "none": None,
    "dict": {"a": [1, None], "b": {"c": 2.5}},
    "dicts": [{"a": 1}, {}],
    "bytes": b"abc",
    "bytes with nulls": b"\0\xff",
    "no bytes": b"",
    "text": "µm",
    "no text": "",
    "long text": "x" * 200_000,
    "null": "a\0b",
    "no UTF-8": "a\udcffb",
    "big": 2**70,
    "huge": 2**64 - 1,
    "ragged": [[1, 2], [3]],
    "numbers": [1, 2],
    "reals": [[1.5, 2.0]],
    "mixed": [1, 2.5, "a"],
    "flags": [True, False],
    "pair": (1, 2),
    "texts": ["a", "µ"],
    "no list": [],
    "tuple": ("a", "b"),
    "null in list": ["a\0", "b"],
    "time": datetime(2026, 1, 2),
    "complex": 1 + 2j,
    "many texts": ["abc"] * 5000,
}


@pytest.mark.parametrize("case", KEPT)
def test_values_come_back_with_their_type(tmp_path: Path, case: str) -> None:
    found = reopen(write(tmp_path / "a.h5", note=KEPT[case]))["note"]
    assert found == KEPT[case]
    assert isinstance(found, (type(KEPT[case]), np.number))


@pytest.mark.parametrize(
    "array",
    [
        np.array(["a", "µ"]),
        np.array([["a", "bc"]]),
        np.zeros(10_000),
        np.arange(20_000).reshape(2, -1),
        np.array([True]),
        np.array([1 + 2j]),
        np.ones(9000, complex),
        np.array(["2026-01-02"], "M8[D]"),
        np.float32(0.5),
        np.str_("PZT"),
    ],
    ids=lambda array: f"{array.dtype} {array.shape}",
)
def test_arrays_come_back(tmp_path: Path, array: Any) -> None:
    found = np.asarray(reopen(write(tmp_path / "a.h5", note=array))["note"])
    assert found.shape == array.shape
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


def test_h5py_reads_what_is_not_odd_as_it_is(tmp_path: Path) -> None:
    told = {"flag": True, "none": None, "raw": b"abc", "texts": ("a", "b"), "numbers": [1, 2], "nested": {"a": [1]}}
    with h5py.File(write(tmp_path / "a.h5", **told)) as file:
        found = dict(file[MAIN].attrs)
    assert found["flag"].dtype == bool
    assert found["none"] == "None"
    assert found["raw"] == b"abc"
    assert list(found["texts"]) == ["a", "b"]
    assert found["numbers"].tolist() == [1, 2]
    assert json.loads(found["nested"]) == {"a": [1]}


def test_pyusid_opens_beside_them(tmp_path: Path) -> None:
    pyusid = pytest.importorskip("pyUSID")
    with h5py.File(write(tmp_path / "a.h5", flag=True, nested={"a": 1}, none=None, quantity="Q"), "r") as file:
        main = pyusid.USIDataset(file[MAIN])
        np.testing.assert_array_equal(np.asarray(main[()]), np.arange(6.0).reshape(2, 3))


def test_names_that_the_format_uses_stay_the_users(tmp_path: Path) -> None:
    told = {
        "timestamp": "mine",
        "machine_id": 3,
        "quantity": "Q",
        "long_name": " L ",
        "units": None,
        "usidx_array": [1],
        "Position_Indices": "left",
        "usidx_attributes": {"a": 1},
    }
    path = write(tmp_path / "a.h5", **told)
    assert reopen(path) == told
    with h5py.File(path) as file:
        assert file[MAIN].attrs["timestamp"] == "mine"
        assert file[MAIN].attrs["quantity"].strip() == "L"


def test_written_twice_is_written_once_unless_a_type_differs(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", note=[1, 2], odd={"a": None}, timestamp="mine")
    with pytest.warns(UsidWarning, match="holds this very array already"):
        write(path, note=[1, 2], odd={"a": None}, timestamp="mine")
    write(path, note=(1, 2), odd={"a": None}, timestamp="mine")
    write(path, note=[1, 2], odd={"a": None}, timestamp="another")
    assert len(usidx.list_mains(path)) == 3


@pytest.mark.parametrize("name", ["", "a\0b", "a\udcff"])
def test_names_that_hdf5_does_not_take_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsidError, match=r"An attribute is called"):
        write(tmp_path / "a.h5", **{name: 1})


def test_other_objects_become_text_and_say_so(tmp_path: Path) -> None:
    with pytest.warns(UsidWarning, match="Attribute 'stage' holds a PosixPath"):
        path = write(tmp_path / "a.h5", stage=Path("a/b"))
    assert reopen(path)["stage"] == "a/b"


def test_coordinates_and_results_keep_theirs(tmp_path: Path) -> None:
    told = {"flag": True, "none": None, "nested": {"a": [1, (2,)]}, "texts": ["a"], "array": np.float32(2)}
    array = xr.DataArray(np.arange(12.0).reshape(4, 3), dims=("x", "e"), name="Raw_Data")
    array = usidx.set_roles(array, position="x", spectroscopic="e")
    array.e.attrs.update(told)
    path = tmp_path / "a.h5"
    usidx.write(array, path, progress=False)
    raw = usidx.open_main(path)
    assert {k: raw.e.attrs[k] for k in told} == told
    result = raw.usid.svd(2).assign_attrs(told)
    group = usidx.write(result, progress=False)
    found = usidx.open_result(path, group).attrs
    assert {k: found[k] for k in told} == told


def test_a_mark_that_does_not_fit_is_ignored(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", one=b"abc", two={"a": 1}, three=None, four=[1, 2])
    with h5py.File(path, "r+") as file:
        for name, value in (("one", 10**12), ("two", "{"), ("three", 3), ("four", "text")):
            file[MAIN].attrs[name] = value
    found = reopen(path)
    assert [found[n] for n in ("one", "two", "three", "four")] == [10**12, "{", 3, "text"]


@pytest.mark.parametrize("nested", [False, True])
def test_a_mask_is_not_lost_in_silence(tmp_path: Path, nested: bool) -> None:
    masked = np.ma.masked_array([1, 2, 3], [False, True, False])
    cells = xr.DataArray(np.zeros((2, 3)), dims=("y", "e"), name="Raw_Data")
    array = usidx.set_roles(cells.assign_attrs(stage=[masked] if nested else masked), position="y", spectroscopic="e")
    with pytest.warns(UsidWarning, match="Attribute 'stage' holds a .* masked cells"):
        usidx.write(array, tmp_path / "scan.h5", progress=False)
    assert "--" in usidx.open_main(tmp_path / "scan.h5").attrs["stage"]
    whole = array.assign_attrs(stage=np.ma.masked_array([1, 2, 3]))
    usidx.write(whole, tmp_path / "whole.h5", progress=False)
    np.testing.assert_array_equal(usidx.open_main(tmp_path / "whole.h5").attrs["stage"], [1, 2, 3])
