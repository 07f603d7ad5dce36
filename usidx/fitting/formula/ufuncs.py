"""Ufuncs of NumPy and SciPy, by name -> the same on graphs.

A truth value is a graph that is 1 where it is true and 0 where it is not.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

from usidx.fitting.formula.complex import Pair, as_pair
from usidx.fitting.formula.nodes import Node, constant, faddeeva, function, select

__all__ = ["TRUTHS", "UFUNCS", "chosen", "condition"]

Value = Node | Pair


def condition(truth: Node) -> Node:
    """Return what is >= 0 where a truth value is true."""
    plain = truth.op == "select" and [a.value for a in truth.args[1:]] == [1.0, 0.0]
    return truth.args[0] if plain else truth - 0.5


def chosen(met: Node, first: Value, second: Value) -> Value:
    """Return the first value where `met` >= 0, else the second."""
    if isinstance(first, Pair) or isinstance(second, Pair):
        a, b = as_pair(first), as_pair(second)
        return Pair(select(met, a.real, b.real), select(met, a.imag, b.imag))
    return select(met, first, second)


def _alike(operation: Callable[[Any, Any], Any]) -> Callable[[Value, Value], Value]:
    def on_values(a: Value, b: Value) -> Value:
        both = isinstance(a, Pair) or isinstance(b, Pair)
        found: Value = operation(as_pair(a), as_pair(b)) if both else operation(a, b)
        return found

    return on_values


def _power(a: Value, b: Value) -> Value:
    if isinstance(b, Pair):
        raise TypeError("An exponent is real.")
    if isinstance(a, Node):
        return a**b
    exponent = float(str(b)) if b.op == "constant" else math.nan
    if not exponent.is_integer() or abs(exponent) > 16:
        raise TypeError("Complex values have whole powers only.")
    return a ** int(exponent)


def _exp(a: Value) -> Value:
    return a.exp() if isinstance(a, Pair) else function("exp", a)


def _absolute(a: Value) -> Value:
    return function("sqrt", a.real * a.real + a.imag * a.imag) if isinstance(a, Pair) else function("abs", a)


def _at_least(a: Node, b: Node) -> Node:
    return select(a - b, 1.0, 0.0)


def _greater(a: Node, b: Node) -> Node:
    # In two steps, for where one of them is not a number neither holds.
    return select(a - b, select(b - a, 0.0, 1.0), 0.0)


def _equal(a: Node, b: Node) -> Node:
    return select(a - b, select(b - a, 1.0, 0.0), 0.0)


def _plain(name: str) -> Callable[[Node], Node]:
    return lambda a: function(name, a)


def _hyperbolic(sign: float) -> Callable[[Node], Node]:
    return lambda a: 0.5 * (function("exp", a) + sign * function("exp", -a))


def _voigt(x: Node, sigma: Node, gamma: Node) -> Node:
    scale = 1.0 / (math.sqrt(2.0) * sigma)
    return faddeeva(x * scale, gamma * scale)[0] / (math.sqrt(2.0 * math.pi) * sigma)


#: What gives truth values.
TRUTHS: Final[Mapping[str, Callable[..., Any]]] = {
    "greater_equal": _at_least,
    "less_equal": lambda a, b: _at_least(b, a),
    "greater": _greater,
    "less": lambda a, b: _greater(b, a),
    "equal": _equal,
    "not_equal": lambda a, b: 1.0 - _equal(a, b),
    "logical_and": operator.mul,
    "bitwise_and": operator.mul,
    "logical_or": lambda a, b: select(condition(a), 1.0, b),
    "bitwise_or": lambda a, b: select(condition(a), 1.0, b),
    "logical_not": lambda a: 1.0 - a,
    "invert": lambda a: 1.0 - a,
}

#: What gives numbers.
UFUNCS: Final[Mapping[str, Callable[..., Any]]] = {
    "add": _alike(operator.add),
    "subtract": _alike(operator.sub),
    "multiply": _alike(operator.mul),
    "divide": _alike(operator.truediv),
    "power": _power,
    "float_power": _power,
    "negative": operator.neg,
    "positive": lambda a: a,
    "square": lambda a: a * a,
    "reciprocal": lambda a: 1.0 / a,
    "exp": _exp,
    "absolute": _absolute,
    "fabs": _plain("abs"),
    "conjugate": lambda a: Pair(as_pair(a).real, -as_pair(a).imag) if isinstance(a, Pair) else a,
    "sqrt": _plain("sqrt"),
    "log": _plain("log"),
    "sin": _plain("sin"),
    "cos": _plain("cos"),
    "tanh": _plain("tanh"),
    "arctan": _plain("arctan"),
    "erf": _plain("erf"),
    "tan": lambda a: function("sin", a) / function("cos", a),
    "sinh": _hyperbolic(-1.0),
    "cosh": _hyperbolic(1.0),
    "expm1": lambda a: function("exp", a) - 1.0,
    "log1p": lambda a: function("log", 1.0 + a),
    "exp2": lambda a: function("exp", math.log(2.0) * a),
    "log2": lambda a: function("log", a) / math.log(2.0),
    "log10": lambda a: function("log", a) / math.log(10.0),
    "hypot": lambda a, b: function("sqrt", a * a + b * b),
    "deg2rad": lambda a: math.pi / 180.0 * a,
    "radians": lambda a: math.pi / 180.0 * a,
    "erfc": lambda a: 1.0 - function("erf", a),
    "ndtr": lambda a: 0.5 + 0.5 * function("erf", math.sqrt(0.5) * a),
    "expit": lambda a: 0.5 + 0.5 * function("tanh", 0.5 * a),
    "voigt_profile": _voigt,
    "maximum": lambda a, b: select(a - b, a, b),
    "minimum": lambda a, b: select(a - b, b, a),
    "fmax": lambda a, b: select(a - b, a, b),
    "fmin": lambda a, b: select(a - b, b, a),
    "sign": lambda a: _greater(a, constant(0.0)) - _greater(constant(0.0), a),
    "heaviside": lambda a, at_zero: select(a, select(-a, at_zero, 1.0), 0.0),
}
