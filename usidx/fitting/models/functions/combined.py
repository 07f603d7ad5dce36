"""Models with Python functions among them -> one formula, or one function."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np

from usidx.fitting.formula.complex import Pair
from usidx.fitting.formula.nodes import make_parameter
from usidx.fitting.formula.trace import follow
from usidx.fitting.models.composite import Composite, Sum
from usidx.fitting.models.function import Function
from usidx.fitting.models.functions.traced import follow_model
from usidx.fitting.models.model import Model

__all__ = ["join_functions", "resolve_functions", "take_complex"]


def resolve_functions(model: Model) -> Model:
    """Return a model whose functions are followed; where one cannot be, the whole as one function that is called."""
    if isinstance(model, Function):
        return follow_model(model) or model
    if model.has_formula or not isinstance(model, Composite):
        return model
    members = tuple(resolve_functions(m) for m in model.members)
    return type(model)(members) if all(m.has_formula for m in members) else join_functions(model)


def join_functions(model: Model) -> Model:
    """Return a model with functions among its members as one function; others as they are."""
    if model.has_formula or not isinstance(model, Composite):
        return model
    return Function(_Call(model), model.variables, model.is_complex)


class _Call:
    """Call all members, with the parameters of the whole."""

    def __init__(self, model: Composite) -> None:
        self.model = model
        kind = inspect.Parameter.POSITIONAL_ONLY
        coordinates = [inspect.Parameter(f"_x{k}", kind) for k in range(model.variables)]
        self.__signature__ = inspect.Signature([*coordinates, *(inspect.Parameter(n, kind) for n in model.names)])

    def __call__(self, *values: Any) -> Any:
        return _combine(self.model, values[: self.model.variables], values[self.model.variables :])


def _combine(model: Model, x: tuple[Any, ...], values: tuple[Any, ...]) -> Any:
    if isinstance(model, Function):
        return model.function(*x, *values)
    if not isinstance(model, Composite) or model.has_formula:
        return model(*x, **dict(zip(model.names, values, strict=True)))
    parts, left = [], values
    for member in model.members:
        parts.append(_combine(member, x, left[: len(member.names)]))
        left = left[len(member.names) :]
    return reduce(operator.add if isinstance(model, Sum) else operator.mul, parts)


def take_complex(model: Model) -> Model:
    """Return a model whose functions are declared complex where they give complex values."""
    if isinstance(model, Function) and not model.complex_valued and _gives_complex(model):
        return replace(model, complex_valued=True)
    if not isinstance(model, Composite) or model.has_formula:
        return model
    members = [take_complex(m) for m in model.members]
    # Added up anew: beside what is complex a constant is, too.
    return reduce(operator.add, members) if isinstance(model, Sum) else type(model)(tuple(members))


def _gives_complex(model: Function) -> bool:
    graph = _attempt(lambda: follow(model.function, model.variables, [make_parameter(n) for n in model.names]))
    if isinstance(graph, Pair):
        return True
    x, values = [np.linspace(0.5, 1.5, 4)] * model.variables, [model.defaults.get(n, 1.0) for n in model.names]
    with np.errstate(all="ignore"):
        return bool(np.iscomplexobj(_attempt(lambda: model.function(*x, *values))))


def _attempt(call: Callable[[], Any]) -> Any:
    """Return what a call gives, or what it raises: a function may raise anything where it gets what is not for it."""
    try:
        return call()
    except Exception as error:
        return error
