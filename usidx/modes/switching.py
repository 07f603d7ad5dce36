"""The nine parameters of a loop -> what they say of switching."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import erfinv

__all__ = ["SWITCHING", "switching"]

Array = npt.NDArray[np.float64]

#: Variable -> its title, and the powers of (response, voltage) in its unit.
SWITCHING: Final[Mapping[str, tuple[str, tuple[int, int]]]] = {
    "imprint": ("Imprint", (0, 1)),
    "r_plus": ("R+", (1, 0)),
    "work_of_switching": ("Work of Switching", (1, 1)),
    "nucleation_bias_1": ("Nucleation Bias 1", (0, 1)),
    "nucleation_bias_2": ("Nucleation Bias 2", (0, 1)),
}


def switching(parameters: Array, threshold: float) -> Array:
    """Return what follows from the parameters of `HysteresisLoop`, (..., `SWITCHING`) from (..., parameter).

    The imprint is half way between the two switching voltages, R+ the upper level, the work the area of the box that
    they span. Nucleation is where a branch has gone the share `threshold` of its way: the rising one from below (1),
    the falling one from above (2).
    """
    bottom, height, falling_at, rising_at, _, *widths = np.moveaxis(parameters, -1, 0)
    return np.stack(
        [
            0.5 * (falling_at + rising_at),
            bottom + height,
            np.abs(rising_at - falling_at) * np.abs(height),
            rising_at + _distance(threshold, widths[2], widths[3]),
            falling_at + _distance(1.0 - threshold, widths[0], widths[1]),
        ],
        axis=-1,
    )


def _distance(share: float, below: Array, above: Array) -> Array:
    """Return how far from where it switches a branch has gone a share of its way: the inverse of the model."""
    beyond = share * (below + above) - below
    width = np.where(beyond >= 0.0, above, below)
    with np.errstate(all="ignore"):
        found: Array = width * erfinv(beyond / width)
    return np.where(np.isfinite(found), found, np.nan)
