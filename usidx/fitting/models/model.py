"""What a model is: a formula, its parameters with their units, and where to look for start values.

Models are immutable descriptions; they hold no data and no fitted values. A sum or product of models is a model.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import fields, replace
from functools import cache, cached_property
from importlib import import_module
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from usidx.errors import ResultError, SelectionError, UsidError
from usidx.fitting.formula.complex import Pair, as_pair
from usidx.fitting.formula.nodes import Node, differentiate, make_parameter, make_variable
from usidx.fitting.formula.numpy_backend import interpret
from usidx.fitting.models.parameter import Parameter

__all__ = ["Model", "build_graphs", "from_description", "register"]

Array = npt.NDArray[np.float64]


class Model(ABC):
    """Base of all models; see the subclasses for formulas.

    Models add and multiply: ``Gaussian() + Constant()``. Where names of parameters repeat, the terms get prefixes
    (``gaussian_1_center``), or those given as ``Gaussian(prefix="d_")``.
    """

    #: How start values are found: "candidates", "peak", "resonance", or "given" where that is left to the user.
    search: ClassVar[str] = "candidates"
    is_complex: ClassVar[bool] = False
    #: Coordinates, one for each dim along which is fitted.
    variables: ClassVar[int] = 1
    #: Whether it combines with models of any number of coordinates.
    over_any: ClassVar[bool] = False
    #: Variables of the formula that follow from the coordinate of all samples together; see `derive`.
    derived: ClassVar[int] = 0
    #: What stands before the names of the parameters; None where they cannot be renamed.
    prefix: str | None = None
    #: Whether `formula` gives a graph, from which derivatives and sums are made.
    has_formula: ClassVar[bool] = True

    @classmethod
    def from_expression(
        cls, text: str, variable: str | tuple[str, ...] = "x", *, constants: tuple[str, ...] = ()
    ) -> Model:
        """Return a model of the text of its formula; see `usidx.models.Expression`.

        Parameters
        ----------
        text : str
            Such as ``"a * exp(-x / tau) + c"``. It is read, never run.
        variable : str or tuple of str
            The name that stands for the coordinate, or one for each of several, in the order of the dims.
        constants : tuple of str
            ``("e",)`` where `e` is Euler's number; by default it is a parameter, as every name but `pi` is.

        Returns
        -------
        Expression
            Its parameters are the other names, in the order of the text.

        Raises
        ------
        SelectionError
            The text is no formula, or holds what is not allowed.

        Examples
        --------
        >>> import usidx
        >>> usidx.models.Model.from_expression("a * exp(-x / tau) + c").names
        ('a', 'tau', 'c')
        """
        return from_description({"model": "Expression", "text": text, "variable": variable, "constants": constants})

    @classmethod
    def from_function(
        cls, function: Callable[..., Any], *, coordinates: int = 1, complex_valued: bool = False, prefix: str = ""
    ) -> Model:
        """Return a model of a Python function; see `usidx.models.Function`.

        Parameters
        ----------
        function : callable
            f(x, a, b, ...) of the coordinate and the parameters, whose names and start values are those of its
            signature.
        coordinates : int
            How many of the first arguments are coordinates.
        complex_valued : bool
            Whether it gives complex values, for complex data; a fit of complex data finds that out.
        prefix : str
            Put before the names of the parameters.

        Returns
        -------
        Function
            For `fit`, and for `evaluate` on its result.

        Raises
        ------
        SelectionError
            The signature names no parameters.

        Examples
        --------
        >>> import numpy as np, usidx
        >>> usidx.models.Model.from_function(lambda t, a, tau=1.0: a * np.exp(-t / tau)).names
        ('a', 'tau')
        """
        made: Any = _registry["Function"]
        model: Model = made(function, coordinates, complex_valued, prefix)
        return model

    @property
    @abstractmethod
    def parameters(self) -> tuple[Parameter, ...]:
        """Return the parameters in order."""

    @abstractmethod
    def formula(self, variables: tuple[Node, ...], parameters: Mapping[str, Node]) -> Node | Pair:
        """Return the graph of the value."""

    def slopes(self, variables: tuple[Node, ...], parameters: Mapping[str, Node]) -> Mapping[str, Node | Pair]:
        """Return derivatives that are shorter written out than derived from the formula; none need be."""
        return {}

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return what is needed to make the model again, as plain JSON values."""

    def derive(self, x: Array) -> Array:
        """Return the derived variables, (..., derived, sample), of the coordinates, (..., variable, sample)."""
        return x[..., :0, :]

    def candidates(self, x: Array) -> list[dict[str, Array | float]]:
        """Return start values to try for the parameters that are neither linear nor read from a peak.

        `x` (..., sample) is the coordinate, (..., variable, sample) where there are several; values are numbers or
        arrays of the leading dims. For a width the candidate is a multiple of the width that was found.
        """
        return [{}]

    def find_defined(self, x: Array, varying: Collection[str]) -> npt.NDArray[np.bool_]:
        """Say at which samples of `x`, (..., variable, sample), the model has a value where these parameters vary."""
        return np.ones((*x.shape[:-2], x.shape[-1]), dtype=bool)

    @property
    def figures(self) -> tuple[tuple[Parameter, Node], ...]:
        """Return what follows from the parameters of a peak, and how: width at half maximum, area, height."""
        return ()

    @property
    def axes(self) -> tuple[tuple[str, str, str], ...]:
        """Return pairs of widths that change places when an angle is turned by a quarter, and that angle."""
        return ()

    @classmethod
    def build(cls, options: Mapping[str, Any]) -> Model:
        """Return the model that has these options.

        Raises
        ------
        ResultError
            There are others than the model has.
        """
        allowed = {f.name for f in fields(cls)}  # type: ignore[arg-type]
        if not set(options) <= allowed:
            raise ResultError(f"Model {cls.__name__!r} has the options {sorted(allowed)}; found {sorted(options)}.")
        return cls(**options)

    @property
    def defaults(self) -> dict[str, float]:
        """Return start values that the model brings along."""
        return {}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Return the names of the parameters in order."""
        return tuple(p.name for p in self.parameters)

    def with_prefix(self, prefix: str) -> Self:
        """Return the same model with other names."""
        return replace(self, prefix=prefix)  # type: ignore[type-var]

    @property
    def terms(self) -> tuple[Model, ...]:
        """Return the models whose sum this is."""
        return (self,)

    @property
    def factors(self) -> tuple[Model, ...]:
        """Return the models whose product this is."""
        return (self,)

    def to_complex(self) -> Model:
        """Return what stands for this model beside a complex one: of a background, one that is complex, too."""
        return self

    def __add__(self, other: Model) -> Model:
        if not isinstance(other, Model):
            return NotImplemented
        terms = (*self.terms, *other.terms)
        terms = tuple(t.to_complex() for t in terms) if any(t.is_complex for t in terms) else terms
        made: Model = _load_kind("Sum")(terms)
        return made

    def __mul__(self, other: Model) -> Model:
        if not isinstance(other, Model):
            return NotImplemented
        made: Model = _load_kind("Product")((*self.factors, *other.factors))
        return made

    def __call__(self, *x: npt.ArrayLike, **parameters: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return the value for coordinates and parameters that broadcast against each other."""
        return self._evaluate_output(0, self._collect_values(x, parameters))

    def jacobian(self, *x: npt.ArrayLike, **parameters: npt.ArrayLike) -> dict[str, npt.NDArray[Any]]:
        """Return the exact derivative of the value by each parameter."""
        known = self._collect_values(x, parameters)
        return {name: self._evaluate_output(k, known) for k, name in enumerate(self.names, 1)}

    def _evaluate_output(self, k: int, known: Mapping[Node, npt.ArrayLike]) -> npt.NDArray[Any]:
        parts = [interpret(part[k], known) for part in build_graphs(self)]
        return parts[0] + 1j * parts[1] if self.is_complex else parts[0]

    def _collect_values(
        self, x: tuple[npt.ArrayLike, ...], parameters: Mapping[str, npt.ArrayLike]
    ) -> dict[Node, npt.ArrayLike]:
        self._check_call(x, parameters)
        known: dict[Node, npt.ArrayLike] = {make_parameter(k): v for k, v in parameters.items()}
        return known | {make_variable(k): v for k, v in enumerate((*x, *self._derive_variables(x)))}

    def _derive_variables(self, x: tuple[npt.ArrayLike, ...]) -> Iterator[Array]:
        if self.derived:
            values = self.derive(np.stack([np.atleast_1d(np.asarray(v, dtype=np.float64)) for v in x], axis=-2))
            yield from np.moveaxis(values, -2, 0)

    def _check_call(self, x: tuple[npt.ArrayLike, ...], parameters: Mapping[str, npt.ArrayLike]) -> None:
        wrong = sorted(set(self.names) ^ set(parameters))
        if wrong or len(x) != self.variables:
            raise SelectionError(
                f"{self!r} takes {self.variables} coordinate(s) and the parameters {self.names}; "
                f"{len(x)} coordinate(s) came, and {wrong} are missing or unknown."
            )


