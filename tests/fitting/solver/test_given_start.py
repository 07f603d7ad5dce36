"""A start that leads into another minimum, without leaving a pattern that is seen, does no harm."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose

import usidx
from usidx.models import Constant, Gaussian, Sine


@pytest.mark.parametrize("known", [{"center": 3.0}, {"center": 3.0, "sigma": 0.2}, {"amplitude": 1.0, "center": -3.0}])
def test_a_start_at_a_ripple_beside_the_peak(known: dict[str, Any]) -> None:
    rng = np.random.default_rng(4)
    x, center = np.linspace(-5, 5, 400), rng.uniform(-1, 1, (12, 1))
    # So low above the noise that a fit to a ripple of it leaves no pattern to speak of.
    y = 0.7 * np.exp(-0.5 * ((x - center) / 0.25) ** 2) + rng.normal(size=(12, 400))
    data = xr.DataArray(y, dims=("p", "x"), coords={"x": x})
    model = Gaussian("height") + Constant()
    free = usidx.fit(data, model, "x", bounds={"amplitude": (0, 5)})
    found = usidx.fit(data, model, "x", start=known, bounds={"amplitude": (0, 5)})
    assert bool((found.chi2 <= free.chi2 * (1 + 1e-6)).all())


def test_a_start_at_another_frequency() -> None:
    rng = np.random.default_rng(5)
    x, frequency = np.linspace(0, 10, 300), rng.uniform(0.8, 1.2, (10, 1))
    y = 0.5 * np.sin(2 * np.pi * frequency * x + 0.5) + rng.normal(size=(10, 300))
    found = usidx.fit(xr.DataArray(y, dims=("p", "x"), coords={"x": x}), Sine(), "x", start={"frequency": 2.5})
    assert_allclose(found.frequency, frequency[:, 0], atol=0.05)
