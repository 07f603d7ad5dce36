"""Programs give what their graphs mean: run here by a loop of NumPy that knows nothing of the compiled one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytest
from numpy.testing import assert_allclose

from usidx.fitting.compile.bytecode import OPERATIONS, Program, assemble
from usidx.fitting.formula.nodes import Node, apply, differentiate, make_constant, make_parameter, make_variable, select

A, B, X = make_parameter("a"), make_parameter("b"), make_variable()
NAMES: Final = {number: name for name, number in OPERATIONS.items()}
MEANINGS: Final[dict[str, Callable[..., Any]]] = {
    "add": lambda a, b, c: a + b,
    "sub": lambda a, b, c: a - b,
    "mul": lambda a, b, c: a * b,
    "div": lambda a, b, c: a / b,
    "pow": lambda a, b, c: a**b,
    "select": lambda a, b, c: np.where(a >= 0.0, b, c),
    "exp": lambda a, b, c: np.exp(a),
    "sqrt": lambda a, b, c: np.sqrt(a),
    "sin": lambda a, b, c: np.sin(a),
    "cos": lambda a, b, c: np.cos(a),
    "number_add": lambda a, b, c: a + b,
    "number_mul": lambda a, b, c: a * b,
    "number_div": lambda a, b, c: a / b,
    "number_mul_add": lambda a, b, c: a * b + c,
    "number_mul_number_add": lambda a, b, c: a * b + c,
    "fill": lambda a, b, c: a,
}


def run(program: Program, parameters: list[float], x: Any, count: int | None = None) -> dict[int, Any]:
    """Return the rows after the first `count` instructions on rows."""
    numbers = program.numbers.copy()
    numbers[: len(parameters)] = parameters
    for operation, target, *sources in program.number_code.tolist():
        numbers[target] = MEANINGS[NAMES[operation]](*numbers[sources])
    rows: dict[int, Any] = {0: x}
    for operation, target, *sources in program.row_code.tolist()[:count]:
        name = NAMES[operation]
        values = [rows.get(source, np.nan) for source in sources]
        if name.startswith("number_") or name == "fill":
            values[0] = numbers[sources[0]]
        if name == "number_mul_number_add":
            values[2] = numbers[sources[2]]
        rows[target] = np.broadcast_to(MEANINGS[name](*values), x.shape)
    return rows


def program_of(value: Node) -> Program:
    return assemble([[value, differentiate(value, A), differentiate(value, B)]], ["a", "b"])


CASES: Final[dict[str, tuple[Node, Callable[..., list[Any]]]]] = {
    "line": (A * X + B, lambda a, b, x: [a * x + b, x, 1.0 + 0 * x]),
    "decay": (
        A * apply("exp", -X / B),
        lambda a, b, x: [a * np.exp(-x / b), np.exp(-x / b), a * x / b**2 * np.exp(-x / b)],
    ),
    "wave": (
        A * apply("sin", B * X) + A * A,
        lambda a, b, x: [a * np.sin(b * x) + a * a, np.sin(b * x) + 2 * a, a * x * np.cos(b * x)],
    ),
    "quotient": (
        A / (X * X + B * B),
        lambda a, b, x: [a / (x * x + b * b), 1 / (x * x + b * b), -2 * a * b / (x * x + b * b) ** 2],
    ),
    "branches": (
        select(X - B, A * X, A * X * X),
        lambda a, b, x: [np.where(x >= b, a * x, a * x * x), np.where(x >= b, x, x * x), None],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_derivatives(name: str) -> None:
    value, meaning = CASES[name]
    program, x = program_of(value), np.linspace(0.1, 3.0, 7)
    rows = run(program, [1.7, 0.6], x)
    for place, expected in zip(program.outputs[0].tolist(), meaning(1.7, 0.6, x), strict=True):
        if expected is None:
            assert place == -1
        else:
            assert_allclose(rows[place], expected, rtol=1e-13)


@pytest.mark.parametrize("name", CASES)
def test_the_first_instructions_give_the_value_alone(name: str) -> None:
    value, meaning = CASES[name]
    program, x = program_of(value), np.linspace(0.1, 3.0, 7)
    rows = run(program, [1.7, 0.6], x, program.n_value_code)
    assert_allclose(rows[program.outputs[0, 0]], meaning(1.7, 0.6, x)[0], rtol=1e-13)


@pytest.mark.parametrize("name", CASES)
def test_no_instruction_writes_into_a_row_that_it_reads(name: str) -> None:
    program = program_of(CASES[name][0])
    reads = {"number_mul_add": (1, 2), "number_mul_number_add": (1,), "fill": (), "select": (0, 1, 2)}
    for operation, target, *sources in program.row_code.tolist():
        kind = NAMES[operation]
        default = (
            (1,) if kind.startswith("number_") else (0, 1) if kind in {"add", "sub", "mul", "div", "pow"} else (0,)
        )
        assert target not in [sources[k] for k in reads.get(kind, default)]


def test_rows_are_used_again_after_their_last_use() -> None:
    value = X
    for _ in range(20):
        value = apply("sin", value)
    program = assemble([[value]], [])
    assert len(program.row_code) == 20
    assert program.n_rows <= 4
    x = np.linspace(0.0, 1.0, 5)
    expected = x
    for _ in range(20):
        expected = np.sin(expected)
    assert_allclose(run(program, [], x)[program.outputs[0, 0]], expected, rtol=1e-13)


def test_a_constant_becomes_a_row_and_its_derivative_none() -> None:
    program = assemble([[make_constant(2.5), differentiate(make_constant(2.5), A)]], ["a"])
    assert program.outputs[0, 1] == -1
    assert run(program, [1.0], np.zeros(3))[program.outputs[0, 0]].tolist() == [2.5] * 3
