"""Peak shapes that are mixed, split, skewed, or interfere with what lies below."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from usidx.fitting.formula.nodes import Node, apply, apply_faddeeva, differentiate, make_parameter, select, substitute
from usidx.fitting.models.curves import measure_extent
from usidx.fitting.models.model import register
from usidx.fitting.models.parameter import POSITIVE, Parameter
from usidx.fitting.models.peaks import AREA, CENTER, FWHM, FWHM_OF_SIGMA, HEIGHT, Peak
from usidx.fitting.models.shape import Shape

__all__ = ["BreitWignerFano", "Fano", "PseudoVoigt", "SkewedGaussian", "SplitGaussian", "Voigt"]

Array = npt.NDArray[np.float64]
_ROOT_TWO_PI = math.sqrt(2.0 * math.pi)
_NARROW = 1e-3


@register
@dataclass(frozen=True)
class Voigt(Shape):
    """Describe a Voigt profile, a Gaussian folded with a Lorentzian: A Re w(z) / (sigma sqrt(2 pi)).

    Parameters
    ----------
    prefix : str
        Put before the names of the parameters.

    Notes
    -----
    z = (x - center + i gamma) / (sigma sqrt 2), and w is the Faddeeva function. Parameters: ``amplitude``, the area;
    ``center``; ``sigma`` (>= 0) of the Gaussian; ``gamma`` (>= 0), half width at half maximum of the Lorentzian. Where
    the data shows no part of one kind, the fit ends with its width on the bound of zero.

    References
    ----------
    B. H. Armstrong, J. Quant. Spectrosc. Radiat. Transfer 7, 61 (1967).

    Examples
    --------
    >>> from usidx.models import Voigt
    >>> Voigt().names
    ('amplitude', 'center', 'sigma', 'gamma')
    """

    search: ClassVar[str] = "peak"
    prefix: str = ""

    @property
    def _own_parameters(self) -> tuple[Parameter, ...]:
        sigma = Parameter("sigma", "Sigma", (0, 1), POSITIVE, "width", 0.28)
        gamma = Parameter("gamma", "Gamma", (0, 1), POSITIVE, "width", 0.28)
        return Parameter("amplitude", "Amplitude", (1, 1)), CENTER, sigma, gamma

    def _build_formula(self, x: Node, amplitude: Node, center: Node, sigma: Node, gamma: Node) -> Node:
        return _build_voigt(x, amplitude, center, _keep_above_zero(sigma, gamma), gamma)

    def _build_figures(self, *nodes: Node) -> dict[Parameter, Node]:
        amplitude, center, sigma, gamma = nodes
        lorentzian, gaussian = 2.0 * gamma, FWHM_OF_SIGMA * sigma
        fwhm = 0.5346 * lorentzian + apply("sqrt", 0.2166 * lorentzian * lorentzian + gaussian * gaussian)
        top = self._build_formula(center, amplitude, center, sigma, gamma)
        return {FWHM: fwhm, AREA: amplitude, HEIGHT: top}

    def slopes(self, variables: tuple[Node, ...], parameters: Mapping[str, Node]) -> Mapping[str, Node]:
        """Return the derivatives by the widths at the width that is used, where `sigma` is next to nothing.

        There it says on which side of zero the best width is; that by `sigma` itself would be zero on both.
        """
        amplitude, center, sigma, gamma = (parameters[name] for name in self.names)
        own = make_parameter("_sigma")
        value, used = _build_voigt(variables[0], amplitude, center, own, gamma), {own: _keep_above_zero(sigma, gamma)}
        return {
            name: substitute(differentiate(value, by), used)
            for name, by in zip(self.names[2:], (own, gamma), strict=True)
        }


def _build_voigt(x: Node, amplitude: Node, center: Node, sigma: Node, gamma: Node) -> Node:
    scale = 1.0 / (math.sqrt(2.0) * sigma)
    return amplitude / (_ROOT_TWO_PI * sigma) * apply_faddeeva((x - center) * scale, gamma * scale)[0]


def _keep_above_zero(sigma: Node, gamma: Node) -> Node:
    """Return `sigma`, or where it is next to nothing beside `gamma` a width that is not zero, and falls with it.

    At zero the formula divides by zero, and near it derivatives drown in rounding. The profile depends on the square
    of the width, so there it changes by less than 1e-6 of its height.
    """
    lowest = _NARROW * gamma
    return select(sigma - lowest, sigma, 0.5 * (sigma * sigma / lowest + lowest))


@register
@dataclass(frozen=True)
class PseudoVoigt(Peak):
    """Describe a pseudo-Voigt peak, (1 - fraction) times a Gaussian plus fraction times a Lorentzian of one width.

    Parameters
    ----------
    normalized : {"area", "height"}
        What the amplitude is: by default the area under the peak, or the height.
    prefix : str
        Put before the names of the parameters.

    Notes
    -----
    Parameters: ``amplitude``, ``center``, ``sigma`` (> 0), the half width at half maximum of both parts, and
    ``fraction`` (0 to 1) of the Lorentzian.

    References
    ----------
    G. K. Wertheim, M. A. Butler, K. W. West and D. N. E. Buchanan, Rev. Sci. Instrum. 45, 1369 (1974).

    Examples
    --------
    >>> from usidx.models import PseudoVoigt
    >>> PseudoVoigt().names
    ('amplitude', 'center', 'sigma', 'fraction')
    """

    normalized: str = "area"
    prefix: str = ""

    @property
    def _own_parameters(self) -> tuple[Parameter, ...]:
        sigma = Parameter("sigma", "Sigma", (0, 1), POSITIVE, "width", 0.5)
        return self.amplitude, CENTER, sigma, Parameter("fraction", "Fraction", "", (0.0, 1.0))

    def candidates(self, x: Array) -> list[dict[str, Array | float]]:
        """Return one, half and half."""
        return [{self.prefix + "fraction": 0.5}]

    def _build_formula(self, x: Node, amplitude: Node, center: Node, sigma: Node, fraction: Node) -> Node:
        t = (x - center) / sigma
        gaussian, lorentzian = apply("exp", -math.log(2.0) * t * t), 1.0 / (1.0 + t * t)
        if self.normalized == "area":
            gaussian = math.sqrt(math.log(2.0) / math.pi) / sigma * gaussian
            lorentzian = 1.0 / (math.pi * sigma) * lorentzian
        return amplitude * ((1.0 - fraction) * gaussian + fraction * lorentzian)

    def _build_figures(self, *nodes: Node) -> dict[Parameter, Node]:
        amplitude, center, sigma, fraction = nodes
        height = self._build_formula(center, amplitude, center, sigma, fraction)
        parts = math.sqrt(math.pi / math.log(2.0)) * (1.0 - fraction) + math.pi * fraction
        area = amplitude if self.normalized == "area" else amplitude * sigma * parts
        return {FWHM: 2.0 * sigma, AREA: area, HEIGHT: height}


@register
@dataclass(frozen=True)
class SplitGaussian(Peak):
    """Describe a Gaussian peak with another width on each side of its centre.

    Parameters
    ----------
    normalized : {"area", "height"}
        What the amplitude is: by default the area under the peak, or the height.
    prefix : str
        Put before the names of the parameters.

    Notes
    -----
    Parameters: ``amplitude``, ``center``, ``sigma_left`` and ``sigma_right`` (> 0). The area is
    (sigma_left + sigma_right) sqrt(pi / 2) times the height.

    Examples
    --------
    >>> from usidx.models import SplitGaussian
    >>> SplitGaussian().names
    ('amplitude', 'center', 'sigma_left', 'sigma_right')
    """

    normalized: str = "area"
    prefix: str = ""

    @property
    def _own_parameters(self) -> tuple[Parameter, ...]:
        left = Parameter("sigma_left", "Sigma Left", (0, 1), POSITIVE, "width", 1.0 / FWHM_OF_SIGMA)
        right = Parameter("sigma_right", "Sigma Right", (0, 1), POSITIVE, "width", 1.0 / FWHM_OF_SIGMA)
        return self.amplitude, CENTER, left, right

    def _build_formula(self, x: Node, amplitude: Node, center: Node, sigma_left: Node, sigma_right: Node) -> Node:
        away = x - center
        shape = apply("exp", -0.5 * (away / select(away, sigma_right, sigma_left)) ** 2)
        return self.scale_shape(amplitude, math.sqrt(math.pi / 2.0) * (sigma_left + sigma_right), shape)

    def _build_figures(self, *nodes: Node) -> dict[Parameter, Node]:
        amplitude, _, left, right = nodes
        width = left + right
        return self.make_figures(amplitude, math.sqrt(math.pi / 2.0) * width, 0.5 * FWHM_OF_SIGMA * width)


@register
@dataclass(frozen=True)
class SkewedGaussian(Shape):
    """Describe a skewed Gaussian peak, A/(sigma sqrt(2 pi)) exp(-t^2 / 2) (1 + erf(gamma t / sqrt 2)).

    Parameters
    ----------
    prefix : str
        Put before the names of the parameters.

    Notes
    -----
    t = (x - center) / sigma. Parameters: ``amplitude``, the area; ``center`` and ``sigma`` (> 0), which are position
    and width where ``gamma``, the skewness, is zero.

    References
    ----------
    A. Azzalini, Scand. J. Stat. 12, 171 (1985).

    Examples
    --------
    >>> from usidx.models import SkewedGaussian
    >>> SkewedGaussian().names
    ('amplitude', 'center', 'sigma', 'gamma')
    """

    search: ClassVar[str] = "peak"
    prefix: str = ""

    @property
    def _own_parameters(self) -> tuple[Parameter, ...]:
        sigma = Parameter("sigma", "Sigma", (0, 1), POSITIVE, "width", 1.4 / FWHM_OF_SIGMA)
        return Parameter("amplitude", "Amplitude", (1, 1)), CENTER, sigma, Parameter("gamma", "Skewness", "")

    def candidates(self, x: Array) -> list[dict[str, Array | float]]:
        """Return both directions."""
        return [{self.prefix + "gamma": gamma} for gamma in (1.5, 0.1, -1.5)]

    def _build_formula(self, x: Node, amplitude: Node, center: Node, sigma: Node, gamma: Node) -> Node:
        t = (x - center) / sigma
        skewed = 1.0 + apply("erf", gamma / math.sqrt(2.0) * t)
        return amplitude / (_ROOT_TWO_PI * sigma) * (apply("exp", -0.5 * t * t) * skewed)

    def _build_figures(self, *nodes: Node) -> dict[Parameter, Node]:
        return {AREA: nodes[0]}


@register
@dataclass(frozen=True)
class Fano(Shape):
    """Describe a Fano resonance, A (q G/2 + x - center)^2 / ((G/2)^2 + (x - center)^2).

    Parameters
    ----------
    prefix : str
        Put before the names of the parameters.

    Notes
    -----
    Parameters: ``amplitude`` A, the value far away, with the units of the data; ``center``; ``width`` G (> 0); ``q``,
    the asymmetry: 0 for a dip, and the larger the more of a peak. For a Kondo resonance G / 2 is k times the Kondo
    temperature; see `Frota` for the other form of one. Add ``Constant()`` for what does not interfere.

    References
    ----------
    U. Fano, Phys. Rev. 124, 1866 (1961).

    Examples
    --------
    >>> from usidx.models import Fano
    >>> Fano().names
    ('amplitude', 'center', 'width', 'q')
    """

    prefix: str = ""

    @property
    def _own_parameters(self) -> tuple[Parameter, ...]:
        center = Parameter("center", "Center", (0, 1))
        width = Parameter("width", "Width", (0, 1), POSITIVE)
        return Parameter("amplitude", "Amplitude", (1, 0)), center, width, Parameter("q", "Asymmetry", "")

    def candidates(self, x: Array) -> list[dict[str, Array | float]]:
        """Return dips, peaks and slopes of several widths all along the coordinate."""
        low, span = measure_extent(x)
        names = [self.prefix + name for name in ("center", "width", "q")]
        places = itertools.product(np.arange(1, 16) / 16, (0.05, 0.15), (-1.5, -0.4, 0.4, 1.5))
        return [dict(zip(names, (low + span * c, span * w, q), strict=True)) for c, w, q in places]

    def _build_formula(self, x: Node, amplitude: Node, center: Node, width: Node, q: Node) -> Node:
        away = (x - center) / (0.5 * width)
        return amplitude * ((q + away) ** 2 / (1.0 + away * away))


@register
@dataclass(frozen=True)
class BreitWignerFano(Shape):
    """Describe a Breit-Wigner-Fano line, A (1 + p t)^2 / (1 + t^2) with t = 2 (x - center) / width.

    Parameters
    ----------
    prefix : str
        Put before the names of the parameters.

    Notes
    -----
    The form that Raman spectra are fitted with: `Fano` with q = 1/p and another scale. Parameters: ``amplitude`` A,
    the value at the centre, with the units of the data; ``center``; ``width`` (> 0), the full width at half maximum of
    the Lorentzian that it is for p = 0; ``inverse_q`` p, the asymmetry. Far away the value is A p^2.

    References
    ----------
    U. Fano, Phys. Rev. 124, 1866 (1961); S. D. M. Brown et al., Phys. Rev. B 63, 155414 (2001).

    Examples
    --------
    >>> from usidx.models import BreitWignerFano
    >>> BreitWignerFano().names
    ('amplitude', 'center', 'width', 'inverse_q')
    """

    prefix: str = ""

    @property
    def _own_parameters(self) -> tuple[Parameter, ...]:
        center = Parameter("center", "Center", (0, 1))
        width = Parameter("width", "Width", (0, 1), POSITIVE)
        return Parameter("amplitude", "Amplitude", (1, 0)), center, width, Parameter("inverse_q", "Inverse Q", "")

    def candidates(self, x: Array) -> list[dict[str, Array | float]]:
        """Return lines leaning to either side, of several widths all along the coordinate."""
        low, span = measure_extent(x)
        names = [self.prefix + name for name in ("center", "width", "inverse_q")]
        places = itertools.product(np.arange(1, 20) / 20, (0.03, 0.08, 0.2), (-0.8, -0.2, 0.2, 0.8))
        return [dict(zip(names, (low + span * c, span * w, p), strict=True)) for c, w, p in places]

    def _build_formula(self, x: Node, amplitude: Node, center: Node, width: Node, inverse_q: Node) -> Node:
        away = (x - center) / (0.5 * width)
        return amplitude * ((1.0 + inverse_q * away) ** 2 / (1.0 + away * away))
