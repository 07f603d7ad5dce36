"""Python function -> graph of what it does, by calling it with symbols in the place of numbers.

NumPy hands its functions over to arguments that ask for it, so a function made of arithmetic and of NumPy's functions
writes down its own formula; an ``if`` on parameters is followed both ways. What comes out is compared with what the
function returns for numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from numbers import Number
from typing import Any, Final

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from usidx.fitting.formula.complex import Pair, as_pair
from usidx.fitting.formula.nodes import Node, make_constant, make_variable
from usidx.fitting.formula.ufuncs import TRUTHS, UFUNCS, Value, choose, make_condition

__all__ = ["NO_VALUE", "UnknownError", "follow"]

#: What a function may raise for some values of its parameters: there the model has no value.
NO_VALUE = (ArithmeticError, ValueError)

_MOST_RUNS: Final = 32  # of the function, through its branches
_DEEPEST: Final = 150  # operations on top of each other
_NOTHING: Final = make_constant(np.nan)


class UnknownError(Exception):
    """The function does what is not followed."""


@dataclass(slots=True)
class _Run:
    """One call of the function: what its branches ask, and what they are answered.

    Attributes
    ----------
    answers : list of bool
        To the first questions; further ones are answered with True.
    asked : list of Node
        The conditions: met where >= 0.
    """

    answers: list[bool]
    asked: list[Node] = field(default_factory=list)

    def ask(self, met: Node) -> bool:
        if met not in self.asked:
            self.asked.append(met)
        if len(self.asked) > _MOST_RUNS:  # a loop that the answers never end
            raise UnknownError
        place = self.asked.index(met)
        self.answers += [True] * (place + 1 - len(self.answers))
        return self.answers[place]


@dataclass(slots=True, eq=False)
class _Symbol(NDArrayOperatorsMixin):
    """Stands for a number, or for an array with one for each sample.

    Attributes
    ----------
    run : _Run
        The call that it is part of.
    value : Node or Pair
        What it is.
    is_array : bool
        Whether it is an array, which can be changed in place.
    is_truth : bool
        Whether it is true or false.
    mask : Node, optional
        For an array of some samples, which: those where it is >= 0.
    fixed : bool
        Whether it must not be changed.
    """

    run: _Run
    value: Value
    is_array: bool = False
    is_truth: bool = False
    mask: Node | None = None
    fixed: bool = False

    def derive(self, value: Value, sources: Sequence[object], *, is_truth: bool = False) -> _Symbol:
        """Return what an operation makes of symbols and numbers."""
        arrays = [s for s in sources if isinstance(s, _Symbol) and s.is_array]
        if len({s.mask for s in arrays}) > 1:
            raise UnknownError
        return _Symbol(self.run, value, bool(arrays), is_truth, arrays[0].mask if arrays else None)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        name = ufunc.__name__
        if method != "__call__" or options or (name not in UFUNCS and name not in TRUTHS):
            raise UnknownError
        if name.startswith(("bitwise", "logical", "invert")) and not all(getattr(s, "is_truth", False) for s in inputs):
            raise UnknownError
        function = TRUTHS.get(name) or UFUNCS[name]
        result = self.derive(function(*map(_to_value, inputs)), inputs, is_truth=name in TRUTHS)
        if out is None:
            return result
        return _change_in_place(out[0], result)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func not in _FUNCTIONS:
            raise UnknownError
        return _FUNCTIONS[func](*args, **kwargs)

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise UnknownError

    def __bool__(self) -> bool:
        if self.is_array or isinstance(self.value, Pair):
            raise UnknownError
        truth = self.value if self.is_truth else TRUTHS["not_equal"](self.value, make_constant(0.0))
        return self.run.ask(make_condition(truth))

    def __getitem__(self, mask: Any) -> _Symbol:
        return _Symbol(self.run, self.value, is_array=True, is_truth=self.is_truth, mask=self._read_mask(mask))

    def __setitem__(self, mask: Any, value: Any) -> None:
        met = self._read_mask(mask)
        if self.fixed or (isinstance(value, _Symbol) and value.is_array and value.mask is not met):
            raise UnknownError
        self.value = choose(met, _to_value(value), self.value)

    def _read_mask(self, mask: Any) -> Node:
        whole = self.is_array and self.mask is None
        if not (whole and isinstance(mask, _Symbol) and mask.is_array and mask.is_truth and mask.mask is None):
            raise UnknownError
        return make_condition(as_pair(mask.value).real)

    def copy(self) -> _Symbol:
        """Return another array with the same values."""
        return self.derive(self.value, [self], is_truth=self.is_truth)

    @property
    def real(self) -> _Symbol:
        """Return the real part."""
        return self.derive(as_pair(self.value).real, [self])

    @property
    def imag(self) -> _Symbol:
        """Return the imaginary part."""
        return self.derive(as_pair(self.value).imag, [self])


def _change_in_place(target: _Symbol, result: _Symbol) -> _Symbol:
    """Return what ``target += ...`` leaves in the name: the array itself, or another number."""
    if not target.is_array and not result.is_array:
        return result
    if target.fixed or not target.is_array or target.mask is not result.mask:
        raise UnknownError
    target.value = result.value
    return target


def _to_value(given: Any) -> Value:
    if isinstance(given, _Symbol):
        return given.value
    if isinstance(given, np.ndarray) and given.ndim == 0:
        given = given.item()
    if not isinstance(given, Number):
        raise UnknownError
    number = complex(given)  # type: ignore[call-overload]
    return as_pair(number) if isinstance(given, complex | np.complexfloating) else make_constant(number.real)


def _choose_where(truth: Any, first: Any, second: Any) -> _Symbol:
    if not (isinstance(truth, _Symbol) and truth.is_truth and isinstance(truth.value, Node)):
        raise UnknownError
    value = choose(make_condition(truth.value), _to_value(first), _to_value(second))
    return truth.derive(value, (truth, first, second))


def _fill_like(like: Any, value: Any) -> _Symbol:
    if not (isinstance(like, _Symbol) and like.is_array):
        raise UnknownError
    return like.derive(_to_value(value), (like, value))


def _clip(a: Any, low: Any = None, high: Any = None) -> Any:
    a = a if low is None else np.maximum(a, low)
    return a if high is None else np.minimum(a, high)


def _evaluate_polynomial(coefficients: Any, x: Any) -> Any:
    total: Any = 0.0
    for c in coefficients:
        total = total * x + c
    return total


#: Functions of NumPy that are no ufuncs.
_FUNCTIONS: Final[dict[Any, Callable[..., Any]]] = {
    np.where: _choose_where,
    np.zeros_like: lambda like: _fill_like(like, 0.0),
    np.ones_like: lambda like: _fill_like(like, 1.0),
    np.empty_like: lambda like: _fill_like(like, np.nan),
    np.full_like: _fill_like,
    np.clip: _clip,
    np.polyval: _evaluate_polynomial,
    np.real: lambda a: a.real,
    np.imag: lambda a: a.imag,
    np.copy: lambda a: a.copy(),
}


def follow(function: Callable[..., Any], coordinates: int, parameters: Sequence[Node]) -> Value:
    """Return the graph of a function over ``make_variable(0)``, ... and parameters.

    Where it cannot be followed that raises: anything, for a function gets what it was not written for.
    """
    function = getattr(function, "py_func", function)  # of what numba has compiled
    graph = _follow_branches(function, coordinates, parameters, [], [_MOST_RUNS])
    parts = (graph.real, graph.imag) if isinstance(graph, Pair) else (graph,)
    if any(_measure_depth(part, {}) > _DEEPEST for part in parts):
        raise UnknownError
    return graph


def _follow_branches(
    function: Callable[..., Any], coordinates: int, parameters: Sequence[Node], answers: list[bool], left: list[int]
) -> Value:
    """Return the graph where the first branches are decided, and the others followed both ways."""
    left[0] -= 1
    if left[0] < 0:
        raise UnknownError
    run = _Run(list(answers))
    x = [_Symbol(run, make_variable(k), is_array=True, fixed=True) for k in range(coordinates)]
    try:
        returned = function(*x, *(_Symbol(run, p) for p in parameters))
        if isinstance(returned, _Symbol) and returned.mask is not None:
            raise UnknownError
        value = _to_value(returned)
    except NO_VALUE:
        if not run.asked:
            raise
        value = _NOTHING
    for place in reversed(range(len(answers), len(run.asked))):
        other = _follow_branches(function, coordinates, parameters, [*run.answers[:place], False], left)
        value = choose(run.asked[place], value, other)
    return value


def _measure_depth(node: Node, known: dict[Node, int]) -> int:
    if node not in known:
        known[node] = 1 + max((_measure_depth(a, known) for a in node.args), default=0)
    return known[node]
