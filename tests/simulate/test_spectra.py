"""Simulated spectra against the truth that comes with them."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
import xarray as xr

from usidx.errors import UsidError
from usidx.simulate import gaussian_map, spectrum_image

TECHNIQUES: list[Literal["raman", "eels"]] = ["raman", "eels"]
CHUNKS: list[Any] = ["auto", {"Y": 3}, {"Y": 2, "X": 3, "Raman_Shift": 7, "Energy": 7}]


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_without_noise_the_map_is_scores_times_components(technique: Literal["raman", "eels"]) -> None:
    spectra, truth = spectrum_image((6, 5), 40, technique=technique, noise="none", dtype="float64")
    expected = np.einsum("yxc,cs->yxs", truth.scores.values, truth.components.values)
    np.testing.assert_allclose(spectra.values, expected, rtol=1e-12)
    np.testing.assert_allclose(truth.scores.sum("component"), 1)
    assert float(truth.components.max()) == pytest.approx(200)


def test_poisson_counts_are_whole_and_their_variance_is_their_mean() -> None:
    clean, _ = spectrum_image((40, 40), 50, noise="none", dtype="float64")
    counted, _ = spectrum_image((40, 40), 50, noise="poisson")
    assert (counted == counted.round()).all()
    spread = ((counted - clean) ** 2).mean() / clean.mean()
    assert float(spread) == pytest.approx(1, abs=0.03)


def test_gaussian_noise_is_as_strong_as_the_counts_say() -> None:
    clean, _ = spectrum_image((20, 20), 50, noise="none", counts=400, dtype="float64")
    noisy, _ = spectrum_image((20, 20), 50, noise="gaussian", counts=400, dtype="float64")
    assert float((noisy - clean).std()) == pytest.approx(20, rel=0.03)


def test_endmembers_have_regions_of_their_own() -> None:
    _, truth = spectrum_image((48, 48), 20)
    assert (truth.scores.max(("Y", "X")) > 0.8).all()
    assert np.linalg.matrix_rank(truth.components.values) == 3


@pytest.mark.parametrize("chunks", CHUNKS)
@pytest.mark.parametrize("noise", ["poisson", "gaussian"])
def test_any_chunking_gives_the_map_in_memory(noise: Any, chunks: Any) -> None:
    spectra, truth = spectrum_image((7, 8), 20, noise=noise)
    lazy, lazy_truth = spectrum_image((7, 8), 20, noise=noise, chunks=chunks)
    assert lazy.chunks is not None
    xr.testing.assert_identical(lazy.compute(), spectra)
    xr.testing.assert_identical(lazy_truth.compute(), truth)


def test_a_peak_is_the_gaussian_of_its_truth() -> None:
    spectra, truth = gaussian_map((4, 5), 60, offset=7.0, noise=0.0)
    known = truth.isel(Y=2, X=3)
    energy = spectra.Energy.values
    width, center = float(known.sigma), float(known.center)
    expected = float(known.amplitude) / (width * np.sqrt(2 * np.pi)) * np.exp(-((energy - center) ** 2) / 2 / width**2)
    np.testing.assert_allclose(spectra.isel(Y=2, X=3), expected + 7, rtol=1e-12)
    np.testing.assert_allclose(known.height, known.amplitude / (width * np.sqrt(2 * np.pi)))


def test_peak_noise_and_units() -> None:
    clean, _ = gaussian_map((20, 20), noise=0.0)
    noisy, truth = gaussian_map((20, 20), noise=0.05)
    assert float((noisy - clean).std()) == pytest.approx(5, rel=0.03)
    assert {name: v.attrs["units"] for name, v in truth.data_vars.items()} == {
        "height": "counts",
        "amplitude": "counts eV",
        "center": "eV",
        "sigma": "eV",
        "offset": "counts",
    }


@pytest.mark.parametrize("chunks", CHUNKS)
def test_any_chunking_gives_the_peaks_in_memory(chunks: Any) -> None:
    spectra, truth = gaussian_map((7, 8), 20)
    lazy, lazy_truth = gaussian_map((7, 8), 20, chunks=chunks)
    xr.testing.assert_identical(lazy.compute(), spectra)
    xr.testing.assert_identical(lazy_truth.compute(), truth)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shape": (4, 0)}, "columns=0"),
        ({"components": 0}, "components=0"),
        ({"noise": "pink"}, "Unknown noise 'pink'"),
        ({"technique": "xps"}, "Unknown technique 'xps'"),
    ],
)
def test_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsidError, match=message):
        spectrum_image(**options)


def test_refuses_an_empty_map() -> None:
    with pytest.raises(UsidError, match="channels=0"):
        gaussian_map((2, 2), 0)
