"""Every problem of a file is found, with its rule."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

import usidx
from tests.kit.broken import FAULTS, broken_file
from tests.kit.legacy import add_cluster, add_decomposition, add_sho_fit, add_svd, results_group
from usidx.errors import UsidWarning
from usidx.testing import measurements
from usidx.testing.files import build_main, build_sparse
from usidx.testing.measurements import beps_file, distinct, snake_file


@pytest.mark.parametrize("name", [name for name in measurements.__all__ if name.endswith("_file")])
def test_sound_files(tmp_path: Path, name: str) -> None:
    made = getattr(measurements, name)(tmp_path / "scan.h5")
    path = made[0].path if isinstance(made, tuple) else made.path
    found = usidx.validate(path)
    if name in {"sparse_file", "aborted_file"}:
        assert [(p.rule, p.is_error) for p in found] == [("grid", False)]
        assert "rows fill no grid; they open as one dim 'position'" in str(found[0])
    else:
        assert found == []


def test_sound_results(tmp_path: Path) -> None:
    for number, add in enumerate((add_svd, add_cluster, add_decomposition, add_sho_fit)):
        built = beps_file(tmp_path / f"{number}.h5")
        add(built)  # type: ignore[operator]
        assert usidx.validate(built.path) == []


@pytest.mark.parametrize(
    "fault", [f for f in FAULTS if "missing" not in f or "_" in f or f.startswith(("quan", "units"))]
)
def test_faults_are_found(tmp_path: Path, fault: str) -> None:
    built = broken_file(tmp_path / "broken.h5", fault)
    found = usidx.validate(built.path)
    warns_only = fault in {"index negative", "index huge", "duplicate cells", "quantity missing", "units missing"}
    assert found
    assert all(p.path == built.main for p in found)
    assert any(p.is_error for p in found) is not warns_only


def test_problems_read_as_sentences(tmp_path: Path) -> None:
    found = usidx.validate(broken_file(tmp_path / "broken.h5", "labels disagree").path)
    assert str(found[0]).startswith("error [ancillary] '/Measurement_000/Channel_000/Position_Indices' in ")


def test_every_broken_main_is_told(tmp_path: Path) -> None:
    built = measurements.shared_file(tmp_path / "scan.h5")
    with h5py.File(built[0].path, "r+") as file:
        file[built[0].main].attrs["quantity"] = 3.5
        del file[built[2].main].attrs["Position_Values"]
    assert {(p.path, p.rule) for p in usidx.validate(built[0].path)} == {
        (built[0].main, "main"),
        (built[2].main, "main"),
    }


CASES: dict[str, tuple[Any, str]] = {
    "cropped": (lambda f, b: f[b.position.paths[0]].__setitem__(..., f[b.position.paths[0]][()] + 2), "start at 2"),
    "values": (lambda f, b: f[b.position.paths[1]].__setitem__((0, 0), np.nan), "values hold NaN or infinity"),
    "empty result": (lambda f, b: results_group(f, b.main, "Tool"), "is an empty results group"),
    "partial": (
        lambda f, b: results_group(f, b.main, "T").__setitem__("completed_positions", np.arange(5) < 2),
        "is not finished: 2 of 5 positions are done",
    ),
    "progress of terabytes": (
        lambda f, b: results_group(f, b.main, "T").create_dataset("completed_positions", (1 << 42,), "u1", chunks=True),
        "has the shape (4398046511104,), 4398046511104 bytes, but only 0 bytes of it are stored",
    ),
    "null source": (
        lambda f, b: results_group(f, b.main, "T").attrs.__setitem__("source_000", h5py.Reference()),
        "the reference 'source_000' points to nothing",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_doubts(tmp_path: Path, case: str) -> None:
    change, message = CASES[case]
    built = snake_file(tmp_path / "scan.h5")
    with h5py.File(built.path, "r+") as file:
        change(file, built)
    assert any(message in str(p) for p in usidx.validate(built.path))


def test_labels_twice(tmp_path: Path) -> None:
    path = build_main(tmp_path / "a.h5", distinct((2, 3, 1)), [("X", "m", [0, 1]), ("X", "m", [0, 1, 2])]).path
    assert "label 'X' occurs twice" in str(usidx.validate(path)[0])


def test_rows_twice(tmp_path: Path) -> None:
    where = [("X", "m", [0, 1, 1]), ("Y", "m", [0, 1, 1])]
    path = build_sparse(tmp_path / "a.h5", distinct((3, 1)), where).path
    assert [p.rule for p in usidx.validate(path)] == ["grid"]


def test_files_that_do_not_open(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("text")
    assert [p.rule for p in usidx.validate(tmp_path / "text")] == ["hdf5"]
    with h5py.File(tmp_path / "other", "w"):
        pass
    assert "has no main dataset" in str(usidx.validate(tmp_path / "other")[0])
    with pytest.raises(FileNotFoundError, match=r"There is no file .*none"):
        usidx.validate(tmp_path / "none")


@pytest.mark.parametrize("dtype", ["S3", "O"])
def test_a_status_of_any_type(tmp_path: Path, dtype: str) -> None:
    built = snake_file(tmp_path / "scan.h5")
    with h5py.File(built.path, "r+") as file:
        group = results_group(file, built.main, "T")
        group.create_dataset(
            "completed_positions", data=["a", "b"], dtype=dtype if dtype == "S3" else h5py.string_dtype()
        )
    assert isinstance(usidx.validate(built.path), list)


def raster(path: Path, seed: int = 0) -> str:
    cells = np.random.default_rng(seed).normal(size=(3, 4, 5))
    array = xr.DataArray(cells, dims=("y", "x", "e"), name="Raw_Data")
    return usidx.write(usidx.set_roles(array, position=["y", "x"], spectroscopic="e"), path, progress=False)


def damage(path: Path, name: str) -> None:
    """Overwrite the header of an object."""
    with h5py.File(path) as file:
        where = h5py.h5o.get_info(file[name].id).addr
    with path.open("r+b") as raw:
        raw.seek(where)
        raw.write(b"\xff" * 16)


@pytest.mark.parametrize("name", ["Measurement_001", "Measurement_001/Channel_000/Raw_Data"])
def test_what_is_damaged_is_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / "scan.h5"
    kept = raster(path)
    raster(path, seed=1)
    damage(path, name)
    assert [(p.path, p.rule, p.is_error) for p in usidx.validate(path)] == [(f"/{name}", "damage", True)]
    message = rf"'/{name}' in '.*scan.h5' is damaged \(.*usidx.validate\(path\) lists all that is"
    with pytest.warns(UsidWarning, match=message):
        assert usidx.list_mains(path) == [kept]
    with pytest.warns(UsidWarning, match=message):
        tree = usidx.open_tree(path)
    assert kept in [node.path for node in tree.subtree]
    with pytest.warns(UsidWarning, match=message):
        assert usidx.list_results(path) == []
    with pytest.warns(UsidWarning, match=message):
        usidx.open_main(path)  # else nobody would know that there was another


@pytest.mark.parametrize("table", ["Position_Indices", "Spectroscopic_Values"])
def test_deleted_tables_are_found(tmp_path: Path, table: str) -> None:
    path = tmp_path / "scan.h5"
    main = raster(path)
    with h5py.File(path, "r+") as file:
        del file[f"Measurement_000/Channel_000/{table}"]
    found = usidx.validate(path)
    assert [(p.path, p.rule, p.is_error) for p in found] == [(main, "reference", True)]
    assert f"{table!r} refers to a dataset that was deleted" in str(found[0])


def test_results_without_a_source_are_found(tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    main = raster(path)
    group = usidx.write(usidx.open_main(path).usid.svd(2), progress=False)
    assert usidx.validate(path) == []
    with h5py.File(path, "r+") as file:
        del file[main]
    assert [(p.path, p.rule, p.is_error) for p in usidx.validate(path)] == [(group, "source", True)]
    with h5py.File(path, "r+") as file:
        del file[group].attrs["source_000"]
    found = usidx.validate(path)
    assert [(p.path, p.rule, p.is_error) for p in found] == [(group, "source", False)]
    assert "names no source" in str(found[0])


@pytest.mark.parametrize(("rows", "columns"), [(0, 5), (3, 0)])
def test_a_scan_that_was_stopped_before_its_first_point_is_told(tmp_path: Path, rows: int, columns: int) -> None:
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        main = file.create_dataset("Raw", shape=(rows, columns), dtype="f4")
        main.attrs["quantity"] = main.attrs["units"] = "V"
        tables = {
            "Position": np.arange(rows, dtype="u4")[:, None],
            "Spectroscopic": np.arange(columns, dtype="u4")[None],
        }
        for role, counters in tables.items():
            for kind in ("Indices", "Values"):
                table = file.create_dataset(f"{role}_{kind}", data=counters)
                table.attrs["labels"] = table.attrs["units"] = np.array([b"X"])
                main.attrs[f"{role}_{kind}"] = table.ref
    found = usidx.validate(path)
    assert [(p.path, p.rule) for p in found] == [("/Raw", "grid")]
    assert "so there is nothing to open" in str(found[0])
