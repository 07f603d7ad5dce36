"""Models: their formulas, derivatives, units and names."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from tests.fit.truth import gaussian, lorentzian, oscillator
from usidx.errors import ResultError, SelectionError, UsidError
from usidx.fit import models
from usidx.fit.model import Model, from_description
from usidx.fit.models import SHO, Constant, Exponential, Gaussian, Linear, Lorentzian

X = np.linspace(0.5, 4.0, 41)
PEAK = {"amplitude": 2.0, "center": 1.7, "sigma": 0.6}
OSCILLATOR = {"amplitude": 2.0, "frequency": 1.7, "quality_factor": 4.0, "phase": 0.6}

#: Model, some parameters, and the value by a formula written out.
CASES: dict[str, tuple[Model, dict[str, float], object]] = {
    "Gaussian": (Gaussian(), PEAK, gaussian(X, 2.0, 1.7, 0.6)),
    "Gaussian height": (Gaussian("height"), PEAK, 2.0 * np.exp(-0.5 * ((X - 1.7) / 0.6) ** 2)),
    "Lorentzian": (Lorentzian(), PEAK, lorentzian(X, 2.0, 1.7, 0.6)),
    "Lorentzian height": (Lorentzian("height"), PEAK, 2.0 / (1 + ((X - 1.7) / 0.6) ** 2)),
    "Constant": (Constant(), {"offset": 3.0}, np.full(X.shape, 3.0)),
    "Linear": (Linear(), {"slope": 2.0, "intercept": -1.0}, 2.0 * X - 1.0),
    "Exponential": (Exponential(), {"amplitude": 2.0, "tau": 0.7}, 2.0 * np.exp(-X / 0.7)),
    "SHO": (SHO(), OSCILLATOR, oscillator(X, 2.0, 1.7, 4.0, 0.6)),
}


def case(name: str) -> tuple[Model, dict[str, float], np.ndarray]:
    model, parameters, expected = CASES[name]
    return model, parameters, np.asarray(expected)


@pytest.mark.parametrize("name", CASES)
def test_value_is_the_formula(name: str) -> None:
    model, parameters, expected = case(name)
    found = np.broadcast_to(model(X, **parameters), X.shape)
    assert_allclose(found, expected, rtol=1e-12)
    assert np.iscomplexobj(found) is model.is_complex


@pytest.mark.parametrize("name", CASES)
def test_jacobian_is_the_derivative(name: str) -> None:
    model, parameters, _ = case(name)
    for by, slope in model.jacobian(X, **parameters).items():

        def quotient(step: float, by: str = by) -> object:
            high, low = (model(X, **(parameters | {by: parameters[by] + s})) for s in (step, -step))
            return (high - low) / (2 * step)

        expected = (4 * np.asarray(quotient(5e-4)) - np.asarray(quotient(1e-3))) / 3
        assert_allclose(np.broadcast_to(slope, X.shape), np.broadcast_to(expected, X.shape), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_parameters_are_told_in_order(name: str) -> None:
    model, parameters, _ = case(name)
    assert model.names == tuple(parameters)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (Gaussian(), {"amplitude": "V eV", "center": "eV", "sigma": "eV"}),
        (Gaussian("height"), {"amplitude": "V", "center": "eV", "sigma": "eV"}),
        (Lorentzian(), {"amplitude": "V eV", "center": "eV", "sigma": "eV"}),
        (Linear(), {"slope": "V/eV", "intercept": "V"}),
        (Exponential(), {"amplitude": "V", "tau": "eV"}),
        (SHO(), {"amplitude": "V", "frequency": "eV", "quality_factor": "", "phase": "rad"}),
    ],
)
def test_units_follow_from_data_and_coordinate(model: Model, expected: dict[str, str]) -> None:
    assert {p.name: p.unit("V", "eV") for p in model.parameters} == expected


def test_units_are_not_guessed() -> None:
    amplitude, center, _ = Gaussian().parameters
    assert amplitude.unit(None, "eV") is None
    assert center.unit(None, "eV") == "eV"
    assert SHO().parameters[2].unit(None, None) == ""


def test_sum_adds_and_prefixes_only_what_repeats() -> None:
    single = Gaussian() + Constant()
    assert single.names == ("amplitude", "center", "sigma", "offset")
    double = Gaussian() + Gaussian() + Linear()
    assert double.names[:3] == ("gaussian_1_amplitude", "gaussian_1_center", "gaussian_1_sigma")
    assert double.names[3:] == (
        "gaussian_2_amplitude", "gaussian_2_center", "gaussian_2_sigma", "slope", "intercept"
    )  # fmt: skip
    assert double.parameters[0].title == "Gaussian 1 Amplitude"
    mixed = Gaussian() + Lorentzian(prefix="d_")
    assert mixed.names == ("amplitude", "center", "sigma", "d_amplitude", "d_center", "d_sigma")
    values = dict(zip(mixed.names, (1.0, 2.0, 0.5, 3.0, 1.0, 0.2), strict=True))
    assert_allclose(mixed(X, **values), gaussian(X, 1.0, 2.0, 0.5) + lorentzian(X, 3.0, 1.0, 0.2))


def test_product_multiplies() -> None:
    model = Exponential() * Linear()
    values = {"amplitude": 2.0, "tau": 1.5, "slope": 3.0, "intercept": 1.0}
    assert_allclose(model(X, **values), 2.0 * np.exp(-X / 1.5) * (3.0 * X + 1.0))


def test_sum_with_an_oscillator_is_complex() -> None:
    model = SHO() + Constant()
    assert model.is_complex
    assert_allclose(model(X, **OSCILLATOR, offset=2.0), oscillator(X, 2.0, 1.7, 4.0, 0.6) + 2.0)


@pytest.mark.parametrize(
    "model",
    [case(name)[0] for name in CASES] + [Gaussian("height") + Gaussian() + Linear(), Exponential() * Linear()],
    ids=repr,
)
def test_description_makes_the_same_model(model: Model) -> None:
    assert from_description(model.describe()) == model


def test_models_are_named_in_the_public_module() -> None:
    assert {"Gaussian", "Lorentzian", "Constant", "Linear", "Exponential", "SHO"} <= set(models.__all__)


def test_errors_say_what_to_do() -> None:
    with pytest.raises(
        SelectionError, match=r"Gaussian has no normalization 'peak'; choose one of \('area', 'height'\)"
    ):
        Gaussian("peak")
    with pytest.raises(SelectionError, match=r"parameters \('offset',\).*\['level', 'offset'\] are missing or unknown"):
        Constant()(X, level=1.0)
    with pytest.raises(UsidError, match="'d_amplitude' appears twice"):
        _ = Gaussian(prefix="d_") + Lorentzian(prefix="d_")
    with pytest.raises(ResultError, match=r"No model named 'os.system' is known"):
        from_description({"model": "os.system"})
    with pytest.raises(ResultError, match=r"'Constant' has the options \['prefix'\]; found \['code'\]"):
        from_description({"model": "Constant", "code": "1"})
