"""Peak shapes of one coordinate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final

from usidx.errors import SelectionError
from usidx.fitting.formula.nodes import Node, apply
from usidx.fitting.models.model import register
from usidx.fitting.models.parameter import POSITIVE, Parameter
from usidx.fitting.models.shape import Shape

__all__ = ["Gaussian", "Lorentzian"]

NORMALIZATIONS: Final = ("area", "height")
FWHM_OF_SIGMA: Final = 2.0 * math.sqrt(2.0 * math.log(2.0))
FWHM: Final = Parameter("fwhm", "Full Width at Half Maximum", (0, 1))
AREA: Final = Parameter("area", "Area", (1, 1))
HEIGHT: Final = Parameter("height", "Height", (1, 0))
CENTER: Final = Parameter("center", "Center", (0, 1), role="center")


class Peak(Shape):
    """Base of the peaks: the amplitude is the area, or with ``normalized="height"`` the height."""

    search: ClassVar[str] = "peak"
    normalized: str

    def __post_init__(self) -> None:
        if self.normalized not in NORMALIZATIONS:
            raise SelectionError(
                f"{type(self).__name__} has no normalization {self.normalized!r}; choose one of {NORMALIZATIONS}."
            )

    @property
    def amplitude(self) -> Parameter:
        """Return the amplitude, whose unit follows from the normalization."""
        return Parameter("amplitude", "Amplitude", (1, 1) if self.normalized == "area" else (1, 0))

    def scale_shape(self, amplitude: Node, area: Node, shape: Node) -> Node:
        """Return a shape of height 1 and some area times the amplitude."""
        return amplitude / area * shape if self.normalized == "area" else amplitude * shape

    def make_figures(self, amplitude: Node, area: Node, fwhm: Node) -> dict[Parameter, Node]:
        """Return the figures of a peak whose shape of height 1 has some area."""
        by_area = self.normalized == "area"
        whole, height = (amplitude, amplitude / area) if by_area else (amplitude * area, amplitude)
        return {FWHM: fwhm, AREA: whole, HEIGHT: height}


@register
@dataclass(frozen=True)
class Gaussian(Peak):
    """Describe a Gaussian peak, A/(sigma sqrt(2 pi)) exp(-(x - center)^2 / (2 sigma^2)).

    Parameters
    ----------
    normalized : {"area", "height"}
        By default the amplitude A is the area under the peak, with the units of data times coordinate. With
        "height" it is the height, with the units of the data, and the factor 1/(sigma sqrt(2 pi)) is left out.
    prefix : str
        Put before the names of the parameters.

    Notes
    -----
    Parameters: ``amplitude``, ``center``, ``sigma`` (> 0). The full width at half maximum is 2.3548 sigma.

    References
    ----------
    The normal distribution, Abramowitz and Stegun 26.2.1.

    Examples
    --------
    >>> from usidx.models import Gaussian
    >>> Gaussian(normalized="height").names
    ('amplitude', 'center', 'sigma')
    """

    normalized: str = "area"
    prefix: str = ""

    @property
    def _own_parameters(self) -> tuple[Parameter, ...]:
        sigma = Parameter("sigma", "Sigma", (0, 1), POSITIVE, "width", 1.0 / FWHM_OF_SIGMA)
        return self.amplitude, CENTER, sigma

    def _build_formula(self, x: Node, amplitude: Node, center: Node, sigma: Node) -> Node:
        shape = apply("exp", -0.5 * ((x - center) / sigma) ** 2)
        return self.scale_shape(amplitude, math.sqrt(2.0 * math.pi) * sigma, shape)

    def _build_figures(self, *nodes: Node) -> dict[Parameter, Node]:
        amplitude, _, sigma = nodes
        return self.make_figures(amplitude, math.sqrt(2.0 * math.pi) * sigma, FWHM_OF_SIGMA * sigma)


@register
@dataclass(frozen=True)
class Lorentzian(Peak):
    """Describe a Lorentzian peak, (A/pi) sigma / ((x - center)^2 + sigma^2).

    Parameters
    ----------
    normalized : {"area", "height"}
        By default the amplitude A is the area under the peak, with the units of data times coordinate. With
        "height" it is the height, with the units of the data: A / (1 + ((x - center)/sigma)^2).
    prefix : str
        Put before the names of the parameters.

    Notes
    -----
    Parameters: ``amplitude``, ``center``, ``sigma`` (> 0), the half width at half maximum.

    References
    ----------
    The Cauchy distribution; H. A. Lorentz, the shape of a line broadened by damping.

    Examples
    --------
    >>> from usidx.models import Lorentzian
    >>> Lorentzian().names
    ('amplitude', 'center', 'sigma')
    """

    normalized: str = "area"
    prefix: str = ""

    @property
    def _own_parameters(self) -> tuple[Parameter, ...]:
        return self.amplitude, CENTER, Parameter("sigma", "Sigma", (0, 1), POSITIVE, "width", 0.5)

    def _build_formula(self, x: Node, amplitude: Node, center: Node, sigma: Node) -> Node:
        shape = 1.0 / (1.0 + ((x - center) / sigma) ** 2)
        return self.scale_shape(amplitude, math.pi * sigma, shape)

    def _build_figures(self, *nodes: Node) -> dict[Parameter, Node]:
        amplitude, _, sigma = nodes
        return self.make_figures(amplitude, math.pi * sigma, 2.0 * sigma)
