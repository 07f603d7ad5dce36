"""Formula with symbols -> graph of elementary operations, and its exact derivatives.

A model is written once, as arithmetic on `Node`; value, Jacobian and compiled program all come from that graph.
Equal subexpressions are one node, so that what value and derivatives share is worked out once.
"""

from __future__ import annotations

import hashlib
import math
import weakref
from collections.abc import Callable
from typing import Final, Union

__all__ = [
    "Node",
    "Operand",
    "apply",
    "differentiate",
    "make_constant",
    "make_parameter",
    "make_variable",
    "select",
    "substitute",
]

Operand = Union["Node", float]

# Every node that is alive: equal operations are found here, and so are one node.
_known: weakref.WeakValueDictionary[tuple[object, ...], Node] = weakref.WeakValueDictionary()


class Node:
    """One operation on other nodes: a constant, a parameter, a variable, or a function of nodes.

    `varies` says whether the value differs from sample to sample (it depends on a variable). `place` puts nodes in an
    order that is the same in every process.
    """

    __slots__ = ("__weakref__", "args", "op", "place", "value", "varies")

    op: str
    args: tuple[Node, ...]
    value: float | str | int | None
    varies: bool
    place: bytes

    def __repr__(self) -> str:
        if not self.args:
            return str(self.value) if self.op != "variable" else f"x{self.value}"
        return f"{self.op}({', '.join(map(repr, self.args))})"

    def __reduce__(self) -> tuple[Callable[..., Node], tuple[object, ...]]:
        # Equal graphs are one node: in another process, too, it is looked up and not copied.
        return _make, (self.op, self.args, self.value)

    def __add__(self, other: Operand) -> Node:
        return add(self, _to_node(other))

    def __radd__(self, other: Operand) -> Node:
        return add(_to_node(other), self)

    def __sub__(self, other: Operand) -> Node:
        return subtract(self, _to_node(other))

    def __rsub__(self, other: Operand) -> Node:
        return subtract(_to_node(other), self)

    def __mul__(self, other: Operand) -> Node:
        return multiply(self, _to_node(other))

    def __rmul__(self, other: Operand) -> Node:
        return multiply(_to_node(other), self)

    def __truediv__(self, other: Operand) -> Node:
        return divide(self, _to_node(other))

    def __rtruediv__(self, other: Operand) -> Node:
        return divide(_to_node(other), self)

    def __pow__(self, other: Operand) -> Node:
        return exponentiate(self, _to_node(other))

    def __rpow__(self, other: Operand) -> Node:
        return exponentiate(_to_node(other), self)

    def __neg__(self) -> Node:
        return multiply(make_constant(-1.0), self)


def _make(op: str, args: tuple[Node, ...] = (), value: float | str | int | None = None) -> Node:
    # The sign of zero is part of a constant, hence the repr.
    key = (op, *(id(a) for a in args), repr(value))
    node = _known.get(key)
    if node is None:
        node = Node()
        node.op, node.args, node.value = op, args, value
        node.varies = op == "variable" or any(a.varies for a in args)
        told = repr((op, value, [a.place for a in args]))
        node.place = hashlib.blake2b(told.encode(), digest_size=8).digest()
        _known[key] = node
    return node


def make_constant(value: float) -> Node:
    """Return the node of a number."""
    return _make("constant", (), float(value))


def make_parameter(name: str) -> Node:
    """Return the node of a named parameter."""
    return _make("parameter", (), name)


def make_variable(index: int = 0) -> Node:
    """Return the node of an independent variable (the coordinate along a fitted dim)."""
    return _make("variable", (), index)


def _to_node(value: Operand) -> Node:
    return value if isinstance(value, Node) else make_constant(value)


ZERO: Final = make_constant(0.0)
ONE: Final = make_constant(1.0)
MINUS_ONE: Final = make_constant(-1.0)


def _read_number(node: Node) -> float | None:
    return float(node.value) if node.op == "constant" and node.value is not None else None


def _split_factor(node: Node) -> tuple[Node, Node]:
    """Return (factor that is the same for all samples, the rest)."""
    if not node.varies:
        return node, ONE
    if node.op == "mul" and not node.args[0].varies:
        return node.args[0], node.args[1]
    return ONE, node


