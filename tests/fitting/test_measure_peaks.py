"""Width at half maximum, area and height of fitted peaks, beside integrals, roots and scatter."""

from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose
from scipy.integrate import quad
from scipy.optimize import brentq, curve_fit

from usidx.errors import ResultError
from usidx.fitting.fit import fit
from usidx.fitting.measure_peaks import measure_peaks
from usidx.models import (
    Constant,
    Gaussian,
    Gaussian2D,
    Linear,
    Lorentzian,
    Model,
    PseudoVoigt,
    SkewedGaussian,
    SplitGaussian,
    Voigt,
)
from usidx.results.provenance import read_steps

X = np.linspace(-20, 20, 801)
SHAPES: list[tuple[Model, dict[str, float], float]] = [
    (Gaussian(), {"sigma": 1.2}, 1e-9),
    (Gaussian("height"), {"sigma": 1.2}, 1e-9),
    (Lorentzian(), {"sigma": 0.8}, 1e-9),
    (Lorentzian("height"), {"sigma": 0.8}, 1e-9),
    (Voigt(), {"sigma": 0.7, "gamma": 0.5}, 3e-4),
    (PseudoVoigt(), {"sigma": 0.9, "fraction": 0.3}, 1e-9),
    (PseudoVoigt("height"), {"sigma": 0.9, "fraction": 0.3}, 1e-9),
    (SplitGaussian(), {"sigma_left": 0.6, "sigma_right": 1.3}, 1e-9),
    (SplitGaussian("height"), {"sigma_left": 0.6, "sigma_right": 1.3}, 1e-9),
]


@pytest.mark.parametrize(("model", "widths", "near"), SHAPES, ids=lambda v: repr(v)[:24])
def test_figures_are_those_of_the_curve(model: Model, widths: dict[str, float], near: float) -> None:
    at = {"amplitude": 2.0, "center": 0.3, **widths}
    data = xr.DataArray(model(X, **at), dims="x", coords={"x": ("x", X, {"units": "eV"})}, attrs={"units": "V"})
    start = {n: v * 1.1 for n, v in at.items() if n != "amplitude"}
    found = measure_peaks(fit(data, model, covariance=True, start=start))

    def curve(x: float) -> float:
        return float(model(x, **at))

    top = curve(0.3)
    edges = [brentq(lambda x: curve(x) - top / 2, 0.3, 0.3 + s * 10) for s in (-1, 1)]
    area = 2 * quad(curve, 0.3, np.inf)[0] if "sigma_left" not in widths else quad(curve, -20, 20, points=[0.3])[0]
    assert_allclose(found.fwhm, edges[1] - edges[0], rtol=max(near, 1e-6))
    assert_allclose(found.area, area, rtol=1e-6)
    assert_allclose(found.height, top, rtol=1e-6)
    assert [found[n].attrs["units"] for n in ("fwhm", "area", "height", "height_stderr")] == ["eV", "V eV", "V", "V"]


@pytest.mark.parametrize("lazy", [False, True])
def test_errors_are_propagated_from_the_covariance(lazy: bool) -> None:
    rng = np.random.default_rng(0)
    x = np.linspace(-4, 4, 60)
    clean = 3 * np.exp(-0.5 * (x / 0.8) ** 2) + 0.5
    data = xr.DataArray(clean + 0.1 * rng.normal(size=(400, 60)), dims=("p", "x"), coords={"x": x})
    result = fit(data.chunk(p=100) if lazy else data, Gaussian() + Constant(), "x", covariance=True)
    found = measure_peaks(result).compute()
    for name in ("height", "area", "fwhm"):
        assert_allclose(found[f"{name}_stderr"].mean(), found[name].std(), rtol=0.12)

    def model(x: Any, height: float, center: float, sigma: float, offset: float) -> Any:
        return height * np.exp(-0.5 * ((x - center) / sigma) ** 2) + offset

    theirs, spread = curve_fit(model, x, data[0].values, [3, 0, 0.8, 0.5])
    assert_allclose([found.height[0], found.height_stderr[0]], [theirs[0], np.sqrt(spread[0, 0])], rtol=1e-3)
    slope = np.sqrt(2 * np.pi) * np.array([theirs[2], 0, theirs[0], 0])
    assert_allclose(found.area_stderr[0], np.sqrt(slope @ spread @ slope), rtol=1e-3)
    assert [s["tool"] for s in read_steps(found)] == ["fit", "measure_peaks"]


