"""Mean patterns, centers, calibrated detectors and hot pixels."""

from typing import Any

import numpy as np
import pytest
import xarray as xr

import usidx
from tests.diffraction.scans import BACKINGS, DTYPES, make_scan, spread
from usidx.diffraction import calibrate, find_center, find_hot_pixels, mean_pattern, remove_hot_pixels
from usidx.errors import RoleError, UsidError


@pytest.mark.parametrize("backing", BACKINGS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_mean_pattern(dtype: str, backing: str) -> None:
    scan = make_scan(dtype, backing, ("Y", "kx", "X", "ky"))
    values, _, _ = spread(scan)
    mask = xr.DataArray(np.arange(9) == 4, dims="ky")
    found = mean_pattern(scan, mask=mask, dims=("ky", "kx"))
    expected = np.where(np.arange(9)[:, None] == 4, np.nan, values.mean(axis=(0, 1)))
    np.testing.assert_allclose(found, expected, rtol=1e-6 if dtype == "f4" else 1e-14)
    assert found.dims == ("ky", "kx")
    assert found.units == "counts"
    assert found.dtype == ("f4" if dtype == "f4" else "f8")
    assert (found.chunks is None) == (backing == "memory")
    assert set(found.coords) == {"ky", "kx"}


def test_the_mean_is_of_what_is_known() -> None:
    scan = make_scan("f4").copy(deep=True)
    scan[0, 0], scan[:, :, 2, 2], scan[1, 1, 3, 3] = np.nan, np.nan, np.inf
    known = np.where(np.isfinite(scan.values), scan.values, np.nan).astype("f8")
    with np.errstate(invalid="ignore"):
        expected = np.where(np.arange(99).reshape(9, 11) == 24, np.nan, np.nansum(known, axis=(0, 1)))
    expected = expected / np.isfinite(known).sum(axis=(0, 1)).clip(1)
    for given in (scan, scan.chunk({"Y": 1})):
        np.testing.assert_allclose(mean_pattern(given), expected, rtol=1e-6)
    one = scan[2, 2]
    np.testing.assert_array_equal(mean_pattern(one), one)
    beside = mean_pattern(make_scan("u2"), mask=xr.DataArray(np.arange(4) > 0, dims="Y"))
    np.testing.assert_allclose(beside, make_scan("u2")[0].mean("X"))


@pytest.mark.parametrize("chunks", [None, {"Y": 2}])
@pytest.mark.parametrize("method", ["disk", "mass", "inversion"])
def test_the_beam_is_found(method: Any, chunks: dict[str, int] | None) -> None:
    scan, _ = usidx.simulate.diffraction((6, 6), (48, 40), center=(3.25, -2.5), deflection=0.0, chunks=chunks)
    found = find_center(scan, method)
    assert float(found.y) == pytest.approx(3.25, abs=0.1)
    assert float(found.x) == pytest.approx(-2.5, abs=0.1)
    assert found.y.units == "mrad"
    assert (found.y.chunks is None) == (chunks is None)
    if method == "disk":
        assert float(found.radius) == pytest.approx(8.0, abs=0.2)
    turned = find_center(scan.isel(detector_Y=slice(None, None, -1)), method)
    assert float(turned.y) == pytest.approx(3.25, abs=0.1)
    moved = calibrate(scan, center=found)
    assert float(find_center(moved, method).y) == pytest.approx(0, abs=1e-6)


def test_a_pattern_without_anything_has_no_center() -> None:
    nothing = xr.DataArray(np.full((5, 5), np.nan), dims=("ky", "kx"))
    methods: tuple[Any, ...] = ("disk", "mass", "inversion")
    for method in methods:
        assert np.isnan(find_center(nothing, method, dims=("ky", "kx")).y)
    with pytest.raises(UsidError, match="method='com'; it should be one of disk, mass, inversion"):
        find_center(nothing, "com")  # type: ignore[arg-type]


def test_calibrate() -> None:
    scan = make_scan("u2", "blocks")
    found = calibrate(scan, center=(1.0, 0.5), scale=(2.0, -4.0), units="1/nm")
    np.testing.assert_allclose(found.ky, (scan.ky - 1.0) * 2)
    np.testing.assert_allclose(found.kx, (scan.kx - 0.5) * -4)
    assert found.ky.units == found.kx.units == "1/nm"
    assert found.ky.usid_role == "spectroscopic"
    assert found.data is scan.data
    assert calibrate(scan, center=(1.0, 0.5)).ky.units == "mrad"
    assert "units" not in calibrate(scan, scale=2.0).ky.attrs
    for scale in (0, np.nan, (1, 2, 3), "a"):
        with pytest.raises(UsidError, match="scale="):
            calibrate(scan, scale=scale)  # type: ignore[arg-type]


@pytest.mark.parametrize("chunks", [None, {"Y": 2}])
def test_hot_pixels_are_found_and_disks_are_not(chunks: dict[str, int] | None) -> None:
    scan, _ = usidx.simulate.diffraction((6, 6), (48, 40), deflection=0.0)
    hot = np.zeros((48, 40), bool)
    hot[[0, 10, 10, 24, 40], [0, 7, 8, 20, 39]] = True
    dirty = scan.copy(deep=True)
    dirty.values[..., hot] += np.uint16(900)
    given = dirty if chunks is None else dirty.chunk(chunks)
    found = find_hot_pixels(given)
    np.testing.assert_array_equal(found, hot)
    assert found.dtype == bool
    assert not find_hot_pixels(scan).any()
    for clean in (remove_hot_pixels(given), remove_hot_pixels(given, found.T)):
        assert (clean.dtype, clean.dims) == (scan.dtype, scan.dims)
        np.testing.assert_array_equal(clean.values[..., ~hot], scan.values[..., ~hot])
        around = np.delete(scan.values[..., 23:26, 19:22].reshape(6, 6, 9), 4, axis=-1)
        np.testing.assert_array_equal(clean.values[..., 24, 20], np.rint(np.median(around, axis=-1)))
        assert abs(clean.values[..., hot].astype(int) - scan.values[..., hot]).max() < 60
    assert int(dirty[0, 0, 0, 0]) >= 900  # what was given is as it was


def test_floats_keep_their_missing_pixels() -> None:
    scan = usidx.simulate.diffraction((4, 4), (24, 24), radius=5.0, dtype="f4")[0]
    scan[..., 3, 3], scan[..., 12, 12] = np.nan, 4000.0
    found = find_hot_pixels(scan)
    assert np.argwhere(found.values).tolist() == [[12, 12]]
    clean = remove_hot_pixels(scan)
    assert clean.dtype == "f4"
    assert np.isnan(clean[..., 3, 3]).all()
    alone = remove_hot_pixels(scan, xr.ones_like(found, dtype=bool))
    np.testing.assert_array_equal(alone, scan)  # no good pixel to learn from
    assert not find_hot_pixels(scan.where(False)).any()


def test_other_masks_are_refused() -> None:
    scan = make_scan("u2")
    with pytest.raises(UsidError, match="threshold=0"):
        find_hot_pixels(scan, 0)
    with pytest.raises(RoleError, match="DataArray of bool over"):
        remove_hot_pixels(scan, scan.Y > 0)
    with pytest.raises(RoleError, match=r"\(3, 11\) pixels, and the detector \(9, 11\)"):
        remove_hot_pixels(scan, xr.DataArray(np.zeros((3, 11), bool), dims=("ky", "kx")))
