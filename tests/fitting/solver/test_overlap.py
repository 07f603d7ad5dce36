"""Several peaks in one spectrum, without start values: they overlap, lie on a background, or differ in sign."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr

from tests.kit.truth import gaussian
from usidx.fitting.fit import fit
from usidx.models import Constant, Gaussian, Linear, Lorentzian, Model, Polynomial, PowerLaw, Voigt

Array = npt.NDArray[Any]
X = np.linspace(-5, 5, 160)


def labelled(clean: Array, noise: float, x: Array, seed: int) -> tuple[xr.DataArray, Array]:
    """Return noisy spectra and the sum of squares that the truth leaves over."""
    shape = noise * np.random.default_rng(seed).normal(size=clean.shape)
    return xr.DataArray(clean + shape, dims=("p", "x"), coords={"x": x}), (shape**2).sum(axis=1)


def share_right(data: xr.DataArray, left: Array, model: Model) -> float:
    """Return how many fits converge to what is no worse than the truth, as the best fit always is."""
    found = fit(data, model, "x")
    return float((found.converged & (found.chi2 <= left)).mean())


@pytest.mark.parametrize("gap", [1.2, 1.5, 2.0, 3.0], ids=lambda gap: f"{2 * gap:g} sigma apart")
@pytest.mark.parametrize("background", [Constant(), Linear()], ids=["level", "slope"])
def test_two_peaks_that_overlap(gap: float, background: Model) -> None:
    rng = np.random.default_rng(1)
    draw: Any = rng.uniform
    size, center = (400, 1), draw(-2, 0, (400, 1))
    clean = gaussian(X, draw(2, 4, size), center, draw(0.4, 0.6, size), draw(-1, 1, size))
    clean = clean + gaussian(X, draw(2, 4, size), center + gap, draw(0.4, 0.6, size))
    clean = clean + (0.1 * X if isinstance(background, Linear) else 0.0)
    data, left = labelled(clean, 0.05, X, 2)
    assert share_right(data, left, Gaussian(prefix="a_") + Gaussian(prefix="b_") + background) >= 0.995


def test_three_peaks() -> None:
    rng = np.random.default_rng(3)
    x, size = np.linspace(-1, 1, 200), (300, 1)
    curved = rng.uniform(0, 1, size) + rng.uniform(-1, 1, size) * x + rng.uniform(-1, 1, size) * x**2
    for place in (-0.55, 0.0, 0.55):
        height, width = rng.uniform(1, 2, size), rng.uniform(0.06, 0.09, size)
        curved = curved + gaussian(x, height * width * 2.5066, place + rng.uniform(-0.05, 0.05, size), width)
    data, left = labelled(curved, 0.05, x, 4)
    model = Gaussian(prefix="a_") + Gaussian(prefix="b_") + Gaussian(prefix="c_") + Polynomial(2)
    assert share_right(data, left, model) >= 0.995


def test_three_lines_with_wings() -> None:
    rng = np.random.default_rng(5)
    size, clean, center = (200, 1), np.zeros((200, 1)), rng.uniform(-3, -2, (200, 1))
    for _ in range(3):
        width = rng.uniform(0.3, 0.4, size)
        clean = clean + rng.uniform(2, 5, size) / np.pi * width / ((X - center) ** 2 + width**2)
        center = center + rng.uniform(2.0, 2.5, size)
    data, left = labelled(clean, 0.02, X, 6)
    lines = Lorentzian(prefix="a_") + Lorentzian(prefix="b_") + Lorentzian(prefix="c_") + Constant()
    assert share_right(data, left, lines) >= 0.995
    # Voigt profiles hold Lorentzians, so they leave no more.
    profiles = Voigt(prefix="a_") + Voigt(prefix="b_") + Voigt(prefix="c_") + Constant()
    assert share_right(data[:50], left[:50], profiles) >= 0.96


def test_peak_beside_a_dip() -> None:
    rng = np.random.default_rng(7)
    size = (300, 1)
    clean = gaussian(X, rng.uniform(2, 4, size), rng.uniform(-2, -1, size), rng.uniform(0.4, 0.6, size))
    clean = clean - gaussian(X, rng.uniform(2, 4, size), rng.uniform(0, 1, size), rng.uniform(0.4, 0.6, size))
    data, left = labelled(clean, 0.05, X, 8)
    assert share_right(data, left, Gaussian(prefix="a_") + Gaussian(prefix="b_") + Constant()) >= 0.995


def test_power_law_of_any_exponent() -> None:
    rng = np.random.default_rng(9)
    energy = np.linspace(200, 500, 150)
    clean = rng.uniform(1e11, 1e12, (300, 1)) * energy ** rng.uniform(-3.6, -2.6, (300, 1))
    counts = rng.poisson(clean)
    data = xr.DataArray(counts, dims=("p", "x"), coords={"x": energy})
    left = ((counts - clean) ** 2).sum(axis=1)
    assert share_right(data, left, PowerLaw()) == 1.0
    assert float(fit(data, PowerLaw(), "x").nfev.median()) < 12


@pytest.mark.parametrize("noise", [0.1, 0.002])
def test_voigt_profiles_with_one_width_of_zero(noise: float) -> None:
    rng = np.random.default_rng(10)
    center, width = rng.uniform(-1, 1, (300, 1)), rng.uniform(0.3, 0.6, (300, 1))
    lorentzians = rng.uniform(2, 5, (300, 1)) / np.pi * width / ((X - center) ** 2 + width**2)
    gaussians = gaussian(X, rng.uniform(2, 5, (300, 1)), center, width)
    for clean, nothing in ((lorentzians, "sigma"), (gaussians, "gamma")):
        data, left = labelled(clean + 0.3, noise, X, 11)
        assert share_right(data, left, Voigt() + Constant()) >= 0.99
        found = fit(data, Voigt() + Constant(), "x")
        on_bound = found.status == 2
        assert 0.3 < float(on_bound.mean()) < 0.7
        assert (found[nothing].where(on_bound, 0.0) == 0.0).all()
        assert found[f"{nothing}_stderr"].where(on_bound).isnull().all()
