"""Python functions in sums and products with other models, and complex ones."""

from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose
from scipy.optimize import curve_fit

from usidx.errors import ResultError, SelectionError
from usidx.fitting.evaluate import evaluate, evaluate_terms
from usidx.fitting.fit import fit
from usidx.fitting.measure_peaks import measure_peaks
from usidx.models import Constant, Gaussian, Linear, Model

X = np.linspace(-5, 5, 120)


def bend(x: Any, a: Any, w: Any = 1.0) -> Any:
    return a * np.tanh(x / w)


def looped(x: Any, a: Any, w: Any = 1.0) -> Any:
    """Cannot be followed: it goes over the samples."""
    return a * np.array([float(np.tanh(v / w)) for v in np.atleast_1d(x)])


def truth(x: Any, a: Any, w: Any, height: Any, center: Any, sigma: Any, offset: Any) -> Any:
    return a * np.tanh(x / w) + height * np.exp(-0.5 * ((x - center) / sigma) ** 2) + offset


def spectra() -> tuple[xr.DataArray, Any]:
    rng = np.random.default_rng(0)
    center = rng.uniform(-2, 2, (8, 1))
    values = truth(X, 2.0, 1.5, 3.0, center, 0.6, 0.3) + 0.01 * rng.normal(size=(8, 120))
    return xr.DataArray(values, dims=("p", "E"), coords={"E": X}, attrs={"units": "V"}), center[:, 0]


@pytest.mark.parametrize("lazy", [False, True])
def test_function_that_is_followed_beside_a_peak_that_needs_no_start(lazy: bool) -> None:
    data, center = spectra()
    model = Model.from_function(bend) + Gaussian("height") + Constant()
    assert model.names == ("a", "w", "amplitude", "center", "sigma", "offset")
    found = fit(data.chunk(p=3) if lazy else data, model, "E").compute()
    assert_allclose(found.center, center, atol=0.01)
    theirs, spread = curve_fit(truth, X, data[0].values, [2, 1.5, 3, center[0], 0.6, 0.3])
    assert_allclose([found[n][0] for n in model.names], theirs, rtol=1e-4)
    assert_allclose(found.w_stderr[0], np.sqrt(spread[1, 1]), rtol=1e-3)
    assert found.center.attrs.get("units") is None
    assert found.amplitude.attrs["units"] == "V"


def test_function_that_is_called_beside_a_peak() -> None:
    data, center = spectra()
    start: Any = {"a": 1.0, "amplitude": 2.0, "center": xr.DataArray(center + 0.1, dims="p"), "sigma": 0.5}
    followed = fit(data, Model.from_function(bend) + Gaussian("height") + Constant(), "E")
    called = Model.from_function(looped) + Gaussian("height") + Constant()
    found = fit(data, called, "E", start=start | {"offset": 0.0})
    for name in called.names:
        assert_allclose(found[name], followed[name], rtol=1e-5)
        assert_allclose(found[f"{name}_stderr"], followed[f"{name}_stderr"], rtol=1e-3)
    assert_allclose(evaluate(found, model=called), evaluate(followed, model=called), rtol=1e-5, atol=1e-6)
    with pytest.raises(SelectionError, match="start: 'a' has no start value"):
        fit(data, called, "E")
    tied = fit(data, called, "E", start=start, tied={"offset": "0.15 * a"})
    assert_allclose(tied.offset, 0.15 * tied.a, rtol=1e-12)
    assert_allclose(tied.center, center, atol=0.01)


def test_model_is_wanted_again_and_checked() -> None:
    data, _ = spectra()
    model = Model.from_function(bend) + Gaussian("height") + Constant()
    found = fit(data, model, "E", covariance=True)
    with pytest.raises(ResultError, match=r"was the Python function '.*bend'.*pass model="):
        evaluate(found)
    with pytest.raises(ResultError, match=r"what was fitted is 'Sum' with the parameters \['a', 'w', 'amplitude'"):
        evaluate(found, model=Model.from_function(bend) + Gaussian() + Constant())
    parts = evaluate_terms(found, model=model)
    assert list(parts) == ["bend", "gaussian", "constant"]
    assert_allclose(parts.bend, found.a * np.tanh(parts.E / found.w), rtol=1e-12)
    assert_allclose(measure_peaks(found, model=model).height, found.amplitude, rtol=1e-12)


def test_product_and_two_functions_of_the_same_names() -> None:
    t = np.linspace(0, 4, 80)
    data = xr.DataArray(3 * np.exp(-t / 1.5) * (1 + 0.5 * t) + np.exp(-t / 0.2), dims="t", coords={"t": t})

    def decay(t: Any, a: Any = 1.0, tau: Any = 1.0) -> Any:
        return a * np.exp(-t / tau)

    slow, fast = (Model.from_function(decay, prefix=p) for p in ("slow_", "fast_"))
    assert (Model.from_function(decay) + Model.from_function(decay)).names[2:] == ("function_2_a", "function_2_tau")
    model = slow * Linear() + fast
    found = fit(data, model, start={"fast_tau": 0.3, "slope": 0.4, "intercept": 1.0}, fixed={"intercept": 1.0})
    assert_allclose([found[n] for n in ("slow_a", "slow_tau", "slope", "fast_tau")], [3, 1.5, 0.5, 0.2], rtol=1e-5)


def test_complex_functions_need_no_word_about_it() -> None:
    t = np.linspace(0, 3, 60)

    def ring(t: Any, a: Any = 1.0, b: Any = 0.5, tau: Any = 1.0, w: Any = 6.0) -> Any:
        return (a + 1j * b) * np.exp(-t / tau + 1j * w * t)

    def ring_looped(t: Any, a: Any = 1.0, b: Any = 0.5, tau: Any = 1.0, w: Any = 6.0) -> Any:
        return np.array([complex(ring(float(v), a, b, tau, w)) for v in t])

    values = (2 + 1j) * np.exp(-t / 1.3 + 6.2j * t)
    for dtype, near in ((np.complex128, 1e-6), (np.complex64, 1e-5)):
        data = xr.DataArray(values.astype(dtype), dims="t", coords={"t": t})
        for function in (ring, ring_looped):
            model = Model.from_function(function)
            found = fit(data, model)
            assert_allclose([found[n] for n in model.names], [2, 1, 1.3, 6.2], rtol=near)
            assert_allclose(evaluate(found, model=model), values, atol=10 * near)
    both = fit(xr.DataArray(values + 1, dims="t", coords={"t": t}), Model.from_function(ring) + Constant())
    assert_allclose([both.tau, both.offset], [1.3, 1.0], rtol=1e-6)
