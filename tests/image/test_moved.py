"""Images moved back, on NumPy and dask, by numbers and by shifts of their own."""

from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import usidx
from tests.image.test_windowing import make_images
from usidx.errors import RoleError, SelectionError, UnitsError, UsidError
from usidx.image.kernels.moving import move


@pytest.mark.parametrize("chunks", [None, {"Y": 4, "X": 3, "Frame": 2}])
@pytest.mark.parametrize("dtype", ["f8", "f4", "u1", "c8"])
def test_each_image_moves_by_its_own_shift(dtype: str, chunks: Any) -> None:
    data = make_images(dtype)  # Y descends by 0.5 nm, X has no unit
    by = xr.DataArray([0.0, 0.5, -0.35], dims="Frame", coords={"Frame": [0, 1, 2]}, attrs={"units": "nm"})
    found = usidx.image.shift(data if chunks is None else data.chunk(chunks), {"Y": by, "X": 2.25})
    kind = "f8" if dtype == "u1" else dtype
    assert found.dtype == kind
    assert found.dims == data.dims
    assert found.attrs["units"] == "V"
    for number, one in enumerate(by.values):
        wanted = move(data.values[:, number].astype(kind), (one / -0.5, 2.25))
        np.testing.assert_allclose(found.isel(Frame=number), wanted, rtol=1e-4, atol=1e-4)


def test_shifts_are_matched_by_coordinates_and_leave_other_dims_alone() -> None:
    data = make_images().transpose("Frame", "Y", "X")
    spectra = (data * xr.DataArray([1.0, 2.0], dims="Energy")).transpose("Y", "Energy", "X", "Frame")
    shifts = xr.Dataset({"shift_Y": ("Frame", [0.5, 1.0, 0.2]), "shift_X": ("Frame", [1.0, 0.0, 0.3])},
                        coords={"Frame": [2, 1, 0]})  # fmt: skip
    found = usidx.image.shift(spectra, shifts)
    one = usidx.image.shift(data.sel(Frame=2), {"Y": 0.5, "X": 1.0})
    xr.testing.assert_allclose(found.sel(Frame=2).isel(Energy=1), 2 * one.transpose("Y", "X"))
    assert found.dims == spectra.dims


def test_an_image_whose_shift_is_not_known_is_missing() -> None:
    data = make_images()
    found = usidx.image.shift(data, {"X": xr.DataArray([0.0, np.nan, 1.0], dims="Frame")}, dims=("Y", "X"))
    assert np.isnan(found.isel(Frame=1)).all()
    np.testing.assert_array_equal(found.isel(Frame=0), data.isel(Frame=0))


@given(
    st.tuples(st.floats(-4, 4), st.floats(-4, 4)),
    st.sampled_from(["cubic", "linear"]),
    st.sampled_from([1.0, -2.5]),
)
def test_back_and_forth_is_where_it_was(by: tuple[float, float], method: Any, step: float) -> None:
    y, x = np.arange(40.0), np.arange(50.0)
    values = np.sin(0.11 * y)[:, np.newaxis] * np.cos(0.07 * x)
    image = xr.DataArray(values, coords={"Y": step * y, "X": 3 + x}, dims=("Y", "X"))
    there = dict(zip(("Y", "X"), by, strict=True))
    back = usidx.image.shift(
        usidx.image.shift(image, there, method=method), {d: -s for d, s in there.items()}, method=method
    )
    inner = {"Y": slice(14, -14), "X": slice(14, -14)}  # what is missing at the edges is felt for some samples
    np.testing.assert_allclose(back[inner], image[inner], atol=1e-5 if method == "cubic" else 5e-3)


def test_what_does_not_fit_is_refused() -> None:
    data = make_images()
    with pytest.raises(RoleError, match="Shifts differ along 'Time'"):
        usidx.image.shift(data, {"X": xr.DataArray([1.0, 2.0], dims="Time")})
    with pytest.raises(RoleError, match=r"Shifts along \['Z'\]"):
        usidx.image.shift(data, {"Z": 1.0})
    with pytest.raises(SelectionError, match="no shift for some coordinates"):
        usidx.image.shift(data, {"X": xr.DataArray([1.0, 2.0], dims="Frame", coords={"Frame": [0, 1]})})
    with pytest.raises(SelectionError, match="2 shifts along 'Frame', and 3 images"):
        usidx.image.shift(data, {"X": xr.DataArray([1.0, 2.0], dims="Frame")})
    with pytest.raises(UnitsError, match="in 'm', and the axis is in 'nm'"):
        usidx.image.shift(data, {"Y": xr.DataArray(1.0, attrs={"units": "m"})})
    with pytest.raises(UsidError, match="a number is wanted"):
        usidx.image.shift(data, {"Y": "far"})
    with pytest.raises(UsidError, match="method='spline'"):
        usidx.image.shift(data, {"Y": 1.0}, method="spline")  # type: ignore[arg-type]
    with pytest.raises(UsidError, match="Dataset of estimate_drift or a mapping"):
        usidx.image.shift(data, 3.0)  # type: ignore[arg-type]
    with pytest.raises(UnitsError, match="steps of 'X' differ"):
        usidx.image.shift(data.assign_coords(X=data.X**2), {"X": 1.0}, dims=("Y", "X"))
