"""Text of a formula -> graph, through a list of what is allowed, and a model of it; nothing in it is ever run."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import Any, ClassVar, Final

from usidx.errors import SelectionError
from usidx.fitting.formula.complex import Pair, as_pair
from usidx.fitting.formula.nodes import FUNCTIONS, Node, apply, make_constant, make_parameter, make_variable, select
from usidx.fitting.models.model import Model, register
from usidx.fitting.models.parameter import UNBOUNDED, Parameter
from usidx.tasks.process.fork import hold_over_fork

__all__ = ["Expression", "list_names", "parse"]

Value = Node | Pair

_CONSTANTS: Final = {"pi": math.pi, "e": math.e}
_LONGEST: Final = 2000
# Python counts the depth of all parsers together, so that two threads that parse at once confuse each other (CPython
# issue 106905).
_parsing: Final = Lock()
hold_over_fork(_parsing)

_OPERATORS: Final[Mapping[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
}

#: Functions of one argument besides the elementary ones, by what they are made of.
_MADE: Final[Mapping[str, Callable[[Node], Node]]] = {
    "sinh": lambda a: 0.5 * (apply("exp", a) - apply("exp", -a)),
    "cosh": lambda a: 0.5 * (apply("exp", a) + apply("exp", -a)),
    "tan": lambda a: apply("sin", a) / apply("cos", a),
    "erfc": lambda a: 1.0 - apply("erf", a),
    "log10": lambda a: apply("log", a) / math.log(10.0),
    "square": lambda a: a * a,
    "heaviside": lambda a: select(a, 1.0, 0.0),
}


def parse(text: str, known: Mapping[str, Node]) -> Value:
    """Return the graph of a formula.

    Parameters
    ----------
    text : str
        Numbers, names, ``+ - * / **``, parentheses and functions: abs arctan cos cosh erf erfc exp heaviside log
        log10 sin sinh sqrt square tan tanh; ``1j``, with exp, sqrt and whole powers, for complex formulas.
    known : mapping of str to Node
        What the names mean; `pi` and `e` are numbers where they are not among them.

    Returns
    -------
    Node or Pair
        The value, complex where an imaginary number takes part.

    Raises
    ------
    SelectionError
        The text is no formula, or holds what is not allowed.

    Examples
    --------
    >>> from usidx.fitting.models.expression import parse
    >>> from usidx.fitting.formula.nodes import make_parameter, make_variable
    >>> parse("a * exp(-x)", {"a": make_parameter("a"), "x": make_variable()})
    mul(a, exp(mul(-1.0, x0)))
    """
    try:
        return _read_tree(_parse_text(text), text, known)
    except RecursionError as error:
        raise SelectionError("The formula is nested too deeply to be read.") from error


def list_names(text: str, constants: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the names of parameters and coordinates in a formula, in the order of the text.

    Parameters
    ----------
    text : str
        As for `parse`.
    constants : tuple of str
        Names that are numbers besides `pi`: ``("e",)``, or none.

    Returns
    -------
    tuple of str
        Functions and numbers left out.

    Raises
    ------
    SelectionError
        The text is no formula.

    Examples
    --------
    >>> from usidx.fitting.models.expression import list_names
    >>> list_names("a * exp(-x / tau) + c")
    ('a', 'x', 'tau', 'c')
    """
    tree = _parse_text(text)
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    numbers = {"pi", *constants}
    names = [n for n in ast.walk(tree) if isinstance(n, ast.Name) and id(n) not in called and n.id not in numbers]
    return tuple(dict.fromkeys(n.id for n in sorted(names, key=lambda n: (n.lineno, n.col_offset))))


def _parse_text(text: str) -> ast.expr:
    if not isinstance(text, str):
        raise SelectionError(f"A formula is a text, such as 'a * exp(-x / tau)'; found {text!r}.")
    with _parsing:
        return _parse_remembered(text)


@lru_cache(maxsize=128)
def _parse_remembered(text: str) -> ast.expr:
    if len(text) > _LONGEST:
        raise SelectionError(f"The formula has {len(text)} characters; at most {_LONGEST} are read.")
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise SelectionError(f"{text!r} is not a formula: {error}.") from error


def _read_tree(node: ast.expr, text: str, known: Mapping[str, Node]) -> Value:
    if isinstance(node, ast.Constant):
        return _read_number(node.value, text)
    if isinstance(node, ast.Name) and (node.id in known or node.id in _CONSTANTS):
        return known[node.id] if node.id in known else make_constant(_CONSTANTS[node.id])
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        inner = _read_tree(node.operand, text, known)
        return -inner if isinstance(node.op, ast.USub) else inner
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        left, right = _bring_to_one_kind(_read_tree(node.left, text, known), _read_tree(node.right, text, known))
        found: Value = _OPERATORS[type(node.op)](left, right)
        return found
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        return _read_power(_read_tree(node.left, text, known), _read_tree(node.right, text, known), text)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) == 1 and not node.keywords:
        return _read_call(node.func.id, _read_tree(node.args[0], text, known), text)
    raise SelectionError(
        f"{text!r}: {ast.unparse(node)!r} is not allowed in a formula. Use numbers, names, + - * / **, and "
        f"{', '.join(sorted(FUNCTIONS | set(_MADE)))}."
    )


