"""Fitted Gaussians beside SciPy's, in the same windows."""

from typing import Any

import numpy as np
import pytest
from scipy.optimize import curve_fit

from usidx.image.kernels.gaussians import fit_groups

GRID = np.mgrid[:40, :44].astype(float)


def shine(place: Any, *atoms: float) -> Any:
    """Return the sum of elliptic Gaussians, six parameters each, and their ground, which comes last."""
    made = np.full(place[0].shape, atoms[-1])
    for k in range(len(atoms) // 6):
        height, y, x, a, b, c = atoms[6 * k : 6 * k + 6]
        v, u = place[0] - y, place[1] - x
        made = made + height * np.exp(-(a * v * v + 2 * b * v * u + c * u * u) / 2)
    return made


@pytest.mark.parametrize("overlap", [False, True])
def test_one_atom_is_that_of_scipy(overlap: bool) -> None:
    truth = (2.0, 20.3, 21.6, 0.2, 0.05, 0.3, 0.4)
    image = shine(GRID, *truth) + 0.02 * np.random.default_rng(0).normal(size=GRID[0].shape)
    start = np.array([[1.8, 20.0, 22.0, 0.25, 0.0, 0.25, 0.3]])
    window = np.array([[1.0, 0.0, 1.0]]) / 49
    found, variances, settled = fit_groups(
        image, start, window, np.array([0, 1]), np.array([False]), ratio=0.0, overlap=overlap
    )
    inside = (GRID[0] - 20) ** 2 + (GRID[1] - 22) ** 2 <= 49
    expected, covariance = curve_fit(shine, GRID[:, inside], image[inside], p0=truth)
    assert settled.all()
    np.testing.assert_allclose(found[0], expected, rtol=2e-3)
    np.testing.assert_allclose(variances[0, [0, 1, 2, 3, 4, 5, 9]], np.diag(covariance), rtol=0.05)
    told = [covariance[3, 4], covariance[3, 5], covariance[4, 5]]
    np.testing.assert_allclose(variances[0, 6:9], told, rtol=0.05, atol=1e-8)


def test_two_that_overlap_are_fitted_as_by_scipy_and_missing_pixels_do_not_count() -> None:
    truth = (2.0, 20.3, 17.0, 0.25, 0.02, 0.3, 1.5, 19.0, 22.5, 0.3, 0.0, 0.25, 0.4)
    image = shine(GRID, *truth) + 0.02 * np.random.default_rng(1).normal(size=GRID[0].shape)
    image[18:21, 19] = np.nan
    start = np.array([[*truth[:6], 0.3], [*truth[6:12], 0.3]])
    start[:, 1:3] = np.rint(start[:, 1:3])
    windows = np.array([[1.0, 0.0, 1.0]] * 2) / 49
    found, variances, settled = fit_groups(
        image, start, windows, np.array([0, 2]), np.array([False]), ratio=0.0, overlap=True
    )
    inside = np.isfinite(image)
    inside &= np.minimum(*[(GRID[0] - y) ** 2 + (GRID[1] - x) ** 2 for y, x in start[:, 1:3]]) <= 49
    expected, covariance = curve_fit(shine, GRID[:, inside], image[inside], p0=truth)
    assert settled.all()
    np.testing.assert_allclose(found[:, 1:3].ravel(), expected[[1, 2, 7, 8]], atol=2e-3)
    np.testing.assert_allclose(variances[:, 1:3].ravel(), np.diag(covariance)[[1, 2, 7, 8]], rtol=0.05)
    assert found[0, 6] == found[1, 6]


def test_what_cannot_be_fitted_is_not_settled() -> None:
    image = np.full((40, 44), np.nan)
    image[:5, :5] = 1.0
    start = np.array([[1.0, 20.0, 22.0, 0.25, 0.0, 0.25, 0.0], [1.0, 2.0, 2.0, 0.25, 0.0, 0.25, 0.0]])
    windows = np.array([[1.0, 0.0, 1.0]] * 2) / 36
    held = np.array([False, False])
    _, _, settled = fit_groups(image, start, windows, np.array([0, 1, 2]), held, ratio=0.0, overlap=False)
    assert not settled.any()
