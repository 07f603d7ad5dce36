"""General-mode lines and cantilevers against the equations that their docstrings state."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from usidx.errors import UsidError
from usidx.simulate import giv, gkpfm, gmode_lines


def test_currents_are_those_of_resistance_and_capacitance() -> None:
    currents, truth = giv((3, 4), 80, frequency=50.0, nodes=41, noise=0.0)
    time = np.arange(80) / 4000.0
    np.testing.assert_allclose(currents.Bias, 6 * np.sin(2 * np.pi * 50 * time), atol=1e-12)
    slope = xr.DataArray(6 * 2 * np.pi * 50 * np.cos(2 * np.pi * 50 * time), dims="Bias")
    np.testing.assert_allclose(currents, truth.current + 1e-3 * truth.capacitance * slope, rtol=1e-9, atol=1e-9)
    for direction, own in (("forward", slope > 0), ("reverse", slope < 0)):
        order = [k for k in np.argsort(currents.Bias.values) if own[k] and abs(float(currents.Bias[k])) > 1]
        found = (currents.Bias / truth.current).transpose("Y", "X", "Bias").values[..., order]
        known = truth.resistance.sel(direction=direction).values
        near = [np.interp(currents.Bias.values[order], truth.voltage.values, row) for row in known.reshape(12, -1)]
        np.testing.assert_allclose(found.reshape(12, -1), near, rtol=0.01)
    assert (truth.resistance.sel(direction="reverse") >= truth.resistance.sel(direction="forward")).all()


def test_lines_are_the_pixels_one_after_another() -> None:
    options: dict[str, Any] = {"noise": 0.0, "seed": 4}
    pixels, truth = giv((3, 5), 40, **options)
    lines, of_lines = gmode_lines((3, 5), 40, hum=0.0, **options)
    np.testing.assert_allclose(lines.values.reshape(3, 5, 40), pixels)
    xr.testing.assert_identical(of_lines, truth)
    disturbed, _ = gmode_lines((3, 5), 40, hum=2.0, **options)
    hum = (disturbed - lines).values
    np.testing.assert_allclose(
        hum, np.broadcast_to(2 * np.sin(2 * np.pi * 0.213 * np.arange(200)), (3, 200)), atol=1e-9
    )


@pytest.mark.parametrize("chunks", ["auto", {"Y": 2}, {"Y": 1, "Time": 7}])
def test_any_chunking_gives_the_same(chunks: Any) -> None:
    for make, options in ((gmode_lines, {"samples": 12}), (gkpfm, {"oscillations": 4, "samples": 8})):
        scan, truth = make((3, 2), seed=2, **options)
        lazy, lazy_truth = make((3, 2), seed=2, chunks=chunks, **options)
        assert lazy.chunks is not None
        xr.testing.assert_identical(lazy.compute(), scan)
        xr.testing.assert_identical(lazy_truth.compute(), truth)
        assert not make((3, 2), seed=3, **options)[0].equals(scan)


def test_a_cantilever_answers_as_its_transfer_function_says() -> None:
    """Where nothing jumps: constant, first and second harmonic of the force, each by its own response."""
    scan, truth = gkpfm((2, 3), 40, frequency=5e3, amplitude=2.0, noise=0.0)
    before = scan.isel(Time=slice(5 * 64, 15 * 64)).values  # ten oscillations
    spectrum = np.fft.rfft(before, axis=-1) / before.shape[-1]
    response = truth.transfer_function.interp(Frequency=[0.0, 5e3, 10e3]).values
    bend, potential = truth.curvature.values, truth.contact_potential.values[..., 10]
    np.testing.assert_allclose(spectrum[..., 0].real, (bend * (2 + potential**2) * response[0]).real, rtol=1e-4)
    first = -2 * bend * potential * 2.0 / 2j * response[1]  # of a sine in phase with the first sample
    np.testing.assert_allclose(spectrum[..., 10], first, rtol=1e-3)
    np.testing.assert_allclose(spectrum[..., 20], -bend * 4.0 / 4 * response[2], rtol=1e-3)


def test_what_cannot_be_simulated_is_refused() -> None:
    for make in (giv, gmode_lines, gkpfm):
        with pytest.raises(UsidError, match="is real, dtype 'complex64' is not"):
            make((2, 2), dtype="complex64")
        with pytest.raises(UsidError, match="rows=0"):
            make((0, 2))
