"""What is written as a format says is read back: shape, axes and values, whatever they are."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import usidx
from tests.kit.small_scans import find_arrays

DTYPES = st.sampled_from(["<u1", ">i2", "<u2", ">f4", "<f8", "<c8", ">c16", "|b1"])
SIDES = st.integers(1, 6)
#: Sizes and sweeps in units of instruments: neither zero nor so small that steps vanish.
LENGTHS = st.floats(1e-10, 1e-4)
few = settings(max_examples=15, deadline=None)


@contextmanager
def written(name: str, content: bytes) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        yield path


def draw_cells(data: st.DataObject, *shape: int, dtype: str = ">f4") -> np.ndarray:
    return data.draw(hnp.arrays(dtype, shape, elements=st.floats(-1e6, 1e6, width=32)))


def read(path: Path, leaf: str) -> xr.DataArray:
    found = find_arrays(usidx.read_instrument(path))[leaf].load()
    assert found.dtype.isnative
    return found


@few
@given(st.data(), st.lists(SIDES, min_size=1, max_size=2), DTYPES, st.booleans())
def test_npy_and_npz(data: st.DataObject, shape: list[int], dtype: str, is_fortran: bool) -> None:
    cells = data.draw(hnp.arrays(dtype, tuple(shape)))
    with tempfile.TemporaryDirectory() as folder:
        laid = np.asfortranarray(cells) if is_fortran else cells
        np.save(f"{folder}/cells.npy", laid)
        np.savez(f"{folder}/cells.npz", cells=laid)
        for name in ("cells.npy", "cells.npz"):
            np.testing.assert_array_equal(read(Path(folder) / name, "/cells"), cells)


@few
@given(st.data(), st.lists(SIDES, min_size=1, max_size=4), DTYPES, st.integers(0, 9), LENGTHS)
def test_raw(data: st.DataObject, shape: list[int], dtype: str, offset: int, scale: float) -> None:
    cells = data.draw(hnp.arrays(dtype, tuple(shape)))
    axes = [{"name": f"q{n}", "role": "position", "scale": scale, "start": n, "units": "m"} for n in range(len(shape))]
    header: dict[str, Any] = {"shape": shape, "dtype": dtype, "offset": offset, "axes": axes, "name": "cells"}
    with written("cells.raw", bytes(offset) + cells.tobytes()) as path:
        path.with_suffix(".json").write_text(json.dumps(header))
        found = read(path, "/cells")
    np.testing.assert_array_equal(found, cells)
    for number, size in enumerate(shape):
        np.testing.assert_allclose(found[f"q{number}"], number + np.arange(size) * scale)


@few
@given(st.data(), SIDES, SIDES, LENGTHS, LENGTHS)
def test_gsf(data: st.DataObject, rows: int, columns: int, height: float, width: float) -> None:
    cells = draw_cells(data, rows, columns, dtype="<f4")
    head = f"Gwyddion Simple Field 1.0\nXRes = {columns}\nYRes = {rows}\nXReal = {width!r}\nYReal = {height!r}\n"
    head += "XYUnits = m\nZUnits = A\nTitle = I\n"
    with written("a.gsf", head.encode() + b"\0" * (4 - len(head) % 4) + cells.tobytes()) as path:
        found = read(path, "/I")
    np.testing.assert_array_equal(found, cells)
    np.testing.assert_allclose(found.X, np.arange(columns) * width / columns)
    np.testing.assert_allclose(found.Y, np.arange(rows) * height / rows)


@few
@given(st.data(), SIDES, SIDES, LENGTHS, st.sampled_from(["up", "down"]))
def test_sxm(data: st.DataObject, rows: int, columns: int, width: float, direction: str) -> None:
    frames = draw_cells(data, 2, rows, columns)
    head = (
        f":NANONIS_VERSION:\n2\n:SCANIT_TYPE:\n  FLOAT  MSBFIRST\n:SCAN_PIXELS:\n  {columns}  {rows}\n"
        f":SCAN_RANGE:\n {width!r} 8E-9\n:SCAN_OFFSET:\n 0 0\n:SCAN_ANGLE:\n 0\n:SCAN_DIR:\n{direction}\n"
        ":DATA_INFO:\n\tChannel\tName\tUnit\tDirection\tCalibration\tOffset\n\t14\tZ\tm\tboth\t1\t0\n\n:SCANIT_END:\n\n\n"
    )
    x, y = np.arange(columns) * width / columns, np.arange(rows) * 8e-9 / rows
    with written("a.sxm", head.encode() + b"\x1a\x04" + frames.tobytes()) as path:
        for leaf, frame, along in (("/Z/forward", frames[0], x), ("/Z/backward", frames[1], x[::-1])):
            found = read(path, leaf)
            np.testing.assert_array_equal(found, frame)
            np.testing.assert_allclose(found.X, along)
            np.testing.assert_allclose(found.Y, y if direction == "up" else y[::-1])


@few
@given(st.data(), SIDES, SIDES, st.integers(2, 6), st.integers(0, 2), st.floats(-9, -1), st.floats(1, 9))
def test_3ds(data: st.DataObject, rows: int, columns: int, points: int, more: int, start: float, end: float) -> None:
    parameters, sweeps = draw_cells(data, rows, columns, 2 + more), draw_cells(data, rows, columns, 2, points)
    parameters[..., :2] = start, end
    head = (
        f'Grid dim="{columns} x {rows}"\r\nGrid settings=0;0;6E-9;4E-9;0\r\nSweep Signal="Bias (V)"\r\n'
        f'Fixed parameters="Sweep Start;Sweep End"\r\nExperiment parameters="{";".join("ab"[:more])}"\r\n'
        f'# Parameters (4 byte)={2 + more}\r\nPoints={points}\r\nChannels="Current (A);LIX (V)"\r\n:HEADER_END:\r\n'
    )
    cells = np.concatenate([parameters, sweeps.reshape(rows, columns, -1)], axis=-1)
    with written("a.3ds", head.encode() + cells.astype(">f4").tobytes()) as path:
        found = [read(path, leaf) for leaf in ("/Current", "/LIX")]
    for number, one in enumerate(found):
        np.testing.assert_array_equal(one, sweeps[:, :, number])
    np.testing.assert_allclose(found[0].Bias, np.linspace(start, end, points), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found[0].X, np.arange(columns) * 6e-9 / columns)


@few
@given(st.data(), st.integers(2, 9), st.integers(1, 4))
def test_nanonis_dat(data: st.DataObject, count: int, columns: int) -> None:
    table = draw_cells(data, count, columns + 1, dtype="f8")
    titles = "\t".join(["Bias (V)", *(f"Input {n} (A)" for n in range(columns))])
    lines = ["\t".join(repr(float(cell)) for cell in row) for row in table]
    with written("a.dat", "\r\n".join(["Experiment\tbias\t", "", "[DATA]", titles, *lines, ""]).encode()) as path:
        for number in range(columns):
            found = read(path, f"/Input {number}")
            np.testing.assert_array_equal(found, table[:, 1 + number])
            np.testing.assert_array_equal(found.coords["Bias"], table[:, 0])
            assert (found.attrs["units"], found.Bias.attrs["units"]) == ("A", "V")


@few
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@given(data=st.data(), count=st.integers(2, 9), columns=st.integers(1, 3))
def test_tables_in_text(separator: str, data: st.DataObject, count: int, columns: int) -> None:
    table = draw_cells(data, count, columns + 1, dtype="f8")
    titles = separator.join(["x (nm)", *(f"y{n} (V)" for n in range(columns))])
    lines = [separator.join(repr(float(cell)) for cell in row) for row in table]
    with written("a.csv", "\n".join([titles, *lines, ""]).encode()) as path:
        for number in range(columns):
            found = read(path, f"/y{number}")
            np.testing.assert_array_equal(found, table[:, 1 + number])
            np.testing.assert_array_equal(found.coords["x"], table[:, 0])
            assert (found.attrs["units"], found.x.attrs["units"]) == ("V", "nm")
