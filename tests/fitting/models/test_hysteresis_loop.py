"""The hysteresis loop: its published formula, its derivatives, its branches, and fits to loops made by that formula."""

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import erf

import usidx
from usidx.fitting.models.hysteresis_loop import find_rising
from usidx.fitting.models.model import from_description
from usidx.fitting.solver.compiled import evaluate_block
from usidx.models import Gaussian, HysteresisLoop, Linear

LOOP = HysteresisLoop()
SHAPE = (-1.0, 2.1, -2.3, 2.9, 0.05, 0.4, 0.8, 1.2, 0.6)


def triangle(steps: int, highest: float = 8.0, start: float = 0.0) -> np.ndarray:
    """One cycle of voltage: 0, highest, -highest, back to 0; `start` turns it, in cycles."""
    turn = np.arange(steps) / steps + start
    return highest * (4 * np.abs((turn - 0.25) % 1 - 0.5) - 1)


def published(voltage: np.ndarray, parameters: tuple[float, ...], step: float = 1000.0) -> np.ndarray:
    """Equations of Jesse et al. (2006), for a cycle that starts where it is highest: the first half falls."""
    a, b = parameters[:5], parameters[5:]
    values = []
    for half, center, first, second in zip(np.split(voltage, 2), a[2:4], b[::2], b[1::2], strict=True):
        g = (second - first) / 2 * (erf((half - center) * step) + 1) + first
        y = (g * erf((half - center) / g) + first) / (first + second)
        values.append(a[0] + a[1] * y + a[4] * half)
    return np.concatenate(values)


def named(parameters: tuple[float, ...]) -> dict[str, float]:
    return dict(zip(LOOP.names, parameters, strict=True))


@pytest.mark.parametrize("shape", [SHAPE, (0.3, 1.0, 1.0, 4.0, -0.1, 0.1, 2.0, 3.0, 0.1)])
def test_value_is_the_published_formula(shape: tuple[float, ...]) -> None:
    voltage = triangle(4096, start=0.25)
    assert_allclose(LOOP(voltage, **named(shape)), published(voltage, shape), rtol=0, atol=1e-7 * shape[1])
    # With a sharper step of the published formula the difference is gone.
    assert_allclose(LOOP(voltage, **named(shape)), published(voltage, shape, step=1e7), rtol=0, atol=1e-14)


def test_the_unit_of_the_voltage_does_not_matter() -> None:
    voltage = triangle(64)
    in_volts = LOOP(voltage, **named(SHAPE))
    shape = np.array(SHAPE) * [1, 1, 1e3, 1e3, 1e-3, 1e3, 1e3, 1e3, 1e3]
    assert_allclose(LOOP(1e3 * voltage, **named(tuple(shape))), in_volts, rtol=1e-12)


