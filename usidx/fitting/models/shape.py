"""Base of the models with one formula."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import fields, replace
from functools import cached_property
from typing import Any

from usidx.fitting.formula.complex import Pair
from usidx.fitting.formula.nodes import Node, make_parameter
from usidx.fitting.models.model import Model
from usidx.fitting.models.parameter import Parameter

__all__ = ["Shape"]


class Shape(Model):
    """Base of the models with one formula; subclasses are frozen dataclasses whose fields are options."""

    prefix: str

    @property
    @abstractmethod
    def _own_parameters(self) -> tuple[Parameter, ...]:
        """Return the parameters without the prefix."""

    @abstractmethod
    def _build_formula(self, *nodes: Any) -> Any:
        """Return the formula of (*variables, *parameters)."""

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """Return the parameters in order, with the prefix."""
        words = self.prefix.replace("_", " ").title()
        return tuple(replace(p, name=self.prefix + p.name, title=words + p.title) for p in self._own_parameters)

    def formula(self, variables: tuple[Node, ...], parameters: Mapping[str, Node]) -> Node | Pair:
        """Return the graph of the value."""
        found: Node | Pair = self._build_formula(*variables, *(parameters[name] for name in self.names))
        return found

    def _build_figures(self, *nodes: Node) -> dict[Parameter, Node]:
        """Return figures of a peak by its parameters, without the prefix."""
        return {}

    @property
    def figures(self) -> tuple[tuple[Parameter, Node], ...]:
        """Return the figures of a peak, with the prefix."""
        words = self.prefix.replace("_", " ").title()
        built = self._build_figures(*map(make_parameter, self.names)).items()
        return tuple((replace(p, name=self.prefix + p.name, title=words + p.title), node) for p, node in built)

    def describe(self) -> dict[str, Any]:
        """Return the name of the class and its options."""
        options = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        return {"model": type(self).__name__, **options}
