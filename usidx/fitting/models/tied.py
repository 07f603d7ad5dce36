"""Model and formulas that tie parameters to others -> model of the others, and its table -> that of all parameters."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from usidx.errors import SelectionError
from usidx.fitting.formula.complex import Pair
from usidx.fitting.formula.nodes import Node, differentiate, make_parameter, substitute
from usidx.fitting.formula.numpy_backend import interpret
from usidx.fitting.kernels.columns import Columns, locate_stderr
from usidx.fitting.models.expression import list_names, parse
from usidx.fitting.models.function import Function
from usidx.fitting.models.model import Model
from usidx.fitting.models.parameter import Parameter

__all__ = ["Ties", "propagate_errors", "tie"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Ties:
    """Parameters that follow from others.

    Attributes
    ----------
    model : Model
        With all its parameters.
    formulas : mapping of str to Node
        For each tied parameter its graph, of parameters that are not tied.
    """

    model: Model
    formulas: Mapping[str, Node]

    @property
    def independent(self) -> tuple[Parameter, ...]:
        """Return the parameters that are left to fit."""
        return tuple(p for p in self.model.parameters if p.name not in self.formulas)

    def reduce(self) -> Model:
        """Return the model of the independent parameters."""
        if isinstance(self.model, Function):
            return replace(self.model, function=_TiedCall(self, self.model))
        return _Tied(self.model, tuple(self.formulas.items()))

    def expand(self, table: Array, *, covariance: bool) -> Array:
        """Return the table of all parameters; `table` holds the covariance of the independent ones.

        Standard errors of tied parameters are propagated: the covariance of all is G C G', with the derivatives G of
        all parameters by the independent ones.
        """
        own, names = tuple(p.name for p in self.independent), self.model.names
        n, m = len(own), len(names)
        before, after = Columns(n), Columns(m)
        at: Mapping[Node, npt.ArrayLike] = {make_parameter(name): table[:, k] for k, name in enumerate(own)}
        graphs = [self.formulas.get(name, make_parameter(name)) for name in names]
        slopes = np.empty((len(table), m, n))
        for i, j in np.ndindex(m, n):
            slopes[:, i, j] = interpret(differentiate(graphs[i], make_parameter(own[j])), at)
        spread, unknown = propagate_errors(slopes, table[:, before.covariance].reshape(len(table), n, n))
        out = np.empty((len(table), after.count(covariance=covariance)))
        for i, graph in enumerate(graphs):
            out[:, i] = interpret(graph, at)
            out[:, locate_stderr(m, i)] = np.where(unknown[:, i], np.nan, np.sqrt(np.maximum(spread[:, i, i], 0.0)))
        out[:, after.figures] = table[:, before.figures]
        if covariance:
            either = unknown[:, :, None] | unknown[:, None, :]
            out[:, after.covariance] = np.where(either, np.nan, spread).reshape(len(table), m * m)
        return out


def propagate_errors(slopes: Array, covariance: Array) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Return G C G', and which parameters rest on one whose standard error is not known."""
    # A parameter that ended on a bound has no standard error: what depends on it has none either, the others do.
    missing = np.isnan(np.diagonal(covariance, axis1=1, axis2=2))
    known = np.where(np.isnan(covariance), 0.0, covariance)
    with np.errstate(all="ignore"):
        spread = slopes @ known @ slopes.transpose(0, 2, 1)
    unknown = ((slopes != 0.0) & missing[:, None]).any(axis=2) | ~np.isfinite(slopes).all(axis=2)
    return spread, unknown


