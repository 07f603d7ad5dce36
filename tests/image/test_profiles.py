"""Lines and rings beside SciPy and closed forms."""

from typing import Any

import numpy as np
import pytest
import scipy.ndimage
import xarray as xr

import usidx
from tests.image.test_windowing import make_images
from usidx.errors import SelectionError, UnitsError, UsidError


@pytest.mark.parametrize("chunks", [None, {"Y": 4, "X": 3, "Frame": 2}])
@pytest.mark.parametrize("dtype", ["f8", "f4", "c8", "u1"])
def test_profile_is_what_scipy_interpolates(dtype: str, chunks: Any) -> None:
    data = make_images(dtype).assign_coords(X=("X", np.arange(11.0), {"units": "nm", "usid_role": "position"}))
    found = usidx.image.profile(data if chunks is None else data.chunk(chunks), (4.5, 1.0), (1.5, 8.2))
    length = np.hypot(3.0, 7.2)
    assert found.dims == ("distance", "Frame")
    assert found.distance.units == "nm"
    np.testing.assert_allclose(found.distance, np.linspace(0, length, round(length / 0.5) + 1))
    share = found.distance.values / length
    places = [(5.0 - (4.5 - 3.0 * share)) / 0.5, 1.0 + 7.2 * share]
    for number in range(3):
        image = data.isel(Frame=number).values
        wanted = scipy.ndimage.map_coordinates(image.astype("c16" if dtype == "c8" else "f8"), places, order=1)
        np.testing.assert_allclose(found.isel(Frame=number), wanted, rtol=1e-4, atol=1e-4)


def test_a_wide_line_is_averaged_over_what_counts() -> None:
    y, x = np.mgrid[:20, :30]
    image = xr.DataArray(1.0 * x + 100 * (y % 2), dims=("Y", "X"))
    found = usidx.image.profile(image, (10, 3), (10, 12), width=4, dims=("Y", "X"))
    np.testing.assert_allclose(found, np.arange(3, 13) + 50.0)
    image[8:, 5] = np.nan
    found = usidx.image.profile(image, (10, 5), (10, 7), width=1, dims=("Y", "X"))
    assert np.isnan(found.values).tolist() == [True, False, False]
    beyond = usidx.image.profile(image, (10, 27), (10, 33), dims=("Y", "X"))
    assert np.isnan(beyond.values).tolist() == [False] * 3 + [True] * 4


def test_uneven_axes_and_the_nearest_sample() -> None:
    image = xr.DataArray(np.tile([0.0, 1.0, 10.0], (3, 1)), dims=("Y", "X"), coords={"X": [0.0, 1.0, 10.0]})
    image = image.assign_coords(Y=[0.0, 1.0, 2.0])
    found = usidx.image.profile(image, (1, 0), (1, 10), dims=("Y", "X"))
    np.testing.assert_allclose(found, found.distance)
    nearest = usidx.image.profile(image, (1, 0), (1, 10), method="nearest", dims=("Y", "X"))
    assert set(nearest.values) == {0.0, 1.0, 10.0}


@pytest.mark.parametrize("dtype", ["f8", "f4", "c8"])
def test_rings_are_means_of_what_counts(dtype: str) -> None:
    rng = np.random.default_rng(0)
    data = xr.DataArray(rng.normal(size=(2, 17, 21)).astype(dtype), dims=("Frame", "Y", "X"))
    data = data.assign_coords(Y=0.5 * np.arange(17), X=10 - 0.5 * np.arange(21))
    data[0, 3, 4] = np.nan
    found = usidx.image.radial_mean(data, (3.0, 6.0), dims=("Y", "X"))
    radius = np.hypot(*np.meshgrid(data.Y - 3.0, data.X - 6.0, indexing="ij"))
    for number, one in enumerate(found.radius.values):
        ring = (np.rint(radius / 0.5) * 0.5 == one)[np.newaxis] & np.isfinite(data.values)
        wanted = [data.values[k][ring[k]].mean() for k in range(2)]
        np.testing.assert_allclose(found.isel(radius=number), wanted, rtol=1e-4, atol=1e-6)
    assert found.dims == ("Frame", "radius")
    assert found.dtype == data.dtype
    lazy = usidx.image.radial_mean(data.chunk({"Y": 5}), (3.0, 6.0), dims=("Y", "X"))
    np.testing.assert_allclose(lazy.compute(), found)


def test_rings_do_not_step_where_they_leave_the_image() -> None:
    y, x = np.mgrid[:40, :60]
    image = xr.DataArray(np.exp(-np.hypot(y - 20, x - 10) / 20), dims=("Y", "X"))
    found = usidx.image.radial_mean(image, (20, 10), bins=25, dims=("Y", "X"))
    np.testing.assert_allclose(found, np.exp(-found.radius / 20), rtol=0.02)


def test_what_has_no_distance_is_refused() -> None:
    data = make_images()
    with pytest.raises(UnitsError, match="no distances between 'Y' in 'nm' and 'X' in None"):
        usidx.image.profile(data, (3, 1), (4, 5))
    image = xr.DataArray(np.zeros((4, 5)), dims=("Y", "X"))
    for options in ({"width": -1}, {"end": (0, 0)}, {"method": "cubic"}, {"start": 3.0j}):
        arguments: dict[str, Any] = {"start": (0, 0), "end": (2, 2), **options}
        with pytest.raises(UsidError):
            usidx.image.profile(image, dims=("Y", "X"), **arguments)
    with pytest.raises(UsidError, match="bins=0"):
        usidx.image.radial_mean(image, bins=0, dims=("Y", "X"))
    with pytest.raises(SelectionError, match="'radius' is there already"):
        usidx.image.radial_mean(image.assign_coords(radius=1), dims=("Y", "X"))
    with pytest.raises(UnitsError, match="should ascend or descend"):
        usidx.image.radial_mean(image.assign_coords(X=[0, 1, 0, 1, 2]), dims=("Y", "X"))


def test_a_line_to_the_edge_of_coordinates_in_single_precision() -> None:
    place = np.linspace(0, 1e-6, 26).astype("f4")  # ends beside 1e-6
    image = xr.DataArray(np.ones((26, 26)), {"Y": place, "X": place}, ("Y", "X"))
    for end in (1e-6, 0.1 * np.arange(11)[10] * 1e-6):
        found = usidx.image.profile(image, (0.0, 0.0), (end, end), dims=("Y", "X"))
        np.testing.assert_allclose(found, 1)
