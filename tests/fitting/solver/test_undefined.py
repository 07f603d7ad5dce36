"""Samples at which a model has no value are told by a status of their own."""

from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose

from usidx.fitting.fit import fit
from usidx.models import Constant, Expression, Linear, Model, PowerLaw, StretchedExponential

WHY = "model_undefined_at_a_sample"


def status(found: xr.Dataset) -> list[str]:
    named = dict(zip(found.status.flag_values.tolist(), found.status.flag_meanings.split(), strict=True))
    return [named[int(code)] for code in found.status.values.ravel()]


def falling(x: np.ndarray[Any, Any]) -> xr.DataArray:
    y = 100 * np.maximum(x, 0.5) ** -1.5 + 0.01 * np.sin(np.arange(x.size))
    return xr.DataArray(np.stack([y, 2 * y]), dims=("p", "E"), coords={"E": x})


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("low", [-5.0, 0.0])
@pytest.mark.parametrize("model", [PowerLaw(), PowerLaw() + Constant(), PowerLaw() + Linear()])
def test_power_law_where_x_is_not_above_zero(model: Model, low: float, lazy: bool) -> None:
    data = falling(np.linspace(low, 100, 211))
    found = fit(data.chunk(p=1) if lazy else data, model, "E").compute()
    assert status(found) == [WHY, WHY]
    assert not found.converged.any()
    assert np.isnan(found.exponent).all()
    assert (found.samples == 211).all()


def test_samples_that_are_left_out_need_no_value() -> None:
    x = np.linspace(-5, 100, 211)
    data = falling(x).where(x >= 0.5)
    found = fit(data, PowerLaw(), "E")
    assert bool(found.converged.all())
    assert_allclose(found.exponent, -1.5, atol=0.01)
    weighted = fit(falling(x), PowerLaw(), "E", sigma=xr.DataArray(np.where(x >= 0.5, 1.0, np.inf), dims="E"))
    assert_allclose(weighted.exponent, found.exponent, rtol=1e-6)


def test_one_spectrum_whose_coordinate_reaches_zero_touches_no_other() -> None:
    x = np.stack([np.linspace(1, 100, 80), np.linspace(-1, 100, 80)])
    data = xr.DataArray(3 * np.maximum(x, 0.5) ** -1.2, dims=("p", "E"), coords={"x": (("p", "E"), x)})
    found = fit(data, PowerLaw(), "E", coordinate="x")
    assert status(found)[1] == WHY
    assert_allclose(found.exponent[0], -1.2, rtol=1e-6)


def test_whole_exponent_that_is_fixed_has_a_value_everywhere() -> None:
    x = np.linspace(-2, 2, 41)
    data = xr.DataArray(3 * x**2, dims="E", coords={"E": x})
    assert_allclose(fit(data, PowerLaw(), "E", fixed={"exponent": 2.0}).amplitude, 3.0, rtol=1e-9)


def test_logarithm_and_root_of_a_formula() -> None:
    data = falling(np.linspace(-5, 100, 211))
    assert status(fit(data, Expression("a * log(E) + b", "E"), "E")) == [WHY, WHY]
    assert status(fit(data, Expression("a * sqrt(E) + b", "E"), "E")) == [WHY, WHY]
    assert status(fit(data, Expression("a * E**r", "E"), "E", start={"r": -1.5})) == [WHY, WHY]


def test_function_that_is_followed() -> None:
    def law(x: Any, a: float = 1.0, b: float = 0.0) -> Any:
        return a * np.log(x) + b

    data = falling(np.linspace(-5, 100, 211))
    assert status(fit(data, Model.from_function(law), "E")) == [WHY, WHY]


def test_stretched_exponential_before_its_beginning() -> None:
    assert status(fit(falling(np.linspace(-5, 100, 211)), StretchedExponential(), "E")) == [WHY, WHY]


def test_fit_that_fails_for_another_reason_says_that() -> None:
    flat = xr.DataArray(np.ones((1, 30)), dims=("p", "x"), coords={"x": np.arange(1.0, 31.0)})
    assert status(fit(flat, PowerLaw(), "x")) == ["undetermined"]
