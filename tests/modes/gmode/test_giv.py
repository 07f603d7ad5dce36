"""Inferred contacts: the exact posterior, pixel by pixel as the paper states it, and the truth that was simulated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr

import usidx
from tests.kit.legacy import results_group
from usidx.errors import RoleError, SelectionError, UnitsError, UsidError
from usidx.modes import giv
from usidx.testing.files import build_main

Array = npt.NDArray[Any]


def infer_alone(current: Array, bias: Array, slope: Array, nodes: int, leak: float, sigma: float) -> tuple[Any, ...]:
    """Return mean and standard deviation of the posterior of one pixel and direction, from the equations."""
    x = np.linspace(-6, 6, nodes)
    dx = x[1] - x[0]
    design = np.zeros((bias.size, nodes + 1))
    for j, volt in enumerate(bias):
        k = min(max(int(np.floor((volt - x[0]) / dx)) + 1, 1), nodes - 1)
        share = (volt - x[k - 1]) / dx
        design[j, k], design[j, k - 1] = volt * share, volt * (1 - share)
    design[:, -1] = slope + leak * bias
    rough = (2 * np.eye(nodes) - np.eye(nodes, k=1) - np.eye(nodes, k=-1)) / dx**2
    rough[0, 0] = rough[-1, -1] = 1 / dx**2
    prior = np.zeros((nodes + 1, nodes + 1))
    prior[:-1, :-1] = (np.eye(nodes) + np.linalg.matrix_power(rough, 3)) / 10.0**2
    prior[-1, -1] = 1.0
    expected = np.append(np.full(nodes, 3.0), 0.0)
    precision = design.T @ design / sigma**2 + prior
    scale = 1 / np.sqrt(np.diag(precision))  # else the capacitance, in nF, hides the rest
    covariance = np.linalg.inv(precision * scale * scale[:, None]) * scale * scale[:, None]
    mean = covariance @ (design.T @ current / sigma**2 + prior @ expected)
    return mean, np.sqrt(np.diag(covariance))


def test_each_pixel_has_the_posterior_that_it_would_have_alone() -> None:
    currents, _ = usidx.simulate.giv((3, 4), 200)
    found = giv(currents, 200.0, steps=42, extra_resistance=110.0, sigma=0.05)
    bias = currents.Bias.values
    slope = (np.roll(bias, -1) - np.roll(bias, 1)) * 200 * 200 / 2
    parts = {"forward": np.r_[150:200, 0:50], "reverse": np.arange(50, 150)}
    for (y, x), (direction, own) in [((y, x), p) for y in range(3) for x in range(4) for p in parts.items()]:
        mean, error = infer_alone(currents.values[y, x, own], bias[own], slope[own], 21, 110.0, 0.05)
        here = found.isel(Y=y, X=x).sel(direction=direction)
        np.testing.assert_allclose(here.resistance, 1 / mean[:-1], rtol=1e-10)
        np.testing.assert_allclose(here.resistance_stderr, error[:-1] / mean[:-1] ** 2, rtol=1e-9)
        np.testing.assert_allclose(here.capacitance, 1e3 * mean[-1], rtol=1e-10)
        np.testing.assert_allclose(here.capacitance_stderr, 1e3 * error[-1], rtol=1e-9)
    stored = found.capacitance.mean("direction") / 1e3
    wanted = currents - stored * xr.DataArray(slope + 110 * bias, dims="Bias")
    np.testing.assert_allclose(found.corrected_current, wanted, atol=1e-12)


@pytest.mark.parametrize("sigma", [None, 0.1])
def test_the_truth_lies_within_the_errors(sigma: float | None) -> None:
    currents, truth = usidx.simulate.giv((8, 8), 300, noise=0.1, seed=3)
    found = giv(currents, 200.0, sigma=sigma)
    off = (found.resistance - truth.resistance) / found.resistance_stderr
    seen = abs(off.voltage) > 0.5  # at 0 V no current tells of a resistance, and the error is what is expected of it
    assert 0.60 < float((abs(off.where(seen)) < 1).sum() / seen.sum() / 128) < 0.80
    off = (found.capacitance - truth.capacitance) / found.capacitance_stderr
    assert 0.55 < float((abs(off) < 1).mean()) < 0.80
    assert float(abs(found.resistance / truth.resistance - 1).median()) < 0.01
    assert float(abs(found.capacitance / truth.capacitance - 1).max()) < 0.02
    assert float(abs(found.corrected_current - truth.current).std()) < 0.11


def test_hysteresis_is_told_from_capacitance() -> None:
    currents, truth = usidx.simulate.giv((4, 4))
    found = giv(currents, 200.0).sel(voltage=-1.0, method="nearest")
    wanted = truth.resistance.sel(voltage=-1.0, method="nearest")
    loop = found.resistance.sel(direction="reverse") - found.resistance.sel(direction="forward")
    np.testing.assert_allclose(loop, wanted.sel(direction="reverse") - wanted.sel(direction="forward"), atol=0.02)


@pytest.mark.parametrize("chunks", [{"Y": 2}, {"X": 3, "Bias": 100}])
def test_lazy_is_eager(chunks: dict[str, int]) -> None:
    currents, _ = usidx.simulate.giv((5, 4), 100)
    eager, lazy = giv(currents, 200.0, steps=30), giv(currents.chunk(chunks), 200.0, steps=30)
    assert all(v.chunks is not None for v in lazy.data_vars.values())
    xr.testing.assert_allclose(lazy.compute(), eager, rtol=1e-12)


def test_units_of_the_current_decide_those_of_the_result() -> None:
    currents, _ = usidx.simulate.giv((2, 2), 100)
    nano = giv(currents, 200.0, steps=30)
    ampere = giv((1e-9 * currents).assign_attrs(units="A"), 200.0, steps=30)
    gain = giv((10 * currents).assign_attrs(units="1E-10 A"), 200.0, steps=30)
    np.testing.assert_allclose(ampere.resistance, 1e9 * nano.resistance, rtol=1e-9)
    np.testing.assert_allclose(ampere.capacitance, 1e-12 * nano.capacitance, rtol=1e-9)
    np.testing.assert_allclose(ampere.corrected_current, 1e-9 * nano.corrected_current, atol=1e-19)
    np.testing.assert_allclose(gain.resistance, nano.resistance, rtol=1e-9)
    told = [(r.resistance.units, r.capacitance.units, r.corrected_current.units) for r in (nano, ampere, gain)]
    assert told == [("GOhm", "pF", "nA"), ("Ohm", "F", "A"), ("GOhm", "pF", "1E-10 A")]
    unknown = giv(currents.assign_attrs(units="counts"), 200.0, steps=30)
    assert (unknown.resistance.units, unknown.capacitance.units) == ("V/counts", "counts s/V")
    np.testing.assert_allclose(unknown.resistance, nano.resistance)
    assert "units" not in giv(currents.drop_attrs(), 200.0, steps=30).resistance.attrs


def test_several_periods_at_a_pixel_are_one_sweep() -> None:
    currents, _ = usidx.simulate.giv((3, 3), 100, noise=0.0)
    twice = xr.concat([currents, currents], "Bias")
    once, both = giv(currents, 200.0, steps=30), giv(twice, 200.0, steps=30)
    np.testing.assert_allclose(both.capacitance, once.capacitance, rtol=1e-2)
    np.testing.assert_allclose(both.resistance, once.resistance, rtol=1e-2)
    assert both.corrected_current.sizes["Bias"] == 200


def test_other_dims_and_single_precision_stay() -> None:
    currents, _ = usidx.simulate.giv((2, 3), 100)
    stacked = xr.concat([currents, currents], "Cycle").transpose("Bias", "Cycle", ...).astype("f4")
    found = giv(stacked, 200.0, steps=30)
    assert found.resistance.dims == ("direction", "Cycle", "Y", "X", "voltage")
    assert found.corrected_current.dtype == np.float32
    wanted = giv(currents, 200.0, steps=30).resistance.transpose("direction", "Y", "X", "voltage")
    np.testing.assert_allclose(found.resistance.isel(Cycle=1), wanted, rtol=1e-3)


def test_a_pixel_that_misses_a_sample_is_nan_and_no_other() -> None:
    currents, _ = usidx.simulate.giv((2, 3), 100)
    currents[1, 2, 7], currents[0, 0, 60] = np.nan, np.inf
    found = giv(currents, 200.0, steps=30, sigma=0.03)
    bad = np.zeros((2, 3), bool)
    bad[1, 2] = bad[0, 0] = True
    for name, values in found.data_vars.items():
        missing = values.isnull()
        over = [d for d in missing.dims if d not in ("Y", "X")]
        np.testing.assert_array_equal(missing.all(over), bad, err_msg=str(name))
        np.testing.assert_array_equal(missing.any(over), bad, err_msg=str(name))


def test_what_is_no_fast_sweep_is_refused() -> None:
    currents, _ = usidx.simulate.giv((2, 2), 100)
    with pytest.raises(UsidError, match=r"should go up and down.* of 100 it rises in 100"):
        giv(currents.assign_coords(Bias=np.linspace(-1, 1, 100)), 200.0)
    with pytest.raises(UsidError, match=r"frequency=0\.0; it should be above 0"):
        giv(currents, 0.0)
    with pytest.raises(UsidError, match=r"steps=4; give at least 6"):
        giv(currents, 200.0, steps=4)
    with pytest.raises(SelectionError, match="changes from pixel to pixel"):
        giv(currents.assign_coords(b=(("Y", "Bias"), currents[:, 0].values)), 200.0, coordinate="b")
    with pytest.raises(UnitsError, match="no coordinate of numbers"):
        giv(currents.drop_vars("Bias"), 200.0)
    with pytest.raises(RoleError, match="called as one of the result"):
        giv(currents.rename(Bias="voltage"), 200.0)


def write_currents(path: Path) -> tuple[xr.DataArray, str]:
    currents, _ = usidx.simulate.giv((5, 4), 100)
    main = usidx.write(currents, path, progress=False)
    return usidx.open_main(path, chunks={"Y": 2}), main


def test_on_disk_it_is_the_tree_of_the_old_tool(tmp_path: Path) -> None:
    raw, _ = write_currents(tmp_path / "a.h5")
    found = giv(raw, 200.0, steps=30, extra_resistance=7.0)
    group = found.usid.write(progress=False)
    assert group.endswith("Raw_Data-Bayesian_Inference_000")
    held = found.compute()
    with h5py.File(tmp_path / "a.h5") as file:
        stored = file[group]
        turned = np.concatenate([held.voltage, held.voltage[::-1]])
        np.testing.assert_allclose(stored["Spectroscopic_Values"][0], turned)  # where BGlib looks for the bias
        assert stored["Spectroscopic_Values"].attrs["labels"].tolist() == [b"Bias"]
        flat = np.concatenate([held.resistance[:, :, 0], held.resistance[:, :, 1, ::-1]], axis=-1).reshape(20, 30)
        np.testing.assert_allclose(stored["Resistance"], flat)
        error = np.concatenate([held.resistance_stderr[:, :, 0], held.resistance_stderr[:, :, 1, ::-1]], axis=-1)
        np.testing.assert_allclose(stored["R_variance"], error.reshape(20, 30) ** 2)
        np.testing.assert_allclose(stored["Capacitance"]["Forward"][:, 0], held.capacitance[..., 0].values.ravel())
        np.testing.assert_allclose(stored["Capacitance"]["Reverse"][:, 0], held.capacitance[..., 1].values.ravel())
        np.testing.assert_allclose(stored["Corrected_Current"], held.corrected_current.values.reshape(20, 100))
        units = {name: stored[name].attrs["units"] for name in ("Resistance", "Capacitance", "Corrected_Current")}
        assert units == {"Resistance": "GOhm", "Capacitance": "pF", "Corrected_Current": "nA"}
        assert (stored.attrs["freq"], stored.attrs["num_x_steps"], stored.attrs["r_extra"]) == (200.0, 30, 7.0)
    again = usidx.open_result(tmp_path / "a.h5", group)
    xr.testing.assert_allclose(again.compute().drop_attrs(), held.drop_attrs(), rtol=1e-12)
    assert list(again.data_vars) == list(held.data_vars)
    assert {n: v.attrs["units"] for n, v in again.data_vars.items()} == {n: v.units for n, v in held.data_vars.items()}


def test_a_part_of_a_result_is_written_as_it_is(tmp_path: Path) -> None:
    raw, _ = write_currents(tmp_path / "a.h5")
    found = giv(raw, 200.0, steps=30)
    forward = found.sel(direction=["forward"])[["resistance", "resistance_stderr"]]
    again = usidx.open_result(tmp_path / "a.h5", forward.usid.write(progress=False))
    xr.testing.assert_allclose(again.compute().drop_attrs(), forward.compute().drop_attrs())


def test_pyusid_reads_it(tmp_path: Path) -> None:
    pyusid = pytest.importorskip("pyUSID")
    raw, _ = write_currents(tmp_path / "a.h5")
    found = giv(raw, 200.0, steps=30)
    group = found.usid.write(progress=False)
    with h5py.File(tmp_path / "a.h5") as file:
        seen = pyusid.USIDataset(file[group]["Resistance"])
        assert seen.spec_dim_labels == ["Bias"]
        shown = seen.get_n_dim_form()
        shown = shown if shown.shape[0] == 5 else shown.transpose(1, 0, 2)
        np.testing.assert_allclose(shown[:, :, :15], found.resistance.sel(direction="forward"))


def test_what_bglib_wrote_opens(tmp_path: Path) -> None:
    """The tree as its code makes it: single precision, the capacitance twice what it is, no standard errors."""
    sine = 6 * np.sin(2 * np.pi * np.arange(8) / 8)
    places = [("Y", "m", [0.0, 1.0]), ("X", "m", [0.0, 1.0, 2.0])]
    built = build_main(tmp_path / "old.h5", np.arange(48.0), places, [("Bias", "V", sine)])
    rng = np.random.default_rng(0)
    resistance, variance = rng.uniform(1, 2, (2, 6, 6)).astype("f4")
    swept = np.array([-6.0, 0.0, 6.0, 6.0, 0.0, -6.0])
    stored = np.zeros((6, 1), dtype=[("Forward", "f4"), ("Reverse", "f4")])
    stored["Forward"], stored["Reverse"] = rng.uniform(1, 2, (2, 6, 1))
    with h5py.File(built.path, "r+") as file:
        group = results_group(file, built.main, "Bayesian_Inference")
        group.attrs.update({"algorithm_author": "Kody J. Law", "last_pixel": 0, "freq": 200.0, "num_x_steps": 6})
        here, bias = built.position, built.spectroscopic
        half, single = [("Bias", "V", swept)], [("Direction", "", [1.0])]
        told: dict[str, Any] = {"quantity": "Resistance", "units": "GOhms"}
        made = build_main(group, resistance, here, half, name="Resistance", **told)
        build_main(group, variance, here, made.spectroscopic, name="R_variance", **told)
        told = {"quantity": "Capacitance", "units": "pF", "prefixes": {"spectroscopic": "Cap_Spec_"}}
        build_main(group, stored, here, single, name="Capacitance", **told)
        build_main(group, built.array.astype("f4"), here, bias, name="Corrected_Current")
        name = group.name
    found = usidx.open_result(built.path, name)
    assert found.resistance.dims == ("Y", "X", "direction", "voltage")
    assert found.corrected_current.dims == ("Y", "X", "Bias")
    np.testing.assert_array_equal(found.resistance.sel(direction="forward"), resistance[:, :3].reshape(2, 3, 3))
    np.testing.assert_array_equal(found.resistance.sel(direction="reverse"), resistance[:, :2:-1].reshape(2, 3, 3))
    wanted = np.sqrt(variance[:, :2:-1]).reshape(2, 3, 3)
    np.testing.assert_allclose(found.resistance_stderr.sel(direction="reverse"), wanted)
    np.testing.assert_array_equal(found.voltage, [-6, 0, 6])
    np.testing.assert_array_equal(found.capacitance.sel(direction="reverse"), stored["Reverse"].reshape(2, 3))
    assert "twice" in found.capacitance.comment
