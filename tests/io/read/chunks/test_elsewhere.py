"""Files that take their data from others: refused, unless asked for and in the same folder; never opened before."""

import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

import usidx
from usidx.errors import UsidError, UsidWarning
from usidx.io.read.place.local import LocalFile

CELLS = np.arange(1000, dtype="u1").reshape(10, 100) % 251
Maker = Callable[[h5py.Group, str], h5py.Dataset]


def make_external(group: h5py.Group, other: str) -> h5py.Dataset:
    return group.create_dataset("Raw_Data", (10, 100), "u1", external=[(f"{other}.raw", 0, 1000)])


def make_virtual(group: h5py.Group, other: str) -> h5py.Dataset:
    layout = h5py.VirtualLayout((10, 100), "u1")
    layout[:] = h5py.VirtualSource(f"{other}.h5", "s", (10, 100))
    return group.create_virtual_dataset("Raw_Data", layout)


def make_through_own(group: h5py.Group, other: str) -> h5py.Dataset:
    """A virtual dataset of one in the same file, which is made of another file."""
    group.create_dataset("inner", (10, 100), "u1", external=[(f"{other}.raw", 0, 1000)])
    layout = h5py.VirtualLayout((10, 100), "u1")
    layout[:] = h5py.VirtualSource(".", f"{group.name}/inner", (10, 100))
    return group.create_virtual_dataset("Raw_Data", layout)


MAKERS: dict[str, Maker] = {"external": make_external, "virtual": make_virtual, "through its own": make_through_own}


def put_others(base: Path) -> str:
    """Write the bytes into a raw file and an HDF5 file."""
    base.with_suffix(".raw").write_bytes(CELLS.tobytes())
    with h5py.File(base.with_suffix(".h5"), "w") as file:
        file["s"] = CELLS
    return str(base)


def build(path: Path, make: Maker, other: str) -> Path:
    with h5py.File(path, "w") as file:
        group = file.create_group("Measurement_000/Channel_000")
        main = make(group, other)
        main.attrs["quantity"] = main.attrs["units"] = "V"
        tables = {"Position": np.arange(10, dtype="u4")[:, None], "Spectroscopic": np.arange(100, dtype="u4")[None]}
        for role, counters in tables.items():
            for kind in ("Indices", "Values"):
                table = group.create_dataset(f"{role}_{kind}", data=counters)
                table.attrs["labels"] = table.attrs["units"] = np.array([role.encode()])
                main.attrs[f"{role}_{kind}"] = table.ref
    return path


@pytest.mark.parametrize("kind", MAKERS)
def test_refused_unless_asked_for(tmp_path: Path, kind: str) -> None:
    path = build(tmp_path / "scan.h5", MAKERS[kind], put_others(tmp_path / "other"))
    with pytest.raises(UsidError, match=r"Raw_Data.*takes its data from another file.*pass external=True|inner"):
        usidx.open_main(path)
    with pytest.warns(UsidWarning, match=r"takes its data from another file"):
        assert "Measurement_000/Channel_000/Raw_Data" not in usidx.open_tree(path)
    assert {p.rule for p in usidx.validate(path) if p.is_error} == {"elsewhere"}
    np.testing.assert_array_equal(usidx.open_main(path, external=True), CELLS)
    np.testing.assert_array_equal(usidx.open_dataset(path, external=True).Raw_Data, CELLS)
    tree = usidx.open_tree(path, external=True)
    np.testing.assert_array_equal(tree["Measurement_000/Channel_000/Raw_Data/Raw_Data"], CELLS)


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("is_linked", [False, True])
def test_other_folders_are_never_read(tmp_path: Path, kind: str, is_linked: bool) -> None:
    (tmp_path / "inside").mkdir()
    other = put_others(tmp_path / "secret")
    if is_linked:
        for ending in (".raw", ".h5"):
            (tmp_path / "inside" / f"link{ending}").symlink_to(tmp_path / f"secret{ending}")
        other = str(tmp_path / "inside" / "link")
    path = build(tmp_path / "inside" / "scan.h5", MAKERS[kind], other)
    with pytest.raises(UsidError, match=r"which does not lie in the folder '.*inside' or below"):
        usidx.open_main(path, external=True)


