"""The simulated scan against the textbook oscillator, and against itself in blocks."""

from __future__ import annotations

import cmath
import pickle
from typing import Any

import numpy as np
import pytest
import xarray as xr

from usidx.errors import UsidError
from usidx.label.roles import position_dims, spectroscopic_dims
from usidx.results.provenance import find_last_step
from usidx.simulate import band_excitation


def oscillator(frequency: float, amplitude: float, resonance: float, quality: float, phase: float) -> complex:
    drive = amplitude * cmath.exp(1j * phase) * resonance**2
    return drive / (frequency**2 - 1j * frequency * resonance / quality - resonance**2)


def test_without_noise_each_cell_is_the_oscillator_of_its_truth() -> None:
    scan, truth = band_excitation((5, 6), 16, noise=0.0, dtype="complex128")
    for y, x, f in [(0, 0, 0), (4, 5, 15), (2, 3, 7)]:
        known = truth.isel(Y=y, X=x)
        expected = oscillator(
            float(scan.Frequency[f]),
            float(known.amplitude),
            float(known.frequency),
            float(known.quality_factor),
            float(known.phase),
        )
        assert complex(scan[y, x, f].item()) == pytest.approx(expected, rel=1e-12)


def test_a_bias_adds_dims_slowest_first() -> None:
    scan, truth = band_excitation((3, 4), 8, dc_steps=16, cycles=2)
    assert scan.dims == ("Y", "X", "Cycle", "DC_Offset", "Frequency")
    assert truth.amplitude.dims == ("Y", "X", "Cycle", "DC_Offset")
    assert position_dims(scan) == ("Y", "X")
    assert spectroscopic_dims(scan) == ("Cycle", "DC_Offset", "Frequency")


def test_the_bias_is_a_triangle_that_starts_at_zero_and_has_no_index() -> None:
    scan, _ = band_excitation((2, 2), 4, dc_steps=8)
    np.testing.assert_allclose(scan.DC_Offset, [0, 4, 8, 4, 0, -4, -8, -4])
    assert "DC_Offset" not in scan.xindexes


def test_the_response_goes_round_a_loop() -> None:
    _, truth = band_excitation((6, 6), 4, dc_steps=64, phase_offset=0.0)
    signed = truth.amplitude * np.cos(truth.phase)
    falling, rising = signed.isel(DC_Offset=32), signed.isel(DC_Offset=0)
    assert (falling > 0).all()  # back at 0 V after the positive half: up everywhere
    assert ((rising > 0) == (truth.domain == 1)).all()  # before any bias: as the domains are
    assert (signed.isel(DC_Offset=48) < 0).all()  # at the most negative bias: down everywhere


def test_units_names_and_roles() -> None:
    scan, truth = band_excitation((4, 4), 8)
    assert (scan.name, scan.attrs["units"]) == ("Raw_Data", "V")
    assert {name: truth[name].attrs["units"] for name in truth.data_vars} == {
        "amplitude": "V",
        "frequency": "Hz",
        "quality_factor": "",
        "phase": "rad",
        "domain": "",
        "topography": "m",
    }
    assert [scan[d].attrs["units"] for d in scan.dims] == ["m", "m", "Hz"]
    step = find_last_step(scan)
    assert step is not None
    assert step["parameters"]["seed"] == 0


def test_looks_like_a_ferroelectric() -> None:
    _, truth = band_excitation((64, 64), 4)
    assert 0.25 < float(truth.domain.mean()) < 0.75
    phases = np.unique(truth.phase.values.round(9))
    np.testing.assert_allclose(phases, [-0.4, np.pi - 0.4], atol=1e-8)
    wall = truth.domain.diff("X") != 0
    assert float(truth.amplitude.isel(X=slice(1, None)).where(wall).mean()) < 0.7 * float(truth.amplitude.mean())
    height, resonance = truth.topography.values.ravel(), truth.frequency.values.ravel()
    assert np.corrcoef(height, resonance)[0, 1] > 0.99
    assert resonance.min() > 300e3
    assert resonance.max() < 340e3


def test_noise_has_the_strength_that_is_asked_for() -> None:
    clean, _ = band_excitation((16, 16), 32, noise=0.0, dtype="complex128")
    noisy, _ = band_excitation((16, 16), 32, noise=0.1, dtype="complex128")
    residual = (noisy - clean).values
    assert residual.real.std() == pytest.approx(0.1 * 50e-6 * 150, rel=0.03)
    assert residual.imag.std() == pytest.approx(0.1 * 50e-6 * 150, rel=0.03)
    assert abs(np.corrcoef(residual.real.ravel(), residual.imag.ravel())[0, 1]) < 0.05


@pytest.mark.parametrize("chunks", ["auto", {"Y": 3}, {"Y": 5, "X": 2}, {"X": 4, "Frequency": 3, "DC_Offset": 7}])
def test_any_chunking_gives_the_scan_in_memory(chunks: Any) -> None:
    scan, truth = band_excitation((8, 7), 9, dc_steps=8, cycles=2, seed=3)
    lazy, lazy_truth = band_excitation((8, 7), 9, dc_steps=8, cycles=2, seed=3, chunks=chunks)
    assert lazy.chunks is not None
    assert all(v.chunks is not None for v in lazy_truth.data_vars.values())
    xr.testing.assert_identical(lazy.compute(), scan)
    xr.testing.assert_identical(lazy_truth.compute(), truth)


def test_a_huge_scan_costs_nothing_until_asked_for_and_pickles_small() -> None:
    lazy, truth = band_excitation((4096, 4096), 256, chunks="auto")
    assert lazy.nbytes > 30e9
    assert lazy.data.numblocks[1:] == (1, 1)
    spectrum = lazy.isel(Y=4000, X=17)
    assert np.isfinite(spectrum.compute()).all()
    assert float(truth.frequency.isel(Y=4000, X=17)) == pytest.approx(320e3, rel=0.1)
    assert len(pickle.dumps(lazy.data.blocks[0])) < 500_000


def test_seeds_decide() -> None:
    first, _ = band_excitation((4, 4), 8, seed=1)
    again, _ = band_excitation((4, 4), 8, seed=1)
    other, _ = band_excitation((4, 4), 8, seed=2)
    xr.testing.assert_identical(first, again)
    assert not first.equals(other)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_dtype(dtype: str) -> None:
    assert band_excitation((2, 2), 4, dtype=dtype)[0].dtype == dtype


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shape": (0, 4)}, "rows=0"),
        ({"frequencies": 0}, "frequencies=0"),
        ({"dc_steps": 0}, "dc_steps=0"),
        ({"cycles": 2}, "cycles=2 needs a bias"),
        ({"dtype": "float32"}, "dtype 'float32' is not"),
    ],
)
def test_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsidError, match=message):
        band_excitation(**options)
