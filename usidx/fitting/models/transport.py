"""Curves of one coordinate from transport and sorption: junctions and surfaces that fill."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from usidx.errors import SelectionError
from usidx.fitting.formula.nodes import Node, apply
from usidx.fitting.models.curves import measure_extent
from usidx.fitting.models.model import register
from usidx.fitting.models.parameter import POSITIVE, Parameter
from usidx.fitting.models.shape import Shape

__all__ = ["Diode", "Langmuir"]

Array = npt.NDArray[np.float64]
_VOLTS_PER_KELVIN: Final = 1.380649e-23 / 1.602176634e-19  # k / e, both exact in the SI


@register
@dataclass(frozen=True)
class Diode(Shape):
    """Describe the current of a diode, I0 (exp(V / (n VT)) - 1) with VT = k T / e.

    Parameters
    ----------
    temperature : float
        T in kelvin; VT is 25.9 mV at 300 K.
    prefix : str
        Put before the names of the parameters.

    Raises
    ------
    SelectionError
        The temperature is not above zero.

    Notes
    -----
    Shockley's equation without series or shunt resistance. The coordinate must be in volts. Parameters:
    ``saturation_current`` I0, with the units of the data, negative where the diode conducts at negative current;
    ``ideality`` n (> 0), without a unit. Add ``Linear()`` for a shunt and an offset.

    References
    ----------
    W. Shockley, Bell Syst. Tech. J. 28, 435 (1949).

    Examples
    --------
    >>> from usidx.models import Diode
    >>> float(Diode()(0.0, saturation_current=1e-9, ideality=1.5))
    0.0
    """

    temperature: float = 300.0
    prefix: str = ""

    def __post_init__(self) -> None:
        if not self.temperature > 0.0:
            raise SelectionError(f"A diode at a temperature of {self.temperature!r} K; it should be above zero.")

    @property
    def _own_parameters(self) -> tuple[Parameter, ...]:
        current = Parameter("saturation_current", "Saturation Current", (1, 0))
        return current, Parameter("ideality", "Ideality Factor", "", POSITIVE)

    def candidates(self, x: Array) -> list[dict[str, Array | float]]:
        """Return idealities for which the current grows by e in between a hundredth and the whole of the range."""
        span, thermal = measure_extent(x)[1], _VOLTS_PER_KELVIN * self.temperature
        return [{self.prefix + "ideality": span * part / thermal} for part in np.geomspace(0.005, 2.0, 28)]

    def _build_formula(self, voltage: Node, saturation_current: Node, ideality: Node) -> Node:
        scale = 1.0 / (_VOLTS_PER_KELVIN * self.temperature * ideality)
        return saturation_current * (apply("exp", voltage * scale) - 1.0)


@register
@dataclass(frozen=True)
class Langmuir(Shape):
    """Describe a Langmuir isotherm, A K x / (1 + K x): what a surface holds under a pressure or concentration x.

    Parameters
    ----------
    prefix : str
        Put before the names of the parameters.

    Notes
    -----
    The sorption isotherm, not the current of a Langmuir probe. For x >= 0. Parameters: ``amplitude`` A, the value of a
    full surface, with the units of the data; ``affinity`` K (> 0), with those of one by the coordinate: at x = 1/K
    the surface is half full.

    References
    ----------
    I. Langmuir, J. Am. Chem. Soc. 40, 1361 (1918).

    Examples
    --------
    >>> from usidx.models import Langmuir
    >>> float(Langmuir()(0.5, amplitude=3.0, affinity=2.0))
    1.5
    """

    prefix: str = ""

    @property
    def _own_parameters(self) -> tuple[Parameter, ...]:
        return Parameter("amplitude", "Amplitude", (1, 0)), Parameter("affinity", "Affinity", (0, -1), POSITIVE)

    def candidates(self, x: Array) -> list[dict[str, Array | float]]:
        """Return affinities that fill half of the surface between a hundredth of the range and ten times the range."""
        span = measure_extent(x)[1]
        return [{self.prefix + "affinity": 1.0 / (span * part)} for part in np.geomspace(0.005, 10.0, 20)]

    def _build_formula(self, x: Node, amplitude: Node, affinity: Node) -> Node:
        filled = affinity * x
        return amplitude * (filled / (1.0 + filled))
