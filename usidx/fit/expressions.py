"""Models from the text of a formula."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from usidx.errors import SelectionError
from usidx.fit.expression import names_in, parse
from usidx.fit.model import Model, registered
from usidx.fit.pairs import Pair
from usidx.fit.parameters import UNBOUNDED, Parameter
from usidx.fit.symbols import Node, parameter, variable

__all__ = ["Expression"]


@registered
@dataclass(frozen=True)
class Expression(Model):
    """Describe a model by the text of its formula, such as ``"a * exp(-x / tau) + c"``.

    Parameters
    ----------
    text : str
        The formula: numbers, names, ``+ - * / **``, parentheses, common functions, and ``1j``. See
        `usidx.fit.expression.parse`. It is read, never run.
    variable : str
        The name that stands for the coordinate; the other names are parameters, in the order of the text.

    Raises
    ------
    SelectionError
        The text is no formula, holds what is not allowed, or lacks the coordinate or a parameter.

    Notes
    -----
    Value and derivatives are worked out exactly; machine code for a new formula is made in a fraction of a second.
    Parameters that enter linearly need no start value. The others do: give `start` to `fit`. Units of the parameters
    are not known.

    Examples
    --------
    >>> from usidx.fit.models import Expression
    >>> Expression("a * exp(-x / tau) + c").names
    ('a', 'tau', 'c')
    """

    search: ClassVar[str] = "given"

    text: str
    variable: str = "x"

    def __post_init__(self) -> None:
        self._graph()
        if not self.names:
            raise SelectionError(f"The formula {self.text!r} has no parameter besides {self.variable!r}.")
        if self.variable not in names_in(self.text):
            raise SelectionError(
                f"The formula {self.text!r} has no coordinate {self.variable!r}, only {self.names}. Say which of these "
                f"it is, variable=...; for what does not change along the coordinate there is models.Constant()."
            )

    @property
    def is_complex(self) -> bool:  # type: ignore[override]
        """Return whether an imaginary number takes part."""
        return isinstance(self._graph(), Pair)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Return the names in the formula, but for the coordinate."""
        return tuple(Parameter(n, n, None, UNBOUNDED) for n in names_in(self.text) if n != self.variable)

    def formula(self, variables: tuple[Node, ...], parameters: Mapping[str, Node]) -> Node | Pair:
        """Return the graph of the text."""
        own = {name: parameters[name] for name in self.names}
        return parse(self.text, own | {self.variable: variables[0]})

    def describe(self) -> dict[str, Any]:
        """Return the text."""
        return {"model": "Expression", "text": self.text, "variable": self.variable}

    def _graph(self) -> Node | Pair:
        return parse(self.text, {n: parameter(n) for n in self.names} | {self.variable: variable()})
