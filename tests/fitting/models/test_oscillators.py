"""Oscillators above cross-talk, without their phase, and driven by heat."""

from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose

import usidx
from tests.kit.truth import oscillator
from usidx.fitting.fit import fit
from usidx.fitting.models.composite import Sum
from usidx.fitting.models.model import from_description
from usidx.models import SHO, ComplexConstant, ComplexLinear, Constant, Gaussian, Linear, SHOAmplitude, ThermalSpectrum

COUNT = 200
BAND = np.linspace(306e3, 334e3, 64)


def _draw(seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    quality = np.exp(rng.uniform(np.log(20), np.log(300), COUNT))
    return {"frequency": rng.uniform(310e3, 330e3, COUNT), "quality_factor": quality}


def _label(y: Any) -> xr.DataArray:
    coords = {"Frequency": ("Frequency", BAND, {"units": "Hz"})}
    return xr.DataArray(y, dims=("p", "Frequency"), coords=coords, attrs={"units": "V"})


def _check(found: xr.Dataset, truth: dict[str, Any]) -> None:
    """The truth is found, and as far away as the errors say."""
    assert found.converged.all()
    for name, value in truth.items():
        away = (found[name] - value) / found[f"{name}_stderr"]
        assert float((abs(away) > 6).mean()) == 0.0, name
        assert 0.8 < 1.4826 * float(abs(away).median()) < 1.25, name


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("size", [0.0, 0.02, 0.3])
@pytest.mark.parametrize("line", [False, True])
def test_cross_talk_under_a_resonance(line: bool, size: float, lazy: bool) -> None:
    rng, truth = np.random.default_rng(1), _draw()
    place, quality = (truth[n][:, None] for n in ("frequency", "quality_factor"))
    y = oscillator(BAND, 1e-3, place, quality, rng.uniform(-3, 3, (COUNT, 1)))
    y = y + size * np.exp(0.7j) + line * size * (0.3 - 0.5j) * (BAND - 320e3) / 14e3
    data = _label(y + 0.002 * (rng.normal(size=y.shape) + 1j * rng.normal(size=y.shape)))
    model = SHO() + (Linear() if line else Constant())
    found = fit(data.chunk(p=70) if lazy else data, model, "Frequency").compute()
    _check(found, truth)
    if not line:
        assert_allclose(found.offset.mean() + 1j * found.offset_imag.mean(), size * np.exp(0.7j), atol=1e-4)
        assert found.offset_imag.units == "V"


def test_backgrounds_are_complex_beside_what_is() -> None:
    assert SHO() + Constant() == SHO() + ComplexConstant()
    assert Linear("cable_") + SHO() == ComplexLinear("cable_") + SHO()
    assert (Gaussian() + Constant()).names == ("amplitude", "center", "sigma", "offset")
    model = SHO() + Constant()
    assert from_description(model.describe()) == model
    before = from_description({"model": "Sum", "members": [SHO().describe(), Constant().describe()]})
    assert before == Sum((SHO(), Constant()))  # as results of before have it
    assert before.names[-1] == "offset"
    value = ComplexLinear()(BAND, slope=1.0, slope_imag=2.0, intercept=3.0, intercept_imag=4.0)
    assert_allclose(value, (1 + 2j) * BAND + 3 + 4j)


def test_a_background_is_found_by_the_name_that_was_written() -> None:
    data = _label(oscillator(BAND, 1e-3, np.array([[320e3]]), np.array([[100.0]]), 0.4) + 0.02 - 0.03j)
    found = fit(data, SHO() + Constant(), "Frequency")
    for name in ("constant", "Constant", "complex_constant"):
        assert_allclose(usidx.evaluate(found, terms=name), 0.02 - 0.03j, rtol=1e-6)


@pytest.mark.parametrize("lazy", [False, True])
def test_amplitudes_alone(lazy: bool) -> None:
    rng, truth = np.random.default_rng(2), _draw(1)
    y = abs(oscillator(BAND, 1e-3, truth["frequency"][:, None], truth["quality_factor"][:, None], 0.4))
    data = _label(y + 0.001 * rng.normal(size=y.shape))
    found = fit(data.chunk(p=70) if lazy else data, SHOAmplitude(), "Frequency").compute()
    _check(found, truth | {"amplitude": 1e-3})
    assert (found.amplitude.units, found.frequency.units, found.quality_factor.units) == ("V", "Hz", "")


@pytest.mark.parametrize("lazy", [False, True])
def test_thermal_spectra_above_a_floor(lazy: bool) -> None:
    rng, truth = np.random.default_rng(3), _draw(2)
    y = abs(oscillator(BAND, 1.0, truth["frequency"][:, None], truth["quality_factor"][:, None], 0.0)) ** 2 + 50.0
    averaged = rng.gamma(100, 1 / 100, y.shape)
    data = _label(y * averaged)
    sigma = xr.DataArray(y / 10, dims=data.dims)
    found = fit(data.chunk(p=70) if lazy else data, ThermalSpectrum() + Constant(), "Frequency", sigma=sigma).compute()
    _check(found, truth)


def test_formulas_and_derivatives() -> None:
    values = {"amplitude": 2.0, "frequency": 1.7, "quality_factor": 4.0}
    x = np.linspace(0.5, 4.0, 41)
    expected = abs(oscillator(x, 2.0, 1.7, 4.0, 0.6))
    assert_allclose(SHOAmplitude()(x, **values), expected)
    assert_allclose(ThermalSpectrum()(x, **values), expected**2 / 2.0)
    for model in (SHOAmplitude(), ThermalSpectrum()):
        slopes = model.jacobian(x, **values)
        for name, value in values.items():
            up, down = (model(x, **values | {name: value * (1 + step)}) for step in (1e-6, -1e-6))
            assert_allclose(slopes[name], (up - down) / (2e-6 * value), rtol=1e-6, atol=1e-7)


def test_they_are_written_and_opened(tmp_path: Any) -> None:
    scan, _ = usidx.simulate.band_excitation((3, 3), 40)
    usidx.write(scan, tmp_path / "a.h5")
    raw = usidx.open_main(tmp_path / "a.h5")
    found = raw.usid.fit(SHO() + Linear(), "Frequency")
    again = usidx.open_result(tmp_path / "a.h5", found.usid.write())
    for name in found.data_vars:
        np.testing.assert_array_equal(again[name], found[name])
    assert_allclose(usidx.evaluate(again), usidx.evaluate(found))
    magnitude = abs(raw).usid.fit(SHOAmplitude(), "Frequency")
    group = magnitude.usid.write()
    assert_allclose(usidx.open_result(tmp_path / "a.h5", group).frequency, magnitude.frequency)
