"""Ufuncs of NumPy and SciPy, by name -> the same on graphs.

A truth value is a graph that is 1 where it is true and 0 where it is not.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

from usidx.fitting.formula.complex import Pair, as_pair
from usidx.fitting.formula.nodes import Node, apply, apply_faddeeva, make_constant, select

__all__ = ["TRUTHS", "UFUNCS", "choose", "make_condition"]

Value = Node | Pair


def make_condition(truth: Node) -> Node:
    """Return what is >= 0 where a truth value is true."""
    plain = truth.op == "select" and [a.value for a in truth.args[1:]] == [1.0, 0.0]
    return truth.args[0] if plain else truth - 0.5


def choose(met: Node, first: Value, second: Value) -> Value:
    """Return the first value where `met` >= 0, else the second."""
    if isinstance(first, Pair) or isinstance(second, Pair):
        a, b = as_pair(first), as_pair(second)
        return Pair(select(met, a.real, b.real), select(met, a.imag, b.imag))
    return select(met, first, second)


def _extend_to_pairs(operation: Callable[[Any, Any], Any]) -> Callable[[Value, Value], Value]:
    def apply_to_values(a: Value, b: Value) -> Value:
        both = isinstance(a, Pair) or isinstance(b, Pair)
        found: Value = operation(as_pair(a), as_pair(b)) if both else operation(a, b)
        return found

    return apply_to_values


def _exponentiate(a: Value, b: Value) -> Value:
    if isinstance(b, Pair):
        raise TypeError("An exponent is real.")
    if isinstance(a, Node):
        return a**b
    exponent = float(str(b)) if b.op == "constant" else math.nan
    if not exponent.is_integer() or abs(exponent) > 16:
        raise TypeError("Complex values have whole powers only.")
    return a ** int(exponent)


def _apply_exp(a: Value) -> Value:
    return a.exp() if isinstance(a, Pair) else apply("exp", a)


def _apply_sqrt(a: Value) -> Value:
    return a.sqrt() if isinstance(a, Pair) else apply("sqrt", a)


def _apply_absolute(a: Value) -> Value:
    return apply("sqrt", a.real * a.real + a.imag * a.imag) if isinstance(a, Pair) else apply("abs", a)


def _compare_at_least(a: Node, b: Node) -> Node:
    return select(a - b, 1.0, 0.0)


def _compare_greater(a: Node, b: Node) -> Node:
    # In two steps, for where one of them is not a number neither holds.
    return select(a - b, select(b - a, 0.0, 1.0), 0.0)


def _compare_equal(a: Node, b: Node) -> Node:
    return select(a - b, select(b - a, 1.0, 0.0), 0.0)


def _make_elementary(name: str) -> Callable[[Node], Node]:
    return lambda a: apply(name, a)


def _make_hyperbolic(sign: float) -> Callable[[Node], Node]:
    return lambda a: 0.5 * (apply("exp", a) + sign * apply("exp", -a))


def _apply_voigt(x: Node, sigma: Node, gamma: Node) -> Node:
    scale = 1.0 / (math.sqrt(2.0) * sigma)
    return apply_faddeeva(x * scale, gamma * scale)[0] / (math.sqrt(2.0 * math.pi) * sigma)


#: What gives truth values.
TRUTHS: Final[Mapping[str, Callable[..., Any]]] = {
    "greater_equal": _compare_at_least,
    "less_equal": lambda a, b: _compare_at_least(b, a),
    "greater": _compare_greater,
    "less": lambda a, b: _compare_greater(b, a),
    "equal": _compare_equal,
    "not_equal": lambda a, b: 1.0 - _compare_equal(a, b),
    "logical_and": operator.mul,
    "bitwise_and": operator.mul,
    "logical_or": lambda a, b: select(make_condition(a), 1.0, b),
    "bitwise_or": lambda a, b: select(make_condition(a), 1.0, b),
    "logical_not": lambda a: 1.0 - a,
    "invert": lambda a: 1.0 - a,
}

#: What gives numbers.
UFUNCS: Final[Mapping[str, Callable[..., Any]]] = {
    "add": _extend_to_pairs(operator.add),
    "subtract": _extend_to_pairs(operator.sub),
    "multiply": _extend_to_pairs(operator.mul),
    "divide": _extend_to_pairs(operator.truediv),
    "power": _exponentiate,
    "float_power": _exponentiate,
    "negative": operator.neg,
    "positive": lambda a: a,
    "square": lambda a: a * a,
    "reciprocal": lambda a: 1.0 / a,
    "exp": _apply_exp,
    "absolute": _apply_absolute,
    "fabs": _make_elementary("abs"),
    "conjugate": lambda a: Pair(as_pair(a).real, -as_pair(a).imag) if isinstance(a, Pair) else a,
    "sqrt": _apply_sqrt,
    "log": _make_elementary("log"),
    "sin": _make_elementary("sin"),
    "cos": _make_elementary("cos"),
    "tanh": _make_elementary("tanh"),
    "arctan": _make_elementary("arctan"),
    "erf": _make_elementary("erf"),
    "tan": lambda a: apply("sin", a) / apply("cos", a),
    "sinh": _make_hyperbolic(-1.0),
    "cosh": _make_hyperbolic(1.0),
    "expm1": lambda a: apply("exp", a) - 1.0,
    "log1p": lambda a: apply("log", 1.0 + a),
    "exp2": lambda a: apply("exp", math.log(2.0) * a),
    "log2": lambda a: apply("log", a) / math.log(2.0),
    "log10": lambda a: apply("log", a) / math.log(10.0),
    "hypot": lambda a, b: apply("sqrt", a * a + b * b),
    "deg2rad": lambda a: math.pi / 180.0 * a,
    "radians": lambda a: math.pi / 180.0 * a,
    "erfc": lambda a: 1.0 - apply("erf", a),
    "ndtr": lambda a: 0.5 + 0.5 * apply("erf", math.sqrt(0.5) * a),
    "expit": lambda a: 0.5 + 0.5 * apply("tanh", 0.5 * a),
    "voigt_profile": _apply_voigt,
    "maximum": lambda a, b: select(a - b, a, b),
    "minimum": lambda a, b: select(a - b, b, a),
    "fmax": lambda a, b: select(a - b, a, b),
    "fmin": lambda a, b: select(a - b, b, a),
    "sign": lambda a: _compare_greater(a, make_constant(0.0)) - _compare_greater(make_constant(0.0), a),
    "heaviside": lambda a, at_zero: select(a, select(-a, at_zero, 1.0), 0.0),
}
