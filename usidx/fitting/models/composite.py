"""Sums and products of models, which are models; and the terms of a sum by name."""

from __future__ import annotations

import itertools
import operator
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from usidx.errors import SelectionError, UsidError
from usidx.fitting.formula.complex import Pair, as_pair
from usidx.fitting.formula.nodes import Node
from usidx.fitting.models.function import Function
from usidx.fitting.models.model import Model, from_description, register
from usidx.fitting.models.parameter import Parameter, make_names_unique

__all__ = ["Composite", "Product", "Sum", "name_terms", "select_terms"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, init=False)
class Composite(Model):
    """Base of sums and products; the members' names are made unique."""

    members: tuple[Model, ...]

    def __init__(self, members: tuple[Model, ...]) -> None:
        if not members:
            raise UsidError(f"{type(self).__name__} needs at least one model; none was given.")
        dims = {m.variables for m in members if not m.over_any}
        if len(dims) > 1:
            raise UsidError(f"Models of {sorted(dims)} variables do not combine; use models of the same number.")
        object.__setattr__(self, "members", make_names_unique(members))

    @property
    def is_complex(self) -> bool:  # type: ignore[override]
        """Return whether a member is complex."""
        return any(m.is_complex for m in self.members)

    @property
    def has_formula(self) -> bool:  # type: ignore[override]
        """Return whether all members have a formula."""
        return all(m.has_formula for m in self.members)

    @property
    def defaults(self) -> dict[str, float]:
        """Return those of the members."""
        return {name: value for m in self.members for name, value in m.defaults.items()}

    @property
    def variables(self) -> int:  # type: ignore[override]
        """Return the number of coordinates."""
        return next((m.variables for m in self.members if not m.over_any), 1)

    @property
    def over_any(self) -> bool:  # type: ignore[override]
        """Return whether all members go with any number of coordinates."""
        return all(m.over_any for m in self.members)

    @property
    def derived(self) -> int:  # type: ignore[override]
        """Return the number of derived variables of all members."""
        return sum(m.derived for m in self.members)

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """Return those of the members."""
        return tuple(p for m in self.members for p in m.parameters)

    @property
    def axes(self) -> tuple[tuple[str, str, str], ...]:
        """Return those of the members."""
        return tuple(names for m in self.members for names in m.axes)

    def derive(self, x: Array) -> Array:
        """Return what the members derive, one after the other."""
        return np.concatenate([m.derive(x) for m in self.members], axis=-2)

    def find_defined(self, x: Array, varying: Collection[str]) -> npt.NDArray[np.bool_]:
        """Say where all members have a value."""
        found: npt.NDArray[np.bool_] = np.logical_and.reduce([m.find_defined(x, varying) for m in self.members])
        return found

    def _share_variables(self, variables: tuple[Node, ...]) -> Iterator[tuple[Model, tuple[Node, ...]]]:
        """Give each member the coordinates and its own derived variables."""
        common, own = variables[: self.variables], iter(variables[self.variables :])
        for member in self.members:
            yield member, (*common, *itertools.islice(own, member.derived))

    def _build_members(self, variables: tuple[Node, ...], parameters: Mapping[str, Node]) -> list[Any]:
        values = [m.formula(own, parameters) for m, own in self._share_variables(variables)]
        return [as_pair(v) for v in values] if self.is_complex else values

    def describe(self) -> dict[str, Any]:
        """Return what the members are described by."""
        return {"model": type(self).__name__, "members": [m.describe() for m in self.members]}

    @classmethod
    def build(cls, options: Mapping[str, Any]) -> Model:
        """Return the model of members that are made again by name."""
        return cls(tuple(from_description(m) for m in options.get("members", ())))


@register
class Sum(Composite):
    """Sum of models, as ``Gaussian() + Linear()`` makes it."""

    @property
    def figures(self) -> tuple[tuple[Parameter, Node], ...]:
        """Return those of the members."""
        return tuple(figure for m in self.members for figure in m.figures)

    @property
    def terms(self) -> tuple[Model, ...]:
        """Return the members."""
        return self.members

    def formula(self, variables: tuple[Node, ...], parameters: Mapping[str, Node]) -> Node | Pair:
        """Return the graph of the sum."""
        total: Node | Pair = reduce(operator.add, self._build_members(variables, parameters))
        return total

    def slopes(self, variables: tuple[Node, ...], parameters: Mapping[str, Node]) -> Mapping[str, Node | Pair]:
        """Return what the members have written out."""
        return {n: s for m, own in self._share_variables(variables) for n, s in m.slopes(own, parameters).items()}


@register
class Product(Composite):
    """Product of models, as ``Exponential() * Sine()`` makes it.

    Amplitudes of all factors but the first stay parameters; hold them at 1 (``fixed={...}``), for only the product
    of amplitudes is determined by data.
    """

    @property
    def factors(self) -> tuple[Model, ...]:
        """Return the members."""
        return self.members

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Return those of the factors; the units of the data are with the first."""
        first, *others = self.members
        return (*first.parameters, *(p.without_data() for m in others for p in m.parameters))

    @property
    def search(self) -> str:  # type: ignore[override]
        """Return the way of the factor that needs most; a resonance is only found where it stands alone."""
        found = {"given" if m.search == "resonance" else m.search for m in self.members}
        return next(way for way in ("given", "peak", "candidates") if way in found)

    def candidates(self, x: Array) -> list[dict[str, Array | float]]:
        """Return all combinations of what the factors propose."""
        combinations = itertools.product(*(m.candidates(x) for m in self.members))
        return [{k: v for choice in choices for k, v in choice.items()} for choices in combinations]

    def formula(self, variables: tuple[Node, ...], parameters: Mapping[str, Node]) -> Node | Pair:
        """Return the graph of the product."""
        total: Node | Pair = reduce(operator.mul, self._build_members(variables, parameters))
        return total


def name_terms(model: Model) -> tuple[str, ...]:
    """Return a name for each term of a model: its prefix without the underscore, or its kind, counted where needed."""
    plain = [_name_term(term) for term in model.terms]
    counts, seen = Counter(plain), Counter[str]()
    named = []
    for name in plain:
        seen[name] += 1
        named.append(f"{name}_{seen[name]}" if counts[name] > 1 else name)
    return tuple(named)


def _name_term(term: Model) -> str:
    if prefix := (term.prefix or "").rstrip("_"):
        return prefix
    if isinstance(term, Function):
        named = str(getattr(term.function, "__name__", "function"))
        return named if named.isidentifier() else "function"
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(term).__name__).lower()


def select_terms(model: Model, wanted: Sequence[str]) -> Model:
    """Return the model of some terms, whose parameters keep their names.

    Raises
    ------
    SelectionError
        There is no such term, or none is named.
    """
    names = name_terms(model)
    kinds = [type(term).__name__ for term in model.terms]
    chosen = set()
    for one in wanted:
        found = [k for k, name in enumerate(names) if one in (name, f"{name}_")]
        found = found or [k for k, kind in enumerate(kinds) if kind == one]
        # A background that was written as a real one, and became complex beside what is.
        found = found or [k for k in range(len(names)) if names[k] == f"complex_{one}" or kinds[k] == f"Complex{one}"]
        if len(found) != 1:
            several = f"{len(found)} terms are a" if found else "no term"
            raise SelectionError(f"terms: {several} {one!r}; the terms of the model are {names}.")
        chosen.add(found[0])
    if not chosen:
        raise SelectionError(f"terms: none is named; the terms of the model are {names}.")
    terms = tuple(term for k, term in enumerate(model.terms) if k in chosen)
    return Sum(terms) if len(terms) > 1 else terms[0]
