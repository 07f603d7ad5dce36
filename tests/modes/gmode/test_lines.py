"""Lines become pixels: the old tool's reshape, lazily, with the coordinates that still hold."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import usidx
from usidx.errors import RoleError, SelectionError
from usidx.label.roles import position_dims, spectroscopic_dims
from usidx.modes import lines_to_pixels


def make_lines(chunks: dict[str, int] | None = None) -> xr.DataArray:
    values = np.random.default_rng(0).integers(-999, 999, (6, 3, 40)).astype("i2")
    coords = {"Y": np.arange(6.0) * 2, "Time": np.arange(40) * 0.5, "bias": ("Time", np.tile(np.sin(np.arange(5)), 8))}
    lines = xr.DataArray(values, coords, ("Y", "channel", "Time"), "Raw", {"units": "V", "long_name": "Response"})
    lines["Y"].attrs["units"] = lines["Time"].attrs["units"] = "um"
    lines = usidx.set_roles(lines, position="Y", spectroscopic=["channel", "Time"])
    return lines if chunks is None else lines.chunk(chunks)


@pytest.mark.parametrize("chunks", [None, {"Y": 2}, {"Y": 4, "Time": 7}, {"channel": 1}])
def test_values_are_those_of_the_old_reshape(chunks: dict[str, int] | None) -> None:
    lines = make_lines(chunks)
    pixels = lines_to_pixels(lines, 8, "Time", spacing=0.1)
    assert (pixels.chunks is not None) == (chunks is not None)
    assert pixels.dims == ("Y", "channel", "X", "Time")
    assert pixels.dtype == np.int16
    for k in range(3):  # as pycroscopy does it: all lines as one table
        wanted = make_lines().values[:, k].reshape(-1, 5)
        np.testing.assert_array_equal(pixels.values[:, :, :][:, k].reshape(-1, 5), wanted)


def test_coordinates_that_repeat_are_those_of_a_pixel_and_others_lie_over_both() -> None:
    lines = make_lines().assign_coords(clock=("Time", np.arange(40) + 3))
    pixels = lines_to_pixels(lines, 8, "Time", spacing=0.1)
    np.testing.assert_array_equal(pixels.Time, np.arange(5) * 0.5)
    np.testing.assert_array_equal(pixels.bias, np.sin(np.arange(5)))
    np.testing.assert_allclose(pixels.X, np.arange(8) * 0.1)
    assert pixels.clock.dims == ("X", "Time")
    np.testing.assert_array_equal(pixels.clock, 3 + np.arange(40).reshape(8, 5))
    assert (pixels.X.attrs["units"], pixels.Time.attrs["units"], pixels.attrs["units"]) == ("um", "um", "V")
    assert position_dims(pixels) == ("Y", "X")
    assert spectroscopic_dims(pixels) == ("channel", "Time")


def test_without_roles_coordinates_or_spacing_nothing_is_guessed() -> None:
    pixels = lines_to_pixels(xr.DataArray(np.arange(12.0).reshape(2, 6), dims=("line", "t")), 3, "t", name="column")
    assert pixels.dims == ("line", "column", "t")
    assert "t" not in pixels.coords
    assert pixels.column.values.tolist() == [0, 1, 2]
    assert set(pixels.column.attrs) == {"long_name"}
    assert lines_to_pixels(make_lines(), 4, "Time", spacing=3, units="nm").X.units == "nm"


def test_what_makes_no_pixels_is_refused() -> None:
    with pytest.raises(SelectionError, match=r"40 samples along 'Time' do not make n=7 pixels"):
        lines_to_pixels(make_lines(), 7, "Time")
    with pytest.raises(SelectionError, match="n=0"):
        lines_to_pixels(make_lines(), 0, "Time")
    with pytest.raises(RoleError, match=r"There is a 'Y' here already.*name="):
        lines_to_pixels(make_lines(), 8, "Time", name="Y")


def test_the_workflow_of_general_mode(tmp_path: Path) -> None:
    """Filter whole lines, cut them, infer: against the truth that was simulated."""
    lines, truth = usidx.simulate.gmode_lines((4, 8), 500)
    usidx.write(lines, tmp_path / "lines.h5", progress=False)
    raw = usidx.open_main(tmp_path / "lines.h5", chunks={"Y": 2})
    clean = raw.usid.signal.fft_filter(usidx.signal.LowPass(10e3))
    pixels = clean.usid.modes.lines_to_pixels(8)
    assert pixels.chunks is not None
    found = pixels.usid.modes.giv(200.0, coordinate="bias", sigma=0.3).compute()
    inner = {"voltage": slice(-5.5, 5.5)}
    error = found.resistance.sel(inner).drop_vars("X") * (1 / truth.resistance.sel(inner)).drop_vars("X") - 1
    assert float(abs(error).median()) < 0.03
    off = abs(found.capacitance.drop_vars("X") / truth.capacitance.drop_vars("X") - 1)
    assert float(off.median()) < 0.03
    group = pixels.usid.write(progress=False)
    again = usidx.open_result(tmp_path / "lines.h5", group).Raw_Data
    np.testing.assert_allclose(again, pixels, rtol=1e-12)
    assert again.bias.dims == ("Time",)
