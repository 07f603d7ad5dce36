"""Oscillations along a coordinate."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from usidx.fitting.formula.nodes import Node, apply
from usidx.fitting.models.curves import measure_extent
from usidx.fitting.models.model import register
from usidx.fitting.models.parameter import POSITIVE, Parameter
from usidx.fitting.models.shape import Shape

__all__ = ["Sine"]

Array = npt.NDArray[np.float64]
_MOST_FREQUENCIES = 400


@register
@dataclass(frozen=True)
class Sine(Shape):
    """Describe a sine, A sin(2 pi f x + phase).

    Parameters
    ----------
    prefix : str
        Put before the names of the parameters.

    Notes
    -----
    Parameters: ``amplitude`` A (> 0), with the units of the data; ``frequency`` f (> 0), with those of one by the
    coordinate; ``phase`` in radians at x = 0, within -pi and pi. Add ``Constant()`` for what it swings about.
    Frequencies are looked for from a quarter of a period to 200 periods over the range, and up to that of Nyquist for
    evenly spaced samples; give `start` for higher ones.

    References
    ----------
    Frequencies are tried by least squares, as in N. R. Lomb, Astrophys. Space Sci. 39, 447 (1976).

    Examples
    --------
    >>> from usidx.models import Sine
    >>> float(Sine()(0.25, amplitude=2.0, frequency=1.0, phase=0.0))
    2.0
    """

    prefix: str = ""

    @property
    def _own_parameters(self) -> tuple[Parameter, ...]:
        return (
            Parameter("amplitude", "Amplitude", (1, 0), POSITIVE),
            Parameter("frequency", "Frequency", (0, -1), POSITIVE),
            Parameter("phase", "Phase", "rad", period=2.0 * math.pi),
        )

    def candidates(self, x: Array) -> list[dict[str, Array | float]]:
        """Return frequencies half a period over the range apart, and four phases in the middle of the range."""
        low, span = measure_extent(x)
        periods = [0.25, 0.5, 0.75, *np.arange(1.0, min(0.5 * x.shape[-1], 0.5 * _MOST_FREQUENCIES), 0.5)]
        found: list[dict[str, Array | float]] = []
        for count, turn in itertools.product(periods, (0.0, 0.5 * math.pi, math.pi, 1.5 * math.pi)):
            frequency = count / span
            phase = turn - 2.0 * math.pi * frequency * (low + 0.5 * span)
            found.append({self.prefix + "frequency": frequency, self.prefix + "phase": phase})
        return found

    def _build_formula(self, x: Node, amplitude: Node, frequency: Node, phase: Node) -> Node:
        return amplitude * apply("sin", 2.0 * math.pi * frequency * x + phase)