def add(a: Node, b: Node) -> Node:
    """Return a + b."""
    left, right = _read_number(a), _read_number(b)
    if left is not None and right is not None:
        return make_constant(left + right)
    if left == 0.0:
        return b
    if right == 0.0:
        return a
    (factor_a, rest_a), (factor_b, rest_b) = _split_factor(a), _split_factor(b)
    if rest_a is rest_b and rest_a is not ONE:
        return multiply(add(factor_a, factor_b), rest_a)
    # Numbers come first: `compile.bytecode` has an operation for a number with a row, and none for a row with a number.
    if a.varies and not b.varies:
        a, b = b, a
    return _make("add", (a, b))


def subtract(a: Node, b: Node) -> Node:
    """Return a - b."""
    if a is b:
        return ZERO
    if a.varies and b.varies:
        return _make("sub", (a, b))
    return add(a, multiply(MINUS_ONE, b))


def multiply(a: Node, b: Node) -> Node:
    """Return a * b, with what is the same for all samples gathered in one factor in front."""
    left, right = _read_number(a), _read_number(b)
    if left is not None and right is not None:
        return make_constant(left * right)
    if left == 0.0 or right == 0.0:
        return ZERO
    if left == 1.0:
        return b
    if right == 1.0:
        return a
    if not a.varies and not b.varies:
        return _multiply_numbers(a, b)
    (factor_a, rest_a), (factor_b, rest_b) = _split_factor(a), _split_factor(b)
    factor, rest = multiply(factor_a, factor_b), _multiply_rows(rest_a, rest_b)
    return rest if factor is ONE else _make("mul", (factor, rest))


def _multiply_numbers(a: Node, b: Node) -> Node:
    """Multiply two factors without a variable; constants are kept in front and combined."""
    if _read_number(b) is not None:
        a, b = b, a
    inner = _read_number(b.args[0]) if b.op == "mul" else None
    outer = _read_number(a)
    if outer is not None and inner is not None:
        return multiply(make_constant(outer * inner), b.args[1])
    return _make("mul", (a, b))


def _multiply_rows(a: Node, b: Node) -> Node:
    if a is ONE:
        return b
    if b is ONE:
        return a
    # One order for both, so that x * y and y * x are one node.
    return _make("mul", (a, b) if a.place <= b.place else (b, a))


def divide(a: Node, b: Node) -> Node:
    """Return a / b; a divisor that is the same for all samples becomes a factor."""
    if b is ONE:
        return a
    factor, rest = _split_factor(b)
    if rest is not ONE:
        reciprocal = _make("div", (ONE, rest))
        return multiply(divide(a, factor), reciprocal)
    # One division for all samples, and a product for each, which is several times as fast.
    number = _read_number(b)
    if number is not None and number != 0.0:
        return multiply(make_constant(1.0 / number), a)
    return multiply(_make("div", (ONE, b)), a)


def exponentiate(a: Node, b: Node) -> Node:
    """Return a ** b; small whole exponents become products."""
    exponent = _read_number(b)
    base = _read_number(a)
    if exponent is not None and base is not None and base > 0.0:
        return _fold_constants("pow", lambda: base**exponent, (a, b))
    if exponent is not None and exponent.is_integer() and abs(exponent) <= 16:
        return _multiply_repeatedly(a, int(exponent))
    if exponent == 0.5:
        return apply("sqrt", a)
    return _make("pow", (a, b))


