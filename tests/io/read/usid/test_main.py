"""Each rule of the format that is broken is named; what can still be read rightly is read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import usidx
from tests.kit.agreement import assert_opens
from tests.kit.broken import FAULTS, broken_file
from tests.kit.legacy import results_group
from usidx.errors import GridError, LayoutError, NotMainError, UsidError, UsidWarning
from usidx.io.read.usid.main import is_main, looks_like_main, read_layout
from usidx.testing.files import Expected, build_main
from usidx.testing.measurements import distinct, image_file, raster, snake_file

WHERE = r"'/Measurement_000/Channel_000/Raw_Data' in '.*broken\.h5'"
REFUSED: dict[str, tuple[type[UsidError], str]] = {
    "quantity not a string": (NotMainError, r"attribute 'quantity' must be a string, found .*3\.5"),
    "units not a string": (NotMainError, r"attribute 'units' must be a string, found array\(\[1, 2\]\)"),
    "Position_Indices missing": (NotMainError, f"{WHERE} is not a main .* 'Position_Indices' is missing. List main"),
    "Position_Values missing": (NotMainError, "'Position_Values' is missing"),
    "Spectroscopic_Indices missing": (NotMainError, "'Spectroscopic_Indices' is missing"),
    "Spectroscopic_Values missing": (NotMainError, "'Spectroscopic_Values' is missing"),
    "reference is a string": (LayoutError, f"{WHERE}: attribute 'Position_Indices' must be a reference .* found str"),
    "reference is null": (
        LayoutError,
        "the reference 'Position_Indices' must point to a dataset, .* points to nothing",
    ),
    "reference to nothing": (LayoutError, "the reference 'Position_Indices' points to nothing"),
    "reference to a group": (LayoutError, "'Position_Indices' must point to a dataset, it points to the group '/Meas"),
    "reference to itself": (LayoutError, r"\(20, 2\) and Position_Values .*Raw_Data' \(20, 6\); both must be 2-D and"),
    "main has 1 dimension": (NotMainError, rf"{WHERE} is not a main dataset: it has the shape \(20,\)"),
    "main has 3 dimensions": (NotMainError, r"it has the shape \(20, 6, 1\), and a main dataset is 2-D"),
    "main has no rows": (LayoutError, r"has the shape \(0, 6\), but Position_Indices .* has \(20, 2\)"),
    "main lacks a row": (LayoutError, r"has the shape \(19, 6\), but Position_Indices .* with 19 along axis 0"),
    "main lacks a column": (LayoutError, r"\(20, 5\), but Spectroscopic_Indices .* with 5 along axis 1"),
    "too few labels": (LayoutError, r"attribute 'labels' has 1 entries \['X'\] for 2 dimensions"),
    "too many ancillary units": (LayoutError, r"Position_Values' in .* 'units' has 3 entries .* for 2 dimensions"),
    "labels are numbers": (LayoutError, "Position_Indices' in .* attribute 'labels' must hold strings, found"),
    "labels disagree": (LayoutError, r"labels \['X', 'Y'\] differ from those of Position_Values .*\['X', 'Z'\]"),
    "indices transposed": (LayoutError, r"the shape \(2, 20\) and Position_Values .* \(20, 2\)"),
    "values lack a column": (LayoutError, r"the shape \(20, 2\) and Position_Values .* \(20, 1\)"),
    "indices and values disagree": (LayoutError, r"\(1, 6\) and Spectroscopic_Values .* \(1, 5\); both must be"),
    "indices have 1 dimension": (LayoutError, r"Position_Indices .* has the shape \(20,\)"),
    "indices are text": (LayoutError, r"indices must be whole numbers, found the type .S4"),
    "indices not whole": (GridError, "they must be whole numbers; found 0.5 at entry 0 of dimension 0"),
    "index is not a number": (GridError, "they must be whole numbers; found nan at entry 0 of dimension 0"),
}
#: Faults that leave no doubt about what was meant.
OPENED = {"labels missing", "ancillary units missing"}
#: What is not told is not known.
UNKNOWN = {"quantity missing": "long_name", "units missing": "units"}
#: Rows that fill no grid stay flat.
FLAT = {"index negative", "index huge", "duplicate cells"}


def test_every_fault_is_looked_at() -> None:
    assert set(FAULTS) == set(REFUSED) | OPENED | set(UNKNOWN) | FLAT | {"reference to a deleted table"}


@pytest.mark.parametrize("fault", REFUSED)
def test_faults_are_named(tmp_path: Path, fault: str) -> None:
    built = broken_file(tmp_path / "broken.h5", fault)
    kind, message = REFUSED[fault]
    with pytest.raises(kind, match=message) as raised:
        usidx.open_main(built.path, built.main)
    assert type(raised.value) is kind
    with pytest.raises(kind, match=message):
        usidx.open_dataset(built.path, built.main)


@pytest.mark.parametrize("fault", REFUSED)
def test_the_rest_of_the_file_opens(tmp_path: Path, fault: str) -> None:
    built = broken_file(tmp_path / "broken.h5", fault)
    with h5py.File(built.path, "r+") as file:
        sound = image_file(file.create_group("Sound"))
    with pytest.warns(UsidWarning, match="Raw_Data' in .* claims to be a main|left out of the tree: '/Measurement_000"):
        tree = usidx.open_tree(built.path)
    assert_opens(tree[sound.main].Raw_Data, sound)


@pytest.mark.parametrize("fault", sorted(OPENED))
def test_what_one_table_lacks_the_other_tells(tmp_path: Path, fault: str) -> None:
    built = broken_file(tmp_path / "broken.h5", fault)
    with pytest.warns(UsidWarning, match="is missing; that of"):
        opened = usidx.open_main(built.path)
    assert_opens(opened, built)


@pytest.mark.parametrize(("fault", "attribute"), UNKNOWN.items())
def test_what_a_main_does_not_tell_is_not_known(tmp_path: Path, fault: str, attribute: str) -> None:
    built = broken_file(tmp_path / "broken.h5", fault)
    with pytest.warns(UsidWarning, match=f"{WHERE}: attribute '{fault.split()[0]}' is missing; it is not known"):
        opened = usidx.open_main(built.path)
    assert attribute not in opened.attrs
    sound = {"long_name": built.quantity, "units": built.unit}
    assert_opens(opened.assign_attrs({attribute: sound[attribute]}), built)
    assert usidx.list_mains(built.path) == [built.main]


def test_units_missing_in_both_tables(tmp_path: Path) -> None:
    built = snake_file(tmp_path / "scan.h5")
    with h5py.File(built.path, "r+") as file:
        for path in built.position.paths:
            del file[path].attrs["units"]
    with pytest.warns(UsidWarning, match="attribute 'units' is missing, there and in Position_Values; it is not known"):
        opened = usidx.open_main(built.path, built.main)
    assert "units" not in opened.X.attrs
    assert "units" not in opened.Y.attrs
    assert opened.X.attrs["usid_role"] == "position"


def test_labels_missing_in_both_tables(tmp_path: Path) -> None:
    built = snake_file(tmp_path / "scan.h5")
    with h5py.File(built.path, "r+") as file:
        for path in built.position.paths:
            del file[path].attrs["labels"]
    with pytest.raises(LayoutError, match="attribute 'labels' is missing, there and in Position_Values"):
        usidx.open_main(built.path, built.main)
    assert usidx.list_mains(built.path) == []


@pytest.mark.parametrize("fault", sorted(FLAT))
def test_rows_that_fill_no_grid_stay_in_the_order_of_the_file(tmp_path: Path, fault: str) -> None:
    built = broken_file(tmp_path / "broken.h5", fault)
    array = usidx.open_main(built.path)
    assert array.dims == ("position", "Bias")
    with h5py.File(built.path) as file:
        np.testing.assert_array_equal(array, file[built.main])


def test_a_deleted_table_is_right_or_refused(tmp_path: Path) -> None:
    built = broken_file(tmp_path / "broken.h5", "reference to a deleted table")
    try:
        array = usidx.open_main(built.path, built.main)
    except LayoutError:
        return
    np.testing.assert_array_equal(array, built.array)


def test_an_attribute_that_cannot_be_read(tmp_path: Path) -> None:
    built = snake_file(tmp_path / "scan.h5")
    with h5py.File(built.path, "r+") as file:
        main = file[built.main]
        del main.attrs["units"]
        space = h5py.h5s.create(h5py.h5s.SCALAR)
        h5py.h5a.create(main.id, b"units", h5py.h5t.create(h5py.h5t.OPAQUE, 3), space)
        h5py.h5a.create(main.id, b"odd", h5py.h5t.UNIX_D32LE, space)
    with pytest.raises(UsidError, match="attribute 'units'"):
        usidx.open_main(built.path, built.main)


@pytest.mark.parametrize("value", [np.zeros((20, 2), "S3"), np.zeros((20, 2), "c8")])
def test_values_must_be_real_numbers(tmp_path: Path, value: Any) -> None:
    built = snake_file(tmp_path / "scan.h5")
    with h5py.File(built.path, "r+") as file:
        odd = file.create_dataset("Odd", data=value)
        odd.attrs.update(file[built.position.paths[1]].attrs)
        file[built.main].attrs["Position_Values"] = odd.ref
    with pytest.raises(LayoutError, match=r"'/Odd' in .*: values must be real numbers, found the type"):
        usidx.open_main(built.path, built.main)


@pytest.mark.parametrize("rows", [2**26, 2**40])
def test_a_table_that_only_claims_to_be_large(tmp_path: Path, rows: int) -> None:
    """Nothing is stored of it, so no memory may be taken for it."""
    built = snake_file(tmp_path / "scan.h5")
    with h5py.File(built.path, "r+") as file:
        main = file.create_dataset("Huge", (rows, 6), dtype="f4", chunks=(1, 6))
        main.attrs.update(file[built.main].attrs)
        for kind in ("Indices", "Values"):
            table = file.create_dataset(f"Huge_{kind}", (rows, 2), dtype="u4", chunks=(1024, 2), compression="gzip")
            table.attrs.update(file[built.position.paths[0]].attrs)
            main.attrs[f"Position_{kind}"] = table.ref
    with pytest.raises(LayoutError, match=r"'/Huge_Indices' in .* has the shape .* bytes, but only 0 bytes of it are"):
        usidx.open_main(built.path, "/Huge")


def test_a_damaged_table(tmp_path: Path) -> None:
    built = snake_file(tmp_path / "scan.h5")
    with h5py.File(built.path, "r+") as file:
        odd = file.create_dataset("Odd", data=file[built.position.paths[0]][()], fletcher32=True, chunks=(20, 2))
        odd.attrs.update(file[built.position.paths[0]].attrs)
        file[built.main].attrs["Position_Indices"] = odd.ref
        place = odd.id.get_chunk_info(0).byte_offset
    content = bytearray(built.path.read_bytes())
    content[place] ^= 0xFF
    built.path.write_bytes(content)
    with pytest.raises(LayoutError, match=r"'/Odd' in .* cannot be read\. It is damaged"):
        usidx.open_main(built.path, built.main)
    with pytest.warns(UsidWarning, match="left out of the tree: '/Odd'"):
        usidx.open_tree(built.path)


def test_headers_tell_mains(tmp_path: Path) -> None:
    built = snake_file(tmp_path / "scan.h5")
    with h5py.File(built.path) as file:
        assert is_main(file[built.main])
        assert looks_like_main(file[built.main])
        assert not is_main(file[built.position.paths[0]])
        assert not looks_like_main(file[built.position.paths[0]])


def test_attributes_are_sorted_out(tmp_path: Path) -> None:
    built = snake_file(tmp_path / "scan.h5")
    with h5py.File(built.path, "r+") as file:
        file[built.main].attrs.update({"timestamp": "2019_05_12-10_20_30", "pyUSID_version": "0.0.4", "gain": 2.5})
        file[built.main].attrs["Excitation"] = file["Measurement_000"].ref
        file[built.main].attrs["In_Field_Plot_Group"] = file[built.main].regionref[:2]
        layout = read_layout(file[built.main])
    assert layout.attributes == {"gain": 2.5, "Excitation": "/Measurement_000"}
    assert layout.book_keeping == {"timestamp": "2019_05_12-10_20_30", "pyUSID_version": "0.0.4"}


@pytest.mark.parametrize(
    ("version", "is_new"),
    [("0.0.4", False), ("0.0.6", False), ("0.0.7", True), ("0.0.12", True), ("0.0.7.dev3", True), ("odd", False)],
)
def test_programs_from_some_version_on_put_the_slowest_first(tmp_path: Path, version: str, is_new: bool) -> None:
    built = build_main(tmp_path / "a.h5", distinct((5, 4, 1)), raster(5, 4), row_order="random")
    with h5py.File(built.path, "r+") as file:
        file[built.main].attrs["pyUSID_version"] = version
    assert usidx.open_main(built.path).dims == (("X", "Y") if is_new else ("Y", "X"))


# -- quantities of which an old program kept the first letter --------------------------------------------------------


def add_result(
    built: Expected, quantity: str, units: str, *, change: Callable[[h5py.Group], None] | None = None
) -> str:
    with h5py.File(built.path, "r+") as file:
        group = results_group(file, built.main, "Tool", number=len(usidx_groups(file)))
        sides = built.position, built.spectroscopic
        made = build_main(group, built.array, *sides, name="Result", quantity=quantity, units=units)
        if change is not None:
            change(group)
        return made.main


def usidx_groups(file: h5py.File) -> list[str]:
    return [name for name in file["Measurement_000/Channel_000"] if "-Tool_" in name]


def described(built: Expected, main: str) -> tuple[str, str]:
    attrs = usidx.open_main(built.path, main).attrs
    return attrs["long_name"], attrs["units"]


@pytest.mark.parametrize(
    ("quantity", "units", "found"),
    [
        ("C", "n", ("Current", "nA")),
        ("C", "nA", ("Current", "nA")),
        ("C", "a.u.", ("Current", "a.u.")),
        ("Q", "n", ("Q", "n")),
        ("Cu", "n", ("Cu", "n")),
        ("", "", ("", "")),
    ],
)
def test_one_letter_falls_back_to_the_source(tmp_path: Path, quantity: str, units: str, found: tuple[str, str]) -> None:
    built = snake_file(tmp_path / "scan.h5")
    assert described(built, add_result(built, quantity, units)) == found


def forget_source(group: h5py.Group) -> None:
    del group.attrs["source_000"]


def refer_to_itself(group: h5py.Group) -> None:
    group.attrs["source_000"] = group["Result"].ref


def refer_to_null(group: h5py.Group) -> None:
    group.attrs["source_000"] = h5py.Reference()


def refer_to_a_group(group: h5py.Group) -> None:
    group.attrs["source_000"] = group.ref


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (forget_source, ("Current", "nA")),
        (refer_to_null, ("Current", "nA")),
        (refer_to_itself, ("C", "n")),
        (refer_to_a_group, ("C", "n")),
    ],
)
def test_sources_that_are_not_told(
    tmp_path: Path, change: Callable[[h5py.Group], None], found: tuple[str, str]
) -> None:
    built = snake_file(tmp_path / "scan.h5")
    assert described(built, add_result(built, "C", "n", change=change)) == found


def test_a_result_of_a_result_of_a_result(tmp_path: Path) -> None:
    built = snake_file(tmp_path / "scan.h5")
    first = add_result(built, "C", "n")

    def refer_to_first(group: h5py.Group) -> None:
        group.attrs["source_000"] = group.file[first].ref

    assert described(built, add_result(built, "C", "n", change=refer_to_first)) == ("Current", "nA")
