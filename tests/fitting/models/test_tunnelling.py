"""Dynes' density of states broadened by temperature, and Frota's Kondo resonance, beside integrals and SciPy."""

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr
from numpy.testing import assert_allclose
from scipy.integrate import quad
from scipy.optimize import curve_fit

from usidx.errors import SelectionError
from usidx.fitting.fit import fit
from usidx.fitting.solver.compiled import evaluate_block
from usidx.models import Constant, Dynes, Expression, Frota, Linear, Model

Array = npt.NDArray[Any]
K_PER_MV = 0.08617333262145177  # Boltzmann's constant in meV/K


def density(energy: Any, gap: float, broadening: float) -> Any:
    """Write Dynes' formula out."""
    z = np.abs(energy) - 1j * broadening
    return np.abs(np.real(z / np.sqrt(z**2 - gap**2)))


def integrate(bias: float, gap: float, broadening: float, thermal: float) -> float:
    """Fold the density with the slope of the Fermi function, by quadrature between the places where it is sharp."""

    def folded(u: float) -> float:
        return float(density(bias + thermal * u, gap, broadening) * 0.25 / np.cosh(0.5 * u) ** 2)

    sharp = [(s * gap - bias + w * broadening) / thermal for s in (-1, 1) for w in (-3, 0, 3)]
    edges = sorted([-60.0, 60.0, *(e for e in sharp if -60 < e < 60)])
    parts = [quad(folded, a, b, limit=400, epsabs=1e-13)[0] for a, b in itertools.pairwise(edges)]
    return float(sum(parts))


def convolve(bias: Array, gap: float, broadening: float, thermal: float) -> Array:
    """Do the same on a fine grid."""
    fine = np.linspace(-25, 25, 50001)
    step = fine[1] - fine[0]
    kernel = np.arange(-4000, 4001) * step / thermal
    weight = np.where(abs(kernel) < 80, 1 / np.cosh(0.5 * np.clip(kernel, -80, 80)) ** 2, 0.0)
    folded = np.convolve(density(fine, gap, broadening), weight / weight.sum(), "same")
    return np.asarray(np.interp(bias, fine, folded))


@pytest.mark.parametrize("temperature", [0.01, 0.1, 0.4, 1.2, 4.2, 20.0])
@pytest.mark.parametrize("broadening", [1e-3, 0.02, 0.3])
def test_dynes_is_the_integral(temperature: float, broadening: float) -> None:
    bias = np.array([0.0, 0.5, -1.3, 1.4, 1.45, 2.0, -6.0])
    expected = np.array([integrate(v, 1.4, broadening, K_PER_MV * temperature) for v in bias])
    model = Dynes(temperature, "mV")
    at = {"amplitude": 1.0, "center": 0.0, "gap": 1.4, "broadening": broadening}
    assert_allclose(model(bias, **at), expected, rtol=1e-5, atol=2e-8)
    compiled = evaluate_block(model, bias[None, None], np.array([[*at.values()]]))[0]
    assert_allclose(compiled, expected, rtol=1e-5, atol=2e-8)
    volts = Dynes(temperature)(1e-3 * bias, amplitude=1.0, center=0.0, gap=1.4e-3, broadening=1e-3 * broadening)
    assert_allclose(volts, expected, rtol=1e-5, atol=2e-8)


