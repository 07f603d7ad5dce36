"""Formulas as text: what is read, what is refused, and fits with them."""

import json
import math
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from usidx.errors import SelectionError, UsidError
from usidx.fitting.evaluate import evaluate
from usidx.fitting.fit import fit
from usidx.fitting.formula.nodes import Node, make_parameter, make_variable
from usidx.fitting.formula.numpy_backend import interpret
from usidx.fitting.models.expression import list_names, parse
from usidx.fitting.models.model import from_description
from usidx.models import Constant, Exponential, Expression, Gaussian2D


def value(text: str, **known: float) -> float:
    graph = parse(text, {name: make_parameter(name) for name in known})
    assert isinstance(graph, Node)
    return float(interpret(graph, {make_parameter(name): number for name, number in known.items()}))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * a ** 2", 1 + 2 * 0.7**2),
        ("-a ** 2", -(0.7**2)),
        ("2 ** -a / +3", 2**-0.7 / 3),
        ("exp(a) * log(a) + sqrt(a)", math.exp(0.7) * math.log(0.7) + math.sqrt(0.7)),
        ("sin(a) + cos(a) - tan(a)", math.sin(0.7) + math.cos(0.7) - math.tan(0.7)),
        ("sinh(a) + cosh(a) + tanh(a)", math.sinh(0.7) + math.cosh(0.7) + math.tanh(0.7)),
        ("arctan(a) + erf(a) + erfc(a)", math.atan(0.7) + 1.0),
        ("log10(a) + square(a) + abs(-a)", math.log10(0.7) + 0.49 + 0.7),
        ("heaviside(a - 0.5) + heaviside(a - 1)", 1.0),
        ("pi * e", math.pi * math.e),
    ],
)
def test_text_means_what_it_says(text: str, expected: float) -> None:
    assert value(text, a=0.7) == pytest.approx(expected)


def test_names_come_in_the_order_of_the_text() -> None:
    assert list_names("(b + exp(-x / tau)) * a + b * pi") == ("b", "x", "tau", "a")


def test_e_is_a_parameter_unless_it_is_said_to_be_a_number() -> None:
    assert Expression("a * x + e").names == ("a", "e")
    number = Expression("a * e**(-x / tau)", constants=("e",))
    assert number.names == ("a", "tau")
    assert_allclose(number(2.0, a=3.0, tau=1.5), 3 * np.exp(-2 / 1.5))
    assert from_description(number.describe()) == number


def test_polynomial_with_a_parameter_e_is_fitted_with_it() -> None:
    x = np.linspace(-2, 2, 60)
    data = xr.DataArray(0.5 * x**4 - x**3 + 2 * x**2 - 3 * x + 7, dims="x", coords={"x": x})
    found = fit(data, Expression("a*x**4 + b*x**3 + c*x**2 + d*x + e"))
    assert_allclose([found[n] for n in "abcde"], [0.5, -1.0, 2.0, -3.0, 7.0], rtol=1e-9)


def test_e_in_a_tie_is_the_parameter_where_there_is_one() -> None:
    x = np.linspace(0, 1, 30)
    data = xr.DataArray(1.5 * x + 3.0, dims="x", coords={"x": x})
    own = fit(data, Expression("d * x + e"), tied={"d": "0.5 * e"})
    assert_allclose([own.d, own.e], [1.5, 3.0], rtol=1e-9)
    number = fit(data * (math.e / 1.5), Expression("d * x + f"), tied={"d": "e + 0 * f"})
    assert_allclose(number.d, math.e, rtol=1e-12)


def test_records_from_when_e_was_a_number_mean_what_they_meant() -> None:
    before = from_description({"model": "Expression", "text": "a * e**(-x)", "variable": "x"})
    assert before.names == ("a",)
    assert_allclose(before(2.0, a=3.0), 3 * np.exp(-2))


def test_formula_of_two_coordinates_is_fitted_to_images() -> None:
    y, x = np.linspace(-1, 1, 25), np.linspace(0, 3, 30)
    rng = np.random.default_rng(0)
    true = rng.uniform(0.5, 1.0, (4, 1, 1))
    images = 2 * np.exp(-(y[:, None] ** 2) / true - (x - 1.3) ** 2 / 0.8) + 0.3 * y[:, None] + 0.1
    data = xr.DataArray(images, dims=("p", "Y", "X"), coords={"Y": y, "X": x})
    model = Expression("h * exp(-y**2 / u - (x - x0)**2 / v) + s * y + c", ("y", "x"))
    assert model.variables == 2
    found = fit(data, model, ("Y", "X"), start={"u": 0.7, "v": 1.0, "x0": 1.0})
    assert_allclose(found.u, true[:, 0, 0], rtol=1e-7)
    assert_allclose(found.x0, 1.3, rtol=1e-7)
    assert_allclose(evaluate(found), data, atol=1e-7)
    assert from_description(json.loads(json.dumps(model.describe()))) == model
    assert (Gaussian2D() + Expression("s * y", ("y", "x"))).variables == 2