def tie(model: Model, texts: Mapping[str, str]) -> Ties:
    """Read formulas such as ``{"sigma_2": "0.5 * sigma_1"}``.

    Raises
    ------
    SelectionError
        A name is not a parameter, a text is no formula of parameters, or formulas go in a circle.
    """
    read: dict[str, Node] = {}
    numbers = () if "e" in model.names else ("e",)
    for name, text in texts.items():
        used = list_names(text, numbers)
        unknown = [n for n in (name, *used) if n not in model.names]
        if unknown:
            raise SelectionError(f"tied: no parameter {unknown[0]!r} in the model; its parameters are {model.names}.")
        if not used:
            raise SelectionError(f"tied: {text!r} has no parameter. Hold {name!r} at a number with fixed=.")
        graph = parse(text, {n: make_parameter(n) for n in used})
        if isinstance(graph, Pair):
            raise SelectionError(f"tied: {text!r} is complex; parameters are real numbers.")
        read[name] = graph
    return Ties(model, {name: _resolve(name, read, texts, ()) for name in read})


def _resolve(name: str, read: Mapping[str, Node], texts: Mapping[str, str], above: tuple[str, ...]) -> Node:
    """Return the graph of a tied parameter with the tied ones in it replaced by theirs."""
    if name in above:
        circle = " -> ".join((*above[above.index(name) :], name))
        raise SelectionError(f"tied: {circle} is a circle. Leave one of these parameters free.")
    inner = [n for n in list_names(texts[name]) if n in read]
    return substitute(read[name], {make_parameter(n): _resolve(n, read, texts, (*above, name)) for n in inner})


@dataclass(frozen=True)
class _Tied(Model):
    """The independent parameters of a model; their derivatives follow from the graph, the chain rule in it."""

    model: Model
    formulas: tuple[tuple[str, Node], ...]

    @property
    def search(self) -> str:  # type: ignore[override]
        return self.model.search

    @property
    def is_complex(self) -> bool:  # type: ignore[override]
        return self.model.is_complex

    @property
    def variables(self) -> int:  # type: ignore[override]
        return self.model.variables

    @property
    def derived(self) -> int:  # type: ignore[override]
        return self.model.derived

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        gone = dict(self.formulas)
        return tuple(p for p in self.model.parameters if p.name not in gone)

    @property
    def terms(self) -> tuple[Model, ...]:
        """Return the terms that still have a parameter of their own."""
        if self.model.terms == (self.model,):
            return (self,)
        terms = tuple(_Tied(term, self.formulas) for term in self.model.terms)
        return tuple(term for term in terms if term.names)

    def derive(self, x: Array) -> Array:
        return self.model.derive(x)

    def candidates(self, x: Array) -> list[dict[str, Array | float]]:
        found = self.model.candidates(x)
        return [{k: v for k, v in choice.items() if k in self.names} for choice in found]

    def formula(self, variables: tuple[Node, ...], parameters: Mapping[str, Node]) -> Node | Pair:
        replaced = {make_parameter(name): node for name, node in parameters.items()}
        tied = {name: substitute(graph, replaced) for name, graph in self.formulas}
        return self.model.formula(variables, {**parameters, **tied})

    def describe(self) -> dict[str, Any]:
        return self.model.describe()


class _TiedCall:
    """A Python function of the independent parameters."""

    def __init__(self, ties: Ties, model: Function) -> None:
        self.ties, self.model = ties, model
        own = [p.name for p in ties.independent]
        kind = inspect.Parameter.POSITIONAL_ONLY
        coordinates = [inspect.Parameter(f"_x{k}", kind) for k in range(model.coordinates)]
        named = [inspect.Parameter(n, kind) for n in own]
        self.__signature__ = inspect.Signature([*coordinates, *named])

    def __call__(self, *values: Any) -> Any:
        x, own = values[: self.model.coordinates], values[self.model.coordinates :]
        known = {p.name: v for p, v in zip(self.ties.independent, own, strict=True)}
        at: Mapping[Node, npt.ArrayLike] = {make_parameter(n): v for n, v in known.items()}
        tied = {n: interpret(graph, at)[()] for n, graph in self.ties.formulas.items()}
        return self.model.function(*x, *((known | tied)[n] for n in self.model.names))
