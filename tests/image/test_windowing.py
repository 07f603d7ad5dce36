"""Windows beside slices of the image."""

from typing import Any

import numpy as np
import pytest
import xarray as xr

import usidx
from usidx.errors import SelectionError, UsidError


def make_images(dtype: str = "f8") -> xr.DataArray:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(9, 3, 11)) * 100 + (1j * rng.normal(size=(9, 3, 11)) if dtype == "c8" else 0)
    coords = {"Y": ("Y", 5.0 - 0.5 * np.arange(9), {"units": "nm"}), "X": np.arange(11.0), "Frame": np.arange(3)}
    data = xr.DataArray(values.astype(dtype), coords, ("Y", "Frame", "X"), "Height", {"units": "V", "date": "today"})
    return usidx.set_roles(data, position=["Y", "X"], spectroscopic="Frame")


@pytest.mark.parametrize("chunks", [None, {"Y": 4, "X": 3}, {"Y": 1, "X": 11, "Frame": 1}])
@pytest.mark.parametrize("dtype", ["f8", "f4", "u1", "c8"])
def test_each_window_is_a_part_of_the_image(dtype: str, chunks: Any) -> None:
    data = make_images(dtype)
    found = usidx.image.windows(data if chunks is None else data.chunk(chunks), (4, 3), (2, 1))
    assert found.dims == ("Y", "Frame", "X", "Y_window", "X_window")
    assert found.shape == (3, 3, 9, 4, 3)
    assert found.dtype == data.dtype
    assert (found.chunks is None) == (chunks is None)
    for row in range(3):
        for column in range(9):
            part = data.values[2 * row : 2 * row + 4, :, column : column + 3]
            np.testing.assert_array_equal(found[row, :, column], part.transpose(1, 0, 2))


def test_nothing_is_copied() -> None:
    data = make_images()
    assert np.shares_memory(data.values, usidx.image.windows(data, 4, 2).values)


def test_coordinates_are_those_of_the_centers_and_from_there() -> None:
    data = make_images()
    found = usidx.image.windows(data, (4, 3), (2, 1))
    np.testing.assert_allclose(found.Y, [4.25, 3.25, 2.25])
    np.testing.assert_allclose(found.X, np.arange(1.0, 10.0))
    np.testing.assert_allclose(found.Y_window, [0.75, 0.25, -0.25, -0.75])
    assert found.Y_window.units == "nm"
    assert found.attrs["units"] == "V"
    assert "date" not in found.attrs
    assert usidx.position_dims(found) == ("Y", "X")
    assert usidx.spectroscopic_dims(found) == ("Frame", "Y_window", "X_window")


def test_inside_windows_of_an_uneven_axis_samples_are_counted() -> None:
    data = make_images().assign_coords(X=("X", np.arange(11.0) ** 2, {"units": "nm"}))
    found = usidx.image.windows(data, 3, 1, dims=("Y", "X"))
    np.testing.assert_allclose(found.X_window, [-1, 0, 1])
    assert "units" not in found.X_window.attrs
    np.testing.assert_allclose(found.X[:2], [5 / 3, 14 / 3])


def test_what_cannot_be_cut_is_refused() -> None:
    data = make_images()
    with pytest.raises(SelectionError, match="window of 12 samples is wider than 'Y', which has 9"):
        usidx.image.windows(data, (12, 3), 1)
    for size in (0, 2.5, (1, 2, 3), np.nan, "four"):
        with pytest.raises(UsidError, match="size="):
            usidx.image.windows(data, size, 1)  # type: ignore[arg-type]
    with pytest.raises(SelectionError, match="'Y_window' is there already"):
        usidx.image.windows(data.rename(Frame="Y_window"), 2)