def test_a_file_below_that_leads_out_is_not_followed(tmp_path: Path) -> None:
    put_others(tmp_path / "secret")
    inside = tmp_path / "inside"
    inside.mkdir()
    with h5py.File(inside / "middle.h5", "w") as file:
        file.create_dataset("s", (10, 100), "u1", external=[(str(tmp_path / "secret.raw"), 0, 1000)])
    path = build(inside / "scan.h5", make_virtual, str(inside / "middle"))
    with pytest.raises(UsidError, match=r"'s' in '.*middle.h5', a source of a virtual dataset, is itself made of"):
        usidx.open_main(path, external=True)


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    """HDF5 would fill it with zeros in silence."""
    path = build(tmp_path / "scan.h5", make_virtual, str(tmp_path / "none"))
    with pytest.raises(UsidError, match=r"takes its data from '.*none.h5', and there is no such file"):
        usidx.open_main(path, external=True)


def test_virtual_datasets_of_each_other_end(tmp_path: Path) -> None:
    def make_loop(group: h5py.Group, other: str) -> h5py.Dataset:
        for name, source in (("inner", "Raw_Data"), ("Raw_Data", "inner")):
            layout = h5py.VirtualLayout((10, 100), "u1")
            layout[:] = h5py.VirtualSource(".", f"{group.name}/{source}", (10, 100))
            group.create_virtual_dataset(name, layout)
        return group["Raw_Data"]

    with pytest.raises(UsidError, match="made of virtual datasets that are made of others"):
        usidx.open_main(build(tmp_path / "scan.h5", make_loop, ""))


def test_virtual_datasets_of_the_same_file_are_read(tmp_path: Path) -> None:
    def make_own(group: h5py.Group, other: str) -> h5py.Dataset:
        group["inner"] = CELLS
        layout = h5py.VirtualLayout((10, 100), "u1")
        layout[:] = h5py.VirtualSource(".", f"{group.name}/inner", (10, 100))
        return group.create_virtual_dataset("Raw_Data", layout)

    path = build(tmp_path / "scan.h5", make_own, "")
    np.testing.assert_array_equal(usidx.open_main(path), CELLS)
    assert usidx.validate(path) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("asked", [False, True])
def test_links_to_other_files_are_not_even_opened(tmp_path: Path, asked: bool) -> None:
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for ever
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["out"] = h5py.ExternalLink(str(tmp_path / "pipe"), "/")
        file["soft"] = h5py.SoftLink("/out/x")
    for name in ("out", "soft"):
        with pytest.raises(UsidError, match="takes its data from"):
            usidx.open_main(tmp_path / "scan.h5", name, external=asked)
    found = [p for p in usidx.validate(tmp_path / "scan.h5") if p.rule == "elsewhere"]
    assert [(p.path, p.is_error) for p in found] == [("/out", False)]


def test_links_are_followed_where_asked_for(tmp_path: Path) -> None:
    build(tmp_path / "other.h5", lambda group, other: group.create_dataset("Raw_Data", data=CELLS), "")
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["out"] = h5py.ExternalLink("other.h5", "/Measurement_000/Channel_000/Raw_Data")
    with pytest.raises(UsidError, match=r"pass external=True"):
        usidx.open_main(tmp_path / "scan.h5", "out")
    np.testing.assert_array_equal(usidx.open_main(tmp_path / "scan.h5", "out", external=True), CELLS)


def test_xarray_passes_it_on(tmp_path: Path) -> None:
    import xarray as xr

    path = build(tmp_path / "scan.h5", make_virtual, put_others(tmp_path / "other"))
    data = xr.open_dataset(path, engine="usid", group="Raw_Data", external=True)
    np.testing.assert_array_equal(data.Raw_Data, CELLS)


@pytest.mark.parametrize("kind", MAKERS)
def test_one_permission_is_no_permission_for_others(tmp_path: Path, kind: str) -> None:
    """HDF5 has one number for a file that is open twice; who asked for its others may be at work meanwhile."""
    path = build(tmp_path / "scan.h5", MAKERS[kind], put_others(tmp_path / "other"))
    for mine in (True, False):
        with LocalFile(str(path), mine).open():
            with pytest.raises(UsidError, match="pass external=True"):
                usidx.open_main(path)
            np.testing.assert_array_equal(usidx.open_main(path, external=True), CELLS)
    with pytest.raises(UsidError, match="pass external=True"):
        usidx.open_main(path)
