"""The damped simple harmonic oscillator, as band excitation and noise measure it, and what lies under its response."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt

from usidx.fitting.formula.complex import Pair
from usidx.fitting.formula.nodes import Node, apply, make_constant
from usidx.fitting.models.curves import measure_extent
from usidx.fitting.models.model import register
from usidx.fitting.models.parameter import POSITIVE, UNBOUNDED, Parameter
from usidx.fitting.models.shape import Shape

__all__ = ["SHO", "ComplexConstant", "ComplexLinear", "SHOAmplitude", "ThermalSpectrum"]

Array = npt.NDArray[np.float64]

_PLACES: Final = tuple((k + 0.5) / 24 for k in range(24))  # shares of the band, and so are the widths
_WIDTHS: Final = (0.008, 0.025, 0.08, 0.25)
_RESONANCE: Final = (
    Parameter("amplitude", "Amplitude", (1, 0), POSITIVE),
    Parameter("frequency", "Frequency", (0, 1), POSITIVE),
    Parameter("quality_factor", "Quality Factor", "", POSITIVE),
)


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
    For complex data; for its absolute value see `SHOAmplitude`. Parameters: ``amplitude`` A (> 0), the static
    amplitude, with the units of the data (at resonance the response is A Q); ``frequency`` w0 (> 0), with the units of
    the coordinate; ``quality_factor`` Q (> 0); ``phase`` phi in radians, within -pi and pi. Since (A, phi) and
    (-A, phi + pi) are one response, A is kept positive. Start values come from the exact linear form of the formula.
    Cross-talk is complex: ``SHO() + Constant()`` has a complex constant, ``SHO() + Linear()`` a complex line.

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
            *_RESONANCE,
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


@dataclass(frozen=True)
class _Magnitude(Shape):
    """Base of what is known of an oscillator without its phase."""

    prefix: str = ""

    @property
    def _own_parameters(self) -> tuple[Parameter, ...]:
        return _RESONANCE

    def candidates(self, x: Array) -> list[dict[str, Array | float]]:
        """Return resonances all over the band, sharp and broad ones."""
        low, span = measure_extent(x)
        frequency, quality = self.prefix + "frequency", self.prefix + "quality_factor"
        found: list[dict[str, Array | float]] = []
        for share, width in itertools.product(_PLACES, _WIDTHS):
            place = np.maximum(np.abs(low + share * span), 1e-3 * span)
            found.append({frequency: place, quality: place / (width * span)})
        return found


@register
@dataclass(frozen=True)
class SHOAmplitude(_Magnitude):
    """Describe the amplitude of a damped oscillator, A w0^2 / sqrt((w^2 - w0^2)^2 + (w w0/Q)^2).

    Parameters
    ----------
    prefix : str
        Put before the names of the parameters.

    Notes
    -----
    For real data, such as what a lock-in without a phase reports: the absolute value of `SHO`. Parameters:
    ``amplitude`` A (> 0), the static one, with the units of the data; ``frequency`` w0 (> 0), with those of the
    coordinate; ``quality_factor`` Q (> 0). The noise of an amplitude is that of a complex number only where the
    amplitude is well above it: below, amplitudes are too large. Where both parts were measured, fit `SHO`.

    References
    ----------
    S. Jesse, S. V. Kalinin, R. Proksch, A. P. Baddorf and B. J. Rodriguez, Nanotechnology 18, 435503 (2007).

    Examples
    --------
    >>> from usidx.models import SHOAmplitude
    >>> float(SHOAmplitude()(3e5, amplitude=2.0, frequency=3e5, quality_factor=100.0))
    200.0
    """

    def _build_formula(self, w: Node, amplitude: Node, frequency: Node, quality_factor: Node) -> Node:
        return amplitude * frequency * frequency / apply("sqrt", _build_square(w, frequency, quality_factor))


@register
@dataclass(frozen=True)
class ThermalSpectrum(_Magnitude):
    """Describe the power spectrum of an oscillator that noise drives, A w0^4 / ((w^2 - w0^2)^2 + (w w0/Q)^2).

    Parameters
    ----------
    prefix : str
        Put before the names of the parameters.

    Notes
    -----
    For power spectral densities, as of a cantilever that heat moves; ``+ Constant()`` is the floor of the detector.
    Parameters: ``amplitude`` A (> 0), the density far below the resonance, with the units of the data; ``frequency``
    w0 (> 0), with those of the coordinate; ``quality_factor`` Q (> 0). The mean square that the one-sided density
    holds is pi/2 A Q w0, w0 in Hz where the density is by Hz. The noise of a density grows with it: give
    ``sigma``, as of the spectrum by the root of how many were averaged.

    References
    ----------
    J. E. Sader, J. W. M. Chon and P. Mulvaney, Rev. Sci. Instrum. 70, 3967 (1999).

    Examples
    --------
    >>> from usidx.models import Constant, ThermalSpectrum
    >>> (ThermalSpectrum() + Constant()).names
    ('amplitude', 'frequency', 'quality_factor', 'offset')
    """

    def _build_formula(self, w: Node, amplitude: Node, frequency: Node, quality_factor: Node) -> Node:
        square = frequency * frequency
        return amplitude * square * square / _build_square(w, frequency, quality_factor)


def _build_square(w: Node, frequency: Node, quality_factor: Node) -> Node:
    below, lag = w * w - frequency * frequency, w * frequency / quality_factor
    return below * below + lag * lag


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
