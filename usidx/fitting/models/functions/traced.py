"""Python function -> model with a formula, where the function could be followed and gives the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from usidx.fitting.formula.complex import Pair, as_pair
from usidx.fitting.formula.nodes import Node, make_parameter, make_variable, substitute
from usidx.fitting.formula.trace import UnknownError, follow
from usidx.fitting.models.function import Function
from usidx.fitting.models.functions.calls import Caller
from usidx.fitting.models.model import Model
from usidx.fitting.models.parameter import Parameter

__all__ = ["FollowedFunction", "follow_model"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FollowedFunction(Model):
    """A function's graph: exact derivatives, and machine code."""

    search: ClassVar[str] = "given"

    function: Function
    graph: Node | Pair

    @property
    def is_complex(self) -> bool:  # type: ignore[override]
        """Return whether the graph has an imaginary part."""
        return isinstance(self.graph, Pair)

    @property
    def variables(self) -> int:  # type: ignore[override]
        """Return those of the function."""
        return self.function.variables

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Return those of the function."""
        return self.function.parameters

    def formula(self, variables: tuple[Node, ...], parameters: Mapping[str, Node]) -> Node | Pair:
        """Return the graph of other variables and parameters."""
        known = {make_parameter(n): parameters[n] for n in self.names} | {
            make_variable(k): v for k, v in enumerate(variables)
        }
        changed = {old: new for old, new in known.items() if old is not new}
        if isinstance(self.graph, Pair):
            return Pair(substitute(self.graph.real, changed), substitute(self.graph.imag, changed))
        return substitute(self.graph, changed)

    def describe(self) -> dict[str, Any]:
        """Return what the function is described by."""
        return self.function.describe()


def follow_model(model: Function) -> FollowedFunction | None:
    """Return the function as a formula, None where it is none.

    That rests on the function alone, so all blocks of an array get the same answer. It is not remembered, for a
    function may use what is changed between two fits.
    """
    found = _attempt(model)
    return found if isinstance(found, FollowedFunction) else None


def _attempt(model: Function) -> FollowedFunction | Exception:
    """Return the formula, or why there is none: a function may raise anything where it gets what it does not expect."""
    try:
        graph = follow(model.function, model.variables, [make_parameter(n) for n in model.names])
        if isinstance(graph, Pair) and not model.is_complex:
            raise UnknownError
        found = FollowedFunction(model, as_pair(graph) if model.is_complex else graph)
        _check(found)
    except Exception as error:
        return error
    return found


def _check(found: FollowedFunction) -> None:
    """Refuse a graph that does not give what the function gives for some coordinates and parameters."""
    call, seen = Caller(found.function, at_once=False), False
    for x, rows in _make_trials(found.function):
        expected = call(x[None], rows)
        named = dict(zip(found.names, rows.T[:, :, None], strict=True))
        values = np.broadcast_to(found(*x, **named), (len(rows), x.shape[1]))
        values = np.stack([values.real, values.imag], axis=-1).reshape(expected.shape) if found.is_complex else values
        finite = np.isfinite(expected)
        scale = np.max(np.abs(expected), axis=1, keepdims=True, initial=0.0, where=finite)
        # Functions may add in another order than the graph: equal but for rounding is equal.
        with np.errstate(all="ignore"):
            near = abs(values - expected) <= 1e-9 * abs(expected) + 1e-12 * scale
        if not np.where(finite, near, ~np.isfinite(values)).all():
            raise UnknownError
        seen = seen or bool(finite.any())
    if not seen:
        raise UnknownError


def _make_trials(model: Function) -> Iterator[tuple[Array, Array]]:
    """Give coordinates (variable, sample), and rows of parameters around their defaults, or of several sizes."""
    rng = np.random.default_rng(0)
    for low, high, size in ((-3.0, 3.0, 17), (0.1, 9.0, 12), (200.0, 300.0, 23)):
        x = np.sort(rng.uniform(low, high, (model.variables, size)), axis=1)
        rows = rng.normal(size=(6, len(model.names))) * np.array([0.1, 0.3, 1.0, 3.0, 10.0, 100.0])[:, None]
        rows[::2] = abs(rows[::2])
        for name, value in model.defaults.items():
            rows[:4, model.names.index(name)] = value * rng.uniform(0.8, 1.2, 4)
        yield x, rows
