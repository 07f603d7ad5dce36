"""Simulated measurement modes against the formulas that their docstrings state, in blocks, and through files."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

import usidx
from usidx.errors import UsidError
from usidx.label.roles import position_dims, spectroscopic_dims
from usidx.results.provenance import find_last_step
from usidx.simulate import beps, ckpfm, current_voltage, giv, relaxation

Maker = Callable[..., tuple[xr.DataArray, xr.Dataset]]

MAKERS: dict[str, tuple[Maker, dict[str, Any]]] = {
    "loops": (beps, {"frequencies": 9, "dc_steps": 8}),
    "loops in field": (beps, {"frequencies": 9, "dc_steps": 8, "cycles": 2, "in_field": True}),
    "kelvin": (ckpfm, {"frequencies": 9, "write_steps": 8, "read_steps": 3}),
    "decays": (relaxation, {"times": 8, "biases": 3}),
    "two decays": (relaxation, {"times": 8, "biases": 3, "kind": "double"}),
    "stretched decays, raw": (relaxation, {"times": 8, "biases": 3, "kind": "stretched", "frequencies": 9}),
    "tunnel": (current_voltage, {"biases": 21}),
    "diode": (current_voltage, {"biases": 24, "kind": "diode", "sweep": "cycle"}),
    "fast currents": (giv, {"samples": 24, "nodes": 5}),
    "ohmic": (current_voltage, {"biases": 21, "kind": "ohmic"}),
    "superconductor": (current_voltage, {"biases": 21, "kind": "superconductor"}),
    "kondo": (current_voltage, {"biases": 21, "kind": "kondo"}),
}


@pytest.fixture(params=MAKERS)
def made(request: pytest.FixtureRequest) -> tuple[Maker, dict[str, Any]]:
    return MAKERS[request.param]


@pytest.mark.parametrize("chunks", ["auto", {"Y": 2}, {"Y": 3, "X": 2, "last": 5}])
def test_any_chunking_gives_the_scan_in_memory(made: tuple[Maker, dict[str, Any]], chunks: Any) -> None:
    make, options = made
    scan, truth = make((5, 4), seed=3, **options)
    if chunks != "auto":
        chunks = {str(scan.dims[-1]) if d == "last" else d: n for d, n in chunks.items()}
    lazy, lazy_truth = make((5, 4), seed=3, chunks=chunks, **options)
    assert lazy.chunks is not None
    assert all(v.chunks is not None for v in lazy_truth.data_vars.values())
    xr.testing.assert_identical(lazy.compute(), scan)
    xr.testing.assert_identical(lazy_truth.compute(), truth)


def test_seeds_decide(made: tuple[Maker, dict[str, Any]]) -> None:
    make, options = made
    first, truth = make((3, 3), seed=1, **options)
    again, _ = make((3, 3), seed=1, **options)
    other, other_truth = make((3, 3), seed=2, **options)
    xr.testing.assert_identical(first, again)
    assert not first.equals(other)
    assert not truth.equals(other_truth)
    step = find_last_step(first)
    assert step is not None
    assert step["parameters"]["seed"] == 1


def test_through_a_file(made: tuple[Maker, dict[str, Any]], tmp_path: Path) -> None:
    make, options = made
    scan, _ = make((4, 3), **options)
    written = usidx.write(scan, tmp_path / "scan.h5")
    assert written == "/Measurement_000/Channel_000/Raw_Data"
    again = usidx.open_main(tmp_path / "scan.h5")
    assert again.dims == scan.dims
    assert position_dims(again) == ("Y", "X")
    assert spectroscopic_dims(again) == scan.dims[2:]
    np.testing.assert_array_equal(again, scan)
    for dim in scan.dims:
        np.testing.assert_array_equal(again[dim], scan[dim])
        assert again[dim].attrs["units"] == scan[dim].attrs["units"]
    assert (again.attrs["long_name"], again.attrs["units"]) == (scan.attrs["long_name"], scan.attrs["units"])
    with h5py.File(tmp_path / "scan.h5") as file:
        main = file[written]
        labels = file[main.attrs["Spectroscopic_Indices"]].attrs["labels"]
        # The fastest comes first, as in the files of instruments: Frequency, DC_Offset, ...
        assert [label.decode() for label in labels] == list(scan.dims[:1:-1])
        assert main.shape == (12, math.prod(scan.shape[2:]))


def test_loops_are_those_of_the_formula() -> None:
    _, truth = beps((3, 3), 8, dc_steps=16, cycles=2, in_field=True)
    bias = truth.DC_Offset.values
    for y, x in np.ndindex(3, 3):
        known = {n: float(truth[n][y, x]) for n in truth.data_vars if truth[n].ndim == 2}
        for k, voltage in enumerate(bias):
            is_rising = k < 4 or k >= 12
            turn, width = ("v_plus", "rising_width") if is_rising else ("v_minus", "falling_width")
            share = (1 + math.erf((voltage - known[turn]) / known[width])) / 2
            expected = known["r_minus"] + known["switchable_polarization"] * share + known["slope"] * voltage
            found = truth.response[y, x, :, k]
            np.testing.assert_allclose(found.isel(Field=0), expected, rtol=1e-12)
            np.testing.assert_allclose(found.isel(Field=1), expected + 0.06 * 50e-6 * voltage, rtol=1e-12)
        assert known["imprint"] == pytest.approx((known["v_plus"] + known["v_minus"]) / 2)
        assert known["v_minus"] < 0 < known["v_plus"]


def test_loops_are_those_of_the_nine_parameter_model() -> None:
    _, truth = beps((3, 3), 8, dc_steps=32)
    widths = {f"{b}_width_{side}": truth[f"{b}_width"] for b in ("falling", "rising") for side in ("below", "above")}
    named = {n: truth[n] for n in ("r_minus", "switchable_polarization", "v_minus", "v_plus", "slope")} | widths
    loop = pytest.importorskip("usidx.fitting.models.hysteresis_loop").HysteresisLoop()
    for y, x in np.ndindex(3, 3):
        expected = loop(truth.DC_Offset.values, **{n: float(v[y, x]) for n, v in named.items()})
        np.testing.assert_allclose(truth.response[y, x], expected, rtol=1e-9)


def test_kelvin_curves_are_lines_that_cross_zero_at_the_potential() -> None:
    _, truth = ckpfm((3, 3), 8, write_steps=8, read_steps=5)
    expected = truth.slope * (truth.read_bias - truth.junction_potential)
    np.testing.assert_allclose(truth.response, expected.transpose(*truth.response.dims), rtol=1e-12)
    loop = truth.junction_potential
    assert (abs(loop.isel(write_bias=4) - loop.isel(write_bias=0)) > 0.5).all()  # it depends on where it comes from


def test_spectra_are_oscillators_of_the_truth() -> None:
    makers: list[tuple[Maker, dict[str, Any]]] = [
        (beps, {"dc_steps": 4}),
        (ckpfm, {"write_steps": 3, "read_steps": 2}),
    ]
    for make, options in makers:
        scan, truth = make((2, 3), 11, noise=0.0, dtype="complex128", **options)
        response = truth.amplitude * np.exp(1j * truth.phase) * truth.frequency**2
        square = scan.Frequency**2 - 1j * scan.Frequency * truth.frequency / truth.quality_factor - truth.frequency**2
        np.testing.assert_allclose(scan, (response / square).transpose(*scan.dims), rtol=1e-12)
        signed = truth.amplitude * np.cos(truth.phase + 0.4)
        np.testing.assert_allclose(signed, truth.response, rtol=1e-12)


@pytest.mark.parametrize("kind", ["exponential", "double", "stretched"])
@pytest.mark.parametrize("frequencies", [None, 7])
def test_decays_are_those_of_the_formula(kind: Any, frequencies: int | None) -> None:
    _, truth = relaxation((2, 3), 9, biases=4, kind=kind, frequencies=frequencies)
    time = truth.Time
    expected = truth.offset + truth.amplitude * np.exp(-((time / truth.time_constant) ** truth.get("beta", 1.0)))
    if kind == "double":
        expected = expected + truth.amplitude_2 * np.exp(-time / truth.time_constant_2)
        assert (truth.time_constant_2 > 2 * truth.time_constant).all()
    np.testing.assert_allclose(truth.response, expected.transpose(*truth.response.dims), rtol=1e-12)
    assert {truth[n].attrs["units"] for n in ("amplitude", "offset", "response")} == {"V"}
    assert truth.time_constant.attrs["units"] == "s"


@pytest.mark.parametrize("kind", ["ohmic", "diode", "tunnel", "superconductor", "kondo"])
def test_the_conductance_is_the_derivative_of_the_current(kind: Any) -> None:
    _, truth = current_voltage((2, 2), 4001, kind=kind)
    middle = truth.current.differentiate("Bias")
    largest = float(truth.conductance.max())
    np.testing.assert_allclose(middle[..., 5:-5], truth.conductance[..., 5:-5], atol=1e-3 * largest)


def test_curves_of_known_contacts() -> None:
    _, ohmic = current_voltage((2, 2), 21, kind="ohmic")
    np.testing.assert_allclose(ohmic.current * ohmic.resistance, ohmic.Bias.broadcast_like(ohmic.current))
    _, diode = current_voltage((2, 2), 21, kind="diode")
    thermal = 1.380649e-23 * 300 / 1.602176634e-19
    expected = diode.saturation_current * np.expm1(diode.Bias / (diode.ideality * thermal))
    np.testing.assert_allclose(diode.current, expected, rtol=2e-3, atol=1e-16)
    _, tunnel = current_voltage((2, 2), 201)
    inside = (tunnel.Bias > tunnel.valence_edge) & (tunnel.Bias < tunnel.conduction_edge)
    assert (tunnel.conductance.where(inside, 0) == 0).all()
    assert (tunnel.conductance.where(~inside, 1).where(abs(tunnel.Bias - tunnel.conduction_edge) > 1e-9, 1) > 0).all()
    np.testing.assert_allclose(tunnel.gap, tunnel.conduction_edge - tunnel.valence_edge)


def test_spectra_of_superconductors_and_kondo_resonances_are_those_of_the_models() -> None:
    for kind, model in (("superconductor", usidx.models.Dynes(temperature=2.0)), ("kondo", usidx.models.Fano())):
        _, truth = current_voltage((2, 2), 61, kind=kind)  # type: ignore[arg-type]
        for y, x in np.ndindex(2, 2):
            known = {name: float(truth[name][y, x]) for name in model.names if name in truth}
            expected = model(truth.Bias.values, **({"center": 0.0} | known))
            np.testing.assert_allclose(truth.conductance[y, x], expected, atol=5e-5 * known["amplitude"])
        assert abs(truth.current.interp(Bias=0.0)).max() < 1e-15


def test_noise_has_the_strength_that_is_asked_for() -> None:
    makers: list[tuple[Maker, dict[str, Any], float]] = [
        (beps, {"frequencies": 16}, 0.1 * 50e-6 * 150),
        (relaxation, {}, 0.1 * 50e-6),
        (current_voltage, {}, 0.1e-9),
    ]
    for make, options, level in makers:
        clean, _ = make((8, 8), noise=0.0, **options)
        noisy, _ = make((8, 8), noise=0.1, **options)
        assert float((noisy - clean).real.std()) == pytest.approx(level, rel=0.05)


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (beps, {"shape": (0, 4)}, "rows=0"),
        (beps, {"dc_steps": 2}, "dc_steps=2: give 3 or more, to go up and down"),
        (ckpfm, {"write_steps": 2}, "write_steps=2: give 3 or more"),
        (beps, {"dtype": "float32"}, "dtype 'float32' is not"),
        (ckpfm, {"read_steps": 0}, "read_steps=0"),
        (relaxation, {"times": 0}, "times=0"),
        (relaxation, {"kind": "power"}, "Unknown kind 'power'"),
        (relaxation, {"dtype": "complex64"}, "A response is real"),
        (relaxation, {"frequencies": 4, "dtype": "float64"}, "dtype 'float64' is not"),
        (relaxation, {"frequencies": 0}, "frequencies=0"),
        (current_voltage, {"kind": "solar"}, "Unknown kind 'solar'"),
        (current_voltage, {"sweep": "down"}, "Unknown sweep 'down'"),
        (current_voltage, {"dtype": "int32"}, "A current is real"),
    ],
)
def test_refuses(make: Maker, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsidError, match=message):
        make(**options)