def test_sum_of_peaks_has_figures_with_prefixes() -> None:
    x = np.linspace(-6, 6, 200)
    model = Gaussian(prefix="a_") + Lorentzian(prefix="b_") + Linear()
    at = {"a_amplitude": 2.0, "a_center": -2.0, "a_sigma": 0.5, "b_amplitude": 3.0, "b_center": 2.0, "b_sigma": 0.4}
    data = xr.DataArray(model(x, **at, slope=0.1, intercept=0.2), dims="x", coords={"x": x})
    found = measure_peaks(fit(data, model, covariance=True))
    assert_allclose([found.a_fwhm, found.b_fwhm], [2.354820045 * 0.5, 0.8], rtol=1e-6)
    assert_allclose([found.a_area, found.b_area], [2.0, 3.0], rtol=1e-6)
    assert "slope_area" not in found


def test_where_the_fit_failed_there_is_nan_and_on_a_bound_no_error() -> None:
    x = np.linspace(-4, 4, 60)
    values = np.stack([3 * np.exp(-0.5 * (x / 0.8) ** 2), np.full(60, np.nan)])
    data = xr.DataArray(values, dims=("p", "x"), coords={"x": x})
    found = measure_peaks(fit(data, Gaussian(), "x", covariance=True, bounds={"sigma": (1.0, 2.0)}))
    assert_allclose(found.fwhm[0], 2.354820045, rtol=1e-6)
    assert np.isnan(found.fwhm_stderr).all()
    assert np.isnan(found.height[1])
    assert np.isfinite(found.area_stderr[0])


def test_figures_of_one_parameter_need_no_covariance() -> None:
    x = np.linspace(-4, 4, 60)
    data = xr.DataArray(3 * np.exp(-0.5 * (x / 0.8) ** 2) + 0.01 * np.sin(9 * x), dims="x", coords={"x": x})
    plain = fit(data, Gaussian("height"), fixed={"sigma": 0.8})
    found = measure_peaks(plain)
    assert_allclose(found.area, plain.amplitude * 0.8 * np.sqrt(2 * np.pi), rtol=1e-12)
    assert_allclose(found.area_stderr, plain.amplitude_stderr * 0.8 * np.sqrt(2 * np.pi), rtol=1e-12)
    assert_allclose(found.fwhm_stderr, 0.0)
    with pytest.raises(ResultError, match=r"'amplitude' and 'sigma' go together.*Fit with covariance=True"):
        measure_peaks(fit(data, Gaussian()))


def test_peaks_in_images_and_skewed_ones() -> None:
    y, x = np.linspace(-3, 3, 25), np.linspace(-4, 4, 31)
    model = Gaussian2D("height")
    at = {"amplitude": 2.0, "center_x": 0.2, "center_y": -0.1, "sigma_x": 1.1, "sigma_y": 0.6, "rotation": 0.4}
    image = xr.DataArray(model(y[:, None], x, **at), dims=("Y", "X"), coords={"Y": y, "X": x})
    found = measure_peaks(fit(image, model, ("Y", "X"), covariance=True))
    assert_allclose([found.fwhm_x, found.fwhm_y], [2.354820045 * 1.1, 2.354820045 * 0.6], rtol=1e-6)
    assert_allclose(found.volume, 2 * 2 * np.pi * 1.1 * 0.6, rtol=1e-6)
    skewed = SkewedGaussian()(X, amplitude=2.0, center=0.0, sigma=1.0, gamma=1.0)
    only = measure_peaks(fit(xr.DataArray(skewed, dims="x", coords={"x": X}), SkewedGaussian(), covariance=True))
    assert set(only) == {"area", "area_stderr"}


def test_what_has_no_peak_is_refused() -> None:
    line = xr.DataArray(np.arange(9.0), dims="x")
    with pytest.raises(ResultError, match="has no peak whose width or area is known"):
        measure_peaks(fit(line, Linear()))
    with pytest.raises(ResultError, match="does not come from a fit"):
        measure_peaks(xr.Dataset())
