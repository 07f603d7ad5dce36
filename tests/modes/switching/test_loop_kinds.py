"""Loops that are none, loops with wild samples, response in quadrature, and fits by those who know more."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal

import usidx
from tests.kit.loops import NAMES, Array, coordinates, draw, is_rising, loops, scan, triangle
from usidx.errors import SelectionError, UsidError

VOLTAGE = triangle(64)
LOOP = np.array([-0.4, 1.0, -2.0, 3.0, 0.0, 0.6, 0.6, 0.6, 0.6])


def label(response: Array, voltage: Array = VOLTAGE) -> xr.DataArray:
    coords = coordinates(V=(voltage, "spectroscopic", "V"))
    return xr.DataArray(response, dims=("p", "V"), coords=coords, attrs={"units": "pm"})


def noise(shape: tuple[int, ...], size: float, seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    drawn: Array = size * (rng.normal(size=shape) + 1j * rng.normal(size=shape))
    return drawn


def make_loops(count: int, parameters: Array = LOOP, size: float = 1 / 30, steps: int = 64, seed: int = 0) -> Array:
    clean = loops(triangle(steps), is_rising(steps), np.broadcast_to(parameters, (count, 9)))
    found: Array = clean * np.exp(0.5j) + noise(clean.shape, size, seed)
    return found


CURVES = {
    "line": lambda v: 0.1 * v,
    "saturates": lambda v: np.tanh(v / 2),
    "sharp": lambda v: np.tanh((v - 1.3) / 0.1),
    "square": lambda v: 0.1 * v**2,
    "cubic": lambda v: 0.01 * v**3 - 0.1 * v,
    "kink": lambda v: np.abs(v - 2.0),
    "none": lambda v: 0.0 * v,
}


@pytest.mark.parametrize("shift", [0.0, 0.31], ids=["same voltages both ways", "voltages between"])
@pytest.mark.parametrize("curve", CURVES)
def test_what_has_one_value_at_each_voltage_is_no_loop(curve: str, shift: float) -> None:
    voltage = 8 * np.sin(2 * np.pi * (np.arange(64) + shift) / 64)
    z = CURVES[curve](voltage) * np.exp(0.7j)
    found = usidx.loop_fit(label(z + noise((400, 64), 0.05), voltage))
    assert float(found.is_loop.mean()) < 0.02
    clean = usidx.loop_fit(label(np.broadcast_to(z, (2, 64)), voltage))
    assert not clean.is_loop.any()


@pytest.mark.parametrize("width", [1.0, 5.0])
def test_narrow_loops_are_loops(width: float) -> None:
    narrow = LOOP.copy()
    narrow[3] = narrow[2] + width
    assert float(usidx.loop_fit(label(make_loops(100, narrow))).is_loop.mean()) > 0.99


def test_the_error_of_the_area_is_its_scatter() -> None:
    data = make_loops(500)
    data[:, ::7] = np.nan
    found = usidx.loop_fit(label(data))
    assert 0.85 < float(found.area_stderr.median()) / float(found.area.std()) < 1.15


@pytest.mark.parametrize("slope", [0.0, 0.05, 0.2])
@pytest.mark.parametrize("phase", [0.5, 2.5, -1.0])
def test_a_response_in_quadrature_does_not_turn_the_loop(slope: float, phase: float) -> None:
    z = make_loops(100) * np.exp(-0.5j) + 1j * slope * VOLTAGE
    found = usidx.loop_fit(label(z * np.exp(1j * phase)))
    assert_allclose(found.switchable_polarization.median(), 1.0, atol=0.02)
    away = np.angle(np.exp(1j * (found.rotation_angle + phase)))
    assert float(np.median(np.abs(away))) < 0.03


@pytest.mark.parametrize("count", [1, 3])
def test_wild_samples_turn_nothing(count: int) -> None:
    data, rng = make_loops(200), np.random.default_rng(1)
    plain = usidx.loop_fit(label(data))
    for row in data:
        row[rng.choice(64, count, replace=False)] += 5 * np.exp(2j * np.pi * rng.random(count))
    found = usidx.loop_fit(label(data))
    lazy = usidx.loop_fit(label(data).chunk(p=70)).compute()
    assert float((abs(found.v_plus - 3) < 6 * plain.v_plus_stderr.median()).mean()) > 0.93
    assert float(found.is_loop.mean()) > 0.95
    away = np.angle(np.exp(1j * (found.rotation_angle + 0.5)))
    assert float(np.quantile(np.abs(away), 0.95)) < 0.1
    assert 0.7 < float(found.v_plus_stderr.median() / plain.v_plus_stderr.median()) < 1.6
    for name in found.data_vars:
        assert_array_equal(found[name], lazy[name])


@pytest.mark.parametrize("loss", ["soft_l1", "huber", "cauchy"])
def test_loss_and_sigma(loss: str) -> None:
    data = make_loops(300)
    plain = usidx.loop_fit(label(data))
    robust = usidx.loop_fit(label(data), loss=loss)
    scatter = 1.4826 * float(abs(robust.v_plus - 3).median())
    assert 0.75 < float(robust.v_plus_stderr.median()) / scatter < 1.3
    known = usidx.loop_fit(label(data), sigma=1 / 30, absolute_sigma=True)
    assert_allclose(known.v_plus, plain.v_plus, atol=1e-4)
    assert_allclose(known.redchi, plain.redchi * 900, rtol=1e-4)
    assert_allclose(known.imprint_stderr * known.redchi**0.5, plain.imprint_stderr, rtol=1e-3)
    assert_allclose(known.bic_line - known.bic_loop, plain.bic_line - plain.bic_loop, rtol=1e-4)


def test_who_knows_more_gets_no_worse_a_fit() -> None:
    data, truth = scan((6, 6), noise=0.05, seed=7)
    plain = usidx.loop_fit(data)
    fixed = usidx.loop_fit(data, fixed={"v_plus": xr.DataArray(truth[..., 3], dims=("Y", "X")), "slope": 0.0})
    assert_array_equal(fixed.v_plus, truth[..., 3])
    assert (fixed.v_plus_stderr == 0).all()
    assert (fixed.slope == 0).all()
    assert float((abs(fixed.v_minus - plain.v_minus) < 6 * plain.v_minus_stderr).mean()) > 0.95
    begun = usidx.loop_fit(data, start={n: xr.DataArray(truth[..., k], dims=("Y", "X")) for k, n in enumerate(NAMES)})
    assert_allclose(begun.chi2, plain.chi2, rtol=1e-5)
    assert_array_equal(begun.v_plus_guess, truth[..., 3])
    tied = usidx.loop_fit(data, tied={"rising_width_above": "rising_width_below"}, bounds={"v_plus": (0.0, 5.0)})
    assert_array_equal(tied.rising_width_above, tied.rising_width_below)
    assert (tied.chi2 >= plain.chi2 * (1 - 1e-6)).all()
    assert float((abs(tied.v_minus - plain.v_minus) < 3 * plain.v_minus_stderr).mean()) > 0.95


def test_one_width_for_all_scatters_less() -> None:
    data = label(make_loops(300, size=0.1, steps=32), triangle(32))
    each = usidx.loop_fit(data, widths="each")
    common = usidx.loop_fit(data, widths="common")
    assert common.common_widths.all()
    assert not each.common_widths.any()
    for name in NAMES[6:]:
        assert_array_equal(common[name], common[NAMES[5]])
    assert float(common.v_plus.std()) < 0.7 * float(each.v_plus.std())
    assert abs(float(common.v_plus.mean()) - 3) < 4 * float(common.v_plus.std()) / 300**0.5
    assert 0.8 < float(common.v_plus_stderr.median()) / float(common.v_plus.std()) < 1.2


@pytest.mark.parametrize("steps", [8, 12, 16])
def test_few_samples_have_one_width(steps: int) -> None:
    found = usidx.loop_fit(label(make_loops(200, size=0.02, steps=steps), triangle(steps)))
    assert found.common_widths.all()
    assert float(found.converged.mean()) > 0.97
    known = np.isfinite(found.v_plus_stderr)
    # An error, or a status that says why there is none.
    assert (known | (found.status == 2) | ~found.converged).all()
    assert float(abs(found.v_plus - 3).median()) < 16 / steps
    tiny = usidx.loop_fit(label(make_loops(3, steps=4), triangle(4)))
    assert (tiny.status == -2).all()


def test_retry_begins_at_the_neighbours() -> None:
    clean = make_loops(42).reshape(6, 7, 64)
    places = {d: (d, np.arange(n), {"usid_role": "position"}) for d, n in (("Y", 6), ("X", 7))}
    data = label(clean.reshape(42, 64)).isel(p=0, drop=True).expand_dims(Y=6, X=7).copy(data=clean)
    data = data.assign_coords(places)
    hopeless = np.zeros((6, 7))
    hopeless[1, 2] = hopeless[4, ::2] = np.nan
    # Far from the truth more steps are needed than are allowed; who retries does not begin there.
    far = {"v_plus": -7.9, "v_minus": 7.9} | dict.fromkeys(NAMES[5:], 15.9)
    start = {n: xr.DataArray(np.where(np.isnan(hopeless), far[n], LOOP[NAMES.index(n)]), dims=("Y", "X")) for n in far}
    few: dict[str, Any] = {"start": start, "max_evaluations": 25, "widths": "each", "tolerance": 1e-6}
    plain = usidx.loop_fit(data, **few)
    again = usidx.loop_fit(data, retry="neighbours", **few)
    lazy = usidx.loop_fit(data.chunk(Y=2, X=3), retry="neighbours", **few).compute()
    hopeless = np.where(plain.converged, 0.0, np.nan)
    assert 2 < np.isnan(hopeless).sum() < 12
    assert_array_equal(again.second_try, np.isnan(hopeless))
    assert again.converged.all()
    best = usidx.loop_fit(data)
    assert_allclose(again.chi2, best.chi2, rtol=1e-4)
    for name in plain.data_vars:
        assert_array_equal(again[name].where(plain.converged), plain[name].where(plain.converged), err_msg=str(name))
        assert_array_equal(again[name], lazy[name], err_msg=str(name))


def test_options_that_there_are_none_of_are_refused() -> None:
    data, _ = scan((1, 1))
    cases: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"widths": "two"}, SelectionError, "No widths='two'; choose one of"),
        ({"widths": "common", "fixed": {NAMES[6]: 1.0}}, SelectionError, f"'{NAMES[6]}' is fixed or tied"),
        ({"loss": "l3"}, SelectionError, "No loss 'l3'"),
        ({"retry": "all"}, SelectionError, "No retry 'all'"),
        ({"fixed": {"a": 1.0}}, SelectionError, "fixed: no parameter 'a'"),
        ({"tied": {"slope": "v_plus"}, "start": {"slope": 1.0}}, SelectionError, "start: 'slope' is tied"),
        ({"tied": {"slope": "nothing"}}, SelectionError, "tied: no parameter 'nothing'"),
        ({"fixed": dict.fromkeys(NAMES, 1.0)}, UsidError, "nothing is left to fit"),
    ]
    for options, kind, text in cases:
        with pytest.raises(kind, match=text):
            usidx.loop_fit(data, **options)


def test_fits_of_all_kinds_are_written_and_opened(tmp_path: Any) -> None:
    truth = draw((2, 3), 0)
    clean = loops(VOLTAGE, is_rising(64), truth)
    coords = coordinates(Y=(np.arange(2.0), "position", "m"), X=(np.arange(3.0), "position", "m"),
                         DC_Offset=(VOLTAGE, "spectroscopic", "V"))  # fmt: skip
    data = xr.DataArray(clean + noise(clean.shape, 0.02), dims=("Y", "X", "DC_Offset"), coords=coords, name="Raw")
    usidx.write(data.assign_attrs(units="pm"), tmp_path / "a.h5")
    raw = usidx.open_main(tmp_path / "a.h5")
    options: dict[str, Any] = {
        "widths": "common", "fixed": {"slope": 0.0}, "start": {"v_plus": 2.0}, "sigma": 0.02, "retry": "neighbours",
        "loss": "huber",
    }  # fmt: skip
    found = usidx.loop_fit(raw, **options)
    group = found.usid.write()
    again = usidx.open_result(tmp_path / "a.h5", group)
    for name in found.data_vars:
        assert_array_equal(again[name], found[name], err_msg=str(name))
    assert usidx.loop_fit(raw).usid.write() != group
    assert_allclose(usidx.evaluate(again), usidx.evaluate(found))
