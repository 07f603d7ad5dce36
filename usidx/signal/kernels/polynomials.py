"""Rows with peaks -> the polynomial under them, all rows at once."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from numpy.polynomial import legendre

__all__ = ["fit_under_peaks"]

Array = npt.NDArray[Any]
#: Of the largest of a row: residuals that small are rounding, and nothing stands out of them.
_ROUNDING: Final = 1e-12


def fit_under_peaks(rows: Array, place: Array, order: int, num_std: float, rounds: int) -> Array:
    """Return the polynomials, fitted to the samples that do not stand out above them.

    Parameters
    ----------
    rows : ndarray of float64, shape (row, sample)
        Finite.
    place : ndarray, shape (sample,)
        Where the samples lie.
    order : int
        Of the polynomial.
    num_std : float
        A sample stands out if it is further above than so many root mean squares of what lies below.
    rounds : int
        Masks are made anew until none changes, so often at most.

    Returns
    -------
    ndarray, shape (row, sample)
        NaN in rows of which less is left than the polynomial needs.
    """
    span = np.ptp(place) or 1.0
    basis = legendre.legvander(2 * (place - place.min()) / span - 1, order)
    kept, found = np.ones(rows.shape, bool), np.full(rows.shape, np.nan)
    rounding = _ROUNDING * np.abs(rows).max(axis=1, initial=0.0)
    left = np.arange(len(rows))
    for _ in range(rounds + 1):
        left = left[kept[left].sum(axis=1) > order]
        if not left.size:
            break
        found[left] = _fit(rows[left], kept[left], basis)
        residual = rows[left] - found[left]
        low = kept[left] & (residual < 0)
        squares = np.einsum("rs,rs->r", np.where(low, residual, 0), residual)
        noise = np.sqrt(squares / np.maximum(low.sum(axis=1), 1))
        mask = residual <= (num_std * noise + rounding[left])[:, np.newaxis]
        changed = (mask != kept[left]).any(axis=1)
        kept[left] = mask
        left = left[changed]
    found[kept.sum(axis=1) <= order] = np.nan
    return found


def _fit(rows: Array, kept: Array, basis: Array) -> Array:
    """Fit all rows by least squares, each to its own samples."""
    weights = kept.astype(np.float64)
    count = basis.shape[1]
    products = (basis[:, :, np.newaxis] * basis[:, np.newaxis, :]).reshape(len(basis), -1)
    normal = (weights @ products).reshape(-1, count, count)
    # Samples that are left may all lie close together: a touch of stiffness keeps the equations solvable.
    normal += 1e-14 * len(basis) * np.eye(count)
    right = (weights * rows) @ basis
    return np.asarray(np.linalg.solve(normal, right[..., np.newaxis])[..., 0] @ basis.T)
