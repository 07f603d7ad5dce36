"""Curves of one coordinate that are not peaks: backgrounds and decays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from usidx.fit.model import POSITIVE, Parameter, Shape, registered
from usidx.fit.symbols import Node, function

__all__ = ["Constant", "Exponential", "Linear", "extent"]

Array = npt.NDArray[np.float64]


def extent(x: Array) -> tuple[Array, Array]:
    """Return the lowest value of the finite samples, and their range."""
    finite = np.where(np.isfinite(x), x, np.nan)
    known = np.isfinite(x).any(axis=-1)
    low = np.where(known, np.min(np.where(np.isnan(finite), np.inf, finite), axis=-1), 0.0)
    high = np.where(known, np.max(np.where(np.isnan(finite), -np.inf, finite), axis=-1), 1.0)
    return low, np.where(high > low, high - low, 1.0)


@registered
@dataclass(frozen=True)
class Constant(Shape):
    """Describe a constant.

    Parameters
    ----------
    prefix : str
        Put before the names of the parameters.

    Notes
    -----
    Parameter: ``offset``, with the units of the data. Linear: solved at once.

    Examples
    --------
    >>> from usidx.fit.models import Constant
    >>> Constant().names
    ('offset',)
    """

    prefix: str = ""

    @property
    def _own_parameters(self) -> tuple[Parameter, ...]:
        return (Parameter("offset", "Offset", (1, 0)),)

    def _value(self, x: Node, offset: Node) -> Node:
        return offset


@registered
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
    Linear: solved at once.

    Examples
    --------
    >>> from usidx.fit.models import Linear
    >>> Linear().names
    ('slope', 'intercept')
    """

    prefix: str = ""

    @property
    def _own_parameters(self) -> tuple[Parameter, ...]:
        return Parameter("slope", "Slope", (1, -1)), Parameter("intercept", "Intercept", (1, 0))

    def _value(self, x: Node, slope: Node, intercept: Node) -> Node:
        return slope * x + intercept


@registered
@dataclass(frozen=True)
class Exponential(Shape):
    """Describe an exponential decay, A exp(-x / tau).

    Parameters
    ----------
    prefix : str
        Put before the names of the parameters.

    Notes
    -----
    Parameters: ``amplitude``, the value at x = 0, with the units of the data; ``tau`` (> 0), with those of the
    coordinate. Add ``Constant()`` for what remains in the end.

    Examples
    --------
    >>> from usidx.fit.models import Constant, Exponential
    >>> (Exponential() + Constant()).names
    ('amplitude', 'tau', 'offset')
    """

    prefix: str = ""

    @property
    def _own_parameters(self) -> tuple[Parameter, ...]:
        return Parameter("amplitude", "Amplitude", (1, 0)), Parameter("tau", "Time Constant", (0, 1), POSITIVE)

    def candidates(self, x: Array) -> list[dict[str, Array | float]]:
        """Return time constants from a fiftieth of the range to three times the range."""
        span = extent(x)[1]
        return [{self.prefix + "tau": span * part} for part in (0.02, 0.06, 0.15, 0.4, 1.0, 3.0)]

    def _value(self, x: Node, amplitude: Node, tau: Node) -> Node:
        return amplitude * function("exp", -x / tau)
