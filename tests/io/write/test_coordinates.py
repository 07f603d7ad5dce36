"""Coordinates of every kind come back, and other programs see the dims of the data and no more."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

import usidx
from usidx.errors import LayoutError, RoleError, UsidWarning
from usidx.testing.assertions import assert_same

CELLS = np.arange(60.0).reshape(3, 4, 5)


def scan(**coords: Any) -> xr.DataArray:
    array = xr.DataArray(CELLS, dims=("y", "x", "e"), name="Raw_Data")
    return usidx.set_roles(array.assign_coords(coords), position=["y", "x"], spectroscopic="e")


KINDS: dict[str, dict[str, Any]] = {
    "texts along a dim": {"name": ("x", ["a", "b", "µ", ""])},
    "dim of texts": {"e": ["red", "green", "blue", "black", "white"]},
    "dim of dates": {"y": np.array(["2026-01-01T00:00:00.123456789", "2026-01-02", "2026-03-01"], "M8[ns]")},
    "dim of durations": {"e": np.array([1, 2, 3, 4, 5], "m8[ms]")},
    "dates": {"when": (("y", "x"), np.arange(12).reshape(3, 4).astype("M8[h]").astype("M8[ns]"))},
    "complex": {"gain": ("e", np.arange(5) * (1 + 2j))},
    "second of a dim": {"x_um": ("x", [0.1, 0.2, 0.3, 0.4]), "pixel": ("x", [4, 3, 2, 1])},
    "over several dims": {"height": (("y", "x"), CELLS[..., 0]), "mask": (("x", "e"), CELLS[0] > 30)},
    "over both sides": {"both": (("y", "e"), CELLS[:, 0])},
    "scalars": {"temperature": 300.0, "sample": "PZT", "number": 3, "date": np.datetime64("2026-01-01", "ns")},
    "large whole numbers": {"stamp": ("x", np.array([2**62, 2**62 + 1, 3, 4]))},
    "with attributes": {"bias": ("e", [1.0, 2, 3, 4, 5], {"units": "V", "flag": True, "nested": {"a": [1]}})},
}


@pytest.mark.parametrize("kind", KINDS)
def test_come_back(tmp_path: Path, kind: str) -> None:
    array = scan(**KINDS[kind])
    usidx.write(array, tmp_path / "scan.h5", progress=False)
    found = usidx.open_main(tmp_path / "scan.h5")
    assert_same(found.compute(), array)
    for name, coordinate in array.coords.items():
        assert found[name].dtype == coordinate.dtype
        assert found[name].attrs == coordinate.attrs
    assert_same(usidx.open_tree(tmp_path / "scan.h5")["Measurement_000/Channel_000/Raw_Data"].Raw_Data.compute(), array)
    with pytest.warns(UsidWarning, match="holds this very array already"):
        usidx.write(array, tmp_path / "scan.h5", progress=False)


@pytest.mark.parametrize("kind", KINDS)
def test_other_programs_see_the_dims_alone(tmp_path: Path, kind: str) -> None:
    simple = pytest.importorskip("pyUSID.io.hdf_utils")
    usidx.write(scan(**KINDS[kind]), tmp_path / "scan.h5", progress=False)
    with h5py.File(tmp_path / "scan.h5") as file:
        main = file["Measurement_000/Channel_000/Raw_Data"]
        tables = [file[main.attrs[f"{side}_Indices"]] for side in ("Position", "Spectroscopic")]
        assert sorted(text.decode() for text in tables[0].attrs["labels"]) == ["x", "y"]
        assert [text.decode() for text in tables[1].attrs["labels"]] == ["e"]
        cells, success, labels = simple.reshape_to_n_dims(main, get_labels=True, sort_dims=True)
        assert success is True
        order = [list(labels).index(name) for name in ("y", "x", "e")]
        np.testing.assert_array_equal(np.transpose(cells, order), CELLS)


def test_what_changes_along_with_it_is_compared(tmp_path: Path) -> None:
    usidx.write(scan(sample="PZT"), tmp_path / "scan.h5", progress=False)
    usidx.write(scan(sample="BTO"), tmp_path / "scan.h5", progress=False)
    assert len(usidx.list_mains(tmp_path / "scan.h5")) == 2


@pytest.mark.parametrize("dim", ["position", "cell"])
def test_stacked_positions(tmp_path: Path, dim: str) -> None:
    array = scan().drop_vars(["y", "x"]).assign_coords(y=[0.0, 1, 2], x=[5.0, 6, 7, 8])
    stacked = array.stack({dim: ("y", "x")})
    with pytest.warns(UsidWarning, match=rf"stacked dim '{dim}' .* array.set_index\({dim}=\['y', 'x'\]\)"):
        usidx.write(stacked, tmp_path / "scan.h5", progress=False)
    found = usidx.open_main(tmp_path / "scan.h5").compute()
    places = found.drop_vars([c for c in found.coords if c not in {"y", "x", "e"}])
    again = places.set_index({dim: ("y", "x")}).unstack(dim).transpose("y", "x", "e")
    np.testing.assert_array_equal(again, CELLS)
    np.testing.assert_array_equal(again.x, [5, 6, 7, 8])


def test_results_keep_them(tmp_path: Path) -> None:
    usidx.write(scan(sample="PZT", name=("x", list("abcd"))), tmp_path / "scan.h5", progress=False)
    scores = usidx.open_main(tmp_path / "scan.h5").usid.svd(2)
    found = usidx.open_result(tmp_path / "scan.h5", usidx.write(scores, progress=False))
    assert found.name.values.tolist() == list("abcd")
    assert found.sample.item() == "PZT"


def test_a_dataset_without_roles_is_refused(tmp_path: Path) -> None:
    data = xr.Dataset({"a": (("y", "x"), CELLS[..., 0])}, {"y": [1, 2, 3]})
    with pytest.raises(RoleError, match=r"The Dataset of \['a'\] with dims \('y', 'x'\) has no position"):
        usidx.write(data, tmp_path / "scan.h5", progress=False)
    assert not (tmp_path / "scan.h5").exists()


def test_names_that_would_come_back_as_others_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match=r"'m/z' of 'Raw_Data' cannot be .* array.rename\(\{'m/z': 'm_z'\}\)"):
        usidx.write(scan().rename(e="m/z"), tmp_path / "scan.h5", progress=False)


@pytest.mark.parametrize(
    "hints",
    [
        '{"beside": 3}', '{"beside": {"a": 3, "b": {"dims": ["x"]}, "c": {"dims": ["x"], "values": [1, [2]]}}}',
        '{"beside": {"x": {"dims": ["a"], "values": {"@type": "array", "dtype": "<f8", "shape": [1], "values": [1]}}}}',
    ],
)  # fmt: skip
def test_what_a_stranger_wrote_is_ignored(tmp_path: Path, hints: str) -> None:
    usidx.write(scan(), tmp_path / "scan.h5", progress=False)
    with h5py.File(tmp_path / "scan.h5", "r+") as file:
        file["Measurement_000/Channel_000/Raw_Data"].attrs["usidx_array"] = hints
    assert set(usidx.open_main(tmp_path / "scan.h5").coords) == {"y", "x", "e"}
