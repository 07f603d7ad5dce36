"""Centers of mass beside sums in NumPy, and beside disks of a known place."""

import numpy as np
import pytest
import xarray as xr

import usidx
from tests.diffraction.scans import BACKINGS, DTYPES, make_scan, spread
from usidx.diffraction import Annulus, center_of_mass, find_center, phase_contrast
from usidx.errors import UsidError


def expect(values: np.ndarray, ky: np.ndarray, kx: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    weighed = values * counts
    total = weighed.sum(axis=(2, 3))
    return (weighed * ky).sum(axis=(2, 3)) / total, (weighed * kx).sum(axis=(2, 3)) / total


@pytest.mark.parametrize("backing", BACKINGS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_center_of_mass_is_the_weighed_mean(dtype: str, backing: str) -> None:
    scan = make_scan(dtype, backing, ("ky", "Y", "kx", "X"))
    values, ky, kx = spread(scan)
    found = center_of_mass(scan)
    for name, expected in zip("yx", expect(values, ky, kx, np.ones((9, 11))), strict=True):
        np.testing.assert_allclose(found[name], expected, rtol=2e-6 if dtype == "f4" else 1e-12)
        assert found[name].dims == ("Y", "X")
        assert found[name].units == "mrad"
        assert found[name].dtype == ("f4" if dtype == "f4" else "f8")
        assert (found[name].chunks is None) == (backing == "memory")


def test_only_some_pixels_count() -> None:
    scan = make_scan("u2")
    values, ky, kx = spread(scan)
    distance = np.hypot(ky - 1, kx - 1.5)
    ring = (distance >= 0.4) & (distance < 1.3)
    mask = xr.DataArray(np.random.default_rng(0).random((11, 9)) < 0.2, dims=("kx", "ky"))
    expected = expect(values, ky, kx, ring & ~mask.values.T)
    for annulus in (Annulus((1, 1.5), 0.4, 1.3), (0.4, 1.3)):
        found = center_of_mass(scan, mask, annulus, (1, 1.5))
        np.testing.assert_allclose(found.y, expected[0] - 1, rtol=1e-11)
        np.testing.assert_allclose(found.x, expected[1] - 1.5, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("backing", ["memory", "blocks"])
def test_each_position_may_have_a_center_of_its_own(backing: str) -> None:
    scan = make_scan("f4", backing)
    whole = center_of_mass(scan)
    moved = center_of_mass(scan, center=whole)
    assert float(abs(moved.y).max()) == float(abs(moved.x).max()) == 0
    assert moved.y.dtype == "f4"
    row = center_of_mass(scan, center=whole.mean("Y"))
    np.testing.assert_allclose(row.y, whole.y - whole.y.mean("Y"), atol=1e-6)
    assert row.y.dims == ("Y", "X")
    np.testing.assert_allclose(center_of_mass(scan, center=find_center(scan, "mass")).y.mean(), 0, atol=0.02)
    with pytest.raises(UsidError, match="other positions"):
        center_of_mass(scan, center=whole.isel(Y=slice(1, None)).compute())
    with pytest.raises(UsidError, match="'T'"):
        center_of_mass(scan, center=xr.Dataset({"y": ("T", [1.0]), "x": ("T", [1.0])}))


def test_what_is_missing_or_dark_is_nan() -> None:
    scan = make_scan("f8").copy(deep=True)
    scan[0, 0], scan[1, 1, 2, 3], scan[2, 2] = 0.0, np.nan, np.nan
    found = center_of_mass(scan)
    assert np.argwhere(np.isnan(found.y.values)).tolist() == [[0, 0], [1, 1], [2, 2]]
    assert np.isnan(found.x.values[[0, 1, 2], [0, 1, 2]]).all()
    with pytest.raises(UsidError, match="around no point"):
        center_of_mass(scan, annulus=(1, 2))
    with pytest.raises(UsidError, match="two radii"):
        center_of_mass(scan, annulus=3, center=(0, 0))  # type: ignore[arg-type]


def test_a_pattern_that_moves_moves_its_center() -> None:
    pattern = np.zeros((1, 30, 40))
    pattern[0, 8:14, 9:20] = np.random.default_rng(0).random((6, 11))
    moved = np.roll(pattern, (5, -3), (1, 2))
    scan = xr.DataArray(np.concatenate([pattern, moved]), dims=("X", "ky", "kx"))
    found = center_of_mass(scan, dims=("ky", "kx"))
    np.testing.assert_allclose(found.y.diff("X"), 5, rtol=1e-12)
    np.testing.assert_allclose(found.x.diff("X"), -3, rtol=1e-12)


def test_known_deflections_are_found() -> None:
    scan, truth = usidx.simulate.diffraction((6, 7), (48, 40), noise="none", dtype="f8", center=(1.5, -0.5))
    found = center_of_mass(scan, center=(1.5, -0.5))
    for name in "yx":
        np.testing.assert_allclose(found[name], truth[f"deflection_{name}"], atol=0.01)
    counted, _ = usidx.simulate.diffraction((6, 7), (48, 40), counts=1e6)
    rms = float(np.sqrt(((center_of_mass(counted).y - truth.deflection_y) ** 2).mean()))
    assert rms < 0.02  # the scatter of 1e6 electrons over some mrad is 0.006


def test_positions_may_be_called_y_and_x_too() -> None:
    scan = make_scan("f8")
    plain, beam = center_of_mass(scan), find_center(scan)
    named = scan.rename(Y="y", X="x")
    found = center_of_mass(named, center=find_center(named))
    assert list(found) == ["com_y", "com_x"]
    np.testing.assert_allclose(found.com_y, plain.y - beam.y, atol=1e-12)
    np.testing.assert_allclose(found.com_x, plain.x - beam.x, atol=1e-12)
    assert (found.com_x.units, found.com_x.long_name) == (plain.x.units, plain.x.long_name)
    own = center_of_mass(named, center=center_of_mass(named))
    assert float(abs(own.com_y).max()) == float(abs(own.com_x).max()) == 0
    np.testing.assert_allclose(phase_contrast(found), phase_contrast(plain), atol=1e-12)
    one = find_center(named[1, 2])
    assert list(one) == ["center_y", "center_x", "radius"]
    assert float(one.center_y) == float(find_center(scan[1, 2]).y)
    assert float(one.y) == 0.5
    np.testing.assert_allclose(center_of_mass(named[1, 2], center=one).com_y, plain.y[1, 2] - one.center_y)


def test_pixels_called_y_and_x_are_in_nobodys_way() -> None:
    scan = make_scan("f8").rename(ky="y", kx="x")
    assert list(center_of_mass(scan)) == list(find_center(scan, "mass")) == ["y", "x"]
