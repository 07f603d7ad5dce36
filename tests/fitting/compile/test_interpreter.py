"""Each operation of the compiled interpreter against NumPy and SciPy, over several tiles of samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import special

from usidx.fitting.models.expression import Expression
from usidx.fitting.models.lineshapes import Voigt
from usidx.fitting.solver.compiled import evaluate_block

SAMPLES = 600  # two whole tiles and a part of one

FORMULAS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "a * exp(-x)": lambda x, a: a * np.exp(-x),
    "a + log(x)": lambda x, a: a + np.log(x),
    "sqrt(a * x)": lambda x, a: np.sqrt(a * x),
    "sin(a * x)": lambda x, a: np.sin(a * x),
    "cos(a * x)": lambda x, a: np.cos(a * x),
    "tanh(x - a)": lambda x, a: np.tanh(x - a),
    "arctan(x - a)": lambda x, a: np.arctan(x - a),
    "erf(x - a)": lambda x, a: special.erf(x - a),
    "abs(x - a)": lambda x, a: np.abs(x - a),
    "x ** a": lambda x, a: x**a,
    "a ** x": lambda x, a: a**x,
    "a / x": lambda x, a: a / x,
    "(x + a) / (x * x + 1)": lambda x, a: (x + a) / (x * x + 1),
    "(x - a) * sin(x) - cos(x)": lambda x, a: (x - a) * np.sin(x) - np.cos(x),
    "heaviside(x - a) * x": lambda x, a: np.where(x >= a, x, 0.0),
    "exp(sin(a)) * x + sqrt(a)": lambda x, a: np.exp(np.sin(a)) * x + np.sqrt(a),
}


@pytest.mark.parametrize("text", FORMULAS)
def test_operations(text: str) -> None:
    x = np.linspace(0.05, 4.0, SAMPLES)
    a = np.array([[0.7], [1.9], [3.1]])
    found = evaluate_block(Expression(text), x[None, None], a)
    assert_allclose(found, FORMULAS[text](x, a), rtol=2e-13, atol=2e-15)


def test_faddeeva() -> None:
    x = np.linspace(-8.0, 8.0, SAMPLES)
    rows = np.array([[1.0, 0.3, 0.8, 0.5], [2.0, -1.0, 0.1, 1.5], [3.0, 2.0, 1.5, 0.01]])
    found = evaluate_block(Voigt(), x[None, None], rows)
    expected = [a * special.voigt_profile(x - center, sigma, gamma) for a, center, sigma, gamma in rows]
    assert_allclose(found, expected, rtol=1e-11)


def test_exponentials_overflow_vanish_and_pass_nan_on() -> None:
    x = np.array([-1000.0, -301.0, -299.0, 0.0, 709.0, np.nan])
    found = evaluate_block(Expression("a * exp(x)"), x[None, None], np.array([[1.0]]))[0]
    assert_array_equal(found[:2], 0.0)  # below exp(-300) nothing is left
    assert_allclose(found[2:5], np.exp(x[2:5]), rtol=1e-14)
    assert np.isnan(found[5])


def test_what_is_not_defined_is_nan() -> None:
    x = np.array([0.5, 1.0, 2.0])
    found = evaluate_block(Expression("log(x - a)"), x[None, None], np.array([[1.0], [np.nan]]))
    assert np.isnan(found[0, :2]).all()
    assert found[0, 2] == 0.0
    assert np.isnan(found[1]).all()
