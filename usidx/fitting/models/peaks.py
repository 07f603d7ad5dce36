"""Peak shapes of one coordinate, and of two."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt

from usidx.errors import SelectionError
from usidx.fitting.formula.nodes import Node, apply
from usidx.fitting.models.curves import measure_extent
from usidx.fitting.models.model import register
from usidx.fitting.models.parameter import POSITIVE, Parameter
from usidx.fitting.models.shape import Shape

__all__ = ["Gaussian", "Gaussian2D", "Lorentzian"]

Array = npt.NDArray[np.float64]

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


@register
@dataclass(frozen=True)
class Gaussian2D(Peak):
    """Describe an elliptical Gaussian peak in an image, turned by an angle.

    Parameters
    ----------
    normalized : {"area", "height"}
        What the amplitude is: by default the volume under the peak, with the units of data times coordinate squared,
        or the height.
    prefix : str
        Put before the names of the parameters.

    Notes
    -----
    A / (2 pi sigma_x sigma_y) exp(-u^2 / (2 sigma_x^2) - v^2 / (2 sigma_y^2)), with u = dx cos r + dy sin r and
    v = dy cos r - dx sin r. The coordinates are y and x, in this order, as images have them: ``dim=("Y", "X")``.
    Parameters: ``amplitude``, ``center_x``, ``center_y``, ``sigma_x`` and ``sigma_y`` (> 0), and ``rotation`` r in
    radians. Turning by pi changes nothing, nor does turning by pi / 2 with the widths exchanged: so `sigma_x` is the
    longer axis and `rotation`, within -pi/2 and pi/2, its direction, counted from x to y. Where one of the three is
    fixed, tied or bounded, they stay as fitted. Hold ``rotation`` at 0 where peaks are round.

    References
    ----------
    M. Nord, P. E. Vullum, I. MacLaren, T. Tybell and R. Holmestad, Adv. Struct. Chem. Imaging 3, 9 (2017), equation 1,
    in terms of the axes.

    Examples
    --------
    >>> from usidx.models import Gaussian2D
    >>> Gaussian2D().names
    ('amplitude', 'center_x', 'center_y', 'sigma_x', 'sigma_y', 'rotation')
    """

    search: ClassVar[str] = "candidates"
    variables: ClassVar[int] = 2

    normalized: str = "area"
    prefix: str = ""

    @property
    def amplitude(self) -> Parameter:
        """Return the amplitude, whose unit follows from the normalization."""
        return Parameter("amplitude", "Amplitude", (1, 2) if self.normalized == "area" else (1, 0))

    @property
    def _own_parameters(self) -> tuple[Parameter, ...]:
        centers = (Parameter(f"center_{d}", f"Center {d.upper()}", (0, 1)) for d in "xy")
        sigmas = (Parameter(f"sigma_{d}", f"Sigma {d.upper()}", (0, 1), POSITIVE) for d in "xy")
        return self.amplitude, *centers, *sigmas, Parameter("rotation", "Rotation", "rad", period=math.pi)

    @property
    def axes(self) -> tuple[tuple[str, str, str], ...]:
        """Return the two widths and the angle, which change places."""
        return ((self.prefix + "sigma_x", self.prefix + "sigma_y", self.prefix + "rotation"),)

    def candidates(self, x: Array) -> list[dict[str, Array | float]]:
        """Return small and large ellipses in four directions all over the image."""
        (low_y, height), (low_x, width) = measure_extent(x[..., 0, :]), measure_extent(x[..., 1, :])
        places, directions = (np.arange(8) + 0.5) / 8, (0.0, 0.25 * math.pi, 0.5 * math.pi, -0.25 * math.pi)
        size = np.minimum(height, width)
        names = [self.prefix + n for n in ("center_y", "center_x", "sigma_x", "sigma_y", "rotation")]
        return [
            dict(zip(names, (low_y + height * v, low_x + width * u, 1.25 * s * size, 0.8 * s * size, r), strict=True))
            for v, u, s, r in itertools.product(places, places, (0.06, 0.15), directions)
        ]

    def _build_formula(
        self,
        y: Node,
        x: Node,
        amplitude: Node,
        center_x: Node,
        center_y: Node,
        sigma_x: Node,
        sigma_y: Node,
        turn: Node,
    ) -> Node:
        cos, sin = apply("cos", turn), apply("sin", turn)
        u = (x - center_x) * cos + (y - center_y) * sin
        v = (y - center_y) * cos - (x - center_x) * sin
        shape = apply("exp", -0.5 * (u / sigma_x) ** 2 - 0.5 * (v / sigma_y) ** 2)
        return self.scale_shape(amplitude, 2.0 * math.pi * sigma_x * sigma_y, shape)

    def _build_figures(self, *nodes: Node) -> dict[Parameter, Node]:
        amplitude, _, _, sigma_x, sigma_y, _ = nodes
        found = self.make_figures(amplitude, 2.0 * math.pi * sigma_x * sigma_y, sigma_x)
        widths = {
            replace(FWHM, name=f"fwhm_{d}", title=f"{FWHM.title} {d.upper()}"): FWHM_OF_SIGMA * sigma
            for d, sigma in (("x", sigma_x), ("y", sigma_y))
        }
        return {**widths, Parameter("volume", "Volume", (1, 2)): found[AREA], HEIGHT: found[HEIGHT]}
