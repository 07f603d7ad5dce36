"""Derivatives of graphs agree with difference quotients, and simplification changes no value."""

import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usidx.fitting.formula.complex import Pair, as_pair
from usidx.fitting.formula.nodes import (
    FUNCTIONS,
    Node,
    apply,
    apply_faddeeva,
    differentiate,
    make_constant,
    make_parameter,
    make_variable,
    select,
    substitute,
)
from usidx.fitting.formula.numpy_backend import interpret

A, B, X = make_parameter("a"), make_parameter("b"), make_variable()


def difference(node: Node, by: Node, at: dict[Node, float]) -> float:
    """Return the central difference quotient, extrapolated once."""

    def quotient(step: float) -> float:
        high, low = (interpret(node, at | {by: at[by] + s}) for s in (step, -step))
        return float((high - low) / (2 * step))

    return (4 * quotient(5e-4) - quotient(1e-3)) / 3


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
@pytest.mark.parametrize("inner", [A * X, A + X * B, A / X], ids=["product", "sum", "quotient"])
def test_derivative_of_functions(name: str, inner: Node) -> None:
    at = {A: 0.7, B: 0.4, X: 1.3}
    node = apply(name, inner)
    for by in (A, B, X):
        assert interpret(differentiate(node, by), at) == pytest.approx(difference(node, by, at), rel=1e-7, abs=1e-9)


@pytest.mark.parametrize(
    "node",
    [
        A**X,
        X**A,
        (A * X) ** 3,
        (A + X) ** -2,
        A**0.5 * X,
        X / (A * A + B * X),
        (A - X) / (B - X) - 2.0 * X,
        select(X - A, A * X**2, B * X),
        select(A - X, A * X**2, B * X),
        apply_faddeeva(X - A, B)[0],
        apply_faddeeva(X - A, B)[1],
        3.0 - (2.0 * A) * (X * (B * X)),
        2.0**X - A,
    ],
    ids=repr,
)
def test_derivative_of_operations(node: Node) -> None:
    at = {A: 0.7, B: 0.4, X: 1.3}
    for by in (A, B, X):
        assert interpret(differentiate(node, by), at) == pytest.approx(difference(node, by, at), rel=1e-7, abs=1e-9)


def test_equal_graphs_are_one() -> None:
    assert (A * X + B) is (A * X + B)
    assert (X - X) is make_constant(0.0)
    assert X * 1.0 is X
    assert X + 0.0 is X
    assert (A * X) * (B * X) is (A * B) * (X * X)
    assert differentiate(A * X, B) is make_constant(0.0)


def test_nodes_that_travel_to_another_process_and_back_are_the_same() -> None:
    node = apply("exp", A * X) / B + select(X - A, 1.0, B)
    assert pickle.loads(pickle.dumps(node)) is node


def test_substitute_replaces_a_parameter_by_a_formula() -> None:
    node = substitute(apply("exp", A * X) / A, {A: 2.0 * B})
    assert float(interpret(node, {B: 0.3, X: 1.1})) == pytest.approx(math.exp(0.6 * 1.1) / 0.6)


numbers = st.floats(-3, 3).map(lambda v: round(v, 3))


@st.composite
def formulas(draw: st.DrawFn, depth: int = 3) -> tuple[Node, str]:
    """Draw a formula as a graph and as text of Python."""
    leaf = draw(st.integers(0, 3)) if depth == 0 or draw(st.booleans()) else None
    if leaf is not None:
        value = draw(numbers)
        return [(A, "a"), (B, "b"), (X, "x"), (make_constant(value), f"({value})")][leaf]
    (left, left_text), (right, right_text) = draw(formulas(depth - 1)), draw(formulas(depth - 1))
    operation = draw(st.sampled_from("+-*"))
    node = {"+": left + right, "-": left - right, "*": left * right}[operation]
    return node, f"({left_text} {operation} {right_text})"


@settings(deadline=None, max_examples=200)
@given(formulas(), numbers, numbers, numbers)
def test_simplification_keeps_the_value(formula: tuple[Node, str], a: float, b: float, x: float) -> None:
    node, text = formula
    expected = eval(text, {}, {"a": a, "b": b, "x": x})
    assert float(interpret(node, {A: a, B: b, X: x})) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_pairs_are_complex_numbers() -> None:
    z, w = complex(0.7, -0.4), complex(1.1, 0.3)
    at = {A: 0.7, B: -0.4}
    pair = Pair(A, B)
    cases = {
        pair + w: z + w,
        1.0 - pair: 1.0 - z,
        pair * w: z * w,
        w / pair: w / z,
        pair**3: z**3,
        pair**-2: z**-2,
        -pair: -z,
        pair.exp(): np.exp(z),
        as_pair(X) * pair: 2.0 * z,
    }
    for found, expected in cases.items():
        parts = [float(interpret(part, at | {X: 2.0})) for part in (found.real, found.imag)]
        assert complex(*parts) == pytest.approx(expected)
