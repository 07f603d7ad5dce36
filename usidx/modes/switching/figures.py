"""The nine parameters of a loop -> what they say of switching."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import erfinv

__all__ = ["SWITCHING", "compute_switching", "compute_switching_errors"]

Array = npt.NDArray[np.float64]

#: Variable -> its title, and the powers of (response, voltage) in its unit.
SWITCHING: Final[Mapping[str, tuple[str, tuple[int, int]]]] = {
    "imprint": ("Imprint", (0, 1)),
    "r_plus": ("R+", (1, 0)),
    "work_of_switching": ("Work of Switching", (1, 1)),
    "nucleation_bias_1": ("Nucleation Bias 1", (0, 1)),
    "nucleation_bias_2": ("Nucleation Bias 2", (0, 1)),
}


def compute_switching(parameters: Array, threshold: float) -> Array:
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
            rising_at + _compute_distance(threshold, widths[2], widths[3]),
            falling_at + _compute_distance(1.0 - threshold, widths[0], widths[1]),
        ],
        axis=-1,
    )


def compute_switching_errors(parameters: Array, covariance: Array, threshold: float) -> Array:
    """Return standard errors (..., `SWITCHING`), to first order, of parameters with a covariance (..., 9, 9).

    NaN where one is that matters.
    """
    slopes = _compute_slopes(parameters, threshold)
    both = slopes[..., :, None] * slopes[..., None, :]
    terms = np.where(both == 0.0, 0.0, both * covariance[..., None, :, :])
    with np.errstate(invalid="ignore"):
        found: Array = np.sqrt(terms.sum(axis=(-2, -1)))
    return found


def _compute_slopes(parameters: Array, threshold: float) -> Array:
    """Return the derivatives (..., `SWITCHING`, parameter)."""
    _, height, falling_at, rising_at, _, *widths = np.moveaxis(parameters, -1, 0)
    found = np.zeros((*parameters.shape[:-1], len(SWITCHING), parameters.shape[-1]))
    found[..., 0, [2, 3]] = 0.5
    found[..., 1, [0, 1]] = 1.0
    gap = rising_at - falling_at
    found[..., 2, 1] = np.abs(gap) * np.sign(height)
    found[..., 2, 3] = np.sign(gap) * np.abs(height)
    found[..., 2, 2] = -found[..., 2, 3]
    found[..., 3, 3] = found[..., 4, 2] = 1.0
    found[..., 3, 7], found[..., 3, 8] = _compute_distance_slopes(threshold, widths[2], widths[3])
    found[..., 4, 5], found[..., 4, 6] = _compute_distance_slopes(1.0 - threshold, widths[0], widths[1])
    return found


def _compute_distance(share: float, below: Array, above: Array) -> Array:
    """Return how far from where it switches a branch has gone a share of its way: the inverse of the model."""
    width, part = _invert_share(share, below, above)
    return np.where(np.isfinite(part), width * part, np.nan)


def _compute_distance_slopes(share: float, below: Array, above: Array) -> tuple[Array, Array]:
    """Return the derivatives of that distance by the two widths."""
    width, part = _invert_share(share, below, above)
    is_above = share * (below + above) >= below
    with np.errstate(all="ignore"):
        steep = 0.5 * np.sqrt(np.pi) * np.exp(part**2)  # of erfinv
        by_below = np.where(is_above, (share - 1.0) * steep, part - share * above / width * steep)
        by_above = np.where(is_above, part + (1.0 - share) * below / width * steep, share * steep)
    return by_below, by_above


def _invert_share(share: float, below: Array, above: Array) -> tuple[Array, Array]:
    """Return the width on whose side the share lies, and the distance by that width."""
    beyond = share * (below + above) - below
    width = np.where(beyond >= 0.0, above, below)
    with np.errstate(all="ignore"):
        return width, erfinv(beyond / width)