def test_slopes_of_dynes_are_its_derivatives() -> None:
    bias, model = np.linspace(-3, 3, 31), Dynes(1.2, "mV")
    at = {"amplitude": 2.0, "center": 0.1, "gap": 1.4, "broadening": 0.05}
    for name, slope in model.jacobian(bias, **at).items():
        high, low = (model(bias, **(at | {name: at[name] + s})) for s in (1e-5, -1e-5))
        assert_allclose(np.broadcast_to(slope, bias.shape), (high - low) / 2e-5, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(("temperature", "center"), [(0.4, 0.0), (1.2, 0.2)])
@pytest.mark.parametrize("dtype", ["float64", pytest.param("float32", marks=pytest.mark.slow)])
def test_gap_of_superconductors_from_no_start(temperature: float, center: float, dtype: str) -> None:
    rng = np.random.default_rng(0)
    bias, gap, broadening = np.linspace(-6, 6, 201), rng.uniform(0.7, 2.5, 40), rng.uniform(0.02, 0.1, 40)
    thermal = K_PER_MV * temperature
    curves = [3 * convolve(bias - center, d, g, thermal) for d, g in zip(gap, broadening, strict=True)]
    values = np.stack(curves) + 0.02 * rng.normal(size=(40, 201))
    data = xr.DataArray(values.astype(dtype), dims=("p", "Bias"), coords={"Bias": bias}, attrs={"units": "nS"})
    data.Bias.attrs["units"] = "mV"
    found = fit(data, Dynes(temperature, "mV"), "Bias")
    assert bool(found.converged.all())
    assert_allclose(found.gap, gap, atol=0.01)
    assert_allclose(found.broadening, broadening, atol=0.01)
    assert_allclose(found.center, center, atol=0.01)
    assert found.gap.units == "mV"

    def model(v: Array, a: float, c: float, d: float, g: float) -> Array:
        return a * convolve(v - c, d, g, thermal)

    theirs, spread = curve_fit(model, bias, values[0], [3, center, gap[0], broadening[0]])
    ours = [float(found[n][0]) for n in found.data_vars if f"{n}_stderr" in found]
    assert_allclose(ours, theirs, atol=2e-3)
    assert_allclose(found.gap_stderr[0], np.sqrt(spread[2, 2]), rtol=0.05)


def test_superconductor_on_a_slope() -> None:
    bias = np.linspace(-5, 5, 161)
    values = 2 * convolve(bias, 1.4, 0.05, K_PER_MV * 1.2) + 0.1 * bias
    data = xr.DataArray(values, dims="Bias", coords={"Bias": bias})
    found = fit(data, Dynes(1.2, "mV") + Linear(), fixed={"intercept": 0.0})
    assert_allclose([found.gap, found.slope], [1.4, 0.1], rtol=1e-3)


def kondo(x: Any, amplitude: Any, center: Any, width: Any, phase: Any) -> Any:
    return amplitude * np.real(np.exp(1j * phase) * np.sqrt(1j * width / (x - center + 1j * width)))


def test_kondo_resonances_from_no_start() -> None:
    rng = np.random.default_rng(1)
    x = np.linspace(-20, 20, 161)
    true = [rng.uniform(low, high, (60, 1)) for low, high in ((1, 3), (-8, 8), (0.5, 2), (-3, 3))]
    values = kondo(x, *true) + 4.0 + 0.01 * rng.normal(size=(60, 161))
    found = fit(xr.DataArray(values, dims=("p", "x"), coords={"x": x}), Frota() + Constant(), "x")
    assert bool(found.converged.all())
    for name, expected, near in zip(Frota().names, true, (0.1, 0.1, 0.15, 0.1), strict=True):
        assert_allclose(found[name], expected[:, 0], atol=near)

    def model(x: Array, *p: float) -> Array:
        return np.asarray(kondo(x, *p[:4]) + p[4])

    theirs, spread = curve_fit(model, x, values[0], [*(float(t[0, 0]) for t in true), 4.0])
    assert_allclose([found[n][0] for n in (*Frota().names, "offset")], theirs, rtol=1e-4)
    assert_allclose(found.width_stderr[0], np.sqrt(spread[2, 2]), rtol=1e-3)


def test_root_of_a_complex_value_is_followed() -> None:
    z = np.array([1 + 2j, -3 + 1e-9j, -3 - 1e-9j, 2.0 - 5j, -1 + 0.5j])
    x = np.linspace(-2, 2, 31)
    formula = Expression("a * sqrt(b + 1j * x)")
    assert_allclose(formula(x, a=2.0, b=-0.3), 2 * np.sqrt(-0.3 + 1j * x), rtol=1e-12)
    model = Model.from_function(lambda u, v, a=1.0: a * np.sqrt(u + 1j * v), coordinates=2, complex_valued=True)
    data = xr.DataArray(3 * np.sqrt(z.real[:, None] + 1j * z.imag), dims=("u", "v"), coords={"u": z.real, "v": z.imag})
    assert_allclose(fit(data, model, ("u", "v")).a, 3.0, rtol=1e-9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -1.0}, "A superconductor at a temperature of -1.0 K; that is below zero"),
        ({"unit": "kV"}, r"Dynes has no coordinate in 'kV'; choose one of \('V', 'mV'"),
    ],
)
def test_what_is_no_superconductor_is_refused(options: Any, message: str) -> None:
    with pytest.raises(SelectionError, match=message):
        Dynes(**options)
