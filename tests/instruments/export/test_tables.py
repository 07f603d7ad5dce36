"""CSV as pandas and the csv module read it."""

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import usidx
from tests.instruments.export.odd_files import ODD, build
from usidx.testing.measurements import forc_file


@pytest.mark.parametrize("kind", ["contiguous", "snake", "sparse", "dependent", "uint16"])
def test_each_cell_has_a_line(kind: str, tmp_path: Path) -> None:
    built = ODD[kind](tmp_path / "scan.h5")
    table = pd.read_csv(usidx.export(built.path, tmp_path / "scan.csv", to="csv", group=built.main))
    dims, array = built.squeezed
    if np.iscomplexobj(array):
        found = table[f"Raw_Data (real) [{built.unit}]"] + 1j * table[f"Raw_Data (imag) [{built.unit}]"]
    else:
        found = table[f"Raw_Data [{built.unit}]"]
    np.testing.assert_array_equal(found.to_numpy().astype(array.dtype), array.ravel())
    for name, (along, values) in built.coords.items():
        if not set(along) <= set(dims) or np.size(values) == 1:
            continue
        column = f"{name} [{built.units[name]}]" if built.units[name] else name
        shape = [n if d in along else 1 for d, n in zip(dims, array.shape, strict=True)]
        expected = np.broadcast_to(np.squeeze(values).reshape(shape), array.shape)
        np.testing.assert_allclose(table[column], expected.ravel(), rtol=1e-6)


def test_numbers_come_back_bit_by_bit(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(4, 6, 6)) * 1e-12
    built = build(tmp_path / "scan.h5")
    array = usidx.open_main(built.path).copy(data=values)
    with open(usidx.export(array, tmp_path / "scan.csv", to="csv"), encoding="utf-8") as file:
        found = [float(line["Raw_Data [nA]"]) for line in csv.DictReader(file)]
    np.testing.assert_array_equal(found, values.ravel())


def test_attributes_lie_beside_the_table(tmp_path: Path) -> None:
    built = build(tmp_path / "scan.h5")
    made = usidx.export(built.path, tmp_path / "scan.csv", to="csv", group="Raw_Data")
    about = json.loads(Path(f"{made}.json").read_text(encoding="utf-8"))
    (table,) = about["tables"].values()
    assert table["columns"]["Raw_Data [nA]"]["long_name"] == "Current"
    assert table["columns"]["Y [m]"]["usid_role"] == "position"


def test_variables_over_other_dims_get_files_of_their_own(tmp_path: Path) -> None:
    path = usidx.example_file(tmp_path / "scan.h5")
    usidx.open_main(path).usid.svd(2).usid.write()
    folder = Path(usidx.export(path, tmp_path / "svd", to="csv", group="SVD_000"))
    heads = {f.name: f.read_text(encoding="utf-8").splitlines()[0].split(",") for f in folder.glob("*.csv")}
    assert heads["Raw_Data-SVD_000-component.csv"] == ["component", "singular_values [V]", "explained_variance_ratio"]
    assert heads["Raw_Data-SVD_000-Y-X-component.csv"][:3] == ["Y [m]", "X [m]", "component"]


def test_lines_are_cut_where_memory_wants_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("usidx.instruments.export.tables._LINES", 7)
    built = forc_file(tmp_path / "scan.h5")
    table = pd.read_csv(usidx.export(built.path, tmp_path / "scan.csv", to="csv", group="Raw_Data"))
    np.testing.assert_array_equal(table[f"Raw_Data [{built.unit}]"].astype(built.array.dtype), built.array.ravel())
