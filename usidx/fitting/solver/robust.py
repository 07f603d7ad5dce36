"""Robust losses in NumPy: what they make of residuals, how far their estimates scatter, how noisy a spectrum is.

`compile.normal_equations` and `kernels.spectra` hold the same formulas for one spectrum at a time; keep the two alike.

References
----------
P. J. Huber, Robust Statistics, Wiley (1981), chapter 7.6: the covariance of M-estimates of a regression.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = [
    "DEVIATION_PER_MAD", "bound_noise", "compute_robust_variance", "estimate_noise", "evaluate_loss", "split_parts",
]  # fmt: skip

Array = npt.NDArray[np.float64]

DEVIATION_PER_MAD: Final = 1.4826  # of normal noise
_OF_DIFFERENCES: Final = float(np.sqrt(6.0))  # deviation of a - 2 b + c, by that of a, b and c
_LEAST: Final = 1e-6  # of the size of the data: less is no noise to go by


def evaluate_loss(residual: Array, loss: str, scale: float) -> tuple[Array, Array]:
    """Return the loss of residuals, and its slope by their squares; the formulas of scipy's least_squares."""
    z = (residual / scale) ** 2
    if loss == "soft_l1":
        root = np.sqrt(1.0 + z)
        return 2.0 * (root - 1.0) * scale * scale, 1.0 / root
    if loss == "huber":
        far = np.sqrt(np.maximum(z, 1.0))
        return np.where(z > 1.0, 2.0 * far - 1.0, z) * scale * scale, 1.0 / far
    return np.log1p(z) * scale * scale, 1.0 / (1.0 + z)


def _compute_stiffness(residual: Array, loss: str, scale: float) -> Array:
    """Return the derivative of psi(r) = r times the loss's slope."""
    z = (residual / scale) ** 2
    if loss == "soft_l1":
        return (1.0 + z) ** -1.5
    if loss == "huber":
        return np.where(z > 1.0, 0.0, 1.0)
    return (1.0 - z) / (1.0 + z) ** 2


def compute_robust_variance(residual: Array, used: npt.NDArray[np.bool_], free: int, loss: str, scale: float) -> Array:
    """Return for each row of residuals what (J'J)^-1 is multiplied by, in place of the variance of the noise.

    NaN where no degree of freedom is left, or residuals are so large that the loss is not convex over them.
    """
    count = used.sum(axis=1)
    psi = np.where(used, residual * evaluate_loss(residual, loss, scale)[1], 0.0)
    stiff = np.where(used, _compute_stiffness(residual, loss, scale), 0.0)
    with np.errstate(all="ignore"):
        mean = stiff.sum(axis=1) / count
        spread = (np.where(used, stiff - mean[:, None], 0.0) ** 2).sum(axis=1) / count
        correction = 1.0 + free / count * spread / mean**2
        found = correction**2 * (psi**2).sum(axis=1) / (count - free) / mean**2
    return np.where((count > free) & (mean > 0.0), found, np.nan)


def estimate_noise(values: npt.NDArray[Any], free: int | None = None) -> Array:
    """Return the standard deviation of the noise of each row (spectrum, sample), of a part where rows are complex.

    Few wild samples do not matter. Rows of data, whose second differences are looked at; or, where `free` parameters
    were fitted, rows of what the fit left over. NaN where too little is known.
    """
    parts = split_parts(values).reshape(*values.shape, 1 + np.iscomplexobj(values))
    parts = np.where(np.isfinite(values)[..., None], parts, np.nan)
    if free is None:
        parts = (parts[:, 2:] - 2.0 * parts[:, 1:-1] + parts[:, :-2]) / _OF_DIFFERENCES
    rows = np.abs(parts.reshape(len(values), int(np.prod(parts.shape[1:]))))
    count, lost = np.isfinite(rows).sum(axis=1), 0 if free is None else free
    found = np.full(len(rows), np.nan)
    some = np.flatnonzero(count > lost)
    found[some] = _take_median(rows[some])
    # Whole numbers, as of counts, often do not differ at all.
    still = some[found[some] == 0.0]
    found[still] = _take_median(np.where(rows[still] > 0.0, rows[still], np.nan))
    # Parameters take part of the noise with them.
    found[some] *= DEVIATION_PER_MAD * np.sqrt(count[some] / (count[some] - lost))
    return found


def bound_noise(noise: Array, values: npt.NDArray[Any]) -> Array:
    """Return the noise, no less than what is rounding of the data, and never zero."""
    size = np.abs(split_parts(values))
    least = _LEAST * np.nan_to_num(_take_median(np.where(np.isfinite(size) & (size > 0.0), size, np.nan)))
    least = np.where(least > 0.0, least, 1.0)  # of zeros
    return np.where(noise > least, noise, least)


def _take_median(rows: Array) -> Array:
    """Return the median of what is known of each row, NaN where nothing is."""
    ordered = np.sort(rows, axis=1)  # NaN last
    count = np.isfinite(rows).sum(axis=1)
    low, high = np.maximum(count - 1, 0) // 2, count // 2
    both = [np.take_along_axis(ordered, np.minimum(k, max(rows.shape[1] - 1, 0))[:, None], axis=1) for k in (low, high)]
    middle: Array = 0.5 * (both[0] + both[1])[:, 0]
    return np.where(count > 0, middle, np.nan)


def split_parts(values: npt.NDArray[Any]) -> Array:
    """Return real numbers: the values, or real and imaginary part of each in turns."""
    if np.iscomplexobj(values):
        return np.ascontiguousarray(values, np.complex128).view(np.float64)
    return np.asarray(values, np.float64)
