"""Transforms beside the sum that they stand for, written out, and the way back to the bit."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import scipy.fft
import scipy.signal
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import usidx
from usidx.errors import ResultError, SelectionError, UnitsError, UsidError

Array = npt.NDArray[Any]


def waves(size: int = 33, *, first: float = -1.3, step: float = 0.1, dtype: Any = "f8") -> xr.DataArray:
    """Return noise over an axis that begins below zero, in the middle of the dims."""
    values = np.random.default_rng(size).normal(size=(3, size, 2))
    values = values + 1j * values[::-1] if np.dtype(dtype).kind == "c" else 100 * values
    time = xr.DataArray(first + step * np.arange(size), dims="Time", attrs={"units": "s", "note": "clock"})
    data = xr.DataArray(
        values.astype(dtype), dims=("Y", "Time", "X"), coords={"Time": time, "Y": [5.0, 6.0, 7.0]}, name="Deflection",
        attrs={"units": "V", "long_name": "Deflection"},
    )  # fmt: skip
    return usidx.set_roles(data, position=["Y", "X"], spectroscopic="Time")


def sum_up(values: Array, time: Array, frequencies: Array) -> Array:
    """Write out the sum along the middle axis."""
    step = abs(time[1] - time[0]) if time.size > 1 else 1.0
    turns = np.exp(-2j * np.pi * frequencies[:, np.newaxis] * time)
    return np.asarray(step * np.einsum("ytx,ft->yfx", values, turns))


@pytest.mark.parametrize("keep", ["all", "positive"])
@pytest.mark.parametrize("dtype", ["f8", "f4", "c16", "c8", "i2", ">f4", "?"])
@pytest.mark.parametrize("step", [0.1, -0.25])
@pytest.mark.parametrize("size", [1, 2, 32, 33])
def test_it_is_the_sum(size: int, step: float, dtype: str, keep: Any) -> None:
    data = waves(size, step=step, dtype=dtype)
    found = usidx.signal.fft(data, "Time", keep=keep)
    frequencies = found.Time_frequency.values
    assert found.dims == ("Y", "Time_frequency", "X")
    np.testing.assert_allclose(
        found, sum_up(data.values, data.Time.values, frequencies), rtol=1e-5, atol=1e-4 if "4" in dtype else 1e-9
    )
    assert found.dtype == ("c8" if dtype in ("f4", "c8", ">f4") else "c16")
    # SciPy's first frequency of an even size is the negative one of the two that are the same.
    every = np.sort(scipy.fft.fftfreq(size, abs(step) if size > 1 else 1.0))
    if keep == "positive" and dtype.startswith("c"):
        every = every[every >= 0]
    elif keep == "positive":
        every = scipy.fft.rfftfreq(size, abs(step) if size > 1 else 1.0)
    np.testing.assert_allclose(frequencies, every, rtol=1e-12)


def test_it_says_what_it_is() -> None:
    found = usidx.signal.fft(waves())
    assert {k: found.attrs[k] for k in ("units", "long_name")} == {
        "units": "V s", "long_name": "Fourier Transform of Deflection",
    }  # fmt: skip
    assert found.name == "Deflection"
    assert found.Time_frequency.units == "Hz"
    assert found.Time_frequency.usid_role == "spectroscopic"
    np.testing.assert_array_equal(found.Y, [5, 6, 7])
    assert found.usid.history[-1]["parameters"]["keep"] == "all"


@pytest.mark.parametrize(
    ("unit", "reciprocal"), [("nm", "1/nm"), ("1/nm", "nm"), ("ms", "kHz"), ("MHz", "µs"), ("", ""), ("V/m", "1/(V/m)")]
)
def test_reciprocal_units(unit: str, reciprocal: str) -> None:
    data = waves()
    data.Time.attrs["units"] = unit
    assert usidx.signal.fft(data).Time_frequency.units == reciprocal
    assert usidx.signal.ifft(usidx.signal.fft(data)).units == "V"


@pytest.mark.parametrize("unit", ["nm", "V nm", "nm^2", "V", "", "(V s)/nm"])
def test_units_come_back_from_two_axes_of_one_unit(unit: str) -> None:
    image = xr.DataArray(np.eye(4), dims=("Y", "X"), attrs={"units": unit}).assign_coords(Y=range(4), X=range(4))
    image.Y.attrs["units"] = image.X.attrs["units"] = "nm"
    found = usidx.signal.fft(image, ["Y", "X"])
    assert usidx.signal.ifft(found, ["Y_frequency", "X_frequency"]).units == unit


def test_units_that_are_not_known_are_not_made_up() -> None:
    data = waves().drop_vars("Time")
    found = usidx.signal.fft(data, "Time")
    assert "units" not in found.attrs
    assert "units" not in found.Time_frequency.attrs
    back = usidx.signal.ifft(found)
    assert "Time" not in back.coords
    np.testing.assert_allclose(back, data, atol=1e-10)


sizes = st.integers(1, 40)
starts = st.sampled_from([0.0, -3.7, 1e4])
steps = st.sampled_from([1.0, 1e-6, -0.3, np.pi])


@given(sizes, starts, steps, st.sampled_from(["f8", "f4", "c16", "c8"]), st.booleans(), st.booleans())
def test_there_and_back(size: int, first: float, step: float, dtype: str, lazy: bool, half: bool) -> None:
    data = waves(size, first=first, step=step, dtype=dtype)
    given = data.chunk({"Time": max(1, size // 3), "Y": 2}) if lazy else data
    is_real = np.dtype(dtype).kind == "f"
    found = usidx.signal.fft(given, "Time", keep="positive" if half and is_real else "all")
    back = usidx.signal.ifft(found)
    assert (back.chunks is not None) == lazy
    assert back.dtype == data.dtype
    assert back.dims == data.dims
    assert (back.name, back.units, back.long_name) == ("Deflection", "V", "Deflection")
    xr.testing.assert_identical(back.Time, data.Time)
    np.testing.assert_allclose(back, data, atol=1e-10 if dtype in ("f8", "c16") else 1e-3)


@pytest.mark.parametrize(
    "coordinate", [np.arange(20, dtype="i4") * 3, np.linspace(0, 1, 20, dtype="f4"), np.arange(20) * 0.1]
)
def test_any_even_coordinate_comes_back(coordinate: Array, tmp_path: Path) -> None:
    data = xr.DataArray(np.random.default_rng(0).random((4, 20)), dims=("X", "t"), coords={"t": coordinate})
    data = usidx.set_roles(data.rename("a"), position="X", spectroscopic="t")
    usidx.write(data, tmp_path / "a.h5", progress=False)
    opened = usidx.open_main(tmp_path / "a.h5")
    group = usidx.signal.fft(opened).usid.write(progress=False)
    for found in (usidx.signal.fft(data), usidx.open_result(tmp_path / "a.h5", group)["a"]):
        back = usidx.signal.ifft(found)
        np.testing.assert_array_equal(back.t, coordinate)
        np.testing.assert_allclose(back, data, atol=1e-12)


def test_several_dims() -> None:
    data = waves()
    found = usidx.signal.fft(data, ["Y", "Time"], keep="positive")
    assert found.dims == ("Y_frequency", "Time_frequency", "X")
    expected = np.fft.rfftn(data.values, axes=(0, 1))[[2, 0, 1]]
    np.testing.assert_allclose(abs(found), 0.1 * abs(expected), rtol=1e-9)
    xr.testing.assert_allclose(usidx.signal.ifft(found), data)
    # A single one may be undone, too.
    half = usidx.signal.ifft(found, "Y_frequency")
    assert half.dims == ("Y", "Time_frequency", "X")


def test_what_is_multiplied_goes_round() -> None:
    """A shift is a phase that grows with the frequency."""
    data = waves()
    found = usidx.signal.fft(data)
    with xr.set_options(keep_attrs=True):  # type: ignore[no-untyped-call]
        back = usidx.signal.ifft(found * np.exp(-2j * np.pi * found.Time_frequency * 0.3))
    np.testing.assert_allclose(back, np.roll(data.values, 3, axis=1), atol=1e-10)


def test_window_and_detrend_are_those_of_scipy() -> None:
    data = waves()
    cut = scipy.signal.detrend(data.values, axis=1, type="linear") * scipy.signal.get_window("hann", 33)[:, None]
    found = usidx.signal.fft(data, window="hann", detrend="linear")
    np.testing.assert_allclose(found, sum_up(cut, data.Time.values, found.Time_frequency.values), atol=1e-9)


@pytest.mark.parametrize("missing", [np.nan, np.inf])
def test_a_spectrum_with_a_missing_sample_is_missing(missing: float) -> None:
    data = waves()
    data[1, 4, 0] = missing
    data[2, :, 1] = np.nan
    for given_data in (data, data.chunk({"Time": 10})):
        found = usidx.signal.fft(given_data, detrend="constant")
        assert found.isnull().all("Time_frequency").values.tolist() == [[False, False], [True, False], [False, True]]
        assert found.isnull().any("Time_frequency").values.tolist() == [[False, False], [True, False], [False, True]]
        assert usidx.signal.ifft(found).isnull().all("Time").values.sum() == 2


def test_what_cannot_be() -> None:
    data = waves()
    with pytest.raises(UnitsError, match="steps of 'Time' differ"):
        usidx.signal.fft(data.assign_coords(Time=np.geomspace(1, 9, 33)), "Time")
    with pytest.raises(SelectionError, match="'Time_frequency' is there already"):
        usidx.signal.fft(data.assign_coords(Time_frequency=1.0))
    with pytest.raises(SelectionError, match="empty"):
        usidx.signal.fft(data[:, :0], "Time")
    with pytest.raises(UsidError, match="window='hnn'"):
        usidx.signal.fft(data, window="hnn")
    with pytest.raises(UsidError, match="keep="):
        usidx.signal.fft(data, keep="half")  # type: ignore[arg-type]
    with pytest.raises(UsidError, match="detrend="):
        usidx.signal.fft(data, detrend="cubic")  # type: ignore[arg-type]
    found = usidx.signal.fft(data)
    with pytest.raises(ResultError, match="10 of 33"):
        usidx.signal.ifft(found[:, :10])
    with pytest.raises(ResultError, match="in their order"):
        usidx.signal.ifft(found[:, ::-1])
    with pytest.raises(ResultError, match=r"not made by usidx.signal.fft"):
        usidx.signal.ifft(data)
    with pytest.raises(ResultError, match="keep='all'"):
        usidx.signal.ifft(usidx.signal.fft(data + 1j, "Time", keep="positive"))