def test_compiled_value_is_the_same() -> None:
    voltage, parameters = triangle(50), np.array([SHAPE, SHAPE]) * [[1.0], [1.1]]
    compiled = evaluate_block(LOOP, voltage[None, None], parameters)
    assert_allclose(compiled, [LOOP(voltage, **named(tuple(p))) for p in parameters], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", LOOP.names)
def test_derivatives_are_exact(name: str) -> None:
    voltage, step = triangle(64) + 0.013, 1e-5
    up, down = named(SHAPE), named(SHAPE)
    up[name] += step
    down[name] -= step
    expected = (LOOP(voltage, **up) - LOOP(voltage, **down)) / (2 * step)
    assert_allclose(LOOP.jacobian(voltage, **named(SHAPE))[name], expected, rtol=0, atol=1e-8)


def test_derivative_does_not_jump_where_a_branch_switches() -> None:
    """The widths differ on the two sides, and the switching voltage moves across a sample."""
    voltage = triangle(64)
    sample = int(np.flatnonzero(find_rising(voltage) & np.isclose(voltage, 3.0))[0])
    below, above = (
        LOOP.jacobian(voltage, **named(SHAPE) | {"v_plus": 3.0 + s})["v_plus"][sample] for s in (-1e-9, 1e-9)
    )
    assert below == pytest.approx(above, rel=1e-9)


@pytest.mark.parametrize("start", [0.0, 0.1, 0.25, 0.6, 0.75])
def test_branch_follows_from_the_order_of_the_samples(start: float) -> None:
    turn = (np.arange(40) / 40 + start) % 1
    assert_array_equal(find_rising(triangle(40, start=start)), (turn < 0.25 - 1e-9) | (turn >= 0.75 - 1e-9))


def test_branches_of_rows_of_their_own() -> None:
    rows = np.stack([triangle(16, 1.0), triangle(16, 9.0, start=0.5), np.roll(triangle(16), 3)])
    assert_array_equal(find_rising(rows), [find_rising(row) for row in rows])
    assert_array_equal(find_rising(rows[1]), np.roll(find_rising(rows[0]), 8))


def test_steps_back_smaller_than_a_twentieth_are_no_turns() -> None:
    voltage = triangle(64)
    noisy = voltage + np.random.default_rng(0).uniform(-0.3, 0.3, 64)  # of a range of 16, in steps of 0.5
    inner = np.abs(voltage) < 7
    assert_array_equal(find_rising(noisy)[inner], find_rising(voltage)[inner])


def test_several_cycles_and_gaps_and_a_plateau() -> None:
    voltage = np.concatenate([triangle(16), triangle(16)])
    assert_array_equal(find_rising(voltage), np.tile(find_rising(triangle(16)), 2))
    held = np.repeat(triangle(16), 2)
    assert_array_equal(find_rising(held), np.repeat(find_rising(triangle(16)), 2))
    gaps = np.where(np.arange(16) == 5, np.nan, triangle(16))
    assert_array_equal(np.delete(find_rising(gaps), 5), np.delete(find_rising(triangle(16)), 5))
    assert find_rising(np.full((2, 5), np.nan)).shape == (2, 5)


@pytest.mark.parametrize("start", [0.0, 0.25])
def test_fit_finds_the_truth_from_its_own_start(start: float) -> None:
    voltage = triangle(64, start=start)
    truth = published(triangle(64, start=0.25), SHAPE)
    data = xr.DataArray(np.roll(truth, 0 if start else 16), dims="V", coords={"V": ("V", voltage, {"units": "V"})})
    found = usidx.fit(data.assign_attrs(units="m"), HysteresisLoop())
    assert bool(found.converged)
    for name, value in named(SHAPE).items():
        assert found[name].item() == pytest.approx(value, abs=1e-6), name
    assert (found.v_plus.units, found.slope.units, found.r_minus.units) == ("V", "m/V", "m")
    assert_allclose(usidx.evaluate(found), data, rtol=0, atol=1e-7)


def test_descending_and_ascending_order_of_blocks_agree_with_dask() -> None:
    rng = np.random.default_rng(3)
    clean = np.roll(published(triangle(32, start=0.25), SHAPE), 8)
    data = xr.DataArray(clean + 0.05 * rng.normal(size=(6, 32)), dims=("X", "V"), coords={"V": triangle(32)})
    eager = usidx.fit(data, HysteresisLoop(), "V")
    lazy = usidx.fit(data.chunk({"X": 2, "V": 5}), HysteresisLoop(), "V")
    xr.testing.assert_equal(eager, lazy.compute())


def test_sum_with_another_model_and_description() -> None:
    voltage = triangle(32)
    both = HysteresisLoop() + Gaussian("height") + HysteresisLoop(prefix="second_")
    peak = {"amplitude": 0.7, "center": 1.0, "sigma": 2.0}
    second = {f"second_{k}": v for k, v in named((0.1, -0.4, -1.0, 1.5, 0.0, 1.0, 1.0, 1.0, 1.0)).items()}
    expected = (
        LOOP(voltage, **named(SHAPE))
        + 0.7 * np.exp(-0.5 * ((voltage - 1) / 2) ** 2)
        + LOOP(voltage, **{k.removeprefix("second_"): v for k, v in second.items()})
    )
    shape = {k if k in both.names else f"hysteresisloop_1_{k}": v for k, v in named(SHAPE).items()}
    values = shape | peak | second
    assert set(values) == set(both.names)
    assert_allclose(both(voltage, **values), expected, rtol=0, atol=1e-12)
    row = np.array([[values[n] for n in both.names]])
    assert_allclose(evaluate_block(both, voltage[None, None], row)[0], expected, rtol=0, atol=1e-12)
    assert from_description(both.describe()) == both


def test_product_with_a_line() -> None:
    both, voltage = HysteresisLoop() * Linear(prefix="line_"), triangle(16)
    values = named(SHAPE) | {"line_slope": 0.3, "line_intercept": 2.0}
    assert_allclose(both(voltage, **values), LOOP(voltage, **named(SHAPE)) * (0.3 * voltage + 2.0), rtol=1e-13)


def test_a_width_that_falls_to_nothing_leaves_the_fit_standing() -> None:
    """Steps that are sharper than the samples are apart: which width it is the data cannot say."""
    voltage = triangle(32)
    up = find_rising(voltage)
    sharp = xr.DataArray(
        np.where(np.where(up, voltage > 3.1, voltage > -2.1), 1.0, -1.0), dims="V", coords={"V": voltage}
    )
    bounds = dict.fromkeys(LOOP.names[-4:], (0.3, 16.0))
    found = usidx.fit(sharp, HysteresisLoop(), "V", bounds=bounds)
    assert found.converged.item()
    assert found.status.item() == 2
    assert 2.0 <= found.v_plus.item() <= 4.0
    assert np.isnan(found.rising_width_below_stderr.item())
