"""Gaps against closed forms and simulated truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

import usidx
from usidx.errors import RoleError, SelectionError, UsidError
from usidx.label.roles import set_roles


def curve(bias: Any, current: Any) -> xr.DataArray:
    made = xr.DataArray(current, dims="Bias", coords={"Bias": ("Bias", bias, {"units": "V"})}, attrs={"units": "nA"})
    return set_roles(made, spectroscopic="Bias")


def test_edges_lie_where_a_straight_line_reaches_the_threshold() -> None:
    bias = np.linspace(-2, 2, 81)
    conductance = np.clip(bias - 0.63, 0, None) + 2 * np.clip(-0.37 - bias, 0, None)
    for data in (curve(bias, conductance), curve(bias[::-1], conductance[::-1])):
        found = usidx.gap(data, threshold=0.2)
        assert found.conduction_edge.item() == pytest.approx(0.83)
        assert found.valence_edge.item() == pytest.approx(-0.47)
        assert found.gap.item() == pytest.approx(1.30)
        assert (found.gap.units, found.threshold.units) == ("V", "nA")


@pytest.mark.parametrize("chunks", [None, {"Y": 3, "Bias": 50}])
def test_simulated_gaps_are_found(chunks: Any) -> None:
    curves, truth = usidx.simulate.current_voltage((8, 8), 401, noise=1e-4, chunks=chunks)
    slope = usidx.didv(curves)
    found = usidx.gap(slope, inside=(-0.35, 0.25), edges="threshold")
    assert (found.gap.chunks is None) == (chunks is None)
    assert "gap_stderr" not in found
    # An edge is seen when the conductance, 1e-9 per volt beyond it, has left the noise.
    late = found.threshold / 1e-9
    error = found.gap - truth.gap - 2 * late
    assert float(abs(error.mean())) < 0.02
    assert float(abs(error).max()) < 0.1
    assert bool((found.conduction_edge > truth.conduction_edge - 0.05).all())


@pytest.mark.parametrize("chunks", [None, {"Y": 3, "Bias": 50}])
def test_simulated_gaps_are_extrapolated(chunks: Any) -> None:
    curves, truth = usidx.simulate.current_voltage((8, 8), 401, noise=1e-4, chunks=chunks)
    found = usidx.gap(usidx.didv(curves), inside=(-0.35, 0.25))
    assert (found.gap_stderr.chunks is None) == (chunks is None)
    assert found.gap_stderr.units == "V"
    assert float(abs(found.gap - truth.gap).mean()) < 0.02


BIAS = np.linspace(-2, 2, 401)


@pytest.mark.parametrize("noise", [1e-3, 1e-2, 5e-2])
@pytest.mark.parametrize("scale", [1.0, 1e-9])
def test_linear_edges_do_not_follow_the_noise(noise: float, scale: float) -> None:
    rng = np.random.default_rng(0)
    clean = np.maximum(BIAS - 0.9, 0) + 2 * np.maximum(-0.7 - BIAS, 0)
    values = scale * (0.3 + clean + noise * rng.normal(size=(400, 401)))
    found = usidx.gap(xr.DataArray(values, dims=("p", "Bias"), coords={"Bias": BIAS}), inside=(-0.4, 0.4))
    for name, truth in {"gap": 1.6, "valence_edge": -0.7, "conduction_edge": 0.9}.items():
        scatter = float(found[name].std())
        assert float(found[name].mean()) == pytest.approx(truth, abs=0.2 * scatter)
        assert 0.75 < float(found[f"{name}_stderr"].median()) / scatter < 1.25


def superconductor(delta: float, kelvin: float, bias: Any, broadening: float = 2e-5) -> Any:
    """Average the states of Dynes over the energies that heat mixes."""
    energy = np.linspace(-15 * delta, 15 * delta, 9001)
    step, heat = energy[1] - energy[0], 8.617333e-5 * kelvin
    lossy = np.abs(energy) - 1j * broadening
    states = np.abs(np.real(lossy / np.sqrt(lossy**2 - delta**2)))
    kernel = 1 / np.cosh(np.arange(-1500, 1501) * step / (2 * heat)) ** 2
    return np.interp(bias, energy, np.convolve(states, kernel / kernel.sum(), "same"))


@pytest.mark.parametrize("noise", [0.005, 0.02, 0.05])
@pytest.mark.parametrize(("delta", "kelvin"), [(1.4e-3, 1.2), (1.4e-3, 2.0), (0.35e-3, 0.3), (3e-3, 4.2)])
def test_the_gap_of_a_superconductor(delta: float, kelvin: float, noise: float) -> None:
    rng = np.random.default_rng(1)
    bias = np.linspace(-4.3, 4.3, 401) * delta
    values = superconductor(delta, kelvin, bias) + noise * rng.normal(size=(200, 401))
    data = xr.DataArray(values, dims=("p", "Bias"), coords={"Bias": bias})
    found = usidx.gap(data, inside=(-0.2 * delta, 0.2 * delta))
    assert float(found.gap.median()) / 2 == pytest.approx(delta, rel=0.05)
    assert float(abs(found.gap / 2 / delta - 1).quantile(0.9)) < 0.1


def test_a_peak_of_one_side_is_no_coherence_peak() -> None:
    rng = np.random.default_rng(2)
    clean = np.maximum(BIAS - 0.9, 0) + np.maximum(-0.7 - BIAS, 0) + 2 * np.exp(-(((BIAS - 1.5) / 0.15) ** 2))
    data = xr.DataArray(clean + 0.01 * rng.normal(size=(50, 401)), dims=("p", "Bias"), coords={"Bias": BIAS})
    found = usidx.gap(data, inside=(-0.4, 0.4))
    np.testing.assert_allclose(found.gap, 1.6, atol=0.1)


def test_a_step_lies_between_two_samples() -> None:
    rng = np.random.default_rng(3)
    bias = np.linspace(-1, 1, 81)
    data = curve(bias, (abs(bias) > 0.51) + 1e-3 * rng.normal(size=81))
    found = usidx.gap(data, inside=(-0.3, 0.3))
    assert found.gap.item() == pytest.approx(1.02, abs=0.05)
    assert found.gap_stderr.item() == pytest.approx(0.025 * np.sqrt(2 / 12), rel=1e-6)


def test_gaps_over_a_bias_that_changes() -> None:
    ranges = np.array([1.0, 1.5, 2.0])
    bias = ranges[:, None] * np.linspace(-1, 1, 201)
    clean = np.maximum(bias - 0.6, 0) + np.maximum(-0.4 - bias, 0)
    values = clean + 1e-3 * np.random.default_rng(4).normal(size=(5, 3, 201))
    data = xr.DataArray(values, dims=("p", "FORC", "s"), coords={"V": (("FORC", "s"), bias, {"units": "V"})})
    for given in (data, data.chunk({"p": 2, "FORC": 1})):
        found = usidx.gap(given, "s", coordinate="V", inside=(-0.2, 0.2))
        assert found.gap.dims == ("p", "FORC")
        assert found.gap.units == "V"
        np.testing.assert_allclose(found.gap, 1.0, atol=0.01)
    back = data.assign_coords(V=abs(data.V))
    with pytest.raises(RoleError, match="turns round"):
        usidx.gap(back, "s", coordinate="V", inside=(-0.2, 0.2))


def test_the_threshold_is_the_noise_within_the_gap() -> None:
    rng = np.random.default_rng(4)
    bias = np.linspace(-2, 2, 81)
    floor = 0.1 + 0.02 * rng.normal(size=(5, 81))
    data = xr.DataArray(floor + 10 * np.clip(np.abs(bias) - 1, 0, None), dims=("X", "Bias"), coords={"Bias": bias})
    found = usidx.gap(data, inside=(-0.5, 0.5), sigmas=4.0)
    noise = data.sel(Bias=slice(-0.5, 0.5))
    np.testing.assert_allclose(found.threshold, noise.mean("Bias") + 4 * noise.std("Bias"))
    np.testing.assert_allclose(found.gap, 2.0, atol=0.1)


def test_metals_and_sides_without_an_edge() -> None:
    bias = np.linspace(-1, 1, 21)
    metal = usidx.gap(curve(bias, np.ones(21)), threshold=0.5)
    assert (metal.gap.item(), metal.valence_edge.item(), metal.conduction_edge.item()) == (0.0, 0.0, 0.0)
    one_sided = usidx.gap(curve(bias, np.clip(bias, 0, None)), threshold=0.5)
    assert one_sided.conduction_edge.item() == pytest.approx(0.5)
    assert np.isnan(one_sided.valence_edge)
    assert np.isnan(one_sided.gap)
    doped = usidx.gap(curve(bias, np.abs(bias - 0.2)), threshold=0.5, center=0.2)
    assert doped.conduction_edge.item() == pytest.approx(0.7)
    assert doped.valence_edge.item() == pytest.approx(-0.3)


def test_a_spike_is_no_edge() -> None:
    bias = np.linspace(-1, 1, 41)
    data = curve(bias, np.clip(np.abs(bias) - 0.5, 0, None))
    data[[22, 23]] = 1.0
    assert usidx.gap(data, threshold=0.1).conduction_edge.item() == pytest.approx(0.6)
    assert usidx.gap(data, threshold=0.1, stays=2).conduction_edge.item() == pytest.approx(0.05 + 0.05 * 0.1)
    with pytest.raises(UsidError, match="stays=0"):
        usidx.gap(data, threshold=0.1, stays=0)


def test_a_missing_sample_on_the_way_leaves_the_edge_open() -> None:
    bias = np.linspace(-1, 1, 21)
    data = curve(bias, np.abs(bias))
    data[13] = np.nan
    found = usidx.gap(data, threshold=0.75)
    assert np.isnan(found.conduction_edge)
    assert found.valence_edge.item() == pytest.approx(-0.75)


def test_refuses() -> None:
    bias = np.linspace(-1, 1, 21)
    data = curve(bias, bias)
    with pytest.raises(SelectionError, match="give one of the two"):
        usidx.gap(data)
    with pytest.raises(SelectionError, match="0 samples of the bias lie there"):
        usidx.gap(data, inside=(3.0, 4.0))
    turned = curve(np.abs(bias), bias)
    with pytest.raises(RoleError, match=r"turns round or stands still.*slice\(0, 11\)"):
        usidx.gap(turned, threshold=1.0)
    with pytest.raises(SelectionError, match=r"No edges 'steepest'; choose one of \('extrapolated', 'threshold'\)"):
        usidx.gap(data, threshold=1.0, edges="steepest")
    with pytest.raises(SelectionError, match="lead down to the floor of the gap: give inside="):
        usidx.gap(data, threshold=1.0, edges="extrapolated")
