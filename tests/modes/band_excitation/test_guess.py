"""The linear form of the oscillator against its closed form."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from usidx.modes.band_excitation.guess import guess_oscillators

Array = npt.NDArray[Any]
BAND = np.linspace(300e3, 340e3, 48)


def oscillators(count: int, seed: int = 0) -> tuple[Array, Array]:
    """Draw oscillators within the band; return their spectra and (amplitude, frequency, quality factor, phase)."""
    rng = np.random.default_rng(seed)
    truth = np.stack(
        [
            rng.uniform(1e-6, 1e-4, count),
            rng.uniform(308e3, 332e3, count),
            rng.uniform(40, 400, count),
            rng.uniform(-3.1, 3.1, count),
        ],
        axis=-1,
    )
    amplitude, frequency, quality, phase = (truth[:, [k]] for k in range(4))
    below = BAND**2 - 1j * BAND * frequency / quality - frequency**2
    return amplitude * np.exp(1j * phase) * frequency**2 / below, truth


def noise(size: tuple[int, ...], seed: int = 1) -> Array:
    rng = np.random.default_rng(seed)
    return rng.normal(size=size) + 1j * rng.normal(size=size)


def test_without_noise_the_guess_is_exact() -> None:
    spectra, truth = oscillators(500)
    found = guess_oscillators(spectra, BAND)
    np.testing.assert_allclose(found[:, :4], truth, rtol=1e-9)
    np.testing.assert_allclose(found[:, 4], 1.0)


def test_r2_is_that_of_the_guessed_response() -> None:
    spectra, truth = oscillators(50)
    noisy = spectra + 0.1 * (truth[:, 0] * truth[:, 2])[:, None] * noise(spectra.shape)
    found = guess_oscillators(noisy, BAND)
    for spectrum, (amplitude, frequency, quality, phase, r2) in zip(noisy, found, strict=True):
        response = amplitude * np.exp(1j * phase) * frequency**2
        response /= BAND**2 - 1j * BAND * frequency / quality - frequency**2
        left = np.sum(np.abs(spectrum - response) ** 2)
        assert r2 == pytest.approx(1 - left / np.sum(np.abs(spectrum - spectrum.mean()) ** 2))


def test_noise_moves_it_little() -> None:
    spectra, truth = oscillators(2000)
    noisy = spectra + 0.02 * (truth[:, 0] * truth[:, 2])[:, None] * noise(spectra.shape)
    found = guess_oscillators(noisy, BAND)
    assert np.median(np.abs(found[:, 1] / truth[:, 1] - 1)) < 2e-4
    assert np.median(np.abs(found[:, 2] / truth[:, 2] - 1)) < 0.05


def test_noise_alone_gives_finite_guesses_within_the_band() -> None:
    found = guess_oscillators(noise((2000, 48)), BAND)
    assert np.isfinite(found).all()
    assert (found[:, 1] > 200e3).all()
    assert (found[:, 1] < 500e3).all()


def test_under_strong_noise_the_resonance_is_found_still() -> None:
    spectra, truth = oscillators(2000)
    noisy = spectra + 0.3 * (truth[:, 0] * truth[:, 2])[:, None] * noise(spectra.shape)
    found = guess_oscillators(noisy, BAND)
    wide = truth[:, 2] < 150  # of narrow ones hardly a sample stands out
    assert np.mean(np.abs(found[wide, 1] - truth[wide, 1]) < 3e3) > 0.98


def test_samples_that_are_missing_are_left_out() -> None:
    spectra, truth = oscillators(20)
    spectra[:, ::5] = np.nan
    np.testing.assert_allclose(guess_oscillators(spectra, BAND)[:, :4], truth, rtol=1e-9)


def test_the_frequency_may_change_from_spectrum_to_spectrum() -> None:
    spectra, truth = oscillators(20)
    shift = np.linspace(1.0, 2.0, 20)[:, None]
    found = guess_oscillators(spectra, BAND * shift)
    np.testing.assert_allclose(found[:, 1], truth[:, 1] * shift[:, 0], rtol=1e-9)
    np.testing.assert_allclose(found[:, 2], truth[:, 2], rtol=1e-8)


@pytest.mark.parametrize(
    "spectrum", [np.zeros(48), np.full(48, 0.1 + 0.3j), np.full(48, np.nan), np.r_[1j, 2.0, np.full(46, np.nan)]]
)
def test_what_shows_nothing_is_nan(spectrum: Array) -> None:
    spectra, truth = oscillators(3)
    spectra[1] = spectrum
    found = guess_oscillators(spectra, BAND)
    assert np.isnan(found[1]).all()
    np.testing.assert_allclose(found[::2, :4], truth[::2], rtol=1e-9)


def test_how_many_there_are_does_not_matter() -> None:
    spectra, _ = oscillators(2500)
    spectra += 1e-4 * noise(spectra.shape)
    whole = guess_oscillators(spectra, BAND)
    parts = [guess_oscillators(spectra[k : k + 700], BAND) for k in range(0, 2500, 700)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
