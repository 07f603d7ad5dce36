"""Models that are Python functions of the user."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from dask.tokenize import tokenize

from usidx.errors import ResultError, SelectionError, UsidError
from usidx.fitting.formula.complex import Pair
from usidx.fitting.formula.nodes import Node
from usidx.fitting.models.model import Model, register
from usidx.fitting.models.parameter import UNBOUNDED, Parameter

__all__ = ["Function"]

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@register
@dataclass(frozen=True)
class Function(Model):
    """Describe a model by a Python function f(x, a, b, ...) of coordinates and parameters.

    Parameters
    ----------
    function : callable
        Takes the coordinate and then the parameters, whose names are those of its signature. A parameter's default
        is its start value. Keyword-only arguments with defaults are options, not parameters.
    coordinates : int
        How many of the first arguments are coordinates.
    complex_valued : bool
        Whether the function gives complex values, for complex data; a fit of complex data finds that out.
    prefix : str
        Put before the names of the parameters.

    Raises
    ------
    SelectionError
        The signature names no parameters, or takes what is neither a coordinate nor a parameter.

    Notes
    -----
    A function made of arithmetic, NumPy's functions and branches on parameters is followed once with symbols in the
    place of numbers. The formula that comes out, compared with the function on numbers, is then fitted like that of
    an `Expression`, with exact derivatives and in machine code. What cannot be followed (loops over samples, tables,
    ``x.max()``, ``np.asarray(x, float)``) is called, for many spectra at once: coordinates of shape (sample) or
    (spectrum, sample), parameters of shape (spectrum, 1). Whether it broadcasts is found out by comparing with calls
    for one spectrum at a time (coordinates of shape (sample), parameters as numbers); where it does not, it is called
    so throughout, which is right and slower. Derivatives are then forward differences. Units of the parameters are
    not known.

    Functions add to and multiply with other models. A sum of them all is fitted as one formula where each function can
    be followed; where one cannot, the sum is called as one function, and all its parameters need a start value.

    A result holds the name of the function and not its code: `evaluate` and `residual` need ``model=`` for it.

    Examples
    --------
    >>> import numpy as np
    >>> from usidx.models import Function
    >>> Function(lambda t, a, tau=1.0: a * np.exp(-t / tau)).names
    ('a', 'tau')
    """

    search: ClassVar[str] = "given"
    has_formula: ClassVar[bool] = False

    function: Callable[..., Any]
    coordinates: int = 1
    complex_valued: bool = False
    prefix: str = ""

    def __post_init__(self) -> None:
        if not self.names:
            raise SelectionError(f"{self!r} has no parameters: its signature names {self.coordinates} coordinate(s).")

    def __repr__(self) -> str:
        return f"Function({_describe_function(self.function)})"

    @property
    def variables(self) -> int:  # type: ignore[override]
        """Return the number of coordinates."""
        return self.coordinates

    @property
    def is_complex(self) -> bool:  # type: ignore[override]
        """Return whether the function gives complex values."""
        return self.complex_valued

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Return what the signature names after the coordinates."""
        return tuple(
            Parameter(self.prefix + p.name, self.prefix + p.name, None, UNBOUNDED) for p in self._list_arguments()
        )

    @property
    def defaults(self) -> dict[str, float]:
        """Return the defaults of the signature."""
        return {self.prefix + p.name: float(p.default) for p in self._list_arguments() if p.default is not p.empty}

    def _list_arguments(self) -> list[inspect.Parameter]:
        found = list(inspect.signature(self.function).parameters.values())
        wrong = [
            p for p in found if p.kind not in _POSITIONAL and (p.kind is not p.KEYWORD_ONLY or p.default is p.empty)
        ]
        named = [p for p in found if p.kind in _POSITIONAL][self.coordinates :]
        wrong += [p for p in named if p.default is not p.empty and not isinstance(p.default, int | float)]
        if wrong:
            raise SelectionError(
                f"{self!r}: {str(wrong[0])!r} is no parameter with a name of its own and a number as default. Write "
                f"f(x, a, b=1.0); options can be keyword-only arguments with defaults."
            )
        return named

    def formula(self, variables: tuple[Node, ...], parameters: Mapping[str, Node]) -> Node | Pair:
        """Refuse: what a Python function does is not known.

        Raises
        ------
        UsidError
            Always.
        """
        raise UsidError(
            f"{self!r} is a Python function, so there is no formula to derive. Use Model.from_expression for one."
        )

    def __call__(self, *x: npt.ArrayLike, **parameters: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return what the function returns."""
        self._check_call(x, parameters)
        return np.asarray(self.function(*x, *(parameters[name] for name in self.names)))

    def describe(self) -> dict[str, Any]:
        """Return the name of the function, and a token that tells functions of one name apart; never its code."""
        return {
            "model": "Function", "function": _describe_function(self.function), "token": tokenize(self.function),
            "parameters": list(self.names), "coordinates": self.coordinates, "complex_valued": self.complex_valued,
        }  # fmt: skip

    @classmethod
    def build(cls, options: Mapping[str, Any]) -> Model:
        """Refuse, for a result does not hold the code of a function.

        Raises
        ------
        ResultError
            Always.
        """
        raise ResultError(
            f"The model of this fit was the Python function {options.get('function')!r} with the parameters "
            f"{options.get('parameters')}. A result holds its name, not its code: pass "
            f"model=usidx.models.Model.from_function(...) with that function."
        )


def _describe_function(function: Callable[..., Any]) -> str:
    inner = getattr(function, "func", function)  # of a functools.partial
    return f"{getattr(inner, '__module__', '')}.{getattr(inner, '__qualname__', type(inner).__qualname__)}"
