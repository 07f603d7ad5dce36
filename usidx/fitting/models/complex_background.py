"""What lies under a complex response: a constant, such as cross-talk of wires, or a straight line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from usidx.fitting.formula.complex import Pair
from usidx.fitting.formula.nodes import Node
from usidx.fitting.models.model import register
from usidx.fitting.models.parameter import Parameter
from usidx.fitting.models.shape import Shape

__all__ = ["ComplexConstant", "ComplexLinear"]


@register
@dataclass(frozen=True)
class ComplexConstant(Shape):
    """Describe a complex constant, such as the cross-talk under a resonance.

    Parameters
    ----------
    prefix : str
        Put before the names of the parameters.

    Notes
    -----
    Parameters: ``offset`` and ``offset_imag``, real and imaginary part, with the units of the data. Linear: solved at
    once. ``SHO() + Constant()`` is ``SHO() + ComplexConstant()``.

    Examples
    --------
    >>> from usidx.models import SHO, Constant
    >>> (SHO() + Constant()).names[-2:]
    ('offset', 'offset_imag')
    """

    is_complex: ClassVar[bool] = True
    over_any: ClassVar[bool] = True
    prefix: str = ""

    @property
    def _own_parameters(self) -> tuple[Parameter, ...]:
        return Parameter("offset", "Offset", (1, 0)), Parameter("offset_imag", "Imaginary Part of Offset", (1, 0))

    def _build_formula(self, *nodes: Node) -> Pair:
        return Pair(*nodes[-2:])


@register
@dataclass(frozen=True)
class ComplexLinear(Shape):
    """Describe a complex straight line, slope x + intercept.

    Parameters
    ----------
    prefix : str
        Put before the names of the parameters.

    Notes
    -----
    Parameters: ``slope`` and ``slope_imag``, real and imaginary part, with the units of the data by the coordinate;
    ``intercept`` and ``intercept_imag``, with those of the data. Linear: solved at once. ``SHO() + Linear()`` is
    ``SHO() + ComplexLinear()``.

    Examples
    --------
    >>> from usidx.models import ComplexLinear
    >>> complex(ComplexLinear()(2.0, slope=1.0, slope_imag=0.5, intercept=0.0, intercept_imag=1.0))
    (2+2j)
    """

    is_complex: ClassVar[bool] = True
    prefix: str = ""

    @property
    def _own_parameters(self) -> tuple[Parameter, ...]:
        return (
            Parameter("slope", "Slope", (1, -1)),
            Parameter("slope_imag", "Imaginary Part of Slope", (1, -1)),
            Parameter("intercept", "Intercept", (1, 0)),
            Parameter("intercept_imag", "Imaginary Part of Intercept", (1, 0)),
        )

    def _build_formula(self, x: Node, *parts: Node) -> Pair:
        slope, slope_imag, intercept, intercept_imag = parts
        return Pair(slope * x + intercept, slope_imag * x + intercept_imag)
