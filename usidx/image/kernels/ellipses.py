"""The shape of an elliptic Gaussian, as a quadratic form and as two sigmas and an angle.

The form is (a, b, c) of a v^2 + 2 b v u + c u^2, v along lines and u along columns. The axis of sigma_x lies at the
angle from the direction of u towards that of v, between -pi/4 and pi/4; that of sigma_y is at a right angle to it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["to_form", "to_sigmas", "vary_sigmas"]

Array = npt.NDArray[Any]


def to_form(sigma_y: Array, sigma_x: Array, angle: Array) -> Array:
    """Return the form of ellipses, shape (3, atom)."""
    sine, cosine, y, x = np.sin(angle), np.cos(angle), sigma_y**-2.0, sigma_x**-2.0
    return np.stack([x * sine**2 + y * cosine**2, sine * cosine * (x - y), x * cosine**2 + y * sine**2])


def _turn(form: Array) -> tuple[Array, Array, Array]:
    """Return the sine and cosine of the angle, and the angle."""
    a, b, c = form.T
    angle = 0.5 * np.arctan2(np.where(c < a, -2 * b, 2 * b), np.abs(c - a))
    return np.sin(angle), np.cos(angle), angle


def to_sigmas(form: Array) -> Array:
    """Return sigma_y, sigma_x and angle, shape (3, atom), of forms, shape (atom, 3)."""
    sine, cosine, angle = _turn(form)
    a, b, c = form.T
    along_x = c * cosine**2 + 2 * b * sine * cosine + a * sine**2
    along_y = c * sine**2 - 2 * b * sine * cosine + a * cosine**2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.stack([along_y**-0.5, along_x**-0.5, angle])


def vary_sigmas(form: Array, pixels: Array, steps: Array) -> Array:
    """Return the variances of sigma_y, sigma_x and angle, shape (3, atom).

    Parameters
    ----------
    form : ndarray, shape (atom, 3)
        In units of the axes.
    pixels : ndarray, shape (atom, 6)
        Variances of a, b, c and covariances of ab, ac, bc where the steps of the axes are the unit.
    steps : ndarray, shape (2,)
        Along lines and columns.
    """
    scale = 1 / np.array([steps[0] ** 2, steps[0] * steps[1], steps[1] ** 2])
    place = ((0, 3, 4), (3, 1, 5), (4, 5, 2))
    covariance = pixels[:, place] * np.outer(scale, scale)
    sine, cosine, _ = _turn(form)
    sigma_y, sigma_x, _ = to_sigmas(form)
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = sigma_x**-2.0 - sigma_y**-2.0
        turned = np.stack([sine * cosine, cosine**2 - sine**2, -sine * cosine]) / apart
    both = np.stack([
        -0.5 * sigma_y**3 * np.stack([cosine**2, -2 * sine * cosine, sine**2]),
        -0.5 * sigma_x**3 * np.stack([sine**2, 2 * sine * cosine, cosine**2]),
        turned,
    ])  # fmt: skip
    found: Array = np.einsum("ska,akl,sla->sa", both, covariance, both)
    return found
