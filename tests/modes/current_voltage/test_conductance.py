"""Derivatives and normalised conductance against scipy, closed forms and simulated truth."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import scipy.signal
import xarray as xr

import usidx
from usidx.errors import RoleError, SelectionError, UnitsError, UsidError
from usidx.label.roles import set_roles
from usidx.modes.current_voltage.derivative import split_runs

Array = npt.NDArray[Any]


def curve(bias: Any, current: Any) -> xr.DataArray:
    made = xr.DataArray(current, dims="Bias", coords={"Bias": ("Bias", bias, {"units": "V"})}, attrs={"units": "nA"})
    return set_roles(made, spectroscopic="Bias")


@pytest.mark.parametrize(
    ("bias", "expected"),
    [
        ([0, 1, 2], [([0, 1, 2], 0)]),
        ([2, 1, 0], [([0, 1, 2], 0)]),
        ([0, 1, 2, 1, 0], [([0, 1, 2], 0), ([2, 3, 4], 1)]),
        ([0, 1, 0, 1], [([0, 1], 0), ([1, 2], 1), ([2, 3], 1)]),
        ([0, 1, 1, 0], [([0, 1], 0), ([2, 3], 0)]),
        ([0, 1, 1, 1, 1, 0], [([0, 1, 2], 0), ([3, 4, 5], 0)]),
        ([0, 0, 1, 1, 2, 2], [([0, 1, 2, 3, 4, 5], 0)]),
        ([0, 0, 0], [([0, 1, 2], 0)]),
        ([3], [([0], 0)]),
        ([0, 1, 2, 3, 4, 3, 2, 1, 0], [([0, 1, 2, 3, 4], 0), ([4, 5, 6, 7, 8], 1)]),
    ],
)
def test_sweeps_split_where_they_turn(bias: list[float], expected: Any) -> None:
    found = [(run.samples.tolist(), run.shared) for run in split_runs(np.array(bias, float))]
    assert found == expected


@pytest.mark.parametrize(("window", "order"), [(3, 1), (5, 2), (7, 2), (9, 4)])
def test_equal_steps_are_the_filter_of_savitzky_and_golay(window: int, order: int) -> None:
    rng = np.random.default_rng(0)
    bias = np.linspace(-1, 1, 41)
    current = rng.normal(size=(3, 41))
    data = xr.DataArray(current, dims=("X", "Bias"), coords={"Bias": bias})
    expected = scipy.signal.savgol_filter(current, window, order, deriv=1, delta=0.05, mode="interp")
    found = usidx.didv(data, window=window, order=order)
    np.testing.assert_allclose(found[:, 1:-1], expected[:, 1:-1], rtol=1e-9, atol=1e-9)
    # At both ends the order is one higher, where there are samples for it.
    higher = min(order + 1, window - 1)
    for row, (end, near) in itertools.product(range(3), ((0, slice(0, window)), (-1, slice(-window, None)))):
        line = np.polyfit(bias[near] - bias[end], current[row, near], higher)
        assert float(found[row, end]) == pytest.approx(line[-2], rel=1e-6)


def test_unequal_steps_give_the_slope_of_a_polynomial_exactly() -> None:
    bias = np.sort(np.random.default_rng(1).uniform(-2, 2, 60))
    found = usidx.didv(curve(bias, 3 - 2 * bias + 0.5 * bias**2))
    np.testing.assert_allclose(found, -2 + bias, rtol=1e-8, atol=1e-8)


def test_up_and_down_sweeps_do_not_mix() -> None:
    up = np.linspace(0, 1, 21)
    bias = np.concatenate([up, up[-2::-1]])
    # A hysteretic contact: other slopes on the way back.
    current = np.where(np.arange(41) <= 20, 5 * bias, 5 - 2 * (1 - bias))
    found = usidx.didv(curve(bias, current))
    np.testing.assert_allclose(found[:21], 5.0, rtol=1e-9)
    np.testing.assert_allclose(found[21:], 2.0, rtol=1e-9)
    falling = usidx.didv(curve(up[::-1], up[::-1] ** 2))
    np.testing.assert_allclose(falling, 2 * up[::-1], rtol=1e-9, atol=1e-9)


def test_short_runs_and_single_samples() -> None:
    bias = [0.0, 1.0, 2.0, 2.0, 1.0, 1.0]
    found = usidx.didv(curve(bias, [0.0, 1.0, 4.0, 7.0, 5.0, 9.0]))
    np.testing.assert_allclose(found[:3], [0.0, 2.0, 4.0], atol=1e-9)
    np.testing.assert_allclose(found[3:], 0.0, atol=1e-9)  # from 7 at 2 to the mean of 5 and 9 at 1
    assert np.isnan(usidx.didv(curve([1.0, 1.0], [0.0, 1.0]))).all()


def cubic(bias: Any) -> Any:
    return bias**3 + 0.2 * bias


def slope_of_cubic(bias: Any) -> Any:
    return 3 * bias**2 + 0.2


EVEN = np.linspace(-1, 1, 401)
MEASURED = {
    "twice": np.repeat(EVEN[::2], 2),
    "four times": np.repeat(EVEN[::4], 4),
    "ten times": np.repeat(EVEN[::10], 10)[:401],
    "jitter": EVEN + 0.005 * np.random.default_rng(6).normal(size=401),
    "much jitter": EVEN + 0.015 * np.random.default_rng(7).normal(size=401),
    "quantised": np.round(EVEN / 0.0137) * 0.0137,
    "there and back": np.concatenate([EVEN, EVEN[::-1]]) + 0.005 * np.random.default_rng(8).normal(size=802),
}


@pytest.mark.parametrize("name", MEASURED)
def test_a_bias_that_repeats_or_jitters(name: str) -> None:
    bias = MEASURED[name]
    rng = np.random.default_rng(1)
    current = cubic(bias) + 1e-3 * rng.normal(size=(20, bias.size))
    data = xr.DataArray(current, dims=("p", "Bias"), coords={"Bias": bias})
    found = usidx.didv(data, window=11)
    error = found.values - slope_of_cubic(bias)
    assert np.isfinite(error).all()
    assert np.sqrt((error**2).mean()) < 0.1
    # Without noise, which I/V makes large wherever a measured bias comes close to zero.
    ratio = usidx.normalized_conductance(curve(bias, cubic(bias)), broadening=0.4, window=11)
    even = usidx.normalized_conductance(curve(EVEN, cubic(EVEN)), broadening=0.4, window=11)
    at = np.interp(bias, EVEN, even)
    assert float(abs(ratio - at).median()) < 0.1


def test_runs_of_a_sweep_that_jitters_do_not_mix() -> None:
    bias = MEASURED["there and back"]
    runs = split_runs(bias)
    assert len(runs) == 2
    assert abs(runs[0].samples.size - 401) < 8
    current = np.where(np.arange(802) < 401, 5 * bias, 5 - 2 * (1 - bias))
    found = usidx.didv(curve(bias, current), window=11)
    np.testing.assert_allclose(found[:390], 5.0, rtol=1e-6)
    np.testing.assert_allclose(found[412:], 2.0, rtol=1e-6)


SWEEP = np.concatenate([np.linspace(0, 1, 25, endpoint=False), np.linspace(1, -1, 51)[:-1], np.linspace(-1, 0, 26)])


@pytest.mark.parametrize("kind", ["numpy", "dask"])
@pytest.mark.parametrize("name", [None, "Voltage"])
def test_the_bias_may_change_from_curve_to_curve(kind: str, name: str | None) -> None:
    ranges = np.array([0.5, 1.0, 1.5, 2.0])
    bias = ranges[:, None] * SWEEP
    dim = "Bias" if name is None else "Sample"
    data = xr.DataArray(cubic(bias) * np.ones((3, 1, 1)), dims=("X", "FORC", dim), attrs={"units": "nA"}, name="I")
    data = data.assign_coords(xr.Coordinates({name or dim: (("FORC", dim), bias, {"units": "V"})}, indexes={}))
    given = data if kind == "numpy" else data.chunk({"X": 1, "FORC": 2})
    found = usidx.didv(given, dim, coordinate=name)
    assert (found.chunks is None) is (kind == "numpy")
    assert (found.dims, found.units) == (data.dims, "nA/V")
    np.testing.assert_allclose(found, slope_of_cubic(bias) * np.ones((3, 1, 1)), atol=0.05)
    ratio = usidx.normalized_conductance(given, dim, broadening=0.1, coordinate=name)
    for k in range(4):
        alone = curve(bias[k], cubic(bias[k]))
        np.testing.assert_allclose(found[1, k], usidx.didv(alone), rtol=1e-12)
        np.testing.assert_allclose(ratio[1, k], usidx.normalized_conductance(alone, broadening=0.1), rtol=1e-12)


def test_a_bias_of_each_place_and_one_that_is_not_known() -> None:
    rng = np.random.default_rng(2)
    bias = np.sort(rng.uniform(-1, 1, (3, 4, 50)), axis=-1)
    data = xr.DataArray(2 * bias**2, dims=("Y", "X", "s"), coords={"V": (("Y", "X", "s"), bias)})
    np.testing.assert_allclose(usidx.didv(data, "s", coordinate="V"), 4 * bias, rtol=1e-7, atol=1e-7)
    lazy = data.assign_coords(V=data.V.where(data.V.Y * 0 + xr.DataArray([0, 1, 1], dims="Y") > 0).chunk())
    found = usidx.didv(lazy.chunk(), "s", coordinate="V")
    assert np.isnan(found[0]).all()
    np.testing.assert_allclose(found[1:], 4 * bias[1:], rtol=1e-7, atol=1e-7)
    with pytest.raises(SelectionError, match="No coordinate 'U' here"):
        usidx.didv(data, "s", coordinate="U")
    with pytest.raises(SelectionError, match="the bias should run along 's'"):
        usidx.didv(data.assign_coords(T=("X", np.arange(4.0))), "s", coordinate="T")


@pytest.mark.parametrize("kind", ["ohmic", "diode", "tunnel"])
@pytest.mark.parametrize("sweep", ["up", "cycle"])
def test_simulated_conductance_is_found(kind: Any, sweep: Any) -> None:
    curves, truth = usidx.simulate.current_voltage((3, 4), 401, kind=kind, sweep=sweep, noise=0.0)
    found = usidx.didv(curves, window=5)
    scale = float(truth.conductance.max())
    np.testing.assert_allclose(found, truth.conductance, atol=0.02 * scale)
    within = slice(110, 290) if sweep == "cycle" else slice(5, -5)
    np.testing.assert_allclose(found[..., within], truth.conductance[..., within], atol=0.006 * scale)


def test_noise_of_the_derivative_is_what_the_weights_say() -> None:
    rng = np.random.default_rng(3)
    bias = np.linspace(-1, 1, 41)
    data = xr.DataArray(rng.normal(size=(4000, 41)), dims=("X", "Bias"), coords={"Bias": bias})
    weights = scipy.signal.savgol_coeffs(7, 2, deriv=1, delta=0.05)
    spread = usidx.didv(data)[:, 10:30].std()
    assert float(spread) == pytest.approx(np.sqrt(np.sum(weights**2)), rel=0.02)


def test_what_is_missing_touches_only_what_it_takes_part_in() -> None:
    bias = np.linspace(-1, 1, 41)
    data = curve(bias, bias.copy())
    whole = usidx.didv(data)
    for bad in (np.nan, np.inf):
        holed = data.copy()
        holed[20] = bad
        found = usidx.didv(holed)
        assert np.isnan(found[17:24]).all()
        np.testing.assert_array_equal(found[:17], whole[:17])
        np.testing.assert_array_equal(found[24:], whole[24:])


def test_units_names_and_provenance() -> None:
    data = curve(np.linspace(-1, 1, 11), np.zeros(11))
    found = usidx.didv(data)
    assert (found.name, found.units, found.attrs["long_name"]) == ("didv", "nA/V", "Differential Conductance")
    assert usidx.history(found)[-1]["parameters"] == {"dim": "Bias", "coordinate": None, "window": 7, "order": 2}
    assert "units" not in usidx.didv(data.drop_attrs()).attrs
    assert usidx.normalized_conductance(data + data.Bias, broadening=0.2).units == ""
    assert found.Bias.attrs == data.Bias.attrs


def test_places_keep_their_coordinates() -> None:
    curves, _ = usidx.simulate.current_voltage((2, 3), 31)
    found = usidx.gap(usidx.didv(curves), threshold=1e-10)
    for name in ("Y", "X"):
        xr.testing.assert_identical(found[name], curves[name])
    assert "Bias" not in found.coords


def broadened(bias: Array, current: Array, width: float) -> Array:
    """Write the integral out, sample by sample."""
    found = []
    for here in bias:
        top = bottom = 0.0
        for k, there in enumerate(bias):
            if there == 0:
                continue
            left, right = bias[max(k - 1, 0)], bias[min(k + 1, bias.size - 1)]
            cell = (right - left) / (2.0 if 0 < k < bias.size - 1 else 1.0)
            weight = np.exp(-abs(here - there) / width) * cell
            top += weight * current[k] / there
            bottom += weight
        found.append(top / bottom)
    return np.array(found)


def test_normalised_conductance_is_the_written_out_integral() -> None:
    curves, _ = usidx.simulate.current_voltage((1, 2), 61, noise=0.01)
    found = usidx.normalized_conductance(curves, broadening=0.7)
    slope = usidx.didv(curves)
    for x in range(2):
        expected = slope[0, x].values / broadened(curves.Bias.values, curves[0, x].values, 0.7)
        np.testing.assert_allclose(found[0, x], expected, rtol=1e-9)


def test_powers_of_the_bias() -> None:
    bias = np.linspace(0.1, 2, 200)
    for power in (1, 2, 3):
        found = usidx.normalized_conductance(curve(bias, bias**power), broadening=0.0, order=3)
        np.testing.assert_allclose(found, power, rtol=1e-6)


def test_without_broadening_zero_bias_is_not_known() -> None:
    bias = np.linspace(-1, 1, 21)
    bias[10] = 0.0
    found = usidx.normalized_conductance(curve(bias, 2 * bias), broadening=0.0)
    assert np.isnan(found[10])
    np.testing.assert_allclose(np.delete(found.values, 10), 1.0)
    np.testing.assert_allclose(usidx.normalized_conductance(curve(bias, 2 * bias), broadening=0.3), 1.0)


def test_within_a_gap_it_stays_small() -> None:
    curves, truth = usidx.simulate.current_voltage((4, 4), 161, noise=2e-4)
    found = usidx.normalized_conductance(curves, broadening=1.0)
    inside = (truth.Bias > truth.valence_edge + 0.15) & (truth.Bias < truth.conduction_edge - 0.15)
    assert bool((abs(found.where(inside, 0)) < 0.2).all())
    assert bool((found.isel(Bias=-5) > 1).all())


def test_nothing_measured_is_nan_and_no_warning() -> None:
    bias = np.linspace(-1, 1, 21)
    assert np.isnan(usidx.normalized_conductance(curve(bias, np.zeros(21)), broadening=0.5)).all()
    assert np.isnan(usidx.normalized_conductance(curve(bias, np.full(21, np.nan)), broadening=0.5)).all()
    found = usidx.gap(curve(bias, np.full(21, np.nan)), threshold=1.0)
    assert np.isnan(found.gap)


@pytest.mark.parametrize("verb", ["didv", "normalized_conductance", "gap"])
@pytest.mark.parametrize("chunks", [{"Y": 2}, {"X": 3, "Bias": 7}])
def test_chunks_change_nothing(verb: str, chunks: Any) -> None:
    curves, _ = usidx.simulate.current_voltage((5, 4), 101, noise=0.01)
    options: dict[str, Any] = {
        "didv": {},
        "normalized_conductance": {"broadening": 0.5},
        "gap": {"inside": (-0.2, 0.2)},
    }
    work = getattr(usidx, verb)
    whole, cut = work(curves, **options[verb]), work(curves.chunk(chunks), **options[verb])
    assert cut.chunks
    xr.testing.assert_equal(cut.compute(), whole)


def test_dims_stay_in_place() -> None:
    curves, _ = usidx.simulate.current_voltage((5, 4), 31)
    turned = curves.transpose("Bias", "Y", "X")
    xr.testing.assert_equal(usidx.didv(turned), usidx.didv(curves).transpose("Bias", "Y", "X"))


def test_doors() -> None:
    curves, _ = usidx.simulate.current_voltage((2, 2), 31)
    xr.testing.assert_identical(curves.usid.didv(), usidx.didv(curves))
    xr.testing.assert_identical(curves.usid.gap(threshold=1e-10), usidx.gap(curves, threshold=1e-10))
    xr.testing.assert_identical(
        curves.usid.normalized_conductance(broadening=1.0), usidx.normalized_conductance(curves, broadening=1.0)
    )


def test_refuses() -> None:
    bias = np.linspace(-1, 1, 21)
    data = curve(bias, bias)
    with pytest.raises(UsidError, match=r"window=4, order=2"):
        usidx.didv(data, window=4)
    with pytest.raises(UsidError, match=r"window=3, order=3"):
        usidx.didv(data, window=3, order=3)
    with pytest.raises(UsidError, match="is of dtype complex128"):
        usidx.didv(data.astype(complex))
    with pytest.raises(UsidError, match=r"broadening=-1\.0"):
        usidx.normalized_conductance(data, broadening=-1.0)
    with pytest.raises(UnitsError, match="1 values are not finite"):
        usidx.didv(curve(np.where(bias > 0.95, np.nan, bias), bias))
    with pytest.raises(UnitsError, match="no coordinate of numbers"):
        usidx.didv(data.drop_vars("Bias"), "Bias")
    with pytest.raises(RoleError, match=r"has no spectroscopic dim .* Name the dims to work along with dim="):
        usidx.didv(xr.DataArray(np.ones((2, 21)), dims=("X", "V")))
    with pytest.raises(RoleError, match="'Z'"):
        usidx.didv(data, "Z")
    per_place = xr.DataArray(np.ones((2, 3)), dims=("X", "V")).assign_coords(Bias=(("X", "V"), np.ones((2, 3))))
    with pytest.raises(UnitsError, match="'V' has no coordinate"):
        usidx.didv(per_place, "V")