@pytest.mark.parametrize(
    ("variable", "constants", "message"),
    [
        (("y", "y"), (), r"variable: \('y', 'y'\) is no name of a coordinate, and no tuple"),
        ((), (), r"is no name of a coordinate"),
        (("u", "v"), (), r"has no coordinate \('u', 'v'\), only \('a', 'x', 'y'\)"),
        ("x", ("g",), r"constants: no number 'g' is known; there are \('pi', 'e'\)"),
    ],
)
def test_what_names_no_coordinate_or_number_is_refused(variable: Any, constants: Any, message: str) -> None:
    with pytest.raises(SelectionError, match=message):
        Expression("a * x * y", variable, constants)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("__import__('os').system('true')", r"is not allowed in a formula"),
        ("a.real", r"'a.real' is not allowed"),
        ("a[0]", r"is not allowed"),
        ("a if a else 1", r"is not allowed"),
        ("[a for a in x]", r"is not allowed"),
        ("(lambda: a)()", r"is not allowed"),
        ("a and 1", r"is not allowed"),
        ("a < 1", r"is not allowed"),
        ("exp(a, 2)", r"is not allowed"),
        ("f'{a}'", r"is not allowed"),
        ("open(a)", r"no function 'open'; there are abs"),
        ("'text' + a", r"'text' is not a number"),
        ("True * a", r"True is not a number"),
        ("1" * 400 + " * a", r"is not a number"),
        ("a +", r"is not a formula"),
        ("a; b", r"is not a formula"),
        ("a = 1", r"is not a formula"),
        ("(1 + 1j) ** 0.5 * a", r"whole powers up to 16 only"),
        ("sqrt(1j) ** a", r"whole powers up to 16 only"),
        ("sin(1j * a)", r"'sin' of a complex value is not allowed"),
        ("1 + 2", r"has no parameter besides 'x'"),
        ("a" * 2001, r"has 2001 characters; at most 2000"),
        ("-" * 1900 + "a", r"nested too deeply|is not a formula"),
    ],
)
def test_what_is_no_formula_is_refused(text: str, message: str) -> None:
    with pytest.raises(SelectionError, match=message):
        Expression(text)


@settings(deadline=None, max_examples=200)
@given(st.text(alphabet="ax01.e+-*/() jsinqrt", max_size=30))
def test_any_text_gives_a_model_or_a_clear_error(text: str) -> None:
    try:
        model = Expression(text)
    except UsidError:
        return
    assert model.names


def test_fit_with_a_formula_equals_the_model_of_that_formula() -> None:
    rng = np.random.default_rng(0)
    x = np.linspace(0, 10, 50)
    tau = rng.uniform(1, 3, (20, 1))
    data = xr.DataArray(
        2 * np.exp(-x / tau) + 0.3 + 0.01 * rng.normal(size=(20, 50)),
        dims=("p", "x"),
        coords={"x": x},
        attrs={"units": "V"},
    )
    found = fit(data, Expression("a * exp(-x / tau) + c"), "x", start={"tau": 2.0})
    plain = fit(data, Exponential() + Constant(), "x")
    assert_allclose(found.tau, plain.tau, rtol=1e-6)
    assert_allclose(found.c_stderr, plain.offset_stderr, rtol=1e-5)
    assert "units" not in found.tau.attrs
    assert found.chi2.units == "V^2"


def test_start_values_that_cannot_be_found_are_asked_for() -> None:
    data = xr.DataArray(np.arange(5.0), dims="x", coords={"x": np.arange(5.0)})
    with pytest.raises(SelectionError, match=r"start: 'tau' does not enter the formula linearly.*start=\{'tau': "):
        fit(data, Expression("a * exp(-x / tau)"))
    assert bool(fit(data, Expression("a * x + b")).converged)


def test_graph_of_text_uses_the_given_nodes() -> None:
    graph = parse("a * x", {"a": make_parameter("a"), "x": make_variable()})
    assert graph is make_parameter("a") * make_variable()
