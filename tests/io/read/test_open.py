"""Whole files open as what was measured: every order, storage, type and irregularity."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import usidx
from tests.kit.agreement import assert_coordinates, assert_opens
from usidx.errors import NotMainError, SelectionError, UsidError
from usidx.io.read.usid.inventory import find_main
from usidx.label.roles import ROLE
from usidx.testing import measurements
from usidx.testing.files import Expected, build_main
from usidx.testing.measurements import distinct, raster

Build = Callable[..., Expected]
MEASUREMENTS = [
    measurements.beps_file, measurements.forc_file, measurements.relaxation_file, measurements.sparse_file,
    measurements.aborted_file, measurements.snake_file, measurements.image_file,
]  # fmt: skip
BIAS = [("Bias", "V", np.linspace(-1, 1, 6))]


@pytest.mark.parametrize("chunks", [{}, None, 2, "auto", {"Y": 1}], ids=str)
@pytest.mark.parametrize("build", MEASUREMENTS)
def test_measurements(tmp_path: Path, build: Build, chunks: Any) -> None:
    built = build(tmp_path / "scan.h5")
    array = usidx.open_main(built.path, chunks=chunks)
    assert (array.chunks is None) == (chunks is None)
    assert_opens(array, built)


@pytest.mark.parametrize("build", MEASUREMENTS)
def test_dims_of_one_step_can_be_kept(tmp_path: Path, build: Build) -> None:
    built = build(tmp_path / "scan.h5")
    kept = usidx.open_main(built.path, squeeze=False)
    assert_opens(kept, built, squeeze=False, ordered=False)
    assert kept.squeeze().dims == usidx.open_main(built.path).dims


@pytest.mark.parametrize("order", ["raster", "snake", "right_to_left", "reversed", "random"])
@pytest.mark.parametrize("steps", ["raster", "random"])
@pytest.mark.parametrize("columns", ["fastest_first", "slowest_first"])
def test_orders_of_acquisition(tmp_path: Path, order: str, steps: str, columns: str) -> None:
    swept = [("Cycle", "", [0, 1]), *BIAS]
    tables: dict[str, Any] = {"position_columns": columns, "spectroscopic_columns": columns}
    built = build_main(
        tmp_path / "scan.h5", distinct((5, 4, 2, 6)), raster(5, 4), swept, row_order=order, step_order=steps, **tables
    )
    assert_opens(usidx.open_main(built.path), built, ordered="random" not in (order, steps))


@pytest.mark.parametrize("label_storage", ["bytes", "vlen"])
@pytest.mark.parametrize("index_dtype", ["u1", "u2", ">u4", "i8", "f2", "f4", "f8"])
def test_ancillaries_in_any_storage(tmp_path: Path, label_storage: str, index_dtype: str) -> None:
    names = [("Y µ", " m\n", [0, 1, 2]), ("X", "a. u.", [5, 6, 7, 8])]
    built = build_main(
        tmp_path / "scan.h5", distinct((3, 4, 6)), names, BIAS, label_storage=label_storage, index_dtype=index_dtype
    )
    array = usidx.open_main(built.path)
    assert_opens(array, built)
    assert array["Y µ"].attrs["units"] == "m"


@pytest.mark.parametrize("value_dtype", ["u1", "i4", ">f4", "f8"])
def test_values_keep_their_type(tmp_path: Path, value_dtype: str) -> None:
    built = build_main(tmp_path / "scan.h5", distinct((3, 4)), [("X", "m", [1, 2, 3])], value_dtype=value_dtype,
                       spectroscopic=[("F", "Hz", [1, 2, 3, 4])])  # fmt: skip
    array = usidx.open_main(built.path)
    assert_opens(array, built)
    assert array.X.dtype == np.dtype(value_dtype).newbyteorder("=")


def test_values_in_half_precision(tmp_path: Path) -> None:
    built = build_main(tmp_path / "scan.h5", distinct((3, 1)), [("X", "m", [0, 0.5, 1])], value_dtype="f2")
    array = usidx.open_main(built.path)
    assert array.X.dtype == np.float32
    assert float(array.sel(X=0.5)) == built.array[1, 0]


@pytest.mark.parametrize("dtype", ["u1", "i2", ">i4", "u8", "f2", ">f4", "f8", "c8", ">c16", "?"])
def test_types_of_data(tmp_path: Path, dtype: str) -> None:
    cells = distinct((3, 4, 6)) % 3 == 0 if dtype == "?" else distinct((3, 4, 6), dtype=dtype)
    assert_opens(
        usidx.open_main(path := build_main(tmp_path / "a.h5", cells, raster(), BIAS).path), built_as(path, cells)
    )


def built_as(path: Path, cells: Any) -> Expected:
    """Return what the file holds, by building it once more elsewhere."""
    return build_main(path.with_name("again.h5"), cells, raster(), BIAS)


@pytest.mark.parametrize("storage", [
    {"chunks": (1, 6)}, {"chunks": (5, 4), "compression": "gzip", "shuffle": True}, {"maxshape": (None, 6)},
    {"chunks": (12, 6), "fletcher32": True}, {"chunks": (3, 1), "scaleoffset": 0},
], ids=str)  # fmt: skip
def test_storage_of_data(tmp_path: Path, storage: dict[str, Any]) -> None:
    cells = distinct((3, 4, 6), dtype="i4")
    built = build_main(tmp_path / "scan.h5", cells, raster(), BIAS, storage=storage)
    assert_opens(usidx.open_main(built.path), built)


def test_a_scalar_string_labels_one_dim(tmp_path: Path) -> None:
    built = build_main(tmp_path / "scan.h5", distinct((3, 1)), [("Xµ", "m", [0, 1, 2])], label_storage="scalar")
    assert_opens(usidx.open_main(built.path), built)


@pytest.mark.parametrize("squeeze", [True, False])
@pytest.mark.parametrize("n_steps", [1, 3])
def test_one_label_on_both_sides(tmp_path: Path, squeeze: bool, n_steps: int) -> None:
    built = build_main(
        tmp_path / "scan.h5", distinct((2, n_steps)), [("arb", "m", [4, 5])], [("arb", "V", range(n_steps))]
    )
    array = usidx.open_main(built.path, squeeze=squeeze)
    assert_opens(array, built, squeeze=squeeze)
    assert array.arb.attrs["units"] == "m"
    assert array.arb_spectroscopic.attrs["units"] == "V"


@pytest.mark.parametrize("chunks", [{}, None])
def test_one_cell(tmp_path: Path, chunks: Any) -> None:
    built = build_main(tmp_path / "scan.h5", [[[7.5]]], [("Y", "m", [3.0]), ("X", "m", [4.0])])
    array = usidx.open_main(built.path, chunks=chunks)
    assert (array.dims, float(array), float(array.Y), float(array.X)) == ((), 7.5, 3.0, 4.0)
    assert array.Y.attrs[ROLE] == "position"
    assert_opens(usidx.open_main(built.path, squeeze=False), built, squeeze=False)


def test_cropped_counters(tmp_path: Path) -> None:
    built = build_main(tmp_path / "scan.h5", distinct((3, 4, 6)), raster(), BIAS)
    with h5py.File(built.path, "r+") as file:
        file[built.position.paths[0]][...] += np.array([2, 7], dtype="u4")
    assert_opens(usidx.open_main(built.path), built)


def test_a_label_with_a_slash(tmp_path: Path) -> None:
    built = build_main(tmp_path / "scan.h5", distinct((3, 1)), [("d/dV", "", [0, 1, 2])])
    array = usidx.open_main(built.path)
    assert array.dims == ("d_dV",)
    assert usidx.open_tree(built.path)["Measurement_000/Channel_000/Raw_Data"].ds.sizes == {"d_dV": 3}


def test_a_main_named_like_its_dim(tmp_path: Path) -> None:
    built = build_main(tmp_path / "scan.h5", distinct((3, 6)), [("X", "m", [0, 1, 2])], BIAS, name="Bias")
    array = usidx.open_main(built.path)
    assert array.name == "Bias_"
    np.testing.assert_array_equal(array, built.array)
    assert_coordinates(array, built)
    assert list(usidx.open_tree(built.path)["Measurement_000/Channel_000/Bias"].ds.data_vars) == ["Bias_"]


def test_shared_ancillaries(tmp_path: Path) -> None:
    for built in measurements.shared_file(tmp_path / "scan.h5"):
        assert_opens(usidx.open_main(built.path, built.main), built)


def test_ancillaries_may_have_any_name_and_place(tmp_path: Path) -> None:
    prefixes = {"position": "Cluster_", "spectroscopic": "Some_Other_"}
    built = build_main(tmp_path / "scan.h5", distinct((3, 4, 6)), raster(), BIAS, prefixes=prefixes)
    with h5py.File(built.path, "r+") as file:  # traps: right names, wrong tables
        group = file[built.main].parent
        for side in ("Position", "Spectroscopic"):
            group[f"{side}_Indices"] = np.zeros((1, 1))
            group[f"{side}_Values"] = np.zeros((1, 1))
    assert_opens(usidx.open_main(built.path), built)


def test_region_references_are_passed_over(tmp_path: Path) -> None:
    built = build_main(tmp_path / "scan.h5", distinct((3, 4, 6)), raster(), BIAS, region_references=True)
    assert_opens(usidx.open_main(built.path), built)


def test_marks_of_sparse_sampling(tmp_path: Path) -> None:
    built = measurements.sparse_file(tmp_path / "scan.h5", dim_types={"X": 1, "Y": 1})
    with h5py.File(built.path, "r+") as file:
        for path in built.position.paths:
            file[path].attrs["incomplete_dimensions"] = np.array([b"X", b"Y"])
    assert_opens(usidx.open_main(built.path), built)


def test_marks_of_dependent_dims(tmp_path: Path) -> None:
    built = measurements.relaxation_file(tmp_path / "scan.h5", dim_types={"Field": 2})
    assert_opens(usidx.open_main(built.path), built)


def test_forc_has_the_values_of_every_cycle(tmp_path: Path) -> None:
    array = usidx.open_main(measurements.forc_file(tmp_path / "scan.h5").path)
    assert array.DC_Offset.dims == ("FORC", "DC_Offset")
    np.testing.assert_array_equal(abs(array.DC_Offset).max("DC_Offset"), [1, 2, 3])


# -- compound mains ---------------

FIELDS = [("Amplitude [V]", ">f4"), ("Phase [rad]", "f8"), ("Amplitude [m]", "f4"), ("Count", "u2"), ("X [m]", "f4")]


def compound_file(path: Path) -> Expected:
    cells = np.zeros((3, 4, 6), dtype=FIELDS)
    for seed, (field, _) in enumerate(FIELDS):
        cells[field] = distinct((3, 4, 6), seed=seed)
    return build_main(path, cells, raster(), BIAS, quantity="SHO", units="compound")


@pytest.mark.parametrize("chunks", [{}, None])
def test_fields_become_variables_with_their_units(tmp_path: Path, chunks: Any) -> None:
    built = compound_file(tmp_path / "fit.h5")
    data = usidx.open_dataset(built.path, chunks=chunks)
    assert list(data.data_vars) == ["Amplitude", "Phase", "Amplitude_", "Count", "X_"]
    assert [v.attrs["units"] for v in data.values()] == ["V", "rad", "m", "", "m"]
    for variable, (field, dtype) in zip(data.values(), FIELDS, strict=True):
        assert variable.dtype == np.dtype(dtype).newbyteorder("=")
        assert variable.dims == ("Y", "X", "Bias")
        np.testing.assert_array_equal(variable, built.array[field])
        np.testing.assert_array_equal(variable.isel(X=1, Bias=slice(None, None, -2)), built.array[field][:, 1, ::-2])


@pytest.mark.parametrize("field", ["Amplitude [m]", "Amplitude_"])
def test_open_main_takes_a_field(tmp_path: Path, field: str) -> None:
    built = compound_file(tmp_path / "fit.h5")
    np.testing.assert_array_equal(usidx.open_main(built.path, field=field), built.array["Amplitude [m]"])


def test_open_main_asks_for_a_field(tmp_path: Path) -> None:
    built = compound_file(tmp_path / "fit.h5")
    with pytest.raises(SelectionError, match=r"holds 5 fields: 'Amplitude \[V\]'.*Name one with field=.*open_dataset"):
        usidx.open_main(built.path)
    with pytest.raises(SelectionError, match="has no field 'Nope'; the fields are"):
        usidx.open_main(built.path, field="Nope")


def test_data_that_is_no_number(tmp_path: Path) -> None:
    texts = np.array([[b"a"], [b"b"]])
    path = build_main(tmp_path / "text.h5", texts, [("X", "m", [0, 1])]).path
    with pytest.raises(UsidError, match=r"the type .S1, which is not a number"):
        usidx.open_main(path)
    mixed = np.zeros((2, 1), dtype=[("A", "f4"), ("B", "S3")])
    path = build_main(tmp_path / "mixed.h5", mixed, [("X", "m", [0, 1])]).path
    with pytest.raises(UsidError, match=r"field 'B' has the type .S3, which is not a number"):
        usidx.open_main(path)


# -- names ---------------


@pytest.mark.parametrize(
    "name", ["/Measurement_000/Channel_001/Raw_Data", "Channel_001/Raw_Data", "//Measurement_000//Channel_001/Raw_Data"]
)
def test_an_end_of_the_path_is_enough(tmp_path: Path, name: str) -> None:
    built = measurements.shared_file(tmp_path / "scan.h5")[1]
    assert_opens(usidx.open_main(built.path, name), built)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (None, r"has 3 main datasets; name one of them. They are: '/Measurement_000/Channel_000/Raw_Data', "),
        ("Raw_Data", r"'Raw_Data' is ambiguous: 3 main datasets of .* end so. They are: '/Measurement_000/Channel_000"),
        ("aw_Data", r"has no main dataset 'aw_Data'. It has: '/Measurement_000/Channel_000/Raw_Data'"),
        ("", "has no main dataset ''"),
        ("\0", "has no main dataset"),
    ],
)
def test_names_that_say_too_little(tmp_path: Path, name: str | None, message: str) -> None:
    path = measurements.shared_file(tmp_path / "scan.h5")[0].path
    with pytest.raises(SelectionError, match=message):
        usidx.open_main(path, name)
    with pytest.raises(KeyError):
        usidx.open_dataset(path, name)


def test_a_group_is_no_main(tmp_path: Path) -> None:
    path = measurements.shared_file(tmp_path / "scan.h5")[0].path
    with pytest.raises(NotMainError, match=r"is a group, not a main dataset. Main datasets in it: .*Channel_001"):
        usidx.open_main(path, "Measurement_000/Channel_001")


def test_an_ancillary_is_no_main(tmp_path: Path) -> None:
    path = measurements.image_file(tmp_path / "scan.h5").path
    with pytest.raises(NotMainError, match=r"Position_Indices' in .* is not a main dataset: attribute 'Position_Ind"):
        usidx.open_main(path, "Measurement_000/Channel_000/Position_Indices")


def test_no_mains_at_all(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = [1, 2]
    with pytest.raises(SelectionError, match=r"other.h5' has no main dataset"):
        usidx.open_main(tmp_path / "other.h5")


def test_hdf5_of_another_kind_is_told_from_broken_mains(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"], file["y"] = [1, 2], [3]
    with pytest.raises(SelectionError, match=r"none of its 2 datasets refers to Position_Indices .*open_tree"):
        usidx.open_main(tmp_path / "other.h5")
    path = measurements.image_file(tmp_path / "scan.h5").path
    with h5py.File(path, "r+") as file:
        main = file["Measurement_000/Channel_000/Raw_Data"]
        del main.attrs["Spectroscopic_Values"]
        with pytest.raises(SelectionError, match=r"Channel_000/Raw_Data' claims to be one and breaks"):
            find_main(file, None)
        file["copy"] = main[()]
        file["copy"].attrs["Position_Values"] = main.attrs["Position_Values"]
        with pytest.raises(SelectionError, match=r"2 datasets claim to be one and break a rule; usidx\.validate"):
            find_main(file, None)


def test_references_in_an_array_and_null_texts(tmp_path: Path) -> None:
    """As LabVIEW, MATLAB and IDL write what h5py writes as scalars."""
    built = measurements.snake_file(tmp_path / "scan.h5")
    with h5py.File(built.path, "r+") as file:
        attrs = file[built.main].attrs
        for name in ("Position_Indices", "Position_Values", "Spectroscopic_Indices", "Spectroscopic_Values"):
            attrs.create(name, np.array([attrs[name]], dtype=h5py.ref_dtype), dtype=h5py.ref_dtype)
        attrs["units"] = h5py.Empty("S1")
    assert usidx.list_mains(built.path) == [built.main]
    raw = usidx.open_main(built.path)
    np.testing.assert_array_equal(raw, built.array)
    assert raw.units == ""
    tree = usidx.open_tree(built.path)
    assert not tree[built.main.rpartition("/")[0]].data_vars  # the four tables are known as such


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsidError, match=r"is a folder, not an HDF5 file\.$"):
        usidx.open_main(tmp_path)
    with pytest.raises(FileNotFoundError, match="There is no file"):
        usidx.open_main(tmp_path / "scan.h5")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(FileNotFoundError, match="There is no file"):
        usidx.open_main(tmp_path / "notes.txt" / "scan.h5")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes here")
def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.h5")
    with pytest.raises(UsidError, match="is a pipe or a device, not an HDF5 file"):
        usidx.open_tree(tmp_path / "pipe.h5")


def test_results_are_not_listed_where_a_measurement_is_to_be_named(tmp_path: Path) -> None:
    built = measurements.beps_file(tmp_path / "scan.h5")
    usidx.open_main(built.path, built.main).usid.svd(2).usid.write()
    with h5py.File(built.path, "r+") as file:
        file.copy(built.main, "Measurement_001/Channel_000/Raw_Data")
        # HDF5 copies no references.
        file["Measurement_001/Channel_000/Raw_Data"].attrs.update(file[built.main].attrs)
    with pytest.raises(SelectionError, match=r"has 2 main datasets and 2 in results; name one of them") as caught:
        usidx.open_main(built.path)
    assert "SVD" not in str(caught.value)
