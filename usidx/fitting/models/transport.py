"""Curves of one coordinate from transport, tunnelling and sorption: junctions, and surfaces that fill."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from usidx.errors import SelectionError
from usidx.fitting.formula.complex import Pair
from usidx.fitting.formula.nodes import Node, apply
from usidx.fitting.models.curves import measure_extent
from usidx.fitting.models.model import register
from usidx.fitting.models.parameter import POSITIVE, Parameter
from usidx.fitting.models.shape import Shape

__all__ = ["Diode", "Dynes", "Frota", "Langmuir"]

Array = npt.NDArray[np.float64]
_VOLTS_PER_KELVIN: Final = 1.380649e-23 / 1.602176634e-19  # k / e, both exact in the SI

_PER_VOLT: Final = {"V": 1.0, "mV": 1e3, "µV": 1e6, "uV": 1e6, "eV": 1.0, "meV": 1e3, "µeV": 1e6, "ueV": 1e6}
#: So many poles of the Fermi function are summed one by one; the others make up an integral.
_POLES: Final = 8


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


@register
@dataclass(frozen=True)
class Dynes(Shape):
    """Describe the tunnelling conductance of a superconductor by Dynes' density of states, broadened by temperature.

    Parameters
    ----------
    temperature : float
        T in kelvin of the normal electrode (of both, where both are superconducting, this is no model); 0 for none.
    unit : {"V", "mV", "µV", "eV", "meV", "µeV"}
        That of the coordinate; "uV" and "ueV" will do as well.
    prefix : str
        Put before the names of the parameters.

    Raises
    ------
    SelectionError
        The temperature is below zero, or there is no such unit.

    Notes
    -----
    A times the integral of N(E) (-df/dE)(E - e (V - center)), with N(E) = ``|Re((E - i G) / sqrt((E - i G)^2 - D^2))|``
    and f the Fermi function at T. Parameters: ``amplitude`` A, the conductance far outside the gap, with the units of
    the data; ``center``, the bias at which the middle of the gap is, as of an offset; ``gap`` D (> 0), half the
    distance of the peaks; ``broadening`` G (> 0), of quasi-particles with a finite life. The last three have the units
    of the coordinate; hold ``center`` at 0 where the bias has no offset. At a temperature where the thermal width,
    3.5 k T, covers the peaks, `broadening` is not determined by the data.

    The integral is a sum over the poles of the Fermi function, eight of them one by one and the rest by the formula of
    Euler and Maclaurin: right to 2e-5 of the conductance at any temperature.

    References
    ----------
    R. C. Dynes, V. Narayanamurti and J. P. Garno, Phys. Rev. Lett. 41, 1509 (1978).

    Examples
    --------
    >>> from usidx.models import Dynes
    >>> dynes = Dynes(temperature=1.2, unit="mV")
    >>> round(float(dynes(30.0, amplitude=1.0, center=0.0, gap=1.4, broadening=0.02)), 4)
    1.0011
    """

    temperature: float = 4.2
    unit: str = "V"
    prefix: str = ""

    def __post_init__(self) -> None:
        if not self.temperature >= 0.0:
            raise SelectionError(f"A superconductor at a temperature of {self.temperature!r} K; that is below zero.")
        if self.unit not in _PER_VOLT:
            raise SelectionError(f"Dynes has no coordinate in {self.unit!r}; choose one of {tuple(_PER_VOLT)}.")

    @property
    def _own_parameters(self) -> tuple[Parameter, ...]:
        gap = Parameter("gap", "Gap", (0, 1), POSITIVE)
        broadening = Parameter("broadening", "Broadening", (0, 1), POSITIVE)
        return Parameter("amplitude", "Amplitude", (1, 0)), Parameter("center", "Center", (0, 1)), gap, broadening

    def candidates(self, x: Array) -> list[dict[str, Array | float]]:
        """Return gaps of all widths in the middle of the range and about zero bias, sharp and broad."""
        low, span = measure_extent(x)
        names = [self.prefix + name for name in ("center", "gap", "broadening")]
        places = [low + 0.5 * span, np.clip(0.0, low, low + span)]
        gaps = np.geomspace(0.02, 0.48, 24)
        return [
            dict(zip(names, (center, span * part, span * part * share), strict=True))
            for center in places
            for part in gaps
            for share in (0.02, 0.2)
        ]

    def _build_formula(self, x: Node, amplitude: Node, center: Node, gap: Node, broadening: Node) -> Node:
        bias, square = apply("abs", x - center), gap * gap
        step = 2.0 * math.pi * _VOLTS_PER_KELVIN * _PER_VOLT[self.unit] * self.temperature
        if step == 0.0:
            return amplitude * (Pair(bias, broadening) / _subtract_square(bias, broadening, square).sqrt()).real
        total = _sum_far_poles(bias, step * _POLES + broadening, square, step)
        for k in range(_POLES):
            total = total + _take_pole(bias, step * (k + 0.5) + broadening, square, step)
        return amplitude * total


def _subtract_square(bias: Node, height: Node, square: Node) -> Pair:
    """Return z^2 - D^2 of the energy z = bias + i height."""
    return Pair(bias * bias - height * height - square, 2.0 * bias * height)


def _take_pole(bias: Node, height: Node, square: Node, step: float) -> Node:
    """Return what one pole adds: step D^2 Re(i s^-3), with s the root of z^2 - D^2."""
    inner = _subtract_square(bias, height, square)
    root = inner.sqrt()
    cube = root * inner
    return step * square * cube.imag / (cube.real * cube.real + cube.imag * cube.imag)


def _sum_far_poles(bias: Node, height: Node, square: Node, step: float) -> Node:
    """Return what the poles above a height add: N(z), and what its second and fourth derivative correct."""
    z, inner = Pair(bias, height), _subtract_square(bias, height, square)
    first = z / inner.sqrt()
    second = first / inner**2
    fourth = first * (35.0 * z * z - 15.0 * inner) / inner**4
    return first.real + 3.0 * square * (step**2 / 24.0 * second.real + 7.0 * step**4 / 5760.0 * fourth.real)


@register
@dataclass(frozen=True)
class Frota(Shape):
    """Describe a Kondo resonance as tunnelling sees it, A Re(e^(i phase) sqrt(i G / (x - center + i G))).

    Parameters
    ----------
    prefix : str
        Put before the names of the parameters.

    Notes
    -----
    Frota's form of the spectral function, with the phase of the interference of the ways that electrons take. For
    other lines of this kind see `Fano`. Parameters: ``amplitude`` A (> 0), the height above the background, with the
    units of the data; ``center``; ``width`` G (> 0), with the units of the coordinate: at phase 0 the full width at
    half maximum is 5.085 G; ``phase`` in radians, within -pi and pi: 0 for a peak, pi for a dip, between them for steps
    to either side. Add ``Constant()`` or ``Linear()`` for the background.

    References
    ----------
    H. O. Frota, Phys. Rev. B 45, 1096 (1992); H. Prüser, M. Wenderoth, P. E. Dargel, A. Weismann, R. Peters,
    T. Pruschke and R. G. Ulbrich, Nature Physics 7, 203 (2011).

    Examples
    --------
    >>> from usidx.models import Frota
    >>> round(float(Frota()(2.5424, amplitude=1.0, center=0.0, width=1.0, phase=0.0)), 4)
    0.5
    """

    prefix: str = ""

    @property
    def _own_parameters(self) -> tuple[Parameter, ...]:
        return (
            Parameter("amplitude", "Amplitude", (1, 0), POSITIVE),
            Parameter("center", "Center", (0, 1)),
            Parameter("width", "Width", (0, 1), POSITIVE),
            Parameter("phase", "Phase", "rad", period=2.0 * math.pi),
        )

    def candidates(self, x: Array) -> list[dict[str, Array | float]]:
        """Return peaks, dips and steps of several widths all along the coordinate."""
        low, span = measure_extent(x)
        names = [self.prefix + name for name in ("center", "width", "phase")]
        return [
            dict(zip(names, (low + span * place, span * width, turn), strict=True))
            for place in np.arange(1, 16) / 16
            for width in (0.01, 0.03, 0.09)
            for turn in (0.0, 0.5 * math.pi, math.pi, -0.5 * math.pi)
        ]

    def _build_formula(self, x: Node, amplitude: Node, center: Node, width: Node, phase: Node) -> Node:
        away = (x - center) / width
        # The root of i / (away + i), whose modulus is the root of 1 + away^2.
        size = 1.0 / apply("sqrt", 1.0 + away * away)
        real = apply("sqrt", 0.5 * size * (1.0 + size))
        imag = 0.5 * away * size * size / real
        return amplitude * (apply("cos", phase) * real - apply("sin", phase) * imag)