def _multiply_repeatedly(a: Node, exponent: int) -> Node:
    if exponent < 0:
        return divide(ONE, _multiply_repeatedly(a, -exponent))
    if exponent == 0:
        return ONE
    # By squaring: x ** 13 takes five products.
    half = _multiply_repeatedly(a, exponent // 2)
    square = multiply(half, half)
    return multiply(square, a) if exponent % 2 else square


_ON_NUMBERS: Final[dict[str, Callable[[float], float]]] = {
    "exp": math.exp,
    "log": math.log,
    "sqrt": math.sqrt,
    "sin": math.sin,
    "cos": math.cos,
    "tanh": math.tanh,
    "arctan": math.atan,
    "erf": math.erf,
    "abs": abs,
}

#: Names of the elementary functions of one argument.
FUNCTIONS: Final = frozenset(_ON_NUMBERS)


def apply(name: str, a: Operand) -> Node:
    """Return an elementary function (a name in `FUNCTIONS`) of a node."""
    a = _to_node(a)
    number = _read_number(a)
    if number is not None and (number > 0.0 or name not in {"log", "sqrt"}):
        return _fold_constants(name, lambda: _ON_NUMBERS[name](number), (a,))
    return _make(name, (a,))


def _fold_constants(name: str, value: Callable[[], float], args: tuple[Node, ...]) -> Node:
    """Return the number that an operation on numbers gives; where it overflows, the operation itself."""
    try:
        return make_constant(value())
    except (OverflowError, ValueError):
        return _make(name, args)


def select(condition: Operand, positive: Operand, otherwise: Operand) -> Node:
    """Return `positive` where the condition is >= 0, else `otherwise`."""
    condition, positive, otherwise = _to_node(condition), _to_node(positive), _to_node(otherwise)
    return positive if positive is otherwise else _make("select", (condition, positive, otherwise))


def apply_faddeeva(x: Operand, y: Operand) -> tuple[Node, Node]:
    """Return real and imaginary part of the Faddeeva function w(x + iy), y > 0."""
    args = (_to_node(x), _to_node(y))
    return _make("wofz_real", args), _make("wofz_imag", args)


def substitute(node: Node, replacements: dict[Node, Node], memo: dict[Node, Node] | None = None) -> Node:
    """Return the graph with some nodes (parameters, mostly) replaced."""
    memo = {} if memo is None else memo
    if node in replacements:
        return replacements[node]
    if not node.args:
        return node
    if node not in memo:
        args = [substitute(a, replacements, memo) for a in node.args]
        memo[node] = _BUILD[node.op](*args) if node.op in _BUILD else _make(node.op, tuple(args))
    return memo[node]


_BUILD: Final = {"add": add, "sub": subtract, "mul": multiply, "div": divide, "pow": exponentiate}


def differentiate(node: Node, by: Node, memo: dict[Node, Node] | None = None) -> Node:
    """Return the exact derivative of a graph by one of its parameters (or variables)."""
    memo = {} if memo is None else memo
    if node is by:
        return ONE
    if not node.args:
        return ZERO
    if node not in memo:
        memo[node] = _apply_chain_rule(node, by, memo)
    return memo[node]


def _apply_chain_rule(node: Node, by: Node, memo: dict[Node, Node]) -> Node:
    inner = [differentiate(arg, by, memo) for arg in node.args]
    if node.op == "select":
        # The jump at the condition's zero carries no derivative. A factor of 0 would not do for the other way: what
        # is not chosen may be infinite.
        return ZERO if inner[1] is inner[2] is ZERO else select(node.args[0], inner[1], inner[2])
    total = ZERO
    for position, slope in enumerate(inner):
        if slope is not ZERO:
            total = total + _differentiate_operation(node, position) * slope
    return total


def _differentiate_operation(node: Node, position: int) -> Node:
    """Return the derivative of an operation by one of its arguments."""
    return _PARTIALS[node.op](node, *node.args)[position]


def _differentiate_faddeeva(node: Node, x: Node, y: Node) -> tuple[Node, Node]:
    # w'(z) = -2 z w + 2i/sqrt(pi): Abramowitz and Stegun 7.1.20.
    real, imag = apply_faddeeva(x, y)
    slope_real = -2.0 * (x * real - y * imag)
    slope_imag = 2.0 / math.sqrt(math.pi) - 2.0 * (x * imag + y * real)
    return (slope_real, -slope_imag) if node.op == "wofz_real" else (slope_imag, slope_real)


_PARTIALS: Final[dict[str, Callable[..., tuple[Node, ...]]]] = {
    "add": lambda n, a, b: (ONE, ONE),
    "sub": lambda n, a, b: (ONE, MINUS_ONE),
    "mul": lambda n, a, b: (b, a),
    "div": lambda n, a, b: (ONE / b, -(n / b)),
    # Where the base is zero the formula gives infinity times zero; the limit of the product is zero.
    "pow": lambda n, a, b: (select(-a, 0.0, b * exponentiate(a, b - 1.0)), select(-a, 0.0, n * apply("log", a))),
    "exp": lambda n, a: (n,),
    "log": lambda n, a: (ONE / a,),
    "sqrt": lambda n, a: (0.5 / n,),
    "sin": lambda n, a: (apply("cos", a),),
    "cos": lambda n, a: (-apply("sin", a),),
    "tanh": lambda n, a: (1.0 - n * n,),
    "arctan": lambda n, a: (1.0 / (1.0 + a * a),),
    "erf": lambda n, a: (2.0 / math.sqrt(math.pi) * apply("exp", -(a * a)),),
    "abs": lambda n, a: (select(a, 1.0, -1.0),),
    "wofz_real": _differentiate_faddeeva,
    "wofz_imag": _differentiate_faddeeva,
}
