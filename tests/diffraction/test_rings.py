"""Means over rings beside NumPy's histograms."""

import numpy as np
import pytest
import xarray as xr

from tests.diffraction.scans import BACKINGS, DTYPES, make_scan, spread
from usidx.diffraction import calibrate, radial_mean
from usidx.errors import UsidError


@pytest.mark.parametrize("backing", BACKINGS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_each_ring_is_the_mean_of_its_pixels(dtype: str, backing: str) -> None:
    scan = make_scan(dtype, backing)
    values, ky, kx = spread(scan)
    distance = np.hypot(ky - 1.1, kx - 1.3)
    edges = np.linspace(0, distance.max(), 8)
    count = np.histogram(distance, edges)[0]
    expected = [[np.histogram(distance, edges, weights=v)[0] / count for v in row] for row in values]
    found = radial_mean(scan, (1.1, 1.3), 7)
    np.testing.assert_allclose(found, expected, rtol=2e-6 if dtype == "f4" else 1e-12)
    assert found.dims == ("Y", "X", "radius")
    np.testing.assert_allclose(found.radius, (edges[1:] + edges[:-1]) / 2)
    assert (found.units, found.radius.units) == ("counts", "mrad")
    assert found.dtype == ("f4" if dtype == "f4" else "f8")


@pytest.mark.parametrize("backing", ["memory", "blocks"])
def test_only_known_pixels_count(backing: str) -> None:
    scan = make_scan("f8").copy(deep=True)
    scan[1, 1, 4, 5], scan[2, 0] = np.nan, np.nan
    mask = xr.zeros_like(scan[0, 0], dtype=bool)
    mask[3, 3:6] = True
    edges = [0.2, 0.5, 0.51, 1.5]
    distance = np.hypot(scan.ky.values[:, None] - 1.1, scan.kx.values - 1.3)
    expected = np.full((4, 3, 3), np.nan)
    for y, x, ring in np.ndindex(expected.shape):
        inside = (distance >= edges[ring]) & (distance < edges[ring + 1]) & ~mask.values
        inside &= np.isfinite(scan.values[y, x])
        if inside.any():
            expected[y, x, ring] = scan.values[y, x][inside].mean()
    assert np.isnan(expected[..., 1]).all()
    assert np.isfinite(expected[1, 1, 0])
    given = scan.chunk(BACKINGS[backing]) if backing != "memory" else scan
    np.testing.assert_allclose(radial_mean(given, (1.1, 1.3), edges, mask=mask), expected, rtol=1e-12)


def test_rings_are_a_pixel_wide_and_around_zero() -> None:
    scan = make_scan("u2")
    found = radial_mean(calibrate(scan, center=(1.0, 1.25)))
    xr.testing.assert_allclose(found, radial_mean(scan, (1.0, 1.25)))
    assert 0.2 < float(found.radius.diff("radius")[0]) < 0.3
    level = radial_mean(xr.ones_like(scan), (0, 0), 5)
    assert (level == 1).all()


@pytest.mark.parametrize("bins", [0, 2.5, [1.0], [2.0, 1.0], [0.0, np.inf]])
def test_what_are_no_rings(bins: object) -> None:
    with pytest.raises(UsidError, match="bins="):
        radial_mean(make_scan("u2"), (0, 0), bins)  # type: ignore[arg-type]
