"""References as xarray reads them through fsspec and Zarr; what cannot be said is refused in words."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

import usidx
from tests.instruments.export.odd_files import GZIP, IN_FILE, ODD, build
from usidx.errors import GridError, UsidError
from usidx.testing.measurements import shared_file


def open_references(path: str, group: str | None = None) -> xr.Dataset:
    pytest.importorskip("zarr", reason="zarr is not installed")
    pytest.importorskip("kerchunk", reason="kerchunk is not installed")
    if group is None:
        return xr.open_dataset(path, engine="kerchunk")
    options = {"fo": path, "remote_protocol": "file"}
    return xr.open_dataset("reference://", engine="zarr", group=group, storage_options=options)


def read_strictly(path: str) -> Any:
    def refuse(text: str) -> None:
        raise AssertionError(f"{text} is no JSON")

    return json.loads(Path(path).read_text(encoding="utf-8"), parse_constant=refuse)


@pytest.mark.parametrize("kind", [kind for kind in IN_FILE if kind not in {"compound", "odd names"}])
def test_array_is_bit_equal(kind: str, tmp_path: Path) -> None:
    built = IN_FILE[kind](tmp_path / "scan.h5")
    made = usidx.export(built.path, tmp_path / "scan.json", to="kerchunk")
    dims, array = built.squeezed
    shown = open_references(made)["Raw_Data"]
    assert shown.dims == dims
    assert shown.dtype == array.dtype.newbyteorder("=")
    np.testing.assert_array_equal(shown.values, array)
    assert shown.attrs["units"] == built.unit
    for name, (along, values) in built.coords.items():
        if name in shown.coords and set(along) & set(dims):
            np.testing.assert_array_equal(shown[name].values, np.squeeze(values))
            assert shown[name].attrs["units"] == built.units[name]


@pytest.mark.parametrize("kind", ["contiguous", "lines that stick out", "snake", "compound", "odd names"])
def test_store_is_strict_json_that_reaches_into_the_file(kind: str, tmp_path: Path) -> None:
    built = IN_FILE[kind](tmp_path / "scan.h5")
    store = read_strictly(usidx.export(built.path, tmp_path / "scan.json", to="kerchunk"))
    assert store["version"] == 1
    end = built.path.stat().st_size
    for key, reference in store["refs"].items():
        if isinstance(reference, list):
            url, offset, length = reference
            assert url == f"file://{built.path}"
            assert 0 < offset < offset + length <= end
        elif key.rsplit("/", 1)[-1].startswith(".z"):
            json.loads(reference)


@pytest.mark.parametrize("kind", sorted(ODD.keys() - IN_FILE.keys()))
def test_chunks_that_are_no_boxes_are_refused(kind: str, tmp_path: Path) -> None:
    built = ODD[kind](tmp_path / "scan.h5")
    with pytest.raises(GridError, match=r"Raw_Data.*Write it again in chunks.*chunks=\(24, 6\)"):
        usidx.export(built.path, tmp_path / "scan.json", to="kerchunk")
    assert not (tmp_path / "scan.json").exists()


@pytest.mark.parametrize("kind", sorted(ODD.keys() - IN_FILE.keys()))
def test_what_the_message_advises_helps(kind: str, tmp_path: Path) -> None:
    built = ODD[kind](tmp_path / "scan.h5")
    usidx.write(usidx.open_main(built.path), tmp_path / "again.h5", chunks=(24, 6))
    made = usidx.export(tmp_path / "again.h5", tmp_path / "scan.json", to="kerchunk")
    np.testing.assert_array_equal(open_references(made)["Raw_Data"].values, built.array)


def test_fields_stand_in_the_json(tmp_path: Path) -> None:
    built = IN_FILE["compound"](tmp_path / "scan.h5")
    shown = open_references(usidx.export(built.path, tmp_path / "scan.json", to="kerchunk"))
    np.testing.assert_array_equal(shown["Phase"].values, built.array["Phase [rad]"][..., 0])
    assert shown["Amplitude"].attrs["units"] == "V"


def test_large_fields_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("usidx.instruments.export.kerchunk.MOST_INLINE", 100)
    built = IN_FILE["compound"](tmp_path / "scan.h5")
    with pytest.raises(UsidError, match=r"Phase.*192 bytes.*'zarr'"):
        usidx.export(built.path, tmp_path / "scan.json", to="kerchunk", group="Raw_Data")


def test_names_that_zarr_has_no_room_for_are_kept_as_labels(tmp_path: Path) -> None:
    built = IN_FILE["odd names"](tmp_path / "scan.h5")
    shown = open_references(usidx.export(built.path, tmp_path / "scan.json", to="kerchunk"))["Raw [a]"]
    assert shown.dims == ("Y_a", "X b", "Frequency")
    assert shown["Y_a"].attrs["usid_label"] == "Y/a"
    np.testing.assert_array_equal(shown.values, built.array)


def test_chunks_that_were_never_written(tmp_path: Path) -> None:
    built = build(tmp_path / "scan.h5", storage={"chunks": (6, 6), **GZIP})
    with h5py.File(built.path, "a") as file:
        main = file[built.main]
        kept = dict(main.attrs)
        del file[built.main]
        again = file.create_dataset(built.main, (24, 6), "f4", chunks=(6, 6), **GZIP)
        again.attrs.update(kept)
        again[6:12] = built.array[1]
    shown = open_references(usidx.export(built.path, tmp_path / "scan.json", to="kerchunk"))["Raw_Data"].values
    np.testing.assert_array_equal(shown[1], built.array[1])
    assert not shown[[0, 2, 3]].any()


def test_several_mains_stand_in_groups(tmp_path: Path) -> None:
    channels = shared_file(tmp_path / "scan.h5")
    made = usidx.export(channels[0].path, tmp_path / "scan.json", to="kerchunk")
    for one in channels:
        shown = open_references(made, one.main.strip("/"))
        np.testing.assert_array_equal(shown[one.main.rsplit("/", 1)[-1]].values, one.squeezed[1])
    named = usidx.export(channels[1].path, tmp_path / "one.json", to="kerchunk", group=channels[1].main)
    title = channels[1].main.rsplit("/", 1)[-1]
    np.testing.assert_array_equal(open_references(named)[title].values, channels[1].squeezed[1])


def test_result_opens_as_the_result(tmp_path: Path) -> None:
    path = usidx.example_file(tmp_path / "scan.h5")
    group = usidx.open_main(path).usid.svd(3).usid.write()
    shown = open_references(usidx.export(path, tmp_path / "svd.json", to="kerchunk", group="SVD_000"))
    with h5py.File(path) as file:
        scores = file[group]["U"][()] * file[group]["S"][()]
        np.testing.assert_array_equal(shown["components"].values, file[group]["V"][()])
    np.testing.assert_allclose(shown["scores"].values.reshape(-1, 3), scores, rtol=1e-6)
    assert usidx.history(shown)[-1]["tool"] == "svd"


def test_numbers_that_json_lacks_become_texts(tmp_path: Path) -> None:
    built = build(tmp_path / "scan.h5")
    with h5py.File(built.path, "a") as file:
        file[built.main].attrs.update({"limit": np.nan, "range": [-np.inf, 1.0]})
    made = usidx.export(built.path, tmp_path / "scan.json", to="kerchunk")
    attrs = json.loads(read_strictly(made)["refs"]["Raw_Data/.zattrs"])
    assert attrs["limit"] == "NaN"
    assert attrs["range"] == ["-Infinity", 1.0]


@pytest.mark.parametrize("blocks", [None, {"Y": 4}])
def test_writer_chooses_chunks_that_can_be_referred_to(blocks: Any, tmp_path: Path) -> None:
    values = np.arange(17 * 67 * 90, dtype="f4").reshape(17, 67, 90)
    coords = {"Y": np.arange(17.0), "X": np.arange(67.0), "Bias": np.linspace(-1, 1, 90)}
    array = xr.DataArray(values, coords=coords, dims=list(coords), name="Raw_Data")
    array = usidx.set_roles(array, position=["Y", "X"], spectroscopic=["Bias"])
    usidx.write(array if blocks is None else array.chunk(blocks), tmp_path / "scan.h5", compression="gzip")
    shown = open_references(usidx.export(tmp_path / "scan.h5", tmp_path / "scan.json", to="kerchunk"))
    np.testing.assert_array_equal(shown["Raw_Data"].values, values)


def test_small_datasets_of_other_storage_stand_in_the_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = build(tmp_path / "scan.h5", storage={"chunks": (6, 6), "compression": "lzf"})
    shown = open_references(usidx.export(built.path, tmp_path / "scan.json", to="kerchunk"))["Raw_Data"]
    np.testing.assert_array_equal(shown.values, built.array)
    monkeypatch.setattr("usidx.instruments.export.kerchunk._SMALL", 100)
    with pytest.raises(UsidError, match=r"a filter other than gzip, shuffle and fletcher32.*'zarr', which copies"):
        usidx.export(built.path, tmp_path / "large.json", to="kerchunk")
