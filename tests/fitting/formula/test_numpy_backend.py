"""Graphs interpreted in NumPy give what NumPy and SciPy give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import special

from usidx.fitting.formula.nodes import (
    Node,
    apply,
    apply_faddeeva,
    make_constant,
    make_parameter,
    make_variable,
    select,
)
from usidx.fitting.formula.numpy_backend import interpret

A, X = make_parameter("a"), make_variable()

FORMULAS: Final[dict[str, tuple[Node, Callable[[Any, Any], Any]]]] = {
    "sum": (A + X - 2.0, lambda a, x: a + x - 2.0),
    "product": (A * X * X, lambda a, x: a * x * x),
    "quotient": (A / X, lambda a, x: a / x),
    "power": (X**A, lambda a, x: x**a),
    "select": (select(X - A, X, -X), lambda a, x: np.where(x >= a, x, -x)),
    "wofz_real": (apply_faddeeva(X, A)[0], lambda a, x: special.wofz(x + 1j * a).real),
    "wofz_imag": (apply_faddeeva(X, A)[1], lambda a, x: special.wofz(x + 1j * a).imag),
    "exp": (apply("exp", A * X), lambda a, x: np.exp(a * x)),
    "log": (apply("log", A * X), lambda a, x: np.log(a * x)),
    "sqrt": (apply("sqrt", A * X), lambda a, x: np.sqrt(a * x)),
    "sin": (apply("sin", A * X), lambda a, x: np.sin(a * x)),
    "cos": (apply("cos", A * X), lambda a, x: np.cos(a * x)),
    "tanh": (apply("tanh", A * X), lambda a, x: np.tanh(a * x)),
    "arctan": (apply("arctan", A * X), lambda a, x: np.arctan(a * x)),
    "erf": (apply("erf", A * X), lambda a, x: special.erf(a * x)),
    "abs": (apply("abs", A - X), lambda a, x: np.abs(a - x)),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_operations_broadcast_parameters_against_coordinates(name: str) -> None:
    node, meaning = FORMULAS[name]
    a, x = np.array([[0.4], [1.5], [2.5]]), np.linspace(0.1, 3.0, 5)
    found = interpret(node, {A: a, X: x})
    assert found.shape == (3, 5)
    assert_allclose(found, meaning(a, x), rtol=1e-13)


def test_constants_alone_are_numbers() -> None:
    assert interpret(make_constant(2.5), {}) == 2.5


def test_what_is_not_defined_warns_of_nothing() -> None:
    found = interpret(apply("log", X) + A / X, {A: 1.0, X: np.array([-1.0, 0.0, 1.0])})
    assert np.isnan(found[0])
    assert not np.isfinite(found[1])
    assert found[2] == 1.0
