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
    found = usidx.gap(slope, inside=(-0.35, 0.25))
    assert (found.gap.chunks is None) == (chunks is None)
    # An edge is seen when the conductance, 1e-9 per volt beyond it, has left the noise.
    late = found.threshold / 1e-9
    error = found.gap - truth.gap - 2 * late
    assert float(abs(error.mean())) < 0.02
    assert float(abs(error).max()) < 0.1
    assert bool((found.conduction_edge > truth.conduction_edge - 0.05).all())


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
