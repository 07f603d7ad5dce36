"""The damped simple harmonic oscillator, as band excitation measures it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from usidx.fitting.formula.complex import Pair
from usidx.fitting.formula.nodes import Node, apply, make_constant
from usidx.fitting.models.model import register
from usidx.fitting.models.parameter import POSITIVE, UNBOUNDED, Parameter
from usidx.fitting.models.shape import Shape

__all__ = ["SHO"]

Array = npt.NDArray[np.float64]


@register
@dataclass(frozen=True)
class SHO(Shape):
    """Describe the response of a damped oscillator, A e^(i phi) w0^2 / (w^2 - i w w0/Q - w0^2).

    Parameters
    ----------
    prefix : str
        Put before the names of the parameters.

    Notes
    -----
    For complex data. Parameters: ``amplitude`` A (> 0), the static amplitude, with the units of the data (at
    resonance the response is A Q); ``frequency`` w0 (> 0), with the units of the coordinate; ``quality_factor`` Q
    (> 0); ``phase`` phi in radians, within -pi and pi. Since (A, phi) and (-A, phi + pi) are one response, A is
    kept positive. Start values come from the exact linear form of the formula.

    References
    ----------
    S. Jesse, S. V. Kalinin, R. Proksch, A. P. Baddorf and B. J. Rodriguez, Nanotechnology 18, 435503 (2007).

    Examples
    --------
    >>> from usidx.models import SHO
    >>> complex(SHO()(0.0, amplitude=2.0, frequency=3e5, quality_factor=100.0, phase=0.0))
    (-2+0j)
    """

    search: ClassVar[str] = "resonance"
    is_complex: ClassVar[bool] = True

    prefix: str = ""

    @property
    def _own_parameters(self) -> tuple[Parameter, ...]:
        return (
            Parameter("amplitude", "Amplitude", (1, 0), POSITIVE),
            Parameter("frequency", "Frequency", (0, 1), POSITIVE),
            Parameter("quality_factor", "Quality Factor", "", POSITIVE),
            Parameter("phase", "Phase", "rad", UNBOUNDED, period=2.0 * math.pi),
        )

    def candidates(self, x: Array) -> list[dict[str, Array | float]]:
        """Return quality factors to try where the linear form fails."""
        # The first is replaced by the linear form, the others are tried at the highest sample.
        return [
            {self.prefix + "frequency": 1.0, self.prefix + "quality_factor": q, self.prefix + "phase": 0.0}
            for q in (100.0, 30.0, 300.0)
        ]

    def _build_formula(self, w: Node, amplitude: Node, frequency: Node, quality_factor: Node, phase: Node) -> Pair:
        square = amplitude * frequency * frequency
        turned = Pair(square * apply("cos", phase), square * apply("sin", phase))
        return turned / _build_denominator(w, frequency, quality_factor)

    def slopes(self, variables: tuple[Node, ...], parameters: Mapping[str, Node]) -> Mapping[str, Node | Pair]:
        """Return the derivatives in terms of the response h and of h by its denominator."""
        w, (amplitude, frequency, quality, phase) = variables[0], (parameters[name] for name in self.names)
        unit = self._build_formula(w, make_constant(1.0), frequency, quality, phase)
        response = self._build_formula(w, amplitude, frequency, quality, phase)
        over = response / _build_denominator(w, frequency, quality)
        moved = Pair(w * over.real, w * over.imag)
        by_quality = frequency / (quality * quality)
        by_frequency = Pair(
            2.0 / frequency * response.real + (2.0 * frequency * over.real - moved.imag / quality),
            2.0 / frequency * response.imag + (2.0 * frequency * over.imag + moved.real / quality),
        )
        slopes = (unit, by_frequency, Pair(by_quality * moved.imag, -by_quality * moved.real))
        turned = Pair(-response.imag, response.real)
        return dict(zip(self.names, (*slopes, turned), strict=True))


def _build_denominator(w: Node, frequency: Node, quality_factor: Node) -> Pair:
    return Pair(w * w - frequency * frequency, -(w * frequency / quality_factor))
