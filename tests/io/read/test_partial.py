"""Scans that were stopped: tables longer or shorter than the data open as far as all of them reach, if asked to."""

from pathlib import Path

import h5py
import numpy as np
import pytest

import usidx
from usidx.errors import GridError, LayoutError, SelectionError

CELLS = np.random.default_rng(0).normal(size=(12, 5))


def build(path: Path, *, rows: int = 12, table: int = 12, values: int | None = None, steps: int = 5) -> Path:
    """Write a scan of 3 lines of 4 with as many rows of data and of tables as told."""
    with h5py.File(path, "w") as file:
        main = file.create_dataset("Measurement_000/Channel_000/Raw_Data", data=CELLS[:rows])
        main.attrs["quantity"] = main.attrs["units"] = "V"
        places = np.array([(n % 4, n // 4) for n in range(12)], "u4")
        tables = {
            "Position_Indices": places[:table],
            "Position_Values": places[: table if values is None else values] * 0.5,
            "Spectroscopic_Indices": np.arange(steps, dtype="u4")[None],
            "Spectroscopic_Values": np.arange(steps)[None] * 1.0,
        }
        for name, counters in tables.items():
            made = main.parent.create_dataset(name, data=counters)
            made.attrs["labels"] = made.attrs["units"] = np.array([b"X", b"Y"] if "Pos" in name else [b"Bias"])
            main.attrs[name] = made.ref
    return path


@pytest.mark.parametrize(("rows", "table"), [(8, 12), (12, 8)])
def test_whole_lines_are_a_grid(tmp_path: Path, rows: int, table: int) -> None:
    path = build(tmp_path / "scan.h5", rows=rows, table=table)
    with pytest.raises(LayoutError, match=r"usidx.open_main\(path, '/.*/Raw_Data', partial=True\)"):
        usidx.open_main(path, "Measurement_000/Channel_000/Raw_Data")
    found = usidx.open_main(path, partial=True)
    assert found.dims == ("Y", "X", "Bias")
    np.testing.assert_array_equal(found, CELLS[:8].reshape(2, 4, 5))
    np.testing.assert_array_equal(found.Y, [0, 0.5])
    with pytest.raises(SelectionError, match="claims to be one and breaks a rule"):
        usidx.open_main(path)
    assert [p.rule for p in usidx.validate(path)] == ["ancillary"]


@pytest.mark.parametrize("options", [{"rows": 7}, {"table": 7}, {"values": 7}, {"rows": 10, "table": 7, "values": 9}])
def test_parts_of_lines_are_places(tmp_path: Path, options: dict[str, int]) -> None:
    found = usidx.open_main(build(tmp_path / "scan.h5", **options), "Raw_Data", partial=True)
    assert found.dims == ("position", "Bias")
    np.testing.assert_array_equal(found, CELLS[:7])
    np.testing.assert_array_equal(found.X, np.arange(7) % 4 * 0.5)
    grid = usidx.to_grid(found)
    assert grid.shape == (2, 4, 5)
    assert int(grid.measured.sum()) == 7


@pytest.mark.parametrize("steps", [3, 9])
def test_steps(tmp_path: Path, steps: int) -> None:
    found = usidx.open_main(build(tmp_path / "scan.h5", steps=steps), partial=True)
    np.testing.assert_array_equal(found, CELLS.reshape(3, 4, 5)[..., :steps])


def test_what_is_whole_opens_as_ever(tmp_path: Path) -> None:
    path = build(tmp_path / "scan.h5")
    assert usidx.open_main(path, partial=True).identical(usidx.open_main(path))


def test_nothing_measured(tmp_path: Path) -> None:
    with pytest.raises(GridError, match="holds no position rows, so nothing of it was measured"):
        usidx.open_main(build(tmp_path / "scan.h5", rows=0), partial=True)


def test_results_of_it_are_written(tmp_path: Path) -> None:
    path = build(tmp_path / "scan.h5", rows=8)
    scores = usidx.open_main(path, partial=True).usid.svd(2)
    found = usidx.open_result(path, usidx.write(scores, progress=False))
    np.testing.assert_allclose(found.usid.reconstruct().shape, (2, 4, 5))
