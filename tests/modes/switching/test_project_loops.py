"""Projected loops against closed forms and polygons by hand; turning and cutting change nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import usidx
from tests.kit.loops import coordinates, draw, is_rising, loops, scan, triangle
from usidx.errors import RoleError, SelectionError, UnitsError, UsidError
from usidx.results.provenance import find_last_step

VOLTAGE = triangle(32)
REAL = loops(VOLTAGE, is_rising(32), draw((), 3))


def over_voltage(values: Any, voltage: Any = VOLTAGE) -> xr.DataArray:
    coords = coordinates(V=(voltage, "spectroscopic", "V"))
    return xr.DataArray(values, dims="V", coords=coords, attrs={"units": "pm"})


def shoelace(x: Any, y: Any) -> tuple[float, float, float]:
    """Area and centroid of a polygon, vertex by vertex, the last edge included."""
    area = center_x = center_y = 0.0
    for k in range(len(x)):
        n = (k + 1) % len(x)
        cross = x[k] * y[n] - x[n] * y[k]
        area += cross / 2
        center_x += (x[k] + x[n]) * cross / 6
        center_y += (y[k] + y[n]) * cross / 6
    return area, center_x / area, center_y / area


@pytest.mark.parametrize("phase", [0.0, 0.2, 0.6, 1.0, np.pi / 2, 2.0, 3.0, np.pi, -np.pi / 2, -0.6, -3.0])
def test_projection_is_exact_at_any_phase(phase: float) -> None:
    found = usidx.project_loops(over_voltage((REAL + 0.3j) * np.exp(1j * phase)))
    assert_allclose(found.projected_loops, REAL, rtol=0, atol=1e-12)
    assert np.exp(1j * found.rotation_angle.item()) == pytest.approx(np.exp(-1j * phase), abs=1e-12)
    assert -np.pi < found.rotation_angle.item() <= np.pi
    assert found.offset.item() == pytest.approx(0.3, abs=1e-12)


def test_metrics_are_those_of_the_closed_polygon() -> None:
    found = usidx.project_loops(over_voltage(REAL * np.exp(0.7j)))
    area, center_x, center_y = shoelace(VOLTAGE, REAL)
    assert area > 0
    assert found.area.item() == pytest.approx(area, rel=1e-12)
    assert found.centroid_x.item() == pytest.approx(center_x, rel=1e-10)
    assert found.centroid_y.item() == pytest.approx(center_y, rel=1e-10)
    assert found.samples.item() == 32


def test_a_rectangle() -> None:
    """Corners at 1 and 5 V, 2 and 3 pm high, traversed clockwise and so turned over."""
    clockwise = over_voltage(np.array([2.0, 3.0, 3.0, 2.0]), np.array([1.0, 1.0, 5.0, 5.0]))
    found = usidx.project_loops(clockwise)
    assert_allclose(found.projected_loops, [-2, -3, -3, -2])
    expected = {"area": 4.0, "centroid_x": 3.0, "centroid_y": -2.5, "rotation_angle": np.pi, "offset": 0.0}
    assert {n: found[n].item() for n in expected} == pytest.approx(expected, abs=1e-12)


def test_far_from_the_origin_nothing_cancels() -> None:
    small = usidx.project_loops(over_voltage(1e-12 * REAL + 1.0, VOLTAGE + 1e4))
    area, center_x, _ = shoelace(VOLTAGE, REAL)
    assert small.area.item() == pytest.approx(1e-12 * area, rel=1e-2)  # 1e-12 of 1.0 has four digits
    assert small.centroid_x.item() == pytest.approx(1e4 + center_x, abs=1e-2)


def test_units_and_titles() -> None:
    found = usidx.project_loops(over_voltage(REAL))
    units = {str(n): v.attrs.get("units") for n, v in found.data_vars.items()}
    assert units == {
        "projected_loops": "pm", "area": "pm V", "area_stderr": "pm V", "centroid_x": "V",
        "centroid_y": "pm", "rotation_angle": "rad", "offset": "pm", "samples": "",
    }  # fmt: skip
    assert found.area.attrs["long_name"] == "Area"
    unnamed = over_voltage(REAL)
    unnamed.attrs = {}
    bare = usidx.project_loops(unnamed)
    assert "units" not in bare.area.attrs


@settings(max_examples=40, deadline=None)
@given(
    turn=st.floats(-10, 10),
    size=st.floats(1e-12, 1e3),
    shift=st.complex_numbers(max_magnitude=5),
    seed=st.integers(0, 99),
)
def test_turning_growing_and_moving_the_response(turn: float, size: float, shift: complex, seed: int) -> None:
    rng = np.random.default_rng(seed)
    noisy = REAL + 0.1 * (rng.normal(size=32) + 1j * rng.normal(size=32))
    before = usidx.project_loops(over_voltage(noisy))
    after = usidx.project_loops(over_voltage(size * np.exp(1j * turn) * (noisy + shift)))
    assert after.area.item() == pytest.approx(size * before.area.item(), rel=1e-9)
    assert after.centroid_x.item() == pytest.approx(before.centroid_x.item(), abs=1e-9)
    turned = np.exp(1j * (before.rotation_angle.item() - turn - after.rotation_angle.item()))
    assert turned == pytest.approx(1.0, abs=1e-9)
    moved = shift * np.exp(1j * before.rotation_angle.item())
    assert_allclose(after.projected_loops, size * (before.projected_loops + moved.real), rtol=0, atol=1e-9 * size)
    assert after.offset.item() == pytest.approx(size * (before.offset.item() + moved.imag), abs=1e-9 * size)


def test_loop_and_offset_give_the_response_back() -> None:
    response = (REAL - 0.2j) * np.exp(-2.1j)
    found = usidx.project_loops(over_voltage(response))
    back = (found.projected_loops + 1j * found.offset) * np.exp(-1j * found.rotation_angle)
    assert_allclose(back, response, rtol=0, atol=1e-12)


def test_a_fit_of_oscillators_is_a_response() -> None:
    data, _ = scan((2, 3))
    fit = xr.Dataset(
        {"amplitude": abs(data).assign_attrs(units="pm"), "phase": xr.DataArray(np.angle(data), data.coords)}
    )
    found, expected = usidx.project_loops(fit), usidx.project_loops(data)
    assert found.projected_loops.attrs["units"] == "pm"
    for name in expected.data_vars:
        assert_allclose(found[name], expected[name], rtol=1e-9, atol=1e-12)
    stored = fit.rename(amplitude="Amplitude", phase="Phase")
    assert_allclose(usidx.project_loops(stored).area, expected.area, rtol=1e-9)


def test_samples_that_are_missing_are_left_out() -> None:
    response = (REAL + 0.1j) * np.exp(1.2j)
    gone = [0, 7, 8, 31]
    holey = response.copy()
    holey[gone] = [np.nan, np.inf, complex(np.nan, 1.0), np.nan]
    found = usidx.project_loops(over_voltage(holey))
    expected = usidx.project_loops(over_voltage(np.delete(response, gone), np.delete(VOLTAGE, gone)))
    assert found.samples.item() == 28
    assert np.flatnonzero(np.isnan(found.projected_loops)).tolist() == gone
    assert_allclose(np.delete(found.projected_loops.values, gone), expected.projected_loops, rtol=0, atol=1e-12)
    for name in ("area", "centroid_x", "centroid_y", "rotation_angle", "offset"):
        assert found[name].item() == pytest.approx(expected[name].item(), abs=1e-9), name


@pytest.mark.parametrize("left", [0, 1, 2])
def test_fewer_than_three_samples_make_no_loop(left: int) -> None:
    response = np.where(np.arange(32) < left, REAL, np.nan)
    found = usidx.project_loops(over_voltage(response))
    assert found.samples.item() == left
    assert np.isnan([found[n].item() for n in ("area", "centroid_x", "rotation_angle", "offset")]).all()
    assert np.isnan(found.projected_loops).all()


def test_a_constant_response_has_no_area_and_no_centroid() -> None:
    found = usidx.project_loops(over_voltage(np.full(32, 2.0 + 1.0j)))
    assert found.area.item() == 0.0
    assert np.isnan(found.centroid_x.item())
    assert_allclose(found.projected_loops, 2.0)


def test_dims_keep_their_order_and_lazy_is_equal() -> None:
    data, _ = scan((4, 5))
    many = xr.concat([data, 2 * data], dim="Cycle").transpose("Y", "DC_Offset", "Cycle", "X")
    found = usidx.project_loops(many)
    assert found.projected_loops.dims == ("Y", "DC_Offset", "Cycle", "X")
    assert found.area.dims == ("Y", "Cycle", "X")
    assert_allclose(found.area.isel(Cycle=1), 2 * found.area.isel(Cycle=0))
    lazy = usidx.project_loops(many.chunk({"Y": 3, "DC_Offset": 7, "X": 2}))
    assert lazy.area.chunks is not None
    xr.testing.assert_equal(lazy.compute(), found)
    step = find_last_step(found)
    assert step is not None
    assert (step["tool"], step["parameters"]["dim"]) == ("project_loops", "DC_Offset")


def test_the_voltage_may_change_from_loop_to_loop() -> None:
    """First-order reversal curves: each cycle goes further than the one before."""
    highest = np.array([4.0, 6.0, 8.0])
    voltage = np.stack([triangle(32, v) for v in highest])
    forc = np.stack([loops(v, is_rising(32), draw((), 3)) for v in voltage])
    coords = {"FORC": ("FORC", np.arange(3), {"usid_role": "spectroscopic"})}
    data = xr.DataArray(forc * np.exp(1j), dims=("FORC", "DC_Offset"), coords=coords)
    swept = xr.Variable(("FORC", "DC_Offset"), voltage, {"usid_role": "spectroscopic", "units": "V"})
    data = data.assign_coords(xr.Coordinates({"DC_Offset": swept}, indexes={}))
    found = usidx.project_loops(data)
    assert_allclose(found.projected_loops, forc, rtol=0, atol=1e-12)
    assert_allclose(found.area, [shoelace(v, y)[0] for v, y in zip(voltage, forc, strict=True)])


@pytest.mark.parametrize("name", ["DC_Offset", "dc offset", "write_bias", "V dc"])
def test_the_voltage_is_known_by_its_name(name: str) -> None:
    data, _ = scan((2, 2))
    read = xr.Variable("read_bias", [0.0, 1.0], {"usid_role": "spectroscopic", "units": "V"})
    both = data.rename(DC_Offset=name).expand_dims(read_bias=2).assign_coords(read_bias=read)
    assert usidx.project_loops(both).area.dims == ("read_bias", "Y", "X")


def test_or_by_its_unit_or_for_being_alone() -> None:
    data, _ = scan((2, 2))
    cycle = xr.Variable("Cycle", [0, 1], {"usid_role": "spectroscopic", "units": ""})
    both = data.rename(DC_Offset="Step").expand_dims(Cycle=2).assign_coords(Cycle=cycle)
    assert usidx.project_loops(both).area.dims == ("Cycle", "Y", "X")
    data.attrs = {}
    assert usidx.project_loops(data.rename(DC_Offset="Step")).area.dims == ("Y", "X")


def test_what_is_not_clear_is_refused() -> None:
    data, _ = scan((2, 2))
    read = xr.Variable("read", [0.0, 1.0], {"usid_role": "spectroscopic", "units": "V"})
    both = data.rename(DC_Offset="write").expand_dims(read=2).assign_coords(read=read)
    with pytest.raises(
        RoleError, match=r"has the spectroscopic dims \('read', 'write'\), and 1 should be worked along. Name"
    ):
        usidx.project_loops(both)
    with pytest.raises(RoleError, match="No dim 'bias' here"):
        usidx.project_loops(data, "bias")
    with pytest.raises(SelectionError, match="There is no coordinate 'volts' along the dim 'DC_Offset'"):
        usidx.project_loops(data, coordinate="volts")
    with pytest.raises(UnitsError, match="'word' is of dtype"):
        usidx.project_loops(data.assign_coords(word=("DC_Offset", ["a"] * 64)), coordinate="word")
    with pytest.raises(UsidError, match=r"goes only one way, from 0\.0 to 63\.0"):
        usidx.project_loops(data.assign_coords(t=("DC_Offset", np.arange(64.0))), coordinate="t")
    with pytest.raises(SelectionError, match="no variable 'phase' but"):
        usidx.project_loops(xr.Dataset({"amplitude": abs(data)}))
    with pytest.raises(UnitsError, match="'phase' is in 'deg', and a phase is wanted in 'rad'"):
        usidx.project_loops(xr.Dataset({"amplitude": abs(data), "phase": abs(data).assign_attrs(units="deg")}))
    with pytest.raises(UsidError, match="is of dtype <U1; a loop needs a response"):
        usidx.project_loops(xr.DataArray(["a", "b"], dims="V"))