@cache
def build_graphs(model: Model) -> tuple[tuple[Node, ...], ...]:
    """Return per part (real, imaginary) the graph of the value and of its derivatives."""
    nodes = {name: make_parameter(name) for name in model.names}
    variables = tuple(map(make_variable, range(model.variables + model.derived)))
    own = model.slopes(variables, nodes)
    parts = _split_parts(model.formula(variables, nodes), model)
    rows = []
    for k, part in enumerate(parts):
        slopes = (_split_parts(own[n], model)[k] if n in own else differentiate(part, x) for n, x in nodes.items())
        rows.append((part, *slopes))
    return tuple(rows)


def _split_parts(value: Node | Pair, model: Model) -> tuple[Node, ...]:
    """Return real and imaginary part, or the value alone."""
    if model.is_complex:
        return as_pair(value).real, as_pair(value).imag
    if isinstance(value, Pair):
        raise UsidError(f"{model!r} is declared real, but its formula gives a complex value.")
    return (value,)


_registry: dict[str, type[Model]] = {}


def _load_kind(name: str) -> Any:
    """Return a kind of model that is made of models, which this module cannot import."""
    import_module("usidx.fitting.models.composite")
    return _registry[name]


def register(model: type[Model]) -> type[Model]:
    """Make a model known by its name, so that results can be read back."""
    _registry[model.__name__] = model
    return model


def from_description(description: Mapping[str, Any]) -> Model:
    """Make a model again from what `describe` returned; only models known by name are made, nothing is run.

    Raises
    ------
    ResultError
        The description names no known model, or options that it does not have.
    """
    import_module("usidx.fitting.models.composite")
    name = description.get("model")
    kind = _registry.get(name) if isinstance(name, str) else None
    if kind is None:
        raise ResultError(f"No model named {name!r} is known; known are {sorted(_registry)}.")
    return kind.build({k: v for k, v in description.items() if k not in {"model", "name"}})
