"""Fits of oscillators to simulated scans, against the truth and against scipy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.optimize
import xarray as xr

import usidx
from usidx.errors import RoleError, SelectionError, UsidError
from usidx.results.provenance import find_last_step

PARAMETERS = ("amplitude", "frequency", "quality_factor", "phase")


def residuals(p: Any, w: Any, y: Any) -> Any:
    amplitude, frequency, quality, phase = p[0] * 1e-5, p[1] * 1e5, p[2] * 1e2, p[3]
    response = amplitude * np.exp(1j * phase) * frequency**2
    response = response / (w**2 - 1j * w * frequency / quality - frequency**2)
    left = (y - response) / 1e-3
    return np.concatenate([left.real, left.imag])


def test_each_fit_is_that_of_scipy() -> None:
    scan, _ = usidx.simulate.band_excitation((4, 5), 48, seed=3, dtype="complex128")
    found = usidx.sho_fit(scan)
    scale = np.array([1e-5, 1e5, 1e2, 1.0])
    for y, x in np.ndindex(4, 5):
        ours = np.array([found[p][y, x].item() for p in PARAMETERS]) / scale
        args = (scan.Frequency.values, scan[y, x].values)
        near = ours * [1.1, 1.0005, 0.9, 1.1]
        theirs = scipy.optimize.least_squares(residuals, near, args=args, xtol=1e-14, ftol=1e-14, gtol=1e-14)
        np.testing.assert_allclose(ours, theirs.x, rtol=1e-5)


def test_the_fit_is_better_than_its_guess() -> None:
    scan, _ = usidx.simulate.band_excitation((12, 12), 64, noise=0.05)
    found = usidx.sho_fit(scan)
    assert bool((found.r2 >= found.r2_guess - 1e-12).all())
    assert bool((found.r2 > found.r2_guess + 1e-6).mean() > 0.9)
    assert bool(found.converged.all())


@pytest.mark.parametrize(
    ("swept", "dims"),
    [
        ({}, ("Y", "X")),
        ({"dc_steps": 8}, ("Y", "X", "DC_Offset")),
        ({"dc_steps": 8, "cycles": 2}, ("Y", "X", "Cycle", "DC_Offset")),
    ],
)
@pytest.mark.parametrize("chunks", [None, {"Y": 2}, {"X": 3, "Frequency": 7}])
def test_any_sweep_and_any_chunks(swept: dict[str, int], dims: tuple[str, ...], chunks: Any) -> None:
    scan, truth = usidx.simulate.band_excitation((5, 4), 48, noise=0.0, dtype="complex128", **swept)  # type: ignore[arg-type]
    found = usidx.sho_fit(scan if chunks is None else scan.chunk(chunks))
    assert found.amplitude.dims == dims
    assert (found.amplitude.chunks is None) == (chunks is None)
    for name in ("amplitude", "frequency", "quality_factor"):
        np.testing.assert_allclose(found[name], truth[name], rtol=1e-7)
        np.testing.assert_allclose(found[f"{name}_guess"], truth[name], rtol=1e-6)
    turned = np.exp(1j * (found.phase - truth.phase))
    np.testing.assert_allclose(turned, 1.0, atol=1e-8)


def test_chunks_change_nothing() -> None:
    scan, _ = usidx.simulate.band_excitation((5, 4), 48, dc_steps=4)
    whole = usidx.sho_fit(scan)
    cut = usidx.sho_fit(scan.chunk(Y=2, DC_Offset=3, Frequency=11))
    xr.testing.assert_equal(cut.compute(), whole)


def test_the_dims_of_reversal_curves_and_of_kelvin_probe_do_not_matter() -> None:
    scan, truth = usidx.simulate.band_excitation((4, 3), 48, dc_steps=6, cycles=2, noise=0.0)
    for names in ({"Cycle": "FORC"}, {"Cycle": "write_bias", "DC_Offset": "read_bias"}):
        found = usidx.sho_fit(scan.rename(names))
        np.testing.assert_allclose(found.frequency, truth.frequency, rtol=1e-5)
        assert found.frequency.dims == ("Y", "X", names["Cycle"], names.get("DC_Offset", "DC_Offset"))


def test_units_and_names() -> None:
    scan, _ = usidx.simulate.band_excitation((2, 2), 32)
    found = usidx.sho_fit(scan)
    units = {"amplitude": "V", "frequency": "Hz", "quality_factor": "", "phase": "rad", "r2": ""}
    for name, unit in units.items():
        assert found[name].attrs["units"] == unit
        assert found[f"{name}_guess"].attrs["units"] == unit
    assert found.amplitude_guess.attrs["long_name"] == "Guess of Amplitude"
    assert found.r2_guess.attrs["long_name"] == "Coefficient of Determination of the Guess"


def test_the_plain_fit_of_an_oscillator_agrees() -> None:
    scan, _ = usidx.simulate.band_excitation((6, 6), 64)
    plain, found = usidx.fit(scan, usidx.models.SHO()), usidx.sho_fit(scan)
    for name in PARAMETERS:
        np.testing.assert_allclose(found[name], plain[name], rtol=1e-6)
        np.testing.assert_allclose(found[f"{name}_stderr"], plain[f"{name}_stderr"], rtol=1e-4)


def test_spectra_that_show_nothing_fail_alone() -> None:
    scan, _ = usidx.simulate.band_excitation((3, 3), 48)
    holed = scan.copy(deep=True)
    holed[1, 1] = np.nan
    holed[0, 2] = 0.0
    found, whole = usidx.sho_fit(holed), usidx.sho_fit(scan)
    for y, x in ((1, 1), (0, 2)):
        for name in PARAMETERS:
            assert np.isnan(found[name][y, x])
            assert np.isnan(found[f"{name}_guess"][y, x])
        assert not found.converged[y, x]
    xr.testing.assert_equal(found.isel(Y=2), whole.isel(Y=2))


def test_noise_and_flat_response_are_not_taken_for_resonances() -> None:
    rng = np.random.default_rng(2)
    band = np.linspace(300e3, 340e3, 40)
    noise = rng.normal(size=(500, 40)) + 1j * rng.normal(size=(500, 40))
    # Five times the noise at resonance.
    resonance = usidx.models.SHO()(band, amplitude=5 / 150, frequency=321e3, quality_factor=150.0, phase=0.3)
    spectra = np.stack([noise, noise + 3.0, noise + resonance])
    data = xr.DataArray(spectra, dims=("kind", "X", "Frequency"), coords={"Frequency": band})
    found = usidx.sho_fit(data)
    shares = found.is_resonance.mean("X")
    assert float(shares[0]) < 0.03
    assert float(shares[1]) < 0.01
    assert float(shares[2]) > 0.99
    left = abs(usidx.residual(found, data)) ** 2
    # What converged has a value at every sample, and leaves what chi2 says.
    assert np.isfinite(left.where(found.converged, 0.0)).all()
    np.testing.assert_allclose(left.sum("Frequency").where(found.converged), found.chi2, rtol=1e-5)
    around = abs(data - data.mean("Frequency")) ** 2
    gained = 80 * np.log(around.sum("Frequency") / left.sum("Frequency"))
    expected = (gained > 4 * np.log(80) * 80 / (80 - 5)) & found.converged
    np.testing.assert_array_equal(found.is_resonance, expected)


@pytest.mark.parametrize("samples", [2, 3, 4, 8, 20])
def test_few_samples_of_noise_are_no_resonance(samples: int) -> None:
    rng = np.random.default_rng(4)
    band = np.linspace(300e3, 340e3, 20)
    noise = rng.normal(size=(1000, 20)) + 1j * rng.normal(size=(1000, 20))
    noise[:, samples:] = np.nan
    data = xr.DataArray(noise, dims=("X", "Frequency"), coords={"Frequency": band})
    assert float(usidx.sho_fit(data).is_resonance.mean()) <= (0.0 if samples == 2 else 0.03)
    cut = usidx.sho_fit(data[:, :samples])
    assert float(cut.is_resonance.mean()) <= (0.0 if samples == 2 else 0.03)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("loss", ["soft_l1", "huber", "cauchy"])
def test_spikes_reach_neither_guess_nor_fit_nor_the_verdict(loss: str, lazy: bool) -> None:
    rng = np.random.default_rng(3)
    band = 320e3 + 8e3 * np.linspace(-1, 1, 48)
    place = 320e3 + 1000 * rng.normal(size=200)
    y = 1e-3 * np.exp(0.5j) * place[:, None] ** 2 / (band**2 - 1j * band * place[:, None] / 80 - place[:, None] ** 2)
    y = y + 0.0024 * (rng.normal(size=y.shape) + 1j * rng.normal(size=y.shape))
    quiet = y.copy()
    y[np.arange(200), rng.integers(0, 48, 200)] += 1.6 * np.exp(2j * np.pi * rng.random(200))
    coords = {"Frequency": ("Frequency", band, {"units": "Hz"})}
    data = xr.DataArray(y, dims=("X", "Frequency"), coords=coords)
    found = usidx.sho_fit(data.chunk(X=64) if lazy else data, loss=loss).compute()
    plain = usidx.sho_fit(data.copy(data=quiet))
    assert (abs(found.frequency_guess - place) < 6 * plain.frequency_stderr).all()
    assert (abs(found.frequency - place) < 6 * plain.frequency_stderr).all()
    assert found.is_resonance.all()
    scatter = 1.4826 * float(abs(found.frequency - place).median())
    assert 0.75 < float(found.frequency_stderr.median()) / scatter < 1.3
    noise = data.copy(data=0.01 * (rng.normal(size=y.shape) + 1j * rng.normal(size=y.shape)))
    noise[:, 7] += 1.6
    assert float(usidx.sho_fit(noise, loss=loss).is_resonance.mean()) < 0.1


def test_few_samples_of_noise_are_not_taken_for_the_other_convention() -> None:
    rng = np.random.default_rng(1)
    band = np.linspace(300e3, 340e3, 8)
    for _ in range(4):
        noise = rng.normal(size=(50, 8)) + 1j * rng.normal(size=(50, 8))
        usidx.sho_fit(xr.DataArray(noise, dims=("X", "Frequency"), coords={"Frequency": band}))


def test_options_reach_the_fit() -> None:
    scan, _ = usidx.simulate.band_excitation((3, 3), 48)
    found = usidx.sho_fit(scan, fixed={"quality_factor": 150.0}, covariance=True)
    assert (found.quality_factor == 150.0).all()
    assert found.covariance.dims == ("Y", "X", "parameter", "parameter_2")
    bounded = usidx.sho_fit(scan, bounds={"frequency": (320e3, 321e3)})
    assert bool(((bounded.frequency >= 320e3) & (bounded.frequency <= 321e3)).all())


def test_neighbours_help_what_failed_and_nothing_else() -> None:
    scan, truth = usidx.simulate.beps((12, 12), 48, dc_steps=16, noise=0.2)
    once, again = usidx.sho_fit(scan), usidx.sho_fit(scan, retry="neighbours")
    failed = ~once.converged
    assert int(failed.sum()) > 0
    assert bool((again.second_try <= failed).all())
    xr.testing.assert_equal(once.frequency.where(~failed), again.frequency.where(~failed))
    assert int((~again.converged).sum()) <= int(failed.sum())
    # What fails is noise: at resonance the response is less than twice its standard deviation.
    assert float(abs(truth.response).where(failed).max()) < 2 * 0.2 * 50e-6


def test_it_is_one_step_that_can_be_evaluated() -> None:
    scan, _ = usidx.simulate.band_excitation((3, 3), 48, noise=0.0)
    found = usidx.sho_fit(scan)
    assert [s["tool"] for s in usidx.history(found)] == ["simulate.band_excitation", "sho_fit"]
    step = find_last_step(found)
    assert step is not None
    assert step["parameters"]["dim"] == ["Frequency"]
    np.testing.assert_allclose(usidx.evaluate(found), scan, rtol=1e-4)
    assert abs(usidx.residual(found, scan)).max() < 1e-4 * abs(scan).max()


def test_the_door() -> None:
    scan, _ = usidx.simulate.band_excitation((2, 2), 32)
    xr.testing.assert_identical(scan.usid.sho_fit(), usidx.sho_fit(scan))


def test_refuses() -> None:
    scan, _ = usidx.simulate.band_excitation((2, 2), 32, dc_steps=4)
    with pytest.raises(UsidError, match="needs complex data"):
        usidx.sho_fit(abs(scan))
    with pytest.raises(RoleError, match=r"'DC_Offset', 'Band'.*dim="):
        usidx.sho_fit(scan.rename(Frequency="Band"))
    with pytest.raises(SelectionError, match="no parameter 'q'"):
        usidx.sho_fit(scan, fixed={"q": 1.0})
