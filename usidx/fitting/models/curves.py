"""Curves of one coordinate that are not peaks: backgrounds and decays."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt

from usidx.errors import SelectionError
from usidx.fitting.formula.nodes import Node, apply
from usidx.fitting.models.complex_background import ComplexConstant, ComplexLinear
from usidx.fitting.models.model import Model, register
from usidx.fitting.models.parameter import POSITIVE, Parameter
from usidx.fitting.models.shape import Shape

__all__ = [
    "Constant",
    "Exponential",
    "Linear",
    "Polynomial",
    "PowerLaw",
    "Step",
    "StretchedExponential",
    "measure_extent",
]

Array = npt.NDArray[np.float64]


def measure_extent(x: Array) -> tuple[Array, Array]:
    """Return the lowest value of the finite samples, and their range."""
    finite = np.where(np.isfinite(x), x, np.nan)
    known = np.isfinite(x).any(axis=-1)
    low = np.where(known, np.min(np.where(np.isnan(finite), np.inf, finite), axis=-1), 0.0)
    high = np.where(known, np.max(np.where(np.isnan(finite), -np.inf, finite), axis=-1), 1.0)
    return low, np.where(high > low, high - low, 1.0)


@register
@dataclass(frozen=True)
class Constant(Shape):
    """Describe a constant.

    Parameters
    ----------
    prefix : str
        Put before the names of the parameters.

    Notes
    -----
    Parameter: ``offset``, with the units of the data. Linear: solved at once. Adds to models of any number of
    coordinates; added to a complex model it is a `ComplexConstant`.

    Examples
    --------
    >>> from usidx.models import Constant
    >>> Constant().names
    ('offset',)
    """

    over_any: ClassVar[bool] = True
    prefix: str = ""

    @property
    def _own_parameters(self) -> tuple[Parameter, ...]:
        return (Parameter("offset", "Offset", (1, 0)),)

    def to_complex(self) -> Model:
        """Return a complex constant."""
        return ComplexConstant(self.prefix)

    def _build_formula(self, *nodes: Node) -> Node:
        return nodes[-1]


@register
@dataclass(frozen=True)
class Linear(Shape):
    """Describe a straight line, slope x + intercept.

    Parameters
    ----------
    prefix : str
        Put before the names of the parameters.

    Notes
    -----
    Parameters: ``slope``, with the units of the data by the coordinate; ``intercept``, with those of the data.
    Linear: solved at once. Added to a complex model it is a `ComplexLinear`.

    Examples
    --------
    >>> from usidx.models import Linear
    >>> Linear().names
    ('slope', 'intercept')
    """

    prefix: str = ""

    @property
    def _own_parameters(self) -> tuple[Parameter, ...]:
        return Parameter("slope", "Slope", (1, -1)), Parameter("intercept", "Intercept", (1, 0))

    def to_complex(self) -> Model:
        """Return a complex line."""
        return ComplexLinear(self.prefix)

    def _build_formula(self, x: Node, slope: Node, intercept: Node) -> Node:
        return slope * x + intercept


@register
@dataclass(frozen=True)
class Exponential(Shape):
    """Describe an exponential decay, A exp(-(x - x0) / tau).

    Parameters
    ----------
    prefix : str
        Put before the names of the parameters.
    x0 : float
        Where the amplitude is the value, by default at x = 0.

    Notes
    -----
    Parameters: ``amplitude``, the value at `x0`, with the units of the data; ``tau`` (> 0), with those of the
    coordinate. Add ``Constant()`` for what remains in the end. Far from the data the amplitude is large and hardly
    determined, and from 700 tau on it has no number, ``not_finite``: so set `x0` near the first sample.

    Examples
    --------
    >>> from usidx.models import Constant, Exponential
    >>> (Exponential() + Constant()).names
    ('amplitude', 'tau', 'offset')
    """

    prefix: str = ""
    x0: float = 0.0

    @property
    def _own_parameters(self) -> tuple[Parameter, ...]:
        return Parameter("amplitude", "Amplitude", (1, 0)), Parameter("tau", "Time Constant", (0, 1), POSITIVE)

    def candidates(self, x: Array) -> list[dict[str, Array | float]]:
        """Return time constants from a hundredth of the range to three times the range."""
        span = measure_extent(x)[1]
        parts = (0.01, 0.02, 0.03, 0.045, 0.065, 0.09, 0.13, 0.18, 0.26, 0.37, 0.55, 0.9, 1.6, 3.0)
        return [{self.prefix + "tau": span * part} for part in parts]

    def _build_formula(self, *nodes: Node) -> Node:
        x, amplitude, tau = nodes
        return amplitude * apply("exp", (self.x0 - x if self.x0 else -x) / tau)


@register
@dataclass(frozen=True)
class Polynomial(Shape):
    """Describe a polynomial, c0 + c1 x + c2 x^2 + ...

    Parameters
    ----------
    degree : int
        Highest power, 0 to 12.
    prefix : str
        Put before the names of the parameters.

    Raises
    ------
    SelectionError
        The degree is not one of those.

    Notes
    -----
    Parameters: ``c0``, ``c1``, ... Linear: solved at once. High degrees want a coordinate that is centred on zero.

    Examples
    --------
    >>> from usidx.models import Polynomial
    >>> Polynomial(2).names
    ('c0', 'c1', 'c2')
    """

    degree: int = 2
    prefix: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.degree, int) or not 0 <= self.degree <= 12:
            raise SelectionError(f"A polynomial of degree {self.degree!r}; it should be a whole number from 0 to 12.")

    @property
    def _own_parameters(self) -> tuple[Parameter, ...]:
        return tuple(Parameter(f"c{k}", f"C{k}", (1, -k)) for k in range(self.degree + 1))

    def _build_formula(self, x: Node, *coefficients: Node) -> Node:
        total = coefficients[0]
        for k, c in enumerate(coefficients[1:], 1):
            total = total + c * x**k
        return total


@register
@dataclass(frozen=True)
class PowerLaw(Shape):
    """Describe a power law, A x^r, such as the background of energy-loss spectra.

    Parameters
    ----------
    prefix : str
        Put before the names of the parameters.

    Notes
    -----
    For x > 0: spectra with other samples get no fit, and the status ``model_undefined_at_a_sample``; leave these
    samples out, ``data.where(data.x > 0)``. Parameters: ``amplitude`` A, whose unit depends on r and is not given, and
    ``exponent`` r.

    References
    ----------
    R. F. Egerton, Electron Energy-Loss Spectroscopy in the Electron Microscope, Springer (2011), chapter 4.

    Examples
    --------
    >>> from usidx.models import PowerLaw
    >>> PowerLaw().names
    ('amplitude', 'exponent')
    """

    prefix: str = ""

    @property
    def _own_parameters(self) -> tuple[Parameter, ...]:
        return Parameter("amplitude", "Amplitude", None), Parameter("exponent", "Exponent", "")

    def candidates(self, x: Array) -> list[dict[str, Array | float]]:
        """Return the usual exponents, of falls and of rises."""
        return [{self.prefix + "exponent": float(r)} for r in np.arange(-6.0, 3.25, 0.25) if r]

    def find_defined(self, x: Array, varying: Collection[str]) -> npt.NDArray[np.bool_]:
        """Say where x > 0; a whole exponent that is fixed has no such limit."""
        return x[..., 0, :] > 0.0 if self.prefix + "exponent" in varying else super().find_defined(x, varying)

    def _build_formula(self, x: Node, amplitude: Node, exponent: Node) -> Node:
        return amplitude * x**exponent


@register
@dataclass(frozen=True)
class StretchedExponential(Shape):
    """Describe a stretched exponential decay, A exp(-(x / tau)^beta).

    Parameters
    ----------
    prefix : str
        Put before the names of the parameters.

    Notes
    -----
    For x >= 0: spectra with other samples get no fit, and the status ``model_undefined_at_a_sample``. Parameters:
    ``amplitude``, with the units of the data; ``tau`` (> 0), with those of the coordinate; ``beta`` (> 0), 1 for a
    simple exponential.

    References
    ----------
    R. Kohlrausch, Ann. Phys. 167, 179 (1854).

    Examples
    --------
    >>> from usidx.models import StretchedExponential
    >>> StretchedExponential().names
    ('amplitude', 'tau', 'beta')
    """

    prefix: str = ""

    @property
    def _own_parameters(self) -> tuple[Parameter, ...]:
        tau = Parameter("tau", "Time Constant", (0, 1), POSITIVE)
        return Parameter("amplitude", "Amplitude", (1, 0)), tau, Parameter("beta", "Beta", "", POSITIVE)

    def candidates(self, x: Array) -> list[dict[str, Array | float]]:
        """Return time constants from a fiftieth of the range to three times the range, stretched or not."""
        span = measure_extent(x)[1]
        parts = ((part, beta) for part in (0.02, 0.1, 0.4, 1.0, 3.0) for beta in (0.5, 1.0))
        return [{self.prefix + "tau": span * part, self.prefix + "beta": beta} for part, beta in parts]

    def find_defined(self, x: Array, varying: Collection[str]) -> npt.NDArray[np.bool_]:
        """Say where x >= 0, unless `beta` is fixed."""
        return x[..., 0, :] >= 0.0 if self.prefix + "beta" in varying else super().find_defined(x, varying)

    def _build_formula(self, x: Node, amplitude: Node, tau: Node, beta: Node) -> Node:
        return amplitude * apply("exp", -((x / tau) ** beta))


@register
@dataclass(frozen=True)
class Step(Shape):
    """Describe a smooth step, A S((x - center) / width), that rises from 0 to A.

    Parameters
    ----------
    shape : {"erf", "logistic", "arctan"}
        S(t): (1 + erf t)/2, 1/(1 + exp(-t)), or 1/2 + arctan(t)/pi.
    prefix : str
        Put before the names of the parameters.

    Raises
    ------
    SelectionError
        There is no such shape.

    Notes
    -----
    Parameters: ``amplitude``, with the units of the data; ``center`` and ``width`` (> 0), with those of the
    coordinate. Add ``Constant()`` for where it rises from. A step sharper than samples can tell ends with its width on
    a bound of 0.3 of their distance, and its centre between the two samples.

    Examples
    --------
    >>> from usidx.models import Step
    >>> Step("logistic").names
    ('amplitude', 'center', 'width')
    """

    shape: str = "erf"
    prefix: str = ""

    def __post_init__(self) -> None:
        if self.shape not in _STEPS:
            raise SelectionError(f"Step has no shape {self.shape!r}; choose one of {tuple(_STEPS)}.")

    @property
    def _own_parameters(self) -> tuple[Parameter, ...]:
        width = Parameter("width", "Width", (0, 1), POSITIVE, finest=0.3)
        return Parameter("amplitude", "Amplitude", (1, 0)), Parameter("center", "Center", (0, 1)), width

    def candidates(self, x: Array) -> list[dict[str, Array | float]]:
        """Return narrow and wide steps all along the coordinate."""
        low, span = measure_extent(x)
        names = self.prefix + "center", self.prefix + "width"
        places = [(k / n, w) for n, w in ((24, 0.012), (12, 0.05), (6, 0.2)) for k in range(1, n)]
        return [dict(zip(names, (low + span * c, span * w), strict=True)) for c, w in places]

    def _build_formula(self, x: Node, amplitude: Node, center: Node, width: Node) -> Node:
        return amplitude * _STEPS[self.shape]((x - center) / width)


_STEPS: Final[Mapping[str, Callable[[Node], Node]]] = {
    "erf": lambda t: 0.5 + 0.5 * apply("erf", t),
    # Through tanh, which does not overflow.
    "logistic": lambda t: 0.5 + 0.5 * apply("tanh", 0.5 * t),
    "arctan": lambda t: 0.5 + 1.0 / math.pi * apply("arctan", t),
}