def _read_number(value: object, text: str) -> Value:
    if isinstance(value, complex):
        return as_pair(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300:
        return make_constant(float(value))
    raise SelectionError(f"{text!r}: {value!r} is not a number.")


def _bring_to_one_kind(left: Value, right: Value) -> tuple[Value, Value]:
    if isinstance(left, Pair) or isinstance(right, Pair):
        return as_pair(left), as_pair(right)
    return left, right


def _read_power(base: Value, exponent: Value, text: str) -> Value:
    if isinstance(base, Node) and isinstance(exponent, Node):
        return base**exponent
    whole = isinstance(exponent, Node) and isinstance(exponent.value, float) and exponent.value.is_integer()
    if not whole or not isinstance(base, Pair) or abs(float(str(exponent))) > 16:
        raise SelectionError(f"{text!r}: a complex value can be raised to whole powers up to 16 only.")
    return base ** int(float(str(exponent)))


def _read_call(name: str, value: Value, text: str) -> Value:
    if isinstance(value, Pair):
        if name not in ("exp", "sqrt"):
            raise SelectionError(f"{text!r}: {name!r} of a complex value is not allowed; exp and sqrt are.")
        return value.exp() if name == "exp" else value.sqrt()
    if name in FUNCTIONS:
        return apply(name, value)
    if name in _MADE:
        return _MADE[name](value)
    allowed = ", ".join(sorted(FUNCTIONS | set(_MADE)))
    raise SelectionError(f"{text!r}: no function {name!r}; there are {allowed}.")


@register
@dataclass(frozen=True)
class Expression(Model):
    """Describe a model by the text of its formula, such as ``"a * exp(-x / tau) + c"``.

    Parameters
    ----------
    text : str
        The formula: numbers, names, ``+ - * / **``, parentheses, common functions, and ``1j``. See
        `usidx.fitting.models.expression.parse`. It is read, never run.
    variable : str or tuple of str
        The name that stands for the coordinate, or a name for each of several, in the order of the dims:
        ``("y", "x")`` for ``dim=("Y", "X")``. The other names are parameters, in the order of the text.
    constants : tuple of str
        ``("e",)`` where `e` is Euler's number; by default it is a parameter, as every name but `pi` is.

    Raises
    ------
    SelectionError
        The text is no formula, holds what is not allowed, or lacks a coordinate or a parameter; a constant is not
        known.

    Notes
    -----
    Value and derivatives are worked out exactly; machine code for a new formula is made in a fraction of a second.
    Parameters that enter linearly need no start value. The others do: give `start` to `fit`. Units of the parameters
    are not known.

    Examples
    --------
    >>> from usidx.models import Expression
    >>> Expression("a * exp(-x / tau) + c").names
    ('a', 'tau', 'c')
    >>> float(Expression("a * y - b * x", ("y", "x"))(3.0, 2.0, a=1.0, b=0.5))
    2.0
    """

    search: ClassVar[str] = "given"

    text: str
    variable: str | tuple[str, ...] = "x"
    constants: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("variable", "constants"):  # a list, as of JSON, has no hash
            if isinstance(getattr(self, name), list):
                object.__setattr__(self, name, tuple(getattr(self, name)))
        self._check_names()
        self._read_graph()
        if not self.names:
            raise SelectionError(f"The formula {self.text!r} has no parameter besides {self.variable!r}.")
        if not set(self._coordinates) & set(list_names(self.text)):
            raise SelectionError(
                f"The formula {self.text!r} has no coordinate {self.variable!r}, only {self.names}. Say which of these "
                f"it is, variable=...; for what does not change along the coordinate there is models.Constant()."
            )

    def _check_names(self) -> None:
        wanted = self._coordinates
        if not wanted or len(set(wanted)) < len(wanted) or not all(isinstance(name, str) for name in wanted):
            raise SelectionError(f"variable: {self.variable!r} is no name of a coordinate, and no tuple of such names.")
        if unknown := [name for name in self.constants if name not in _CONSTANTS]:
            raise SelectionError(f"constants: no number {unknown[0]!r} is known; there are {tuple(_CONSTANTS)}.")

    @property
    def _coordinates(self) -> tuple[str, ...]:
        return (self.variable,) if isinstance(self.variable, str) else self.variable

    @property
    def variables(self) -> int:  # type: ignore[override]
        """Return the number of coordinates."""
        return len(self._coordinates)

    @property
    def is_complex(self) -> bool:  # type: ignore[override]
        """Return whether an imaginary number takes part."""
        return isinstance(self._read_graph(), Pair)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Return the names in the formula, but for the coordinates."""
        names = list_names(self.text, self.constants)
        return tuple(Parameter(n, n, None, UNBOUNDED) for n in names if n not in self._coordinates)

    def formula(self, variables: tuple[Node, ...], parameters: Mapping[str, Node]) -> Node | Pair:
        """Return the graph of the text."""
        own = {name: parameters[name] for name in self.names}
        return parse(self.text, own | dict(zip(self._coordinates, variables, strict=True)))

    def describe(self) -> dict[str, Any]:
        """Return the text, and what its names mean."""
        variable = self.variable if isinstance(self.variable, str) else list(self.variable)
        return {"model": "Expression", "text": self.text, "variable": variable, "constants": list(self.constants)}

    @classmethod
    def build(cls, options: Mapping[str, Any]) -> Model:
        """Return the model that has these options."""
        # Records from when `e` was always Euler's number tell no constants.
        return super().build({"constants": ("e",), **options})

    def _read_graph(self) -> Node | Pair:
        known = {name: make_variable(k) for k, name in enumerate(self._coordinates)}
        return parse(self.text, {n: make_parameter(n) for n in self.names} | known)
