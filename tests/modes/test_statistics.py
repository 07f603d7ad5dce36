"""Bias of fitted oscillators, and whether their standard errors cover the truth, on many noisy spectra."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import usidx

PARAMETERS = ("amplitude", "frequency", "quality_factor", "phase")
COUNT = 4000


@pytest.fixture(scope="module", params=[0.01, 0.1])
def pulls(request: pytest.FixtureRequest) -> xr.Dataset:
    """Return (fitted - true) / standard error of one oscillator under noise, drawn anew for each spectrum."""
    rng = np.random.default_rng(5)
    truth = {"amplitude": 5e-5, "frequency": 321.3e3, "quality_factor": 160.0, "phase": 0.7}
    band = np.linspace(300e3, 340e3, 64)
    clean = usidx.models.SHO()(band, **truth)
    level = request.param * truth["amplitude"] * truth["quality_factor"]
    noisy = clean + level * (rng.normal(size=(COUNT, 64)) + 1j * rng.normal(size=(COUNT, 64)))
    data = xr.DataArray(noisy, dims=("draw", "Frequency"), coords={"Frequency": band})
    found = usidx.sho_fit(data)
    assert bool(found.converged.all())
    return xr.Dataset({p: (found[p] - truth[p]) / found[f"{p}_stderr"] for p in PARAMETERS})


@pytest.mark.parametrize("name", PARAMETERS)
def test_fits_are_not_biased(name: str, pulls: xr.Dataset) -> None:
    # The mean of so many has a standard error of 0.016; what is not linear adds a bias of second order.
    assert abs(float(pulls[name].mean())) < 0.1
    assert abs(float(pulls[name].median())) < 0.06


@pytest.mark.parametrize(("width", "share"), [(1.0, 0.6827), (2.0, 0.9545)])
@pytest.mark.parametrize("name", PARAMETERS)
def test_standard_errors_cover_the_truth_as_often_as_they_say(
    name: str, width: float, share: float, pulls: xr.Dataset
) -> None:
    covered = float((abs(pulls[name]) < width).mean())
    assert covered == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / COUNT) + 0.005)
