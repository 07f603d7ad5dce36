"""Models: their formulas, derivatives, units and names."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import erf, voigt_profile
from scipy.stats import skewnorm

from tests.kit.truth import gaussian, lorentzian, oscillator
from usidx import models
from usidx.errors import ResultError, SelectionError, UsidError
from usidx.fitting.compile.bytecode import assemble
from usidx.fitting.models.model import Model, build_graphs, from_description
from usidx.fitting.solver.compiled import evaluate_block
from usidx.models import (
    SHO,
    BreitWignerFano,
    Constant,
    Diode,
    Dynes,
    Exponential,
    Expression,
    Fano,
    Frota,
    Gaussian,
    Gaussian2D,
    Langmuir,
    Linear,
    Lorentzian,
    Polynomial,
    PowerLaw,
    PseudoVoigt,
    Sine,
    SkewedGaussian,
    SplitGaussian,
    Step,
    StretchedExponential,
    Voigt,
)

X = np.linspace(0.5, 4.0, 41)
PEAK = {"amplitude": 2.0, "center": 1.7, "sigma": 0.6}
OSCILLATOR = {"amplitude": 2.0, "frequency": 1.7, "quality_factor": 4.0, "phase": 0.6}
STEP = {"amplitude": 2.0, "center": 1.7, "width": 0.6}

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
    "Voigt": (Voigt(), PEAK | {"gamma": 0.3}, 2.0 * voigt_profile(X - 1.7, 0.6, 0.3)),
    "PseudoVoigt": (
        PseudoVoigt(),
        PEAK | {"fraction": 0.3},
        0.7 * gaussian(X, 2.0, 1.7, 0.6 / np.sqrt(2 * np.log(2))) + 0.3 * lorentzian(X, 2.0, 1.7, 0.6),
    ),
    "PseudoVoigt height": (
        PseudoVoigt("height"),
        PEAK | {"fraction": 0.3},
        1.4 * 2.0 ** -(((X - 1.7) / 0.6) ** 2) + 0.6 / (1 + ((X - 1.7) / 0.6) ** 2),
    ),
    "SplitGaussian height": (
        SplitGaussian("height"),
        {"amplitude": 2.0, "center": 1.73, "sigma_left": 0.4, "sigma_right": 0.9},
        2.0 * np.exp(-0.5 * ((X - 1.73) / np.where(X < 1.73, 0.4, 0.9)) ** 2),
    ),
    "SkewedGaussian": (SkewedGaussian(), PEAK | {"gamma": -1.4}, 2.0 * skewnorm.pdf(X, -1.4, 1.7, 0.6)),
    "Fano": (
        Fano(),
        {"amplitude": 2.0, "center": 1.7, "width": 0.8, "q": -1.3},
        2.0 * (-1.3 * 0.4 + X - 1.7) ** 2 / (0.4**2 + (X - 1.7) ** 2),
    ),
    "BreitWignerFano": (
        BreitWignerFano(),
        {"amplitude": 2.0, "center": 1.7, "width": 0.8, "inverse_q": -0.3},
        2.0 * (1 - 0.3 * (X - 1.7) / 0.4) ** 2 / (1 + ((X - 1.7) / 0.4) ** 2),
    ),
    "Sine": (
        Sine(), {"amplitude": 2.0, "frequency": 0.7, "phase": 0.4}, 2.0 * np.sin(2 * np.pi * 0.7 * X + 0.4)
    ),
    "Diode": (
        Diode(temperature=77.0),
        {"saturation_current": 1e-9, "ideality": 40.0},
        1e-9 * np.expm1(X / (40.0 * 8.617333262145e-5 * 77.0)),
    ),
    "Dynes": (
        Dynes(temperature=0.0),
        {"amplitude": 2.0, "center": 0.3, "gap": 1.4, "broadening": 0.2},
        2.0 * abs(np.real((abs(X - 0.3) - 0.2j) / np.sqrt((abs(X - 0.3) - 0.2j) ** 2 - 1.4**2))),
    ),
    "Frota": (
        Frota(),
        {"amplitude": 2.0, "center": 1.73, "width": 0.3, "phase": 0.6},
        2.0 * np.real(np.exp(0.6j) * np.sqrt(0.3j / (X - 1.73 + 0.3j))),
    ),
    "Langmuir": (Langmuir(), {"amplitude": 2.0, "affinity": 0.7}, 2.0 * 0.7 * X / (1 + 0.7 * X)),
    "Polynomial": (Polynomial(3), {"c0": 1.0, "c1": -2.0, "c2": 0.5, "c3": 0.2}, 1 - 2 * X + 0.5 * X**2 + 0.2 * X**3),
    "PowerLaw": (PowerLaw(), {"amplitude": 2.0, "exponent": -2.3}, 2.0 * X**-2.3),
    "StretchedExponential": (
        StretchedExponential(), {"amplitude": 2.0, "tau": 1.2, "beta": 0.6}, 2.0 * np.exp(-((X / 1.2) ** 0.6))
    ),
    "Step": (Step(), STEP, 1.0 + erf((X - 1.7) / 0.6)),
    "Step logistic": (Step("logistic"), STEP, 2.0 / (1 + np.exp(-(X - 1.7) / 0.6))),
    "Step arctan": (Step("arctan"), STEP, 1.0 + 2.0 / np.pi * np.arctan((X - 1.7) / 0.6)),
    "Expression": (
        Expression("a * exp(-t / tau) + c * sin(pi * t)", "t"),
        {"a": 2.0, "tau": 0.7, "c": 0.4},
        2.0 * np.exp(-X / 0.7) + 0.4 * np.sin(np.pi * X),
    ),
    "Expression complex": (
        Expression("a * exp(1j * phi) * w0**2 / (x**2 - 1j * x * w0 / q - w0**2)"),
        {"a": 2.0, "phi": 0.6, "w0": 1.7, "q": 4.0},
        oscillator(X, 2.0, 1.7, 4.0, 0.6),
    ),
}  # fmt: skip


def case(name: str) -> tuple[Model, dict[str, float], np.ndarray]:
    model, parameters, expected = CASES[name]
    return model, parameters, np.asarray(expected)


@pytest.mark.parametrize("name", CASES)
def test_value_is_the_formula(name: str) -> None:
    model, parameters, expected = case(name)
    found = np.broadcast_to(model(X, **parameters), X.shape)
    assert_allclose(found, expected, rtol=1e-12, atol=1e-15)
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
def test_compiled_machine_agrees_with_numpy(name: str) -> None:
    model, parameters, expected = case(name)
    row = np.array([list(parameters.values())])
    assert_allclose(evaluate_block(model, X[None, None], row)[0], expected, rtol=1e-11, atol=1e-13)
    free = tuple(parameters)
    program = assemble(build_graphs(model), free)
    assert program.outputs.shape == (1 + model.is_complex, 1 + len(free))
    assert (program.outputs[:, 0] >= 0).all()


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
        (Sine(), {"amplitude": "V", "frequency": "1/eV", "phase": "rad"}),
        (Diode(), {"saturation_current": "V", "ideality": ""}),
        (Langmuir(), {"amplitude": "V", "affinity": "1/eV"}),
        (Dynes(), {"amplitude": "V", "center": "eV", "gap": "eV", "broadening": "eV"}),
        (Frota(), {"amplitude": "V", "center": "eV", "width": "eV", "phase": "rad"}),
        (BreitWignerFano(), {"amplitude": "V", "center": "eV", "width": "eV", "inverse_q": ""}),
        (
            Gaussian2D(),
            {
                "amplitude": "V eV^2",
                **dict.fromkeys(("center_x", "center_y", "sigma_x", "sigma_y"), "eV"),
                "rotation": "rad",
            },
        ),
        (SHO(), {"amplitude": "V", "frequency": "eV", "quality_factor": "", "phase": "rad"}),
    ],
)
def test_units_follow_from_data_and_coordinate(model: Model, expected: dict[str, str]) -> None:
    assert {p.name: p.unit("V", "eV") for p in model.parameters} == expected


def ellipse(y: object, x: object) -> object:
    """Return the form of Atomap: exp(-(a dx^2 - 2b dx dy + c dy^2)), for widths 0.9 and 0.5 turned by 0.6."""
    dx, dy = np.asarray(x) - 1.7, np.asarray(y) - 2.1
    cos, sin = np.cos(0.6), np.sin(0.6)
    a = cos**2 / (2 * 0.9**2) + sin**2 / (2 * 0.5**2)
    b = -np.sin(1.2) / (4 * 0.9**2) + np.sin(1.2) / (4 * 0.5**2)
    c = sin**2 / (2 * 0.9**2) + cos**2 / (2 * 0.5**2)
    return np.exp(-(a * dx**2 - 2 * b * dx * dy + c * dy**2))


@pytest.mark.parametrize("normalized", ["height", "area"])
def test_gaussian_in_two_dims_is_that_of_atomap(normalized: str) -> None:
    y, x = np.meshgrid(np.linspace(0, 4, 30), np.linspace(0, 4, 31), indexing="ij")
    at = {"center_x": 1.7, "center_y": 2.1, "sigma_x": 0.9, "sigma_y": 0.5, "rotation": 0.6, "offset": 0.3}
    height = 2.0 if normalized == "height" else 2.0 / (2 * np.pi * 0.9 * 0.5)
    model = Gaussian2D(normalized) + Constant()
    assert model.variables == 2
    assert_allclose(model(y, x, amplitude=2.0, **at), height * np.asarray(ellipse(y, x)) + 0.3, rtol=1e-12)
    row = np.array([[2.0, *at.values()]])
    found = evaluate_block(model, np.stack([y.ravel(), x.ravel()])[None], row)[0]
    assert_allclose(found.reshape(y.shape), height * np.asarray(ellipse(y, x)) + 0.3, rtol=1e-11)
    for name, slope in model.jacobian(y, x, amplitude=2.0, **at).items():
        known = {"amplitude": 2.0, **at}
        high, low = (model(y, x, **(known | {name: known[name] + s})) for s in (1e-5, -1e-5))
        assert_allclose(np.broadcast_to(slope, y.shape), (high - low) / 2e-5, rtol=1e-5, atol=1e-8)


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
    value = model(X, **OSCILLATOR, offset=2.0, offset_imag=0.5)
    assert_allclose(value, oscillator(X, 2.0, 1.7, 4.0, 0.6) + 2.0 + 0.5j)


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
    with pytest.raises(
        SelectionError, match=r"Step has no shape 'ramp'; choose one of \('erf', 'logistic', 'arctan'\)"
    ):
        Step("ramp")
    with pytest.raises(SelectionError, match=r"A diode at a temperature of 0.0 K; it should be above zero"):
        Diode(temperature=0.0)
    with pytest.raises(UsidError, match=r"Models of \[1, 2\] variables do not combine"):
        _ = Gaussian2D() + Linear()
    with pytest.raises(SelectionError, match="A polynomial of degree 13; it should be a whole number from 0 to 12"):
        Polynomial(13)
    with pytest.raises(UsidError, match="'d_amplitude' appears twice"):
        _ = Gaussian(prefix="d_") + Lorentzian(prefix="d_")
    with pytest.raises(ResultError, match=r"No model named 'os.system' is known"):
        from_description({"model": "os.system"})
    with pytest.raises(ResultError, match=r"'Constant' has the options \['prefix'\]; found \['code'\]"):
        from_description({"model": "Constant", "code": "1"})
