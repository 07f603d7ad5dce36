"""Python functions that write down their own formula: that it is the right one, and which functions have none."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose
from scipy.optimize import curve_fit
from scipy.special import erf, erfc, expit, ndtr, voigt_profile

from usidx.fitting.fit import fit
from usidx.fitting.models.functions.traced import follow_model
from usidx.models import Function, Model

Array = Any
X = np.linspace(0.3, 4.0, 40)


def decay_after(x: Array, a: float, start: float, tau: float) -> Array:
    late = x > start
    y = np.zeros_like(x)
    y[late] = a * np.exp(-(x[late] - start) / tau)
    return y


def refused_below_zero(x: Array, a: float, tau: float) -> Array:
    if tau <= 0:
        raise ValueError("tau")
    return a * np.exp(-x / tau)


def with_branches(x: Array, a: float, b: float) -> Array:
    if a > b and b:
        return a * x
    return min(a, b) * x**2 + max(a, 0.5, b)


def in_place(x: Array, a: float, b: float) -> Array:
    y = a * x
    also = y
    also += b  # changes y
    a *= 2  # names another number
    return y + a * np.copy(x)


def of_many_functions(x: Array, a: float, b: float) -> Array:
    smooth = erf(x / b) + erfc(x) + expit(x - a) + ndtr(a) + voigt_profile(x - a, abs(b) + 0.1, 0.2)
    plain = np.log1p(x) + np.expm1(-x) + np.log10(x) + np.sinh(x) / np.cosh(x) + np.hypot(x, a) + np.tan(0.1 * x)
    return smooth + plain + np.arctan(x) + np.sqrt(x) * np.log(x) + np.square(a) + np.reciprocal(x) + np.deg2rad(x)


def of_choices(x: Array, a: float, b: float) -> Array:
    sides = np.where(x < a, np.sin(b * x), np.where((x >= 2 * a) | ~(x > b), np.cos(x), 0.0))
    return sides + np.clip(x, a, a + 1) + np.maximum(x, b) + np.sign(x - a) + np.heaviside(x - a, 0.5) + abs(a - x)


def of_sums(x: Array, a: float, b: float, c: float) -> Array:
    total = np.full_like(x, c) + sum(p * x**k for k, p in enumerate((a, b, c)))
    return total + np.polyval([a, b, 1.0], x) + 2.0**a + (x <= b) * (x != a) * c + np.float64(2) * np.array(3.0)


FOLLOWED = [
    decay_after, refused_below_zero, with_branches, in_place, of_many_functions, of_choices, of_sums
]  # fmt: skip


@pytest.mark.parametrize("function", FOLLOWED, ids=lambda f: f.__name__)
def test_the_formula_gives_what_the_function_gives_and_its_slopes(function: Callable[..., Any]) -> None:
    found = follow_model(Function(function))
    assert found is not None
    rng = np.random.default_rng(5)
    for _ in range(20):
        p = rng.uniform(0.4, 2.5, len(found.names))
        assert_allclose(found(X, **dict(zip(found.names, p, strict=True))), function(X, *p), rtol=1e-9, atol=1e-12)
        slopes = found.jacobian(X, **dict(zip(found.names, p, strict=True)))
        for k, name in enumerate(found.names):
            step = np.where(np.arange(len(p)) == k, 1e-6, 0.0)
            expected = (function(X, *(p + step)) - function(X, *(p - step))) / 2e-6
            smooth = abs(expected) < 1e3  # not across a jump
            assert_allclose(np.broadcast_to(slopes[name], X.shape)[smooth], expected[smooth], rtol=1e-5, atol=1e-6)


def test_a_refusal_is_no_value() -> None:
    found = follow_model(Function(refused_below_zero))
    assert found is not None
    assert np.isnan(found(X, a=1.0, tau=-1.0)).all()


def test_a_function_that_refuses_in_its_own_way_is_called() -> None:
    class RefusedError(Exception):
        pass

    def strict(x: Array, a: float = 1.0, tau: float = 1.0) -> Array:
        if not tau > 0:
            raise RefusedError
        return a * np.exp(-x / tau)

    data = xr.DataArray(3.0 * np.exp(-X / 1.3), dims="x", coords={"x": X})
    assert_allclose(fit(data, Model.from_function(strict)).tau, 1.3, rtol=1e-6)


def test_complex_values() -> None:
    def line(w: Array, a: float, w0: float, g: float) -> Array:
        return a * np.exp(1j * g) / (w0**2 - w**2 - 1j * g * w) + np.conj(1j * a) + np.real(w * 1j) + abs(w + 1j * a)

    found = follow_model(Function(line, complex_valued=True))
    assert found is not None
    assert_allclose(found(X, a=1.2, w0=2.0, g=0.4), line(X, 1.2, 2.0, 0.4), rtol=1e-12)
    assert follow_model(Function(line)) is None


def _calls() -> dict[str, Callable[..., Any]]:
    rng = np.random.default_rng(0)

    def loops(x: Array, a: float) -> list[float]:
        return [a * math.exp(-v) for v in x]

    def wants_numbers(x: Array, a: float) -> Array:
        return a * np.asarray(x, float)

    def over_all(x: Array, a: float) -> Array:
        return a * x / x.max()

    def rests_on_the_size(x: Array, a: float) -> Array:
        return a * x + np.linspace(0, 1, x.size)

    def of_chance(x: Array, a: float) -> Array:
        return a * x + rng.normal()

    def looks_at_kinds(x: Array, a: float) -> Array:
        return a * x if isinstance(x, np.ndarray) else 2 * a * x

    def endless(x: Array, a: float) -> Array:
        while a > 1:
            a = a / 2
        return a * x

    def with_a_table(x: Array, a: float) -> Array:
        return a * np.arange(len(X)) * x

    def other_samples(x: Array, a: float) -> Array:
        y = np.zeros_like(x)
        y[x > a] = x[x > 2]
        return y

    made = [
        loops, wants_numbers, over_all, rests_on_the_size, of_chance, looks_at_kinds, endless, with_a_table,
        other_samples,
    ]  # fmt: skip
    return {f.__name__: f for f in made}


@pytest.mark.parametrize("name", _calls())
def test_what_has_no_formula_is_called(name: str) -> None:
    assert follow_model(Function(_calls()[name])) is None


def test_a_function_that_numba_compiled() -> None:
    numba = pytest.importorskip("numba")
    compiled = numba.njit(lambda x, a, tau=2.0: a * np.exp(-x / tau))
    data = xr.DataArray(3.0 * np.exp(-X / 1.3), dims="x", coords={"x": X})
    found = fit(data, Model.from_function(compiled), start={"a": 1.0})
    assert_allclose([found.a, found.tau], [3.0, 1.3], rtol=1e-6)
    looping = numba.njit(_looping)
    found = fit(data, Model.from_function(looping), start={"a": 1.0, "tau": 2.0})
    assert_allclose([found.a, found.tau], [3.0, 1.3], rtol=1e-6)


def _looping(x: Array, a: float, tau: float) -> Array:
    y = np.empty(x.size)
    for i in range(x.size):
        y[i] = a * math.exp(-x[i] / tau)
    return y


def test_what_a_function_uses_is_asked_for_again_in_each_fit() -> None:
    scale = [1.0]
    model = Model.from_function(lambda x, a=1.0: a * scale[0] * x)
    data = xr.DataArray(6.0 * X, dims="x", coords={"x": X})
    assert float(fit(data, model).a) == pytest.approx(6.0)
    scale[0] = 2.0
    assert float(fit(data, model).a) == pytest.approx(3.0)


def test_arguments_are_not_written_to() -> None:
    def doubling(x: Array, a: float, b: float) -> Array:
        x = np.array(x, float)
        a *= 2
        return a * x + b

    data = xr.DataArray(6.0 * X + np.zeros((3, 1)), dims=("p", "x"), coords={"x": X})
    found = fit(data, Model.from_function(doubling), "x", start={"a": 1.0, "b": 0.5})
    assert_allclose(found.a, 3.0)


def test_agrees_with_scipy_where_a_branch_starts_the_curve() -> None:
    rng = np.random.default_rng(6)
    truth = {"a": rng.uniform(2, 4, 6), "start": np.full(6, 1.0), "tau": rng.uniform(0.4, 1.5, 6)}
    clean = np.stack([decay_after(X, *p) for p in zip(*truth.values(), strict=True)])
    data = xr.DataArray(clean + 0.02 * rng.normal(size=clean.shape), dims=("p", "x"), coords={"x": X})
    found = fit(data, Model.from_function(decay_after), "x", start={"a": 3.0, "tau": 1.0}, fixed={"start": 1.0})
    for k in range(6):
        best, covariance = curve_fit(lambda x, a, tau: decay_after(x, a, 1.0, tau), X, data[k].values, [3.0, 1.0])
        assert_allclose([found.a[k], found.tau[k]], best, rtol=1e-4)
        assert_allclose([found.a_stderr[k], found.tau_stderr[k]], np.sqrt(np.diag(covariance)), rtol=1e-2)
    tied = fit(data, Model.from_function(decay_after), "x", start={"tau": 1.0}, fixed={"start": 1.0}, tied={"a": "tau"})
    assert_allclose(tied.a, tied.tau)
